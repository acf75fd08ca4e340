//! A trace from the events of a run. Each host has an annotator at its interface: it is shown what the host sends and
//! what is delivered to it. A segment becomes a step when its host sends it.

use core::net::SocketAddr;

use super::{
    Content, HostEntry, MOST_PASSAGES, PacketStep, Passage, SenderStep, Trace, Vantage, is_again, segment_step,
};
use crate::annotate::{self, Direction, Subject, Tag, Variables};
use crate::conversation::Side;
use crate::event::{CookieStep, DropReason, Event, Fate, HostEvent, HostId, Observer, State};
use crate::segment::{Packet, Protocol, Quoted};
use crate::time::Instant;

impl Observer for Trace {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        // What happens after the last step that is kept is of no use to a ladder, and costs.
        if self.is_full() {
            self.left_out += 1;
            return;
        }
        self.origin.get_or_insert(at);
        // What its link and its host tell right behind a packet belongs to it.
        let belongs = |sent: &Sent| match *event {
            Event::Host {
                host,
                event: HostEvent::Timer { .. } | HostEvent::Numbers { .. } | HostEvent::Recovery { .. },
            } => (at, host) == (sent.at, sent.host),
            Event::LinkDropped { .. } | Event::LinkQueue { .. } | Event::Duplicated { .. } => true,
            _ => false,
        };
        if self.sent.as_ref().is_some_and(|sent| !belongs(sent)) {
            self.settle();
        }
        match *event {
            Event::Sent { host, packet, fate, .. } => {
                self.sent = Some(Sent { at, host, packet: packet.clone(), fate });
            }
            Event::Forwarded { host, packet, fate, .. } => self.forwarded(host, packet, fate),
            Event::Delivered { host, packet, .. } => self.delivered(at, host, packet),
            // They belong to a packet that was sent; the copy arrives like the original. What a change of a link does to
            // packets is told with them.
            Event::Duplicated { .. } | Event::LinkDropped { .. } | Event::LinkChanged { .. } => {}
            Event::LinkQueue { link, packets, bytes, empty_at } => {
                self.push(at, Vantage::Capture, None, Content::LinkQueue { link, packets, bytes, empty_at });
            }
            Event::StackDropped { host, packet, why } => self.refused(at, host, packet, why),
            Event::Host { host, event } => self.told(at, host, event),
        }
    }
}

/// A packet that a host has sent.
#[derive(Debug)]
pub(super) struct Sent {
    at: Instant,
    host: HostId,
    packet: Packet,
    fate: Fate,
}

impl Trace {
    /// Makes a step of the packet that was sent last. It waits for what its host tells right behind it, so this is to be
    /// called at the end of a run.
    pub fn settle(&mut self) {
        if let Some(Sent { at, host, packet, fate }) = self.sent.take() {
            self.take_sent(at, host, &packet, fate);
        }
    }

    fn take_sent(&mut self, at: Instant, host: HostId, packet: &Packet, fate: Fate) {
        let vantage = Vantage::Host(host);
        let subject = Subject::parse(at, Direction::Outbound, &packet.bytes);
        let tag = Tag::of(fate);
        if let Ok(segment) = &subject.segment {
            self.orient(at, host, segment.src, segment.dst);
        }
        let answers = subject.segment.is_ok_and(|segment| self.answers(&segment));
        let Self { hosts, flows, .. } = self;
        let annotator = &mut hosts.entry(host).or_default().annotator;
        let annotation = annotator.annotate(&subject);
        let (Some(annotated), Ok(segment)) = (annotation.segment, &subject.segment) else {
            let words = annotation.words.to_owned();
            let ip = subject.ip.ok();
            let quoted = ip.and_then(|ip| Quoted::parse(&ip)).filter(|quoted| quoted.protocol == Protocol::Tcp);
            let flow = quoted.and_then(|quoted| self.flows.find(quoted.src, quoted.dst));
            self.note_packet(packet.meta.id);
            let step = PacketStep {
                packet: packet.meta.id.0,
                len: packet.bytes.len() as u32,
                protocol: ip.map(|ip| ip.protocol),
                ends: ip.map(|ip| (ip.src, ip.dst)),
                words,
                tag,
                behind: None,
                path: Vec::new(),
                comment: None,
            };
            self.push(at, vantage, flow, Content::Packet(step));
            return;
        };
        let (known, stream, observed) = (annotated.stream.notes.flow, annotated.stream.number, annotated.observed);
        let begun = flows.begun;
        let Some(number) = flows.place(at, vantage, (known, answers), annotated.stream.ends) else { return };
        let Some(flow) = flows.get_mut(number) else { return };
        let from = flow.side_of(segment.src);
        flow.hosts[from as usize] = Some(host);
        let arrives = !tag.is_some_and(Tag::is_loss);
        flow.take(at, from, segment, &observed, &annotated.stream.conversation, (arrives, false));
        if let Some(reason) = annotated.variables().reason.filter(|_| is_again(&observed)) {
            flow.measured[from as usize].resent(reason);
        }
        let step = self.wants_steps.then(|| {
            let mut step = segment_step(&annotated, segment, from, annotation.words);
            step.window_changed = flow.note_window(from, step.window, segment.is_syn());
            step.states = flow.states();
            step.begins = begun == number;
            (step.packet, step.len, step.tag) = (packet.meta.id.0, packet.bytes.len() as u32, tag);
            step
        });
        if known != Some(number) {
            annotator.set_flow(stream, number);
        }
        if let Some(step) = step {
            self.note_packet(packet.meta.id);
            self.push(at, vantage, Some(number), Content::Segment(Box::new(step)));
        }
    }

    /// The step of a packet, if it was not taken out.
    fn step_of(&mut self, packet: &Packet) -> Option<&mut Content> {
        let place = self.by_packet.get(&packet.meta.id)?.checked_sub(self.taken)?;
        self.steps.get_mut(place as usize).map(|step| &mut step.content)
    }

    /// The annotator of a host sees what reaches the host. No step of its own: that of the packet gets a passage.
    fn delivered(&mut self, at: Instant, host: HostId, packet: &Packet) {
        let behind = self.taken + self.steps.len() as u64;
        if let Some(path) = self.path_of(packet).filter(|path| path.len() < MOST_PASSAGES) {
            path.push(Passage { host, at, behind });
        }
        let subject = Subject::parse(at, Direction::Inbound, &packet.bytes);
        let Ok(segment) = &subject.segment else { return };
        if self.hosts.get(&host).is_some_and(|entry| entry.router) {
            return;
        }
        if let Some(Content::Segment(step)) = self.step_of(packet) {
            step.arrival.get_or_insert(at);
        }
        if !packet.meta.sound && subject.verified().corrupted {
            return;
        }
        self.orient(at, host, segment.src, segment.dst);
        let annotated = self.hosts.entry(host).or_default().annotator.follow(at, Direction::Inbound, segment);
        let number = annotated.stream.notes.flow.or_else(|| self.flows.find(segment.src, segment.dst));
        if let Some(flow) = number.and_then(|number| self.flows.get_mut(number)) {
            flow.came(at, flow.side_of(segment.dst), segment, &annotated.observed.seen);
        }
    }

    /// The path of a packet that is a step.
    fn path_of(&mut self, packet: &Packet) -> Option<&mut Vec<Passage>> {
        match self.step_of(packet)? {
            Content::Segment(segment) => Some(&mut segment.path),
            Content::Packet(packet) => Some(&mut packet.path),
            _ => None,
        }
    }

    /// An annotator that meets a connection takes its first end from the flow, so that all count sides alike.
    fn orient(&mut self, at: Instant, host: HostId, one: SocketAddr, other: SocketAddr) {
        let entry = self.hosts.entry(host).or_default();
        if !entry.annotator.knows(one, other)
            && let Some(flow) = self.flows.find(one, other).and_then(|number| self.flows.get(number))
        {
            entry.annotator.orient(at, flow.ends);
        }
    }

    /// A router sends a packet on: it is no end of a connection. What its link does to the packet belongs to the step of the
    /// packet.
    fn forwarded(&mut self, host: HostId, packet: &Packet, fate: Fate) {
        let entry = self.hosts.entry(host).or_default();
        if !entry.router {
            *entry = HostEntry { name: entry.name.take(), router: true, ..HostEntry::default() };
        }
        if let Some(tag) = Tag::of(fate) {
            self.behind(packet, host, tag);
        }
    }

    fn behind(&mut self, packet: &Packet, host: HostId, tag: Tag) {
        match self.step_of(packet) {
            Some(Content::Segment(segment)) => segment.behind = Some((host, tag)),
            Some(Content::Packet(packet)) => packet.behind = Some((host, tag)),
            _ => {}
        }
    }

    fn refused(&mut self, at: Instant, host: HostId, packet: &Packet, why: DropReason) {
        let subject = Subject::parse(at, Direction::Inbound, &packet.bytes);
        let segment = subject.segment.ok();
        let flow = segment.and_then(|segment| self.flows.find(segment.src, segment.dst));
        let by_router = matches!(why, DropReason::NoRoute | DropReason::HostUnreachable | DropReason::TtlExceeded);
        if by_router || self.hosts.get(&host).is_some_and(|entry| entry.router) {
            return self.behind(packet, host, Tag::Lost(why));
        }
        let side = flow.zip(segment).and_then(|(number, segment)| {
            let flow = self.flows.get_mut(number)?;
            let side = flow.side_of(segment.dst);
            flow.hosts[side as usize].get_or_insert(host);
            Some(side)
        });
        self.push(at, Vantage::Host(host), flow, Content::Refused { side, packet: packet.meta.id.0, why });
    }

    fn told(&mut self, at: Instant, host: HostId, event: HostEvent) {
        let vantage = Vantage::Host(host);
        // A connection may be told of before its first segment, if the host opens it.
        let opens = matches!(event, HostEvent::State { to: State::SynSent, .. } | HostEvent::Call { .. });
        let flow_of = |trace: &mut Self, local: SocketAddr, remote: SocketAddr| {
            let known = trace.flows.find(local, remote);
            let begins =
                |trace: &mut Self| (opens || !trace.flows.forgets).then(|| trace.flows.begin(at, [local, remote]));
            let number = known.or_else(|| begins(trace).flatten())?;
            let flow = trace.flows.get_mut(number)?;
            let side = flow.side_of(local);
            flow.hosts[side as usize] = Some(host);
            Some((number, side))
        };
        match event {
            HostEvent::State { local, remote, to, cause, .. } => {
                let Some((number, side)) = flow_of(self, local, remote) else { return };
                if let Some(flow) = self.flows.get_mut(number) {
                    flow.tell_state(side, to);
                }
                self.push(at, vantage, Some(number), Content::State { side, to: Some(to), cause: Some(cause) });
            }
            HostEvent::Timer { local, remote, timer } => {
                let ran = self.hosts.entry(host).or_default().annotator.timer(at, local, remote, timer);
                let Some((number, side)) = flow_of(self, local, remote) else { return };
                self.push(at, vantage, Some(number), Content::Timer { side, timer, ran });
            }
            HostEvent::Recovery { local, remote, from, to, undone } => {
                let Some((number, side)) = flow_of(self, local, remote) else { return };
                self.push(at, vantage, Some(number), Content::Recovery { side, from, to, undone });
            }
            HostEvent::Numbers { local, remote, numbers } => {
                self.hosts.entry(host).or_default().annotator.numbers(at, local, remote, numbers);
                let Some((number, side)) = flow_of(self, local, remote) else { return };
                let variables = Variables::default().with(&numbers);
                let step = SenderStep { side, variables, scoreboard: None, timers: None };
                self.push(at, vantage, Some(number), Content::Sender(Box::new(step)));
            }
            HostEvent::Call { fd, call, ends, result } => {
                let place = ends.and_then(|(local, remote)| {
                    if annotate::sends(call, result) {
                        self.hosts.entry(host).or_default().annotator.call(at, local, remote, call);
                    }
                    flow_of(self, local, remote)
                });
                let socket = result.ok().filter(|_| call == "accept").map_or(fd, |accepted| accepted as u32);
                let descriptors = &mut self.hosts.entry(host).or_default().descriptors;
                let flow = match place {
                    Some((number, _)) => {
                        descriptors.insert(socket, number);
                        Some(number)
                    }
                    None => descriptors.get(&fd).copied().filter(|_| call != "socket"),
                };
                if matches!(call, "socket" | "close") {
                    descriptors.remove(&fd);
                }
                let side = flow.and_then(|number| self.side_of_host(number, host));
                self.push(at, vantage, flow.filter(|_| side.is_some()), Content::Call { side, fd, call, result });
            }
            HostEvent::Queue { local, syn_queue, accept_queue, backlog } => {
                let content = Content::ListenQueues { local, syn_queue, accept_queue, backlog };
                self.push(at, vantage, None, content);
            }
            HostEvent::SynCookie { local, remote, step: CookieStep::Sent } => {
                self.hosts.entry(host).or_default().annotator.syn_cookie(at, local, remote);
            }
            HostEvent::SynCookie { local, remote, step } => {
                let Some((number, side)) = flow_of(self, local, remote) else { return };
                self.push(at, vantage, Some(number), Content::SynCookie { side, step });
            }
            HostEvent::Dropped { .. } | HostEvent::Edited { .. } | HostEvent::Limited { .. } => {}
        }
    }

    /// The side of a flow at which a host stands.
    fn side_of_host(&self, number: usize, host: HostId) -> Option<Side> {
        let flow = self.flows.get(number)?;
        Side::BOTH.into_iter().find(|side| flow.hosts[*side as usize] == Some(host))
    }

    fn note_packet(&mut self, id: crate::segment::PacketId) {
        if self.wants_steps {
            self.by_packet.insert(id, self.taken + self.steps.len() as u64);
        }
    }
}
