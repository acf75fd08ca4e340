//! The window that we advertise: RCV.WND (RFC 9293, section 3.8.6.2.2; RFC 7323, section 2.3). The right edge moves in
//! steps of a segment, never to the left by more than scaling rounds, and not at all while memory is short.

use crate::stack::config::WindowUpdate;

/// What was advertised.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdvertisedWindow {
    buffer: usize,
    shift: u8,
    /// The position of the right edge as the last ACK said it.
    advertised: u64,
    /// The rightmost edge so far. What lies before it is taken: rounding moves the edge to the left by less than
    /// 2^shift (RFC 7323, section 2.4).
    promised: u64,
    /// RCV.NXT when the last ACK left (Linux's `rcv_wup`).
    last_ack: u64,
    update: WindowUpdate,
}

impl AdvertisedWindow {
    /// The window of our SYN, which is not scaled (RFC 7323, section 2.2).
    pub(super) fn new(buffer: usize, shift: u8, update: WindowUpdate) -> Self {
        let edge = buffer.min(65_535) as u64;
        Self { buffer, shift, advertised: edge, promised: edge, last_ack: 0, update }
    }

    /// The position before which text is taken.
    pub(super) const fn limit(&self) -> u64 {
        self.promised
    }

    /// The position that the last ACK gave as the right edge.
    pub(super) const fn advertised(&self) -> u64 {
        self.advertised
    }

    pub(super) const fn buffer(&self) -> usize {
        self.buffer
    }

    pub(super) const fn last_ack(&self) -> u64 {
        self.last_ack
    }

    pub(super) fn set_buffer(&mut self, buffer: usize) {
        self.buffer = buffer;
    }

    /// An ACK of `nxt` left.
    pub(super) fn acked(&mut self, nxt: u64) {
        self.last_ack = nxt;
    }

    /// Where the right edge can stand. RFC 9293, section 3.8.6.2.2: it does not move by less than a segment or half of the
    /// buffer. `step`: a segment, in bytes.
    fn next_edge(&self, nxt: u64, unread: usize, step: u64, pressure: bool) -> u64 {
        let edge = self.promised.max(nxt);
        let free = self.buffer.saturating_sub(unread) as u64;
        // The window field has 16 bits.
        let possible = nxt + free.min(65_535 << self.shift);
        let enough = match self.update {
            // BSD tells all that is free, unless it is less than a segment and less than a quarter of the buffer.
            WindowUpdate::TwoSegments => possible > edge && free >= step.min(self.buffer as u64 / 4),
            WindowUpdate::Doubled | WindowUpdate::Segment => possible >= edge + step.min(self.buffer as u64 / 2).max(1),
        };
        if pressure || !enough { edge } else { possible }
    }

    /// The window field of a segment that leaves now, and the edge that it says.
    pub(super) fn offer(&mut self, nxt: u64, unread: usize, step: u64, pressure: bool) -> u16 {
        let window = self.next_edge(nxt, unread, step, pressure) - nxt;
        let field = u16::try_from(window >> self.shift).unwrap_or(u16::MAX);
        self.advertised = nxt + (u64::from(field) << self.shift);
        self.promised = self.promised.max(self.advertised);
        field
    }

    /// True if the window stays as large as it was when the last ACK left. Linux delays the second ACK otherwise.
    pub(super) fn can_keep(&self, nxt: u64, unread: usize, pressure: bool) -> bool {
        self.next_edge(nxt, unread, 1, pressure) - nxt >= self.advertised - self.last_ack
    }

    /// True if the application has read so much that the peer must hear of it.
    pub(super) fn update_is_due(&self, nxt: u64, unread: usize, peer_mss: u32, pressure: bool) -> bool {
        let now = self.advertised.saturating_sub(nxt);
        let new = self.next_edge(nxt, unread, u64::from(peer_mss), pressure) - nxt;
        let whole = 1 << self.shift;
        match self.update {
            // Linux's `tcp_cleanup_rbuf`: the window at least doubles.
            WindowUpdate::Doubled => new >= whole && 2 * now <= self.buffer as u64 && new >= 2 * now && new > now,
            WindowUpdate::TwoSegments | WindowUpdate::Segment => {
                let segments = if self.update == WindowUpdate::Segment { 1 } else { 2 };
                let more = new.saturating_sub(now);
                more >= (segments * u64::from(peer_mss)).min(self.buffer as u64 / 2).max(whole)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9293_section_3_8_6_2_2_the_edge_moves_by_a_segment_or_not_at_all() {
        let mut window = AdvertisedWindow::new(10_000, 0, WindowUpdate::Doubled);
        assert_eq!(window.offer(4_000, 4_000, 1_000, false), 6_000);
        assert_eq!(window.offer(4_000, 3_001, 1_000, false), 6_000, "999 bytes are free");
        assert_eq!(window.offer(4_000, 3_000, 1_000, false), 7_000);
    }

    #[test]
    fn rfc_7323_section_2_4_rounding_takes_less_than_a_unit_and_what_was_promised_is_taken() {
        let mut window = AdvertisedWindow::new(1 << 20, 7, WindowUpdate::Doubled);
        let mut last = 0;
        for nxt in (0..50_000).step_by(333) {
            window.offer(nxt, 0, 1_000, false);
            assert!(window.advertised() + 128 > last, "at {nxt}");
            assert!(window.limit() >= last && window.limit() <= nxt + (1 << 20));
            last = window.limit();
        }
    }

    #[test]
    fn rfc_7323_section_2_4_rounding_does_not_add_up_over_acks() {
        let mut window = AdvertisedWindow::new(65_536, 7, WindowUpdate::Doubled);
        window.offer(0, 0, 1_000, false);
        let edge = window.limit();
        for nxt in 1..1_000 {
            window.offer(nxt, nxt as usize, 1_000, false);
            assert!(window.advertised() + 128 > edge, "{} at {nxt}", window.advertised());
        }
    }

    #[test]
    fn while_memory_is_short_the_edge_stands_still() {
        let mut window = AdvertisedWindow::new(10_000, 0, WindowUpdate::Doubled);
        assert_eq!(window.offer(5_000, 0, 1_000, true), 5_000);
        assert_eq!(window.offer(10_000, 0, 1_000, true), 0);
        assert_eq!(window.offer(10_000, 0, 1_000, false), 10_000);
    }

    #[test]
    fn an_update_goes_when_the_window_has_doubled_or_by_two_segments() {
        let mut linux = AdvertisedWindow::new(10_000, 0, WindowUpdate::Doubled);
        linux.offer(8_000, 8_000, 1_000, false);
        assert!(!linux.update_is_due(8_000, 6_001, 1_000, false));
        assert!(linux.update_is_due(8_000, 6_000, 1_000, false));
        let mut bsd = AdvertisedWindow::new(10_000, 0, WindowUpdate::TwoSegments);
        bsd.offer(8_000, 8_000, 1_000, false);
        assert!(!bsd.update_is_due(8_000, 6_001, 1_000, false));
        assert!(bsd.update_is_due(8_000, 6_000, 1_000, false));
        bsd.offer(4_000, 4_000, 1_000, false);
        assert!(bsd.update_is_due(4_000, 2_000, 1_000, false));
        assert!(!linux.update_is_due(4_000, 2_000, 1_000, false), "6,000 of 10,000 are open");
    }
}
