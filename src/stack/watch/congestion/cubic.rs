//! What is CUBIC's own (RFC 9438): after a reduction the window follows a cubic curve that is flat where the loss was,
//!
//! ```text
//!  W_cubic(t) = C * (t - K)^3 + W_max        K = cbrt(W_max * (1 - beta) / C)        t: seconds since the reduction
//! ```
//!
//! beside `W_est`, the window that Reno would have; the larger of the two is taken.
//!
//! The mirror must give the same octet as smoltcp after every packet, so the order of the floating-point operations is
//! smoltcp's: IEEE 754 rounds each of them the same way everywhere, and Rust neither fuses nor reorders them. Its cube
//! root is not exact (about one part in 10^4 off), so a better one would give other windows: [`cube_root`] makes the
//! same two steps. A cube is x * (x * x), as `powi(3)` compiles to.

use super::{Micros, Window};

/// Multiplicative decrease (RFC 9438, section 4.6).
const BETA: f64 = 0.7;
/// How steep the curve is, in segments per second cubed (section 4.1).
const C: f64 = 0.4;
/// The additive increase that makes `W_est` as fast as Reno on average (section 4.3).
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// The cube roots of 1, 2 and 4.
const ROOT_OF_POWER: [f64; 3] = [1.0, 1.259_921_049_894_873_2, 1.587_401_051_968_199_4];

/// No such instant.
const NEVER: Micros = Micros::MAX;

/// The curve, `W_est`, and the clock of the epoch.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Cubic {
    /// When the curve reaches the plateau, in seconds after `epoch`.
    pub(in super::super) k: f64,
    /// The window of a Reno sender, with its fraction.
    pub(in super::super) w_est: f64,
    /// When this stage of congestion avoidance began, moved forward by idle times.
    epoch: Micros,
    /// Since when nothing is in flight.
    idle_since: Micros,
    /// The plateau: the window before the last reduction, or less (fast convergence).
    pub(in super::super) w_max: u32,
    /// The window at the last congestion event: above it `W_est` grows as Reno does.
    pub(in super::super) cwnd_prior: u32,
}

impl Cubic {
    pub(super) fn new(window: &Window) -> Self {
        let mut cubic = Self {
            k: 0.0,
            w_est: f64::from(window.cwnd),
            epoch: NEVER,
            idle_since: NEVER,
            w_max: window.cwnd,
            cwnd_prior: window.cwnd,
        };
        cubic.set_mss(window.mss);
        cubic
    }

    /// K depends on the MSS and `W_max` alone.
    pub(super) fn set_mss(&mut self, mss: u16) {
        self.k = cube_root(f64::from(self.w_max) * (1.0 - BETA) / (C * f64::from(mss)));
    }

    /// Time in which nothing is in flight does not count: the epoch moves along (RFC 9438, section 4.2, on periods when
    /// cwnd has not been updated).
    pub(super) fn on_idle_change(&mut self, now: Micros, idle: bool) {
        if self.idle_since != NEVER && self.epoch != NEVER && now >= self.idle_since {
            self.epoch = self.epoch.saturating_add(now - self.idle_since);
        }
        self.idle_since = if idle { now } else { NEVER };
    }

    pub(super) fn forget_idle(&mut self) {
        self.idle_since = NEVER;
    }

    pub(super) fn restart_estimate(&mut self, cwnd: u32) {
        self.w_est = f64::from(cwnd);
    }

    /// One ACK of `octets` (at most one MSS) in congestion avoidance.
    pub(super) fn avoid(&mut self, window: &mut Window, now: Micros, octets: u32, srtt: u32) {
        let cwnd = f64::from(window.cwnd);
        if self.epoch == NEVER {
            // A stage that follows a timeout or slow start: "W_max is set to cwnd and K is set to 0" (section 4.8).
            self.epoch = now;
            self.w_max = window.cwnd;
            self.k = 0.0;
            self.w_est = cwnd;
        }
        let Some(t) = now.checked_sub(self.epoch) else {
            return;
        };
        let mss = f64::from(window.mss);
        let (octets_f, c, w_max) = (f64::from(octets), C * mss, f64::from(self.w_max));
        let w_cubic = c * cube(t as f64 / 1e6 - self.k) + w_max;

        // "W_est = W_est + alpha_cubic * segments_acked / cwnd"; alpha is 1 from the prior window on (section 4.3).
        let alpha = if self.w_est >= f64::from(self.cwnd_prior) { 1.0 } else { ALPHA };
        self.w_est += alpha * mss * octets_f / cwnd;
        if w_cubic < self.w_est {
            window.grow_to(self.w_est as u32);
            return;
        }

        // The target is the curve one RTT ahead, at most 1.5 * cwnd; each ACK goes its share of the way (section 4.2).
        let ahead = f64::from(srtt.max(1)) * 1_000.0;
        let target = (c * cube((t as f64 + ahead) / 1e6 - self.k) + w_max).min(1.5 * cwnd);
        let way = u64::from((target as u32).saturating_sub(window.cwnd)) * u64::from(octets);
        window.grow_to(window.cwnd + way.checked_div(u64::from(window.cwnd)).unwrap_or(0) as u32);
    }

    /// Three duplicate ACKs; `window` is still the one before the reduction.
    pub(super) fn on_congestion(&mut self, now: Micros, window: &Window) {
        self.cwnd_prior = window.cwnd;
        // Fast convergence: a flow that lost at a smaller window than last time makes room for others (section 4.7).
        self.w_max =
            if window.cwnd < self.w_max { (f64::from(window.cwnd) * (1.0 + BETA) / 2.0) as u32 } else { window.cwnd };
        self.epoch = now;
        self.set_mss(window.mss);
    }

    /// After a timeout the next stage starts anew (section 4.8).
    pub(super) fn on_timeout(&mut self, in_flight: u32) {
        self.cwnd_prior = in_flight;
        self.epoch = NEVER;
        self.idle_since = NEVER;
    }

    /// The beginning of the stage, if there is one.
    #[cfg(test)]
    pub(in super::super) fn epoch(&self) -> Option<Micros> {
        Some(self.epoch).filter(|&at| at != NEVER)
    }

    /// Since when nothing is in flight, if so.
    #[cfg(test)]
    pub(in super::super) fn idle_since(&self) -> Option<Micros> {
        Some(self.idle_since).filter(|&at| at != NEVER)
    }
}

/// beta * `FlightSize` (RFC 9438, section 4.6).
pub(super) fn cut(in_flight: u32) -> u32 {
    (f64::from(in_flight) * BETA) as u32
}

fn cube(x: f64) -> f64 {
    x * (x * x)
}

/// The cube root to about four digits, bit for bit as smoltcp has it: a = m * 2^(3q + r) with 1 <= m < 2; a chord over
/// [1, 2] for the root of m (at most 2 % off), then one Newton step. Scaling by 2^q is exact, so where it is done does
/// not matter; the chord is one fused operation, so there it does.
fn cube_root(a: f64) -> f64 {
    if !(a.is_finite() && a >= f64::MIN_POSITIVE) {
        return 0.0;
    }
    let (half_to_one, exponent) = libm::frexp(a);
    let exponent = exponent - 1;
    let chord = libm::fma(2.0 * half_to_one, 0.2599, 0.7401);
    let guess = libm::ldexp(chord * ROOT_OF_POWER[exponent.rem_euclid(3) as usize], exponent.div_euclid(3));
    (2.0 * guess + a / (guess * guess)) / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn window(cwnd: u32) -> Window {
        Window { cwnd, ssthresh: cwnd, rwnd: 1 << 30, mss: 1_000, in_fast_recovery: false, in_loss: false }
    }

    #[test]
    fn cube_roots_are_good_to_a_part_in_a_thousand_from_tiny_to_huge() {
        let mut rng = Rng::new(1, "cube roots");
        for _ in 0..10_000 {
            let exponent = rng.below(600) as i32 - 300;
            let a = libm::ldexp(1.0 + rng.unit(), exponent);
            let off = cube_root(a) / libm::cbrt(a) - 1.0;
            assert!(off.abs() < 1e-3, "{a}: {off}");
        }
        for nothing in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-310] {
            assert!(cube_root(nothing) == 0.0);
        }
    }

    #[test]
    fn the_window_is_back_at_the_plateau_after_k_seconds_and_beyond_it_later() {
        let mut window = window(100_000);
        let mut cubic = Cubic::new(&window);
        cubic.on_congestion(0, &window);
        window.cwnd = cut(100_000);
        cubic.restart_estimate(window.cwnd);
        let k = (cubic.k * 1e6) as u64;
        assert!((4_000_000..4_500_000).contains(&k), "{k}");
        let mut at = 0;
        let mut run = |window: &mut Window, until| {
            while at < until {
                at += 1_000;
                cubic.avoid(window, at, 1_000, 100);
            }
        };
        run(&mut window, k / 2);
        assert!((90_000..100_000).contains(&window.cwnd), "{}", window.cwnd);
        run(&mut window, k * 2);
        assert!(window.cwnd > 110_000, "{}", window.cwnd);
    }

    #[test]
    fn idle_time_does_not_move_along_the_curve() {
        let mut window = window(50_000);
        let mut cubic = Cubic::new(&window);
        cubic.avoid(&mut window, 1_000, 1_000, 10);
        cubic.on_idle_change(2_000, true);
        cubic.on_idle_change(9_000, false);
        assert_eq!((cubic.epoch(), cubic.idle_since()), (Some(8_000), None));
    }

    #[test]
    fn an_ack_from_before_the_epoch_changes_nothing() {
        let mut window = window(50_000);
        let mut cubic = Cubic::new(&window);
        cubic.on_congestion(1_000, &window);
        cubic.avoid(&mut window, 999, 1_000, 10);
        assert_eq!(window.cwnd, 50_000);
    }
}
