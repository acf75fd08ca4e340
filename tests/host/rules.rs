//! The rules of sender, receiver and host, each as a whole host shows it on the wire, in virtual time. Each test is named
//! after its rule, with the section. `tests/host/rules/lab.rs` has the notation.

mod buffers;
mod config;
mod cookies;
mod info;
mod lab;
mod listener;
mod path_mtu;
mod receiver;
mod recovery;
mod sender;
mod stories;
mod strangers;
mod undo;
