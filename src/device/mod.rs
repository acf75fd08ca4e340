//! Devices move packets between a host and the outside; they do not depend on TCP. `cable` joins two nodes of a
//! simulation in memory, and `pool` keeps packets to use again. `tun` is the TUN device, with feature `live` on Linux.

mod cable;
#[cfg(all(feature = "live", target_os = "linux"))]
mod netif;
mod pool;
#[cfg(all(feature = "live", target_os = "linux"))]
mod tun;

pub(crate) use cable::{Cable, CableEnd};
pub(crate) use pool::Pool;

#[cfg(all(feature = "live", target_os = "linux"))]
pub use netif::{InterfaceSettings, configure, exists, is_tentative, source_to, up};
#[cfg(all(feature = "live", target_os = "linux"))]
pub use tun::{Tun, TunError, TunReason};
