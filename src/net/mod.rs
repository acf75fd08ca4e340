//! Async programs over the non-blocking calls of one host: an executor, a clock, BSD calls that wait, `TcpListener`,
//! `TcpStream` and `UdpSocket`. The streams have the traits of futures-io; with feature `http` those of hyper, with
//! feature `tokio` those of tokio.
//!
//! A [`Runtime`] is a host with its programs. It reads no clock and moves no packet by itself. `drive` calls it in the
//! same way in virtual and in real time:
//!
//! ```text
//!   handle_packet, handle_timeout     input: what arrived, what is due
//!   run                               the programs go on until each of them waits
//!   poll_transmit, next_at            output: packets to send; when to come back at the latest
//! ```
//!
//! There are two ways to write the same program. One uses the calls of the manual, which wait as on a blocking socket:
//!
//! ```
//! # use std::net::SocketAddr;
//! # use tcplab::net::Net;
//! # use tcplab::socket::{Domain, Errno, Type};
//! async fn greet(net: Net, addr: SocketAddr) -> Result<(), Errno> {
//!     let listener = net.socket(Domain::of(&addr), Type::Stream)?;
//!     net.bind(listener, addr)?;
//!     net.listen(listener, 5)?;
//!     let (client, _) = net.accept(listener).await?;
//!     net.write(client, b"Hello, Client!").await?;
//!     net.close(client)
//! }
//! ```
//!
//! The other uses sockets that close themselves when they are dropped, and timeouts around any future:
//!
//! ```
//! # use std::{io, net::SocketAddr, time::Duration};
//! # use tcplab::net::{Net, TcpListener};
//! async fn greet(net: Net, addr: SocketAddr) -> io::Result<()> {
//!     let listener = TcpListener::bind(&net, addr)?;
//!     let (client, _) = net.timeout(Duration::from_secs(60), listener.accept()).await??;
//!     client.write_all(b"Hello, Client!").await
//! }
//! ```
//!
//! Programs hold a [`Net`], a cheap handle that stays on its thread: nothing has to be `Send`. The order is
//! deterministic. Descriptors wake their tasks in the order in which they became ready. Tasks on one descriptor wake in
//! the order in which they began to wait. Woken tasks run first in, first out.

mod calls;
mod clock;
mod executor;
mod handle;
#[cfg(feature = "http")]
mod hyper;
mod stream;
mod tcp;
mod udp;
mod wait;

pub use clock::Sleep;
pub use executor::JoinHandle;
pub use handle::{Elapsed, Net};
#[cfg(feature = "http")]
pub use hyper::{HyperExecutor, HyperTimer};
pub use tcp::{TcpListener, TcpStream};
pub use udp::UdpSocket;

use core::cell::{Ref, RefMut};

use crate::event::HostEvent;
use crate::segment::Packet;
use crate::socket::Host;
use crate::time::Instant;

/// Polls that one [`Runtime::run`] may make before it counts as an endless loop.
const POLLS: usize = 1_000_000;
/// Polls that are added to the limit for each task.
const POLLS_PER_TASK: usize = 1_000;

/// A host and its programs. Dropping it drops the programs.
///
/// *Inputs*: [`handle_packet`](Self::handle_packet), [`handle_timeout`](Self::handle_timeout), [`run`](Self::run).
/// *Outputs*: [`poll_transmit`](Self::poll_transmit), [`next_at`](Self::next_at), [`poll_event`](Self::poll_event). The
/// rest only reads.
#[derive(Debug)]
pub struct Runtime {
    net: Net,
}

impl Runtime {
    /// A host without programs.
    pub fn new(host: Host) -> Self {
        Self { net: Net::new(host) }
    }

    /// The handle that programs use.
    pub fn net(&self) -> Net {
        self.net.clone()
    }

    /// Starts a program; it is polled for the first time by the next [`Runtime::run`].
    pub fn spawn<T: 'static>(
        &self,
        name: impl Into<std::borrow::Cow<'static, str>>,
        program: impl Future<Output = T> + 'static,
    ) -> JoinHandle<T> {
        self.net.spawn_named(name, program)
    }

    /// A packet has arrived.
    pub fn handle_packet(&mut self, now: Instant, packet: &mut Packet) {
        self.net.host_mut().handle_packet(now, packet);
    }

    /// Fires what is due: the timers of the stack and the sleeps of programs.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.net.host_mut().handle_timeout(now);
        self.net.clock().advance(now);
    }

    /// Sets the host's time, and runs the programs until each of them waits.
    ///
    /// # Panics
    ///
    /// Passes on the panic of a program. Panics with the name of the task when programs wake each other or themselves
    /// without end. The limit is a million polls, and a thousand more for each task.
    pub fn run(&mut self, now: Instant) {
        self.net.host_mut().set_now(now);
        self.net.clock().advance(now);
        let mut polls = 0;
        loop {
            self.net.wake_ready();
            let Some(task) = self.net.executor().run_one() else { break };
            polls += 1;
            if polls > POLLS + POLLS_PER_TASK * self.tasks() {
                self.give_up(task, polls);
            }
        }
    }

    #[cold]
    fn give_up(&self, task: u64, polls: usize) -> ! {
        let name = self.net.executor().name(task).unwrap_or_default();
        panic!("task {task} \"{name}\" runs without end: {polls} polls at {}", self.net.now());
    }

    /// Writes the next packet to send into `packet`, whose old content is gone; false if there is none.
    pub fn poll_transmit(&mut self, now: Instant, packet: &mut Packet) -> bool {
        self.net.host_mut().poll_transmit(now, packet)
    }

    /// As [`Runtime::poll_transmit`], but the checksums of the packet can be missing
    /// ([`PacketMeta::checksums_missing`](crate::segment::PacketMeta)).
    pub(crate) fn poll_unfinished(&mut self, now: Instant, packet: &mut Packet) -> bool {
        self.net.host_mut().poll_unfinished(now, packet)
    }

    /// The earliest deadline. A program that is ready is due now.
    pub fn next_at(&mut self) -> Option<Instant> {
        if self.net.executor().has_ready() || self.net.host().has_ready() {
            return Some(self.net.now());
        }
        match (self.net.host_mut().next_at(), self.net.clock().next_at()) {
            (Some(stack), Some(sleep)) => Some(stack.min(sleep)),
            (stack, sleep) => stack.or(sleep),
        }
    }

    /// When the first sleep of a program ends, if one sleeps. A program that is ready, or waits for a descriptor, is not
    /// counted.
    pub fn next_wake_up(&self) -> Option<Instant> {
        self.net.clock().next_at()
    }

    /// Whether events of the stack and calls of the programs are queued. Off by default.
    pub fn observe_events(&mut self, on: bool) {
        self.net.host_mut().observe_events(on);
    }

    /// Whether connections publish their numbers ([`HostEvent::Numbers`]). Off by default.
    pub fn observe_numbers(&mut self, on: bool) {
        self.net.host_mut().observe_numbers(on);
    }

    /// The next event: a call of a program, or an event of the stack.
    pub fn poll_event(&mut self) -> Option<HostEvent> {
        self.net.host_mut().poll_event()
    }

    /// The host, for reading. Do not hold it across a call of this runtime.
    pub fn host(&self) -> Ref<'_, Host> {
        self.net.host()
    }

    /// The host, for changes. Do not hold it across a call of this runtime.
    pub fn host_mut(&mut self) -> RefMut<'_, Host> {
        self.net.host_mut()
    }

    /// Ends every program and closes every open descriptor. The sockets still send what is in their buffers.
    pub fn end_programs(&mut self) {
        self.net.executor().clear();
        let open: Vec<_> = self.net.host().descriptors().iter().map(|row| row.fd).collect();
        for fd in open {
            let _ = self.net.host_mut().close(fd); // it was open, so this cannot fail
        }
    }

    /// How many programs have not ended.
    pub fn tasks(&self) -> usize {
        self.net.executor().unfinished()
    }

    /// One line for each program that has not ended: `task 2 "server": accept on 3 since 1.000000000`.
    pub fn waiting(&self) -> Vec<String> {
        self.net.waiting()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Programs hold handles, and handles hold the programs. This breaks the reference cycle.
        self.net.executor().clear();
    }
}
