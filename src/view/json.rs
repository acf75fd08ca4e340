//! Steps, flows and descriptors as JSON objects: what `show --json` prints.

use serde_json::{Value, json};

use super::flow_report::bytes_per_second;
use super::label::flags;
use super::stats::{OfFlows, PARTS, Stats};
use crate::annotate::Variables;
use crate::conversation::{Kind, Side};
use crate::event::{Phase, Reason, State};
use crate::socket::DescriptorRow;
use crate::time::Duration;
use crate::trace::{Content, Flow, Measured, Step, Trace};

/// One packet: `number`, `at` (seconds since 1970), `len`, `comment`, `words`, `tag`; of a segment also `stream`, `from` (0 is
/// the left end), `flags`, `seq`, `ack`, `window`, `payload`, `sack`, `kinds`, `states`, and with full comments `variables`.
/// `None` for steps that are no packets.
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
        object["sack"] = json!(segment.sacked);
        object["kinds"] = segment.kinds.iter().map(Kind::name).collect();
        object["states"] = states(segment.states);
        if let Some(told) = segment.variables.as_ref().filter(|told| !told.is_empty()) {
            object["variables"] = variables(told);
        }
    }
    Some(object)
}

/// The variables of a sender: bytes, seconds (`_s`), names. Those that are not known are left out.
fn variables(told: &Variables) -> Value {
    let Variables { snd_una, snd_nxt, snd_wnd, srtt, rttvar, rto, cwnd, ssthresh, flight_size, pipe, phase, reason } =
        *told;
    let counts = [
        ("snd_una", snd_una),
        ("snd_nxt", snd_nxt),
        ("snd_wnd", snd_wnd),
        ("cwnd", cwnd),
        ("ssthresh", ssthresh),
        ("flight_size", flight_size),
        ("pipe", pipe),
    ];
    let times = [("srtt_s", srtt), ("rttvar_s", rttvar), ("rto_s", rto)];
    let names = [("phase", phase.map(Phase::name)), ("reason", reason.map(Reason::name))];
    let counts = counts.into_iter().filter_map(|(name, value)| Some((name, json!(value?))));
    let times = times.into_iter().filter_map(|(name, value)| Some((name, json!(value?.as_secs_f64()))));
    let names = names.into_iter().filter_map(|(name, value)| Some((name, json!(value?))));
    counts.chain(times).chain(names).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// One connection; of each pair the left end comes first. docs/views.md lists the fields.
pub(crate) fn flow(flow: &Flow) -> Value {
    let account = &flow.account;
    let counts = |kind| Side::BOTH.map(|side| account.count(side, kind));
    let reasons = Reason::ALL.map(|reason| (reason, flow.measured.each_ref().map(|of| of.resent_for(reason))));
    let reasons = reasons.into_iter().filter(|(_, counts)| *counts != [0, 0]);
    let of = |value: fn(&Measured) -> Value| json!(flow.measured.each_ref().map(value));
    let mut object = json!({
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
        "opened_by": account.opener.map(|side: Side| side as usize),
        "new_bytes": of(|measured| measured.new_bytes.into()),
        "repeated_bytes": of(|measured| measured.repeated_bytes.into()),
        "largest_segment": of(|measured| measured.largest.into()),
        "reasons": reasons.map(|(reason, counts)| (reason.name().to_owned(), json!(counts))).collect::<Value>(),
        "sacks": of(|measured| measured.sacks.into()),
        "window_min": of(|measured| measured.windows.map(|(least, _)| least).into()),
        "window_max": of(|measured| measured.windows.map(|(_, most)| most).into()),
        "rtt_samples": of(|measured| measured.rtt.count.into()),
        "rtt_min_s": of(|measured| rtt(measured, measured.rtt.min)),
        "rtt_avg_s": of(|measured| rtt(measured, measured.rtt.mean())),
        "rtt_max_s": of(|measured| rtt(measured, measured.rtt.max)),
        "idle_max_s": of(|measured| measured.idle.as_secs_f64().into()),
    });
    let kinds = Kind::ALL.into_iter().map(|kind| (kind.name().to_owned(), json!(counts(kind))));
    object["kinds"] = kinds.collect();
    let rates = flow.measured.each_ref().map(|of| bytes_per_second(of.new_bytes, account.open_for()));
    object["bytes_per_s"] = json!(rates);
    object
}

fn rtt(measured: &Measured, time: Duration) -> Value {
    (measured.rtt.count > 0).then_some(time.as_secs_f64()).into()
}

/// The totals. docs/views.md lists the fields.
pub(crate) fn stats(stats: &Stats, trace: &Trace) -> Value {
    let flows = OfFlows::of(trace);
    let per_second = |count: u64| bytes_per_second(count, stats.duration());
    let time = |time: Duration| (flows.rtt.count > 0).then_some(time.as_secs_f64());
    let segments = PARTS.iter().zip(stats.parts).map(|(name, count)| ((*name).to_owned(), json!(count)));
    let kinds = Kind::ALL.iter().map(|kind| (kind.name().to_owned(), json!(stats.kinds[*kind as usize])));
    json!({
        "packets": stats.packets,
        "bytes": stats.bytes,
        "duration_s": stats.duration().as_secs_f64(),
        "packets_per_s": per_second(stats.packets),
        "bytes_per_s": per_second(stats.bytes),
        "ip_versions": stats.versions,
        "protocols": stats.protocols,
        "segments": segments.collect::<Value>(),
        "kinds": kinds.collect::<Value>(),
        "new_bytes": flows.new_bytes,
        "repeated_bytes": flows.repeated_bytes,
        "retransmissions": flows.retransmissions,
        "retransmission_share": flows.share(),
        "drops": stats.drops,
        "fates": stats.fates,
        "connections": flows.count,
        "closes": flows.closes,
        "rtt_samples": flows.rtt.count,
        "rtt_min_s": time(flows.rtt.min),
        "rtt_avg_s": time(flows.rtt.mean()),
        "rtt_max_s": time(flows.rtt.max),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Record;
    use crate::segment::{Flags, SegmentTemplate};
    use crate::time::Instant;

    #[test]
    fn the_pairs_of_a_full_comment_are_an_object() {
        let [src, dst] = ["192.0.2.1:80", "192.0.2.2:4000"].map(|end| end.parse().expect("an address"));
        let bytes = SegmentTemplate { flags: Flags::ACK, payload: b"x", ..SegmentTemplate::new(src, dst) }.to_bytes();
        let record = |comment| Record::of_packet(1, Instant::EPOCH, &bytes, Some(comment));
        let variables = |comment, ours| {
            let mut trace = Trace::new();
            trace.record(&record(comment), ours);
            packet(&trace.next_step().expect("a step")).expect("a packet")["variables"].clone()
        };
        let full = "data 1:2 [lost: loss] [srtt=40.1ms cwnd=14480 phase=loss reason=rto later=x]";
        let expected = json!({ "srtt_s": 0.0401, "cwnd": 14_480, "phase": "loss", "reason": "rto" });
        assert_eq!(variables(full, true), expected);
        assert_eq!(variables(full, false), Value::Null, "a comment of others is only text");
        assert_eq!(variables("data 1:2 [lost: loss]", true), Value::Null);
    }
}
