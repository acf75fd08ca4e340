//! Short stories of a host that follow from its settings: what it sends, and what calls say. `config` tells each of them twice.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::lab::{Lab, Offer};
use crate::common::wire::{FIN_ACK, Peer, RST, SYN, Said, Wire};
use tcplab::congestion::by_name;
use tcplab::segment::{Flags, SegmentTemplate};
use tcplab::socket::{Domain, HostConfig, MsgFlags, Shutdown, SocketOption, Type};
use tcplab::time::{Duration, Instant};

const FIN: Flags = Flags::FIN;

pub(crate) type Change = fn(&mut HostConfig);
pub(crate) type Story = fn(Change) -> String;

fn offer() -> Offer {
    Offer { timestamps: true, wscale: Some(7), mss: 1012, ecn: true, ..Offer::default() }
}

fn brief(said: &[Said]) -> String {
    let mut text = String::new();
    for said in said {
        let Said { at, seq, ack, flags, window, options, payload, .. } = said;
        writeln!(text, "{at} {seq:?} {ack:?} {flags:?} {window} {options:?} {}", payload.len()).expect("text");
    }
    text
}

/// The SYN|ACK.
pub(crate) fn handshake(change: Change) -> String {
    let mut wire = Wire::new(change);
    wire.listen(4);
    let flags = Flags::SYN | Flags::ECE | Flags::CWR;
    let options = tcplab::segment::Options {
        mss: Some(1460),
        wscale: Some(7),
        sack_permitted: true,
        ts: Some(tcplab::segment::Timestamps { ts_val: 1, ts_ecr: 0 }),
        ..Default::default()
    };
    brief(&wire.feed(&SegmentTemplate { flags, options, ..Peer::new(4001).syn() }))
}

/// The bytes of the SYN|ACK: the order of its options.
pub(crate) fn bytes(change: Change) -> String {
    let mut wire = Wire::new(change);
    let fd = wire.host.socket(Domain::Inet, Type::Stream).expect("socket");
    let _ = wire.host.connect(fd, "192.0.2.2:80".parse().expect("an end"));
    let mut packet = tcplab::segment::Packet::default();
    assert!(wire.host.poll_transmit(wire.now, &mut packet));
    format!("{:?}", &packet.bytes[40..])
}

/// What calls say.
pub(crate) fn calls(change: Change) -> String {
    let mut wire = Wire::new(change);
    let mut text = String::new();
    let mut fds = Vec::new();
    for addr in ["192.0.2.1:81", "192.0.2.7:81"] {
        let fd = wire.host.socket(Domain::Inet, Type::Stream);
        let addr: SocketAddr = addr.parse().expect("an end");
        write!(text, "{:?} ", fd.and_then(|fd| wire.host.bind(fd, addr))).expect("text");
        fds.extend(fd);
    }
    let fd = fds[0];
    for name in ["reno", "own"] {
        write!(text, "{:?} ", wire.host.setsockopt(fd, SocketOption::Congestion(name.into()))).expect("text");
    }
    write!(text, "{:?} ", wire.host.connect(fd, "198.51.100.1:80".parse().expect("an end"))).expect("text");
    for _ in 0..3 {
        write!(text, "{:?} ", wire.host.socket(Domain::Inet, Type::Stream)).expect("text");
    }
    text
}

/// A long write with losses, duplicate ACKs and timeouts.
pub(crate) fn sending_with(offer: &Offer, change: Change) -> String {
    let mut lab = Lab::with(offer, |config| {
        config.snd_buf = Some(100_000);
        change(config);
    });
    let mut text = String::new();
    let mut note = |lines: Vec<String>| writeln!(text, "{lines:?}").expect("text");
    note(lab.write(lab.info().snd_mss as usize * 30));
    note(lab.until(200));
    note(lab.sack(1, &[(1001, 2001)]));
    note(lab.until(220));
    note(lab.sack(1, &[(1001, 3001)]));
    note(lab.sack(1, &[(1001, 4001)]));
    for end in 5..9 {
        note(lab.sack(1, &[(1001, end * 1000 + 1)]));
    }
    note(lab.until(240));
    note(lab.ack(10_001));
    let now = lab.ms();
    note(lab.until(now + 20_000));
    note(lab.ack(11_001));
    note(lab.ack(12_001));
    note(lab.until(now + 40_000));
    text + &format!("{:?}", lab.info())
}

pub(crate) fn sending(change: Change) -> String {
    sending_with(&offer(), change)
}

pub(crate) fn sending_without_sack(change: Change) -> String {
    sending_with(&Offer { sack: false, timestamps: false, mss: 1000, ..offer() }, change)
}

/// Three segments of which one is `SACKed`: RACK; a fast retransmit whose original arrives: undo; a write after a pause.
pub(crate) fn short_flights(change: Change) -> String {
    let mut lab = Lab::with(&offer(), change);
    let mut text = format!("{:?}", lab.write(5000));
    lab.until(200);
    write!(text, "{:?}", lab.sack(1, &[(1001, 2001)])).expect("text");
    write!(text, "{:?}", lab.until(230)).expect("text");
    write!(text, "{:?}", lab.ack_echo(5001, 100)).expect("text");
    write!(text, "{:?}", lab.info()).expect("text");
    lab.until(20_000);
    write!(text, "{:?} {:?}", lab.write(20_000), lab.info()).expect("text");
    text
}

/// Two round trips without loss, a pause, and a long write.
pub(crate) fn restart(change: Change) -> String {
    let mut lab = Lab::with(&offer(), |config| {
        config.snd_buf = Some(100_000);
        change(config);
    });
    lab.write(10_000);
    lab.until(200);
    for nth in 1..=10 {
        lab.ack(1 + nth * 1000);
    }
    lab.until(30_000);
    format!("{:?}", lab.write(50_000))
}

/// A tail that is lost, the timeout after it, and an ACK of the first segment.
pub(crate) fn tail(change: Change) -> String {
    let mut lab = Lab::with(&Offer { sack: true, ..Offer::default() }, |config| {
        config.snd_buf = Some(100_000);
        change(config);
    });
    let mut text = format!("{:?}{:?}", lab.write(20_000), lab.until(1000));
    write!(text, "{:?}{:?}", lab.ack(1001), lab.info()).expect("text");
    text
}

/// Ten segments in flight, of which the first is lost; the SACKs of the others come one by one.
pub(crate) fn sacks(change: Change) -> String {
    let mut lab = Lab::with(&offer(), |config| {
        config.congestion = by_name("reno").expect("a controller");
        config.snd_buf = Some(100_000);
        change(config);
    });
    lab.write(100_000);
    lab.until(200);
    let said: Vec<_> = (2..11).map(|end| lab.sack(1, &[(1001, end * 1000 + 1)])).collect();
    format!("{said:?}")
}

/// Slow start over a path whose delay grows with each round trip.
pub(crate) fn slow_start(change: Change) -> String {
    let mut lab = Lab::with(&Offer { wscale: Some(7), ..Offer::default() }, |config| {
        config.snd_buf = Some(4_000_000);
        change(config);
    });
    lab.write(3_000_000);
    let (mut acked, mut sent) = (1, 10_001);
    for round in 0..6 {
        lab.until(lab.ms() + 100 + 20 * round);
        let end = sent;
        while acked < end {
            acked += 1000;
            sent += 1000 * lab.ack(acked).len() as u32;
        }
    }
    format!("{:?}", lab.info())
}

/// Small writes, with a cork and without.
pub(crate) fn small_writes(change: Change) -> String {
    let mut lab = Lab::with(&offer(), change);
    let mut text = format!("{:?}{:?}", lab.write(10), lab.write(10));
    lab.ack(21);
    lab.set(SocketOption::Cork(true));
    write!(text, "{:?}{:?}", lab.write(10), lab.until(10_000)).expect("text");
    text
}

/// How much a program can write.
pub(crate) fn writes(change: Change) -> String {
    let mut lab = Lab::with(&offer(), change);
    let first = lab.wire.host.write(lab.fd, &vec![7; 100_000]);
    lab.until(200);
    lab.ack(1001);
    for nth in 2..=10 {
        lab.ack(1 + nth * 1000);
    }
    format!("{first:?} {:?}", lab.wire.host.write(lab.fd, &vec![7; 100_000]))
}

/// Text that comes, at once and in pauses, twice and beyond holes; the program reads.
pub(crate) fn receiving(change: Change) -> String {
    let mut lab = Lab::with(&offer(), change);
    let mut text = String::new();
    let mut seq = 1;
    for _ in 0..20 {
        writeln!(text, "{:?}", lab.data(seq, 1000)).expect("text");
        seq += 1000;
    }
    for _ in 0..20 {
        writeln!(text, "{:?}", lab.read(1000)).expect("text");
    }
    for _ in 0..20 {
        writeln!(text, "{:?}", lab.data(seq, 100)).expect("text");
        seq += 100;
        writeln!(text, "{:?}", lab.until(lab.ms() + 250)).expect("text");
        lab.read(100).0.expect("text came");
    }
    writeln!(text, "{:?}", lab.data(1, 1000)).expect("text");
    text
}

/// A receive buffer that may grow.
pub(crate) fn growing(change: Change) -> String {
    let mut lab = Lab::with(&offer(), |config| {
        config.rcv_buf = None;
        change(config);
    });
    let mut seq = 1;
    for _ in 0..8 {
        lab.until(lab.ms() + 100);
        lab.ack_echo(1, lab.ms() - 100);
        for _ in 0..(lab.info().rcv_wnd / 1000).min(400) {
            lab.data(seq, 1000);
            lab.read(1000).0.expect("text came");
            seq += 1000;
        }
    }
    format!("{} {:?}", lab.info().rcv_space, lab.syn_ack)
}

/// Datagrams that nobody reads.
pub(crate) fn datagrams(change: Change) -> String {
    let mut wire = Wire::new(change);
    let fd = wire.host.socket(Domain::Inet, Type::Datagram).expect("socket");
    wire.host.bind(fd, "192.0.2.1:9".parse().expect("an end")).expect("bind");
    let own = "192.0.2.1:9".parse().expect("an end");
    for _ in 0..20 {
        wire.host.sendto(fd, &[7; 1000], MsgFlags::NONE, Some(own)).expect("sendto");
    }
    wire.drain();
    let mut count = 0;
    while wire.host.recv(fd, &mut [0; 1000], MsgFlags::NONE).is_ok() {
        count += 1;
    }
    count.to_string()
}

/// A SYN while much text waits.
pub(crate) fn crowded(change: Change) -> String {
    let mut lab = Lab::with(&offer(), change);
    for nth in 0..20 {
        lab.data(1 + 1000 * nth, 1000);
    }
    brief(&lab.wire.feed(&Peer::new(4009).syn()))
}

/// Clients that nobody accepts, and one that never answers.
pub(crate) fn backlog(change: Change) -> String {
    let mut wire = Wire::new(change);
    wire.listen(2);
    let mut text = String::new();
    for port in 4001..4006 {
        let mut peer = Peer::new(port);
        let said = wire.feed(&peer.syn());
        text += &brief(&said);
        if let Some(said) = said.first() {
            peer.hear_syn_ack(said);
            wire.feed(&peer.ack());
        }
    }
    let mut wire = Wire::new(change);
    wire.listen(2);
    Peer::new(4001).half_open(&mut wire);
    text + &brief(&wire.run_for(Duration::from_hours(1)))
}

/// Two SYNs for a SYN queue of one.
pub(crate) fn flooded(change: Change) -> String {
    let mut wire = Wire::new(change);
    wire.listen(1);
    [4001, 4002].map(|port| brief(&wire.feed(&Peer::new(port).syn()))).concat()
}

/// How many replies strangers get: datagrams and segments for closed ports come, and then again two seconds later.
pub(crate) fn strangers(change: Change) -> String {
    let mut wire = Wire::new(change);
    let mut text = String::new();
    for _ in 0..2 {
        for kind in [6, 17] {
            let mut count = 0;
            for n in 0..300_u16 {
                let segment = Peer { host: "192.0.2.1:81".parse().expect("an end"), ..Peer::new(4001 + n % 2) };
                let mut bytes = segment.syn().to_bytes();
                if kind == 17 {
                    // The header of a datagram of 24 bytes without a checksum.
                    bytes[9] = 17;
                    bytes[24..28].copy_from_slice(&[0, 24, 0, 0]);
                    bytes[14] = (n % 10) as u8;
                }
                let meta = tcplab::segment::PacketMeta { checksums_missing: true, ..Default::default() };
                let mut packet = tcplab::segment::Packet { bytes, meta };
                tcplab::segment::complete_checksums(&mut packet);
                wire.host.handle_packet(wire.now, &mut packet);
                while wire.host.poll_transmit(wire.now, &mut packet) {
                    count += 1;
                }
            }
            write!(text, "{count} ").expect("text");
        }
        wire.run_for(Duration::from_secs(2));
    }
    text
}

/// A connect that nobody answers.
pub(crate) fn connecting(change: Change) -> String {
    let mut wire = Wire::new(change);
    let fd = wire.host.socket(Domain::Inet, Type::Stream).expect("socket");
    let _ = wire.host.connect(fd, "192.0.2.2:80".parse().expect("an end"));
    brief(&wire.run_for(Duration::from_hours(1)))
}

/// Text, then a FIN, that nobody acknowledges.
pub(crate) fn alone(change: Change) -> String {
    let mut lab = Lab::with(&Offer::default(), change);
    lab.write(100);
    let mut text = format!("{:?}", lab.until(20_000_000));
    let mut lab = Lab::with(&Offer::default(), change);
    lab.close();
    write!(text, "{:?}", lab.until(20_000_000)).expect("text");
    text
}

/// FIN-WAIT-2, TIME-WAIT, and what is not read.
pub(crate) fn closing(change: Change) -> String {
    let mut lab = Lab::with(&Offer::default(), change);
    lab.close();
    lab.ack(2);
    lab.until(30_000);
    let mut text = format!("{:?}", lab.fin(1));
    let mut lab = Lab::with(&Offer::default(), change);
    lab.wire.host.shutdown(lab.fd, Shutdown::Write).expect("shutdown");
    lab.until(100);
    lab.ack(2);
    lab.data_with(1, 0, FIN_ACK);
    lab.until(30_000);
    write!(text, "{:?}", lab.info().state).expect("text");
    let mut lab = Lab::with(&Offer::default(), change);
    lab.data(1, 10);
    write!(text, "{:?}", lab.close()).expect("text");
    let mut lab = Lab::with(&Offer::default(), change);
    lab.data(1, 10);
    write!(text, "{:?}", lab.data_with(11, 0, FIN_ACK)).expect("text");
    text
}

/// RSTs in the window, 100 ms from each other.
pub(crate) fn challenged(change: Change) -> String {
    let mut lab = Lab::with(&Offer::default(), change);
    let mut text = String::new();
    for _ in 0..10 {
        let mut rst = lab.segment(1);
        (rst.flags, rst.seq) = (RST, rst.seq + 10);
        write!(text, "{:?}", lab.feed(&rst)).expect("text");
        lab.until(lab.ms() + 100);
    }
    text
}

/// A SYN in the window of a connection.
pub(crate) fn interrupted(change: Change) -> String {
    let mut lab = Lab::with(&Offer::default(), change);
    let mut syn = lab.segment(1);
    syn.flags = SYN;
    format!("{:?}{:?}", lab.feed(&syn), lab.info().state)
}

/// A segment with SYN and FIN for a port without a socket.
pub(crate) fn contradicted(change: Change) -> String {
    let mut lab = Lab::with(&Offer::default(), change);
    let mut segment = lab.segment(1);
    segment.flags = SYN | FIN;
    segment.dst.set_port(9);
    let mut packet = tcplab::segment::Packet::new(segment.to_bytes());
    lab.wire.host.handle_packet(Instant::from_millis(lab.ms()), &mut packet);
    let answers = lab.wire.host.poll_transmit(Instant::from_millis(lab.ms()), &mut packet);
    format!("{answers}")
}

/// A connect with ECN that nobody answers.
pub(crate) fn asking_for_ecn(change: Change) -> String {
    let mut wire = Wire::new(|config| {
        config.ecn = true;
        change(config);
    });
    let fd = wire.host.socket(Domain::Inet, Type::Stream).expect("socket");
    let _ = wire.host.connect(fd, "192.0.2.2:80".parse().expect("an end"));
    format!("{:?}", wire.run_for(Duration::from_secs(10)))
}

/// Text behind the window field, which a larger buffer would have room for.
pub(crate) fn beside_the_window(change: Change) -> String {
    let mut lab = Lab::with(&Offer::default(), |config| {
        (config.rcv_buf, config.window_scaling) = (Some(100_000), false);
        change(config);
    });
    let mut rst = lab.segment(1);
    (rst.flags, rst.seq) = (RST, rst.seq + 70_000);
    format!("{:?}", lab.feed(&rst))
}

/// Both sides end their direction at once.
pub(crate) fn crossing(change: Change) -> String {
    let mut lab = Lab::with(&Offer::default(), change);
    let mut text = format!("{:?}", lab.close());
    write!(text, "{:?}", lab.fin(1)).expect("text");
    text
}

/// In TIME-WAIT, a segment from before without ACK.
pub(crate) fn old_text(change: Change) -> String {
    let mut lab = Lab::with(&Offer::default(), change);
    lab.close();
    lab.ack(2);
    lab.fin(1);
    let mut old = lab.segment(2);
    (old.flags, old.seq) = (FIN, old.seq - 100);
    format!("{:?}{:?}", lab.feed(&old), lab.until(lab.ms() + 10))
}

/// Two small segments, one right after the other.
pub(crate) fn small_segments(change: Change) -> String {
    let mut lab = Lab::with(&Offer::default(), |config| {
        config.quick_acks = 0;
        change(config);
    });
    format!("{:?}{:?}", lab.data(1, 10), lab.data(11, 10))
}

/// A silent peer.
pub(crate) fn silence(change: Change) -> String {
    let mut lab = Lab::with(&Offer::default(), |config| {
        config.keep_alive = true;
        change(config);
    });
    format!("{:?}", lab.until(20_000_000))
}

/// A report of a smaller MTU; large segments that vanish.
pub(crate) fn large_segments(change: Change) -> String {
    let mut lab = Lab::with(&Offer { mss: 1460, ..Offer::default() }, change);
    lab.write(1460);
    let about = SegmentTemplate { seq: lab.syn_ack.seq + 1, ..SegmentTemplate::new(lab.peer.host, lab.peer.addr) };
    let mut bytes = vec![0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 9, 192, 0, 2, 1, 3, 4, 0, 0, 0, 0, 5, 20];
    bytes.extend_from_slice(&about.to_bytes()[..28]);
    let mut packet = tcplab::segment::Packet::new(bytes);
    packet.meta.sound = true;
    lab.wire.host.handle_packet(Instant::from_millis(100), &mut packet);
    let text = format!("{:?}", lab.until(150));
    text + &format!("{:?}", lab.until(100_000))
}
