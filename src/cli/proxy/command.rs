//! COMMAND beside the proxy: the program under test. It finds the address of the proxy in `TCPLAB_PROXY`. With feature
//! `live` everything that it has started ends with tcplab, also after kill -9. Elsewhere it ends when tcplab ends in
//! order.

#[cfg(not(all(feature = "live", target_os = "linux")))]
pub(super) use elsewhere::Running;
#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) use linux::Running;

#[cfg(all(feature = "live", target_os = "linux"))]
mod linux {
    use std::ffi::OsString;
    use std::os::fd::BorrowedFd;
    use std::time::Duration;

    use crate::cli::CliError;
    use crate::live::{self, Input, Launch, Privileges};

    /// A COMMAND that was started. Dropping it kills it and everything that it has started.
    pub(in crate::cli::proxy) struct Running(live::Running);

    impl Running {
        /// Sets a variable for COMMAND. The process must not have started a thread.
        pub(in crate::cli::proxy) fn export(name: &'static str, value: &str) -> Result<(), CliError> {
            live::export(name, value).map_err(|error| CliError::Run(format!("set {name}: {error}")))
        }

        /// Starts a program with its arguments. `to_stderr` sends its standard output to standard error.
        pub(in crate::cli::proxy) fn start(command: &[OsString], to_stderr: bool) -> Result<Self, CliError> {
            let (input, privileges) = (Input::None, Privileges::Unchanged);
            let launch = Launch { command, to_stderr, input, privileges, own_processes: false };
            launch.start().map(Self).map_err(|error| CliError::Usage(error.to_string()))
        }

        /// Becomes readable when COMMAND ends.
        #[allow(clippy::unnecessary_wraps)] // as the other one
        pub(in crate::cli::proxy) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            Some(self.0.descriptor())
        }

        /// When to look for its end at the latest.
        #[allow(clippy::unused_self)] // as the other one
        pub(in crate::cli::proxy) fn look_after(&self) -> Option<Duration> {
            None
        }

        /// Its exit code, when it has ended.
        pub(in crate::cli::proxy) fn poll_exit(&mut self) -> Result<Option<u8>, CliError> {
            let exit = self.0.poll_exit().map_err(|error| CliError::Run(format!("wait for COMMAND: {error}")))?;
            Ok(exit.map(|code| code as u8))
        }
    }
}

#[cfg(not(all(feature = "live", target_os = "linux")))]
mod elsewhere {
    use std::ffi::OsString;
    use std::process::{Child, Command, Stdio};
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use crate::cli::CliError;
    use crate::escape::Name;

    /// How often the proxy looks whether COMMAND has ended.
    const LOOK: Duration = Duration::from_millis(5);

    /// The variables for COMMAND.
    static VARIABLES: Mutex<Vec<(&str, String)>> = Mutex::new(Vec::new());

    /// A COMMAND that was started. Dropping it kills it.
    pub(in crate::cli::proxy) struct Running(Child);

    impl Running {
        /// Sets a variable for COMMAND.
        #[allow(clippy::unnecessary_wraps)] // as the other one
        pub(in crate::cli::proxy) fn export(name: &'static str, value: &str) -> Result<(), CliError> {
            VARIABLES.lock().unwrap_or_else(PoisonError::into_inner).push((name, value.to_owned()));
            Ok(())
        }

        /// Starts a program with its arguments. `to_stderr` sends its standard output to standard error.
        pub(in crate::cli::proxy) fn start(command: &[OsString], to_stderr: bool) -> Result<Self, CliError> {
            let (program, arguments) = command.split_first().ok_or_else(|| CliError::Usage("-- COMMAND".to_owned()))?;
            let mut start = Command::new(program);
            let variables = VARIABLES.lock().unwrap_or_else(PoisonError::into_inner).clone();
            start.args(arguments).envs(variables).stdin(Stdio::null());
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

        /// Nothing tells of its end here.
        #[cfg(unix)]
        #[allow(clippy::unused_self, clippy::unnecessary_wraps)] // as the other one
        pub(in crate::cli::proxy) fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
            None
        }

        /// When to look for its end at the latest.
        #[allow(clippy::unnecessary_wraps, clippy::unused_self)] // as the other one
        pub(in crate::cli::proxy) fn look_after(&self) -> Option<Duration> {
            Some(LOOK)
        }

        /// Its exit code, when it has ended.
        pub(in crate::cli::proxy) fn poll_exit(&mut self) -> Result<Option<u8>, CliError> {
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
}
