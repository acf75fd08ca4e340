//! What is Reno's own: additive increase and halving (RFC 5681).

use super::Window;

/// "cwnd += SMSS*SMSS/cwnd" for each ACK, and at least one octet (RFC 5681, section 3.1, equation 3).
pub(super) fn avoid(window: &mut Window) {
    let mss = u64::from(window.mss);
    let step = (mss * mss).checked_div(u64::from(window.cwnd)).unwrap_or(1).max(1) as u32;
    window.grow_to(window.cwnd.saturating_add(step));
}

/// Half of what is in flight (RFC 5681, equation 4).
pub(super) const fn cut(in_flight: u32) -> u32 {
    in_flight / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_acks_adds_about_one_segment() {
        let mut window =
            Window { cwnd: 10_000, ssthresh: 0, rwnd: 65_536, mss: 1_000, in_fast_recovery: false, in_loss: false };
        for _ in 0..10 {
            avoid(&mut window);
        }
        assert!((10_900..=11_000).contains(&window.cwnd), "{}", window.cwnd);
    }
}
