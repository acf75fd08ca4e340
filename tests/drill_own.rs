//! Our own packetdrill scripts, one named test for each: it passes strictly. docs/drill-rules.md has the table of the rules
//! and of the scripts that fail without them.
//!
//! tests/drill/errors, which is left out, has scripts that cannot be read: `tests/drill_parse.rs` looks at them.

use std::process::ExitCode;

use libtest_mimic::Arguments;
use tcplab::drill::TestDir;

fn main() -> ExitCode {
    let mut trials = TestDir::new("tests/drill").at_least(100).each(|_, drill| drill.option("no_extra", None)).trials();
    trials.retain(|trial| !trial.name().starts_with("errors/"));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
