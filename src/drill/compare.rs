//! Compares a packet that the host sent with the one that a script expects. Each field that differs is named, with the
//! relaxation that would permit it, if one would.
//!
//! Never relaxed: sequence and acknowledgment number, SYN, FIN, RST, ACK, the length and content of the text, ports, and
//! what the script says about the IP header.

use core::fmt;

use super::script::{Body, Ecn, Icmp, IpInfo, Options, Packet, Tcp, TcpOption};

/// What a comparison may leave out, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relax {
    /// The window, unless one of both is zero.
    Window,
    /// Order and padding of options, and the values of MSS, window scale and timestamps.
    Options,
    /// The PSH bit.
    Push,
    /// The time of a packet, and when a blocking call returns.
    Timing,
    /// SACK blocks behind the first one.
    Sack,
}

impl Relax {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Window, Self::Options, Self::Push, Self::Timing, Self::Sack];

    /// The name, as `--relax` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Options => "options",
            Self::Push => "push",
            Self::Timing => "timing",
            Self::Sack => "sack",
        }
    }
}

impl fmt::Display for Relax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Its name.
    pub(super) field: &'static str,
    /// What the script has.
    pub(super) expected: String,
    /// What the host sent.
    pub(super) actual: String,
    /// The relaxation that permits it.
    pub(super) relax: Option<Relax>,
}

/// Collects differences.
struct Differences(Vec<Difference>);

impl Differences {
    fn add(
        &mut self,
        field: &'static str,
        expected: impl fmt::Display,
        actual: impl fmt::Display,
        relax: Option<Relax>,
    ) {
        self.0.push(Difference { field, expected: expected.to_string(), actual: actual.to_string(), relax });
    }

    fn equal<T: PartialEq + fmt::Display>(&mut self, field: &'static str, expected: T, actual: T) {
        if expected != actual {
            self.add(field, expected, actual, None);
        }
    }
}

/// The fields in which two packets differ. `actual` is in the numbers of the script. `text_ok`: the text is the expected
/// one. `stamp`: what the timestamp value of `expected` should be on the wire, if it is compared.
pub(super) fn compare(expected: &Packet, actual: &Packet, text_ok: bool, stamp: Option<u32>) -> Vec<Difference> {
    let mut found = Differences(Vec::new());
    compare_ip(&mut found, expected.ip, actual.ip);
    match (&expected.body, &actual.body) {
        (Body::Tcp(expected), Body::Tcp(actual)) => compare_tcp(&mut found, expected, actual, text_ok, stamp),
        (Body::Udp(expected), Body::Udp(actual)) => {
            found.equal("length", expected.len, actual.len);
            if let (Some(expected), Some(actual)) = (expected.ports, actual.ports) {
                ports(&mut found, expected, actual);
            }
            text(&mut found, text_ok);
        }
        (Body::Icmp(expected), Body::Icmp(actual)) => compare_icmp(&mut found, expected, actual),
        (expected, actual) => found.add("protocol", protocol(expected), protocol(actual), None),
    }
    found.0
}

fn protocol(body: &Body) -> &'static str {
    match body {
        Body::Tcp(_) => "tcp",
        Body::Udp(_) => "udp",
        Body::Icmp(_) => "icmp",
    }
}

fn ports(found: &mut Differences, expected: (u16, u16), actual: (u16, u16)) {
    found.equal("source port", expected.0, actual.0);
    found.equal("destination port", expected.1, actual.1);
}

fn text(found: &mut Differences, ok: bool) {
    if !ok {
        found.add("text", "the bytes that were written", "other bytes", None);
    }
}

fn compare_ip(found: &mut Differences, expected: IpInfo, actual: IpInfo) {
    if let Some(ecn) = expected.ecn {
        let fits = actual.ecn == Some(ecn) || (ecn == Ecn::Ect01 && matches!(actual.ecn, Some(Ecn::Ect0 | Ecn::Ect1)));
        if !fits {
            let name = |ecn: Option<Ecn>| match ecn {
                Some(Ecn::Ect0) => "ect0",
                Some(Ecn::Ect1) => "ect1",
                Some(Ecn::Ect01) => "ect01",
                Some(Ecn::Ce) => "ce",
                Some(Ecn::NotEct) | None => "noecn",
            };
            found.add("ECN", name(Some(ecn)), name(actual.ecn), None);
        }
    }
    let hex = |value: u32| format!("0x{value:x}");
    for (field, expected, actual) in [
        ("tos", expected.tos.map(u32::from), actual.tos.map(u32::from)),
        ("flow label", expected.flow_label, actual.flow_label),
        ("ttl", expected.ttl.map(u32::from), actual.ttl.map(u32::from)),
    ] {
        let (Some(expected), actual) = (expected, actual.unwrap_or(0)) else { continue };
        if expected != actual {
            let show = |value: u32| if field == "ttl" { value.to_string() } else { hex(value) };
            found.add(field, show(expected), show(actual), None);
        }
    }
}

fn compare_tcp(found: &mut Differences, expected: &Tcp, actual: &Tcp, text_ok: bool, stamp: Option<u32>) {
    if let (Some(expected), Some(actual)) = (expected.ports, actual.ports) {
        ports(found, expected, actual);
    }
    let (want, have) = (expected.flags, actual.flags);
    for (field, want, have, relax) in [
        ("SYN", want.syn, have.syn, None),
        ("FIN", want.fin, have.fin, None),
        ("RST", want.rst, have.rst, None),
        ("PSH", want.psh, have.psh, Some(Relax::Push)),
        ("ACK", want.ack, have.ack, None),
        ("URG", want.urg, have.urg, None),
        ("ECE", want.ece, have.ece, None),
        ("CWR", want.cwr, have.cwr, None),
        ("AE", want.ae, have.ae, None),
    ] {
        if want != have {
            let show = |set: bool| if set { "set" } else { "clear" };
            found.add(field, show(want), show(have), relax);
        }
    }
    if let (Some(expected), Some(actual)) = (expected.seq, actual.seq) {
        found.equal("sequence number", expected, actual);
    }
    found.equal("length", expected.len, actual.len);
    found.equal("acknowledgment number", expected.ack.unwrap_or(0), actual.ack.unwrap_or(0));
    if let (Some(expected), Some(actual)) = (expected.win, actual.win)
        && expected != actual
    {
        found.add("window", expected, actual, (expected != 0 && actual != 0).then_some(Relax::Window));
    }
    found.equal("urgent pointer", expected.urg.unwrap_or(0), actual.urg.unwrap_or(0));
    if let (Options::List(expected), Options::List(actual)) = (&expected.options, &actual.options) {
        compare_options(found, expected, actual, stamp);
    }
    text(found, text_ok);
}

/// Options without values that are not compared here: timestamps and SACK blocks.
fn shape(options: &[TcpOption]) -> Vec<TcpOption> {
    let shape = options.iter().map(|option| match option {
        TcpOption::Timestamp { .. } => TcpOption::Timestamp { val: None, ecr: None },
        TcpOption::Sack(_) => TcpOption::Sack(Vec::new()),
        other => other.clone(),
    });
    shape.collect()
}

/// The options as a set: without order and padding, and without the values that a relaxed comparison leaves out.
fn set(options: &[TcpOption]) -> Vec<TcpOption> {
    let mut set: Vec<_> = shape(options)
        .into_iter()
        .filter(|option| !matches!(option, TcpOption::Nop | TcpOption::Eol))
        .map(|option| match option {
            TcpOption::Mss(_) => TcpOption::Mss(0),
            TcpOption::Wscale(_) => TcpOption::Wscale(0),
            other => other,
        })
        .collect();
    set.sort_by_key(|option| format!("{option:?}"));
    set
}

fn blocks(options: &[TcpOption]) -> &[(u32, u32)] {
    let sack = options.iter().find_map(|option| match option {
        TcpOption::Sack(blocks) => Some(blocks.as_slice()),
        _ => None,
    });
    sack.unwrap_or_default()
}

/// Two lists of options that differ, as a message shows them. Where both have the same kinds in the same order, only those
/// that differ. `stamps`: values of timestamps are compared.
fn told(expected: &[TcpOption], actual: &[TcpOption], stamps: bool) -> (String, String) {
    let list = |options: &[TcpOption]| {
        let plain = options.iter().map(|option| match option {
            TcpOption::Timestamp { .. } if !stamps => TcpOption::Timestamp { val: None, ecr: None },
            other => other.clone(),
        });
        format!("<{}>", plain.map(|option| option.to_string()).collect::<Vec<_>>().join(","))
    };
    let kind = core::mem::discriminant::<TcpOption>;
    if !expected.iter().map(kind).eq(actual.iter().map(kind)) {
        return (list(expected), list(actual));
    }
    let differ = shape(expected).into_iter().zip(shape(actual)).filter(|(expected, actual)| expected != actual);
    let (expected, actual): (Vec<_>, Vec<_>) =
        differ.map(|(expected, actual)| (expected.to_string(), actual.to_string())).unzip();
    (expected.join(","), actual.join(","))
}

fn compare_options(found: &mut Differences, expected: &[TcpOption], actual: &[TcpOption], stamp: Option<u32>) {
    if shape(expected) != shape(actual) {
        let mut wanted = set(expected);
        // A script that lists no window scale says nothing about it.
        let mut have = set(actual);
        if !wanted.contains(&TcpOption::Wscale(0)) {
            have.retain(|option| *option != TcpOption::Wscale(0));
        }
        wanted.dedup();
        have.dedup();
        let (expected, actual) = told(expected, actual, stamp.is_some());
        found.add("options", expected, actual, (wanted == have).then_some(Relax::Options));
    }
    let (want, have) = (blocks(expected), blocks(actual));
    if want != have {
        let first = want.first() == have.first();
        let list = |blocks: &[(u32, u32)]| match blocks {
            [] => "none".to_owned(),
            blocks => TcpOption::Sack(blocks.to_vec()).to_string(),
        };
        found.add("SACK blocks", list(want), list(have), first.then_some(Relax::Sack));
    }
    let value = actual.iter().find_map(|option| match option {
        TcpOption::Timestamp { val, .. } => *val,
        _ => None,
    });
    if let (Some(stamp), Some(value)) = (stamp, value)
        && stamp != value
    {
        found.add("timestamp", stamp, value, Some(Relax::Options));
    }
}

fn compare_icmp(found: &mut Differences, expected: &Icmp, actual: &Icmp) {
    let (want, have) = (&expected.kind.value, &actual.kind.value);
    if want != have {
        found.add("type", want, have, None);
    }
    let code = |icmp: &Icmp| icmp.code.as_ref().map(|code| code.value.to_string()).unwrap_or_default();
    if expected.code.is_some() {
        found.equal("code", code(expected), code(actual));
    }
    if expected.mtu.is_some() {
        found.equal("mtu", expected.mtu.unwrap_or(0), actual.mtu.unwrap_or(0));
    }
}
