//! The end of a command that runs in real time: `serve`, `connect`, `proxy` and `wire` close a capture and have an exit
//! code to give.

use super::CliError;
use super::output::Output;

/// Says whether a signal has come: one that had come `already`, or one that `poll` has seen since.
pub(super) fn signalled(mut already: bool, mut poll: impl FnMut() -> bool) -> impl FnMut() -> bool {
    move || {
        already |= poll();
        already
    }
}

/// The exit code: `code`, unless it says of no failure of its own and the capture has failed.
pub(super) fn exit_code(code: u8, recorded: Option<Result<(), CliError>>, output: Output) -> Result<u8, CliError> {
    match recorded {
        Some(Err(error)) if code == 0 || code > 128 => Err(error),
        Some(Err(error)) => {
            output.error(&error);
            Ok(code)
        }
        Some(Ok(())) | None => Ok(code),
    }
}
