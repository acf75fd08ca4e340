//! Derives the program of one side of a capture of this stack, so exactly that every segment is the same. `replay` plays
//! it in strict mode, and `drill` writes its calls into a script.
//!
//! A recording of this stack has three more sources. PSH is set where a write ends, so the bytes after a segment without
//! PSH were written before. The right edge of the window moves when the program has read enough, so it shows how far that
//! was. At the host's own interface the instants are those of its calls.

use std::net::SocketAddr;

use super::packets::{Opening, Recorded, Recording, SideFacts, place};
use crate::conversation::{DataKind, Side};
use crate::segment::Flags;
use crate::time::Duration;

/// One action of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Waits until this time after the first packet.
    Until(Duration),
    /// Reads this number of bytes.
    Read(u32),
    /// Reads the end of the stream, after all bytes.
    ReadEof,
    Write(Vec<u8>),
    /// Acknowledges at once from now on.
    QuickAck,
    ShutdownWrite,
    Close,
    Abort,
}

/// The whole of it.
#[derive(Clone, Debug)]
pub(crate) struct Exact {
    /// The address to connect to or to listen on; `None` if no socket listens.
    pub(crate) opens: Option<(bool, SocketAddr)>,
    pub(crate) steps: Vec<Action>,
    pub(crate) nodelay: bool,
    /// Time without a segment before the first keep-alive probe, time between probes, and how many are sent in vain.
    pub(crate) keep_alive: Option<(Duration, Duration, Option<u32>)>,
}

/// What the program on `end` did. `rcv_buf` is the size of its receive buffer, at first; `quick_acks`, whether it may have
/// asked for ACKs without delay on the way.
pub(crate) fn derive(
    recording: &Recording,
    facts: &[SideFacts; 2],
    end: Side,
    opening: Opening,
    ends: (SocketAddr, SocketAddr),
    rcv_buf: usize,
    quick_acks: bool,
) -> Exact {
    let (own, peer) = (&facts[end], &facts[end.other()]);
    let connects = recording.packets.iter().any(|p| p.from == end && p.has(Flags::SYN) && !p.has(Flags::ACK));
    let opens = match (connects, opening) {
        (true, _) => Some((true, ends.1)),
        (false, Opening::Open) => Some((false, ends.0)),
        (false, Opening::Refused) => None,
    };
    let mut writer = Actions { steps: Vec::new(), clock: Duration::ZERO };
    let text_end = peer.stream.len() as u32 + 1;
    let shift = recording.conversation.window_shift(end);
    let (mut read, mut written, mut goes_on, mut lags, mut eof) = (1, 1, false, false, false);
    let mut contents = own.content.iter().peekable();
    let (mut closed, mut quick, mut on_read) = (false, false, Duration::ZERO);
    let mut window = Window::new(rcv_buf, shift);
    let mut seen = 0;
    for (index, packet) in recording.packets.iter().enumerate().filter(|(_, packet)| packet.from == end) {
        if packet.has(Flags::SYN) || !packet.is_acceptable() || closed {
            continue;
        }
        if quick_acks && !quick && acknowledges_at_once(recording, own, peer, index) {
            writer.until(on_read);
            writer.steps.push(Action::QuickAck);
            quick = true;
        }
        on_read = packet.at;
        for other in recording.packets[seen..index].iter().filter(|other| other.from != end) {
            window.on_text(other.payload.len() as u32);
        }
        seen = index;
        let acked = packet.has(Flags::ACK) && packet.ack >= peer.iss;
        let to = if acked { window.read_to(packet, place(packet.ack, peer.iss).min(text_end), read) } else { read };
        if to > read {
            // A program with unread bytes was not reading, so it begins again now. Else it reads as bytes arrive.
            if lags {
                writer.until(packet.at);
            }
            writer.steps.push(Action::Read(to - read));
            read = to;
        }
        // Bytes that arrived at this instant cannot have been read before TCP answered.
        let came = peer.came.iter().take_while(|(_, at)| *at < packet.at).last().map_or(1, |(place, _)| *place);
        lags = read < came;
        let fin_acked = acked && peer.fin.is_some_and(|fin| place(packet.ack, peer.iss) > fin);
        if packet.has(Flags::RST) {
            if goes_on {
                writer.more(&[0]); // and was never sent
            }
            writer.until(packet.at);
            writer.steps.push(Action::Abort);
            break;
        }
        let Some(content) = contents.next_if(|content| content.packet <= index) else { continue };
        let ends = own.fin.is_some_and(|fin| content.end > fin);
        let to = if ends { content.end - 1 } else { content.end };
        let bytes = (written - 1) as usize..(to.max(written) - 1) as usize;
        if !bytes.is_empty() {
            let more = &own.stream[bytes];
            if !goes_on || !writer.more(more) {
                writer.until(packet.at);
                writer.steps.push(Action::Write(more.to_vec()));
            }
            goes_on = !packet.has(Flags::PSH);
            written = to;
        }
        if ends {
            if fin_acked && !eof {
                writer.steps.push(Action::ReadEof);
                eof = true;
            }
            writer.until(closed_at(recording, own, end).unwrap_or(packet.at));
            closed = closes(recording, own, peer, index, read);
            writer.steps.push(if closed { Action::Close } else { Action::ShutdownWrite });
        }
    }
    if goes_on && own.fin.is_none() && own.rst.is_none() {
        writer.more(&[0]); // and was not sent until the end of the recording
    }
    Exact { opens, steps: writer.steps, nodelay: false, keep_alive: keep_alive(recording, end) }
}

/// Whether a FIN is a close: nothing that came later was read, and an RST behind it answers what came.
fn closes(recording: &Recording, own: &SideFacts, peer: &SideFacts, fin: usize, read: u32) -> bool {
    let text_end = peer.stream.len() as u32 + 1;
    let later = recording.packets[fin + 1..].iter();
    let answers = later.clone().any(|p| p.from != recording.packets[fin].from && !p.payload.is_empty());
    match own.rst {
        Some(rst) if rst > fin => answers,
        _ => read >= text_end,
    }
}

/// The times of keep-alive probes: the first comes after a silence, those behind one that was not answered after another.
fn keep_alive(recording: &Recording, end: Side) -> Option<(Duration, Duration, Option<u32>)> {
    let is_probe = |packet: &Recorded| packet.from == end && packet.kind == DataKind::KeepAlive;
    let pairs = || recording.packets.windows(2).filter(|pair| is_probe(&pair[1]));
    let gap = |pair: &[Recorded]| pair[1].at.saturating_sub(pair[0].at);
    let idle = pairs().find(|pair| !is_probe(&pair[0])).map(gap)?;
    let between = pairs().find(|pair| is_probe(&pair[0])).map(gap);
    let reset = recording.packets.iter().position(|packet| packet.from == end && packet.has(Flags::RST));
    let in_vain = reset.map(|reset| recording.packets[..reset].iter().rev().take_while(|p| is_probe(p)).count() as u32);
    Some((idle, between.unwrap_or(idle), in_vain.filter(|count| *count > 0)))
}

/// When a segment that is not full shows that the FIN was waiting behind it: Nagle's algorithm would have held it back.
fn closed_at(recording: &Recording, own: &SideFacts, end: Side) -> Option<Duration> {
    let mss = u32::from(recording.mss(end.other()));
    let last_written = own.content.iter().rposition(|content| recording.packets[content.packet].has(Flags::PSH));
    let written = &own.content[last_written.map_or(0, |at| at + 1)..];
    let early = written.iter().find(|content| {
        let packet = &recording.packets[content.packet];
        let options = if packet.options.ts.is_some() { 12 } else { 0 };
        let full = packet.payload.len() as u32 + options >= mss;
        let in_flight = recording.packets[..content.packet].iter().rev().find(|p| p.from != end && p.has(Flags::ACK));
        let idle = in_flight.is_none_or(|p| place(p.ack, own.iss) >= content.start);
        !full && !idle && !packet.has(Flags::FIN)
    });
    early.map(|content| recording.packets[content.packet].at)
}

/// A bare ACK of one segment in order at the instant at which it came: a host that delays would have waited.
fn acknowledges_at_once(recording: &Recording, own: &SideFacts, peer: &SideFacts, index: usize) -> bool {
    let packet = &recording.packets[index];
    let Some(before) = index.checked_sub(1).map(|before| &recording.packets[before]) else { return false };
    let mss = recording.mss(packet.from);
    let alone = recording.packets[..index].iter().rev().find(|p| p.from == packet.from);
    before.from != packet.from
        && before.at == packet.at
        && before.kind == DataKind::New
        && !before.payload.is_empty()
        && before.payload.len() + 12 < usize::from(mss)
        && !before.has(Flags::FIN)
        && packet.payload.is_empty()
        && packet.flags == Flags::ACK
        && own.rst.is_none_or(|rst| rst > index)
        && alone.is_some_and(|last| place(last.ack, peer.iss) == place(before.seq, peer.iss))
        && place(packet.ack, peer.iss) == place(before.seq, peer.iss) + before.payload.len() as u32
}

/// What the windows of a host say about how far its program has read.
struct Window {
    buffer: u32,
    shift: u8,
    /// The edge does not move by less than this (RFC 9293, section 3.8.6.2.2).
    step: u32,
    /// The place of the right edge.
    edge: u32,
}

impl Window {
    fn new(buffer: usize, shift: u8) -> Self {
        let buffer = u32::try_from(buffer).unwrap_or(u32::MAX);
        // As the receiver estimates the segments of its peer, at first.
        let step = 536.min(buffer / 2);
        Self { buffer, shift, step, edge: 1 + buffer.min(65_535) }
    }

    /// A segment of the peer has come.
    fn on_text(&mut self, len: u32) {
        self.step = self.step.max(len.min(self.buffer / 2));
    }

    /// How far the program had read when this packet left, which acknowledges all before the place `acked`.
    fn read_to(&mut self, packet: &Recorded, acked: u32, read: u32) -> u32 {
        let edge = acked + (u32::from(packet.window) << self.shift);
        let before = core::mem::replace(&mut self.edge, edge);
        // The window field is rounded down.
        let unit = 1 << self.shift;
        let possible = acked.saturating_add(self.buffer);
        if edge > possible {
            // The buffer has grown, which it does while everything is read.
            self.buffer = edge - acked;
            return acked;
        }
        if possible - edge < unit || possible < before.saturating_add(self.step) {
            return acked;
        }
        // Less was read than came. Where the edge moved, it shows how much.
        if edge > before.saturating_add(unit) { edge.saturating_sub(self.buffer).clamp(read, acked) } else { read }
    }
}

struct Actions {
    steps: Vec<Action>,
    clock: Duration,
}

impl Actions {
    /// Adds to the last write; false if there is none.
    fn more(&mut self, bytes: &[u8]) -> bool {
        let last = self.steps.iter_mut().rev();
        let last = last.into_iter().find_map(|step| if let Action::Write(bytes) = step { Some(bytes) } else { None });
        last.map(|write| write.extend_from_slice(bytes)).is_some()
    }

    fn until(&mut self, at: Duration) {
        if at > self.clock {
            self.steps.push(Action::Until(at));
            self.clock = at;
        }
    }
}
