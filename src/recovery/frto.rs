//! F-RTO (RFC 5682): finds a spurious retransmission timeout from the ACKs that follow it, without timestamps. After
//! the first ACK that moves SND.UNA two new segments are sent instead of retransmissions; if the next ACK then covers
//! text that was not sent again, the originals are arriving. [`Recovery`](super::Recovery) drives it in the loss phase.

/// RFC 5682, section 2.1, step 2b: "transmit up to two new (previously unsent) segments".
const NEW_SEGMENTS: u8 = 2;

/// Where the algorithm stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Frto {
    /// Not used, or given up: conventional recovery after a timeout.
    #[default]
    Off,
    /// Step 2: the first segment was sent again; waiting for the ACK that moves SND.UNA.
    WaitFirst,
    /// Step 3: up to `left` new segments may still go; waiting for the next ACK.
    WaitSecond {
        /// New segments that may still leave.
        left: u8,
    },
}

/// What an ACK after the timeout looks like.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts of an ACK, each of its own")]
pub struct FrtoAck {
    /// SND.UNA moved.
    pub advanced: bool,
    /// All that was outstanding at the timeout is `ACKed`.
    pub covers_recover: bool,
    /// It delivered text, by ACK or SACK, that was not sent again.
    pub delivers_original: bool,
    /// It is a duplicate ACK (RFC 5681, section 2).
    pub duplicate: bool,
    /// The peer sends SACK.
    pub sack: bool,
    /// There is unsent text that the peer's window admits.
    pub unsent: bool,
}

impl Frto {
    /// Step 1: the timer expired and the first segment is sent again. Not if recovery runs already: the
    /// ACKs are then ambiguous (RFC 5682, section 2.1, step 1).
    pub const fn on_timeout(&mut self, recovering: bool) {
        *self = if recovering { Self::Off } else { Self::WaitFirst };
    }

    /// Takes an ACK. True if the timeout was spurious (RFC 5682, section 2.1 and, with SACK, section 3.1).
    pub fn on_ack(&mut self, ack: &FrtoAck) -> bool {
        match *self {
            Self::Off => false,
            Self::WaitFirst => {
                if ack.advanced {
                    // Step 2a: "the acknowledgment field ... covers the entire window": nothing can be told. Without
                    // new text too.
                    let go_on = !ack.covers_recover && ack.unsent;
                    *self = if go_on { Self::WaitSecond { left: NEW_SEGMENTS } } else { Self::Off };
                } else if ack.duplicate && !ack.sack {
                    // Step 2a: "duplicate ACK". With SACK: "Stay in step 2" (section 3.1).
                    *self = Self::Off;
                }
                false
            }
            Self::WaitSecond { .. } => {
                if ack.delivers_original && (ack.advanced || ack.sack) {
                    // Step 3b: "acknowledges data that was not retransmitted".
                    *self = Self::Off;
                    return true;
                }
                if ack.advanced || ack.duplicate {
                    // Step 3a.
                    *self = Self::Off;
                }
                false
            }
        }
    }

    /// New segments that may go instead of retransmissions.
    pub const fn new_segments(self) -> u8 {
        if let Self::WaitSecond { left } = self { left } else { 0 }
    }

    /// True while retransmissions, but for the first one, wait.
    pub const fn holds_retransmissions(self) -> bool {
        matches!(self, Self::WaitSecond { .. })
    }

    /// A new segment left.
    pub const fn on_new_segment(&mut self) {
        if let Self::WaitSecond { left } = self {
            *left = left.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACK: FrtoAck = FrtoAck {
        advanced: true,
        covers_recover: false,
        delivers_original: false,
        duplicate: false,
        sack: false,
        unsent: true,
    };
    const DUPLICATE: FrtoAck = FrtoAck { advanced: false, duplicate: true, ..ACK };

    fn waiting() -> Frto {
        let mut frto = Frto::default();
        frto.on_timeout(false);
        frto
    }

    #[test]
    fn rfc_5682_section_2_1_two_acks_that_move_snd_una_show_a_spurious_timeout() {
        let mut frto = waiting();
        assert!(!frto.on_ack(&ACK));
        assert_eq!(frto.new_segments(), 2);
        frto.on_new_segment();
        frto.on_new_segment();
        assert_eq!(frto.new_segments(), 0);
        assert!(frto.holds_retransmissions());
        assert!(frto.on_ack(&FrtoAck { delivers_original: true, ..ACK }));
        assert_eq!(frto, Frto::Off);
    }

    #[test]
    fn rfc_5682_section_2_1_a_duplicate_ack_in_either_step_means_conventional_recovery() {
        let mut frto = waiting();
        assert!(!frto.on_ack(&DUPLICATE));
        assert_eq!(frto, Frto::Off);
        let mut frto = waiting();
        frto.on_ack(&ACK);
        assert!(!frto.on_ack(&DUPLICATE));
        assert_eq!(frto, Frto::Off);
    }

    #[test]
    fn rfc_5682_section_2_1_an_ack_of_everything_or_nothing_to_send_ends_it() {
        for ack in [FrtoAck { covers_recover: true, ..ACK }, FrtoAck { unsent: false, ..ACK }] {
            let mut frto = waiting();
            assert!(!frto.on_ack(&ack));
            assert_eq!(frto, Frto::Off);
        }
    }

    #[test]
    fn rfc_5682_section_3_1_with_sack_duplicate_acks_are_waited_out_and_a_sack_of_an_original_counts() {
        let mut frto = waiting();
        assert!(!frto.on_ack(&FrtoAck { sack: true, ..DUPLICATE }));
        assert_eq!(frto, Frto::WaitFirst);
        frto.on_ack(&FrtoAck { sack: true, ..ACK });
        assert!(frto.on_ack(&FrtoAck { sack: true, delivers_original: true, ..DUPLICATE }));
    }

    #[test]
    fn rfc_5682_section_2_1_it_is_not_used_for_a_second_timeout() {
        let mut frto = Frto::default();
        frto.on_timeout(true);
        assert_eq!(frto, Frto::Off);
    }
}
