//! `tcplab diff`: compares two captures, conversation by conversation, and prints each that differs with its first
//! difference. The comparison is that of `crate::diff`.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::kind::Kind;
use super::output::{Output, json_line, print};
use super::{CliError, help, values};
use crate::capture::Reader;
use crate::diff::{Compared, Comparison, Contents, DiffError, Finding, Settings, Verdict, compare, read};
use crate::escape;
use crate::segment::Protocol;
use crate::time::Duration;

#[derive(Debug, ClapArgs)]
#[command(after_help = help::DIFF)]
pub(super) struct Diff {
    /// The first capture, pcap or pcapng; `-` is standard input
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The second capture; `-` is standard input
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Compare times too: counted from the first packet of the conversation, they may differ by TOLERANCE
    /// [default: times are not compared]
    #[arg(long, value_name = "TOLERANCE", value_parser = values::time, conflicts_with = "semantic")]
    time: Option<Duration>,
    /// Compare only the bytes of each side, and whose turn it was to send them [default: every packet]
    #[arg(long)]
    semantic: bool,
}

/// Gives the exit code: 1 if the captures differ.
pub(super) fn run(args: &Diff, output: Output) -> Result<u8, CliError> {
    if [&args.a, &args.b].iter().all(|path| path.as_os_str() == "-") {
        return Err(CliError::Usage("diff - -: standard input is one file; name a file for the other".to_owned()));
    }
    let (a, b) = (contents(&args.a)?, contents(&args.b)?);
    let settings = Settings { time: args.time, semantic: args.semantic };
    let comparison = compare(&a, &b, &settings);
    for conversation in &comparison.conversations {
        if output.json {
            print(json_line(&object(conversation)))?;
        } else if output.is_verbose() || !matches!(conversation.verdict, Verdict::Same) {
            output.result(text(conversation, output))?;
        }
    }
    let verdict = summary(&comparison, args.semantic);
    if output.json {
        output.note(verdict);
    } else {
        output.result(format_args!("{}\n", output.verdict(comparison.is_same(), &verdict)))?;
    }
    for (label, path, contents) in [("A", &args.a, &a), ("B", &args.b, &b)] {
        let (packets, conversations) = (contents.packets(), contents.conversations());
        output
            .note(format_args!("{label}: {packets} packets, {conversations} conversations in {}", escape::path(path)));
        if let Some(unread) = contents.unread() {
            output.note(format_args!("{label}: {unread}"));
        }
        output.warnings(contents.warnings());
    }
    for line in not_compared(&comparison) {
        output.note(line);
    }
    Ok(u8::from(!comparison.is_same()))
}

fn contents(path: &Path) -> Result<Contents, CliError> {
    let on_stdin = path.as_os_str() == "-";
    let hint = || if on_stdin { String::new() } else { Kind::Capture.hint(path) };
    let reader = if on_stdin { Reader::from_read(io::stdin(), "standard input") } else { Reader::open(path) };
    let mut reader = reader.map_err(|error| CliError::Usage(format!("{error}{}", hint())))?;
    read(&mut reader).map_err(|error| match error {
        DiffError::Read(error) => error.into(),
        other => CliError::Usage(other.to_string()),
    })
}

/// One line that says what came of it and how much was compared.
fn summary(comparison: &Comparison, semantic: bool) -> String {
    let differ = comparison.count(|verdict| matches!(verdict, Verdict::Differs(_)));
    let only_a = comparison.count(|verdict| matches!(verdict, Verdict::OnlyInA));
    let only_b = comparison.count(|verdict| matches!(verdict, Verdict::OnlyInB));
    let both = comparison.conversations.len() - only_a - only_b;
    let packets: u64 = comparison.conversations.iter().map(|one| one.compared).sum();
    let how = if semantic { "read for their data" } else { "the same" };
    let compared = format!("{both} conversations compared, {packets} packets {how}");
    if comparison.is_same() {
        return format!("same: {compared}");
    }
    format!("different: {compared}; {differ} conversations differ, {only_a} only in A, {only_b} only in B")
}

/// What was not compared, a line for each.
fn not_compared(comparison: &Comparison) -> Vec<String> {
    let of = |[a, b]: [u64; 2], what: &str| (a + b > 0).then(|| format!("{what}: {a} packets of A, {b} of B"));
    let lines = [
        of(comparison.cut, "compared only as far as they were captured"),
        of(comparison.left_out, "not compared with --semantic, neither TCP nor UDP"),
        of(
            comparison.errors_left_out,
            "not compared with --semantic, ICMP errors about conversations and packets that cannot be read",
        ),
    ];
    lines.into_iter().flatten().collect()
}

fn protocol(protocol: Protocol) -> String {
    match protocol {
        Protocol::Tcp => "tcp".to_owned(),
        Protocol::Udp => "udp".to_owned(),
        Protocol::Icmp => "icmp".to_owned(),
        Protocol::Icmpv6 => "icmpv6".to_owned(),
        Protocol::Other(number) => format!("protocol {number}"),
    }
}

/// `192.0.2.1:4000 > 192.0.2.2:80`, without ports where there are none.
fn ends(conversation: &Compared, side: usize) -> Option<String> {
    let has_ports = matches!(conversation.protocol, Protocol::Tcp | Protocol::Udp);
    let [client, server] = conversation.ends[side]?;
    Some(if has_ports { format!("{client} > {server}") } else { format!("{} > {}", client.ip(), server.ip()) })
}

fn text(conversation: &Compared, output: Output) -> String {
    let named = ends(conversation, 0).or_else(|| ends(conversation, 1)).unwrap_or_default();
    let named = format!("{} {named}", protocol(conversation.protocol));
    let [packets_a, packets_b] = conversation.packets;
    match &conversation.verdict {
        Verdict::Same => format!("{}     {named}: {} packets\n", output.verdict(true, "same"), conversation.compared),
        Verdict::OnlyInA => format!("{}  {named}: {packets_a} packets\n", output.verdict(false, "only-A")),
        Verdict::OnlyInB => format!("{}  {named}: {packets_b} packets\n", output.verdict(false, "only-B")),
        Verdict::Differs(finding) => {
            let mut out = format!("{}  {named}: {}\n", output.verdict(false, "differs"), place(finding));
            let width = |of: fn(&crate::diff::Pair) -> &str| {
                finding.fields.iter().map(|pair| of(pair).chars().count()).max().unwrap_or(0).min(40)
            };
            let (names, values) = (width(|pair| &pair.field), width(|pair| &pair.a));
            for pair in &finding.fields {
                let _ = writeln!(out, "  {:names$}  A {:values$}  B {}", pair.field, pair.a, pair.b);
            }
            for line in &finding.lines {
                let _ = writeln!(out, "{line}");
            }
            out
        }
    }
}

/// Where the first difference is.
fn place(finding: &Finding) -> String {
    match finding.packets {
        [Some(a), Some(b)] => format!("packet {a} of A, packet {b} of B"),
        [Some(a), None] => format!("packet {a} of A, and B has no further one"),
        [None, Some(b)] => format!("packet {b} of B, and A has no further one"),
        [None, None] => "all packets together".to_owned(),
    }
}

fn object(conversation: &Compared) -> Value {
    let verdict = match &conversation.verdict {
        Verdict::Same => "same",
        Verdict::Differs(_) => "differs",
        Verdict::OnlyInA => "only-a",
        Verdict::OnlyInB => "only-b",
    };
    let mut object = json!({
        "protocol": protocol(conversation.protocol),
        "a": ends(conversation, 0),
        "b": ends(conversation, 1),
        "packets": conversation.packets,
        "compared": conversation.compared,
        "verdict": verdict,
    });
    if let Verdict::Differs(finding) = &conversation.verdict {
        let pair = |pair: &crate::diff::Pair| json!({ "field": pair.field, "a": pair.a, "b": pair.b });
        object["packet"] = json!(finding.packets);
        object["fields"] = finding.fields.iter().map(pair).collect();
    }
    object
}
