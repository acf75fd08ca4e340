//! The parser of packetdrill's language: from a text to a [`Script`]. docs/drill.md describes the language. First,
//! `source` takes out comments and conditionals and replaces defined words. Then the grammar reads the text, one file for
//! each part of it. The command and the tests call [`parse`].
//!
//! ```text
//!   source --> prepare --> text --> event --> time, packet (options, icmp), call
//! ```

mod call;
mod definitions;
mod error;
mod event;
mod icmp;
mod input;
mod options;
mod packet;
mod source;
mod time;
mod token;

pub use definitions::{DefinitionError, Definitions, MAX_DEFINITION};
pub use error::{ParseError, ParseErrorKind};
pub use packet::MAX_PAYLOAD;
pub use time::MAX_SECONDS;

use super::script::{Script, Span};

/// Bytes of a script, also with its definitions replaced.
pub const MAX_BYTES: usize = 4 << 20;
/// How deep arrays and structs nest in the arguments of a call.
pub const MAX_DEPTH: usize = 16;
/// How deep `#ifdef` nests.
pub const MAX_CONDITIONALS: usize = 16;

/// Parses a script. Definitions replace words and decide about `#ifdef`.
pub fn parse(source: &str, definitions: &Definitions) -> Result<Script, ParseError> {
    let prepared = match source::prepare(source, definitions) {
        Ok(prepared) => prepared,
        Err(refusal) => {
            let span = Span { start: refusal.place.start, end: refusal.place.end };
            return Err(ParseError::new(source, span, refusal));
        }
    };
    input::run(source, &prepared, event::script)
}
