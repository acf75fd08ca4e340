//! The rules of RFC 9293, section 3.10.7.4, that decide about a segment before its ACK and its text are processed: RST,
//! timestamps, SYN, window, ACK; with RFC 5961 and RFC 7323. Each rule is a function from the situation and the segment to
//! a [`Disposition`]; [`Tcp`](super::tcp::Tcp) does what it says. A capture shows what was on the wire, before the rules.

use crate::event::{Rule, State};
use crate::segment::{Flags, Segment, Seq};
use crate::time::{Duration, Instant};

/// What is to be done with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// Process it.
    Pass,
    /// Process it without its SYN, one sequence number later.
    Edit(Rule),
    /// Drop it.
    Drop(Rule),
    /// Drop it and send an ACK (RFC 5961: a challenge ACK).
    Reply(Rule),
    /// Reset the connection.
    Reset(Rule),
}

/// What the rules look at: the connection at the moment at which a segment came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    pub(super) now: Instant,
    pub(super) state: State,
    pub(super) irs: Seq,
    pub(super) rcv_nxt: Seq,
    pub(super) right_edge: Seq,
    pub(super) snd_una: Seq,
    pub(super) snd_nxt: Seq,
    pub(super) max_snd_wnd: u32,
    /// `TS.Recent` and when it was set.
    pub(super) ts_recent: Option<(u32, Instant)>,
    /// No application reads any more.
    pub(super) orphan: bool,
    /// `HostConfig::challenge_rst` and `challenge_syn`.
    pub(super) challenge_rst: bool,
    pub(super) challenge_syn: bool,
}

impl Situation {
    /// The segment acceptability test of RFC 9293, section 3.4. A segment that is acceptable in part passes; the receiver
    /// cuts it.
    fn accepts(&self, segment: &Segment<'_>) -> bool {
        let (start, end) = (segment.seq, segment.end());
        if start == end {
            return start == self.rcv_nxt || (self.rcv_nxt < start && start < self.right_edge);
        }
        // As Linux: a FIN alone is taken although the window is closed, because it needs no room.
        let bare_fin = start == self.rcv_nxt && segment.payload.is_empty();
        (start < self.right_edge || bare_fin) && self.rcv_nxt < end
    }

    /// The common case, which no rule touches: the next bytes or a bare ACK, in the window, of something sent.
    #[inline]
    fn is_ordinary(&self, segment: &Segment<'_>) -> bool {
        segment.flags.without(Flags::PSH) == Flags::ACK
            && segment.seq == self.rcv_nxt
            && self.snd_una <= segment.ack
            && segment.ack <= self.snd_nxt
            && (segment.payload.is_empty() || self.rcv_nxt < self.right_edge)
            && self.state == State::Established
            && !self.orphan
            && paws(self, segment) == Disposition::Pass
    }
}

/// Asks the rules in order. The first that does not pass decides.
pub(super) fn judge(situation: &Situation, segment: &Segment<'_>) -> Disposition {
    if situation.is_ordinary(segment) {
        return Disposition::Pass;
    }
    if segment.is_rst() {
        return exact_reset(situation, segment);
    }
    let rules = [simultaneous_open, paws, syn_challenged, out_of_window, no_ack, ack_out_of_range, nobody_reads];
    rules
        .into_iter()
        .map(|rule| rule(situation, segment))
        .find(|disposition| *disposition != Disposition::Pass)
        .unwrap_or(Disposition::Pass)
}

/// RFC 7323, section 5.3, R1: a segment whose timestamp is older than the last one is not acceptable, unless the
/// connection was idle for 24 days. The ACK that answers it is a challenge ACK here, limited as those.
fn paws(situation: &Situation, segment: &Segment<'_>) -> Disposition {
    const OUTDATED: Duration = Duration::from_hours(576);
    match (situation.ts_recent, segment.options.ts) {
        (Some((recent, at)), Some(ts))
            if (ts.ts_val.wrapping_sub(recent) as i32) < 0 && !segment.is_rst() && situation.now - at < OUTDATED =>
        {
            Disposition::Reply(Rule::Paws)
        }
        _ => Disposition::Pass,
    }
}

/// RFC 5961, section 3.2: an RST resets only if it hits RCV.NXT exactly; elsewhere in the window it is challenged,
/// outside it is dropped.
fn exact_reset(situation: &Situation, segment: &Segment<'_>) -> Disposition {
    let in_window = situation.rcv_nxt < segment.seq && segment.seq < situation.right_edge;
    if segment.seq == situation.rcv_nxt || (in_window && !situation.challenge_rst) {
        Disposition::Pass
    } else if in_window {
        Disposition::Reply(Rule::ExactRst)
    } else {
        Disposition::Drop(Rule::ExactRst)
    }
}

/// RFC 9293, section 3.5, figure 8: the SYN|ACK that ends a simultaneous open begins one before the window, where the
/// acceptability test would only have it acknowledged. Without its SYN it is the ACK that it also is.
fn simultaneous_open(situation: &Situation, segment: &Segment<'_>) -> Disposition {
    let expected = situation.state == State::SynReceived
        && segment.is_syn()
        && segment.is_ack()
        && segment.seq == situation.irs
        && segment.ack == situation.snd_nxt;
    if expected { Disposition::Edit(Rule::SynChallenge) } else { Disposition::Pass }
}

/// RFC 5961, section 4.2: a SYN in a synchronized state is answered with a challenge ACK, whatever its sequence number.
/// RFC 793, section 3.9, which a host can be set to: "If the SYN is in the window it is an error, send a reset".
fn syn_challenged(situation: &Situation, segment: &Segment<'_>) -> Disposition {
    if !segment.is_syn() {
        Disposition::Pass
    } else if situation.challenge_syn {
        Disposition::Reply(Rule::SynChallenge)
    } else if situation.accepts(segment) {
        Disposition::Reset(Rule::SynChallenge)
    } else {
        Disposition::Pass
    }
}

/// RFC 9293, section 3.10.7.4, first: "If an incoming segment is not acceptable, an acknowledgment should be sent in reply
/// (unless the RST bit is set, if so drop the segment and return)".
fn out_of_window(situation: &Situation, segment: &Segment<'_>) -> Disposition {
    if situation.accepts(segment) { Disposition::Pass } else { Disposition::Reply(Rule::OutOfWindow) }
}

/// RFC 9293, section 3.10.7.4, fifth: "if the ACK bit is off, drop the segment and return".
fn no_ack(_: &Situation, segment: &Segment<'_>) -> Disposition {
    if segment.is_ack() { Disposition::Pass } else { Disposition::Drop(Rule::AckOutOfRange) }
}

/// RFC 5961, section 5.2: acceptable is SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT. In SYN-RECEIVED an ACK out of range
/// is answered with an RST (RFC 9293, section 3.10.7.4), which [`Tcp`](super::tcp::Tcp) builds.
fn ack_out_of_range(situation: &Situation, segment: &Segment<'_>) -> Disposition {
    let in_range = segment.ack <= situation.snd_nxt && situation.snd_una - situation.max_snd_wnd <= segment.ack;
    if situation.state == State::SynReceived || in_range {
        Disposition::Pass
    } else {
        Disposition::Reply(Rule::AckOutOfRange)
    }
}

/// RFC 1122, section 4.2.2.13: data for an application that has closed is answered with an RST, so that its sender knows.
fn nobody_reads(situation: &Situation, segment: &Segment<'_>) -> Disposition {
    let end = segment.seq + segment.payload.len() as u32;
    let new_text = !segment.payload.is_empty() && end > situation.rcv_nxt;
    if situation.orphan && new_text { Disposition::Reset(Rule::NoReader) } else { Disposition::Pass }
}
