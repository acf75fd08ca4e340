//! The test cases of draft-ietf-ccwg-bbr-06, appendix "BBR Example Test Cases", as far as one connection shows them,
//! and undo.

use super::*;
use crate::congestion::simulator::{Bottleneck, MSS, Network};
use crate::congestion::tests::{WIDE, congestion, goodput};

fn names(network: &Network) -> Vec<&'static str> {
    network.flows[0].report.phases.iter().map(|&(_, _, phase)| phase).collect()
}

fn bulk(link: Bottleneck) -> Network {
    let mut network = Network::new(link, 1);
    network.add("bbr", Instant::EPOCH, true);
    network
}

/// A link's rate for text, in bytes per second.
fn text_rate(link: Bottleneck) -> f64 {
    link.mbit as f64 * 1e6 / 8.0 * MSS as f64 / 1_500.0
}

#[test]
fn startup_ends_on_a_plateau_with_the_bandwidth_found_and_drain_follows() {
    let mut network = bulk(WIDE);
    network.run_until(Instant::from_secs(2));
    assert_eq!(names(&network)[..3], ["Startup", "Drain", "ProbeBW_CRUISE"]);
    let rate = network.flows[0].controller.pacing_rate().unwrap() as f64 / 0.99;
    assert!((rate / text_rate(WIDE) - 1.0).abs() < 0.02, "{rate}");
}

#[test]
fn probe_bw_cycles_through_refill_up_down_and_cruise() {
    let mut network = bulk(WIDE);
    network.run_until(Instant::from_secs(30));
    let names = names(&network);
    let up = names.iter().filter(|&&name| name == "ProbeBW_UP").count();
    assert!((6..=15).contains(&up), "a probe every two to four seconds: {up}");
    for pair in names.windows(2) {
        let expected: &[_] = match pair[0] {
            "Startup" => &["Drain"],
            "Drain" => &["ProbeBW_DOWN", "ProbeBW_CRUISE"],
            "ProbeBW_REFILL" => &["ProbeBW_UP", "ProbeRTT"],
            "ProbeBW_UP" => &["ProbeBW_DOWN", "ProbeRTT"],
            "ProbeBW_DOWN" => &["ProbeBW_CRUISE", "ProbeBW_REFILL", "ProbeRTT"],
            "ProbeBW_CRUISE" => &["ProbeBW_REFILL", "ProbeRTT"],
            _ => &["ProbeBW_CRUISE"],
        };
        assert!(expected.contains(&pair[1]), "{pair:?}");
    }
}

#[test]
fn probe_rtt_comes_after_five_seconds_and_lasts_200_milliseconds_and_a_round() {
    let mut network = bulk(WIDE);
    network.run_until(Instant::from_secs(7));
    let phases = &network.flows[0].report.phases;
    let index = phases.iter().position(|&(_, _, phase)| phase == "ProbeRTT").unwrap();
    let (begin, _, _) = phases[index];
    let (end, _, next) = phases[index + 1];
    assert!((5.0..5.5).contains(&begin.as_secs_f64()), "{begin}");
    assert!((0.2..0.4).contains(&(end - begin).as_secs_f64()), "{begin} {end}");
    assert_eq!(next, "ProbeBW_CRUISE");
}

#[test]
fn an_idle_time_replaces_probe_rtt() {
    let mut network = Network::new(WIDE, 1);
    network.add("bbr", Instant::EPOCH, false);
    network.write(0, Instant::EPOCH, 20_000);
    network.write(0, Instant::from_secs(9), 2_000);
    network.run_until(Instant::from_secs(10));
    assert!(!names(&network).contains(&"ProbeRTT"), "{:?}", names(&network));
}

#[test]
fn an_application_limited_sender_stays_in_startup() {
    let mut network = Network::new(WIDE, 1);
    network.add("bbr", Instant::EPOCH, false);
    for step in 0..40 {
        network.write(0, Instant::from_millis(step * 100), 5);
    }
    network.run_until(Instant::from_secs(4));
    assert_eq!(names(&network), ["Startup"]);
}

#[test]
fn heavy_loss_ends_startup() {
    let mut network = bulk(Bottleneck { loss: 0.05, ..WIDE });
    network.run_until(Instant::from_secs(2));
    let phases = &network.flows[0].report.phases;
    let (at, cwnd, _) = *phases.iter().find(|&&(_, _, phase)| phase == "Drain").unwrap();
    assert!(at < Instant::from_millis(600), "{at}");
    assert!(cwnd < 800 * MSS, "before the whole bandwidth is found");
}

#[test]
fn light_loss_does_not_end_startup_early() {
    let mut network = bulk(Bottleneck { loss: 0.001, ..WIDE });
    network.run_until(Instant::from_secs(2));
    let rate = network.flows[0].controller.pacing_rate().unwrap() as f64;
    assert!(rate / text_rate(WIDE) > 0.9, "{rate}");
}

#[test]
fn a_shallow_queue_costs_few_retransmissions() {
    let (mean, report) = goodput("bbr", Bottleneck { queue: 50, ..WIDE }, 1, 5, 35);
    assert!(mean >= 80.0, "{mean} Mbit/s");
    assert!(report.retransmissions * 100 < report.sent * 2, "{} of {}", report.retransmissions, report.sent);
}

#[test]
fn a_tenfold_bandwidth_is_found_within_some_probes() {
    let mut network = bulk(Bottleneck { mbit: 10, ..WIDE });
    network.run_until(Instant::from_secs(10));
    network.link = WIDE;
    network.run_until(Instant::from_secs(25));
    let rate = network.flows[0].controller.pacing_rate().unwrap() as f64;
    assert!(rate > 0.8 * text_rate(WIDE), "{rate}");
}

#[test]
fn a_tenth_of_the_bandwidth_is_adopted_within_some_cycles() {
    for queue in [200, 1_000] {
        let narrow = Bottleneck { mbit: 10, queue, ..WIDE };
        let mut network = bulk(Bottleneck { queue, ..WIDE });
        network.run_until(Instant::from_secs(10));
        network.link = narrow;
        network.run_until(Instant::from_secs(45));
        let rate = network.flows[0].controller.pacing_rate().unwrap() as f64;
        assert!(rate < 1.3 * text_rate(narrow), "queue {queue}: {rate}");
    }
}

#[test]
fn a_path_of_less_than_one_packet_is_kept_busy_by_four_segments() {
    let link = Bottleneck { mbit: 1, delay: Duration::from_micros(500), queue: 100, loss: 0.0 };
    let (mean, _) = goodput("bbr", link, 1, 5, 15);
    assert!(mean >= 0.85, "{mean} Mbit/s");
}

#[test]
fn undo_returns_to_startup_with_the_old_window() {
    let mut bbr = Bbr::new(&Setup::new(MSS, Instant::EPOCH));
    bbr.output.cwnd = 500 * MSS;
    bbr.on_congestion(&congestion(Signal::Timeout { again: false }, 500 * MSS));
    assert_eq!(bbr.cwnd(), MSS);
    bbr.leave_for_loss(BbrState::Startup);
    bbr.state = BbrState::Drain;
    bbr.full_bw.reached = true;
    bbr.cycle.inflight_longterm = 100 * MSS;
    bbr.undo(Instant::EPOCH);
    assert_eq!((bbr.cwnd(), bbr.phase()), (500 * MSS, "Startup"));
    assert_eq!(bbr.cycle.inflight_longterm, INFINITY);
    assert!(!bbr.full_bw.reached);
    bbr.state = BbrState::Drain;
    bbr.undo(Instant::EPOCH);
    assert_eq!(bbr.phase(), "Drain", "a second undo changes nothing");
}

#[test]
fn undo_after_a_failed_probe_starts_a_new_one() {
    let mut bbr = Bbr::new(&Setup::new(MSS, Instant::EPOCH));
    bbr.full_bw.reached = true;
    bbr.state = BbrState::ProbeBwUp;
    bbr.on_congestion(&congestion(Signal::Loss, 10 * MSS));
    bbr.leave_for_loss(BbrState::ProbeBwUp);
    bbr.state = BbrState::ProbeBwDown;
    bbr.undo(Instant::EPOCH);
    assert_eq!(bbr.phase(), "ProbeBW_REFILL");
}

#[test]
fn the_flight_at_loss_is_where_two_percent_were_crossed() {
    // 100 segments in flight before it, one lost before it: 2 % are crossed after (2 - 1) / 0.98 segments more.
    let lost = LostSample {
        now: Instant::EPOCH,
        bytes: 10 * MSS,
        tx_in_flight: 110 * MSS,
        lost: 11 * MSS,
        delivered: 0,
        app_limited: false,
        new_range: true,
    };
    assert_eq!(cycle::inflight_at_loss(&lost), 100 * MSS + 50 * MSS / 49);
}
