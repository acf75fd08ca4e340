//! `TCP_INFO` and the numbers that are told with each segment: Linux's fields, and the reason of each transmission.

use super::lab::{Lab, MS, Offer};
use crate::common::wire::FIN_ACK;
use tcplab::event::{Phase, Reason, State};
use tcplab::socket::{SocketOption, TcpInfo};
use tcplab::time::Duration;

/// Each field of `TCP_INFO` after a handshake.
#[test]
fn tcp_info_after_the_handshake() {
    let offer = Offer { timestamps: true, wscale: Some(3), mss: 1012, ecn: true, ..Offer::default() };
    let lab = Lab::with(&offer, |config| {
        config.rcv_buf = Some(1 << 20);
        config.ecn = true;
    });
    let info = lab.info();
    assert_eq!(info.state, State::Established);
    assert_eq!(info.options, TcpInfo::TIMESTAMPS | TcpInfo::SACK | TcpInfo::WSCALE | TcpInfo::ECN);
    assert_eq!((info.snd_wscale, info.rcv_wscale), (3, 5));
    assert_eq!((info.rtt, info.rttvar, info.min_rtt, info.rto), (100 * MS, 50 * MS, 100 * MS, 300 * MS));
    assert_eq!((info.snd_mss, info.rcv_mss), (1000, 536), "the size of the peer's segments is not known yet");
    assert_eq!((info.unacked, info.sacked, info.lost, info.retrans), (0, 0, 0, 0));
    assert_eq!((info.ca_state, info.backoff, info.probes), (Phase::Open, 0, 0));
    assert_eq!((info.snd_wnd, info.rcv_wnd, info.rcv_space), (65_000 << 3, 65_535, 1 << 20));
    assert_eq!((info.retransmits, info.total_retrans, info.dsack_dups), (0, 0, 0));
    assert_eq!((info.snd_cwnd, info.snd_ssthresh, info.pipe), (10_000, u64::MAX, 0));
    assert_eq!((info.notsent_bytes, info.delivered, info.pacing_rate, info.reord_seen), (0, 0, None, false));
    let plain = Lab::with(&Offer { sack: false, ..Offer::default() }, |_| {});
    assert_eq!((plain.info().options, plain.info().snd_wscale, plain.info().rcv_wscale), (0, 0, 0));
}

/// The fields that a flow changes.
#[test]
fn tcp_info_of_a_flow_with_losses() {
    let mut lab = Lab::on_host(|config| config.mtu_probing = false);
    lab.write(15_000);
    let info = lab.info();
    assert_eq!((info.unacked, info.notsent_bytes, info.pipe), (10, 5000, 10_000));
    lab.until(200);
    lab.ack(1001);
    assert_eq!((lab.info().delivered, lab.info().unacked, lab.info().notsent_bytes), (1000, 11, 3000));
    lab.sack(1001, &[(2001, 5001)]);
    let info = lab.info();
    // As on Linux a segment whose retransmission is in flight counts as lost too.
    assert_eq!((info.sacked, info.lost, info.retrans), (3, 1, 1));
    assert_eq!((info.ca_state, info.delivered, info.total_retrans, info.retransmits), (Phase::Recovery, 4000, 1, 0));
    assert_eq!(info.pipe, 1000 * u64::from(info.unacked - info.sacked - info.lost + info.retrans));
    lab.until(10_000);
    let info = lab.info();
    assert!(info.retransmits >= 3 && u32::from(info.backoff) == info.retransmits, "{info:?}");
    assert_eq!((info.ca_state, info.snd_cwnd), (Phase::Loss, 1000));
    assert!(info.total_retrans >= 4);
    lab.data(1, 700);
    lab.data(701, 700);
    assert_eq!((lab.info().rcv_mss, lab.info().rcv_wnd), (700, 58_600));
    lab.window(0).ack(1001);
    assert_eq!(lab.info().snd_wnd, 0);
}

/// The state, and what is left when TCP is over.
#[test]
fn tcp_info_follows_the_state() {
    let mut lab = Lab::new();
    lab.data_with(1, 0, FIN_ACK);
    assert_eq!(lab.info().state, State::CloseWait);
    lab.wire.host.shutdown(lab.fd, tcplab::socket::Shutdown::Write).expect("shutdown");
    assert_eq!(lab.until(100), ["100: 1 FIN"]);
    assert_eq!((lab.info().state, lab.info().unacked), (State::LastAck, 1));
    lab.ack(2);
    assert_eq!((lab.info().state, lab.info().unacked, lab.info().snd_cwnd), (State::Closed, 0, 0));
}

/// The reason of each transmission: new, fast retransmit, RACK, TLP, RTO, path MTU, probe, keep-alive; none for an ACK. The
/// others are in the tests of their rules.
#[test]
fn each_transmission_is_told_with_its_reason_and_the_numbers_after_it() {
    let mut lab = Lab::new();
    lab.data(1, 100);
    assert_eq!(lab.reasons(), [None], "an ACK has none");
    lab.write(3000);
    let told = *lab.told.last().expect("told");
    assert_eq!((told.reason, told.phase), (Some(Reason::New), Some(Phase::Open)));
    assert_eq!((told.cwnd, told.ssthresh, told.pipe, told.flight_size), (Some(10_000), None, Some(3000), Some(3000)));
    assert_eq!((told.srtt, told.rttvar, told.rto), (Some(100 * MS), Some(50 * MS), Some(300 * MS)));
    assert_eq!(lab.reasons(), [Some(Reason::New); 3]);
    lab.until(302);
    assert_eq!(lab.reasons(), [Some(Reason::Tlp)]);
    lab.until(602);
    assert_eq!(
        lab.told.last().map(|told| (told.phase, told.cwnd, told.rto)),
        Some((Some(Phase::Loss), Some(1000), Some(600 * MS)))
    );
    assert_eq!(lab.reasons(), [Some(Reason::Rto)]);
    lab.ack(3001);
    lab.set(SocketOption::KeepAlive(true));
    lab.set(SocketOption::KeepIdle(Duration::from_secs(10)));
    assert_eq!(lab.until(11_000), ["10602: 3000 ack 101"]);
    assert_eq!(lab.reasons(), [Some(Reason::KeepAlive)]);
}
