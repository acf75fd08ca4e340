//! `tcplab proxy` between real sockets of the kernel. Most tests run the proxy of the library in a thread; some run the
//! command. All ports are free ones of 127.0.0.1.
#![cfg(all(feature = "cli", feature = "proxy", target_os = "linux"))]

#[path = "../common/mod.rs"]
mod common;

mod command;
mod control;
mod crowd;
mod datagrams;
mod endings;
mod lab;
mod opening;
mod plan;
mod programs;
