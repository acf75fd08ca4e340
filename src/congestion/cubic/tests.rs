//! CUBIC against the formulas of RFC 9438.

use proptest::prelude::*;

use super::*;
use crate::congestion::tests::{ack, congestion};

const MSS: u64 = 1_000;

fn cubic(segments: u64) -> Cubic {
    Cubic::new(&Setup { cwnd: segments * MSS, ssthresh: segments * MSS, ..Setup::new(MSS, Instant::EPOCH) })
}

fn lose(cubic: &mut Cubic) {
    let flight = cubic.cwnd();
    cubic.on_congestion(&congestion(Signal::Loss, flight));
    cubic.on_recovery_end(Instant::EPOCH, u64::MAX);
}

/// ACKs of two segments, evenly over each round trip, for `seconds`. Calls `check` with the time and cwnd in segments.
fn run(cubic: &mut Cubic, from: Instant, rtt: Duration, seconds: f64, mut check: impl FnMut(f64, f64)) -> Instant {
    let mut now = from;
    while (now - from).as_secs_f64() < seconds {
        let mut ack = ack(0, 2 * MSS);
        (ack.now, ack.srtt) = (now, Some(rtt));
        cubic.on_ack(&ack);
        check((now - from).as_secs_f64(), cubic.cwnd() as f64 / MSS as f64);
        let acks = (cubic.cwnd() / (2 * MSS)).max(1);
        now += rtt / acks as u32;
    }
    now
}

#[test]
fn cubic_follows_the_closed_form_of_rfc_9438() {
    for (segments, rtt) in [(1_000, 100), (1_000, 40), (5_000, 100), (400, 200)] {
        let mut cubic = cubic(segments);
        lose(&mut cubic);
        let w_max = segments as f64;
        let k = libm::cbrt(w_max * 0.3 / 0.4);
        run(&mut cubic, Instant::EPOCH, Duration::from_millis(rtt), 1.8 * k, |t, cwnd| {
            let closed = 0.4 * (t - k) * (t - k) * (t - k) + w_max;
            assert!(
                (cwnd - closed).abs() <= 1.0 + 0.01 * closed,
                "{segments} {rtt} t={t} cwnd={cwnd} W_cubic={closed}"
            );
        });
    }
}

#[test]
fn k_seconds_after_a_loss_cwnd_is_back_at_w_max() {
    let mut cubic = cubic(1_000);
    lose(&mut cubic);
    assert_eq!(cubic.cwnd(), 700 * MSS);
    let k = libm::cbrt(300.0 / 0.4);
    run(&mut cubic, Instant::EPOCH, Duration::from_millis(100), k, |_, _| {});
    assert!((990..=1_000).contains(&(cubic.cwnd() / MSS)), "{}", cubic.cwnd());
}

#[test]
fn in_the_reno_friendly_region_cwnd_is_w_est() {
    let mut cubic = cubic(20);
    lose(&mut cubic);
    assert_eq!(cubic.cwnd(), 14 * MSS);
    let rtt = Duration::from_millis(10);
    // alpha = 9/17 segments per round trip until cwnd_prior is reached, then one.
    let below = (20.0 - 14.0) / (9.0 / 17.0);
    run(&mut cubic, Instant::EPOCH, rtt, 0.3, |t, cwnd| {
        let rounds = t / 0.01;
        let w_est = if rounds < below { 14.0 + rounds * 9.0 / 17.0 } else { 20.0 + (rounds - below) };
        assert!((cwnd - w_est).abs() < 0.06 * w_est, "t={t} cwnd={cwnd} W_est={w_est}");
    });
}

#[test]
fn a_loss_below_the_last_w_max_lowers_w_max_further() {
    let mut cubic = cubic(1_000);
    lose(&mut cubic);
    assert_eq!(cubic.curve.w_max, Some(1_000.0));
    lose(&mut cubic);
    assert!((cubic.curve.w_max.unwrap() - 595.0).abs() < 1e-9);
    assert_eq!(cubic.cwnd(), 490 * MSS);
}

#[test]
fn after_a_timeout_the_curve_starts_flat_at_cwnd() {
    let mut cubic = cubic(100);
    cubic.on_congestion(&congestion(Signal::Timeout { again: false }, 100 * MSS));
    assert_eq!((cubic.cwnd(), cubic.ssthresh()), (MSS, 70 * MSS));
    cubic.on_recovery_end(Instant::EPOCH, u64::MAX);
    for _ in 0..40 {
        cubic.on_ack(&ack(0, 2 * MSS));
    }
    let epoch = cubic.curve.epoch.unwrap();
    assert_eq!((epoch.k, epoch.origin), (0.0, 70.0));
}

#[test]
fn one_ack_never_raises_the_target_above_one_and_a_half_windows() {
    let mut cubic = cubic(100);
    cubic.on_ack(&ack(0, MSS));
    let mut late = ack(0, 100 * MSS);
    late.now = Instant::from_secs(1_000);
    cubic.on_ack(&late);
    assert!(cubic.cwnd() <= 151 * MSS, "{}", cubic.cwnd());
}

#[test]
fn time_in_which_the_application_limits_the_flight_does_not_count() {
    let rtt = Duration::from_millis(100);
    let mut without = cubic(1_000);
    lose(&mut without);
    run(&mut without, Instant::EPOCH, rtt, 4.0, |_, _| {});

    let mut with = cubic(1_000);
    lose(&mut with);
    let pause = run(&mut with, Instant::EPOCH, rtt, 2.0, |_, _| {});
    let before = with.cwnd();
    for second in 0..60 {
        let mut unused = ack(0, MSS);
        (unused.now, unused.cwnd_limited) = (pause + Duration::from_secs(second), false);
        with.on_ack(&unused);
    }
    assert_eq!(with.cwnd(), before);
    run(&mut with, pause + Duration::from_mins(1), rtt, 2.0, |_, _| {});
    let (without, with) = (without.cwnd() as f64, with.cwnd() as f64);
    assert!((without - with).abs() < 0.01 * without, "{without} {with}");
}

#[test]
fn the_curve_is_the_same_when_each_window_is_acknowledged_at_once() {
    let rtt = Duration::from_millis(100);
    let mut apart = cubic(100);
    lose(&mut apart);
    run(&mut apart, Instant::EPOCH, rtt, 3.0, |_, _| {});

    let mut at_once = cubic(100);
    lose(&mut at_once);
    for round in 0..=30 {
        let now = Instant::EPOCH + rtt * round;
        for _ in 0..at_once.cwnd() / (2 * MSS) {
            let mut ack = ack(0, 2 * MSS);
            (ack.now, ack.srtt) = (now, Some(rtt));
            at_once.on_ack(&ack);
        }
        at_once.on_sent(&SentSample { now, bytes: MSS, prior_pipe: 0, app_limited: false, retransmission: false });
    }
    let (apart, at_once) = (apart.cwnd() as f64, at_once.cwnd() as f64);
    assert!((apart - at_once).abs() < 0.03 * apart, "{apart} {at_once}");
}

#[test]
fn silence_does_not_count_either() {
    let rtt = Duration::from_millis(100);
    let mut cubic = cubic(1_000);
    lose(&mut cubic);
    let pause = run(&mut cubic, Instant::EPOCH, rtt, 2.0, |_, _| {});
    let before = cubic.cwnd();
    let now = pause + Duration::from_secs(30);
    cubic.on_sent(&SentSample { now, bytes: MSS, prior_pipe: 0, app_limited: true, retransmission: false });
    let mut first = ack(0, 2 * MSS);
    (first.now, first.srtt) = (now + rtt, Some(rtt));
    cubic.on_ack(&first);
    assert!(cubic.cwnd() - before <= 2 * MSS, "{before} {}", cubic.cwnd());
}

#[test]
fn undo_restores_window_and_curve() {
    let rtt = Duration::from_millis(100);
    let mut cubic = cubic(1_000);
    lose(&mut cubic);
    run(&mut cubic, Instant::EPOCH, rtt, 3.0, |_, _| {});
    let (cwnd, ssthresh, curve) = (cubic.cwnd(), cubic.ssthresh(), cubic.curve);
    lose(&mut cubic);
    assert!(cubic.cwnd() < cwnd);
    cubic.undo(Instant::EPOCH);
    assert_eq!((cubic.cwnd(), cubic.ssthresh(), cubic.curve), (cwnd, ssthresh, curve));
}

#[test]
fn a_smaller_mss_keeps_the_bytes_of_cwnd_and_w_max() {
    let mut cubic = cubic(1_000);
    lose(&mut cubic);
    cubic.set_mss(500);
    assert_eq!(cubic.cwnd(), 700 * MSS);
    assert_eq!(cubic.curve.w_max, Some(2_000.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn cwnd_stays_within_its_bounds_and_never_shrinks_on_an_ack(
        start in 2_u64..2_000,
        events in prop::collection::vec((0_u8..20, 1_u64..20, 0_u64..500), 1..400),
    ) {
        let mut cubic = cubic(start);
        let mut now = Instant::EPOCH;
        for (kind, amount, gap) in events {
            now += Duration::from_millis(gap);
            let before = cubic.cwnd();
            match kind {
                0 => cubic.on_congestion(&congestion(Signal::Loss, before)),
                1 => cubic.on_congestion(&congestion(Signal::Timeout { again: amount % 2 == 0 }, before)),
                2 => cubic.on_recovery_end(now, amount * MSS),
                3 => cubic.undo(now),
                4 => cubic.on_idle_restart(now),
                _ => {
                    let mut ack = ack(0, amount * MSS);
                    (ack.now, ack.cwnd_limited) = (now, kind % 3 > 0);
                    cubic.on_ack(&ack);
                    prop_assert!(cubic.cwnd() >= before);
                    prop_assert!(cubic.cwnd() - before <= amount.max(1) * MSS + before);
                }
            }
            prop_assert!((MSS..=MAX_CWND).contains(&cubic.cwnd()));
            prop_assert!(cubic.ssthresh() >= 2 * MSS);
        }
    }
}
