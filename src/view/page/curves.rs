//! Curves that rows do not tell: samples of the round-trip time, and the lengths of the queues of links. They are filled
//! while a run happens, or from the steps of a capture. All other curves of a page are drawn from its rows.

use super::super::model::Model;
use super::super::series::{Happening, Links, Sample, Sampler};
use super::columns::Object;
use crate::event::LinkId;
use crate::trace::Trace;

/// Points of each kind that are kept.
const MOST: usize = 200_000;

/// Round-trip times and queues, in the order of time.
#[derive(Default)]
pub(crate) struct Curves {
    sampler: Sampler,
    /// Nanoseconds, flow, side, nanoseconds.
    rtt: Vec<[i64; 4]>,
    /// Nanoseconds, place in `links`, packets, bytes.
    queue: Vec<[i64; 4]>,
    links: Vec<(LinkId, String)>,
}

impl Curves {
    /// Those of a capture.
    pub(crate) fn of_capture(model: &Model) -> Self {
        let mut curves = Self::default();
        for step in model.steps() {
            let Self { sampler, rtt, .. } = &mut curves;
            sampler.step(&model.trace, step, |sample| take_rtt(rtt, &sample));
        }
        curves
    }

    /// Takes what happens in a run.
    pub(crate) fn happening(&mut self, trace: &Trace, links: &Links, happening: &Happening) {
        let Self { sampler, rtt, queue, links: known } = self;
        let take = |sample: Sample| {
            take_rtt(rtt, &sample);
            if let Sample::Queue(point) = sample
                && queue.len() < MOST
            {
                let place = known.iter().position(|(link, _)| *link == point.link).unwrap_or_else(|| {
                    known.push((point.link, links.name(trace, point.link)));
                    known.len() - 1
                });
                queue.push([point.time, place as i64, point.packets as i64, point.bytes as i64]);
            }
        };
        match happening {
            Happening::Step(step) => sampler.step(trace, step, take),
            Happening::Arrived { at, packet } => sampler.arrived(trace, *at, *packet, take),
            Happening::End => sampler.finish(take),
        }
    }

    /// The end of a run: links are named when both of their ends are known.
    pub(crate) fn finish(&mut self, trace: &Trace, links: &Links) {
        self.links.iter_mut().for_each(|(link, name)| *name = links.name(trace, *link));
    }

    pub(super) fn links(&self) -> Vec<&str> {
        self.links.iter().map(|(_, name)| name.as_str()).collect()
    }

    pub(super) fn rtt(&self) -> Object {
        let mut object = Object::new();
        object.differences("t", self.rtt.iter().map(|point| point[0]));
        object.column("f", self.rtt.iter().map(|point| point[1]));
        object.column("s", self.rtt.iter().map(|point| point[2]));
        object.differences("v", self.rtt.iter().map(|point| point[3]));
        object
    }

    pub(super) fn queue(&self) -> Object {
        let mut object = Object::new();
        object.differences("t", self.queue.iter().map(|point| point[0]));
        object.column("l", self.queue.iter().map(|point| point[1]));
        object.differences("p", self.queue.iter().map(|point| point[2]));
        object.differences("b", self.queue.iter().map(|point| point[3]));
        object
    }
}

fn take_rtt(rtt: &mut Vec<[i64; 4]>, sample: &Sample) {
    if let Sample::Rtt(point) = sample
        && let Some(time) = point.sample
        && rtt.len() < MOST
    {
        rtt.push([point.time, point.flow as i64, point.side as i64, time.as_nanos() as i64]);
    }
}
