//! One host and its sockets: calls, errno, options, the rules of TCP, limits, and the programs that stand on them.

#[path = "../common/bare.rs"]
mod bare;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/lab.rs"]
mod lab;

mod apps;
mod backlog;
mod blocking;
mod congestion;
mod datagrams;
mod errno;
mod hosts;
mod http;
mod limits;
mod net;
mod options;
mod patience;
mod rules;
mod shutdown;
mod sockets;
mod states;
mod time_wait;
