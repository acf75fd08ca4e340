//! The states of both sides, inferred from the segments that pass (RFC 9293, section 3.3.2, figure 5).
//!
//! A segment tells for certain what state its sender was in. That its receiver takes it is assumed at the instant at
//! which it passes, unless it is known to be lost. Where the receiver's next segment says otherwise, that counts: a side
//! that sends its SYN again is in SYN-SENT, and one that sends a FIN without acknowledging the other one has closed at the
//! same time. What no segment tells (LISTEN, the end of TIME-WAIT) does not appear. A connection that is seen from its
//! middle is unknown until both sides have sent data, which says that neither has closed.

use crate::conversation::{Conversation, DataKind, Seen, Side};
use crate::event::State;
use crate::segment::{Segment, Seq};

/// The states of the two sides of a connection; `None` where it cannot be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct States {
    sides: [Option<State>; 2],
    /// The side has sent data behind which no FIN was seen.
    open: [bool; 2],
    /// The side has received the other one's FIN, with everything before it.
    has_fin: [bool; 2],
    /// Of what the side has sent, everything below is known to be lost or to have come after a loss.
    hole: [Option<Seq>; 2],
}

impl States {
    pub(super) fn of(self, side: Side) -> Option<State> {
        self.sides[side as usize]
    }

    /// The state of this side stays what it was.
    pub(super) fn keep(&mut self, side: Side, before: Self) {
        self.sides[side as usize] = before.sides[side as usize];
    }

    /// A state that is known from elsewhere.
    pub(super) fn set(&mut self, side: Side, state: State) {
        self.sides[side as usize] = Some(state);
    }

    /// Takes a segment of `from`, after `conversation` has seen it. `arrives` is false if it is known to be lost.
    pub(super) fn observe(
        &mut self,
        from: Side,
        segment: &Segment<'_>,
        seen: &Seen,
        conversation: &Conversation,
        arrives: bool,
    ) {
        if seen.restarted {
            *self = Self::default();
        }
        if seen.data == DataKind::Unacceptable {
            return;
        }
        if segment.is_rst() {
            self.set(from, State::Closed);
            if arrives {
                self.set(from.other(), State::Closed);
            }
        } else if segment.is_syn() {
            self.observe_syn(from, segment, conversation, arrives);
        } else {
            self.observe_sender(from, segment, seen, conversation);
            if !arrives {
                self.hole[from as usize] = Some(segment.end());
            }
            if arrives {
                self.observe_receiver(from, segment, conversation);
            }
        }
    }

    fn observe_syn(&mut self, from: Side, segment: &Segment<'_>, conversation: &Conversation, arrives: bool) {
        let to = from.other();
        let peer = conversation.sender(to);
        if !segment.is_ack() {
            self.set(from, State::SynSent);
            if arrives && self.of(to) == Some(State::SynSent) {
                self.set(to, State::SynReceived);
            }
            return;
        }
        self.set(from, State::SynReceived);
        let answers = peer.iss.is_none_or(|iss| peer.snd_una > iss);
        let waits = matches!(self.of(to), None | Some(State::SynSent | State::SynReceived));
        if arrives && answers && waits {
            self.set(to, State::Established);
        }
    }

    /// What the sender was in when it sent this.
    fn observe_sender(&mut self, from: Side, segment: &Segment<'_>, seen: &Seen, conversation: &Conversation) {
        let to = from.other();
        let acks_fin = segment.is_ack() && conversation.sender(to).is_fin_acked();
        if acks_fin {
            self.receive_fin(from);
        }
        let again = matches!(seen.data, DataKind::Retransmission { .. } | DataKind::Duplicate);
        let state = match self.of(from) {
            Some(State::SynSent) => Some(State::Established),
            Some(State::SynReceived) if !segment.payload.is_empty() => Some(State::Established),
            other => other,
        };
        self.sides[from as usize] = state;
        if !segment.payload.is_empty() && !segment.is_fin() {
            self.open[from as usize] = true;
            if self.open == [true; 2] && self.sides == [None; 2] {
                self.sides = [Some(State::Established); 2];
            }
        }
        if !segment.is_fin() || conversation.sender(from).fin.is_none() {
            return;
        }
        self.sides[from as usize] = match state {
            Some(State::Established | State::SynReceived) => Some(State::FinWait1),
            Some(State::CloseWait) if acks_fin => Some(State::LastAck),
            // The FINs cross: it did not have the other one when it sent its own.
            Some(State::CloseWait) => Some(State::Closing),
            None if self.open[to as usize] => Some(State::FinWait1),
            Some(State::FinWait2) if again => Some(State::FinWait1),
            Some(State::TimeWait) if again => Some(State::Closing),
            Some(State::Closed) if again => Some(State::LastAck),
            other => other,
        };
    }

    /// What becomes of the receiver.
    fn observe_receiver(&mut self, from: Side, segment: &Segment<'_>, conversation: &Conversation) {
        let to = from.other();
        let (own, peer) = (conversation.sender(from), conversation.sender(to));
        let syn_acked = peer.iss.is_some_and(|iss| peer.snd_una > iss);
        let mut state = self.of(to);
        if segment.is_ack() {
            state = match state {
                Some(State::SynReceived) if syn_acked => Some(State::Established),
                other => other,
            };
            if peer.is_fin_acked() {
                state = match state {
                    Some(State::FinWait1) => Some(State::FinWait2),
                    Some(State::Closing) => Some(State::TimeWait),
                    Some(State::LastAck) => Some(State::Closed),
                    other => other,
                };
            }
        }
        self.sides[to as usize] = state;
        // Where something is known to be lost, the acknowledgment of the FIN will tell.
        let whole = own.contiguous_end == own.snd_nxt && self.hole[from as usize].is_none_or(|end| own.snd_una >= end);
        if own.fin.is_some() && whole && !segment.is_empty() {
            self.receive_fin(to);
        }
    }

    /// A side receives the FIN of the other one, with everything before it.
    fn receive_fin(&mut self, side: Side) {
        let open = self.open[side as usize];
        if core::mem::replace(&mut self.has_fin[side as usize], true) {
            return;
        }
        self.sides[side as usize] = match self.of(side) {
            Some(State::Established | State::SynReceived) => Some(State::CloseWait),
            Some(State::FinWait1) => Some(State::Closing),
            Some(State::FinWait2) => Some(State::TimeWait),
            None if open => Some(State::CloseWait),
            other => other,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Flags, IpView, SegmentTemplate, Seq};
    use crate::time::Instant;

    /// What passes: who sends it, its flags, its relative numbers, bytes of data.
    type Pass = (Side, Flags, u32, u32, usize);

    const L: Side = Side::Local;
    const R: Side = Side::Remote;
    const SYN: Flags = Flags::SYN;
    const ACK: Flags = Flags::ACK;
    const SYN_ACK: Flags = Flags(0x12);
    const FIN: Flags = Flags(0x11);
    const RST: Flags = Flags::RST;

    /// The states after each segment.
    fn states(passes: &[Pass]) -> Vec<String> {
        let ends = ["192.0.2.1:1000", "192.0.2.2:80"].map(|end| end.parse().unwrap());
        let (mut conversation, mut states) = (Conversation::new(), States::default());
        let told = passes.iter().map(|(from, flags, seq, ack, len)| {
            let mut template = SegmentTemplate::new(ends[*from as usize], ends[from.other() as usize]);
            let payload = vec![b'x'; *len];
            (template.flags, template.seq, template.window) = (*flags, Seq(100) + *seq, 1000);
            template.ack = if flags.contains(ACK) { Seq(100) + *ack } else { Seq(0) };
            template.payload = &payload;
            let bytes = template.to_bytes();
            let ip = IpView::parse(&bytes).unwrap();
            let segment = Segment::parse(&ip).unwrap();
            let seen = conversation.observe(Instant::EPOCH, *from, &segment);
            states.observe(*from, &segment, &seen, &conversation, true);
            let name = |side| states.of(side).map_or("?".to_owned(), |state| state.to_string());
            format!("{} {}", name(L), name(R))
        });
        told.collect()
    }

    const OPEN: [Pass; 3] = [(L, SYN, 0, 0, 0), (R, SYN_ACK, 0, 1, 0), (L, ACK, 1, 1, 0)];

    fn after_open(passes: &[Pass]) -> Vec<String> {
        states(&[&OPEN[..], passes].concat()).split_off(3)
    }

    #[test]
    fn a_handshake_goes_as_figure_6_has_it() {
        assert_eq!(states(&OPEN), ["SYN-SENT ?", "ESTABLISHED SYN-RECEIVED", "ESTABLISHED ESTABLISHED"]);
    }

    #[test]
    fn a_simultaneous_open_goes_as_figure_7_has_it() {
        let passes = [(L, SYN, 0, 0, 0), (R, SYN, 0, 0, 0), (L, SYN_ACK, 0, 1, 0), (R, SYN_ACK, 0, 1, 0)];
        let told = states(&passes);
        assert_eq!(told[..2], ["SYN-SENT ?", "SYN-RECEIVED SYN-SENT"]);
        assert_eq!(told[2], "SYN-RECEIVED ESTABLISHED");
    }

    #[test]
    fn a_close_goes_as_figure_12_has_it() {
        let told = after_open(&[(L, FIN, 1, 1, 0), (R, ACK, 1, 2, 0), (R, FIN, 1, 2, 0), (L, ACK, 2, 2, 0)]);
        let expected = ["FIN-WAIT-1 CLOSE-WAIT", "FIN-WAIT-2 CLOSE-WAIT", "TIME-WAIT LAST-ACK", "TIME-WAIT CLOSED"];
        assert_eq!(told, expected);
        // FIN and ACK of the FIN in one segment.
        let told = after_open(&[(L, FIN, 1, 1, 0), (R, FIN, 1, 2, 0), (L, ACK, 2, 2, 0)]);
        assert_eq!(told, ["FIN-WAIT-1 CLOSE-WAIT", "TIME-WAIT LAST-ACK", "TIME-WAIT CLOSED"]);
    }

    #[test]
    fn a_simultaneous_close_goes_as_figure_13_has_it() {
        let told = after_open(&[(L, FIN, 1, 1, 0), (R, FIN, 1, 1, 0), (L, ACK, 2, 2, 0), (R, ACK, 2, 2, 0)]);
        let expected = ["FIN-WAIT-1 CLOSE-WAIT", "CLOSING CLOSING", "CLOSING TIME-WAIT", "TIME-WAIT TIME-WAIT"];
        assert_eq!(told, expected);
    }

    #[test]
    fn who_repeats_itself_has_not_heard_the_answer() {
        let told = states(&[(L, SYN, 0, 0, 0), (R, SYN_ACK, 0, 1, 0), (L, SYN, 0, 0, 0), (R, SYN_ACK, 0, 1, 0)]);
        assert_eq!(told[2..], ["SYN-SENT SYN-RECEIVED", "ESTABLISHED SYN-RECEIVED"]);
        let told = after_open(&[(L, FIN, 1, 1, 0), (R, ACK, 1, 2, 0), (L, FIN, 1, 1, 0), (R, ACK, 1, 2, 0)]);
        assert_eq!(told[1..], ["FIN-WAIT-2 CLOSE-WAIT", "FIN-WAIT-1 CLOSE-WAIT", "FIN-WAIT-2 CLOSE-WAIT"]);
    }

    #[test]
    fn a_fin_beyond_a_hole_has_not_been_received() {
        let told = after_open(&[(L, FIN, 11, 1, 0), (L, ACK, 1, 1, 10)]);
        assert_eq!(told, ["FIN-WAIT-1 ESTABLISHED", "FIN-WAIT-1 CLOSE-WAIT"]);
    }

    #[test]
    fn an_rst_closes_both_sides_and_a_blind_one_neither() {
        assert_eq!(after_open(&[(R, RST, 1, 0, 0)]), ["CLOSED CLOSED"]);
        assert_eq!(after_open(&[(R, RST, 500_000, 0, 0)]), ["ESTABLISHED ESTABLISHED"]);
        assert_eq!(states(&[(L, SYN, 0, 0, 0), (R, Flags(0x14), 0, 1, 0)])[1], "CLOSED CLOSED");
    }

    #[test]
    fn in_the_middle_nothing_is_known_until_both_have_sent_data() {
        let told = states(&[(L, ACK, 5, 9, 0), (L, ACK, 5, 9, 4), (R, ACK, 9, 9, 1), (L, FIN, 9, 10, 0)]);
        assert_eq!(told, ["? ?", "? ?", "ESTABLISHED ESTABLISHED", "FIN-WAIT-1 CLOSE-WAIT"]);
    }
}
