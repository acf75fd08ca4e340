//! smoltcp made to behave like a host.

pub(crate) mod watch;
