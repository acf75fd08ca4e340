//! What a segment is and why it was sent, in the terms of the RFCs, as far as that can be told at the vantage point.
//! Sequence numbers are relative: the SYN is 0, the first byte of data is 1, `1:1449` ends before 1449.
//!
//! `conversation` says what a segment is; here it is put into words. How long a retransmission has waited is counted as
//! RFC 6298, section 5 runs the timer: from the last time that the side sent with nothing outstanding, was acknowledged
//! with something outstanding, or retransmitted.

use super::tags::put;
use super::{Direction, Notes, Subject};
use crate::conversation::{AckKind, DataKind, Kind, Observed, Side, Stream};
use crate::event::TimerKind;
use crate::segment::{Flags, Options, Segment};
use crate::time::{Duration, Instant};

/// The codepoint "congestion experienced" (RFC 3168, section 5).
const CE: u8 = 0b11;

/// What has to be known of a connection from before the segment.
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own.
struct Before {
    peer_syn_open: bool,
    peer_fin_open: bool,
    idle: bool,
    own_known: bool,
    peer_known: bool,
    over: bool,
    /// Duplicate ACKs that the sender of the segment has received here.
    dup_acks: u32,
    own_window: u32,
    /// The peer has sent its SYN again and was not answered yet.
    peer_syn_repeated: bool,
    /// The last segment of the peer was a probe.
    peer_probe: Option<DataKind>,
    /// The next SYN|ACK of the host is a SYN cookie.
    cookie: bool,
    /// The segment begins another connection on the same ports.
    reopens: bool,
}

impl Before {
    fn of(stream: &Stream<Notes>, from: Side) -> Self {
        let (own, peer) = (stream.conversation.sender(from), stream.conversation.sender(from.other()));
        Self {
            peer_syn_open: peer.iss.is_some_and(|iss| peer.snd_una == iss),
            peer_fin_open: peer.fin.is_some() && !peer.is_fin_acked(),
            idle: own.flight_size() == 0,
            own_known: own.is_started(),
            peer_known: peer.is_started(),
            over: stream.conversation.is_over(),
            dup_acks: own.dup_acks,
            own_window: own.rcv_wnd,
            peer_syn_repeated: stream.notes.syn_repeated[from.other() as usize],
            peer_probe: stream.notes.probed[from.other() as usize],
            cookie: stream.notes.cookie,
            reopens: false,
        }
    }
}

/// A segment and everything that its words depend on.
struct Sentence<'a> {
    out: &'a mut String,
    stream: &'a Stream<Notes>,
    own: Side,
    at: Instant,
    segment: &'a Segment<'a>,
    before: &'a Before,
    observed: &'a Observed,
}

/// Has the connection observe the segment, and writes its words. `reopens` says that the segment begins another connection
/// on the same ports.
pub(super) fn write(
    out: &mut String,
    stream: &mut Stream<Notes>,
    (own, reopens): (Side, bool),
    subject: &Subject<'_>,
    segment: &Segment<'_>,
) -> Observed {
    let from = stream.side_of(segment.src);
    let before = Before { reopens, ..Before::of(stream, from) };
    let observed = stream.observe_cut(subject.at, segment, subject.missing);
    let mut sentence = Sentence { out, stream, own, at: subject.at, segment, before: &before, observed: &observed };
    if subject.copy {
        sentence.copy();
    } else {
        sentence.segment();
        if subject.direction == Direction::Outbound {
            sentence.calls();
        }
    }
    run_timers(stream, own, subject.at, segment, &before, &observed);
    observed
}

/// Has the connection observe the segment, and follows the timers that words depend on.
pub(super) fn observe(stream: &mut Stream<Notes>, own: Side, at: Instant, segment: &Segment<'_>) -> Observed {
    let before = Before::of(stream, stream.side_of(segment.src));
    let observed = stream.observe(at, segment);
    run_timers(stream, own, at, segment, &before, &observed);
    observed
}

impl Sentence<'_> {
    fn segment(&mut self) {
        if self.segment.is_rst() {
            self.rst();
        } else if self.segment.is_syn() {
            self.syn();
        } else {
            self.data();
            let window = self.stream.conversation.sender(self.observed.from).rcv_wnd;
            let taken = self.observed.seen.data != DataKind::Unacceptable;
            if window == 0 && self.before.own_window != 0 && self.before.own_known && taken {
                self.out.push_str(", the window closes");
            }
            self.ecn();
        }
    }

    /// Explicit Congestion Notification (RFC 3168), after the handshake.
    fn ecn(&mut self) {
        if self.segment.ecn == CE {
            self.out.push_str(", marked CE: congestion on the way");
        }
        if self.segment.flags.contains(Flags::ECE) {
            self.out.push_str(", echoes a congestion mark (ECE)");
        }
        if self.segment.flags.contains(Flags::CWR) {
            self.out.push_str(", has reduced cwnd (CWR)");
        }
    }

    /// A copy that a link has made. The host has sent it once.
    fn copy(&mut self) {
        self.out.push_str("copy made by a link: ");
        if self.segment.is_syn() || self.segment.is_rst() {
            let kind = if self.segment.is_rst() { "RST" } else { "SYN" };
            self.out.push_str(kind);
            if self.segment.is_ack() {
                self.out.push_str("|ACK");
            }
        } else if self.segment.is_empty() {
            put(self.out, format_args!("ACK up to {}", self.observed.ack.unwrap_or(0)));
        } else {
            self.content("data ");
        }
    }

    /// The calls of the host's program that made it send this, where they came at the same instant.
    fn calls(&mut self) {
        let notes = &self.stream.notes;
        let sends = !self.segment.is_empty() || self.segment.is_rst();
        if notes.called_at != self.at || !sends {
            return;
        }
        // Too many keep-alive probes had no answer: the timer reset the connection before the program called.
        if self.segment.is_rst() && notes.keep_alive_at == Some(self.at) {
            return;
        }
        match notes.calls {
            [Some(first), Some(second)] => put(self.out, format_args!(" (from {first}, {second})")),
            [Some(only), None] => put(self.out, format_args!(" (from {only})")),
            [None, _] => {}
        }
    }

    fn rst(&mut self) {
        let Before { own_known, peer_known, peer_syn_open, over, .. } = *self.before;
        self.out.push_str(match self.observed.seen.data {
            _ if !own_known && peer_syn_open => "RST: refuses the connection, no socket listens on the port",
            _ if over => "RST: the connection is closed already",
            _ if !peer_known => "RST: of a connection that was not seen here",
            DataKind::Unacceptable => "RST: outside the window, the receiver ignores it",
            _ => "RST: aborts the connection",
        });
    }

    fn syn(&mut self) {
        let segment = self.segment;
        let seen = &self.observed.seen;
        let answers = segment.is_ack() && seen.newly_acked() > 0;
        let name = if segment.is_ack() { "SYN|ACK" } else { "SYN" };
        let why = match seen.data {
            DataKind::Unacceptable => {
                self.out.push_str("SYN on an open connection: it is not taken, a challenge ACK answers it (RFC 5961)");
                return;
            }
            DataKind::Retransmission { .. } | DataKind::Duplicate if segment.is_ack() && self.is_second_answer() => {
                self.out.push_str("SYN|ACK again: answers the SYN that came again");
                return;
            }
            DataKind::Retransmission { nth } if !answers => {
                put(self.out, format_args!("{name}, retransmission {nth}"));
                self.waited();
                return;
            }
            DataKind::Duplicate if !answers => {
                put(self.out, format_args!("{name} again: it is acknowledged already"));
                return;
            }
            DataKind::Retransmission { .. } | DataKind::Duplicate => "SYN|ACK: answers the SYN that crossed its own",
            _ if segment.is_ack() && self.before.cookie && self.own == self.observed.from => {
                "SYN|ACK with a SYN cookie: the listener keeps nothing of the SYN"
            }
            _ if segment.is_ack() => "SYN|ACK: accepts the connection",
            _ if self.before.reopens && self.stream.previous.is_some() => {
                self.out.push_str(
                    "SYN while a connection is open on the same ports: a challenge ACK answers it (RFC 5961)",
                );
                return;
            }
            _ if seen.restarted || self.before.reopens => "SYN: opens another connection on the same ports",
            _ if self.before.peer_syn_open && !self.before.own_known => {
                "SYN: opens the connection too, at the same time"
            }
            _ => "SYN: opens the connection",
        };
        self.out.push_str(why);
        self.offer(&segment.options);
        if !segment.payload.is_empty() {
            put(self.out, format_args!(", carries {} bytes of data", segment.payload.len()));
        }
    }

    /// The host answers a SYN that came again; its own timer has not sent this.
    fn is_second_answer(&self) -> bool {
        self.own == self.observed.from && self.before.peer_syn_repeated
    }

    fn offer(&mut self, options: &Options) {
        let mut separator = ", offers ";
        let mut item = |text: core::fmt::Arguments<'_>| {
            put(self.out, format_args!("{separator}{text}"));
            separator = ", ";
        };
        if let Some(mss) = options.mss {
            item(format_args!("MSS {mss}"));
        }
        if let Some(shift) = options.wscale {
            item(format_args!("window scale {shift}"));
        }
        if options.sack_permitted {
            item(format_args!("SACK"));
        }
        if options.ts.is_some() {
            item(format_args!("timestamps"));
        }
        // RFC 3168, section 6.1.1: the ECN-setup SYN has both flags, the ECN-setup SYN|ACK only ECE.
        let ecn = [Flags::ECE, Flags::CWR].map(|flag| self.segment.flags.contains(flag));
        if ecn == [true, !self.segment.is_ack()] {
            item(format_args!("ECN"));
        }
        if separator != ", " {
            self.out.push_str(", no options");
        }
    }

    fn data(&mut self) {
        let (seen, kinds) = (&self.observed.seen, self.observed.kinds);
        let start = self.observed.seq;
        match seen.data {
            DataKind::None => return self.ack(),
            DataKind::New => {
                self.content("data ");
                if seen.repeated_bytes() > 0 {
                    put(self.out, format_args!(", the first {} sent before", bytes(seen.repeated_bytes())));
                }
            }
            DataKind::Gap => {
                self.content("data ");
                self.out.push_str(", above a gap: what comes before was not seen here");
            }
            DataKind::OutOfOrder if kinds.is_retransmission() => {
                self.out.push_str("retransmission of ");
                self.content("");
                self.out.push_str(", fills a gap");
            }
            DataKind::OutOfOrder => {
                self.content("data ");
                self.out.push_str(", out of order: fills a gap");
            }
            DataKind::Retransmission { nth } => self.retransmission(nth),
            DataKind::Duplicate => {
                self.out.push_str("needless retransmission of ");
                self.content("");
                self.out.push_str(": it is acknowledged already");
            }
            DataKind::Probe if self.segment.payload.is_empty() => self.out.push_str("zero-window probe"),
            DataKind::Probe => put(self.out, format_args!("zero-window probe with byte {start}")),
            DataKind::KeepAlive => self.out.push_str("keep-alive probe"),
            DataKind::Unacceptable => {
                self.content("data ");
                self.out.push_str(": outside every window that can be open, not taken");
            }
        }
        if kinds.contains(Kind::BytesDiffer) {
            self.out.push_str(", its bytes are not those sent before");
        }
        if self.observed.seen.newly_acked() > 0 {
            self.out.push_str(", ");
            self.advance();
        }
    }

    fn retransmission(&mut self, nth: u32) {
        let dup_acks = self.before.dup_acks;
        let fast = dup_acks >= 3 && nth <= 1 && !self.is_by_timer();
        match nth {
            _ if fast => self.out.push_str("fast retransmission of "),
            0 | 1 => self.out.push_str("retransmission of "),
            _ => put(self.out, format_args!("retransmission {nth} of ")),
        }
        self.content("");
        if fast {
            put(self.out, format_args!(" after {dup_acks} duplicate ACKs"));
        } else if nth > 0 {
            self.waited();
        }
    }

    /// The data of a segment and its FIN.
    fn content(&mut self, data: &str) {
        let start = self.observed.seq;
        let end = start.wrapping_add(self.segment.payload.len() as u32);
        match (start == end, self.segment.is_fin()) {
            (false, false) => put(self.out, format_args!("{data}{start}:{end}")),
            (false, true) => put(self.out, format_args!("{data}{start}:{end} and FIN")),
            (true, true) => self.out.push_str("FIN"),
            (true, false) => self.out.push_str("segment without data"),
        }
    }

    /// A segment that only acknowledges.
    fn ack(&mut self) {
        let seen = &self.observed.seen;
        let up_to = self.observed.ack.unwrap_or(0);
        let window = self.stream.conversation.sender(self.observed.from).rcv_wnd;
        match seen.ack {
            AckKind::None => self.out.push_str("segment without data and without an ACK"),
            AckKind::Advance { .. } => {
                self.out.push_str("ACK: ");
                self.advance();
            }
            _ if self.before.peer_probe == Some(DataKind::Probe) => {
                put(self.out, format_args!("ACK of the zero-window probe: expects {up_to}, window {window}"));
            }
            _ if self.before.peer_probe.is_some() => self.out.push_str("ACK of the keep-alive probe"),
            AckKind::Duplicate(nth) => {
                put(self.out, format_args!("duplicate ACK {nth}: expects {up_to}"));
                let mut separator = ", has ";
                for block in self.segment.options.sack_blocks() {
                    let left = self.stream.relative(self.observed.from.other(), block.left);
                    put(self.out, format_args!("{separator}{left}:{}", left.wrapping_add(block.right - block.left)));
                    separator = " and ";
                }
            }
            AckKind::WindowUpdate if window == 0 => put(self.out, format_args!("ACK up to {up_to}")),
            AckKind::WindowUpdate => put(self.out, format_args!("window update: {window} bytes from {up_to} on")),
            AckKind::Old => put(self.out, format_args!("old ACK up to {up_to}: a later one came before it")),
            AckKind::BeyondSent => put(self.out, format_args!("ACK up to {up_to}: more than was seen here")),
            AckKind::Plain => put(self.out, format_args!("ACK up to {up_to} again")),
        }
    }

    /// What an acknowledgment that moves forward means.
    fn advance(&mut self) {
        let conversation = &self.stream.conversation;
        let peer = conversation.sender(self.observed.from.other());
        if self.before.peer_syn_open && conversation.handshake_seen() {
            self.out.push_str("completes the handshake");
        } else if self.before.peer_fin_open && peer.is_fin_acked() {
            self.out.push_str("acknowledges the FIN");
        } else {
            put(self.out, format_args!("acknowledges everything up to {}", self.observed.ack.unwrap_or(0)));
        }
    }

    /// How long a retransmission has waited. That it was the timer is known where the timer was seen to go off.
    fn waited(&mut self) {
        let waited = self.at - self.stream.notes.timer_started[self.observed.from as usize];
        if waited == Duration::ZERO {
            return;
        }
        self.out.push_str(if self.is_by_timer() { " after RTO " } else { " after " });
        write_duration(self.out, waited);
    }

    fn is_by_timer(&self) -> bool {
        let timer = self.stream.notes.timer;
        self.observed.from == self.own
            && matches!(timer, Some((at, TimerKind::Retransmission | TimerKind::SynAck)) if at == self.at)
    }
}

fn run_timers(
    stream: &mut Stream<Notes>,
    own: Side,
    now: Instant,
    segment: &Segment<'_>,
    before: &Before,
    observed: &Observed,
) {
    let Observed { from, seen, .. } = *observed;
    let notes = &mut stream.notes;
    let again = matches!(seen.data, DataKind::Retransmission { nth: 1.. } | DataKind::Duplicate);
    let second_answer = own == from && segment.is_syn() && segment.is_ack() && before.peer_syn_repeated;
    let sends = matches!(seen.data, DataKind::New | DataKind::Gap) && (before.idle || seen.restarted);
    if sends || (again && !second_answer) {
        notes.timer_started[from as usize] = now;
    }
    if seen.newly_acked() > 0 {
        notes.timer_started[from.other() as usize] = now;
    }
    if segment.is_syn() {
        notes.syn_repeated[from as usize] = again && !segment.is_ack();
        notes.syn_repeated[from.other() as usize] = false;
        notes.cookie &= !(own == from && segment.is_ack());
    }
    notes.probed[from as usize] = Some(seen.data).filter(|data| matches!(data, DataKind::Probe | DataKind::KeepAlive));
    if seen.ack != AckKind::None {
        notes.probed[from.other() as usize] = None;
    }
    if own == from && !segment.is_empty() {
        notes.calls = [None; 2];
    }
}

fn bytes(count: u32) -> String {
    if count == 1 { "byte".to_owned() } else { format!("{count} bytes") }
}

/// `1.0 s`, `204.0 ms`, `1.204 s`, `85 us`: four significant digits, without zeros at the end. Clocks of microseconds run
/// beside those of nanoseconds: 999.999 ms are a second.
pub(crate) fn write_duration(out: &mut String, duration: Duration) {
    let mut micros = duration.as_micros();
    let unit = 10_u128.pow(micros.checked_ilog10().unwrap_or(0).saturating_sub(3));
    micros = (micros + unit / 2) / unit * unit;
    match micros {
        0..1_000 => put(out, format_args!("{micros} us")),
        1_000..1_000_000 => write_thousandths(out, micros, "ms"),
        _ => write_thousandths(out, micros / 1_000, "s"),
    }
}

fn write_thousandths(out: &mut String, thousandths: u128, unit: &str) {
    let (whole, fraction) = (thousandths / 1_000, thousandths % 1_000);
    if fraction == 0 {
        put(out, format_args!("{whole}.0 {unit}"));
    } else {
        put(out, format_args!("{whole}.{fraction:03}"));
        out.truncate(out.trim_end_matches('0').len());
        put(out, format_args!(" {unit}"));
    }
}
