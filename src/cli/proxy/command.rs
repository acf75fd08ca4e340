//! COMMAND beside the proxy: the program under test. It finds the address of the proxy in `TCPLAB_PROXY`.

use std::ffi::OsString;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cli::CliError;
use crate::escape::Name;

/// How often the proxy looks whether COMMAND has ended.
const LOOK: Duration = Duration::from_millis(5);

/// A COMMAND that was started. Dropping it kills it.
pub(super) struct Running(Child);

impl Running {
    /// Starts a program with its arguments. `to_stderr` sends its standard output to standard error.
    pub(super) fn start(command: &[OsString], address: &str, to_stderr: bool) -> Result<Self, CliError> {
        let (program, arguments) = command.split_first().ok_or_else(|| CliError::Usage("-- COMMAND".to_owned()))?;
        let mut start = Command::new(program);
        start.args(arguments).env("TCPLAB_PROXY", address).stdin(Stdio::null());
        if to_stderr {
            start.stdout(std::io::stderr());
        }
        let failed = |error| {
            let shown = program.to_string_lossy();
            CliError::Usage(format!(
                "cannot run `{}`: {error}; what follows `--` is a program and its arguments",
                Name(&shown)
            ))
        };
        start.spawn().map(Self).map_err(failed)
    }

    /// When to look for its end at the latest.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(super) fn look_after(&self) -> Option<Duration> {
        Some(LOOK)
    }

    /// Its exit code, when it has ended.
    pub(super) fn poll_exit(&mut self) -> Result<Option<u8>, CliError> {
        let status = self.0.try_wait().map_err(|error| CliError::Run(format!("wait for COMMAND: {error}")))?;
        Ok(status.map(exit_code))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended
        let _ = self.0.wait();
    }
}

/// 128 + n after signal n, as in a shell.
fn exit_code(status: std::process::ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return 128 + signal as u8;
    }
    status.code().map_or(1, |code| code as u8)
}
