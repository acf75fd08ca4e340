//! packetdrill scripts on the userspace stack. A script runs against the sockets of a host in virtual time: a scripted
//! peer sends the packets of the script, and the packets of the host are compared with those that the script expects.
//!
//! ```text
//!   text --> parse --> script (data) --> run: our host and the scripted peer on a `Sim` --> verdict
//! ```

pub mod parse;
mod print;
pub mod script;
