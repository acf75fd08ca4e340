//! `tcplab doctor`: what this machine allows, one line each: `ok`, or what to do.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cli::CliError;
use crate::cli::output::print;
use crate::device::Tun;
use crate::live;

const NODE: &str = "/dev/net/tun";

/// Exit code 1 if a TUN device cannot be had; what is merely useful may be missing.
pub(in crate::cli) fn run() -> Result<u8, CliError> {
    let mut possible = true;
    let node = if Path::new(NODE).exists() {
        Ok(())
    } else {
        Err(format!("{NODE} is missing: try `modprobe tun`, or in a container `--device {NODE}`"))
    };
    possible &= line("TUN node", &node)?;
    let opened = OpenOptions::new().read(true).write(true).open(NODE);
    let open = opened
        .map(drop)
        .map_err(|error| format!("{NODE}: {error}: ask for `chmod 0666 {NODE}` (the usual mode), or run as root"));
    possible &= line("TUN node may be opened", &open)?;
    // Nothing has started a thread yet.
    possible &= line("private network namespace", &live::enter().map_err(|error| error.to_string()))?;
    possible &= line("TUN device in it", &Tun::open("tcplab0").map(drop).map_err(|error| error.to_string()))?;
    for program in ["tshark", "curl"] {
        let found = Command::new(program).arg("--version").stdin(Stdio::null()).output().map(drop);
        let missing = "not found; useful to look at captures and to talk to servers, not needed: `make deps`";
        line(program, &found.map_err(|_| missing.to_owned()))?;
    }
    let limit = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    let namespaces = if limit.trim() == "0" {
        Err("user.max_user_namespaces is 0: only root has sandboxes here".to_owned())
    } else {
        Ok(())
    };
    line("user namespaces", &namespaces)?;
    if possible {
        print("tcplab can use a TUN device here: `tcplab demo`\n")?;
    } else {
        print("without a TUN device everything runs on simulated links: `tcplab demo --simulated`\n")?;
    }
    Ok(u8::from(!possible))
}

fn line(what: &str, result: &Result<(), String>) -> Result<bool, CliError> {
    match result {
        Ok(()) => print(format_args!("{what}: ok\n"))?,
        Err(why) => print(format_args!("{what}: {why}\n"))?,
    }
    Ok(result.is_ok())
}
