//! Ranges of positions in a stream, apart from each other and in order. `flow` keeps in them what was received and what
//! the peer `SACKed`.

/// From a position up to but not including another one, many of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges(Vec<(i64, i64)>);

impl Ranges {
    /// Adds a range and joins what it touches.
    pub(super) fn insert(&mut self, from: i64, to: i64) {
        if from >= to {
            return;
        }
        let (mut begin, mut end) = (from, to);
        self.0.retain(|range| {
            let apart = range.1 < from || to < range.0;
            if !apart {
                (begin, end) = (begin.min(range.0), end.max(range.1));
            }
            apart
        });
        let at = self.0.partition_point(|range| range.0 < begin);
        self.0.insert(at, (begin, end));
    }

    /// Takes away what lies before `at`.
    pub(super) fn cut_before(&mut self, at: i64) {
        self.0.retain_mut(|range| {
            range.0 = range.0.max(at);
            range.0 < range.1
        });
    }

    /// True if all of the range lies in one of these.
    pub(super) fn covers(&self, from: i64, to: i64) -> bool {
        self.0.iter().any(|range| range.0 <= from && to <= range.1)
    }

    /// The parts of this range that lie in one of these.
    pub(super) fn overlaps(&self, from: i64, to: i64) -> Vec<(i64, i64)> {
        let parts = self.0.iter().map(|range| (range.0.max(from), range.1.min(to)));
        parts.filter(|part| part.0 < part.1).collect()
    }

    pub(super) fn first(&self) -> Option<(i64, i64)> {
        self.0.first().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
