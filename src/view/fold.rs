//! Long runs of a ladder: of many segments in a row about which nothing special can be said, the first and the last are
//! drawn, and one line says how many there are between them.

use std::collections::VecDeque;

use super::order::Item;
use crate::conversation::{AckKind, DataKind, Kind};
use crate::time::Instant;
use crate::trace::{Content, SegmentStep};

/// Steps of a run that are drawn at its beginning.
const HEAD: usize = 6;
/// Steps of a run that are drawn at its end.
const TAIL: usize = 4;
/// Fewer than this many are not worth a line that says so.
const LEAST: usize = 4;

/// What there is to draw next.
#[derive(Debug)]
pub(super) enum Drawn {
    Item(Item),
    Fold(Fold),
}

/// Steps that are not drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fold {
    data: u64,
    bytes: u64,
    acks: u64,
    duplicate_acks: u64,
    calls: u64,
    first: Instant,
    last: Instant,
}

impl Fold {
    fn take(&mut self, item: &Item) {
        let at = match item {
            Item::Step { step, .. } => step.at,
            Item::Arrival { at, .. } => *at,
        };
        if *self == Self::default() {
            self.first = at;
        }
        self.last = at;
        // What arrives has left, and was counted then.
        let Item::Step { step, .. } = item else { return };
        match &step.content {
            Content::Segment(segment) if segment.payload > 0 => {
                self.data += 1;
                self.bytes += segment.payload as u64;
            }
            Content::Segment(segment) if is_duplicate_ack(segment) => self.duplicate_acks += 1,
            Content::Segment(_) => self.acks += 1,
            _ => self.calls += 1,
        }
    }

    /// `24 segments with 34752 bytes of data, 12 ACKs and 3 calls in 0.5 s left out; --all shows them`
    pub(super) fn words(&self) -> String {
        let Self { data, bytes, acks, duplicate_acks, calls, first, last } = *self;
        let mut parts = Vec::new();
        let mut part = |count: u64, one: &str, many: &str, more: String| {
            if count > 0 {
                parts.push(format!("{count} {}{more}", if count == 1 { one } else { many }));
            }
        };
        part(data, "segment", "segments", format!(" with {bytes} bytes of data"));
        part(acks, "ACK", "ACKs", String::new());
        part(duplicate_acks, "duplicate ACK", "duplicate ACKs", String::new());
        part(calls, "call", "calls", String::new());
        let last_part = parts.pop().unwrap_or_else(|| "arrivals".to_owned());
        let what = if parts.is_empty() { last_part } else { format!("{} and {last_part}", parts.join(", ")) };
        let mut time = String::new();
        crate::annotate::write_duration(&mut time, last.max(first) - first);
        format!("{what} in {time} left out; --all shows them")
    }
}

/// Takes items in and gives out what is to be drawn.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// Nothing is folded.
    all: bool,
    /// Steps of the run so far that were drawn.
    drawn: usize,
    /// The last steps of the run, which are drawn when it ends.
    held: VecDeque<Item>,
    fold: Option<Fold>,
}

impl Folder {
    pub(super) fn new(all: bool) -> Self {
        Self { all, ..Self::default() }
    }

    /// The next item. `draw` is called for what is to be drawn now.
    pub(super) fn take(&mut self, item: Item, mut draw: impl FnMut(Drawn)) {
        if self.all || !is_ordinary(&item) {
            self.end_run(&mut draw);
            return draw(Drawn::Item(item));
        }
        if self.drawn < HEAD {
            self.drawn += 1;
            return draw(Drawn::Item(item));
        }
        self.held.push_back(item);
        if self.fold.is_some() || self.held.len() >= TAIL + LEAST {
            let fold = self.fold.get_or_insert_default();
            while self.held.len() > TAIL
                && let Some(item) = self.held.pop_front()
            {
                fold.take(&item);
            }
        }
    }

    /// The run ends: what is left of it is drawn.
    pub(super) fn end_run(&mut self, mut draw: impl FnMut(Drawn)) {
        if let Some(fold) = self.fold.take() {
            draw(Drawn::Fold(fold));
        }
        while let Some(item) = self.held.pop_front() {
            draw(Drawn::Item(item));
        }
        self.drawn = 0;
    }
}

/// Whether nothing special can be said of a step: data in order, an ACK that moves forward, a call that went well.
fn is_ordinary(item: &Item) -> bool {
    let step = match item {
        Item::Arrival { ordinary, .. } => return *ordinary,
        Item::Step { step, .. } => step,
    };
    match &step.content {
        Content::Segment(segment) => is_ordinary_segment(segment),
        Content::Call { call, result: Ok(_), .. } => !matches!(*call, "connect" | "accept" | "shutdown" | "close"),
        _ => false,
    }
}

/// Data in order, or an ACK that moves forward.
pub(super) fn is_ordinary_segment(segment: &SegmentStep) -> bool {
    use crate::segment::Flags;
    let control = segment.flags.intersects(Flags::SYN | Flags::FIN | Flags::RST);
    let Some(seen) = segment.seen.filter(|_| !control && segment.tag.is_none() && segment.behind.is_none()) else {
        return false;
    };
    if is_duplicate_ack(segment) {
        // The first three of a row tell what happens.
        return matches!(seen.ack, AckKind::Duplicate(4..));
    }
    let plain = segment.kinds.iter().all(|kind| kind == Kind::WindowUpdate);
    plain && matches!(seen.data, DataKind::None | DataKind::New) && segment.window > 0
}

fn is_duplicate_ack(segment: &SegmentStep) -> bool {
    segment.payload == 0 && segment.seen.is_some_and(|seen| matches!(seen.ack, AckKind::Duplicate(_)))
}
