//! Scripts as text: `Display` of every part of a script, in packetdrill's notation. What is printed parses to the same
//! script, but for places and for definitions, which are replaced by then. Messages about failures use it, and the
//! writer of scripts from captures.

use core::fmt::{self, Display, Formatter};

use super::script::{
    Action, Body, Call, CallResult, Direction, Ecn, Event, Field, Flags, Icmp, IpInfo, OptionLine, Options, Packet,
    Quoted, Script, Spanned, Tcp, TcpOption, Time, Udp, Value, Word,
};
use crate::time::Duration;

impl Display for Script {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for option in &self.options {
            writeln!(f, "{option}")?;
        }
        if let Some(init) = &self.init {
            writeln!(f, "`{init}`")?;
        }
        for event in &self.events {
            writeln!(f, "{event}")?;
        }
        match &self.cleanup {
            Some(cleanup) => writeln!(f, "`{cleanup}`"),
            None => Ok(()),
        }
    }
}

impl<T: Display> Display for Spanned<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl Display for OptionLine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "--{}={value}", self.name),
            None => write!(f, "--{}", self.name),
        }
    }
}

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.time, self.action)
    }
}

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Absolute(at) => write!(f, "{}", Seconds(at)),
            Self::Relative(delay) => write!(f, "+{}", Seconds(delay)),
            Self::Any => f.write_str("*"),
            Self::AbsoluteRange(first, last) => write!(f, "{}~{}", Seconds(first), Seconds(last)),
            Self::RelativeRange(first, last) => write!(f, "+{}~+{}", Seconds(first), Seconds(last)),
            Self::AbsoluteBlocking(start, end) => write!(f, "{}...{}", Seconds(start), Seconds(end)),
            Self::RelativeBlocking(start, end) => write!(f, "+{}...{}", Seconds(start), Seconds(end)),
        }
    }
}

/// Seconds with as many decimals as they need, at most six.
struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:06}", self.0.subsec_micros());
        match decimals.trim_end_matches('0') {
            "" => write!(f, "{}", self.0.as_secs()),
            decimals => write!(f, "{}.{decimals}", self.0.as_secs()),
        }
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(packet) => packet.fmt(f),
            Self::Call(call) => call.fmt(f),
            Self::Command(command) => write!(f, "`{command}`"),
            Self::Code(code) => write!(f, "%{{{code}}}%"),
        }
    }
}

impl Display for Packet {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.direction {
            Direction::Inbound => "< ",
            Direction::Outbound => "> ",
        })?;
        for outer in &self.outer {
            write!(f, "{outer}: ")?;
        }
        if self.ip != IpInfo::default() {
            write!(f, "({}) ", self.ip)?;
        }
        match &self.body {
            Body::Tcp(tcp) => tcp.fmt(f)?,
            Body::Udp(udp) => udp.fmt(f)?,
            Body::Icmp(icmp) => icmp.fmt(f)?,
        }
        encapsulated(f, self.udp_encapsulation)
    }
}

/// `/udp(SPORT > DPORT)`
fn encapsulated(f: &mut Formatter<'_>, ports: Option<(u16, u16)>) -> fmt::Result {
    match ports {
        Some((source, destination)) => write!(f, "/udp({source} > {destination})"),
        None => Ok(()),
    }
}

impl Display for IpInfo {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let parts = [
            self.ecn.map(|ecn| ecn.to_string()),
            self.tos.map(|tos| format!("tos 0x{tos:02x}")),
            self.flow_label.map(|label| format!("flowlabel 0x{label:x}")),
            self.ttl.map(|ttl| format!("ttl {ttl}")),
        ];
        list(f, parts.iter().flatten(), ", ")
    }
}

impl Display for Ecn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotEct => "noecn",
            Self::Ect0 => "ect0",
            Self::Ect1 => "ect1",
            Self::Ect01 => "ect01",
            Self::Ce => "ce",
        })
    }
}

impl Display for Tcp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some((source, destination)) = self.ports {
            write!(f, "{source} > {destination} ")?;
        }
        write!(f, "{} ", self.flags)?;
        match self.seq {
            Some(seq) => sequence(f, seq, self.len)?,
            None => write!(f, "...({})", self.len)?,
        }
        if self.absolute {
            f.write_str("!")?;
        }
        if let Some(ack) = self.ack {
            write!(f, " ack {ack}")?;
        }
        if let Some(win) = self.win {
            write!(f, " win {win}")?;
        }
        if let Some(urg) = self.urg {
            write!(f, " urg {urg}")?;
        }
        match &self.options {
            Options::List(options) if options.is_empty() => Ok(()),
            options => write!(f, " {options}"),
        }
    }
}

/// `SEQ:END(LEN)`
fn sequence(f: &mut Formatter<'_>, seq: u32, len: u32) -> fmt::Result {
    write!(f, "{seq}:{}({len})", seq.wrapping_add(len))
}

impl Display for Flags {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let all = [
            (self.syn, "S"),
            (self.fin, "F"),
            (self.rst, "R"),
            (self.psh, "P"),
            (self.urg, "U"),
            (self.ece, "E"),
            (self.cwr, "W"),
            (self.ae, "A"),
            (self.ack, "."),
        ];
        if *self == Self::default() {
            return f.write_str("-");
        }
        list(f, all.iter().filter(|(set, _)| *set).map(|(_, letter)| letter), "")
    }
}

impl Display for Options {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("<...>"),
            Self::List(options) => {
                f.write_str("<")?;
                list(f, options, ",")?;
                f.write_str(">")
            }
        }
    }
}

impl Display for TcpOption {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eol => f.write_str("eol"),
            Self::Nop => f.write_str("nop"),
            Self::Mss(mss) => write!(f, "mss {mss}"),
            Self::Wscale(shift) => write!(f, "wscale {shift}"),
            Self::SackOk => f.write_str("sackOK"),
            Self::Sack(blocks) => {
                f.write_str("sack")?;
                blocks.iter().try_for_each(|(left, right)| write!(f, " {left}:{right}"))
            }
            Self::Timestamp { val, ecr } => {
                let value = |value: Option<u32>| value.map_or("...".to_owned(), |value| value.to_string());
                write!(f, "TS val {} ecr {}", value(*val), value(*ecr))
            }
            Self::FastOpen(cookie) => named_bytes(f, "FO", cookie),
            Self::FastOpenExperimental(cookie) => named_bytes(f, "FOEXP", cookie),
            Self::Md5(Some(digest)) => named_bytes(f, "md5", digest),
            Self::Md5(None) => f.write_str("md5 valid"),
            Self::AccEcn(counts) => {
                f.write_str("ECN")?;
                counts.iter().try_for_each(|(name, count)| write!(f, " {name} {count}"))
            }
            Self::Unknown { kind, data } => named_bytes(f, &format!("kind {kind}"), data),
        }
    }
}

/// A name, and bytes in hexadecimal behind it if there are any.
fn named_bytes(f: &mut Formatter<'_>, name: &str, bytes: &[u8]) -> fmt::Result {
    f.write_str(name)?;
    if !bytes.is_empty() {
        f.write_str(" ")?;
    }
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl Display for Udp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.ports {
            Some((source, destination)) => write!(f, "udp {source} > {destination} ({})", self.len),
            None => write!(f, "udp ({})", self.len),
        }
    }
}

impl Display for Icmp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "icmp {}", self.kind)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, " mtu {mtu}")?;
        }
        if let Some(id) = self.id {
            write!(f, " id {id}")?;
        }
        match &self.quoted {
            Some(quoted) => write!(f, " [{quoted}]"),
            None => Ok(()),
        }
    }
}

impl Display for Word {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl Display for Quoted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Tcp { seq, len, udp_encapsulation } => {
                sequence(f, seq, len)?;
                encapsulated(f, udp_encapsulation)
            }
            Self::Udp(len) => write!(f, "udp ({len})"),
            Self::Raw(len) => write!(f, "raw ({len})"),
        }
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        list(f, &self.args, ", ")?;
        write!(f, ") = {}", self.result)
    }
}

impl Display for CallResult {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => value.fmt(f)?,
            None => f.write_str("...")?,
        }
        if let Some(errno) = &self.errno {
            write!(f, " {errno}")?;
        }
        match &self.note {
            Some(note) => write!(f, " ({note})"),
            None => Ok(()),
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("..."),
            Self::Integer(value) => value.fmt(f),
            Self::Word(word) => f.write_str(word),
            Self::Or(parts) => list(f, parts, " | "),
            Self::String(text) => string(f, text),
            Self::Array(parts) => {
                f.write_str("[")?;
                list(f, parts, ", ")?;
                f.write_str("]")
            }
            Self::Struct(fields) => {
                f.write_str("{")?;
                list(f, fields, ", ")?;
                f.write_str("}")
            }
            Self::Htons(port) => write!(f, "htons({port})"),
            Self::InetAddr(address) => write!(f, "inet_addr(\"{address}\")"),
            Self::Inet6Addr(address) => write!(f, "inet6_addr(\"{address}\")"),
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (&self.name, self.length) {
            (Some(name), Some(length)) => write!(f, "{name}({length}) = {}", self.value),
            (Some(name), None) => write!(f, "{name} = {}", self.value),
            (None, _) => self.value.fmt(f),
        }
    }
}

/// A string in double quotes.
fn string(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\0' => f.write_str("\\0")?,
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c.is_control() => write!(f, "\\x{:02x}", u32::from(c))?,
            _ => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

/// Items with a text between them.
fn list<T: Display>(f: &mut Formatter<'_>, items: impl IntoIterator<Item = T>, between: &str) -> fmt::Result {
    for (nth, item) in items.into_iter().enumerate() {
        if nth > 0 {
            f.write_str(between)?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}
