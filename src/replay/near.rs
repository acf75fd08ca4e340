//! Which side a capture was taken on.
//!
//! Between SYN and SYN|ACK lies, at the client, a whole round trip; at the server, next to nothing. Between SYN|ACK and
//! the ACK of it, it is the other way round. In the middle of the way both gaps are parts of a round trip. A file that
//! marks directions says it by itself.

use super::recording::{CLIENT, Recording, SERVER};
use crate::conversation::Side;
use crate::time::Duration;

/// One gap is that of a round trip if it is so many times the other.
const CLEARLY: u32 = 3;
/// Below this a gap says nothing: both ends on one machine, or a synthetic file.
const FLOOR: Duration = Duration::from_micros(200);

/// The end whose host the capture was taken on; `None` where that is unclear.
pub(super) fn near(recording: &Recording) -> Option<Side> {
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
