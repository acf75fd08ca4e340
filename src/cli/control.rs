//! `--control` of the commands that run in real time. They open the interface before they enter a namespace.

use clap::Args as ClapArgs;

use super::CliError;
use crate::control::{Control, ControlAddress, OpenError};

/// The options of the control interface.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Control")]
pub(super) struct ControlOptions {
    /// Show and change links over HTTP and JSON, at `127.0.0.1:PORT` or `unix:PATH`; docs/control.md has the requests
    /// [default: no control]
    #[arg(long, value_name = "ADDRESS")]
    control: Option<ControlAddress>,
    /// Allow an address for --control that other machines can reach; there is no password
    #[arg(long, requires = "control")]
    control_anywhere: bool,
}

impl ControlOptions {
    /// Opens the interface, if it is wanted. COMMAND finds its address in `TCPLAB_CONTROL`. The process must not have
    /// started a thread.
    pub(super) fn open(&self) -> Result<Option<Control>, CliError> {
        let Some(address) = &self.control else { return Ok(None) };
        let opened = Control::open(address, self.control_anywhere)
            .map_err(|error: OpenError| CliError::Usage(error.to_string()))?;
        #[cfg(all(feature = "live", target_os = "linux"))]
        crate::live::export("TCPLAB_CONTROL", opened.address())
            .map_err(|error| CliError::Run(format!("set TCPLAB_CONTROL: {error}")))?;
        Ok(Some(opened))
    }
}
