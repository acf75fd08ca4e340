//! tcplab, a TCP laboratory: one userspace TCP/IP host that runs on a TUN device and on simulated links in virtual time.
//!
//! The host has smoltcp inside and BSD sockets outside. The same code runs in both places, so that what is seen in one
//! can be tried in the other. In virtual time a run is repeatable to the byte and costs no waiting:
//!
//! ```
//! use std::net::SocketAddr;
//! use tcplab::net::TcpStream;
//! use tcplab::sim::Sim;
//! use tcplab::app::{Listen, hello};
//!
//! let sim = Sim::seeded(7);
//! let server = sim.host("server", "192.0.2.1/24");
//! let client = sim.host("client", "192.0.2.2/24");
//! sim.link(&client, &server, "rate=10Mbit,delay=20ms,loss=1%");
//!
//! let addr = SocketAddr::new(server.address(), 12345);
//! server.spawn_daemon(move |net| hello::server(net, Listen::new(addr)));
//! let mut greeting = client.spawn(async move |net| {
//!     let stream = TcpStream::connect(&net, addr).await?;
//!     let mut greeting = Vec::new();
//!     stream.read_to_end(&mut greeting).await?;
//!     Ok::<_, std::io::Error>(greeting)
//! });
//! sim.run_until_idle();
//! assert_eq!(greeting.try_take().expect("it has ended")?, b"Hello, Client!");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Where to start
//!
//! - A test of a program that speaks TCP or UDP: [`sim`] for the network, [`net`] for the program, [`testing`] for many seeds.
//! - A program in blocking-style calls, with descriptors and errnos: the methods of [`net::Net`].
//! - A program with a loop of its own, which never waits: [`socket::Host`].
//! - What happened, packet by packet: an [`event::Observer`] given to [`sim::Sim::observe`]; [`view::Ladder`] draws it.
//! - A network with its programs in a file, run many times: `scenario` (feature `scenario`).
//! - The command with programs and congestion controllers of your own: [`Registry`] and `command_line` (feature `cli`).
//!
//! # The path of a packet
//!
//! ```text
//!    in   out
//!     |    ^
//!   device       a cable to another host                              --+
//!     |    ^                                                            |
//!   link         rate, delay, queue, loss, reorder, duplicate, corrupt--+--> event   what happened, typed
//!     |    ^                                                            |
//!   stack        demultiplexer, listeners, rules, TCP, UDP, ICMP      --+
//!     |    ^
//!   socket       file descriptors, BSD calls, errno; net: async on top
//!     |    ^
//!   app          echo, hello, http, bulk ... or the user's own program
//! ```
//!
//! Each module opens with its own theory. ARCHITECTURE.md in the repository has the order of the modules and what always
//! holds.
//!
//! # Features
//!
//! Without features (`default-features = false`, as in tests): hosts, links, sockets, async programs, simulation, events.
//!
//! | feature | what it adds |
//! |---|---|
//! | `capture` | pcap and pcapng, reading and writing |
//! | `http` | the HTTP server; hyper's traits for [`net::TcpStream`] |
//! | `scenario` | scenario files, the lessons, sweeps |
//! | `replay` | captures as tests, comparing two captures |
//! | `drill` | packetdrill scripts |
//! | `tokio` | tokio's `AsyncRead` and `AsyncWrite` for [`net::TcpStream`] |
//! | `live` (default, Linux) | the TUN device |
//! | `proxy` | a proxy between sockets of the kernel, with a link in its middle |
//! | `cli` (default) | the command, and all of the above but `live` |

// Held for the whole library, as ARCHITECTURE.md lists them.
#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_types))]
#![warn(
    clippy::iter_over_hash_type,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::dbg_macro,
    clippy::todo,
    clippy::unimplemented,
    clippy::unwrap_used
)]

pub mod annotate;
pub mod app;
#[cfg(feature = "cli")]
#[allow(clippy::disallowed_methods)] // it measures
mod bench;
#[cfg(feature = "capture")]
pub mod capture;
#[cfg(feature = "cli")]
#[allow(clippy::disallowed_methods)] // it waits for the wall clock
mod cli;
pub mod congestion;
#[cfg(feature = "control")]
pub mod control;
pub mod conversation;
pub mod device;
#[cfg(feature = "replay")]
pub mod diff;
#[cfg(feature = "drill")]
pub mod drill;
mod drive;
mod escape;
pub mod event;
pub mod link;
#[cfg(all(feature = "live", target_os = "linux"))]
#[allow(clippy::disallowed_methods)] // its clock is the wall clock
pub mod live;
pub mod net;
#[cfg(feature = "proxy")]
#[allow(clippy::disallowed_methods)] // its clock is the wall clock
pub mod proxy;
#[cfg(any(feature = "replay", feature = "drill"))]
mod recording;
pub mod recovery;
#[cfg(feature = "replay")]
pub mod replay;
pub mod rng;
#[cfg(feature = "scenario")]
pub mod scenario;
pub mod segment;
pub mod sim;
pub mod socket;
pub mod stack;
pub mod testing;
pub mod time;
pub mod trace;
pub mod view;

pub use app::{Program, Registry};
#[cfg(feature = "cli")]
pub use cli::command_line;
