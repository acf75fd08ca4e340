//! A script as data: option lines, events with their times, packets, system calls. The parser makes it, the runner and the
//! checker read it, and the writer of `--from` prints it. The words are those of packetdrill's language. docs/drill.md
//! describes the language.

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::time::Duration;

/// A place in the source text: byte offsets, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

/// A script.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Script {
    /// Option lines, `--name=value`, before the first event.
    pub options: Vec<Spanned<OptionLine>>,
    /// A command in back quotes before the first event.
    pub init: Option<Spanned<String>>,
    /// The events in the order of the source.
    pub events: Vec<Event>,
    /// A command in back quotes after the last event.
    pub cleanup: Option<Spanned<String>>,
}

/// `--name` or `--name=value`. `-D NAME=VALUE` has the name `define`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionLine {
    /// The name without dashes.
    pub name: String,
    /// What is behind the sign of equality.
    pub value: Option<String>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it happens.
    pub time: Time,
    /// What happens.
    pub action: Action,
    /// Its place, the time included.
    pub span: Span,
    /// The line of its begin, from 1.
    pub line: usize,
}

/// The time of an event. Packetdrill counts in microseconds; a finer part is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// `0.1`: since the begin of the script.
    Absolute(Duration),
    /// `+0.1`: since the event before.
    Relative(Duration),
    /// `*`: any time.
    Any,
    /// `0.1~0.2`: between two times since the begin of the script.
    AbsoluteRange(Duration, Duration),
    /// `+0.1~+0.2`: between two times since the event before.
    RelativeRange(Duration, Duration),
    /// `0.1...0.3`: a blocking call that begins at the first and returns at the second time, since the begin of the script.
    AbsoluteBlocking(Duration, Duration),
    /// `+0.1...0.3`: a blocking call; both times are since the event before.
    RelativeBlocking(Duration, Duration),
}

/// What an event does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A packet, sent to the stack or expected from it.
    Packet(Box<Packet>),
    /// A system call.
    Call(Box<Call>),
    /// A shell command in back quotes. It is never executed.
    Command(String),
    /// Python code between `%{` and `}%`.
    Code(String),
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `<`: sent to the stack under test.
    Inbound,
    /// `>`: expected from the stack under test.
    Outbound,
}

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Which way.
    pub direction: Direction,
    /// What is said about the IP header.
    pub ip: IpInfo,
    /// The transport header and what follows.
    pub body: Body,
    /// `/udp(SPORT > DPORT)`: the packet is carried by UDP (RFC 6951 for SCTP; FreeBSD has it for TCP).
    pub udp_encapsulation: Option<(u16, u16)>,
    /// Outer headers, which this program does not make: the text up to the colon, such as `gre` or `ipv4 A > B`. The first
    /// word is the name: `gre`, `mpls`, `ipv4`, `ipv6`, `encap`, `psp`.
    pub outer: Vec<Spanned<String>>,
}

/// What a script says about the IP header, in parentheses or brackets. What is absent is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct IpInfo {
    /// ECN bits.
    pub ecn: Option<Ecn>,
    /// `tos 0x10` (IPv4) or `class 0x10` (IPv6): the whole byte.
    pub tos: Option<u8>,
    /// `flowlabel 0x12345` (IPv6).
    pub flow_label: Option<u32>,
    /// `ttl 3` or `hlim 3`.
    pub ttl: Option<u8>,
}

/// ECN bits of the IP header (RFC 3168, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecn {
    /// `noecn`
    NotEct,
    /// `ect0`
    Ect0,
    /// `ect1`
    Ect1,
    /// `ect01`: either, only for packets that are expected.
    Ect01,
    /// `ce`
    Ce,
}

/// What an IP packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A TCP segment.
    Tcp(Tcp),
    /// `udp (LEN)`
    Udp(Udp),
    /// `icmp TYPE [CODE] ...`
    Icmp(Icmp),
}

/// A TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// `SPORT > DPORT`, if the script names them.
    pub ports: Option<(u16, u16)>,
    /// The flags.
    pub flags: Flags,
    /// The sequence number of the first byte. `None`: `...`, any number (only for packets that are expected).
    pub seq: Option<u32>,
    /// `!` after the sequence: the number is that on the wire, no mapping is applied.
    pub absolute: bool,
    /// Bytes of payload.
    pub len: u32,
    /// `ack N`
    pub ack: Option<u32>,
    /// `win N`: the value of the header, not scaled. `None` is an error for a packet that is sent.
    pub win: Option<u16>,
    /// `urg N`
    pub urg: Option<u16>,
    /// The options.
    pub options: Options,
}

/// TCP flags. The accurate ECN counter (`A`, or digits) is kept as flags `ae`, `cwr` and `ece`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools)] // the header has them one by one
pub struct Flags {
    /// `F`
    pub fin: bool,
    /// `S`
    pub syn: bool,
    /// `R`
    pub rst: bool,
    /// `P`
    pub psh: bool,
    /// `.`
    pub ack: bool,
    /// `U`
    pub urg: bool,
    /// `E`
    pub ece: bool,
    /// `W` (or `C`, as on FreeBSD)
    pub cwr: bool,
    /// `A` (RFC 9768)
    pub ae: bool,
}

/// The options of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Options {
    /// `<...>`: any, only for packets that are expected.
    Any,
    /// Exactly these, in this order. Nothing written is the empty list.
    List(Vec<TcpOption>),
}

/// One TCP option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpOption {
    /// `eol`
    Eol,
    /// `nop`
    Nop,
    /// `mss N`
    Mss(u16),
    /// `wscale N`
    Wscale(u8),
    /// `sackOK`
    SackOk,
    /// `sack L:R ...`
    Sack(Vec<(u32, u32)>),
    /// `TS val N ecr N`. `None`: `...`.
    Timestamp {
        /// `val`
        val: Option<u32>,
        /// `ecr`
        ecr: Option<u32>,
    },
    /// `FO [HEX]`: TCP Fast Open (RFC 7413), with its cookie.
    FastOpen(Vec<u8>),
    /// `FOEXP [HEX]`: TCP Fast Open with the experimental kind.
    FastOpenExperimental(Vec<u8>),
    /// `md5 [HEX]` (RFC 2385). `None`: `md5 valid`, the digest that the secret of `--tcp_md5_secret` gives.
    Md5(Option<Vec<u8>>),
    /// `e0b`, `ceb`, `e1b` counts, in the order of the option (RFC 9768, section 3.2.3).
    AccEcn(Vec<(String, u32)>),
    /// An option by number, `kind N [HEX]`; the name of an option that is not known here is a syntax error.
    Unknown {
        /// The kind.
        kind: u8,
        /// What is behind kind and length.
        data: Vec<u8>,
    },
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// `SPORT > DPORT`, if the script names them.
    pub ports: Option<(u16, u16)>,
    /// Bytes of payload.
    pub len: u16,
}

/// An ICMP message. Names of types and codes are those of packetdrill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// The type, by name or number.
    pub kind: Spanned<Word>,
    /// The code, by name or number.
    pub code: Option<Spanned<Word>>,
    /// `mtu N`
    pub mtu: Option<u32>,
    /// `id N`, of an echo.
    pub id: Option<u16>,
    /// What is quoted, in brackets.
    pub quoted: Option<Quoted>,
}

/// A name or a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// A name.
    Name(String),
    /// A number.
    Number(i64),
}

/// The packet that an ICMP error quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quoted {
    /// `[SEQ:END(LEN)]`
    Tcp {
        /// The sequence number.
        seq: u32,
        /// Bytes of payload.
        len: u32,
        /// `/udp(SPORT > DPORT)`: the segment was carried by UDP.
        udp_encapsulation: Option<(u16, u16)>,
    },
    /// `[udp (LEN)]`
    Udp(u16),
    /// `[raw (LEN)]`
    Raw(u16),
}

/// A system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: Spanned<String>,
    /// Its arguments.
    pub args: Vec<Spanned<Value>>,
    /// What it returns.
    pub result: Spanned<CallResult>,
}

/// What a call returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallResult {
    /// The number. `None`: `...`, anything.
    pub value: Option<i64>,
    /// The name of the error, behind `-1`.
    pub errno: Option<String>,
    /// The note in parentheses, which is not compared.
    pub note: Option<String>,
}

/// An argument, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `...`
    Any,
    /// A number, decimal, hexadecimal or with a sign.
    Integer(i64),
    /// A constant by name.
    Word(String),
    /// `A | B`: each part is a word or an integer.
    Or(Vec<Value>),
    /// A string; adjacent ones are joined. A byte that is written as `\xHH` is the character with that number.
    String(String),
    /// `[A, B]`
    Array(Vec<Spanned<Value>>),
    /// `{A, NAME = B}`
    Struct(Vec<Field>),
    /// `htons(N)`
    Htons(u16),
    /// `inet_addr("A.B.C.D")`
    InetAddr(Ipv4Addr),
    /// `inet_pton(AF_INET6, "A::B")`, or `inet6_addr("A::B")`
    Inet6Addr(Ipv6Addr),
}

/// One part of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// `NAME =`, or `NAME(N) =` with the length.
    pub name: Option<String>,
    /// The length in parentheses behind the name, `msg_iov(1)`. `None` if there is none or it is `...`.
    pub length: Option<i64>,
    /// The value.
    pub value: Spanned<Value>,
}
