//! Two kernels joined by our link: two private network namespaces, a TUN device in each, and a path of links between the
//! devices. Whole IP packets cross it, of any protocol. `cli` runs the loop.
//!
//! ```text
//!   left namespace                                                         right namespace
//!   10.77.0.1, fd77::1 -- TUN -- link -- hop 10.77.1.1 -- link -- ... -- TUN -- 10.77.0.2, fd77::2
//! ```
//!
//! `path` moves packets over the links and hops, without a socket and a clock. `side` makes a namespace and its device,
//! `listening` finds the sockets in it, and `lateness` counts the packets that the loop wrote too late.

#[cfg(feature = "control")]
mod controlled;
mod hop;
mod lateness;
mod listening;
mod path;
mod side;

pub use lateness::Lateness;
pub use side::{Side, SideCounters};

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, poll};

use super::clock::{self, Clock};
use super::memory::{self, GiveBack};
use super::sandbox::{self, SandboxError};
use super::{CommandError, Launch, LiveError, Running, timespec};
use crate::device::{TunError, TunReason};
use crate::event::{Event, Observer, Observers};
use crate::link::{Counters, LinkSchedule};
use crate::time::Instant;
use path::Path;
use side::End;

/// The most links on a path. A packet has a TTL of 64 usually.
pub const MOST_LINKS: usize = 64;

/// Packets that are read from one side before what has arrived is written to the other.
const BATCH: usize = 16;
/// Batches from each side in one turn.
const BATCHES: usize = 16;

/// Two namespaces and the links between them.
pub struct Wire {
    /// Left, then right.
    ends: [End; 2],
    path: Path,
    /// The links from left to right, each with its schedule to the right and that to the left.
    schedules: Vec<[LinkSchedule; 2]>,
    seed: u64,
    has_begun: bool,
    clock: Clock,
    observers: Observers,
    lateness: Lateness,
    /// Packets that were read from a device or written to one.
    packets: u64,
    /// The last batches were not empty, so more may be waiting already.
    more: bool,
    give_back: GiveBack,
}

/// Why the namespaces and their devices could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// A namespace.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A device.
    #[error(transparent)]
    Tun(#[from] TunError),
}

impl Wire {
    /// Enters a user namespace unless we are root, and makes both sides. `links` are those from left to right, at most
    /// [`MOST_LINKS`]; each has a schedule for its packets to the right and one for those to the left. The process must not
    /// have started a thread. It is in the right namespace from now on.
    ///
    /// # Errors
    /// [`WireError`]. Nothing is changed outside in any case.
    pub fn open(links: &[[LinkSchedule; 2]], seed: u64) -> Result<Self, WireError> {
        sandbox::enter_user_namespace()?;
        let mtu_of =
            |link: Option<&[LinkSchedule; 2]>, direction: usize| link.and_then(|link| link[direction].spec.mtu);
        let left = End::open(Side::Left, mtu_of(links.first(), 0))?;
        let right = End::open(Side::Right, mtu_of(links.last(), 1))?;
        let clock = Clock::start();
        // Until `begin` nothing impairs packets.
        let plain = vec![<[LinkSchedule; 2]>::default(); links.len().max(1)];
        Ok(Self {
            path: Path::new(&plain, seed, clock.now()),
            ends: [left, right],
            schedules: if links.is_empty() { plain } else { links.to_vec() },
            seed,
            has_begun: false,
            clock,
            observers: Observers::default(),
            lateness: Lateness::default(),
            packets: 0,
            more: false,
            give_back: GiveBack::default(),
        })
    }

    /// From now on the links do what their lines say, and their times count from here. Before that, packets cross
    /// unimpaired: those of the kernels when their devices come up, and those of a server that starts. They use up no
    /// random number and no scripted drop.
    ///
    /// # Errors
    /// [`LiveError`].
    pub fn begin(&mut self) -> Result<(), LiveError> {
        self.turn()?;
        let down: Vec<_> = self.path.links().map(|link| !link.is_up()).collect();
        self.path = Path::new(&self.schedules, self.seed, self.clock.now());
        self.path.links_mut().zip(down).for_each(|(link, down)| link.set_up(!down));
        self.has_begun = true;
        self.lateness = Lateness::default();
        Ok(())
    }

    /// Publishes all events from now on to `observer`. The left host is [`Side::host`] of left, and so on; hops follow.
    pub fn observe(&mut self, observer: Rc<RefCell<dyn Observer>>) {
        self.observers.add(observer);
    }

    /// Starts a command in the namespace of a side.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn start(&self, side: Side, launch: &Launch<'_>) -> Result<Running, CommandError> {
        clock::wait_exactly(false);
        let started = self.within(side, || launch.start()).unwrap_or_else(|cause| Err(launch.error(cause)));
        clock::wait_exactly(true);
        started
    }

    /// Whether a socket on the left side waits for clients: a TCP socket that listens, or a UDP socket that is bound and
    /// not connected. `port` restricts it to that port.
    ///
    /// # Errors
    /// The error of setns(2), or of the files of /proc.
    pub fn left_listens(&self, port: Option<u16>) -> io::Result<bool> {
        self.within(Side::Left, || listening::any(port))?
    }

    /// The line for a second terminal that enters the namespace of a side.
    pub fn join_hint(&self, side: Side) -> String {
        self.ends[side as usize].namespace.join_hint()
    }

    /// What was lost between the link and the kernel of a side.
    pub fn counters(&self, side: Side) -> SideCounters {
        let end = &self.ends[side as usize];
        let tx_dropped = self.within(side, || end.tun.tx_dropped()).ok().flatten();
        SideCounters { dropped_by_queue: tx_dropped.unwrap_or(0), ..end.counters }
    }

    /// Each direction of each link from left to right: its name and its counters.
    pub fn links(&self) -> impl Iterator<Item = (&str, Counters)> {
        self.path.links().map(|link| (link.name(), link.counters()))
    }

    /// Packets that the links dropped because they held as many as they may.
    pub fn lost_in_links(&self) -> u64 {
        self.path.links().map(crate::link::Link::overflowed).sum()
    }

    /// How late packets were written.
    pub fn lateness(&self) -> Lateness {
        self.lateness
    }

    /// Packets that were read from the devices and written to them so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Whether a packet is on a link.
    pub fn is_in_flight(&self) -> bool {
        self.path.is_in_flight()
    }

    /// The clock of the loop.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// One turn: reads packets from both devices and writes those that have arrived, a few at a time, until nothing is left
    /// or the turn is over.
    ///
    /// # Errors
    /// [`LiveError::Tun`] if a device was deleted.
    pub fn turn(&mut self) -> Result<(), LiveError> {
        self.write()?;
        for _ in 0..BATCHES {
            let mut read = 0;
            for side in Side::BOTH {
                read += self.read(side)?;
                self.write()?;
            }
            self.more = read > 0;
            if !self.more {
                break;
            }
        }
        if self.give_back.is_due(self.clock.now(), self.packets, 0) {
            self.path.shrink();
            memory::give_back();
        }
        Ok(())
    }

    /// The instant at which the next turn is due at the latest.
    pub fn next_at(&self) -> Option<Instant> {
        let at_once = self.more.then(|| self.clock.now());
        at_once.into_iter().chain(self.path.next_at()).chain(self.give_back.next_at()).min()
    }

    /// Waits until a packet has come from a side, one of `others` is readable, or `until` has come. True if one of `others`
    /// is.
    ///
    /// # Errors
    /// [`LiveError::Wait`].
    pub fn wait(&self, until: Option<Instant>, others: &[BorrowedFd<'_>]) -> Result<bool, LiveError> {
        let devices = self.ends.iter().map(|end| end.tun.as_fd());
        let mut fds: Vec<_> =
            devices.chain(others.iter().copied()).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let timeout = until.map(|until| timespec(until - self.clock.now()));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => Ok(fds[2..].iter().any(|fd| !fd.revents().is_empty())),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(LiveError::Wait(errno.into())),
        }
    }

    /// Reads a batch from a side into its link. Returns how many packets.
    fn read(&mut self, side: Side) -> Result<usize, LiveError> {
        let mut count = 0;
        while count < BATCH {
            let mut packet = self.path.take();
            if !self.ends[side as usize].tun.receive(&mut packet)? {
                self.path.give_back(packet);
                break;
            }
            let now = self.clock.now();
            self.path.handle_packet(now, side, packet, &mut self.observers);
            count += 1;
        }
        self.packets += count as u64;
        Ok(count)
    }

    /// Writes the packets that have arrived.
    fn write(&mut self) -> Result<(), LiveError> {
        loop {
            let now = self.clock.now();
            let Some(arrival) = self.path.poll_arrival(now, &mut self.observers) else { return Ok(()) };
            let end = &mut self.ends[arrival.side as usize];
            let (host, link, packet) = (arrival.side.host(), arrival.link, &arrival.packet);
            self.observers.on_event(now, &Event::Delivered { host, link, packet });
            match end.tun.send(&packet.bytes) {
                Ok(true) => {}
                Ok(false) => end.counters.not_written += 1,
                // As on a wire that is pulled out. It may come up again.
                Err(error) if error.reason() == TunReason::Down => end.counters.while_down += 1,
                // Its first four bits are no IP version any more, because a link has changed them.
                Err(error) if error.reason() == TunReason::OtherKind => end.counters.no_ip += 1,
                Err(error) => return Err(error.into()),
            }
            self.lateness.note(now.since(arrival.due));
            self.packets += 1;
            self.path.give_back(arrival.packet);
        }
    }

    /// Runs `act` in the namespace of a side, and comes back.
    fn within<R>(&self, side: Side, act: impl FnOnce() -> R) -> io::Result<R> {
        let home = &self.ends[Side::Right as usize].namespace;
        if side == Side::Right {
            return Ok(act());
        }
        self.ends[side as usize].namespace.enter()?;
        let result = act();
        home.enter()?;
        Ok(result)
    }
}
