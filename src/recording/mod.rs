//! The TCP conversations of a capture: what was recorded, on which side, and what the program and the settings of one side
//! were, as far as the packets tell. `replay` plays them again, and `drill` writes scripts from them.
//!
//! ```text
//!   find --> packets (one conversation) --> near (which side)
//!                                      '--> infer (settings of the host), exact (the calls)
//! ```

pub(crate) mod exact;
mod find;
pub(crate) mod infer;
#[cfg(feature = "replay")]
pub(crate) mod lines;
mod near;
pub(crate) mod origin;
mod packets;

#[cfg(feature = "replay")]
pub(crate) use find::FileContent;
pub(crate) use find::find;
pub(crate) use near::near;
pub(crate) use origin::Origin;
#[cfg(feature = "replay")]
pub(crate) use packets::{Assembly, NewData};
pub(crate) use packets::{CLIENT, Opening, Recorded, Recording, SERVER, SideFacts, Skip, place};
