//! `tcplab show`: prints a capture as a ladder, a table of connections, or the sockets of a host. It prints while it reads,
//! because a file may be larger than memory, and a capture on standard input may still be running.

use std::io::{self, BufWriter, Write};

use super::CliError;
use super::args::Show;
use super::kind::Kind;
use super::output::{Output, json_line, shown};
use super::pictures::{Places, file_title};
use super::tables;
use crate::capture::Reader;
use crate::trace::Trace;
use crate::view::{LadderWriter, Stats, descriptors, json, unlisted_flows, vantage_point};

pub(super) fn run(args: &Show, output: Output) -> Result<(), CliError> {
    let on_stdin = args.file.as_os_str() == "-";
    let mut reader = if on_stdin { Reader::from_read(io::stdin(), "standard input") } else { Reader::open(&args.file) }
        .map_err(|error| CliError::Usage(format!("{error}{}", hint(args))))?;
    let places = args.pictures.check(&[args.file.as_path()], None)?;
    let output = output.results_to_stderr(places.as_ref().is_some_and(Places::is_stdout));
    let mut picture = places.map(|places| places.of_capture(args.view.all)).transpose()?;
    let in_place = args.tables.any() || args.fds || args.view.no_ladder || picture.is_some() && !output.json;
    let mut out = BufWriter::new(output.writer());
    let only_flows = in_place && !args.tables.stats;
    let mut trace = if only_flows { Trace::of_flows() } else { Trace::new().forgetting() };
    let mut stats = Stats::new();
    let mut ladder = LadderWriter::new(args.view.style(output));
    let mut text = String::new();
    let (mut packets, mut failure) = (0_u64, None);
    while args.count.is_none_or(|count| packets < count) {
        let ours = reader.is_ours();
        let record = match reader.next_record() {
            Some(Ok(record)) => record,
            Some(Err(error)) => {
                failure = Some(error);
                break;
            }
            None => break,
        };
        packets += 1;
        trace.record(&record, ours);
        if let Some(picture) = &mut picture {
            picture.record(&record, ours);
        }
        text.clear();
        while let Some(step) = trace.next_step() {
            if args.tables.stats {
                stats.step(&trace, &step);
            }
            if in_place {
                continue;
            }
            if !output.json {
                ladder.step(&trace, step, &mut text);
            } else if let Some(object) = json::packet(&step) {
                text.push_str(&json_line(&object));
            }
        }
        // The next packet on standard input may come much later, so everything is printed now.
        if on_stdin {
            ladder.flush(&mut text);
        }
        out.write_all(shown(&text, output.color()).as_bytes())?;
        if on_stdin {
            out.flush()?;
        }
    }
    text.clear();
    ladder.finish(&trace, &mut text);
    out.write_all(shown(&text, output.color()).as_bytes())?;
    if let Some(form) = args.tables.flows {
        let text = tables::flows(&trace, form, output);
        out.write_all(shown(&text, output.color()).as_bytes())?;
    }
    if args.tables.stats {
        let text = tables::stats(&stats, &trace, output);
        out.write_all(shown(&text, output.color()).as_bytes())?;
    }
    if args.fds {
        let rows = descriptors(&trace);
        if output.json {
            rows.iter().try_for_each(|row| out.write_all(json_line(&json::descriptor(row)).as_bytes()))?;
        } else {
            rows.iter().try_for_each(|row| writeln!(out, "{row}"))?;
        }
    }
    out.flush()?;
    if let Some(mut picture) = picture {
        let failed = failure.as_ref().map(ToString::to_string);
        let warnings = reader.warnings().iter().map(ToString::to_string);
        failed.into_iter().chain(reader.unread_summary()).chain(warnings).for_each(|note| picture.note(note));
        picture.finish(&file_title(&args.file), output)?;
    }
    let connections = trace.flows().len() as u64 + trace.forgotten_flows();
    output.note(format_args!("{packets} packets, {connections} connections"));
    if output.json && args.tables.flows.is_some() {
        unlisted_flows(&trace).lines().for_each(|line| output.note(line));
    }
    if let Some(unread) = reader.unread_summary() {
        output.note(unread);
    }
    output.warnings(reader.warnings());
    if args.fds {
        let own: Vec<_> = vantage_point(&trace).iter().map(ToString::to_string).collect();
        output.note(format_args!(
            "the sockets of {}, inferred from the packets; the descriptor numbers are assigned",
            own.join(", ")
        ));
    }
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// What the file is, if it is no capture.
fn hint(args: &Show) -> String {
    if args.file.as_os_str() == "-" { String::new() } else { Kind::Capture.hint(&args.file) }
}
