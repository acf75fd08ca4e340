//! The system calls of a script: the actions of a recorded program, each with its time and its place among the packets.
//! `from` derives the program and weaves the calls in.
//!
//! A call that waits for a packet stands behind it, at its instant. Only connect(2) and writes that do not fit into the
//! send buffer are calls that block.

use crate::conversation::Side;
use crate::drill::script::{Call, CallResult, Field, Span, Spanned, Value};
use crate::recording::exact::{Action, Exact};
use crate::recording::{Recorded, Recording, SERVER, SideFacts, place};
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
    let mut writer = Writer {
        recording,
        peer: &facts[ours.other()],
        ours,
        calls: Vec::new(),
        clock: Duration::ZERO,
        passed: 0,
        read: 1,
        fd: SOCKET,
    };
    writer.program(program);
    writer.calls
}

impl Writer<'_> {
    fn push(&mut self, call: Call) {
        self.calls.push(Timed { at: self.clock, before: self.passed, call, until: None });
    }

    fn program(&mut self, program: &Exact) {
        let Some((connects, _)) = program.opens else { return };
        self.push(call("socket", vec![Value::Any, word("SOCK_STREAM"), word("IPPROTO_TCP")], SOCKET));
        if program.nodelay {
            self.push(option(SOCKET, "SOL_TCP", "TCP_NODELAY", 1));
        }
        let address = || vec![Value::Integer(SOCKET), Value::Any, Value::Any];
        let opened = self.opened(connects);
        if connects {
            self.push(call("connect", address(), 0));
            match opened {
                Some(opened) => {
                    let answer = &self.recording.packets[opened];
                    if answer.has(Flags::RST)
                        && let Some(connect) = self.calls.last_mut()
                    {
                        let result = &mut connect.call.result.value;
                        (result.value, result.errno) = (Some(-1), Some("ECONNREFUSED".to_owned()));
                    }
                    if let Some(connect) = self.calls.last_mut() {
                        connect.until = Some(answer.at);
                    }
                    self.pass(opened);
                    if answer.has(Flags::RST) {
                        return self.push(call("close", vec![Value::Integer(SOCKET)], 0));
                    }
                }
                None => {
                    // It does not wait for what the recording does not have.
                    if let Some(connect) = self.calls.pop() {
                        let flags = vec![Value::Integer(SOCKET), word("F_SETFL"), word("O_NONBLOCK")];
                        self.push(call("fcntl", flags, 0));
                        let mut connect = connect.call;
                        let result = &mut connect.result.value;
                        (result.value, result.errno) = (Some(-1), Some("EINPROGRESS".to_owned()));
                        self.push(connect);
                    }
                    return;
                }
            }
        } else {
            self.push(call("bind", address(), 0));
            self.push(call("listen", vec![Value::Integer(SOCKET), Value::Integer(8)], 0));
            let Some(opened) = opened else { return };
            self.pass(opened);
            self.push(call("accept", address(), ACCEPTED));
            self.fd = ACCEPTED;
        }
        for step in &program.steps {
            if self.step(step).is_none() {
                break;
            }
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

    /// This packet has passed.
    fn pass(&mut self, packet: usize) {
        self.clock = self.clock.max(self.recording.packets[packet].at);
        self.passed = self.passed.max(packet + 1);
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
                    let (end, packet) = *self.peer.arrived.iter().find(|(end, _)| *end > self.read)?;
                    if packet >= self.passed {
                        self.pass(packet);
                    }
                    // All that has come is read at once.
                    let come = self.peer.arrived.iter().take_while(|(_, packet)| *packet < self.passed);
                    let end = come.last().map_or(end, |(end, _)| *end);
                    let taken = wanted.min(end - self.read);
                    self.push(call("read", vec![fd.clone(), Value::Any, Value::Integer(taken.into())], taken.into()));
                    self.read += taken;
                    wanted -= taken;
                }
            }
            Action::ReadEof => {
                let fin = self.peer.fin?;
                let text = self.peer.arrived.last().map_or(0, |(_, packet)| *packet);
                let ends = |p: &Recorded| p.from != self.ours && p.is_acceptable() && p.has(Flags::FIN);
                let at_fin = |p: &Recorded| place(p.seq, self.peer.iss) + p.payload.len() as u32 == fin;
                let packet = self.recording.packets.iter().position(|p| ends(p) && at_fin(p))?.max(text);
                if packet >= self.passed {
                    self.pass(packet);
                }
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
