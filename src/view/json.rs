//! Steps, flows and descriptors as JSON objects: what `show --json` prints.

use serde_json::{Value, json};

use super::ladder::flags;
use crate::conversation::Side;
use crate::event::State;
use crate::socket::DescriptorRow;
use crate::trace::{Content, Flow, Step};

/// One packet: `number`, `at` (seconds since 1970), `len`, `comment`, `words`, `tag`; of a segment also `stream`, `from` (0 is
/// the left end), `flags`, `seq`, `ack`, `window`, `payload`, `kinds`, `states`. `None` for steps that are no packets.
pub(crate) fn packet(step: &Step) -> Option<Value> {
    let (number, len, words, tag, comment) = match &step.content {
        Content::Segment(segment) => (segment.packet, segment.len, &segment.words, segment.tag, &segment.comment),
        Content::Packet(packet) => (packet.packet, packet.len, &packet.words, packet.tag, &packet.comment),
        _ => return None,
    };
    let mut object = json!({
        "number": number,
        "at": step.at.to_string(),
        "len": len,
        "comment": comment.as_ref().unwrap_or(words),
        "words": words,
        "tag": tag.map(|tag| tag.to_string()),
    });
    if let Content::Segment(segment) = &step.content
        && segment.seen.is_some()
    {
        object["stream"] = step.flow.into();
        object["from"] = (segment.from as usize).into();
        object["flags"] = flags(segment.flags).into();
        object["seq"] = segment.seq.into();
        object["ack"] = segment.ack.into();
        object["window"] = segment.window.into();
        object["payload"] = segment.payload.into();
        object["kinds"] = segment.kinds.iter().map(crate::conversation::Kind::name).collect();
        object["states"] = states(segment.states);
    }
    Some(object)
}

/// One connection; of each pair the left end comes first.
pub(crate) fn flow(flow: &Flow) -> Value {
    let account = &flow.account;
    json!({
        "stream": flow.number,
        "ends": flow.ends.map(|end| end.to_string()),
        "first": account.first.to_string(),
        "open_s": account.open_for().as_secs_f64(),
        "packets": account.segments,
        "messages": account.messages,
        "bytes": account.bytes,
        "retransmissions": account.retransmissions(),
        "states": states(flow.states()),
        "close": account.close.kind(),
        "closed_by": account.close.side().map(|side: Side| side as usize),
    })
}

/// One descriptor.
pub(crate) fn descriptor(row: &DescriptorRow) -> Value {
    json!({
        "fd": row.fd.0,
        "kind": row.kind,
        "state": row.state.map(|state| state.to_string()),
        "local": row.local.map(|end| end.to_string()),
        "remote": row.remote.map(|end| end.to_string()),
    })
}

fn states(states: [Option<State>; 2]) -> Value {
    json!(states.map(|state| state.map(|state| state.to_string())))
}
