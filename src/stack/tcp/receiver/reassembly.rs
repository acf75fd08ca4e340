//! Which text beyond a hole has arrived (RFC 9293, section 3.10.7.4, seventh), and the order of SACK blocks (RFC 2018,
//! section 4). The bytes lie in the receive buffer. [`Receiver`](super::Receiver) calls it.

use crate::recovery::seldom::Unchanged;

/// Ranges that are kept at most. Text that would begin another one is dropped; it is acknowledged all the same.
pub(super) const MAX_RANGES: usize = 2_048;

/// A SACK option has at most four blocks (RFC 2018, section 3).
const RECENT: usize = 4;

/// Ranges of positions, in order and apart from each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Reassembly {
    ranges: Vec<(u64, u64)>,
    /// A position in each of the ranges that changed last, the last one first.
    recent: [u64; RECENT],
    recent_len: usize,
}

impl Unchanged for Reassembly {
    const UNCHANGED: &'static Self = &Self { ranges: Vec::new(), recent: [0; RECENT], recent_len: 0 };
}

impl Reassembly {
    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The index of the first range that ends at or behind `at`.
    fn index(&self, at: u64) -> usize {
        // New text mostly lies behind all that is there.
        match self.ranges.last() {
            Some((_, end)) if *end < at => self.ranges.len(),
            _ => self.ranges.partition_point(|(_, end)| *end < at),
        }
    }

    /// The first part of the range from `from` to `to` that has arrived already.
    pub(super) fn overlap(&self, from: u64, to: u64) -> Option<(u64, u64)> {
        let first = self.index(from + 1);
        let (begin, end) = *self.ranges.get(first)?;
        (begin < to).then(|| (begin.max(from), end.min(to)))
    }

    /// Adds a range. False if there are too many.
    pub(super) fn insert(&mut self, from: u64, to: u64) -> bool {
        let first = self.index(from);
        let mut last = first;
        let (mut begin, mut end) = (from, to);
        while let Some(range) = self.ranges.get(last)
            && range.0 <= to
        {
            (begin, end) = (begin.min(range.0), end.max(range.1));
            last += 1;
        }
        if first == last {
            if self.ranges.len() >= MAX_RANGES {
                return false;
            }
            self.ranges.insert(first, (from, to));
        } else {
            self.ranges[first] = (begin, end);
            self.ranges.drain(first + 1..last);
        }
        self.touch(from);
        true
    }

    /// RCV.NXT has reached `nxt`. Returns where it stands after the ranges that this joins.
    pub(super) fn advance(&mut self, mut nxt: u64) -> u64 {
        let joined = self.ranges.iter().take_while(|(begin, _)| *begin <= nxt).count();
        let mut count = 0;
        for (_, end) in &self.ranges[..joined] {
            nxt = nxt.max(*end);
            count += 1;
        }
        // A range that began behind the first `nxt` may begin at the new one.
        while let Some((begin, end)) = self.ranges.get(count)
            && *begin <= nxt
        {
            nxt = nxt.max(*end);
            count += 1;
        }
        self.ranges.drain(..count);
        let kept = self.recent_len;
        let mut len = 0;
        for at in 0..kept {
            if self.recent[at] >= nxt {
                self.recent[len] = self.recent[at];
                len += 1;
            }
        }
        self.recent_len = len;
        nxt
    }

    /// The range with the position `at` changed last.
    fn touch(&mut self, at: u64) {
        let range = self.range_of(at);
        let mut len = 1;
        let mut recent = [at; RECENT];
        for old in &self.recent[..self.recent_len] {
            if len < RECENT && self.range_of(*old) != range {
                recent[len] = *old;
                len += 1;
            }
        }
        (self.recent, self.recent_len) = (recent, len);
    }

    fn range_of(&self, at: u64) -> Option<(u64, u64)> {
        self.ranges.get(self.index(at + 1)).copied().filter(|(begin, _)| *begin <= at)
    }

    /// The ranges that changed last, the last one first (RFC 2018, section 4).
    pub(super) fn recent(&self) -> impl Iterator<Item = (u64, u64)> {
        self.recent[..self.recent_len].iter().filter_map(|at| self.range_of(*at))
    }

    pub(super) const fn recent_len(&self) -> usize {
        self.recent_len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::collections::BTreeSet;

    #[test]
    fn rfc_2018_section_4_the_block_of_the_newest_segment_is_first() {
        let mut reassembly = Reassembly::default();
        for at in [100, 300, 500, 700, 900] {
            assert!(reassembly.insert(at, at + 100));
        }
        assert_eq!(reassembly.recent().collect::<Vec<_>>(), [(900, 1000), (700, 800), (500, 600), (300, 400)]);
        reassembly.insert(400, 450);
        assert_eq!(reassembly.recent().collect::<Vec<_>>(), [(300, 450), (900, 1000), (700, 800), (500, 600)]);
        reassembly.insert(600, 700);
        assert_eq!(reassembly.recent().collect::<Vec<_>>(), [(500, 800), (300, 450), (900, 1000)]);
        assert_eq!(reassembly.advance(300), 450);
        assert_eq!(reassembly.recent().collect::<Vec<_>>(), [(500, 800), (900, 1000)]);
    }

    #[test]
    fn one_range_more_than_the_limit_is_refused() {
        let mut reassembly = Reassembly::default();
        for at in 1..=MAX_RANGES as u64 {
            assert!(reassembly.insert(at * 10, at * 10 + 5));
        }
        assert!(!reassembly.insert(5, 6));
        assert!(reassembly.insert(15, 16), "what joins a range is taken");
    }

    #[test]
    fn ranges_equal_a_set_of_positions_over_random_histories() {
        for seed in 0..300 {
            let mut rng = Rng::new(seed, "reassembly");
            let (mut reassembly, mut set, mut nxt) = (Reassembly::default(), BTreeSet::new(), 0_u64);
            for _ in 0..60 {
                let from = nxt + rng.below(60);
                let to = from + 1 + rng.below(12);
                let expected = (from..to)
                    .find(|at| set.contains(at))
                    .map(|begin| (begin, (begin..to).find(|at| !set.contains(at)).unwrap_or(to)));
                assert_eq!(reassembly.overlap(from, to), expected, "seed {seed}");
                if from == nxt {
                    nxt = reassembly.advance(to);
                    let mut naive = to;
                    while set.contains(&naive) {
                        naive += 1;
                    }
                    assert_eq!(nxt, naive, "seed {seed}");
                    set.retain(|at| *at >= nxt);
                } else {
                    reassembly.insert(from, to);
                    set.extend(from..to);
                }
                let covered: BTreeSet<u64> = reassembly.ranges.iter().flat_map(|(begin, end)| *begin..*end).collect();
                assert_eq!(covered, set, "seed {seed}");
                assert!(reassembly.ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "seed {seed}: apart");
                assert_eq!(reassembly.recent().count(), reassembly.recent_len, "seed {seed}");
            }
        }
    }
}
