//! What a link promises: times exact to the nanosecond, queues exact to the packet, draws that do not depend on its
//! neighbours, and no packet out of nothing or into nothing.

mod changes;
mod impairments;
mod spec;

use core::net::SocketAddr;
use std::cell::Cell;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;
use crate::segment::{IpView, PacketId, SegmentTemplate};

fn link(line: &str) -> Link {
    Link::new(&line.parse().expect(line), 7, "client>server")
}

fn packet(id: u64, len: usize) -> Packet {
    let mut packet = Packet::new(vec![0; len]);
    packet.meta.id = PacketId(id);
    packet
}

/// Sends as a cable would.
fn send(link: &mut Link, now: Instant, packet: Packet) -> Fate {
    let sequence = packet.meta.id.0 * 2;
    let decision = link.handle_packet(now, &packet);
    if decision.has_copy() {
        assert!(link.carry_copy(&decision, sequence + 1, packet.clone()).is_none());
    }
    let dropped = link.carry(&decision, sequence, packet).is_some();
    assert_eq!(dropped, matches!(decision.fate, Fate::Drop(_)));
    decision.fate
}

/// Everything that arrives, with its instant.
fn arrivals(link: &mut Link) -> Vec<(u64, u64)> {
    let next = |link: &mut Link| {
        let at = link.next_at()?;
        if at > Instant::EPOCH {
            let early = Instant::from_nanos(at.as_nanos() - 1);
            assert!(link.poll_packet(early).is_none(), "nothing arrives a nanosecond early");
        }
        link.poll_packet(at).map(|packet| (packet.meta.id.0, at.as_nanos()))
    };
    core::iter::from_fn(|| next(link)).collect()
}

fn nanos(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

#[test]
fn a_plain_cable_delivers_at_the_same_instant_and_in_order() {
    let mut link = link("");
    for id in 0..3 {
        assert_eq!(send(&mut link, nanos(5), packet(id, 1500)), Fate::Deliver(nanos(5)));
    }
    assert_eq!(arrivals(&mut link), [(0, 5), (1, 5), (2, 5)]);
}

#[test]
fn a_packet_arrives_after_its_transmission_and_the_delay() {
    let mut link = link("rate=10Mbit,delay=20ms");
    // 1500 bytes at 10 Mbit/s are 1.2 ms.
    assert_eq!(send(&mut link, nanos(0), packet(0, 1500)), Fate::Deliver(nanos(21_200_000)));
    assert_eq!(send(&mut link, nanos(0), packet(1, 40)), Fate::Deliver(nanos(21_232_000)));
    assert_eq!(send(&mut link, nanos(5_000_000), packet(2, 1500)), Fate::Deliver(nanos(26_200_000)));
}

#[test]
fn fractions_of_a_nanosecond_are_carried_through_a_busy_period() {
    let mut link = link("rate=7Mbit");
    // 12,000 bits at 7 Mbit/s are 1,714,285 and 5/7 ns: seven packets take 12 ms, not 7 ns more.
    let fates: Vec<_> = (0..7).map(|id| send(&mut link, nanos(0), packet(id, 1500))).collect();
    assert_eq!(fates[0], Fate::Deliver(nanos(1_714_286)));
    assert_eq!(fates[6], Fate::Deliver(nanos(12_000_000)));
    // Idle again at that very instant: the next one starts anew.
    assert_eq!(send(&mut link, nanos(12_000_000), packet(7, 1500)), Fate::Deliver(nanos(13_714_286)));
}

#[test]
fn a_limit_of_packets_counts_the_one_in_transmission() {
    let mut link = link("rate=12Mbit,limit=3,delay=1s");
    // 1500 bytes take 1 ms. Three fit, the fourth does not; after 1 ms one has left and one more fits.
    for id in 0..3 {
        assert!(matches!(send(&mut link, nanos(0), packet(id, 1500)), Fate::Deliver(_)));
    }
    let full = Fate::Drop(DropReason::QueueFull);
    assert_eq!(send(&mut link, nanos(0), packet(3, 1500)), full);
    assert_eq!(send(&mut link, nanos(999_999), packet(4, 1500)), full);
    assert_eq!(link.queued(nanos(999_999)), (3, 4500));
    assert_eq!(send(&mut link, nanos(1_000_000), packet(5, 1500)), Fate::Deliver(nanos(1_004_000_000)));
    assert_eq!(send(&mut link, nanos(1_000_000), packet(6, 1500)), full);
    assert_eq!(link.counters().dropped, 3);
}

#[test]
fn a_link_holds_no_more_than_its_capacity_in_its_queue_and_on_the_wire() {
    let full = Fate::Drop(DropReason::QueueFull);
    let mut packets = link("delay=1s");
    packets.set_capacity(3, usize::MAX);
    let fates: Vec<_> = (0..4).map(|id| send(&mut packets, nanos(0), packet(id, 100))).collect();
    assert_eq!(fates[..3], [Fate::Deliver(nanos(1_000_000_000)); 3]);
    assert_eq!((fates[3], packets.overflowed()), (full, 1));
    assert_eq!(arrivals(&mut packets).len(), 3);
    // There is room again.
    assert_eq!(send(&mut packets, nanos(1_000_000_000), packet(9, 100)), Fate::Deliver(nanos(2_000_000_000)));
    // A copy needs room too, and bytes count as they are in memory.
    let mut bytes = link("rate=8bit,duplicate=100%");
    bytes.set_capacity(usize::MAX, 2500);
    let fates: Vec<_> = (0..3).map(|id| send(&mut bytes, nanos(0), packet(id, 1000))).collect();
    assert!(matches!(fates[0], Fate::Duplicate(_)) && matches!(fates[1], Fate::Duplicate(_)), "{fates:?}");
    assert_eq!((fates[2], bytes.counters().in_flight), (full, 4));
    assert!(bytes.counters().conserved());
}

#[test]
fn a_limit_of_bytes_is_reached_exactly() {
    let mut link = link("rate=1Mbit,limit=2KiB");
    assert!(matches!(send(&mut link, nanos(0), packet(0, 2000)), Fate::Deliver(_)));
    assert_eq!(send(&mut link, nanos(0), packet(1, 49)), Fate::Drop(DropReason::QueueFull));
    assert!(matches!(send(&mut link, nanos(0), packet(2, 48)), Fate::Deliver(_)));
}

#[test]
fn without_a_rate_there_is_no_queue_to_fill() {
    let mut link = link("limit=1,delay=1s");
    assert!((0..100).all(|id| send(&mut link, nanos(0), packet(id, 1500)) == Fate::Deliver(nanos(1_000_000_000))));
    assert_eq!(link.queued(nanos(0)), (0, 0));
}

#[test]
fn a_packet_of_the_mtu_passes_and_one_byte_more_does_not() {
    let mut link = link("mtu=1400");
    assert_eq!(send(&mut link, nanos(0), packet(0, 1400)), Fate::Deliver(nanos(0)));
    assert_eq!(send(&mut link, nanos(0), packet(1, 1401)), Fate::Drop(DropReason::TooBig));
}

#[test]
fn loss_of_0_and_100_percent_are_certain_and_1_percent_is_about_that() {
    let lost = |line: &str| {
        let mut link = link(line);
        (0..10_000).filter(|id| send(&mut link, nanos(*id), packet(*id, 40)) == Fate::Drop(DropReason::Loss)).count()
    };
    assert_eq!(lost("loss=0%"), 0);
    assert_eq!(lost("loss=100%"), 10_000);
    assert!((60..140).contains(&lost("loss=1%")), "{}", lost("loss=1%"));
}

#[test]
fn nothing_gets_through_total_loss_not_even_a_copy() {
    let mut link = link("loss=100%,duplicate=100%,reorder=100%,corrupt=100%");
    for id in 0..100 {
        send(&mut link, nanos(0), packet(id, 40));
    }
    assert_eq!(link.counters(), Counters { sent: 100, dropped: 100, ..Counters::default() });
}

#[test]
fn a_lost_packet_takes_its_time_on_the_transmitter() {
    let mut link = link("rate=12Mbit");
    link.add_fault(
        |_: Instant, packet: &Packet| if packet.meta.id.0 == 0 { FaultAction::Drop } else { FaultAction::Pass },
    );
    assert_eq!(send(&mut link, nanos(0), packet(0, 1500)), Fate::Drop(DropReason::Fault));
    assert_eq!(send(&mut link, nanos(0), packet(1, 1500)), Fate::Deliver(nanos(2_000_000)));
}

#[test]
fn a_packet_held_back_is_overtaken_by_those_within_one_delay() {
    let mut link = link("delay=10ms");
    let hold_first = |_: Instant, packet: &Packet| match packet.meta.id.0 {
        0 => FaultAction::Delay(Duration::from_millis(10)),
        _ => FaultAction::Pass,
    };
    link.add_fault(hold_first);
    assert_eq!(send(&mut link, nanos(0), packet(0, 40)), Fate::Reorder(nanos(20_000_000)));
    send(&mut link, nanos(9_999_999), packet(1, 40));
    send(&mut link, nanos(10_000_000), packet(2, 40));
    // The last one ties; the smaller sequence number wins.
    assert_eq!(arrivals(&mut link), [(1, 19_999_999), (0, 20_000_000), (2, 20_000_000)]);
}

#[test]
fn reorder_skips_the_delay_or_adds_the_time_that_is_given() {
    let fate = |line: &str| send(&mut link(line), nanos(0), packet(0, 40));
    assert_eq!(fate("delay=10ms,reorder=100%"), Fate::Overtake(nanos(0)));
    assert_eq!(fate("rate=1Mbit,delay=10ms,reorder=100%"), Fate::Overtake(nanos(320_000)));
    assert_eq!(fate("delay=10ms,reorder=100%:3ms"), Fate::Reorder(nanos(13_000_000)));
    assert_eq!(fate("reorder=100%"), Fate::Reorder(nanos(1_000_000)));
}

#[test]
fn a_copy_follows_the_original_through_the_queue_and_keeps_its_number() {
    let mut link = link("rate=12Mbit,delay=1ms,duplicate=100%");
    assert_eq!(send(&mut link, nanos(0), packet(0, 1500)), Fate::Duplicate(nanos(2_000_000)));
    assert_eq!(arrivals(&mut link), [(0, 2_000_000), (0, 3_000_000)]);
    assert_eq!(link.counters(), Counters { sent: 1, duplicated: 1, delivered: 2, ..Counters::default() });
}

#[test]
fn a_full_queue_has_no_room_for_a_copy() {
    let mut link = link("rate=12Mbit,limit=1,duplicate=100%");
    assert_eq!(send(&mut link, nanos(0), packet(0, 1500)), Fate::Deliver(nanos(1_000_000)));
    assert_eq!(link.counters().duplicated, 0);
}

#[test]
fn every_fault_sees_every_packet_also_lost_ones() {
    let mut link = link("loss=100%");
    let seen = Rc::new(Cell::new(0));
    let count = Rc::clone(&seen);
    link.add_fault(|_: Instant, _: &Packet| FaultAction::Drop);
    link.add_fault(move |_: Instant, _: &Packet| {
        count.set(count.get() + 1);
        FaultAction::Pass
    });
    for id in 0..5 {
        assert_eq!(send(&mut link, nanos(0), packet(id, 40)), Fate::Drop(DropReason::Fault));
    }
    assert_eq!(seen.get(), 5);
}

#[test]
fn a_change_of_spec_is_for_packets_that_enter_later() {
    let mut link = link("rate=12Mbit,delay=1s");
    send(&mut link, nanos(0), packet(0, 1500));
    link.set_spec(&"rate=24Mbit".parse().expect("a spec"));
    assert_eq!(send(&mut link, nanos(0), packet(1, 1500)), Fate::Deliver(nanos(1_500_000)));
    assert_eq!(arrivals(&mut link), [(1, 1_500_000), (0, 1_001_000_000)]);
    link.set_spec(&"loss=100%".parse().expect("a spec"));
    assert_eq!(send(&mut link, nanos(0), packet(2, 1500)), Fate::Drop(DropReason::Loss));
}

/// For each of 2,000 packets whether the link dropped, copied and held it back, and which bit it flipped; the last three
/// only where they can be seen.
type Met = (bool, bool, bool, Option<(u32, u8)>);

fn met(line: &str) -> Vec<Met> {
    let mut link = link(line);
    let decide = |id| {
        let decision = link.handle_packet(nanos(id), &packet(id, 100));
        let late = decision.fate.arrival().is_some_and(|at| at != nanos(id));
        let flip = if let Fate::Corrupt(flip) = decision.fate { Some((flip.byte, flip.bit)) } else { None };
        (matches!(decision.fate, Fate::Drop(_)), decision.has_copy(), late, flip)
    };
    (0..2_000).map(decide).collect()
}

#[test]
fn a_change_of_one_impairment_changes_no_draw_of_another() {
    let quiet = met("duplicate=10%,reorder=10%,corrupt=10%");
    let lossy = met("loss=30%,duplicate=10%,reorder=10%,corrupt=10%");
    assert!(quiet.iter().all(|(dropped, ..)| !dropped));
    assert!(lossy.iter().filter(|(dropped, ..)| *dropped).count() > 400);
    for (quiet, lossy) in quiet.iter().zip(&lossy) {
        assert!(lossy.0 || quiet == lossy, "a packet that came through met the same draws");
    }
    let copied = |lines: &[Met]| lines.iter().map(|line| line.1).collect::<Vec<_>>();
    assert_eq!(copied(&quiet), copied(&met("duplicate=10%")));
    assert_eq!(copied(&quiet), copied(&met("duplicate=10%,reorder=50%,corrupt=50%")));
}

#[test]
fn links_of_other_names_and_seeds_draw_otherwise() {
    let losses = |seed, name: &str| {
        let mut link = Link::new(&"loss=50%".parse().expect("a spec"), seed, name);
        (0..64).map(|id| matches!(send(&mut link, nanos(0), packet(id, 40)), Fate::Drop(_))).collect::<Vec<_>>()
    };
    assert_eq!(losses(7, "a>b"), losses(7, "a>b"));
    assert_ne!(losses(7, "a>b"), losses(7, "b>a"));
    assert_ne!(losses(7, "a>b"), losses(8, "a>b"));
}

#[test]
fn every_flipped_bit_is_caught_by_length_or_checksum_over_ipv4() {
    let [src, dst]: [SocketAddr; 2] = ["192.0.2.1:80", "192.0.2.2:4000"].map(|addr| addr.parse().expect("an address"));
    let original = Packet::new(SegmentTemplate { payload: &[0x5a; 300], ..SegmentTemplate::new(src, dst) }.to_bytes());
    let mut link = link("corrupt=100%");
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..2_000 {
        assert!(matches!(send(&mut link, nanos(0), original.clone()), Fate::Corrupt(_)));
        let harmed = link.poll_packet(nanos(0)).expect("it arrives");
        let differs = original.bytes.iter().zip(&harmed.bytes).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>();
        assert_eq!(differs, 1, "exactly one bit");
        places.insert(original.bytes.iter().zip(&harmed.bytes).position(|(a, b)| a != b).expect("one byte differs"));
        assert!(!IpView::parse(&harmed.bytes).is_ok_and(|ip| ip.checksums_ok()));
    }
    assert!(places.first() < Some(&20) && places.last() > Some(&300), "header and payload are both hit: {places:?}");
}

fn any_percent() -> impl Strategy<Value = Percent> {
    prop_oneof![Just(0.0), Just(100.0), 0.0..100.0].prop_map(|p| Percent::new(p).expect("in range"))
}

fn any_loss() -> impl Strategy<Value = Loss> {
    let model = (any_percent(), any_percent(), any_percent(), any_percent())
        .prop_map(|(p, r, bad_loss, good_loss)| GilbertElliott { p, r, bad_loss, good_loss });
    prop_oneof![any_percent().prop_map(Loss::Bernoulli), model.prop_map(Loss::GilbertElliott)]
}

fn any_jitter() -> impl Strategy<Value = Jitter> {
    let distribution = prop::sample::select(&[Distribution::Uniform, Distribution::Normal, Distribution::Pareto][..]);
    (0_u64..20_000_000, distribution)
        .prop_map(|(nanos, distribution)| Jitter { deviation: Duration::from_nanos(nanos), distribution })
}

fn any_script() -> impl Strategy<Value = Script> {
    let kind = prop::sample::select(
        &[PacketKind::Packet, PacketKind::Syn, PacketKind::Data, PacketKind::Ack, PacketKind::Udp][..],
    );
    let ranges = prop::collection::vec((1_u64..50, 0_u64..5).prop_map(|(first, more)| (first, first + more)), 0..3);
    (kind, ranges, prop::option::of(0_u64..30_000_000)).prop_map(|(what, which, hold)| Script {
        what,
        which,
        hold: hold.map(Duration::from_nanos),
    })
}

fn any_outage() -> impl Strategy<Value = Outage> {
    let nanos = Duration::from_nanos;
    (0_u64..30_000_000, 1_u64..10_000_000)
        .prop_map(move |(from, lasts)| Outage { from: nanos(from), until: nanos(from + lasts) })
}

fn any_spec() -> impl Strategy<Value = LinkSpec> {
    let limit = prop_oneof![(1_u64..20).prop_map(Limit::Packets), (1_u64..20_000).prop_map(Limit::Bytes)];
    let impairments = (any_loss(), any_percent(), any_percent(), any_percent());
    let times = (0_u64..50_000_000, prop::option::of(0_u64..5_000_000), prop::option::of(any_jitter()));
    let sizes = (prop::option::of(1_000_u64..1_000_000_000), prop::option::of(limit), prop::option::of(68_u16..2000));
    let scripts = (prop::collection::vec(any_outage(), 0..3), prop::collection::vec(any_script(), 0..3));
    (impairments, times, sizes, scripts).prop_map(
        |((loss, reorder, duplicate, corrupt), (delay, hold, jitter), (rate, limit, mtu), (down, scripts))| LinkSpec {
            rate: rate.and_then(Rate::from_bits_per_second),
            trace: None,
            delay: Duration::from_nanos(delay),
            jitter,
            loss,
            reorder,
            hold: hold.map(Duration::from_nanos),
            duplicate,
            corrupt,
            limit,
            mtu,
            down,
            scripts,
        },
    )
}

proptest! {
    #[test]
    fn packets_are_conserved_and_arrive_when_their_fate_said(
        spec in any_spec(),
        seed: u64,
        packets in prop::collection::vec((0_u64..3_000_000, 20_usize..1600, any::<bool>()), 1..200),
    ) {
        let mut link = Link::new(&spec, seed, "a>b");
        let (mut now, mut arrived) = (Instant::EPOCH, 0);
        let mut promised = Vec::new();
        let mut told = Vec::new();
        for (id, (gap, len, poll)) in packets.into_iter().enumerate() {
            now += Duration::from_nanos(gap);
            let fate = send(&mut link, now, packet(id as u64, len));
            if let Some(at) = fate.arrival() {
                prop_assert!(at >= now);
                let early = matches!(fate, Fate::Overtake(_) | Fate::Corrupt(_) | Fate::Duplicate(_));
                prop_assert!(early || spec.jitter.is_some() || at >= now + spec.delay);
                promised.push((id as u64, at.as_nanos()));
            }
            prop_assert!(link.counters().conserved(), "{}", link.counters());
            while poll && link.next_at().is_some_and(|at| at <= now) {
                let at = link.next_at().expect("just seen").as_nanos();
                told.push((link.poll_packet(now).expect("it has arrived").meta.id.0, at));
                arrived += 1;
                prop_assert!(link.counters().conserved(), "{}", link.counters());
            }
            prop_assert_eq!(link.counters().delivered, arrived);
        }
        told.extend(arrivals(&mut link));
        let times: Vec<_> = told.iter().map(|(_, at)| *at).collect();
        prop_assert!(promised.iter().all(|promise| told.contains(promise)));
        prop_assert!(times.is_sorted(), "in order of arrival");
        let counters = link.counters();
        prop_assert!(counters.conserved() && counters.in_flight == 0);
        prop_assert_eq!(told.len() as u64, promised.len() as u64 + counters.duplicated);
    }

    #[test]
    fn packets_back_to_back_take_the_exact_time_of_their_bits(
        bits in 1_u64..100_000_000_000,
        lens in prop::collection::vec(20_usize..1600, 1..50),
    ) {
        let spec = LinkSpec { rate: Rate::from_bits_per_second(bits), ..LinkSpec::default() };
        let mut link = Link::new(&spec, 0, "a>b");
        let mut total = 0_u128;
        for (id, len) in lens.into_iter().enumerate() {
            total += len as u128 * 8 * 1_000_000_000;
            let exact = total.div_ceil(u128::from(bits)) as u64;
            prop_assert_eq!(send(&mut link, Instant::EPOCH, packet(id as u64, len)), Fate::Deliver(nanos(exact)));
        }
    }

    #[test]
    fn a_spec_reads_back_from_its_own_line(spec in any_spec()) {
        let line = spec.to_string();
        prop_assert_eq!(line.parse::<LinkSpec>(), Ok(spec), "{}", line);
    }
}
