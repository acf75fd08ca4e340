//! The signals that end the proxy in order. With feature `live` they are those of `serve`. Elsewhere they are Ctrl-C and what the
//! system has like it. A second signal ends the process at once.

use crate::cli::CliError;
use crate::proxy::Proxy;

/// SIGINT, SIGTERM and SIGHUP, or Ctrl-C, caught from now on.
#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) struct Signals(crate::live::Signals);

#[cfg(all(feature = "live", target_os = "linux"))]
impl Signals {
    pub(super) fn catch(proxy: &mut Proxy) -> Result<Self, CliError> {
        let failed = |error| CliError::Run(format!("catch SIGINT, SIGTERM and SIGHUP: {error}"));
        let signals = crate::live::Signals::catch().map_err(failed)?;
        for descriptor in signals.descriptors() {
            proxy.watch(descriptor).map_err(|error| CliError::Run(error.to_string()))?;
        }
        Ok(Self(signals))
    }

    /// The signal that has come.
    pub(super) fn poll_stop(&mut self) -> Option<u8> {
        self.0.poll_stop().map(|signal| signal as u8)
    }
}

/// SIGINT, SIGTERM and SIGHUP, or Ctrl-C, caught from now on.
#[cfg(not(all(feature = "live", target_os = "linux")))]
pub(super) struct Signals(std::sync::Arc<std::sync::atomic::AtomicBool>);

#[cfg(not(all(feature = "live", target_os = "linux")))]
impl Signals {
    /// The number of SIGINT, which the crate does not tell from the others.
    const SIGINT: u8 = 2;

    #[allow(clippy::needless_pass_by_ref_mut)] // as the other one
    pub(super) fn catch(proxy: &mut Proxy) -> Result<Self, CliError> {
        use std::sync::atomic::Ordering;
        let came = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (theirs, waker) = (std::sync::Arc::clone(&came), proxy.waker());
        let handler = move || {
            if theirs.swap(true, Ordering::Relaxed) {
                std::process::exit(128 + i32::from(Self::SIGINT));
            }
            waker.wake();
        };
        ctrlc::set_handler(handler).map_err(|error| CliError::Run(format!("catch Ctrl-C: {error}")))?;
        Ok(Self(came))
    }

    /// The signal that has come.
    pub(super) fn poll_stop(&mut self) -> Option<u8> {
        self.0.load(std::sync::atomic::Ordering::Relaxed).then_some(Self::SIGINT)
    }
}
