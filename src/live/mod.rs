//! One host on a TUN device, with the wall clock. Programs on the real kernel connect to it. `cli` and `bench` run the
//! loop.
//!
//! ```text
//!   wait: the device, signals, the wake-up of another thread, the next deadline
//!     |
//!     v
//!   read until EAGAIN --> link --> drive::handle_packet --+--> drive::run --> link --> write, after every few packets
//!   drive::handle_timeout --------------------------------+
//! ```
//!
//! Host and link are those of the simulator. By default the link has no delay and no impairment. What it holds is limited,
//! because the kernel's side can send without end: to what 1 Gbit/s carries in 200 ms, or to more if `limit` says so.
//! [`enter`] gives the process a private network namespace first. `command` runs the program beside the host, `supervisor`
//! ends what it has started, `capabilities` limits what it may do, `terminal` gives it the terminal, `signals` brings
//! signals to the loop, `wake` lets another thread wake it, and `memory` gives memory back. [`wire`] joins two kernels and
//! has no host.

mod capabilities;
mod clock;
mod command;
#[cfg(feature = "control")]
mod controlled;
mod environment;
mod memory;
mod sandbox;
mod signals;
mod supervisor;
mod terminal;
mod wake;
pub mod wire;

pub use command::{CommandError, Input, Launch, Privileges, Running, start};
pub use environment::export;
pub use sandbox::{SandboxError, enter, join_hint};
pub use signals::Signals;
pub use terminal::Foreground;
pub use wake::{WakeReceiver, WakeSender};

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;

use crate::device::{self, Cable, CableEnd, Pool, Tun, TunError, TunReason};
use crate::drive::{self, Medium};
use crate::event::{Event, HostId, LinkId, Observer, Observers};
use crate::link::{Link, LinkItems, LinkSchedule, SpecError};
use crate::net::{Net, Runtime};
use crate::segment::{Packet, PacketId, complete_checksums};
use crate::socket::{Host, HostConfig};
use crate::time::{Duration, Instant};

use clock::Clock;
use memory::GiveBack;

/// The userspace host, in events.
pub const HOST: HostId = HostId(0);
/// The kernel of this machine, in events.
pub const KERNEL: HostId = HostId(1);

/// The direction of the link from the host to the kernel, in events.
pub const TO_KERNEL: LinkId = LinkId(0);
/// The direction of the link from the kernel to the host, in events.
pub const TO_HOST: LinkId = LinkId(1);

/// Packets that are read in one batch, before deadlines are handled again.
const BATCH: usize = 512;
/// Packets that are handed to the host before programs run and the host sends. A sender should have a turn after every few
/// ACKs: what a loss among many ACKs finds was not sent yet. Linux sends after each ACK.
const TURN: usize = 8;
/// Packets that the host makes before they are written.
const BURST: usize = 64;

/// A host on a TUN device.
pub struct Live {
    runtime: Runtime,
    tun: Tun,
    /// End A is the host's, end B the kernel's.
    cable: Cable,
    pool: Pool,
    /// The host writes the next packet that it sends into it.
    buffer: Packet,
    /// Packets in the link that were not written to the device yet.
    unwritten: usize,
    clock: Clock,
    observers: Observers,
    sequence: u64,
    packets: u64,
    /// Packets that came out of the link.
    delivered: u64,
    lost_in_write: u64,
    lost_while_down: u64,
    lost_as_no_ip: u64,
    /// The last batch was full, so more may be waiting already.
    more: bool,
    give_back: GiveBack,
}

/// Why the loop could not continue.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The device.
    #[error(transparent)]
    Tun(#[from] TunError),
    /// poll(2).
    #[error("cannot wait for packets and signals: {0}")]
    Wait(io::Error),
}

/// The longest wait for the kernel to make its addresses usable; usually it takes a millisecond.
const LONGEST_TENTATIVE: Duration = Duration::from_secs(2);

/// Gives the kernel's side of a device its settings and waits until its IPv6 addresses can be used, so that the first
/// program beside the host connects from the right address.
///
/// # Errors
/// [`TunError`] that names the step.
pub fn set_up(name: &str, settings: &device::InterfaceSettings) -> Result<(), TunError> {
    device::configure(name, settings)?;
    let began = std::time::Instant::now();
    while device::is_tentative(name)? && began.elapsed() < LONGEST_TENTATIVE {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The end of the cable from which a direction leaves.
fn end(direction: LinkId) -> CableEnd {
    if direction == TO_KERNEL { CableEnd::A } else { CableEnd::B }
}

impl Live {
    /// A host with these settings on `tun`. `links` are the directions from the host to the kernel and back. Their times
    /// count from now.
    pub fn new(config: &HostConfig, tun: Tun, links: [&LinkSchedule; 2]) -> Self {
        let clock = Clock::start();
        let link = |schedule, name| Link::in_real_time(schedule, config.seed, name, config.mtu, clock.now());
        let cable = Cable::new([
            (link(links[0], "host>kernel"), TO_KERNEL, HOST),
            (link(links[1], "kernel>host"), TO_HOST, KERNEL),
        ]);
        let mut host = Host::new(config);
        host.set_now(clock.now());
        Self {
            runtime: Runtime::new(host),
            tun,
            cable,
            pool: Pool::new(config.mtu),
            buffer: Packet::default(),
            unwritten: 0,
            clock,
            observers: Observers::default(),
            sequence: 0,
            packets: 0,
            delivered: 0,
            lost_in_write: 0,
            lost_while_down: 0,
            lost_as_no_ip: 0,
            more: false,
            give_back: GiveBack::default(),
        }
    }

    /// The handle for programs.
    pub fn net(&self) -> Net {
        self.runtime.net()
    }

    /// Publishes all events from now on to `observer`.
    pub fn observe(&mut self, observer: Rc<RefCell<dyn Observer>>) {
        self.observers.add(observer);
        drive::observe(self, HOST);
    }

    /// Ends every program and closes its sockets. The following turns send what is left in their buffers.
    pub fn end_programs(&mut self) {
        self.runtime.end_programs();
    }

    /// The device.
    pub fn tun(&self) -> &Tun {
        &self.tun
    }

    /// Packets that the kernel refused when we wrote them, because it had no room.
    pub fn lost_in_write(&self) -> u64 {
        self.lost_in_write
    }

    /// Packets that were lost because the device was down when we wrote them.
    pub fn lost_while_down(&self) -> u64 {
        self.lost_while_down
    }

    /// Packets that the kernel refused because the link had corrupted their IP version.
    pub fn lost_as_no_ip(&self) -> u64 {
        self.lost_as_no_ip
    }

    /// Packets that the link dropped because it held as much as it may.
    pub fn lost_in_link(&self) -> u64 {
        [CableEnd::A, CableEnd::B].map(|end| self.cable[end].overflowed()).iter().sum()
    }

    /// One direction of the link: [`TO_KERNEL`] or [`TO_HOST`].
    pub fn link(&self, direction: LinkId) -> &Link {
        &self.cable[end(direction)]
    }

    /// Lays items over one direction of the link, for packets that enter from now on.
    ///
    /// # Errors
    /// The items name a trace whose file was not read.
    pub fn set_link(&mut self, direction: LinkId, items: &LinkItems) -> Result<(), SpecError> {
        let now = self.clock.now();
        self.cable.set_items(now, end(direction), items, &mut self.observers)
    }

    /// Takes one direction of the link down, or up again.
    pub fn set_link_up(&mut self, direction: LinkId, up: bool) {
        let now = self.clock.now();
        self.cable.set_up(now, end(direction), up, &mut self.observers);
    }

    /// Packets in both directions so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// The clock of the loop.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// One turn: read all packets, fire what is due, run the programs, send all packets. After every 8 packets the
    /// programs run and the host sends.
    ///
    /// A deadline fires only if it had passed before the device was read. So the ACK that a timer waits for is handled
    /// first, also when this process did not run for a while or a batch of packets took long.
    ///
    /// # Errors
    /// [`LiveError::Tun`] if the device was deleted.
    pub fn turn(&mut self) -> Result<(), LiveError> {
        let now = self.clock.now();
        self.cable.make_changes(now, &mut self.observers);
        let mut packet = self.pool.take();
        let (mut read, mut handed) = (0, 0);
        while read < BATCH && self.tun.receive(&mut packet)? {
            let arrived = core::mem::replace(&mut packet, self.pool.take());
            self.enter_link(now, CableEnd::B, arrived);
            handed += self.hand_over(now, TURN - handed);
            if handed == TURN {
                self.run(now)?;
                handed = 0;
            }
            read += 1;
        }
        self.pool.give_back(packet);
        drive::handle_timeout(self, now, HOST);
        let now = self.clock.now();
        self.run(now)?;
        while self.hand_over(now, TURN) > 0 {
            self.run(now)?;
        }
        self.more = read == BATCH;
        let buffered = self.net().host().buffered();
        if self.give_back.is_due(now, self.packets + self.delivered, buffered) {
            self.pool.shrink();
            memory::give_back();
        }
        Ok(())
    }

    /// The instant at which the next turn is due at the latest. A program that was spawned since the last one is due now.
    pub fn next_at(&mut self) -> Option<Instant> {
        let at_once = self.more.then(|| self.clock.now());
        let links = [CableEnd::A, CableEnd::B].into_iter().filter_map(|end| self.cable[end].next_at());
        let links = links.chain(self.cable.next_change_at());
        at_once.into_iter().chain(self.runtime.next_at()).chain(links).chain(self.give_back.next_at()).min()
    }

    /// Waits until a packet has come, one of `others` is readable, or `until` has come. True if one of `others` is.
    ///
    /// # Errors
    /// [`LiveError::Wait`].
    pub fn wait(&self, until: Option<Instant>, others: &[BorrowedFd<'_>]) -> Result<bool, LiveError> {
        let mut fds: Vec<_> = core::iter::once(self.tun.as_fd())
            .chain(others.iter().copied())
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        let timeout = until.map(|until| timespec(until - self.clock.now()));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => Ok(fds[1..].iter().any(|fd| !fd.revents().is_empty())),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(LiveError::Wait(errno.into())),
        }
    }

    fn enter_link(&mut self, now: Instant, end: CableEnd, mut packet: Packet) {
        self.packets += 1;
        packet.meta.id = PacketId(self.packets);
        self.cable.handle_packet(now, end, packet, &mut self.sequence, &mut self.pool, &mut self.observers);
    }

    /// Hands packets that have arrived at the end of their link to the host, at most `most`. Returns how many.
    fn hand_over(&mut self, now: Instant, most: usize) -> usize {
        let mut count = 0;
        while count < most
            && let Some(mut packet) = self.cable.poll_packet(now, CableEnd::B)
        {
            self.observers.complete(&mut packet);
            self.observers.on_event(now, &Event::Delivered { host: HOST, link: TO_HOST, packet: &packet });
            drive::handle_packet(self, now, HOST, &mut packet);
            self.pool.give_back(packet);
            self.delivered += 1;
            count += 1;
        }
        count
    }

    /// Runs the programs, and sends.
    fn run(&mut self, now: Instant) -> Result<(), LiveError> {
        drive::run(self, now, HOST)?;
        self.write_out(now)
    }

    /// Writes packets that have arrived at the end of their link into the device.
    fn write_out(&mut self, now: Instant) -> Result<(), LiveError> {
        self.unwritten = 0;
        while let Some(mut packet) = self.cable.poll_packet(now, CableEnd::A) {
            complete_checksums(&mut packet);
            self.observers.on_event(now, &Event::Delivered { host: KERNEL, link: TO_KERNEL, packet: &packet });
            match self.tun.send(&packet.bytes) {
                Ok(true) => {}
                Ok(false) => self.lost_in_write += 1,
                // As on a wire that is pulled out. It may come up again.
                Err(error) if error.reason() == TunReason::Down => self.lost_while_down += 1,
                // Its first four bits are no IP version any more, because the link has changed them.
                Err(error) if error.reason() == TunReason::OtherKind => self.lost_as_no_ip += 1,
                Err(error) => return Err(error.into()),
            }
            self.delivered += 1;
            self.pool.give_back(packet);
        }
        Ok(())
    }
}

impl Medium for Live {
    type Endpoint = Runtime;
    type Error = LiveError;

    fn endpoint(&mut self, _host: HostId) -> &mut Runtime {
        &mut self.runtime
    }

    fn endpoint_and_buffer(&mut self, _host: HostId) -> (&mut Runtime, &mut Packet) {
        (&mut self.runtime, &mut self.buffer)
    }

    /// Packets are written to the device one right after the other. So the kernel wakes their reader once for many
    /// packets.
    fn transmit(&mut self, now: Instant, _host: HostId) -> Result<(), LiveError> {
        if self.unwritten == BURST {
            self.write_out(now)?;
        }
        let packet = core::mem::replace(&mut self.buffer, self.pool.take());
        self.enter_link(now, CableEnd::A, packet);
        self.unwritten += 1;
        Ok(())
    }

    fn observers(&mut self) -> &mut Observers {
        &mut self.observers
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: i64::from(duration.subsec_nanos()) }
}
