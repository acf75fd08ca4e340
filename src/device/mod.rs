//! What moves bytes between a host and the world, and knows nothing of TCP: the in-memory [`Cable`] between two hosts
//! of a simulation, and the [`Pool`] whose packets travel on it.

mod cable;
mod pool;

pub use cable::{Cable, End};
pub use pool::Pool;
