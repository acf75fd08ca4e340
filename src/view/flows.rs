//! The connections of a run as a table: who, how many packets and octets each way, how it ended.

use core::fmt;
use core::net::SocketAddr;
use std::cell::RefCell;
use std::rc::Rc;

use crate::event::{Event, Observer};
use crate::segment::{IpView, Segment};
use crate::time::Instant;

/// Counts what is sent, connection by connection.
#[derive(Debug, Default)]
pub struct Flows {
    flows: Vec<Flow>,
}

/// One connection; the first end is the one that sent first.
#[derive(Debug)]
struct Flow {
    ends: [SocketAddr; 2],
    packets: [u64; 2],
    octets: [u64; 2],
    fins: [bool; 2],
    reset: bool,
    first: Instant,
    last: Instant,
}

impl Flows {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// For a loop and for whoever prints it.
    pub fn shared() -> Rc<RefCell<Self>> {
        Rc::default()
    }

    fn sent(&mut self, at: Instant, segment: &Segment<'_>) {
        let ends = [segment.src, segment.dst];
        let back = [segment.dst, segment.src];
        let begins = segment.is_syn() && !segment.is_ack();
        let known = self.flows.iter().rposition(|flow| flow.ends == ends || flow.ends == back);
        // A SYN behind an end is a new connection between the same ends.
        let known = known.filter(|&at| !(begins && self.flows[at].is_over()));
        let found = known.unwrap_or_else(|| {
            self.flows.push(Flow::new(ends, at));
            self.flows.len() - 1
        });
        let flow = &mut self.flows[found];
        let side = usize::from(flow.ends != ends);
        flow.packets[side] += 1;
        flow.octets[side] += segment.payload.len() as u64;
        flow.fins[side] |= segment.is_fin();
        flow.reset |= segment.is_rst();
        flow.last = at;
    }
}

impl Flow {
    fn new(ends: [SocketAddr; 2], at: Instant) -> Self {
        Self { ends, packets: [0; 2], octets: [0; 2], fins: [false; 2], reset: false, first: at, last: at }
    }

    fn is_over(&self) -> bool {
        self.reset || self.fins == [true; 2]
    }
}

impl Observer for Flows {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        if let Event::Sent { packet, .. } = event
            && let Ok(segment) = IpView::parse(&packet.bytes).and_then(|ip| Segment::parse(&ip))
        {
            self.sent(at, &segment);
        }
    }
}

impl fmt::Display for Flows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Flow { ends: [from, to], packets, octets, fins, reset, first, last } in &self.flows {
            let end = match (reset, fins) {
                (true, _) => "reset",
                (false, [true, true]) => "closed",
                (false, [false, false]) => "open",
                (false, _) => "half closed",
            };
            writeln!(
                f,
                "{from} -> {to}  {}/{} packets, {}/{} octets, {:.3} s, {end}",
                packets[0],
                packets[1],
                octets[0],
                octets[1],
                (*last - *first).as_secs_f64()
            )?;
        }
        Ok(())
    }
}
