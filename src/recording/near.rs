//! Infers on which side a capture was taken. `replay` uses it for `Role::Near`, `drill` for the
//! host under test.
//!
//! At the client a whole round trip is between SYN and SYN|ACK; at the server almost no time is. Between SYN|ACK and
//! its ACK it is the opposite. In the middle of the path both gaps are parts of a round trip. A file that marks
//! directions needs no such inference.

use super::packets::{CLIENT, Recording, SERVER};
use crate::conversation::Side;
use crate::time::Duration;

/// One gap is a round trip if it is this many times the other.
const CLEARLY: u32 = 3;
/// A shorter gap is not used: both ends are on one machine, or the file is synthetic.
const FLOOR: Duration = Duration::from_micros(200);

/// The end whose host the capture was taken on; `None` where that is unclear.
pub(crate) fn near(recording: &Recording) -> Option<Side> {
    match recording.outbound {
        [0, 0] => {}
        [a, b] if a != b => return Some(if b > a { SERVER } else { CLIENT }),
        _ => {}
    }
    let (to_answer, to_ack) = recording.handshake_gaps()?;
    if to_answer.max(to_ack) < FLOOR {
        return None;
    }
    if to_answer > to_ack * CLEARLY {
        Some(CLIENT)
    } else if to_ack > to_answer * CLEARLY {
        Some(SERVER)
    } else {
        None
    }
}
