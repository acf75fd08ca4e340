//! Limited transmit (RFC 3042): the first two duplicate ACKs each let one new segment go, so that a small window still
//! draws enough duplicate ACKs for a fast retransmit. Needed without SACK only: with SACK `pipe` shrinks by what was
//! `SACKed`, and the same segments go (RFC 6675, section 5, step 3).

/// RFC 3042, section 2: "the amount of outstanding data would remain less than or equal to the congestion window plus 2
/// segments".
const SEGMENTS: u32 = 2;

/// How far the flight may exceed cwnd, in bytes, after `dup_acks` duplicate ACKs. It is added to cwnd before the flight
/// is subtracted: a flight beyond cwnd uses it up.
pub fn extra_window(dup_acks: u32, mss: u64) -> u64 {
    u64::from(dup_acks.min(SEGMENTS)) * mss
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3042_section_2_two_duplicate_acks_let_one_segment_go_each_and_the_third_none() {
        assert_eq!([0, 1, 2, 3].map(|dup_acks| extra_window(dup_acks, 1_000)), [0, 1_000, 2_000, 2_000]);
    }
}
