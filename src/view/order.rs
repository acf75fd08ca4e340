//! The order of the rows in the ladder of a run. A segment whose arrival is the next thing that happens is one arrow. If
//! something else happens while it is on its way, its arrow slopes: it leaves in one row, and arrives in a later one.

use super::arrows::Arrival;
use super::label;
use crate::conversation::Side;
use crate::event::HostId;
use crate::time::Instant;
use crate::trace::{Content, Flow, SegmentStep, Step};

/// What has a place in a ladder.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// A step. `slopes` says that the arrival of the segment is an item of its own.
    Step { step: Step, slopes: bool },
    /// A segment arrives.
    Arrival { at: Instant, flow: usize, arrival: Arrival, ordinary: bool },
}

impl From<Step> for Item {
    fn from(step: Step) -> Self {
        Self::Step { step, slopes: false }
    }
}

/// A place among the steps of the run: arrivals come before the step that has their number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    number: u64,
    /// The step itself, not an arrival before it.
    is_step: bool,
    at: Instant,
    /// Which of the steps.
    step: usize,
    /// Which arrival of it: 0, or a later one for copies.
    nth: usize,
}

/// The steps of a flow, each with its number in the run, and between them the arrivals that need rows of their own.
pub(super) fn in_order(steps: &[(u64, &Step)], flow: &Flow, is_ordinary: impl Fn(&SegmentStep) -> bool) -> Vec<Item> {
    let mut places = Vec::with_capacity(2 * steps.len());
    for (step, (number, content)) in steps.iter().enumerate() {
        places.push(Place { number: *number, is_step: true, at: content.at, step, nth: 0 });
        if let Content::Segment(segment) = &content.content {
            let arrivals = arrivals(segment, flow.hosts);
            let place = |(nth, (number, at))| Place { number, is_step: false, at, step, nth };
            places.extend(arrivals.enumerate().map(place));
        }
    }
    places.sort();
    let slopes = sloping(steps, &places);
    let item = |place: &Place| {
        let step = steps[place.step].1;
        let slopes = slopes[place.step];
        if place.is_step {
            return Some(Item::Step { step: step.clone(), slopes });
        }
        let Content::Segment(segment) = &step.content else { return None };
        let copy = place.nth > 0;
        (slopes || copy).then(|| Item::Arrival {
            at: place.at,
            flow: flow.number,
            arrival: Arrival {
                from: segment.from,
                label: label::arrival(segment, copy),
                tag: segment.tag,
                again: label::is_again(segment),
                manner: label::manner(segment, segment.tag),
            },
            ordinary: is_ordinary(segment),
        })
    };
    places.iter().filter_map(item).collect()
}

/// When a segment comes to the other end, and how many steps there are by then.
fn arrivals(segment: &SegmentStep, hosts: [Option<HostId>; 2]) -> impl Iterator<Item = (u64, Instant)> {
    let end = hosts[segment.from.other() as usize];
    let path = segment.path.iter().filter(move |passage| end == Some(passage.host));
    path.map(|passage| (passage.behind, passage.at))
}

/// Which arrows slope: those with a row between their two ends. What happens at the instant at which the segment leaves
/// does not count, unless it is another arrow.
fn sloping(steps: &[(u64, &Step)], places: &[Place]) -> Vec<bool> {
    let mut arrives = vec![None; steps.len()];
    for (at, place) in places.iter().enumerate().filter(|(_, place)| !place.is_step && place.nth == 0) {
        arrives[place.step] = Some(at);
    }
    let mut slopes = vec![false; steps.len()];
    for (at, place) in places.iter().enumerate().filter(|(_, place)| place.is_step) {
        let Some(end) = arrives[place.step].filter(|end| *end > at) else { continue };
        let has_row = |between: &Place| match (between.is_step, &steps[between.step].1.content) {
            (true, Content::Segment(_) | Content::Packet(_)) => true,
            (true, _) => between.at > place.at,
            (false, _) => between.nth > 0 || slopes[between.step],
        };
        slopes[place.step] = places[at + 1..end].iter().any(has_row);
    }
    slopes
}

/// The routers between the ends of a flow, from left to right: those on the longest way that a packet of it has taken.
pub(super) fn routers(steps: &[(u64, &Step)], flow: &Flow) -> Vec<HostId> {
    let mut longest = Vec::new();
    for (_, step) in steps {
        let Content::Segment(segment) = &step.content else { continue };
        let mut way = Vec::new();
        for host in segment.path.iter().map(|passage| passage.host) {
            if !flow.hosts.contains(&Some(host)) && !way.contains(&host) {
                way.push(host);
            }
        }
        if segment.from == Side::Remote {
            way.reverse();
        }
        if way.len() > longest.len() {
            longest = way;
        }
    }
    longest
}
