//! Sets of bytes of a sequence space, and the division of that space into ranges of one kind. `end` keeps them.

/// Ranges that a set has at most. Of more, the highest is forgotten.
pub(super) const MOST: usize = 256;

/// What bytes of a sequence space are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// Below SND.UNA.
    Acknowledged,
    /// Selectively acknowledged (RFC 2018).
    Sacked,
    /// Sent, and known or judged to be lost. What is sent again is in flight again.
    Lost,
    /// Sent, and nothing else is known.
    InFlight,
    /// Not sent, and the window allows it.
    Window,
}

impl Space {
    /// Every kind, in the order of a legend.
    pub const ALL: [Self; 5] = [Self::Acknowledged, Self::Sacked, Self::Lost, Self::InFlight, Self::Window];

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Sacked => "sacked",
            Self::Lost => "lost",
            Self::InFlight => "in-flight",
            Self::Window => "window",
        }
    }
}

/// Bytes of one kind, from `start` up to but not including `end`. The SYN is byte 0, the first byte of data is byte 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first.
    pub start: u64,
    /// The one behind the last.
    pub end: u64,
    /// What they are.
    pub kind: Space,
}

/// Sorted ranges that neither overlap nor touch.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes in the set.
    pub(super) fn bytes(&self) -> u64 {
        self.iter().map(|(start, end)| end - start).sum()
    }

    pub(super) fn add(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        let from = self.0.partition_point(|range| range.1 < start);
        let to = from + self.0[from..].partition_point(|range| range.0 <= end);
        let merged = self.0[from..to].iter().fold((start, end), |all, range| (all.0.min(range.0), all.1.max(range.1)));
        self.0.splice(from..to, [merged]);
        self.0.truncate(MOST);
    }

    pub(super) fn remove(&mut self, start: u64, end: u64) {
        if start >= end || self.0.is_empty() {
            return;
        }
        let from = self.0.partition_point(|range| range.1 <= start);
        let to = from + self.0[from..].partition_point(|range| range.0 < end);
        let rest = |range: &(u64, u64)| [(range.0, range.1.min(start)), (range.0.max(end), range.1)];
        let rest: Vec<_> = self.0[from..to].iter().flat_map(rest).filter(|range| range.0 < range.1).collect();
        self.0.splice(from..to, rest);
        self.0.truncate(MOST);
    }

    /// Takes away what is below `end`; gives how far the set reaches from there without a hole.
    pub(super) fn reach(&mut self, end: u64) -> u64 {
        let reached = self.0.partition_point(|range| range.0 <= end);
        self.0.drain(..reached).fold(end, |end, range| end.max(range.1))
    }
}

/// Divides the space of a direction. `una <= nxt`; the result is in order, without gaps, from 0 to the later of `nxt` and
/// `edge`. A byte in both sets is `SACKed`.
pub(super) fn divide(una: u64, nxt: u64, edge: u64, sacked: &Ranges, lost: &Ranges) -> Vec<Extent> {
    let mut all = Vec::new();
    let mut put = |start: u64, end: u64, kind: Space| {
        if start < end {
            match all.last_mut() {
                Some(Extent { end: last, kind: before, .. }) if *before == kind => *last = end,
                _ => all.push(Extent { start, end, kind }),
            }
        }
    };
    put(0, una, Space::Acknowledged);
    let mut marks: Vec<u64> = sacked.iter().chain(lost.iter()).flat_map(|(start, end)| [start, end]).collect();
    marks.push(nxt);
    marks.retain(|mark| (una..=nxt).contains(mark));
    marks.sort_unstable();
    let (mut at, mut of_sacked, mut of_lost) = (una, sacked.iter().peekable(), lost.iter().peekable());
    for mark in marks {
        if mark <= at {
            continue;
        }
        while of_sacked.next_if(|range| range.1 <= at).is_some() {}
        while of_lost.next_if(|range| range.1 <= at).is_some() {}
        let kind = if of_sacked.peek().is_some_and(|range| range.0 <= at) {
            Space::Sacked
        } else if of_lost.peek().is_some_and(|range| range.0 <= at) {
            Space::Lost
        } else {
            Space::InFlight
        };
        put(at, mark, kind);
        at = mark;
    }
    put(nxt, edge, Space::Window);
    all
}
