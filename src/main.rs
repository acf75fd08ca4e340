//! The `tcplab` command.

fn main() {}
