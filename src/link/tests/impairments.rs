//! What chance and script do, against the closed forms of the models.

use super::{link, nanos, packet, send};
use crate::event::{ChannelState, DropReason, Fate};
use crate::link::{Link, Loss};
use crate::segment::{Flags, Packet, SegmentTemplate, udp_packet};

/// The fate of each of so many packets, one a microsecond.
fn fates(link: &mut Link, packets: u64) -> Vec<Fate> {
    (0..packets).map(|id| send(link, nanos(id * 1_000), packet(id, 100))).collect()
}

/// Lengths of the runs of losses.
fn bursts(fates: &[Fate]) -> Vec<usize> {
    let lost: Vec<_> = fates.iter().map(|fate| matches!(fate, Fate::Drop(_))).collect();
    lost.split(|lost| !lost).map(<[bool]>::len).filter(|len| *len > 0).collect()
}

#[test]
fn the_bursts_of_gilbert_elliott_have_the_length_and_the_rate_of_their_parameters() {
    const PACKETS: u64 = 400_000;
    for (line, rate, burst) in [
        // The simple Gilbert model: bad is lost. The mean stay in it is 1 / r.
        ("loss=gemodel:1%:10%", 0.01 / 0.11, 10.0),
        ("loss=gemodel:0.5%:50%", 0.005 / 0.505, 2.0),
        ("loss=gemodel:2%:5%", 0.02 / 0.07, 20.0),
        // Without memory: as Bernoulli, where the mean run is 1 / (1 - p).
        ("loss=gemodel:5%", 0.05, 1.0 / 0.95),
    ] {
        let fates = fates(&mut link(line), PACKETS);
        let bursts = bursts(&fates);
        let lost = bursts.iter().sum::<usize>() as f64;
        let (measured, mean) = (lost / PACKETS as f64, lost / bursts.len() as f64);
        assert!((measured / rate - 1.0).abs() < 0.06, "{line}: rate {measured}, expected {rate}");
        assert!((mean / burst - 1.0).abs() < 0.05, "{line}: burst {mean}, expected {burst}");
        let spec = link(line).spec().loss.rate();
        assert!((spec - rate).abs() < 1e-12, "{line}: {spec}");
    }
}

#[test]
fn each_state_of_the_channel_has_its_own_loss_and_says_so() {
    const PACKETS: u64 = 400_000;
    let fates = fates(&mut link("loss=gemodel:2%:18%:50%:1%"), PACKETS);
    let count = |state| fates.iter().filter(|fate| **fate == Fate::Drop(DropReason::BurstLoss(state))).count() as f64;
    let near = |measured: f64, expected: f64| (measured / expected - 1.0).abs() < 0.05;
    // Bad for a tenth of the packets.
    assert!(near(count(ChannelState::Bad), 0.1 * 0.5 * PACKETS as f64), "{}", count(ChannelState::Bad));
    assert!(near(count(ChannelState::Good), 0.9 * 0.01 * PACKETS as f64), "{}", count(ChannelState::Good));
}

#[test]
fn a_channel_begins_good_and_one_that_never_changes_stays_so() {
    assert!(fates(&mut link("loss=gemodel:0%:100%:100%:0%"), 1_000).iter().all(|fate| fate.arrival().is_some()));
    let rate = link("loss=gemodel:0%:0%:100%:3%").spec().loss.rate();
    assert!((rate - 0.03).abs() < 1e-12 && Loss::NONE.rate() == 0.0, "{rate}");
    let fates = fates(&mut link("loss=gemodel:100%:0%"), 10);
    assert!(fates[0].arrival().is_some() && fates[1..].iter().all(|fate| fate.arrival().is_none()), "{fates:?}");
}

/// Delays in nanoseconds of packets so far apart that none can meet another.
fn delays(line: &str) -> Vec<f64> {
    let mut link = link(line);
    let delay = |id| {
        let now = nanos(id * 10_000_000_000);
        let arrival = send(&mut link, now, packet(id, 100)).arrival().expect("nothing is lost");
        (arrival - now).as_nanos() as f64
    };
    (0..50_000).map(delay).collect()
}

fn moments(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, (values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / values.len() as f64).sqrt())
}

#[test]
fn jitter_has_the_mean_and_the_spread_of_its_distribution() {
    let within = |values: &[f64], from: f64, to: f64| {
        values.iter().filter(|value| (from * 1e6..to * 1e6).contains(*value)).count() as f64 / values.len() as f64
    };
    let near = |measured: f64, expected: f64| (measured - expected).abs() < 0.01;
    let uniform = delays("delay=50ms,jitter=10ms");
    let (mean, spread) = moments(&uniform);
    assert!(near(mean / 50e6, 1.0) && near(spread / (10e6 / 3_f64.sqrt()), 1.0), "{mean} {spread}");
    assert!(near(within(&uniform, 40.0, 60.0), 1.0) && near(within(&uniform, 40.0, 45.0), 0.25));

    let normal = delays("delay=50ms,jitter=10ms:normal");
    let (mean, spread) = moments(&normal);
    assert!(near(mean / 50e6, 1.0) && near(spread / 10e6, 1.0), "{mean} {spread}");
    assert!(near(within(&normal, 40.0, 60.0), 0.6827) && near(within(&normal, 30.0, 70.0), 0.9545));

    let pareto = delays("delay=50ms,jitter=10ms:pareto");
    let (mean, _) = moments(&pareto);
    // Shape 3 and smallest value 1, with mean 3/2 and standard deviation sqrt(3)/2 moved to 50 ms and 10 ms.
    let at = |x: f64| 50.0 + 10.0 * (x - 1.5) / (0.75_f64.sqrt());
    assert!(near(mean / 50e6, 1.0), "{mean}");
    assert!(
        near(within(&pareto, at(1.0) - 0.001, at(2.0)), 1.0 - 0.125) && near(within(&pareto, at(4.0), 1e9), 1.0 / 64.0)
    );
    assert!(pareto.iter().all(|delay| *delay >= at(1.0) * 1e6 - 1.0));
}

#[test]
fn jitter_is_never_below_zero_and_never_reorders() {
    for line in ["jitter=10ms", "delay=1ms,jitter=10ms:normal", "delay=9ms,jitter=10ms:pareto,duplicate=20%,loss=5%"] {
        let mut link = link(line);
        let fates = fates(&mut link, 5_000);
        let arrivals: Vec<_> = fates.iter().filter_map(|fate| fate.arrival()).collect();
        assert!(arrivals.is_sorted(), "{line}");
        let ids: Vec<_> = super::arrivals(&mut link).into_iter().map(|(id, _)| id).collect();
        assert!(ids.is_sorted(), "{line}: the order is kept on the wire too");
        assert!(fates.iter().zip(0..).all(|(fate, id)| fate.arrival().is_none_or(|at| at >= nanos(id * 1_000))));
        assert!(arrivals.windows(2).any(|pair| pair[0] == pair[1]), "{line}: some would have overtaken");
    }
}

#[test]
fn loss_and_its_model_change_no_jitter_and_jitter_changes_no_loss() {
    let seen = |line: &str| -> Vec<_> { delays_or_loss(&mut link(line)) };
    let quiet = seen("delay=20ms,jitter=5ms:normal");
    assert!(quiet.iter().all(Option::is_some));
    for loss in ["loss=20%", "loss=gemodel:5%:20%", "corrupt=50%,reorder=0%"] {
        let lossy = seen(&format!("delay=20ms,jitter=5ms:normal,{loss}"));
        assert!(lossy.iter().zip(&quiet).all(|(lossy, quiet)| lossy.is_none() || lossy == quiet), "{loss}");
        let fixed = seen(&format!("delay=20ms,{loss}"));
        let lost = |all: &[Option<u128>]| all.iter().map(Option::is_none).collect::<Vec<_>>();
        assert_eq!(lost(&fixed), lost(&lossy), "{loss}");
    }
}

/// For each of 2,000 packets a second apart its delay, or that it was lost.
fn delays_or_loss(link: &mut Link) -> Vec<Option<u128>> {
    let delay = |id| {
        let now = nanos(id * 1_000_000_000);
        send(link, now, packet(id, 100)).arrival().map(|at| (at - now).as_nanos())
    };
    (0..2_000).map(delay).collect()
}

#[test]
fn a_packet_chosen_for_reorder_overtakes_those_on_the_wire() {
    let mut link = link("delay=1ms,reorder=10%");
    let fates = fates(&mut link, 1_000);
    let ahead = fates.iter().filter(|fate| matches!(fate, Fate::Overtake(_))).count();
    assert!((60..140).contains(&ahead), "{ahead}");
    let order: Vec<_> = super::arrivals(&mut link).into_iter().map(|(id, _)| id).collect();
    assert!(!order.is_sorted() && order.len() == 1_000);
    let others: Vec<_> = order.into_iter().filter(|id| matches!(fates[*id as usize], Fate::Deliver(_))).collect();
    assert!(others.is_sorted(), "the others keep their order");
}

#[test]
fn a_link_is_down_from_the_first_instant_to_the_last_and_says_until_when() {
    let mut link = link("delay=10ms,down=1s..2s,down=1500ms..2500ms,down=4s..5s");
    let down = |until| Fate::Drop(DropReason::LinkDown { until: Some(std::time::Duration::from_millis(until)) });
    let mut at = |nanos| send(&mut link, super::nanos(nanos), packet(nanos, 40));
    // What is on the wire when the link goes down arrives.
    assert_eq!(at(999_999_999), Fate::Deliver(nanos(1_009_999_999)));
    assert_eq!(at(1_000_000_000), down(2_000));
    assert_eq!(at(1_500_000_000), down(2_500));
    assert_eq!(at(2_499_999_999), down(2_500));
    assert_eq!(at(2_500_000_000), Fate::Deliver(nanos(2_510_000_000)));
    assert_eq!(at(4_000_000_000), down(5_000));
    assert_eq!(at(5_000_000_000), Fate::Deliver(nanos(5_010_000_000)));
}

#[test]
fn what_waits_in_the_queue_when_a_link_goes_down_is_lost_if_its_turn_comes_before_it_is_up() {
    // 1500 bytes take 1 ms.
    let mut link = link("rate=12Mbit,down=2ms..4ms");
    let fates: Vec<_> = (0..5).map(|id| send(&mut link, nanos(0), packet(id, 1500))).collect();
    let until = Some(std::time::Duration::from_millis(4));
    let lost = Fate::Drop(DropReason::LinkDown { until });
    assert_eq!(
        fates,
        [Fate::Deliver(nanos(1_000_000)), lost, lost, Fate::Deliver(nanos(4_000_000)), Fate::Deliver(nanos(5_000_000))]
    );
}

#[test]
fn the_times_when_a_link_is_down_count_from_its_beginning() {
    let mut link = link("down=1s..2s");
    link.set_beginning(nanos(7_000_000_000));
    assert!(send(&mut link, nanos(7_999_999_999), packet(0, 40)).arrival().is_some());
    assert!(send(&mut link, nanos(8_000_000_000), packet(1, 40)).arrival().is_none());
    assert!(send(&mut link, nanos(9_000_000_000), packet(2, 40)).arrival().is_some());
}

/// A handshake, data, a close, and what is no TCP: one packet of each kind, named.
fn kinds() -> Vec<(&'static str, Packet)> {
    let [src, dst] = ["192.0.2.1:80", "192.0.2.2:4000"].map(|addr| addr.parse().expect("an address"));
    let segment =
        |flags, payload| Packet::new(SegmentTemplate { flags, payload, ..SegmentTemplate::new(src, dst) }.to_bytes());
    let mut udp = Packet::default();
    udp_packet(src, dst, 64, b"?", &mut udp.bytes);
    let mut icmp = udp.clone();
    icmp.bytes[9] = 1;
    vec![
        ("syn", segment(Flags::SYN, &[])),
        ("synack", segment(Flags::SYN | Flags::ACK, &[])),
        ("ack", segment(Flags::ACK, &[])),
        ("data", segment(Flags::ACK | Flags::PSH, &[1; 9])),
        ("fin", segment(Flags::FIN | Flags::ACK, &[])),
        ("rst", segment(Flags::RST | Flags::ACK, &[])),
        ("udp", udp),
        ("icmp", icmp),
    ]
}

#[test]
fn each_kind_of_packet_is_told_from_the_others() {
    for (name, _) in kinds() {
        let mut link = link(&format!("drop={name}"));
        let lost: Vec<_> = kinds()
            .into_iter()
            .filter(|(_, packet)| send(&mut link, nanos(0), packet.clone()) == Fate::Drop(DropReason::Fault))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(lost, [name]);
    }
    let mut link = link("drop=packet");
    assert!(kinds().into_iter().all(|(_, packet)| send(&mut link, nanos(0), packet).arrival().is_none()));
}

#[test]
fn scripts_count_the_packets_of_their_kind_from_one() {
    let mut link = link("drop=data:2+4-5,drop=packet:1");
    let kinds = kinds();
    let ack = &kinds[2].1;
    let data = &kinds[3].1;
    let mut lost = |packet: &Packet| send(&mut link, nanos(0), packet.clone()).arrival().is_none();
    assert!(lost(ack) && !lost(ack), "packet 1 only");
    assert_eq!([0; 7].map(|_| lost(data)), [false, true, false, true, true, false, false]);
    link.set_spec(&"drop=data:2".parse().expect("a spec"));
    let mut lost = |packet: &Packet| send(&mut link, nanos(0), packet.clone()).arrival().is_none();
    assert_eq!([0; 3].map(|_| lost(data)), [false, true, false], "another line counts anew");
}

#[test]
fn a_packet_held_back_by_script_is_late_and_those_behind_it_are_not() {
    let mut link = link("delay=1ms,jitter=0ms,hold=packet:2:300ms,hold=packet:2+3:5ms,drop=packet:3");
    let fates: Vec<_> = (0..4).map(|id| send(&mut link, nanos(id), packet(id, 40))).collect();
    assert_eq!(
        fates,
        [
            Fate::Deliver(nanos(1_000_000)),
            Fate::Reorder(nanos(306_000_001)),
            Fate::Drop(DropReason::Fault),
            Fate::Deliver(nanos(1_000_003)),
        ]
    );
}

#[test]
fn the_bit_that_flips_is_the_one_that_was_named() {
    let mut link = link("corrupt=100%");
    for id in 0..200 {
        let Fate::Corrupt(flip) = send(&mut link, nanos(id), packet(id, 60)) else { panic!("it is certain") };
        let harmed = link.poll_packet(nanos(id)).expect("it arrives");
        let mut expected = vec![0; 60];
        expected[flip.byte as usize] = 0b1000_0000 >> flip.bit;
        assert_eq!(harmed.bytes, expected, "bit 0 is the most significant");
    }
}
