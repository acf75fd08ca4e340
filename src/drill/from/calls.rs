//! The system calls of a script: the actions of a recorded program, each with its time and its place among the packets.
//! `from` derives the program and weaves the calls in.
//!
//! A call that waits for a packet stands behind it, at its instant. Only connect(2) and writes that do not fit into the
//! send buffer are calls that block.

use crate::conversation::Side;
use crate::drill::script::{Call, CallResult, Field, Span, Spanned, Value};
use crate::recording::exact::{Action, Exact};
use crate::recording::{CLIENT, Recorded, Recording, SERVER, SideFacts, place};
use crate::segment::Flags;
use crate::time::Duration;

/// A call and when it is made.
#[derive(Clone, Debug)]
pub(super) struct Timed {
    pub(super) at: Duration,
    /// The index of the packet that it stands before.
    pub(super) before: usize,
    pub(super) call: Call,
    /// When it returns, if that can be later.
    pub(super) until: Option<Duration>,
}

/// The most that one call reads.
const BUFFER: u32 = 16 << 10;

/// The descriptor of the socket, and that of an accepted connection.
const SOCKET: i64 = 3;
const ACCEPTED: i64 = 4;

fn word(text: &str) -> Value {
    Value::Word(text.to_owned())
}

/// A call without an error.
pub(super) fn call(name: &str, args: Vec<Value>, value: i64) -> Call {
    fn spanned<T>(value: T) -> Spanned<T> {
        Spanned { value, span: Span::default() }
    }
    let args = args.into_iter().map(spanned).collect();
    let result = CallResult { value: Some(value), errno: None, note: None };
    Call { name: spanned(name.to_owned()), args, result: spanned(result) }
}

/// The call fails. packetdrill refuses an error without a note.
fn fail(result: &mut CallResult, errno: &str, note: &str) {
    *result = CallResult { value: Some(-1), errno: Some(errno.to_owned()), note: Some(note.to_owned()) };
}

fn option(fd: i64, level: &str, name: &str, value: i64) -> Call {
    let value = Value::Array(vec![Spanned { value: Value::Integer(value), span: Span::default() }]);
    call("setsockopt", vec![Value::Integer(fd), word(level), word(name), value, Value::Integer(4)], 0)
}

fn linger(fd: i64) -> Call {
    let field = |name: &str, value: i64| Field {
        name: Some(name.to_owned()),
        length: None,
        value: Spanned { value: Value::Integer(value), span: Span::default() },
    };
    let value = Value::Struct(vec![field("onoff", 1), field("linger", 0)]);
    call("setsockopt", vec![Value::Integer(fd), word("SOL_SOCKET"), word("SO_LINGER"), value, Value::Integer(8)], 0)
}

/// The place that a packet acknowledges in what `sender` sent.
fn acks(packet: &Recorded, sender: &SideFacts) -> u32 {
    let is_ack = packet.has(Flags::ACK) && packet.is_acceptable() && !packet.has(Flags::RST);
    if is_ack { place(packet.ack, sender.iss).min(sender.end()) } else { 0 }
}

struct Writer<'a> {
    recording: &'a Recording,
    peer: &'a SideFacts,
    ours: Side,
    calls: Vec<Timed>,
    clock: Duration,
    /// Packets that have passed.
    passed: usize,
    /// The place in the peer's stream up to which everything is read.
    read: u32,
    fd: i64,
}

/// The calls of the program on `ours`.
pub(super) fn calls(recording: &Recording, facts: &[SideFacts; 2], ours: Side, program: &Exact) -> Vec<Timed> {
    let mut writer = Writer::new(recording, facts, ours);
    if writer.open(program).is_some() {
        for step in &program.steps {
            if writer.step(step).is_none() {
                break;
            }
        }
    }
    writer.calls
}

/// As [`calls`], but each packet of `ours` is caused by a call at its instant: text by a write of its length, an ACK by
/// `TCP_QUICKACK`. So a host sends the packets of another system, whatever that system's rules are.
pub(super) fn packet_by_packet(
    recording: &Recording,
    facts: &[SideFacts; 2],
    ours: Side,
    program: &Exact,
) -> Vec<Timed> {
    let mut writer = Writer::new(recording, facts, ours);
    if writer.open(program).is_some() {
        writer.causes(&facts[ours]);
    }
    writer.calls
}

impl<'a> Writer<'a> {
    fn new(recording: &'a Recording, facts: &'a [SideFacts; 2], ours: Side) -> Self {
        Self {
            recording,
            peer: &facts[ours.other()],
            ours,
            calls: Vec::new(),
            clock: Duration::ZERO,
            passed: 0,
            read: 1,
            fd: SOCKET,
        }
    }

    fn push(&mut self, call: Call) {
        self.calls.push(Timed { at: self.clock, before: self.passed, call, until: None });
    }

    /// The calls that open the connection. `None`: there is no connection.
    fn open(&mut self, program: &Exact) -> Option<()> {
        let (connects, _) = program.opens?;
        self.push(call("socket", vec![Value::Any, word("SOCK_STREAM"), word("IPPROTO_TCP")], SOCKET));
        if program.nodelay {
            self.push(option(SOCKET, "SOL_TCP", "TCP_NODELAY", 1));
        }
        let address = || vec![Value::Integer(SOCKET), Value::Any, Value::Any];
        let opened = self.opened(connects);
        if connects {
            self.connect(call("connect", address(), 0), opened)?;
        } else {
            self.push(call("bind", address(), 0));
            self.push(call("listen", vec![Value::Integer(SOCKET), Value::Integer(8)], 0));
            self.pass(opened?);
            self.push(call("accept", address(), ACCEPTED));
            self.fd = ACCEPTED;
        }
        Some(())
    }

    /// Connects. `None`: it is refused, or the recording does not have the answer.
    fn connect(&mut self, mut connect: Call, opened: Option<usize>) -> Option<()> {
        let result = &mut connect.result.value;
        let Some(opened) = opened else {
            // It does not wait for what the recording does not have.
            fail(result, "EINPROGRESS", "Operation now in progress");
            self.push(call("fcntl", vec![Value::Integer(SOCKET), word("F_SETFL"), word("O_NONBLOCK")], 0));
            self.push(connect);
            return None;
        };
        let answer = &self.recording.packets[opened];
        let refused = answer.has(Flags::RST);
        if refused {
            fail(result, "ECONNREFUSED", "Connection refused");
        }
        self.calls.push(Timed { at: self.clock, before: self.passed, call: connect, until: Some(answer.at) });
        self.pass(opened);
        if refused {
            self.push(call("close", vec![Value::Integer(SOCKET)], 0));
            return None;
        }
        Some(())
    }

    /// A call for each packet of ours.
    fn causes(&mut self, own: &SideFacts) {
        let packets = &self.recording.packets;
        let (mut acked, mut eof, mut contents) = (1, false, own.content.iter().peekable());
        let opened = self.passed;
        for (index, packet) in packets.iter().enumerate().skip(self.passed) {
            if packet.from != self.ours || packet.has(Flags::SYN) || !packet.is_acceptable() {
                continue;
            }
            let ack = if packet.has(Flags::ACK) { place(packet.ack, self.peer.iss) } else { 0 };
            // What is sent first acknowledges the SYN|ACK.
            let first = self.ours == CLIENT && packets[opened..index].iter().all(|p| p.from != self.ours);
            let (at, before) = if first { (self.clock, opened) } else { self.cause_of(index, ack) };
            // Some captures have an ACK before what it acknowledges.
            let content = contents.next_if(|content| content.packet <= index);
            let early = packets[..index]
                .iter()
                .position(|p| p.from != self.ours && content.is_some_and(|content| acks(p, own) > content.start));
            let (at, before) = early.map_or((at, before), |early| (at.min(packets[early].at), before.min(early)));
            (self.clock, self.passed) = (self.clock.max(at), self.passed.max(before));
            let fd = Value::Integer(self.fd);
            if packet.has(Flags::RST) {
                self.push(linger(self.fd));
                return self.push(call("close", vec![fd], 0));
            }
            self.read_arrived(ack.saturating_sub(self.read));
            if !eof && self.peer.fin.is_some_and(|fin| ack > fin && self.read == fin) {
                eof = true;
                self.push(call("read", vec![fd.clone(), Value::Any, Value::Integer(1_000)], 0));
            }
            match content {
                Some(content) => {
                    let fin = own.fin.is_some_and(|fin| content.end > fin);
                    let len = i64::from(content.end - u32::from(fin)) - i64::from(content.start);
                    if len > 0 {
                        self.push(call("write", vec![fd.clone(), Value::Any, Value::Integer(len)], len));
                    }
                    if fin && own.rst.is_some_and(|rst| rst > index && !packets[rst].has(Flags::ACK)) {
                        // The RST answers what comes for a closed socket.
                        self.read_arrived(u32::MAX);
                        return self.push(call("close", vec![fd], 0));
                    }
                    if fin {
                        self.push(call("shutdown", vec![fd, word("SHUT_WR")], 0));
                    }
                }
                None if ack > acked => {
                    self.push(option(self.fd, "SOL_TCP", "TCP_QUICKACK", 1));
                    self.push(option(self.fd, "SOL_TCP", "TCP_QUICKACK", 0));
                }
                None => {}
            }
            acked = acked.max(ack);
        }
    }

    /// The packet with which connect or accept returned.
    fn opened(&self, connects: bool) -> Option<usize> {
        let opens = |p: &Recorded| {
            let acks = p.from != self.ours && p.is_acceptable() && p.has(Flags::ACK);
            acks && if connects { p.has(Flags::SYN) || p.has(Flags::RST) } else { !p.has(Flags::RST) }
        };
        let packets = &self.recording.packets;
        let said = if connects { 0 } else { packets.iter().position(|p| p.from == SERVER && p.has(Flags::SYN))? };
        packets[said..].iter().position(opens).map(|at| said + at)
    }

    /// When the call is made that causes a packet with this ACK, and the packet that it stands before. What came and is not
    /// acknowledged comes behind it. A FIN is acknowledged at once, so what acknowledges it first is sent at once.
    fn cause_of(&self, packet: usize, ack: u32) -> (Duration, usize) {
        let packets = &self.recording.packets;
        let end = self.eof().map(|index| (self.peer.end(), index));
        let arrivals = self.peer.arrived.iter().copied().chain(end);
        let beyond = arrivals.clone().find(|(end, index)| *end > ack.max(1) && *index < packet);
        if let Some((_, index)) = beyond {
            return (packets[index].at, index);
        }
        match end.filter(|(end, index)| ack >= *end && *index < packet) {
            Some((_, index)) if packets[index + 1..packet].iter().all(|p| p.from != self.ours) => {
                (packets[index].at, index + 1)
            }
            _ => (packets[packet].at, packet),
        }
    }

    /// The packet with which the end of the peer's stream has come.
    fn eof(&self) -> Option<usize> {
        let fin = self.peer.fin?;
        let text = self.peer.arrived.last().map_or(0, |(_, packet)| *packet);
        let ends = |p: &Recorded| p.from != self.ours && p.is_acceptable() && p.has(Flags::FIN);
        let at_fin = |p: &Recorded| place(p.seq, self.peer.iss) + p.payload.len() as u32 == fin;
        self.recording.packets.iter().position(|p| ends(p) && at_fin(p)).map(|packet| packet.max(text))
    }

    /// This packet has passed.
    fn pass(&mut self, packet: usize) {
        self.clock = self.clock.max(self.recording.packets[packet].at);
        self.passed = self.passed.max(packet + 1);
    }

    /// Reads what has come, at most so much.
    fn read_arrived(&mut self, most: u32) -> u32 {
        let come = self.peer.arrived.iter().take_while(|(_, packet)| *packet < self.passed).last();
        let all = come.map_or(0, |(end, _)| end - self.read).min(most);
        let mut left = all;
        while left > 0 {
            let taken = left.min(BUFFER);
            left -= taken;
            let args = vec![Value::Integer(self.fd), Value::Any, Value::Integer(taken.into())];
            self.push(call("read", args, taken.into()));
            self.read += taken;
        }
        all
    }

    /// One step. `None`: it waits for what the recording does not have.
    fn step(&mut self, step: &Action) -> Option<()> {
        let fd = Value::Integer(self.fd);
        match step {
            Action::Until(at) => {
                let due = |(index, p): &(usize, &Recorded)| *index >= self.passed && p.from == self.ours && p.at >= *at;
                if let Some((index, _)) = self.recording.packets.iter().enumerate().find(due) {
                    self.passed = index;
                }
                self.clock = self.clock.max(*at);
            }
            Action::Read(count) => {
                let mut wanted = *count;
                while wanted > 0 {
                    let (_, packet) = *self.peer.arrived.iter().find(|(end, _)| *end > self.read)?;
                    if packet >= self.passed {
                        self.pass(packet);
                    }
                    wanted -= self.read_arrived(wanted);
                }
            }
            Action::ReadEof => {
                let packet = self.eof()?;
                if packet >= self.passed {
                    self.pass(packet);
                }
                self.read_arrived(u32::MAX);
                self.push(call("read", vec![fd, Value::Any, Value::Integer(1_000)], 0));
            }
            Action::Write(bytes) => {
                let len = i64::try_from(bytes.len()).ok()?;
                self.push(call("write", vec![fd, Value::Any, Value::Integer(len)], len));
                if let Some(write) = self.calls.last_mut() {
                    write.until = Some(self.clock);
                }
            }
            Action::QuickAck => self.push(option(self.fd, "SOL_TCP", "TCP_QUICKACK", 1)),
            Action::ShutdownWrite => self.push(call("shutdown", vec![fd, word("SHUT_WR")], 0)),
            Action::Close => self.push(call("close", vec![fd], 0)),
            Action::Abort => {
                self.push(linger(self.fd));
                self.push(call("close", vec![fd], 0));
            }
        }
        Some(())
    }
}
