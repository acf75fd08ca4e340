//! Renderers over `trace`: the ladder of a connection, the table of connections, the descriptors of a host, JSON,
//! the terminal UI.
//!
//! ```text
//!   a run      events ---> Ladder, Flows (observers)               states as the hosts tell them
//!   a capture  records --> Trace --> LadderWriter, flow_table, descriptors    states as the segments imply them
//! ```
//!
//! - `ladder`: steps as rows; `order` and `fold`: which rows there are; `label`: their texts; `layout` and `arrows`:
//!   rows as text for every width of a terminal; `text`: columns and lines;
//! - `joint`: a ladder with a column for each host;
//! - `flows`, `flow_report`, `stats`, `sockets`: tables; `json`: steps and flows as objects;
//! - `ladder_svg`: the text of a ladder as a picture;
//! - `series`: the numbers behind plots; `plot`: plots as SVG; `palette`: the colours of plots;
//! - `model`: all rows of a run or a capture with what is known of both ends; `step`: the terminal UI; `page`: the HTML page.

mod arrows;
mod flow_report;
mod flows;
mod fold;
mod joint;
#[cfg(feature = "cli")]
pub(crate) mod json;
mod label;
mod ladder;
mod ladder_svg;
mod layout;
#[cfg(feature = "cli")]
pub(crate) mod model;
mod order;
#[cfg(feature = "cli")]
pub(crate) mod page;
pub mod palette;
pub mod plot;
pub mod series;
mod sockets;
mod stats;
#[cfg(feature = "cli")]
pub(crate) mod step;
mod text;

pub use flow_report::flow_report;
pub use flows::{Flows, flow_table, listed_flows, unlisted_flows};
pub use ladder::{Ladder, LadderWriter};
pub use ladder_svg::{SVG_COLUMNS, SvgLadder};
pub use layout::{NARROWEST, Style};
pub use sockets::{descriptors, vantage_point};
pub use stats::{RunStats, Stats};
#[cfg(feature = "cli")]
pub(crate) use text::filled;
#[cfg(feature = "cli")]
pub(crate) use text::printable;
