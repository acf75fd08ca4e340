//! The wall clock of the live loop.

pub(super) use crate::drive::Clock;
