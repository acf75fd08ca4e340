//! `extcap --profile DIR`: a profile for Wireshark. Colour rules show what the link did and what TCP did; the columns have
//! sequence numbers and the comment. A rule that stands above another one wins.

use core::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::cli::CliError;
use crate::cli::output::{Output, print};
use crate::escape;

/// The first line of each file, by which ours are known.
const MARK: &str = "# Written by `tcplab extcap --profile`.";

type Rgb = (u8, u8, u8);
const BLACK: Rgb = (0, 0, 0);

/// A colour rule: its name, its display filter, the colour of the background, that of the text.
struct Rule(&'static str, &'static str, Rgb, Rgb);

/// The backgrounds are those of Okabe and Ito, which differ for the colour-blind too, and light ones for what is usual.
const RULES: [Rule; 13] = [
    Rule("lost on the link", "frame.comment contains \"[lost: \"", (0xe6, 0x7a, 0x3c), BLACK),
    Rule("corrupted by the link", "frame.comment contains \"[corrupted: \"", (0xcc, 0x79, 0xa7), BLACK),
    Rule(
        "duplicated by the link",
        "frame.comment contains \"[duplicated]\" || frame.comment contains \"[copy]\"",
        (0xf0, 0xe4, 0x42),
        BLACK,
    ),
    Rule(
        "reordered by the link",
        "frame.comment contains \"[reordered]\" || frame.comment contains \"[overtakes]\"",
        (0x56, 0xb4, 0xe9),
        BLACK,
    ),
    // Before the rules of TCP, since an ICMP error quotes a segment.
    Rule("ICMP", "icmp || icmpv6", (0xfc, 0xe0, 0xff), BLACK),
    Rule("reset", "tcp.flags.reset == 1", BLACK, (0xff, 0xdc, 0x5a)),
    Rule(
        "retransmission",
        "tcp.analysis.retransmission || tcp.analysis.fast_retransmission || tcp.analysis.spurious_retransmission",
        (0xe6, 0x9f, 0x00),
        BLACK,
    ),
    Rule(
        "out of order, or missing",
        "tcp.analysis.out_of_order || tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment",
        (0x00, 0x9e, 0x73),
        BLACK,
    ),
    Rule(
        "window full or zero",
        "tcp.analysis.zero_window || tcp.analysis.zero_window_probe || tcp.analysis.zero_window_probe_ack || \
         tcp.analysis.window_full",
        (0xe0, 0xc4, 0xf4),
        BLACK,
    ),
    Rule("duplicate ACK", "tcp.analysis.duplicate_ack", (0xcc, 0xcc, 0xcc), BLACK),
    Rule("keep-alive", "tcp.analysis.keep_alive || tcp.analysis.keep_alive_ack", (0xe8, 0xe0, 0xc8), BLACK),
    Rule("SYN or FIN", "tcp.flags.syn == 1 || tcp.flags.fin == 1", (0xc8, 0xe6, 0xc9), BLACK),
    Rule("UDP", "udp", (0xda, 0xee, 0xff), BLACK),
];

/// The columns: title and format of each.
const COLUMNS: [(&str, &str); 10] = [
    ("No.", "%m"),
    ("Time", "%t"),
    ("Source", "%s"),
    ("Destination", "%d"),
    ("Protocol", "%p"),
    ("Seq", "%Cus:tcp.seq:0:R"),
    ("Ack", "%Cus:tcp.ack:0:R"),
    ("Data", "%Cus:tcp.len:0:R"),
    ("Info", "%i"),
    ("Comment", "%Cus:frame.comment:0:R"),
];

/// Writes the files of the profile into a directory, which is made if need be.
pub(super) fn write(dir: &Path, force: bool, output: Output) -> Result<(), CliError> {
    let files = [("colorfilters", color_filters()), ("preferences", preferences())];
    for (name, _) in &files {
        refuse_foreign(&dir.join(name), force)?;
    }
    let failed = |what: &str, path: &Path, error: &std::io::Error| {
        CliError::Usage(format!("extcap --profile: {what} {}: {error}; name another directory", escape::path(path)))
    };
    fs::create_dir_all(dir).map_err(|error| failed("make the directory", dir, &error))?;
    for (name, text) in files {
        let path = dir.join(name);
        fs::write(&path, text).map_err(|error| failed("write", &path, &error))?;
        print(format_args!("wrote {}\n", escape::path(&path)))?;
    }
    let name = dir.file_name().map(|name| escape::path(Path::new(name)).to_string()).unwrap_or_default();
    output.note(format_args!(
        "a directory in ~/.config/wireshark/profiles is a profile: `wireshark -C {name}`, or Edit > Configuration Profiles"
    ));
    Ok(())
}

/// A file that is there and that we did not write is kept.
fn refuse_foreign(path: &Path, force: bool) -> Result<(), CliError> {
    let shown = escape::path(path);
    match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(text) if text.is_empty() || text.starts_with(MARK.as_bytes()) => Ok(()),
        Ok(_) if force => Ok(()),
        Ok(_) => Err(CliError::Usage(format!(
            "extcap --profile: tcplab did not write {shown}, or Wireshark has changed it; name another directory, or add \
             --force to overwrite it"
        ))),
        Err(error) => Err(CliError::Usage(format!("extcap --profile: read {shown}: {error}; name another directory"))),
    }
}

/// The file `colorfilters`. A colour has 16 bits for each part.
fn color_filters() -> String {
    let mut out = format!("{MARK} Each rule: name, display filter, background, text.\n");
    let color = |(red, green, blue): Rgb| [red, green, blue].map(|part| (u16::from(part) * 257).to_string()).join(",");
    for Rule(name, filter, background, text) in &RULES {
        let _ = writeln!(out, "@{name}@{filter}@[{}][{}]", color(*background), color(*text));
    }
    out
}

/// The file `preferences`.
fn preferences() -> String {
    let columns: Vec<_> = COLUMNS.iter().map(|(title, format)| format!("\t\"{title}\", \"{format}\"")).collect();
    format!(
        "{MARK}\n\
         gui.column.format:\n{}\n\
         # Sequence numbers count from 0, as in the comments and in `tcplab show`.\n\
         tcp.relative_sequence_numbers: TRUE\n\
         tcp.analyze_sequence_numbers: TRUE\n\
         tcp.calculate_timestamps: TRUE\n",
        columns.join(",\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contrast of WCAG 2.1, from 1 to 21.
    fn contrast(a: Rgb, b: Rgb) -> f64 {
        let part = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.039_28 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let light = |(r, g, b): Rgb| 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
        let (a, b) = (light(a) + 0.05, light(b) + 0.05);
        f64::max(a, b) / f64::min(a, b)
    }

    #[test]
    fn the_text_of_every_rule_can_be_read_and_no_two_rules_look_the_same() {
        for (nth, Rule(name, _, background, text)) in RULES.iter().enumerate() {
            assert!(contrast(*background, *text) >= 4.5, "{name}: {}", contrast(*background, *text));
            assert!(RULES[..nth].iter().all(|other| other.2 != *background), "{name}");
            assert!(!name.contains('@'), "{name}: it ends at @");
        }
    }
}
