//! TIME-WAIT as a record (RFC 9293, section 3.6.1): the socket and its buffers are gone, what is left acknowledges a
//! retransmitted FIN, keeps the port, and knows when it may be used again.
//!
//! All records wait equally long, so that a queue in the order of their beginning is a queue in the order of their end.
//! A record that begins again stands in the queue twice; the entry that is too early is skipped.

use crate::segment::{Flags, OptionLayout, Options, Segment, SegmentTemplate, Seq, Timestamps};
use crate::time::{Duration, Instant};

use super::address::FourTuple;
use crate::recovery::TsClock;

slotmap::new_key_type! {
    /// Names a connection in TIME-WAIT.
    pub(super) struct TimeWaitId;
}

/// What is left of a connection in TIME-WAIT.
#[derive(Debug, Clone)]
pub(super) struct TimeWait {
    pub(super) tuple: FourTuple,
    pub(super) snd_nxt: Seq,
    pub(super) rcv_nxt: Seq,
    /// The window field of the last ACK.
    pub(super) window: u16,
    /// The window that it said, in bytes.
    pub(super) rcv_wnd: u32,
    pub(super) ts_recent: Option<u32>,
    pub(super) clock: TsClock,
    pub(super) layout: OptionLayout,
    pub(super) until: Instant,
    /// No ACK for a segment without data before this instant: two ends in TIME-WAIT must not talk for ever.
    pub(super) quiet_until: Instant,
    /// Holds its port with `SO_REUSEADDR`.
    pub(super) reuse: bool,
}

/// What TIME-WAIT makes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Acknowledge it; `restart` the 2 MSL timer if it was the FIN again.
    Ack {
        /// Begin the wait again.
        restart: bool,
    },
    /// Nothing.
    Ignore,
    /// The record ends: an RST hit RCV.NXT.
    Reset,
    /// The record ends: a new connection may use the tuple.
    Reuse,
}

impl TimeWait {
    /// RFC 9293, section 3.10.7.4, for TIME-WAIT, with RFC 6191 for a SYN, if somebody `listens` for it, and RFC 5961 for an
    /// RST.
    pub(super) fn handle_segment(
        &mut self,
        now: Instant,
        segment: &Segment<'_>,
        listens: bool,
        needs_ack: bool,
    ) -> Outcome {
        if segment.is_rst() && segment.seq == self.rcv_nxt {
            return Outcome::Reset;
        }
        if segment.is_rst() && (segment.seq < self.rcv_nxt || segment.seq >= self.rcv_nxt + self.rcv_wnd) {
            return Outcome::Ignore;
        }
        if segment.is_syn() && !segment.is_ack() && listens && self.admits(segment) {
            return Outcome::Reuse;
        }
        let inside = segment.seq < self.rcv_nxt + self.rcv_wnd && segment.seq >= self.rcv_nxt;
        let third = !segment.is_syn() && !segment.is_rst();
        if !segment.is_ack() && (needs_ack || (inside && third)) {
            // RFC 9293, section 3.10.7.4, fifth: "if the ACK bit is off, drop the segment and return".
            return Outcome::Ignore;
        }
        let fin_again = segment.is_fin() && segment.end() == self.rcv_nxt;
        let acceptable = segment.seq == self.rcv_nxt && segment.is_empty();
        if fin_again || (segment.is_empty() && acceptable) {
            return if fin_again { Outcome::Ack { restart: true } } else { Outcome::Ignore };
        }
        if now < self.quiet_until {
            return Outcome::Ignore;
        }
        self.quiet_until = now + Duration::from_millis(500);
        Outcome::Ack { restart: false }
    }

    /// RFC 6191, section 2: a SYN may use the tuple again if its timestamp is newer, or its sequence number greater than
    /// any that the old connection received.
    fn admits(&self, syn: &Segment<'_>) -> bool {
        match (self.ts_recent, syn.options.ts) {
            (Some(recent), Some(ts)) if ts.ts_val != recent => ts.ts_val.wrapping_sub(recent) as i32 > 0,
            (None, Some(_)) => true,
            _ => syn.seq > self.rcv_nxt,
        }
    }

    /// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`
    pub(super) fn ack(&self, now: Instant) -> SegmentTemplate<'static> {
        let ts = self.ts_recent.map(|ts_ecr| Timestamps { ts_val: self.clock.at(now), ts_ecr });
        SegmentTemplate {
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags: Flags::ACK,
            window: self.window,
            options: Options { ts, ..Options::default() },
            layout: self.layout,
            ..SegmentTemplate::new(self.tuple.local_addr(), self.tuple.remote_addr())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_takes_under_100_bytes() {
        assert!(size_of::<TimeWait>() < 100, "{}", size_of::<TimeWait>());
    }
}
