//! Reads `table.txt`.

use core::fmt;

use tcplab::segment::{Flags, Seq};

use crate::bare::{Setting, Wire};

pub(crate) const ROWS: &str = include_str!("table.txt");

/// One row of the table.
pub(crate) struct Row {
    line: &'static str,
    pub(crate) state: &'static str,
    /// Only under these conditions: `accept`, `connect`, `ts`, `no-ts`.
    only: Vec<&'static str>,
    pub(crate) flags: Flags,
    pub(crate) seq: &'static str,
    pub(crate) ack: &'static str,
    pub(crate) len: usize,
    pub(crate) answers: Vec<Answer>,
    pub(crate) next: &'static str,
}

/// What the host sends: no payload.
pub(crate) struct Answer {
    pub(crate) flags: Flags,
    pub(crate) seq: &'static str,
    pub(crate) ack: &'static str,
}

/// The rows in their order; lines that begin with `#` say what they are about.
pub(crate) fn rows() -> Vec<Row> {
    ROWS.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).map(Row::read).collect()
}

fn flags(text: &str) -> Flags {
    text.split(',').fold(Flags::default(), |flags, name| {
        flags
            | match name {
                "SYN" => Flags::SYN,
                "ACK" => Flags::ACK,
                "FIN" => Flags::FIN,
                "RST" => Flags::RST,
                "PSH" => Flags::PSH,
                "-" => Flags::default(),
                _ => panic!("no such control bit: {name}"),
            }
    })
}

impl Row {
    fn read(line: &'static str) -> Self {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        let [state, control, seq, ack, len, answer, next, _note] = columns[..] else {
            panic!("eight columns: {line}");
        };
        let mut state = state.split(' ');
        Self {
            line,
            state: state.next().unwrap_or_default(),
            only: state.collect(),
            flags: flags(control),
            seq,
            ack,
            len: len.parse().unwrap_or_else(|_| panic!("a length: {line}")),
            answers: if answer == "-" { Vec::new() } else { answer.split(';').map(Answer::read).collect() },
            next,
        }
    }

    /// True if the row is about connections like this.
    pub(crate) fn applies(&self, setting: Setting) -> bool {
        let possible = match self.state {
            "LISTEN" => !setting.active,
            "SYN-SENT" => setting.active,
            _ => true,
        };
        let met = |condition: &&str| match *condition {
            "accept" => !setting.active,
            "connect" => setting.active,
            "ts" => setting.timestamps,
            "no-ts" => !setting.timestamps,
            other => panic!("no such condition: {other}"),
        };
        possible && self.only.iter().all(met)
    }

    /// The value of a number of the table: a variable and an offset, or a plain number.
    pub(crate) fn number(&self, text: &str, wire: &Wire) -> Seq {
        let split = |sign: char| text.rsplit_once(sign).and_then(|(name, offset)| Some((name, offset.parse().ok()?)));
        let (name, offset) = match (split('+'), split('-')) {
            (Some((name, offset)), _) => (name, offset),
            (None, Some((name, offset))) => (name, 0_u32.wrapping_sub(offset)),
            (None, None) => (text, 0),
        };
        let base = match name {
            "ISS" => wire.iss,
            "SND.UNA" => wire.snd_una,
            "SND.NXT" => wire.snd_nxt,
            "IRS" => Seq(wire.setting.irs),
            "RCV.NXT" => wire.rcv_nxt,
            "RCV.EDGE" => wire.rcv_edge,
            "-" | "new" => Seq(0),
            plain => Seq(plain.parse().unwrap_or_else(|_| panic!("no such number: {plain} in {self}"))),
        };
        base + offset
    }

    /// The kind of the segment.
    pub(crate) fn kind(&self) -> &'static str {
        let has = |flag| self.flags.contains(flag);
        match () {
            () if has(Flags::RST) => "RST",
            () if has(Flags::SYN | Flags::ACK) => "SYN|ACK",
            () if has(Flags::SYN) => "SYN",
            () if has(Flags::FIN) => "FIN",
            () if self.len > 0 => "data",
            () => "ACK",
        }
    }

    /// Where its sequence number lies.
    pub(crate) fn place(&self) -> &'static str {
        match self.seq {
            "RCV.NXT" | "RCV.EDGE-1" => "in",
            seq if seq.starts_with("RCV.NXT+") => "in",
            seq if seq.starts_with("RCV.NXT-") || seq.starts_with("IRS") => "left",
            seq if seq.starts_with("RCV.EDGE-") => "in",
            seq if seq.starts_with("RCV.EDGE") => "right",
            _ => "none",
        }
    }
}

impl Answer {
    fn read(text: &'static str) -> Self {
        let words: Vec<_> = text.split_whitespace().collect();
        let (control, seq, ack) = match words[..] {
            [control, seq, ack] => (control, seq, ack),
            [control, seq] => (control, seq, "-"),
            _ => panic!("an answer: {text}"),
        };
        Self { flags: flags(control), seq, ack }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.line)
    }
}

/// Segments as control bits, sequence number and acknowledgment number.
pub(crate) fn show(segments: &[(Flags, Seq, Seq)]) -> String {
    if segments.is_empty() {
        return "nothing".to_owned();
    }
    let one = |(flags, seq, ack): &(Flags, Seq, Seq)| {
        let names: Vec<_> =
            [(Flags::SYN, "SYN"), (Flags::FIN, "FIN"), (Flags::RST, "RST"), (Flags::ACK, "ACK"), (Flags::PSH, "PSH")]
                .iter()
                .filter(|(flag, _)| flags.contains(*flag))
                .map(|(_, name)| *name)
                .collect();
        format!("{} {seq} {ack}", names.join(","))
    };
    segments.iter().map(one).collect::<Vec<_>>().join("; ")
}
