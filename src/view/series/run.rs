//! The steps of a run, and when packets arrive. What a link behind a router does to a packet is known only after it was
//! sent, so steps are handed on some thousands of steps later.

use std::collections::{BTreeMap, VecDeque};

use crate::event::{Event, HostId, LinkId, Observer};
use crate::time::Instant;
use crate::trace::{Step, Trace};

/// Steps that are held back.
const HELD: u64 = 1 << 14;
/// Links whose ends are known.
const MOST_LINKS: usize = 1 << 12;

/// What comes next in a run.
#[derive(Debug)]
pub enum Happening {
    /// A step of the trace.
    Step(Step),
    /// A packet was delivered to a host.
    Arrived {
        /// When.
        at: Instant,
        /// The number of the packet.
        packet: u64,
    },
    /// The run has ended.
    End,
}

/// Which nodes a direction of a link joins.
#[derive(Debug, Default)]
pub struct Links(BTreeMap<LinkId, (HostId, Option<HostId>)>);

impl Links {
    /// The name of a direction of a link: `server>client`.
    pub fn name(&self, trace: &Trace, link: LinkId) -> String {
        match self.0.get(&link) {
            Some((from, Some(to))) => format!("{}>{}", trace.host_name(*from), trace.host_name(*to)),
            Some((from, None)) => format!("{}>", trace.host_name(*from)),
            None => format!("link {}", link.0),
        }
    }

    /// All directions over which something went.
    pub fn iter(&self) -> impl Iterator<Item = LinkId> {
        self.0.keys().copied()
    }

    fn note(&mut self, link: LinkId, from: Option<HostId>, to: Option<HostId>) {
        if self.0.len() < MOST_LINKS || self.0.contains_key(&link) {
            let Some(from) = from.or_else(|| self.0.get(&link).map(|(from, _)| *from)) else { return };
            let known = self.0.entry(link).or_insert((from, to));
            known.1 = known.1.or(to);
        }
    }
}

/// An observer that hands on the steps of a run, in order. At the end of the run [`RunSteps::finish`] is to be called.
pub struct RunSteps<F> {
    trace: Trace,
    /// Deliveries: how many steps came before each.
    arrivals: VecDeque<(u64, Instant, u64)>,
    /// Steps that were handed on.
    taken: u64,
    links: Links,
    take: F,
}

impl<F: FnMut(&Trace, &Links, Happening)> RunSteps<F> {
    /// Hands everything to `take`.
    pub fn new(take: F) -> Self {
        Self { trace: Trace::new(), arrivals: VecDeque::new(), taken: 0, links: Links::default(), take }
    }

    /// Names hosts; others are named by their numbers.
    pub fn name_hosts(&mut self, names: impl IntoIterator<Item = (HostId, String)>) {
        self.trace.name_hosts(names);
    }

    /// Times count from the first event instead of from the epoch.
    pub fn count_from_first(&mut self) {
        self.trace.count_from_first();
    }

    /// The end of the run: hands on what was held back. Gives the trace and the links.
    pub fn finish(&mut self) -> (&Trace, &Links) {
        self.trace.settle();
        self.hand_on(0);
        (self.take)(&self.trace, &self.links, Happening::End);
        (&self.trace, &self.links)
    }

    /// Hands on all but the last `held` steps, and the deliveries between them.
    fn hand_on(&mut self, held: u64) {
        while self.trace.made() > self.taken + held {
            self.deliver();
            let Some(step) = self.trace.next_step() else { break };
            self.taken += 1;
            (self.take)(&self.trace, &self.links, Happening::Step(step));
        }
        self.deliver();
    }

    /// Hands on the deliveries before the next step.
    fn deliver(&mut self) {
        while let Some((_, at, packet)) = self.arrivals.pop_front_if(|(before, ..)| *before <= self.taken) {
            (self.take)(&self.trace, &self.links, Happening::Arrived { at, packet });
        }
    }
}

impl<F: FnMut(&Trace, &Links, Happening)> Observer for RunSteps<F> {
    fn wants_numbers(&self) -> bool {
        true
    }

    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        self.trace.on_event(at, event);
        match *event {
            Event::Sent { host, link, .. } | Event::Forwarded { host, link, .. } => {
                self.links.note(link, Some(host), None);
            }
            Event::Delivered { host, link, packet } => {
                self.links.note(link, None, Some(host));
                // At a router nothing arrives that counts.
                if !self.trace.is_router(host) {
                    self.arrivals.push_back((self.trace.made(), at, packet.meta.id.0));
                }
            }
            _ => {}
        }
        self.hand_on(HELD);
    }
}

impl<F> core::fmt::Debug for RunSteps<F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "RunSteps({} steps handed on, {} arrivals wait)", self.taken, self.arrivals.len())
    }
}
