//! The loop: a host, a program on it, and the packets of the other side, in virtual time.
//!
//! Time stands still while anything can be done; then it jumps to whatever is due first: a packet, a timer, a program's
//! sleep. When the next packet may not be fed, it is tried in this order: wait for a program that sleeps; acknowledge what
//! we sent of what the packet acknowledges (the rest is not there to be acknowledged); let the timers of the stack run for
//! a while; and then the conversation is stalled.

use core::net::SocketAddr;
use core::pin::Pin;
use std::cell::RefCell;
use std::rc::Rc;

use super::exact::{self, Exact};
use super::feed::{Gate, Mapping, Part, gates};
use super::icmp;
use super::live::Live;
use super::program::FOR_EVER;
use super::recording::{End, Facts, Recorded, Recording, place};
use crate::app::calls::{self, Call, Done, Failed};
use crate::capture::{Capture, Direction};
use crate::conversation::{DataKind, Side};
use crate::event::State;
use crate::net::{JoinHandle, Net, Runtime};
use crate::segment::{Flags, HeaderEditor, IpView, Packet, Segment, SegmentTemplate, default_mss};
use crate::socket::{Host, HostConfig, SocketOption};
use crate::time::{Duration, Instant};

/// A program of the user's: called with a host's handle, once for each conversation.
pub(super) type UserProgram = Rc<dyn Fn(Net) -> Pin<Box<dyn Future<Output = ()>>>>;

/// What plays the side that is not fed.
#[derive(Clone)]
pub(super) enum Player {
    /// The program that was derived.
    Derived(Vec<Call>),
    /// The one that was derived to the segment.
    Exact(Exact),
    /// The user's.
    User(UserProgram),
}

/// What is to be played.
pub(super) struct Stage<'a> {
    pub(super) recording: &'a Recording,
    pub(super) facts: &'a [Facts; 2],
    pub(super) ours: End,
    pub(super) ends: [SocketAddr; 2],
    pub(super) config: HostConfig,
    pub(super) player: Player,
    /// The instant of the first packet in virtual time.
    pub(super) start: Instant,
    pub(super) nodelay: bool,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Everything was fed.
    Finished,
    /// Nothing could move any more.
    Stalled {
        /// The packet that could not be fed.
        packet: u64,
        waited: String,
    },
}

/// What came of it.
pub(super) struct Played {
    pub(super) live: Live,
    pub(super) ending: Ending,
    /// How the derived program ended, if it did.
    pub(super) program: Option<Result<Done, Failed>>,
    /// What it read.
    pub(super) heard: Vec<u8>,
    /// Acknowledgments that were split.
    pub(super) split_acks: u32,
    /// Packets whose bytes were fed in several parts.
    pub(super) split_segments: u32,
}

/// An acknowledgment of everything we sent comes after so long even if a program is about to say more: a delayed ACK.
const DELAYED_ACK: Duration = Duration::from_millis(200);
/// So long the timers of the stack may run when nothing else moves.
const TIMERS: Duration = Duration::from_secs(5);
/// So long a program may sleep behind the end of the recording.
const BEHIND: Duration = Duration::from_mins(1);
/// When so long nothing has happened behind the last packet, it is over: longer than any delayed ACK, shorter than any
/// retransmission timeout.
const QUIET: Duration = Duration::from_millis(500);

/// What may be done about the next packet.
enum Step {
    Fed,
    At(Instant),
    Blocked(Blocked),
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocked {
    /// It acknowledges what we have not sent.
    Ack,
    /// We should have sent something before.
    Order,
    /// It is beyond our window.
    Window,
}

/// The host, driven.
pub(super) struct Driver<'a, 'c> {
    pub(super) stage: Stage<'a>,
    pub(super) mapping: Mapping<'a>,
    pub(super) runtime: Runtime,
    pub(super) live: Live,
    pub(super) now: Instant,
    program: Option<JoinHandle<Result<Done, Failed>>>,
    heard: Rc<RefCell<Vec<u8>>>,
    packet: Packet,
    capture: Option<&'c mut Capture>,
    /// Bytes of what was sent, for those who compare them.
    pub(super) sent_bytes: Option<Vec<Vec<u8>>>,
}

impl<'a, 'c> Driver<'a, 'c> {
    pub(super) fn new(stage: Stage<'a>, capture: Option<&'c mut Capture>) -> Self {
        let mapping = Mapping::new(stage.recording, stage.facts, stage.ours);
        let theirs = 1 - stage.ours;
        // Of one that connects the port is its stack's to choose, and of the one it connects to its program's.
        let known = stage.ours == 1;
        let (own, peer) = (stage.ends[stage.ours], stage.ends[theirs]);
        let live = Live::new(stage.facts[theirs].iss, known.then_some(own), known.then_some(peer), stage.start);
        let mut runtime = Runtime::new(Host::new(&stage.config));
        let heard = Rc::new(RefCell::new(Vec::new()));
        let net = runtime.net();
        let program = match &stage.player {
            Player::Derived(calls) => {
                let (calls, heard) = (calls.clone(), Rc::clone(&heard));
                Some(runtime.spawn("program", async move {
                    calls::run_heard(net, &calls, |_, _| {}, |data| heard.borrow_mut().extend_from_slice(data)).await
                }))
            }
            Player::Exact(exact) => {
                let (exact, heard, start) = (exact.clone(), Rc::clone(&heard), stage.start);
                runtime.spawn("program", async move {
                    exact::run(net, exact, start, |data| heard.borrow_mut().extend_from_slice(data)).await
                });
                None
            }
            Player::User(program) => {
                runtime.spawn("program", program(net));
                None
            }
        };
        runtime.host_mut().set_now(stage.start);
        let now = stage.start;
        Self {
            stage,
            mapping,
            runtime,
            live,
            now,
            program,
            heard,
            packet: Packet::default(),
            capture,
            sent_bytes: None,
        }
    }

    /// Everything that can be done at this instant without a packet from the peer.
    pub(super) fn turn(&mut self) {
        self.runtime.handle_timeout(self.now);
        self.go_on();
    }

    fn go_on(&mut self) {
        self.runtime.run(self.now);
        while self.runtime.poll_transmit(self.now, &mut self.packet) {
            let packet = core::mem::take(&mut self.packet);
            self.note(Direction::Outbound, &packet.bytes);
            self.packet = packet;
            match IpView::parse(&self.packet.bytes).and_then(|ip| Segment::parse(&ip)) {
                Ok(segment) => {
                    if self.live.take_sent(self.now, &segment)
                        && let Some(sent) = &mut self.sent_bytes
                    {
                        sent.push(self.packet.bytes.clone());
                    }
                }
                Err(_) => self.live.others += 1,
            }
        }
    }

    /// Begins: the program starts, and where it listens is known.
    pub(super) fn begin(&mut self) {
        self.runtime.run(self.now);
        let streams: Vec<_> = self.runtime.host().descriptors().into_iter().filter(|row| row.kind == "TCP").collect();
        if self.stage.nodelay {
            for row in &streams {
                let _ = self.runtime.host_mut().setsockopt(row.fd, SocketOption::NoDelay(true)); // it is open
            }
        }
        // A server of the user's may listen on another port than the one that was recorded.
        let listening: Vec<_> =
            streams.iter().filter(|row| row.state == Some(State::Listen)).filter_map(|row| row.local).collect();
        if let (Some(ours), [only]) = (&mut self.live.ours, listening.as_slice()) {
            ours.set_port(only.port());
        }
        self.go_on();
    }

    /// Feeds a segment.
    pub(super) fn feed(&mut self, template: &SegmentTemplate<'_>) {
        let mut bytes = core::mem::take(&mut self.packet.bytes);
        template.write(&mut bytes);
        self.note(Direction::Inbound, &bytes);
        if let Ok(segment) = IpView::parse(&bytes).and_then(|ip| Segment::parse(&ip)) {
            self.live.take_fed(self.now, &segment);
        }
        let mut packet = Packet::new(bytes);
        packet.meta.sound = true; // the checksums were filled in a moment ago
        self.runtime.handle_packet(self.now, &mut packet);
        self.packet = packet;
        self.go_on();
    }

    /// Feeds what TCP takes nothing from: an ICMP error, or a segment that was harmed on the way. False for everything else.
    pub(super) fn feed_unseen(&mut self, packet: &Recorded) -> bool {
        let bytes = if packet.icmp {
            icmp::mapped(&self.mapping, packet, &self.live, self.ends())
        } else if packet.bad_checksum && !packet.is_acceptable() {
            let mut bytes = self.mapping.whole(packet, &self.live, self.ends()).to_bytes();
            let spoiled = HeaderEditor::new(&mut bytes).map(|mut editor| _ = editor.spoil_checksum());
            spoiled.ok().map(|()| bytes)
        } else {
            return false;
        };
        let Some(bytes) = bytes else { return true };
        self.note(Direction::Inbound, &bytes);
        self.runtime.handle_packet(self.now, &mut Packet::new(bytes));
        self.go_on();
        true
    }

    /// Writes a packet to the capture, if there is one.
    fn note(&mut self, direction: Direction, bytes: &[u8]) {
        if let Some(capture) = &mut self.capture {
            let at = self.stage.recording.started + (self.now - self.stage.start);
            capture.packet(at, Some(direction), bytes, None);
        }
    }

    /// Both live ends; before our host has shown itself, those of the recording.
    pub(super) fn ends(&self) -> (SocketAddr, SocketAddr) {
        let (ours, theirs) = (self.stage.ends[self.stage.ours], self.stage.ends[1 - self.stage.ours]);
        (self.live.ours.unwrap_or(ours), self.live.theirs.unwrap_or(theirs))
    }

    pub(super) fn derived(&self) -> bool {
        self.program.is_some()
    }

    /// Until when sleeps of programs count.
    fn horizon(&self) -> Instant {
        self.stage.start + self.stage.recording.duration() + BEHIND
    }

    /// When the program that sleeps goes on, unless that is never.
    fn wakes_at(&self) -> Option<Instant> {
        self.runtime.next_wake_up().filter(|at| *at <= self.horizon())
    }

    pub(super) fn finish(mut self, ending: Ending, split_acks: u32, split_segments: u32) -> Played {
        let program = self.program.as_mut().and_then(JoinHandle::try_take);
        drop(self.runtime);
        let heard = Rc::try_unwrap(self.heard).map_or_else(|shared| shared.borrow().clone(), RefCell::into_inner);
        Played { live: self.live, ending, program, heard, split_acks, split_segments }
    }
}

/// Feeds the recording packet by packet as causality allows.
struct Feeder<'a, 'c> {
    driver: Driver<'a, 'c>,
    gates: Vec<Gate>,
    /// The next packet to be fed.
    next: usize,
    /// How much of its sequence space has been.
    fed: u32,
    /// It need not wait for what we should have sent.
    out_of_order: bool,
    blocked_since: Option<Instant>,
    split_acks: u32,
    split_segments: u32,
}

/// Plays a conversation to its end.
pub(super) fn play(stage: Stage<'_>, capture: Option<&mut Capture>) -> Played {
    let gates = gates(stage.recording, stage.facts, stage.ours);
    let limit = 20_000 + 200 * stage.recording.packets.len() + stage.recording.bytes.len() / 100;
    let mut driver = Driver::new(stage, capture);
    driver.begin();
    let mut feeder = Feeder {
        driver,
        gates,
        next: 0,
        fed: 0,
        out_of_order: false,
        blocked_since: None,
        split_acks: 0,
        split_segments: 0,
    };
    let mut ending = None;
    for _ in 0..limit {
        ending = feeder.step();
        if ending.is_some() {
            break;
        }
    }
    let ending = ending.unwrap_or_else(|| feeder.stalled(format!("it to come to rest: {limit} steps were not enough")));
    let Feeder { driver, split_acks, split_segments, .. } = feeder;
    driver.finish(ending, split_acks, split_segments)
}

impl<'a> Feeder<'a, '_> {
    fn step(&mut self) -> Option<Ending> {
        self.driver.turn();
        match self.try_feed() {
            Step::Fed => {
                self.blocked_since = None;
                None
            }
            Step::At(due) => {
                let next = self.driver.runtime.next_at().map_or(due, |at| at.min(due));
                self.go_to(next);
                None
            }
            Step::Blocked(how) => self.blocked(how),
            Step::Done => self.quiet(),
        }
    }

    fn go_to(&mut self, at: Instant) {
        self.driver.now = self.driver.now.max(at);
    }

    fn packet(&self) -> Option<&'a Recorded> {
        self.gates.get(self.next).map(|gate| &self.driver.stage.recording.packets[gate.packet])
    }

    fn try_feed(&mut self) -> Step {
        let Some(packet) = self.packet() else { return Step::Done };
        let gate = self.gates[self.next];
        let due = self.driver.stage.start + packet.at;
        if self.driver.now < due {
            return Step::At(due);
        }
        let live = &self.driver.live;
        let (numbered, derived) = (live.iss.is_some(), self.driver.derived());
        if live.sent < gate.acked || (packet.has(Flags::ACK) && !numbered && !packet.has(Flags::RST)) {
            return Step::Blocked(Blocked::Ack);
        }
        if derived && !self.out_of_order && live.sent < gate.sent {
            return Step::Blocked(Blocked::Order);
        }
        if self.driver.feed_unseen(packet) {
            self.next += 1;
            return Step::Fed;
        }
        let live = &self.driver.live;
        let Some(part) = self.next_part(packet) else { return Step::Blocked(Blocked::Window) };
        let template = self.driver.mapping.part(packet, part, live, self.driver.ends());
        self.driver.feed(&template);
        if part.last {
            self.split_segments += u32::from(part.from > 0);
            (self.next, self.fed, self.out_of_order) = (self.next + 1, 0, false);
        } else {
            self.fed = part.to;
        }
        Step::Fed
    }

    /// As much of a packet as our MSS and our window allow; `None` if the window is closed.
    fn next_part(&self, packet: &Recorded) -> Option<Part> {
        let len = Mapping::len(packet);
        let (syn, fin) = (u32::from(packet.has(Flags::SYN)), u32::from(packet.has(Flags::FIN)));
        let text = packet.payload.len() as u32;
        let from = self.fed;
        if text == 0 || packet.has(Flags::RST) || !packet.is_acceptable() {
            return Some(Part { from, to: len, last: true });
        }
        // The stack takes no bytes with a SYN.
        if from == 0 && syn == 1 {
            return Some(Part { from: 0, to: 1, last: false });
        }
        let live = &self.driver.live;
        let offered = live.offer.and_then(|offer| offer.mss);
        let mss = u32::from(offered.unwrap_or(default_mss(self.driver.ends().0.ip()))).max(1);
        let mut to = (from + mss).min(syn + text);
        let probes = matches!(packet.kind, DataKind::Probe | DataKind::KeepAlive);
        let start = place(packet.seq, live.irs);
        if !probes && start + to > live.fed {
            to = to.min(live.own_edge.saturating_sub(start));
            if to <= from {
                return None;
            }
        }
        let last = to == syn + text;
        Some(Part { from, to: if last { to + fin } else { to }, last })
    }

    fn blocked(&mut self, how: Blocked) -> Option<Ending> {
        let now = self.driver.now;
        let since = *self.blocked_since.get_or_insert(now);
        let wakes = self.driver.wakes_at();
        let timer = self.driver.runtime.next_at();
        match how {
            Blocked::Order => {
                match wakes.filter(|at| *at <= since + TIMERS) {
                    Some(at) => self.go_to(timer.map_or(at, |timer| timer.min(at))),
                    None => self.out_of_order = true,
                }
                return None;
            }
            Blocked::Ack => {
                let patient = wakes.map(|at| at.min(since + DELAYED_ACK)).filter(|at| *at > now);
                if let Some(at) = patient {
                    self.go_to(timer.map_or(at, |timer| timer.min(at)));
                    return None;
                }
                if self.split_ack() {
                    return None;
                }
            }
            Blocked::Window => {}
        }
        let next = timer.into_iter().chain(wakes).min();
        if let Some(at) = next.filter(|at| *at <= since + TIMERS || wakes.is_some_and(|wakes| *at <= wakes)) {
            self.go_to(at);
            return None;
        }
        Some(self.stalled(self.waited_for(how)))
    }

    /// Acknowledges what we have sent of what the packet acknowledges, with the window that it leaves; false if that says
    /// nothing new.
    fn split_ack(&mut self) -> bool {
        let (Some(packet), live) = (self.packet(), &self.driver.live) else { return false };
        let gate = self.gates[self.next];
        let shift = live.conversation.window_shift(Side::Remote);
        let edge = gate.acked.saturating_add(u32::from(packet.window) << shift);
        // What a window field can say of it.
        let edge = live.sent + (edge.saturating_sub(live.sent) >> shift << shift);
        let news = live.sent > live.acked || edge > live.peer_edge();
        if live.iss.is_none() || live.sent <= 1 || live.fed == 0 || packet.has(Flags::SYN | Flags::RST) || !news {
            return false;
        }
        let window = u16::try_from(edge.saturating_sub(live.sent) >> shift).unwrap_or(u16::MAX);
        let (ours, theirs) = self.driver.ends();
        let whole = Part { from: 0, to: 0, last: true };
        let options = self.driver.mapping.part(packet, whole, live, (ours, theirs)).options;
        let template = SegmentTemplate {
            seq: live.irs + live.fed,
            ack: live.iss.unwrap_or_default() + live.sent,
            window,
            options: crate::segment::Options { sack: Default::default(), ..options },
            ..SegmentTemplate::new(theirs, ours)
        };
        self.split_acks += 1;
        self.driver.feed(&template);
        true
    }

    fn waited_for(&self, how: Blocked) -> String {
        let (live, gate) = (&self.driver.live, self.gates[self.next]);
        let Some(packet) = self.packet() else { return String::new() };
        match how {
            Blocked::Window => format!(
                "our window to open: it ends at {}, the packet at {}",
                live.own_edge,
                place(packet.seq, live.irs) + Mapping::len(packet)
            ),
            _ if live.sent == 0 => "our SYN".to_owned(),
            _ if gate.acked == 1 => "our SYN|ACK".to_owned(),
            _ => format!(
                "bytes of ours: it acknowledges {}, we have sent {}",
                gate.acked.saturating_sub(1),
                live.sent.saturating_sub(1)
            ),
        }
    }

    fn stalled(&self, waited: String) -> Ending {
        let packets = &self.driver.stage.recording.packets;
        let packet = self.packet().or(packets.last()).map_or(0, |packet| packet.number);
        Ending::Stalled { packet, waited }
    }

    /// Everything is fed: what is still to come of our side.
    fn quiet(&mut self) -> Option<Ending> {
        let wakes = self.driver.wakes_at();
        let until = self.driver.live.last_at + QUIET;
        match self.driver.runtime.next_at() {
            Some(at) if at <= until || wakes.is_some_and(|wakes| at <= wakes) => {
                self.go_to(at);
                None
            }
            _ => Some(Ending::Finished),
        }
    }
}

const _: () = assert!(FOR_EVER.as_secs() > BEHIND.as_secs());
