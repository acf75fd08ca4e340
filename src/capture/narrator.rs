//! The words of a capture without a file: what a packet is, for a ladder. Whoever asks says which end of a connection
//! stands on the local side; for the rest it is what the scribe does.

use core::net::SocketAddr;

use super::Comments;
use super::comment::{self, Subject};
use super::flows::{Ends, Flow, FlowTable};
use crate::conversation::{Seen, Side};
use crate::event::Fate;
use crate::segment::Segment;
use crate::time::Instant;

/// Says what packets are, one after the other.
#[derive(Default)]
pub(crate) struct Narrator {
    flows: FlowTable,
    text: String,
}

/// What there is to say of one packet.
pub(crate) struct Told<'a> {
    /// The comment.
    pub(crate) text: &'a str,
    /// What the segment is and the connection that has seen it; `None` if no connection has.
    pub(crate) segment: Option<(Seen, &'a Flow)>,
}

impl Narrator {
    /// Says what a packet is that the `from` side of its connection sent.
    pub(crate) fn tell(&mut self, at: Instant, from: Side, bytes: &[u8], verify: bool, fate: Option<Fate>) -> Told<'_> {
        self.text.clear();
        let subject = Subject { at, from, bytes, verify, fate };
        let segment = comment::write(&mut self.text, Comments::Brief, &mut self.flows, &subject);
        Told { text: &self.text, segment }
    }

    /// Has the connection between `ends`, the local one first, see a segment, without a word.
    pub(crate) fn follow(
        &mut self,
        at: Instant,
        from: Side,
        ends: [SocketAddr; 2],
        segment: &Segment<'_>,
    ) -> (Seen, &Flow) {
        let flow = self.flows.flow(Ends { local: ends[0], remote: ends[1] });
        (flow.observe(at, from, segment), flow)
    }

    /// The kind of fate that a comment of ours tells of. Its numbers are not looked for.
    pub(crate) fn fate_in(comment: &str) -> Option<Fate> {
        comment::fate_in(comment)
    }

    /// What a link does to a packet.
    pub(crate) fn fate_words(fate: Fate) -> String {
        comment::fate_words(fate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ChannelState, DropReason, Flip};
    use crate::time::Duration;

    #[test]
    fn the_fate_in_a_comment_is_found_again() {
        let at = Instant::EPOCH;
        let fates = [
            Fate::Reorder(at),
            Fate::Overtake(at),
            Fate::Duplicate(at),
            Fate::Corrupt(Flip { at, byte: 9, bit: 1 }),
            Fate::Drop(DropReason::Loss),
            Fate::Drop(DropReason::BurstLoss(ChannelState::Bad)),
            Fate::Drop(DropReason::Fault),
            Fate::Drop(DropReason::QueueFull),
            Fate::Drop(DropReason::LinkDown { until: Duration::from_secs(2) }),
            Fate::Drop(DropReason::TooBig),
            Fate::Drop(DropReason::NoRoute),
            Fate::Drop(DropReason::Malformed),
        ];
        for fate in fates {
            let comment = format!("data 1:2; snd_una 1, snd_nxt 2; {}", Narrator::fate_words(fate));
            let found = Narrator::fate_in(&comment).unwrap_or_else(|| panic!("{comment}"));
            assert_eq!(core::mem::discriminant(&found), core::mem::discriminant(&fate), "{comment}");
        }
        assert_eq!(Narrator::fate_words(Fate::Deliver(at)), "");
        assert!(Narrator::fate_in("data 1:2; snd_una 1, snd_nxt 2").is_none());
    }
}
