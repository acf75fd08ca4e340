//! Several hosts, routers and links in virtual time, and what `testing` gives to the tests of users.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/lab.rs"]
mod lab;

mod harness;
mod network;
mod readme;
mod routers;
mod sim;
mod testing;
mod tutorial;
