//! Socket buffers: they grow with the flow unless they are set, and all together they have a limit.

use super::lab::{Lab, MS, NOTHING, Offer};
use tcplab::socket::{Errno, OptionName, SocketOption};

/// The peer sends `rounds` windows of data, one each 100 ms; the host reads all. Returns the sizes of the receive buffer, and
/// the largest window that was advertised.
fn receive(offer: &Offer, rounds: u32, rcv_buf: Option<usize>, reads: bool) -> (Vec<usize>, u32) {
    let mut lab = Lab::with(offer, |config| config.rcv_buf = rcv_buf);
    let shift = lab.syn_ack.options.wscale.unwrap_or(0);
    let (mut seq, mut sizes, mut largest) = (1, Vec::new(), 0);
    for _ in 0..rounds {
        let window = lab.info().rcv_wnd;
        let end = seq + window / 1000 * 1000;
        // The host's clock goes into the echo: the round trip is 100 ms.
        let ms = lab.ms().saturating_sub(100);
        if offer.timestamps {
            lab.ack_echo(1, ms);
        }
        while seq < end {
            lab.data(seq, 1000);
            seq += 1000;
            if reads {
                assert_eq!(lab.read(1000).0, Ok(1000));
            }
        }
        lab.until(lab.ms() + 100);
        sizes.push(lab.info().rcv_space);
        largest = lab.said.iter().map(|said| u32::from(said.window) << shift).max().expect("ACKs").max(largest);
    }
    (sizes, largest)
}

/// Linux, `tcp_rcv_space_adjust`: room for twice what is read in a round trip, so that the sender may double its window.
#[test]
fn the_receive_buffer_grows_with_the_flow_with_timestamps_and_without() {
    for timestamps in [true, false] {
        let offer = Offer { timestamps, wscale: Some(7), mss: 1012, ..Offer::default() };
        let (sizes, largest) = receive(&offer, 8, None, true);
        assert_eq!(sizes[0], 65_536, "timestamps {timestamps}: {sizes:?}");
        assert!(sizes.windows(2).all(|pair| pair[0] <= pair[1]), "{sizes:?}");
        let last = *sizes.last().expect("sizes");
        assert!((1 << 19..=6 << 20).contains(&last), "timestamps {timestamps}: {sizes:?}");
        assert!(largest > 1 << 19 && largest as usize <= last, "the window follows: {largest} of {last}");
    }
}

/// `SO_RCVBUF` fixes it, and who does not read gets no more room.
#[test]
fn a_receive_buffer_that_is_set_or_that_nobody_reads_does_not_grow() {
    let offer = Offer { timestamps: true, wscale: Some(7), mss: 1012, ..Offer::default() };
    let (sizes, largest) = receive(&offer, 8, Some(65_536), true);
    assert_eq!((sizes, largest), (vec![65_536; 8], 65_536));
    let (sizes, largest) = receive(&offer, 8, None, false);
    assert_eq!((sizes, largest <= 65_536), (vec![65_536; 8], true));
    let mut lab = Lab::with(&offer, |config| config.rcv_buf = None);
    assert_eq!(lab.set(SocketOption::RcvBuf(100_000)), NOTHING);
    assert_eq!(lab.info().rcv_space, 100_000);
}

/// As Linux's `tcp_sndbuf_expand`: room for two congestion windows; `SO_SNDBUF` fixes it.
#[test]
fn the_send_buffer_grows_with_the_congestion_window_unless_it_is_set() {
    let size = |lab: &Lab| match lab.wire.host.getsockopt(lab.fd, OptionName::SndBuf) {
        Ok(SocketOption::SndBuf(size)) => size,
        other => panic!("{other:?}"),
    };
    let mut lab = Lab::new();
    assert_eq!(size(&lab), 20_000, "two initial windows are more than 16 KiB");
    assert_eq!(lab.wire.host.write(lab.fd, &vec![7; 30_000]), Ok(20_000));
    assert_eq!(lab.wire.host.write(lab.fd, &[7; 1]), Err(Errno::EAGAIN));
    lab.until(200);
    for end in 1..=10 {
        lab.ack(1 + end * 1000);
    }
    assert_eq!(size(&lab), 40_000, "cwnd is 20 segments");
    let mut lab = Lab::on_host(|config| config.snd_buf = Some(12_000));
    assert_eq!(lab.wire.host.write(lab.fd, &vec![7; 30_000]), Ok(12_000));
    lab.until(200);
    lab.ack(10_001);
    assert_eq!(size(&lab), 12_000);
    lab.set(SocketOption::SndBuf(5000));
    assert_eq!(size(&lab), 5000);
}

/// Past 7/8 of the host's limit no window opens further, and no right edge moves to the left; text in the window is taken.
#[test]
fn past_the_limit_of_all_buffers_no_window_opens_further_until_something_is_read() {
    let mut lab = Lab::on_host(|config| {
        config.rcv_buf = Some(20_000);
        config.buffer_limit = 8 * 4096;
        config.ack_delay = None;
    });
    let edge = |lab: &Lab| {
        let last = lab.said.last().expect("an ACK");
        last.ack - lab.peer.iss + u32::from(last.window)
    };
    // Two blocks of 4 KiB are read at once, and the window opens behind them.
    lab.data(1, 8192);
    assert_eq!(lab.read(8192).0, Ok(8192));
    lab.data(8193, 8192);
    let before = edge(&lab);
    assert_eq!(before, 8193 + 20_000);
    // The send buffer takes the rest: seven of eight blocks are in use.
    assert_eq!(lab.write(20_000).len(), 10);
    assert_eq!(lab.read(4096).0, Ok(4096));
    lab.data(16_385, 1000);
    assert!(edge(&lab) >= before, "{} and {before}", edge(&lab));
    let room = lab.wire.host.write(lab.fd, &vec![7; 60_000]);
    assert!(room.is_err() || room.is_ok_and(|len| len < 12_000), "{room:?}");
    lab.data(17_385, 1000);
    let under_pressure = edge(&lab);
    lab.data(18_385, 1000);
    assert_eq!(edge(&lab), under_pressure, "no window opens further");
    // The peer acknowledges, and the blocks of the send buffer are free again.
    lab.until(lab.ms() + 10);
    lab.ack(10_001);
    lab.ack(20_001);
    assert_eq!(lab.read(60_000).0.map(|len| len > 0), Ok(true));
    lab.data(19_385, 100);
    assert!(edge(&lab) > under_pressure);
    assert!(lab.info().rtt > MS);
}
