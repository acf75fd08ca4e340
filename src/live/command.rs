//! The program that runs beside the host: `-- COMMAND`.
//!
//! It starts in our namespace when the listener is ready. A process between it and us keeps watch
//! over it (`supervisor`): nothing that COMMAND starts lives longer than this process, however this process ends. Its exit
//! code becomes ours: 128 + n if signal n ended it, as in a shell.

#![allow(unsafe_code)]

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, pipe};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

pub use super::capabilities::Privileges;
use super::supervisor::{self, Plan};
use crate::escape::Name;

/// A COMMAND that was started. Dropping it kills what is left of it and of its descendants, and waits for their end.
pub struct Running {
    supervisor: libc::pid_t,
    /// Held open as long as COMMAND may run.
    lifeline: Option<PipeWriter>,
    /// The wait status of COMMAND comes here.
    status: PipeReader,
}

/// Why a COMMAND could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot run `{}`: {cause}; what follows `--` is a program and its arguments", Name(.program))]
pub struct CommandError {
    program: String,
    cause: io::Error,
}

/// A program to start, and how it is joined to us. It inherits no other descriptors than the standard ones.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// The program and its arguments.
    pub command: &'a [OsString],
    /// Sends its standard output to standard error, for when ours carries something else.
    pub to_stderr: bool,
    /// Its standard input.
    pub input: Input,
    /// What it may do.
    pub privileges: Privileges,
    /// Whether it gets a PID namespace, where that is allowed. In one it does not see the processes outside of it.
    pub own_processes: bool,
}

/// The standard input of a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// None: it reads the end at once.
    #[default]
    None,
    /// Ours.
    Ours,
    /// Ours, which is a terminal, and the program becomes its foreground process group. So the keys of the terminal send
    /// signals to it and not to us.
    Terminal,
}

/// Starts a program with its arguments. `to_stderr` sends its standard output to standard error, for when ours carries
/// a capture. It has no standard input. As root it keeps the capabilities that a program beside the host needs:
/// `CAP_NET_ADMIN`, `CAP_NET_RAW` and `CAP_NET_BIND_SERVICE`.
///
/// # Errors
/// [`CommandError`], for example if there is no such program.
pub fn start(command: &[OsString], to_stderr: bool) -> Result<Running, CommandError> {
    Launch { command, to_stderr, input: Input::None, privileges: Privileges::Beside, own_processes: true }.start()
}

impl Launch<'_> {
    /// Starts the program.
    ///
    /// # Errors
    /// [`CommandError`], for example if there is no such program.
    pub fn start(&self) -> Result<Running, CommandError> {
        self.spawn().map_err(|cause| self.error(cause))
    }

    /// The error for a program that could not be started for this reason.
    pub(super) fn error(&self, cause: io::Error) -> CommandError {
        let program = self.command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
        CommandError { program, cause }
    }

    fn spawn(&self) -> io::Result<Running> {
        // All memory is taken before the fork: the child of a process with threads must not allocate.
        let words: Vec<_> = self.command.iter().map(|word| CString::new(word.as_bytes())).collect::<Result<_, _>>()?;
        let argv: Vec<_> = words.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect();
        let null = File::open("/dev/null")?;
        let (watched, lifeline) = pipe()?;
        let (status, reports) = pipe()?;
        let (mut failure, fails) = pipe()?;
        set_nonblocking(&status)?;
        let plan = Plan {
            argv: &argv,
            to_stderr: self.to_stderr,
            null: (self.input == Input::None).then(|| null.as_raw_fd()),
            foreground: self.input == Input::Terminal,
            privileges: self.privileges,
            own_processes: self.own_processes,
            lifeline: watched.as_raw_fd(),
            status: reports.as_raw_fd(),
            failure: fails.as_raw_fd(),
            mask: supervisor::block_signals(),
        };
        let forked = supervisor::fork();
        if forked == 0 {
            supervisor::run(&plan);
        }
        let error = io::Error::last_os_error();
        supervisor::restore_signals(&plan.mask);
        if forked < 0 {
            return Err(error);
        }
        drop((watched, reports, fails, null));
        let running = Running { supervisor: forked, lifeline: Some(lifeline), status };
        // The end of the pipe means that exec(3) has succeeded.
        let mut errno = [0; 4];
        match failure.read_exact(&mut errno) {
            Ok(()) => Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno))),
            Err(_) => Ok(running),
        }
    }
}

impl Running {
    /// Its exit code, once, when it has ended.
    ///
    /// # Errors
    /// The error of read(2).
    pub fn poll_exit(&mut self) -> io::Result<Option<i32>> {
        let mut status = [0; 4];
        match self.status.read(&mut status) {
            Ok(4) => Ok(Some(exit_code(i32::from_ne_bytes(status)))),
            // Somebody has killed the supervisor.
            Ok(_) => Ok(Some(128 + libc::SIGKILL)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Becomes readable when COMMAND ends.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.status.as_fd()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.lifeline = None;
        let mut status = 0;
        // SAFETY: waitpid writes the status, which is valid for the call.
        while unsafe { libc::waitpid(self.supervisor, &raw mut status, 0) } < 0
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
    }
}

fn exit_code(status: libc::c_int) -> i32 {
    if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}

fn set_nonblocking(pipe: &PipeReader) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(pipe)?;
    Ok(rustix::fs::fcntl_setfl(pipe, flags | rustix::fs::OFlags::NONBLOCK)?)
}
