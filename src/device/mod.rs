//! What moves bytes between a host and the world, and knows nothing of TCP: the in-memory cable between two hosts
//! of a simulation, the pool whose packets travel on it, and (feature `live`, Linux) the TUN device.

mod cable;
#[cfg(all(feature = "live", target_os = "linux"))]
mod netif;
mod pool;
#[cfg(all(feature = "live", target_os = "linux"))]
mod tun;

pub(crate) use cable::{Cable, CableEnd};
pub(crate) use pool::Pool;

#[cfg(all(feature = "live", target_os = "linux"))]
pub use netif::{InterfaceSettings, configure, exists, is_tentative, up};
#[cfg(all(feature = "live", target_os = "linux"))]
pub use tun::{Tun, TunError, TunReason};
