//! `tcplab doctor`: checks what this machine allows. Each check prints one line: `ok`, or what to do.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::cli::CliError;
use crate::cli::output::{Output, json_line, print};
use crate::device::Tun;
use crate::live;
use crate::live::wire::Wire;

const NODE: &str = "/dev/net/tun";

/// Gives exit code 1 if no TUN device can be opened. Programs that are only useful may be missing.
pub(in crate::cli) fn run(output: Output) -> Result<u8, CliError> {
    let mut possible = true;
    let node = if Path::new(NODE).exists() {
        Ok(())
    } else {
        Err(format!("{NODE} is missing: try `modprobe tun`, or in a container `--device {NODE}`"))
    };
    possible &= line(output, "TUN node", &node)?;
    let opened = OpenOptions::new().read(true).write(true).open(NODE);
    let open = opened
        .map(drop)
        .map_err(|error| format!("{NODE}: {error}: ask for `chmod 0666 {NODE}` (the usual mode), or run as root"));
    possible &= line(output, "TUN node may be opened", &open)?;
    // The namespace must be entered before the first thread starts.
    possible &= line(output, "private network namespace", &live::enter().map_err(|error| error.to_string()))?;
    possible &= line(output, "TUN device in it", &Tun::open("tcplab0").map(drop).map_err(|error| error.to_string()))?;
    // Each side of a wire has a namespace, and a device of the same name in it.
    let wire = Wire::open(&[], 0).map(drop).map_err(|error| error.to_string());
    possible &= line(output, "two namespaces, for wire", &wire)?;
    for program in ["tshark", "curl"] {
        let found = Command::new(program).arg("--version").stdin(Stdio::null()).output().map(drop);
        let missing = "not found; it is optional, for looking at captures and for clients: `make deps` installs it";
        line(output, program, &found.map_err(|_| missing.to_owned()))?;
    }
    let limit = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    let namespaces = if limit.trim() == "0" {
        Err("user.max_user_namespaces is 0, so only root can use a sandbox: raise it with sysctl, or run as root"
            .to_owned())
    } else {
        Ok(())
    };
    line(output, "user namespaces", &namespaces)?;
    if output.json {
        output.result(json_line(&json!({ "check": "tcplab", "ok": possible, "advice": null })))?;
    } else if possible {
        print("tcplab can use a TUN device here: try `tcplab demo`\n")?;
    } else {
        print("without a TUN device, tcplab runs on simulated links only: try `tcplab demo --simulated`\n")?;
    }
    Ok(u8::from(!possible))
}

fn line(output: Output, what: &str, result: &Result<(), String>) -> Result<bool, CliError> {
    if output.json {
        let advice = result.as_ref().err();
        output.result(json_line(&json!({ "check": what, "ok": result.is_ok(), "advice": advice })))?;
        return Ok(result.is_ok());
    }
    match result {
        Ok(()) => output.result(format_args!("{what}: {}\n", output.verdict(true, "ok")))?,
        Err(why) => output.result(format_args!("{what}: {}\n", output.verdict(false, why)))?,
    }
    Ok(result.is_ok())
}
