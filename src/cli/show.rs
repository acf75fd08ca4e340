//! `tcplab show`: a capture as a ladder, as a table of connections, as the sockets of a host. It is read as it is shown:
//! a file may be larger than memory, and standard input may be a capture that is still being taken.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

use serde_json::{Value, json};

use super::CliError;
use super::args::Show;
use super::output::Output;
use crate::capture::Reader;
use crate::event::State;
use crate::socket::DescriptorRow;
use crate::view::{Step, Stream, Trace, flow_table};

pub(super) fn run(args: &Show, output: Output) -> Result<(), CliError> {
    let on_stdin = args.file.as_os_str() == "-";
    let mut reader =
        if on_stdin { Reader::from_read(io::stdin(), "standard input") } else { Reader::open(&args.file) }?;
    let tables = args.flows || args.fds;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut trace = Trace::new();
    let mut text = String::new();
    let (mut packets, mut failure) = (0_u64, None);
    while args.count.is_none_or(|count| packets < count) {
        let ours = reader.section_comment().is_some_and(|comment| comment.starts_with("{\"tcplab\":"));
        let record = match reader.next_record() {
            Some(Ok(record)) => record,
            Some(Err(error)) => {
                failure = Some(error);
                break;
            }
            None => break,
        };
        packets += 1;
        let step = trace.take(&record, ours);
        if tables {
            continue;
        }
        text.clear();
        if output.json {
            let _ = writeln!(text, "{}", packet(&step));
        } else {
            trace.draw(&mut text, &step, output.color());
        }
        out.write_all(text.as_bytes())?;
        // Whoever writes into our standard input may wait for something else before the next packet.
        if on_stdin {
            out.flush()?;
        }
    }
    if args.flows {
        if output.json {
            trace.streams().iter().try_for_each(|stream| writeln!(out, "{}", flow(stream)))?;
        } else {
            out.write_all(flow_table(trace.streams()).as_bytes())?;
        }
    }
    if args.fds {
        let rows = trace.descriptors();
        if output.json {
            rows.iter().try_for_each(|row| writeln!(out, "{}", descriptor(row)))?;
        } else {
            rows.iter().try_for_each(|row| writeln!(out, "{row}"))?;
        }
    }
    out.flush()?;
    let others = reader.other_records();
    let without = if others > 0 { format!(", {others} of them without an IP packet") } else { String::new() };
    output.note(format_args!("{packets} packets{without}, {} connections", trace.streams().len()));
    if args.fds {
        let own: Vec<_> = trace.vantage_point().iter().map(ToString::to_string).collect();
        output.note(format_args!("the sockets of {}, as the packets tell; the numbers are made up", own.join(", ")));
    }
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// One packet: `number`, `at` (seconds since 1970), `len`, `comment`; of a segment also `stream`, `from` (0 is the left
/// end), `flags`, `seq`, `ack`, `window`, `payload`, `states`.
fn packet(step: &Step) -> Value {
    let mut object = json!({
        "number": step.number,
        "at": step.at.to_string(),
        "len": step.len,
        "comment": step.comment,
    });
    if let Some(segment) = &step.segment {
        object["stream"] = segment.stream.into();
        object["from"] = segment.from.into();
        object["flags"] = segment.flags.as_str().into();
        object["seq"] = segment.seq.into();
        object["ack"] = segment.ack.into();
        object["window"] = segment.window.into();
        object["payload"] = segment.payload.into();
        object["states"] = states(segment.states);
    }
    object
}

/// One connection; of each pair the left end comes first.
fn flow(stream: &Stream) -> Value {
    json!({
        "stream": stream.number,
        "ends": stream.ends.map(|end| end.to_string()),
        "first": stream.first.to_string(),
        "open_s": stream.open_for().as_secs_f64(),
        "packets": stream.packets,
        "messages": stream.messages,
        "bytes": stream.bytes,
        "retransmissions": stream.retransmissions,
        "states": states(stream.states()),
        "close": stream.close.kind(),
        "closed_by": stream.close.side(),
    })
}

fn descriptor(row: &DescriptorRow) -> Value {
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
