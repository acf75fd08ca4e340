//! The rules of sender, receiver and host, each as a whole host shows it on the wire, in virtual time. Each test is named
//! after its rule, with the section. `tests/rules/lab.rs` has the notation.

#[path = "rules/buffers.rs"]
mod buffers;
mod common;
#[path = "rules/config.rs"]
mod config;
#[path = "rules/cookies.rs"]
mod cookies;
#[path = "rules/info.rs"]
mod info;
#[path = "rules/lab.rs"]
mod lab;
#[path = "rules/listener.rs"]
mod listener;
#[path = "rules/path_mtu.rs"]
mod path_mtu;
#[path = "rules/receiver.rs"]
mod receiver;
#[path = "rules/recovery.rs"]
mod recovery;
#[path = "rules/sender.rs"]
mod sender;
#[path = "rules/stories.rs"]
mod stories;
#[path = "rules/strangers.rs"]
mod strangers;
#[path = "rules/undo.rs"]
mod undo;
