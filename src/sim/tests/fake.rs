//! A small endpoint in the place of a host, three of them in a network, and an observer that writes everything down.

use core::net::SocketAddr;
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use crate::device::CableEnd;
use crate::drive::Endpoint;
use crate::event::{DropReason, Event, HostEvent, HostId, Observer};
use crate::link::LinkLine;
use crate::segment::{IpView, Packet, SegmentTemplate};
use crate::sim::GaveUp;
use crate::sim::network::Network;
use crate::sim::run::Limits;
use crate::time::Instant;

pub(super) type Log = Rc<RefCell<Vec<String>>>;

/// Sends what stands in its outbox, fires timers, and sends back so many of the packets that come.
#[derive(Default)]
pub(super) struct Fake {
    name: &'static str,
    log: Log,
    outbox: VecDeque<Packet>,
    /// Packets that came, as they came.
    pub(super) inbox: Vec<Packet>,
    pub(super) timers: BTreeSet<Instant>,
    pub(super) echoes: u64,
    pub(super) observed: bool,
    pub(super) events: VecDeque<HostEvent>,
}

impl Fake {
    fn log(&self, what: &str) {
        self.log.borrow_mut().push(format!("{} {what}", self.name));
    }
}

impl Endpoint for Fake {
    fn handle_packet(&mut self, now: Instant, packet: &mut Packet) {
        self.log(&format!("packet {} at {now}", packet.meta.id.0));
        self.inbox.push(packet.clone());
        if self.observed {
            self.events.push_back(HostEvent::Dropped { why: DropReason::NoSocket });
        }
        if let Some(rest) = self.echoes.checked_sub(1) {
            self.echoes = rest;
            let mut answer = packet.bytes.clone();
            for i in 12..16 {
                answer.swap(i, i + 4);
            }
            self.outbox.push_back(Packet::new(answer));
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        while self.timers.first().is_some_and(|at| *at <= now) {
            let at = self.timers.pop_first().expect("just seen");
            self.log(&format!("timer {at} at {now}"));
        }
    }

    fn run(&mut self, now: Instant) {
        self.log(&format!("runs at {now}"));
    }

    fn poll_transmit(&mut self, _now: Instant, packet: &mut Packet) -> bool {
        packet.bytes.clear();
        let Some(next) = self.outbox.pop_front() else { return false };
        packet.bytes.extend_from_slice(&next.bytes);
        packet.meta = next.meta;
        true
    }

    fn next_at(&mut self) -> Option<Instant> {
        self.timers.first().copied()
    }

    fn observe_events(&mut self, on: bool) {
        self.observed = on;
    }

    fn poll_event(&mut self) -> Option<HostEvent> {
        self.events.pop_front()
    }

    fn waiting(&self) -> Vec<String> {
        vec![format!("task 1 \"{}\": accept on 3", self.name)]
    }
}

const NAMES: [&str; 3] = ["ada", "bob", "cyd"];

/// Hosts ada, bob, cyd with 192.0.2.1, .2, .3 and these links, all quiet.
pub(super) fn network(seed: u64, links: &[(usize, usize, &str)]) -> (Network<Fake>, Log) {
    let mut network = Network::new(seed);
    let log = Log::default();
    for (i, name) in NAMES.into_iter().enumerate() {
        let address = format!("192.0.2.{}", i + 1).parse().expect("an address");
        network.add_host(name, vec![(address, 24)], Fake { name, log: Rc::clone(&log), ..Fake::default() });
    }
    for (a, b, line) in links {
        let cable = network.cable(HostId(*a as u32), HostId(*b as u32));
        let spec = line.parse::<LinkLine>().expect(line).items.into_spec();
        network.fabric.cables[cable][CableEnd::A].set_spec(&spec);
        network.fabric.cables[cable][CableEnd::B].set_spec(&spec);
    }
    assert_eq!(idle(&mut network), Ok(()));
    log.borrow_mut().clear();
    (network, log)
}

pub(super) fn idle(network: &mut Network<Fake>) -> Result<(), GaveUp> {
    Limits::default().run_until_idle(network)
}

pub(super) fn send(network: &mut Network<Fake>, from: usize, to: usize, payload: &[u8]) {
    let address = |host: usize| SocketAddr::new(format!("192.0.2.{}", host + 1).parse().expect("an address"), 7);
    let segment = SegmentTemplate { payload, ..SegmentTemplate::new(address(from), address(to)) };
    send_packet(network, from, Packet::new(segment.to_bytes()));
}

pub(super) fn send_packet(network: &mut Network<Fake>, from: usize, packet: Packet) {
    network.host(HostId(from as u32)).endpoint.outbox.push_back(packet);
    network.wake(HostId(from as u32));
}

pub(super) fn ticks(network: &mut Network<Fake>, host: usize, at: Instant) {
    network.host(HostId(host as u32)).endpoint.timers.insert(at);
    network.wake(HostId(host as u32));
}

#[track_caller]
pub(super) fn assert_log(log: &Log, expected: &[&str]) {
    let log = log.borrow();
    let log: Vec<_> = log.iter().map(String::as_str).filter(|line| !line.contains("runs")).collect();
    assert_eq!(log, expected);
}

/// Every event as text, and the numbers of the packets that were delivered.
#[derive(Default)]
pub(super) struct Seen(pub(super) Vec<String>, pub(super) Vec<u64>);

impl Observer for Seen {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        let packet = match event {
            Event::Delivered { packet, .. } => {
                self.1.push(packet.meta.id.0);
                IpView::parse(&packet.bytes).map_or_else(|error| error.to_string(), |ip| ip.to_string())
            }
            _ => String::new(),
        };
        self.0.push(format!("{at} {event:?} {packet}"));
    }
}

pub(super) fn observe(network: &mut Network<Fake>) -> Rc<RefCell<Seen>> {
    let seen = Rc::new(RefCell::new(Seen::default()));
    network.observe(Rc::clone(&seen) as Rc<RefCell<dyn Observer>>);
    seen
}
