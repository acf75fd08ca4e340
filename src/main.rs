//! The `tcplab` command.

fn main() -> std::process::ExitCode {
    tcplab::command_line(tcplab::Registry::default())
}
