//! The peer's window: SND.WND, SND.WL1 and SND.WL2 (RFC 9293, sections 3.3.1 and 3.10.7.4).

use crate::segment::{Segment, Seq};

use super::Terms;

/// The window that the peer advertises.
#[derive(Clone, Copy, Debug)]
pub(super) struct SendWindow {
    /// SND.WND, in bytes.
    pub(super) wnd: u32,
    /// SND.WL1 and SND.WL2: sequence and acknowledgment number of the segment that last set it.
    wl1: Seq,
    wl2: Seq,
    /// The largest window so far (MAX.SND.WND of RFC 5961).
    pub(super) max: u32,
    shift: u8,
}

impl SendWindow {
    /// The window of the peer's SYN, which is not scaled.
    pub(super) fn new(terms: &Terms, snd_una: Seq) -> Self {
        let wnd = u32::from(terms.peer_window);
        Self { wnd, wl1: terms.irs, wl2: snd_una, max: wnd, shift: terms.peer_shift() }
    }

    /// The right edge of the window: as the segment said that last set it. SND.UNA + SND.WND would move it when an ACK
    /// comes whose window is not taken.
    pub(super) fn edge(&self) -> Seq {
        self.wl2 + self.wnd
    }

    /// Takes the window of a segment. True if SND.WND changed.
    ///
    /// RFC 9293, section 3.10.7.4: "If (SND.WL1 < SEG.SEQ or (SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK)), set
    /// SND.WND <- SEG.WND, set SND.WL1 <- SEG.SEQ, and set SND.WL2 <- SEG.ACK." As Linux, we also take the window of an ACK
    /// that acknowledges more: a peer that retransmits sends its newest windows with old sequence numbers.
    pub(super) fn update(&mut self, segment: &Segment<'_>) -> bool {
        let newer =
            self.wl1 < segment.seq || (self.wl1 == segment.seq && self.wl2 <= segment.ack) || self.wl2 < segment.ack;
        if !newer {
            return false;
        }
        let shift = if segment.is_syn() { 0 } else { self.shift };
        let wnd = u32::from(segment.window) << shift;
        let changed = wnd != self.wnd;
        (self.wnd, self.wl1, self.wl2) = (wnd, segment.seq, segment.ack);
        self.max = self.max.max(wnd);
        changed
    }
}
