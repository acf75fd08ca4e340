//! Undo: was what recovery sent again needed at all? By timestamps (Eifel, RFC 3522 and 4015) or by DSACK (RFC 2883,
//! 3708). [`Recovery`](super::Recovery) begins an episode with each congestion event, reports retransmissions and ACKs,
//! and asks for the verdict. F-RTO, the third way, is in [`frto`](super::frto).

use super::timestamps::TsClock;
use crate::segment::{SackBlock, Seq};
use crate::time::Instant;

/// Why a congestion event proved to be none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoReason {
    /// The echo named the original (RFC 3522, section 3.2).
    Timestamps,
    /// Each retransmission was reported as a duplicate (RFC 3708, section 2).
    Dsack,
    /// Originals were `ACKed` after the timeout (RFC 5682).
    Frto,
}

/// The last congestion event and what is known of it. RFC 4015, section 3.2: "`pipe_prev`" and the like are the
/// controller's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Undo {
    episode: Option<Episode>,
}

#[derive(Clone, Copy, Debug)]
struct Episode {
    began_at: Instant,
    /// SND.UNA and SND.NXT at that time.
    start: Seq,
    end: Seq,
    /// When the last text before it had left.
    last_original_at: Instant,
    /// `RetransmitTS` of RFC 3522: when the first retransmission left.
    first_resent_at: Option<Instant>,
    /// Retransmissions that no DSACK has named.
    unproven: u32,
    /// The echo showed that an original had arrived, not its retransmission.
    original_seen: bool,
    /// The echo showed that a retransmission had been needed.
    real: bool,
}

impl Undo {
    pub(super) const NONE: Self = Self { episode: None };

    /// A congestion event. `in_flight`: retransmissions that are in flight already, those of a tail loss probe.
    pub const fn begin(&mut self, now: Instant, start: Seq, end: Seq, last_original_at: Instant, in_flight: u32) {
        self.episode = Some(Episode {
            began_at: now,
            start,
            end,
            last_original_at,
            first_resent_at: None,
            unproven: in_flight,
            original_seen: false,
            real: false,
        });
    }

    /// There is nothing to undo.
    pub const fn end(&mut self) {
        self.episode = None;
    }

    /// Since when retransmissions count for the verdict.
    pub fn began_at(&self) -> Option<Instant> {
        self.episode.map(|episode| episode.began_at)
    }

    /// A retransmission of text from `seq` on leaves.
    pub fn on_resent(&mut self, now: Instant, seq: Seq) {
        if let Some(episode) = self.episode.as_mut().filter(|episode| seq < episode.end) {
            episode.first_resent_at = episode.first_resent_at.or(Some(now));
            episode.unproven += 1;
        }
    }

    /// A DSACK came. RFC 3708, section 2, step B: it must name a segment that was sent again.
    pub fn on_dsack(&mut self, dsack: SackBlock) {
        if let Some(episode) = &mut self.episode
            && dsack.left >= episode.start
            && dsack.right <= episode.end
        {
            episode.unproven = episode.unproven.saturating_sub(1);
        }
    }

    /// SND.UNA moved over a unit that had been resent, and the ACK echoes `ts_ecr`.
    ///
    /// RFC 3522, section 3.2, step 4: "If the value of the Timestamp Echo Reply field of the acceptable ACK ... is
    /// smaller than the value of `RetransmitTS`", the original arrived. Linux asks for each partial ACK, not for the
    /// first one only; so do we.
    pub fn on_resent_acked(&mut self, clock: &TsClock, ts_ecr: u32) {
        let Some(episode) = &mut self.episode else { return };
        let Some(resent_at) = episode.first_resent_at else { return };
        if clock.at(episode.last_original_at) == clock.at(resent_at) {
            // Original and retransmission left in the same tick: the echo says nothing.
            return;
        }
        if clock.is_older(ts_ecr, resent_at) {
            episode.original_seen = true;
        } else {
            episode.real = true;
        }
    }

    /// Whether the event was none. `in_flight`: retransmissions since [`began_at`](Self::began_at) that are in flight.
    ///
    /// One spurious retransmission is not enough: as long as another one is out, or once one proved needed, there is
    /// loss.
    pub fn verdict(&self, in_flight: impl FnOnce() -> u32) -> Option<UndoReason> {
        let episode = self.episode.as_ref()?;
        if episode.real || episode.first_resent_at.is_none() {
            None
        } else if episode.unproven == 0 {
            Some(UndoReason::Dsack)
        } else if episode.original_seen && in_flight() == 0 {
            Some(UndoReason::Timestamps)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    fn clock() -> TsClock {
        TsClock::new(7, Duration::from_millis(1))
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn begun() -> Undo {
        let mut undo = Undo::default();
        undo.begin(at(100), Seq(0), Seq(10_000), at(99), 0);
        undo.on_resent(at(100), Seq(0));
        undo
    }

    fn block(left: u32, right: u32) -> SackBlock {
        SackBlock { left: Seq(left), right: Seq(right) }
    }

    #[test]
    fn rfc_3522_section_3_2_an_echo_older_than_the_first_retransmission_is_the_originals() {
        let mut undo = begun();
        assert_eq!(undo.verdict(|| 0), None);
        undo.on_resent_acked(&clock(), clock().at(at(50)));
        assert_eq!(undo.verdict(|| 0), Some(UndoReason::Timestamps));
        assert_eq!(undo.verdict(|| 1), None, "another retransmission is outstanding");
    }

    #[test]
    fn an_echo_of_a_retransmission_proves_the_loss_for_good() {
        let mut undo = begun();
        undo.on_resent_acked(&clock(), clock().at(at(100)));
        undo.on_resent_acked(&clock(), clock().at(at(50)));
        undo.on_dsack(block(0, 1_000));
        assert_eq!(undo.verdict(|| 0), None);
    }

    #[test]
    fn an_echo_says_nothing_when_both_left_in_the_same_tick() {
        let mut undo = Undo::default();
        undo.begin(at(100), Seq(0), Seq(10_000), at(100), 0);
        undo.on_resent(at(100), Seq(0));
        undo.on_resent_acked(&clock(), clock().at(at(100)));
        assert_eq!(undo.verdict(|| 0), None);
        undo.on_dsack(block(0, 1_000));
        assert_eq!(undo.verdict(|| 0), Some(UndoReason::Dsack));
    }

    #[test]
    fn rfc_3708_section_2_each_retransmission_must_be_named_by_a_dsack() {
        let mut undo = begun();
        undo.on_resent(at(101), Seq(5_000));
        undo.on_dsack(block(0, 1_000));
        assert_eq!(undo.verdict(|| 0), None);
        undo.on_dsack(block(10_000, 11_000));
        assert_eq!(undo.verdict(|| 0), None, "not of this episode");
        undo.on_dsack(block(5_000, 6_000));
        assert_eq!(undo.verdict(|| 0), Some(UndoReason::Dsack));
        undo.end();
        assert_eq!(undo.verdict(|| 0), None);
    }
}
