//! Our own packetdrill scripts, one named test for each: it passes strictly. docs/drill-rules.md has the table of the rules
//! and of the scripts that fail without them.

use std::process::ExitCode;

use tcplab::drill::TestDir;

fn main() -> ExitCode {
    TestDir::new("tests/drill").at_least(100).each(|_, drill| drill.option("no_extra", None)).run()
}
