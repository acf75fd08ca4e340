//! The program that runs beside the host: `-- COMMAND`.
//!
//! It starts in our namespace when the listener is ready, without standard input. It is killed when this process ends
//! (`PR_SET_PDEATHSIG`). Its exit code becomes ours: 128 + n if signal n ended it, as in a shell.

#![allow(unsafe_code)]

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};

/// A running COMMAND. Dropping it kills it.
pub struct Running {
    child: Child,
}

/// Why a COMMAND could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot run `{program}`: {cause}; what follows `--` is a program and its arguments")]
pub struct CommandError {
    program: String,
    cause: io::Error,
}

/// Starts a program with its arguments. `to_stderr` sends its standard output to standard error, for when ours carries
/// a capture.
///
/// # Errors
/// [`CommandError`], for example if there is no such program.
pub fn start(command: &[OsString], to_stderr: bool) -> Result<Running, CommandError> {
    let program = command.first().cloned().unwrap_or_default();
    let mut process = Command::new(&program);
    process.args(command.iter().skip(1)).stdin(Stdio::null());
    if to_stderr {
        process.stdout(io::stderr());
    }
    // SAFETY: prctl is async-signal-safe and touches no memory of the parent.
    unsafe {
        process.pre_exec(|| {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let spawned = process.spawn();
    spawned
        .map(|child| Running { child })
        .map_err(|cause| CommandError { program: program.to_string_lossy().into_owned(), cause })
}

impl Running {
    /// Its exit code, if it has ended.
    ///
    /// # Errors
    /// The error of waitpid(2).
    pub fn poll_exit(&mut self) -> io::Result<Option<i32>> {
        Ok(self.child.try_wait()?.map(exit_code))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, so an error is ignored.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
