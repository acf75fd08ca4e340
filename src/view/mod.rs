//! What people look at, drawn from the events of a run or from any capture: the ladder of a connection, the table of
//! connections, the descriptors of a host.
//!
//! ```text
//!   a run      events ---> Ladder, Flows                  states as the hosts tell them
//!   a capture  records --> Trace ---> ladder, flow_table, sockets     states as the packets tell them (`states`)
//! ```
//!
//! `row` puts one step on paper for both; `streams` tells connections apart and keeps their accounts for both. What a
//! segment is comes from `conversation`, its words from `capture`.

mod flows;
mod ladder;
mod row;
mod sockets;
mod states;
mod streams;
mod trace;

pub use flows::{Flows, flow_table};
pub use ladder::Ladder;
pub use streams::{Close, Stream};
pub use trace::{Shape, Step, Trace};
