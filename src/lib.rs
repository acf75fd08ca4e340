//! tcplab, a TCP laboratory: one userspace TCP/IP host that runs on a TUN device and on simulated links in virtual time.

pub mod app;
pub mod capture;
pub mod conversation;
pub mod device;
pub mod event;
pub mod link;
pub mod net;
pub mod rng;
pub mod segment;
pub mod sim;
pub mod socket;
pub mod stack;
pub mod time;
