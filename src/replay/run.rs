//! One replayed conversation on a simulation: our host, the scripted peer that plays the recorded side, and an ideal link
//! between them. `feeder` and `strict` decide what the peer sends and when; this is what they do it with.
//!
//! The packets are ordinary events of the simulation, so that a capture or a ladder of a replay is taken by an ordinary
//! observer. Observers see the instants of the recording.

use core::net::SocketAddr;
use core::pin::Pin;
use std::cell::RefCell;
use std::rc::Rc;

use super::feed::Mapping;
use super::icmp;
use super::live::Live;
use super::player;
use crate::app::calls::{self, Call, Done, Failed};
use crate::conversation::Side;
use crate::event::{Event, Observer, State};
use crate::net::{JoinHandle, Net};
use crate::recording::exact::Exact;
use crate::recording::{Recorded, Recording, SERVER, SideFacts};
use crate::segment::{HeaderEditor, IpView, Packet, Segment, SegmentTemplate};
use crate::sim::{HostHandle, PeerHandle, Sim};
use crate::socket::{HostConfig, SocketOption};
use crate::time::{Duration, Instant};

/// A program of the user's: called with a host's handle, once for each conversation.
pub(super) type UserProgram = Rc<dyn Fn(Net) -> Pin<Box<dyn Future<Output = ()>>>>;

/// Observers of a replay, shared with the caller, who reads them afterwards.
pub(super) type Observers = Vec<Rc<RefCell<dyn Observer>>>;

/// The program on our side.
#[derive(Clone)]
pub(super) enum OurProgram {
    /// The one that was derived from the recording.
    Derived(Vec<Call>),
    /// The one that was derived to the segment.
    Exact(Exact),
    /// The user's.
    User(UserProgram),
}

/// What is to be replayed, and with which host.
pub(super) struct Setup<'a> {
    pub(super) recording: &'a Recording,
    pub(super) facts: &'a [SideFacts; 2],
    pub(super) ours: Side,
    pub(super) ends: [SocketAddr; 2],
    pub(super) config: HostConfig,
    pub(super) program: OurProgram,
    /// The instant of the first packet in virtual time.
    pub(super) start: Instant,
    pub(super) nodelay: bool,
}

/// How a replay ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Everything was fed.
    Finished,
    /// No step was possible.
    Stalled {
        /// The packet that could not be fed.
        packet: u64,
        /// What it waited for.
        waited: String,
    },
}

/// The result of a replay.
pub(super) struct Played {
    pub(super) live: Live,
    pub(super) ending: Ending,
    /// How the derived program ended, if it did.
    pub(super) program: Option<Result<Done, Failed>>,
    /// What it read.
    pub(super) read: Vec<u8>,
    /// Acknowledgments that were split.
    pub(super) split_acks: u32,
    /// Packets whose bytes were fed in several parts.
    pub(super) split_segments: u32,
    /// The packets that were fed, by their numbers in the file.
    pub(super) fed: Vec<u64>,
    /// Steps that the replay took.
    pub(super) steps: usize,
}

/// How long a program may sleep after the end of the recording.
pub(super) const BEHIND: Duration = Duration::from_mins(1);

/// More events than a host can have at one instant.
const MOST_EVENTS: u64 = 1_000_000;

/// A replay in progress.
pub(super) struct Run<'a> {
    pub(super) setup: Setup<'a>,
    pub(super) mapping: Mapping<'a>,
    pub(super) live: Live,
    sim: Sim,
    host: HostHandle,
    peer: PeerHandle,
    program: Option<JoinHandle<Result<Done, Failed>>>,
    read: Rc<RefCell<Vec<u8>>>,
    /// Bytes of what was sent, for the comparison packet by packet.
    pub(super) sent_bytes: Option<Vec<Vec<u8>>>,
    /// The host reached the limit of events.
    pub(super) gave_up: Option<String>,
    /// The packets that were fed, by their numbers in the file.
    pub(super) fed: Vec<u64>,
    /// Steps that the replay took.
    pub(super) steps: usize,
}

/// Publishes events at the instants of the recording.
struct Shifted {
    observer: Rc<RefCell<dyn Observer>>,
    start: Instant,
    recorded: Instant,
}

impl Observer for Shifted {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        self.observer.borrow_mut().on_event(self.recorded + at.since(self.start), event);
    }

    fn wants_numbers(&self) -> bool {
        self.observer.borrow().wants_numbers()
    }
}

impl<'a> Run<'a> {
    /// Makes host, peer and link. The program of our side is made and has not begun.
    pub(super) fn new(setup: Setup<'a>, observers: &Observers) -> Self {
        let mapping = Mapping::new(setup.recording, setup.facts, setup.ours);
        let theirs = setup.ours.other();
        // A client's port is chosen by its stack, and the address that it connects to by its program.
        let known = setup.ours == SERVER;
        let (own, peer) = (setup.ends[setup.ours], setup.ends[theirs]);
        let live = Live::new(setup.facts[theirs].iss, known.then_some(own), known.then_some(peer), setup.start);
        let sim = Sim::seeded(0);
        sim.limit_events(MOST_EVENTS);
        sim.run_until(setup.start);
        let prefix_len = if own.is_ipv4() { 32 } else { 128 };
        let host =
            sim.host_with("replay", &format!("{}/{prefix_len}", own.ip()), |config| *config = setup.config.clone());
        let peer = sim.scripted_peer("recording", &format!("{}/{prefix_len}", peer.ip()));
        sim.link(&host, &peer, "");
        let recorded = setup.recording.started;
        for observer in observers {
            sim.observe(Shifted { observer: Rc::clone(observer), start: setup.start, recorded });
        }
        let read = Rc::new(RefCell::new(Vec::new()));
        let program = spawn(&host, &setup, &read);
        Self {
            setup,
            mapping,
            live,
            sim,
            host,
            peer,
            program,
            read,
            sent_bytes: None,
            gave_up: None,
            fed: Vec::new(),
            steps: 0,
        }
    }

    /// The present instant.
    pub(super) fn now(&self) -> Instant {
        self.sim.now()
    }

    /// When our host is to run next.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.sim.next_at()
    }

    /// Runs up to an instant without a packet from the peer.
    pub(super) fn run_to(&mut self, at: Instant) {
        if let Err(gave_up) = self.sim.try_run_until(at) {
            self.gave_up.get_or_insert(gave_up.to_string());
        }
        self.take_sent();
    }

    /// Runs everything that is due at this instant.
    pub(super) fn run_now(&mut self) {
        self.run_to(self.now());
    }

    /// Sets the clock to an instant, before everything that is due then.
    pub(super) fn advance_to(&mut self, at: Instant) {
        self.sim.advance_to(at);
        self.take_sent();
    }

    /// Begins: the program starts, and where it listens is known.
    pub(super) fn begin(&mut self) {
        self.run_now();
        // A server of the user's may listen on another port than the one that was recorded.
        let rows = self.host.sys(|host| host.descriptors());
        let listening: Vec<_> =
            rows.iter().filter(|row| row.state == Some(State::Listen)).filter_map(|row| row.local).collect();
        if let (Some(ours), [only]) = (&mut self.live.ours, listening.as_slice()) {
            ours.set_port(only.port());
        }
    }

    /// Feeds a segment. What our host sends at once was sent when this returns.
    pub(super) fn feed(&mut self, template: &SegmentTemplate<'_>) {
        let mut packet = Packet::new(template.to_bytes());
        packet.meta.sound = true; // the checksums were filled in a moment ago
        if let Ok(segment) = IpView::parse(&packet.bytes).and_then(|ip| Segment::parse(&ip)) {
            self.live.take_fed(self.sim.now(), &segment);
        }
        self.peer.inject_packet(packet);
        self.take_sent();
    }

    /// Feeds what TCP takes nothing from: an ICMP error, or a segment that was corrupted. False for everything else.
    pub(super) fn feed_unseen(&mut self, packet: &Recorded) -> bool {
        let bytes = if packet.icmp {
            icmp::mapped(&self.mapping, packet, &self.live, self.ends())
        } else if packet.bad_checksum && !packet.is_acceptable() {
            let mut bytes = self.mapping.whole(packet, &self.live, self.ends()).to_bytes();
            if let Ok(mut editor) = HeaderEditor::new(&mut bytes) {
                editor.spoil_checksum();
            }
            Some(bytes)
        } else {
            return false;
        };
        if let Some(bytes) = bytes {
            self.peer.inject(bytes);
            self.take_sent();
        }
        true
    }

    /// Takes what our host has sent.
    fn take_sent(&mut self) {
        while let Some(arrived) = self.peer.poll_packet() {
            match IpView::parse(&arrived.bytes).and_then(|ip| Segment::parse(&ip)) {
                Ok(segment) => {
                    let ours = self.live.take_sent(arrived.at, &segment);
                    if let Some(sent) = self.sent_bytes.as_mut().filter(|_| ours) {
                        sent.push(arrived.bytes);
                    }
                }
                Err(_) => self.live.others += 1,
            }
        }
    }

    /// Both live ends; before our host has sent a packet, those of the recording.
    pub(super) fn ends(&self) -> (SocketAddr, SocketAddr) {
        let (ours, theirs) = (self.setup.ends[self.setup.ours], self.setup.ends[self.setup.ours.other()]);
        (self.live.ours.unwrap_or(ours), self.live.theirs.unwrap_or(theirs))
    }

    /// The program is the derived one.
    pub(super) fn is_derived(&self) -> bool {
        self.program.is_some()
    }

    /// When a sleeping program continues, unless that is long after the end of the recording.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let horizon = self.setup.start + self.setup.recording.duration() + BEHIND;
        self.host.next_wake_up().filter(|at| *at <= horizon)
    }

    pub(super) fn finish(self, ending: Ending, split_acks: u32, split_segments: u32) -> Played {
        let Self { live, sim, mut program, read, fed, steps, .. } = self;
        let program = program.as_mut().and_then(JoinHandle::try_take);
        drop(sim);
        let read = Rc::try_unwrap(read).map_or_else(|shared| shared.borrow().clone(), RefCell::into_inner);
        Played { live, ending, program, read, split_acks, split_segments, fed, steps }
    }
}

/// Starts the program of our side. The handle is for a derived one.
fn spawn(
    host: &HostHandle,
    setup: &Setup<'_>,
    read: &Rc<RefCell<Vec<u8>>>,
) -> Option<JoinHandle<Result<Done, Failed>>> {
    let read = Rc::clone(read);
    match &setup.program {
        OurProgram::Derived(calls) => {
            let mut calls = calls.clone();
            if setup.nodelay {
                // Accepted sockets have the options of their listener.
                let opens = calls.iter().position(|call| matches!(call, Call::Connect(_) | Call::Listen(..)));
                if let Some(at) = opens {
                    calls.insert(at + 1, Call::Set(SocketOption::NoDelay(true)));
                }
            }
            Some(host.spawn_daemon(async move |net| {
                calls::run_reading(net, &calls, |_, _| {}, |data| read.borrow_mut().extend_from_slice(data)).await
            }))
        }
        OurProgram::Exact(exact) => {
            let (exact, start) = (exact.clone(), setup.start);
            host.spawn_daemon(async move |net| {
                player::play(net, exact, start, |data| read.borrow_mut().extend_from_slice(data)).await
            });
            None
        }
        OurProgram::User(program) => {
            let program = Rc::clone(program);
            host.spawn_daemon(async move |net| program(net).await);
            None
        }
    }
}
