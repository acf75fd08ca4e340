//! tcplab, a TCP laboratory: one userspace TCP/IP host that runs on a TUN device and on simulated links in virtual time.

pub mod rng;
pub mod segment;
pub mod stack;
pub mod time;
