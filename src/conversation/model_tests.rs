//! The conversation against a model that cannot be wrong: the set of all bytes seen, in sequence space that does not
//! wrap; and against segments that make no sense at all.

use proptest::prelude::*;
use std::collections::BTreeSet;

use super::tests::segment;
use super::*;
use crate::rng::Rng;
use crate::segment::{Options, Seq};

/// What the two hosts do.
#[derive(Clone, Debug)]
enum ModelStep {
    /// A segment of `len` bytes, this far from `snd_nxt`.
    Data { offset: i64, len: u64 },
    /// An acknowledgment this far from `snd_una`.
    Ack { offset: i64 },
}

fn step() -> impl Strategy<Value = ModelStep> {
    let near = prop_oneof![Just(0), -40_i64..40, -400_i64..200];
    prop_oneof![
        4 => (near, 1_u64..60).prop_map(|(offset, len)| ModelStep::Data { offset, len }),
        1 => prop_oneof![Just(0_i64), -5_i64..60, 0_i64..300].prop_map(|offset| ModelStep::Ack { offset }),
    ]
}

struct Model {
    seen: BTreeSet<u64>,
    una: u64,
    nxt: u64,
    retries: u32,
    dup_acks: u32,
}

impl Model {
    fn contiguous_end(&self) -> u64 {
        (self.una..self.nxt).find(|byte| !self.seen.contains(byte)).unwrap_or(self.nxt)
    }

    fn data(&mut self, start: u64, len: u64) -> (DataKind, u32) {
        if len == 1 && start + 1 == self.nxt && self.una == self.nxt {
            return (DataKind::KeepAlive, 0);
        }
        let new: Vec<u64> =
            (start..start + len).filter(|byte| *byte >= self.una && !self.seen.contains(byte)).collect();
        let kind = match new.first() {
            _ if start > self.nxt => DataKind::Gap,
            Some(first) if *first == self.nxt => DataKind::New,
            Some(_) => DataKind::OutOfOrder,
            None if start + len <= self.una => DataKind::Duplicate,
            None if start <= self.una => {
                self.retries += 1;
                DataKind::Retransmission { nth: self.retries }
            }
            None => DataKind::Retransmission { nth: 0 },
        };
        self.seen.extend(&new);
        self.nxt = self.nxt.max(start + len);
        (kind, new.len() as u32)
    }

    fn ack(&mut self, ack: u64) -> AckKind {
        if ack > self.nxt {
            AckKind::BeyondSent
        } else if ack < self.una {
            AckKind::Old
        } else if ack > self.una {
            let bytes = (ack - self.una) as u32;
            (self.una, self.retries, self.dup_acks) = (ack, 0, 0);
            AckKind::Advance { bytes }
        } else if self.nxt > self.una {
            self.dup_acks += 1;
            AckKind::Duplicate(self.dup_acks)
        } else {
            AckKind::Plain
        }
    }
}

fn check(iss: u32, irs: u32, steps: &[ModelStep]) -> Result<(), TestCaseError> {
    // The model counts from 2^40 + iss, so that nothing before the SYN is negative.
    let base = (1_u64 << 40) + u64::from(iss);
    let wire = |byte: u64| Seq(byte as u32);
    let (mut talk, irs) = (Conversation::new(), Seq(irs));
    let options = Options { wscale: Some(4), ..Options::default() };
    let feed = |talk: &mut Conversation, from, flags, seq, ack, len: u64| {
        talk.observe(Instant::EPOCH, from, &Segment { options, ..segment(flags, seq, ack, len as usize) })
    };
    feed(&mut talk, Side::Local, Flags::SYN, Seq(iss), Seq(0), 0);
    feed(&mut talk, Side::Remote, Flags::SYN | Flags::ACK, irs, Seq(iss) + 1, 0);
    feed(&mut talk, Side::Remote, Flags::ACK, irs + 1, Seq(iss) + 1, 0);
    let mut model = Model { seen: BTreeSet::from([base]), una: base + 1, nxt: base + 1, retries: 0, dup_acks: 0 };
    for step in steps {
        match *step {
            ModelStep::Data { offset, len } => {
                let start = model.nxt.saturating_add_signed(offset).max(base + 1);
                let expected = model.data(start, len);
                let seen = feed(&mut talk, Side::Local, Flags::ACK, wire(start), irs + 1, len);
                prop_assert_eq!((seen.data, seen.new_bytes), expected, "{:?}", step);
                prop_assert_eq!(seen.end, wire(start + len));
            }
            ModelStep::Ack { offset } => {
                let ack = model.una.saturating_add_signed(offset);
                let expected = model.ack(ack);
                let seen = feed(&mut talk, Side::Remote, Flags::ACK, irs + 1, wire(ack), 0);
                prop_assert_eq!(seen.ack, expected, "{:?}", step);
            }
        }
        let local = talk.sender(Side::Local);
        prop_assert_eq!(
            (local.snd_una, local.contiguous_end, local.snd_nxt),
            (wire(model.una), wire(model.contiguous_end()), wire(model.nxt))
        );
        prop_assert_eq!(local.flight_size(), (model.nxt - model.una) as u32);
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_kind_agrees_with_the_set_of_bytes(
        iss in prop_oneof![any::<u32>(), u32::MAX - 2_000..=u32::MAX, (1_u32 << 31) - 2_000..(1 << 31)],
        irs in any::<u32>(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        check(iss, irs, &steps)?;
    }
}

/// Numbers that hurt: near what is known, half the space away, at the ends.
fn nasty(rng: &mut Rng, near: Seq) -> Seq {
    let jump = [0, 1, 2, 1000, 60_000, 1 << 30, (1 << 30) + 1, (1 << 31) - 1, 1 << 31][rng.below(9) as usize];
    match rng.below(5) {
        0 => Seq(rng.next_u32()),
        1 => near + jump,
        2 => near - jump,
        3 => near + rng.below(3000) as u32,
        _ => near,
    }
}

#[test]
fn nothing_that_can_be_sent_breaks_the_order_of_the_variables() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed, "conversation");
        let mut talk = Conversation::new();
        let midstream = rng.chance(0.5);
        for _ in 0..400 {
            let from = if rng.chance(0.6) { Side::Local } else { Side::Remote };
            let mut flags = Flags(if rng.chance(0.9) { 0x10 } else { rng.next_u32() as u8 });
            if midstream && !rng.chance(0.02) {
                flags = flags.without(Flags::SYN);
            }
            let seq = nasty(&mut rng, talk.sender(from).snd_nxt);
            let ack = nasty(&mut rng, talk.sender(from.other()).snd_nxt);
            let len = [0, 0, 1, 2, 1460, 70_000][rng.below(6) as usize];
            let window = if rng.chance(0.2) { 0 } else { rng.next_u32() as u16 };
            let options = Options { wscale: rng.chance(0.7).then(|| rng.next_u32() as u8), ..Options::default() };
            let seen = talk.observe(
                Instant::from_nanos(rng.next_u64()),
                from,
                &Segment { window, options, ..segment(flags, seq, ack, len) },
            );
            let _ = seen.to_string();
            for side in [Side::Local, Side::Remote] {
                let sender = talk.sender(side);
                let (una, end, nxt) = (sender.snd_una, sender.contiguous_end, sender.snd_nxt);
                assert!(una <= end && end <= nxt, "seed {seed}: {una} {end} {nxt} {seen:?}");
                assert!(sender.flight_size() <= 1 << 30);
                assert!(sender.ranges_beyond_holes() <= ranges::MAX_RANGES);
                assert_eq!(end == nxt, sender.ranges_beyond_holes() == 0, "seed {seed}: {seen:?}");
                assert!(sender.fin.is_none_or(|fin| fin + 1 == nxt));
            }
        }
    }
}
