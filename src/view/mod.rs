//! What people look at, drawn from events: the ladder of a connection.

mod ladder;

pub use ladder::Ladder;
