//! Replays a capture of tcplab from its recipe: the run is made again and must give the same bytes. `replay` calls it
//! before the packet-by-packet comparison.

use std::io::Cursor;

use crate::capture::Reader;
use crate::scenario::Recipe;

/// The result of running it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// The same bytes.
    Same,
    /// Other bytes: the first packet that differs, and how.
    Differs(Option<u64>, String),
    /// It cannot be run.
    Failed(String),
}

/// Runs a recipe again and compares with the file. Of a torn file, what is there is compared.
pub(super) fn again(recipe: &Recipe, file: &[u8], torn: bool) -> Again {
    let bytes = match recipe.rerun_to_bytes() {
        Ok(bytes) => bytes,
        Err(error) => return Again::Failed(error.to_string()),
    };
    if bytes == file || torn && bytes.starts_with(file) {
        return Again::Same;
    }
    let (packet, what) = first_difference(file, bytes);
    Again::Differs(packet, what)
}

fn first_difference(file: &[u8], bytes: Vec<u8>) -> (Option<u64>, String) {
    let readers =
        (Reader::from_read(Cursor::new(file.to_vec()), "the file"), Reader::from_read(Cursor::new(bytes), "run"));
    let (Ok(mut file), Ok(mut run)) = readers else { return (None, "the head of the file".to_owned()) };
    loop {
        match (file.next_record(), run.next_record()) {
            (Some(Ok(a)), Some(Ok(b))) => {
                let what = if a.packet != b.packet {
                    "the packet"
                } else if a.at != b.at {
                    "its time"
                } else if a.comment != b.comment {
                    "its comment"
                } else if a != b {
                    "its other fields"
                } else {
                    continue;
                };
                return (Some(a.number), format!("{what} is another one"));
            }
            (Some(Ok(a)), _) => return (Some(a.number), "the run has no more packets".to_owned()),
            (_, Some(Ok(b))) => return (Some(b.number), "the run has more packets".to_owned()),
            _ => return (None, "something beside the packets".to_owned()),
        }
    }
}
