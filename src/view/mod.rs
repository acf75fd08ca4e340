//! What people look at, drawn from events: the ladder of a connection, the table of connections.

mod flows;
mod ladder;

pub use flows::Flows;
pub use ladder::Ladder;
