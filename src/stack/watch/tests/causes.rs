//! What the mirror says about single segments: why they left, what they did on arrival.

use core::net::{Ipv4Addr, SocketAddr};

use smoltcp::socket::tcp::{CongestionControl, State};

use super::super::{Arrival, Departure, Phase, Seq, Snapshot, Watch};
use crate::rng::Rng;
use crate::segment::{Flags, Options, Segment};
use crate::time::{Duration, Instant};

const ISS: u32 = 0xffff_fff0;
const IRS: u32 = 5_000;
static DATA: [u8; 4_096] = [0; 4_096];

fn segment(seq: u32, ack: u32, flags: Flags, len: usize) -> Segment<'static> {
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 7);
    Segment {
        src: address,
        dst: address,
        seq: Seq(seq),
        ack: Seq(ack),
        flags,
        window: 10_000,
        options: Options::default(),
        payload: &DATA[..len],
        ttl: 64,
        ecn: 0,
    }
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn snapshot(state: State, send_queue: usize) -> Snapshot {
    Snapshot { state, send_queue, recv_queue: 0 }
}

/// A client whose handshake took 100 ms, and the relative sequence numbers 1.. of its data.
struct Client {
    watch: Watch,
    queue: usize,
}

impl Client {
    fn new(control: CongestionControl) -> Self {
        let mut watch = Watch::new(control);
        let sent = snapshot(State::SynSent, 0);
        let mut syn_ack = segment(IRS, ISS.wrapping_add(1), Flags::SYN | Flags::ACK, 0);
        syn_ack.options.mss = Some(1_000);
        assert_eq!(watch.on_egress(at(0), Some(&segment(ISS, 0, Flags::SYN, 0)), sent), Some(Departure::New));
        let arrival = watch.on_ingress(at(100), &syn_ack, sent, snapshot(State::Established, 0));
        assert_eq!(arrival, Arrival::Advance { octets: 0 });
        Self { watch, queue: 0 }
    }

    fn send(&mut self, millis: u64, seq: u32, len: usize) -> Option<Departure> {
        let segment = segment(ISS.wrapping_add(seq), IRS + 1, Flags::ACK, len);
        self.watch.on_egress(at(millis), Some(&segment), snapshot(State::Established, self.queue))
    }

    fn ack(&mut self, millis: u64, ack: u32, window: u16) -> Arrival {
        let before = snapshot(State::Established, self.queue);
        let acked = (ISS.wrapping_add(ack)).wrapping_sub(self.watch.snd_una().0) as usize;
        self.queue -= acked.min(self.queue);
        let mut segment = segment(IRS + 1, ISS.wrapping_add(ack), Flags::ACK, 0);
        segment.window = window;
        self.watch.on_ingress(at(millis), &segment, before, snapshot(State::Established, self.queue))
    }
}

#[test]
fn the_handshake_is_the_first_measurement() {
    let client = Client::new(CongestionControl::Reno);
    assert_eq!(client.watch.srtt(), Some(Duration::from_millis(100)));
    assert_eq!(client.watch.rttvar(), Some(Duration::from_millis(50)));
    assert_eq!(client.watch.rto(), Duration::from_secs(1));
    assert_eq!((client.watch.cwnd(), client.watch.ssthresh(), client.watch.peer_mss()), (2_048, usize::MAX, 1_000));
    assert_eq!((client.watch.flight_size(), client.watch.retransmit_at()), (0, None));
    assert_eq!((client.watch.rcv_nxt(), client.watch.phase()), (Seq(IRS + 1), Phase::Open));
}

#[test]
fn the_third_duplicate_ack_causes_a_fast_retransmission() {
    let mut client = Client::new(CongestionControl::Reno);
    client.queue = 4_000;
    // A change of the window is not a duplicate ACK: fix it first.
    assert_eq!(client.ack(100, 1, 10_000), Arrival::Accepted);
    for seq in [1, 1_001, 2_001, 3_001] {
        assert_eq!(client.send(200, seq, 1_000), Some(Departure::New));
    }
    for nth in 1..=3 {
        assert_eq!(client.watch.phase(), Phase::Open);
        assert_eq!(client.ack(300, 1, 10_000), Arrival::Duplicate { nth });
    }
    assert_eq!(client.send(300, 1, 1_000), Some(Departure::FastRetransmit));
    assert_eq!((client.watch.phase(), client.watch.cwnd(), client.watch.ssthresh()), (Phase::Recovery, 5_000, 2_000));
    assert_eq!(client.watch.snd_nxt(), client.watch.snd_una() + 4_000);
    assert_eq!(client.ack(400, 4_001, 10_000), Arrival::Advance { octets: 4_000 });
    assert_eq!((client.watch.phase(), client.watch.cwnd(), client.watch.dup_acks()), (Phase::Open, 2_000, 0));
    assert_eq!(client.watch.total_retransmissions(), 1);
}

#[test]
fn a_timeout_names_its_number_and_the_rto_and_what_follows_is_go_back_n() {
    let mut client = Client::new(CongestionControl::Reno);
    client.queue = 2_000;
    client.send(200, 1, 1_000);
    client.send(200, 1_001, 1_000);
    assert_eq!(client.watch.retransmit_at(), Some(at(1_200)));
    let before = snapshot(State::Established, 2_000);
    assert_eq!(client.watch.on_egress(Instant::from_micros(1_199_999), None, before), None);
    assert_eq!(client.watch.timeouts(), 0);
    let rto = Duration::from_secs(1);
    assert_eq!(client.send(1_200, 1, 1_000), Some(Departure::Timeout { nth: 1, rto }));
    assert_eq!((client.watch.phase(), client.watch.cwnd(), client.watch.flight_size()), (Phase::Loss, 1_000, 1_000));
    // The timer can also run out in an egress that yields nothing.
    assert_eq!(client.watch.on_egress(at(3_200), None, before), None);
    assert_eq!((client.watch.timeouts(), client.watch.rto()), (2, Duration::from_secs(4)));
    let rto = Duration::from_secs(2);
    assert_eq!(client.send(3_201, 1, 1_000), Some(Departure::Timeout { nth: 2, rto }));
    assert_eq!(client.send(3_201, 1_001, 1_000), Some(Departure::GoBackN));
    assert_eq!(client.watch.total_retransmissions(), 3);
    assert_eq!(client.ack(3_300, 2_001, 10_000), Arrival::Advance { octets: 2_000 });
    assert_eq!((client.watch.timeouts(), client.watch.phase()), (0, Phase::Open));
    client.queue = 500;
    assert_eq!(client.send(3_400, 2_001, 500), Some(Departure::New));
}

#[test]
fn a_bare_ack_moves_nothing_whatever_sequence_number_the_stack_gave_it() {
    let mut client = Client::new(CongestionControl::Reno);
    client.queue = 2_000;
    client.send(200, 1, 1_000);
    client.send(200, 1_001, 1_000);
    client.send(1_200, 1, 1_000);
    assert_eq!(client.watch.flight_size(), 1_000, "go-back-N: the second segment is not in flight for smoltcp");
    assert_eq!(client.send(1_210, 2_001, 0), Some(Departure::Control));
    assert_eq!(client.watch.flight_size(), 1_000);
}

#[test]
fn a_closed_window_is_probed_and_probes_are_not_retransmissions() {
    let mut client = Client::new(CongestionControl::None);
    client.queue = 1_000;
    client.ack(150, 1, 0);
    assert_eq!(client.watch.probe_at(), Some(at(1_150)));
    assert_eq!(client.send(1_150, 1, 1), Some(Departure::WindowProbe { nth: 1 }));
    assert_eq!(client.send(3_150, 1, 1), Some(Departure::WindowProbe { nth: 2 }));
    assert_eq!((client.watch.probe_at(), client.watch.probes()), (Some(at(7_150)), 2));
    assert_eq!((client.watch.flight_size(), client.watch.total_retransmissions()), (0, 0));
    client.ack(3_200, 1, 5_000);
    assert_eq!((client.watch.probe_at(), client.watch.probes(), client.watch.snd_wnd()), (None, 0, 5_000));
}

#[test]
fn data_written_into_a_closed_window_is_probed_at_once() {
    let mut client = Client::new(CongestionControl::None);
    client.ack(150, 1, 0);
    client.queue = 10;
    assert_eq!(client.send(5_000, 1, 1), Some(Departure::WindowProbe { nth: 1 }));
    assert_eq!(client.watch.probe_at(), Some(at(7_000)));
}

#[test]
fn a_keep_alive_is_told_from_a_retransmission_of_one_octet() {
    let mut client = Client::new(CongestionControl::Cubic);
    assert_eq!(client.send(500, 0, 1), Some(Departure::KeepAlive));
    assert_eq!((client.watch.flight_size(), client.watch.retransmit_at()), (0, None));
    client.queue = 1;
    client.ack(600, 1, 10_000);
    client.send(700, 1, 1);
    for _ in 0..3 {
        client.ack(800, 1, 10_000);
    }
    assert_eq!(client.send(800, 1, 1), Some(Departure::FastRetransmit));
}

#[test]
fn acknowledgments_of_what_was_not_written_and_segments_outside_the_window_change_nothing() {
    let mut client = Client::new(CongestionControl::Reno);
    client.queue = 1_000;
    client.send(200, 1, 1_000);
    let text = format!("{:?}", client.watch);
    let before = snapshot(State::Established, 1_000);
    for (seq, ack) in [(IRS + 1, 1_002), (IRS + 1, 0), (IRS, 1_001), (IRS + 10_001, 1_001)] {
        let segment = segment(seq, ISS.wrapping_add(ack), Flags::ACK, 0);
        assert_eq!(client.watch.on_ingress(at(300), &segment, before, before), Arrival::Ignored);
    }
    assert_eq!(format!("{:?}", client.watch), text);
    assert_eq!(client.ack(300, 1_001, 10_000), Arrival::Advance { octets: 1_000 });
}

#[test]
fn after_a_reset_nothing_is_expected_any_more() {
    let mut client = Client::new(CongestionControl::Reno);
    client.queue = 1_000;
    client.send(200, 1, 1_000);
    let rst = segment(IRS + 1, 0, Flags::RST, 0);
    let (before, after) = (snapshot(State::Established, 1_000), snapshot(State::Closed, 1_000));
    assert_eq!(client.watch.on_ingress(at(300), &rst, before, after), Arrival::Reset);
    assert_eq!(client.watch.on_egress(at(5_000), None, after), None);
    assert_eq!(client.watch.timeouts(), 0);
}

#[test]
fn nothing_that_is_reported_makes_the_mirror_panic() {
    const STATES: [State; 11] = [
        State::Closed,
        State::Listen,
        State::SynSent,
        State::SynReceived,
        State::Established,
        State::FinWait1,
        State::FinWait2,
        State::CloseWait,
        State::Closing,
        State::LastAck,
        State::TimeWait,
    ];
    let mut luck = Rng::new(7, "nonsense");
    for control in super::CONTROLS {
        let mut watch = Watch::new(control);
        for _ in 0..200_000 {
            let near = |luck: &mut Rng| if luck.chance(0.1) { luck.next_u32() } else { luck.below(5_000) as u32 };
            let (seq, ack) = (near(&mut luck), near(&mut luck));
            let mut segment = segment(seq, ack, Flags(luck.next_u32() as u8 & 0x17), luck.below(4_096) as usize);
            segment.window = luck.next_u32() as u16;
            segment.options.mss = Some(luck.next_u32() as u16).filter(|mss| mss % 3 != 0);
            segment.options.wscale = Some(luck.next_u32() as u8).filter(|shift| shift % 3 != 0);
            let now = Instant::from_nanos(if luck.chance(0.01) { luck.next_u64() } else { luck.below(1 << 40) });
            let mut any = || Snapshot {
                state: STATES[luck.below(11) as usize],
                send_queue: luck.below(5_000) as usize,
                recv_queue: luck.next_u32() as usize,
            };
            let (before, after) = (any(), any());
            match luck.below(4) {
                0 => watch.on_reply(&segment),
                1 => drop(watch.on_egress(now, Some(&segment).filter(|_| seq % 4 != 0), before)),
                2 => watch.flags.gone = false,
                _ => drop(watch.on_ingress(now, &segment, before, after)),
            }
        }
    }
}
