//! The program of one side, derived from what it sent: the list of calls of scenario files.
//!
//! An ACK shows what its sender's TCP had received, at any vantage point. So bytes sent with an ACK of place `a` were
//! written by a program that had read no further than `a`. The derived program reads up to `a`, waits as long as the
//! recording shows, and writes. A segment without PSH that is full, or fills the window, was cut from a longer write.
//! The bytes after it with the same ACK are the rest. A FIN becomes close, or shutdown if the peer continues. An RST
//! becomes a close with an RST.

use std::net::SocketAddr;

use crate::app::calls::Call;
use crate::conversation::Side;
use crate::recording::{NewData, Opening, Recorded, Recording, SideFacts, place};
use crate::segment::{Flags, default_mss};
use crate::socket::Shutdown;
use crate::time::Duration;

/// The calls of the program, and the bytes that must arrive before each write.
#[derive(Debug, Default)]
pub(super) struct RecordedProgram {
    pub(super) calls: Vec<Call>,
    /// Bytes `place..` of ours may not be sent before the peer's `read` were fed, by packet.
    pub(super) turns: Vec<Turn>,
    /// Bytes that it reads in all.
    pub(super) reads: u32,
}

/// The beginning of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) packet: u64,
    /// The place of its first byte, or of the FIN.
    pub(super) place: u32,
    /// The place in the peer's stream up to which it has read.
    pub(super) read: u32,
    /// The end of the write, known from PSH. Without PSH the next segment may be its rest.
    pub(super) fresh: bool,
}

/// How long a program waits after its last call if the recording does not end it. The replay does not wait for it.
pub(super) const FOR_EVER: Duration = Duration::from_hours(24 * 365 * 100);
/// The least difference between two instants.
const INSTANT: Duration = Duration::from_nanos(1);
/// A peer that ends later than this after our FIN is waited for: a closed socket would not.
const PATIENCE: Duration = Duration::from_secs(30);

struct Deriving<'a> {
    end: Side,
    recording: &'a Recording,
    ours: &'a SideFacts,
    theirs: &'a SideFacts,
    program: RecordedProgram,
    /// The time in the recording.
    clock: Duration,
    /// The place in the peer's stream up to which everything is read.
    read: u32,
}

/// The calls of `end`, which connects to `peer` or listens on `own`.
pub(super) fn derive(
    recording: &Recording,
    facts: &[SideFacts; 2],
    end: Side,
    opening: Opening,
    own: SocketAddr,
    peer: SocketAddr,
) -> RecordedProgram {
    let mut deriving = Deriving {
        end,
        recording,
        ours: &facts[end],
        theirs: &facts[end.other()],
        program: RecordedProgram::default(),
        clock: Duration::ZERO,
        read: 1,
    };
    // A SYN without ACK is from one that connects; in a simultaneous open both do.
    let connects = recording.packets.iter().any(|p| p.from == end && p.has(Flags::SYN) && !p.has(Flags::ACK));
    match (connects, opening) {
        (true, _) => deriving.program.calls.push(Call::Connect(peer)),
        (false, Opening::Open) => {
            deriving.program.calls.push(Call::Listen(SocketAddr::new(own.ip(), own.port()), 8));
            deriving.program.calls.push(Call::Accept);
        }
        // No socket listens.
        (false, Opening::Refused) => return deriving.program,
    }
    if opening == Opening::Refused {
        return deriving.program;
    }
    deriving.clock = deriving.opened(connects);
    deriving.talk();
    deriving.program
}

impl Deriving<'_> {
    /// When connect or accept returned.
    fn opened(&self, connects: bool) -> Duration {
        let flags = if connects { Flags::SYN } else { Flags::ACK };
        let answer = |p: &&Recorded| {
            self.is_theirs(p.from) && p.is_acceptable() && p.has(flags) && p.has(Flags::ACK) && !p.has(Flags::RST)
        };
        self.recording.packets.iter().find(answer).map_or(Duration::ZERO, |packet| packet.at)
    }

    fn talk(&mut self) {
        let fin = self.ours.fin;
        // What was on its way may be overtaken by the RST behind it.
        let rst = self.ours.rst.map(|rst| (rst, self.recording.place_of_rst(self.ours, rst)));
        let mut written = 1;
        let mut before: Option<NewData> = None;
        for content in &self.ours.content {
            if rst.is_some_and(|(rst, place)| content.packet > rst && content.end > place) {
                break;
            }
            let ends = fin.is_some_and(|fin| content.end > fin);
            let text_end = if ends { content.end - 1 } else { content.end };
            let bytes = (written - 1) as usize..(text_end.max(written) - 1) as usize;
            if !bytes.is_empty() {
                let more = &self.ours.stream[bytes];
                let rest = before.is_some_and(|before| self.is_rest(&before, content));
                match self.program.calls.last_mut() {
                    Some(Call::Send(bytes)) if rest => bytes.extend_from_slice(more),
                    _ => {
                        self.reach(content, written);
                        self.program.calls.push(Call::Send(more.to_vec()));
                    }
                }
                written = text_end;
            }
            if ends {
                self.reach(content, written);
                self.end(content);
                return;
            }
            before = Some(*content);
        }
        self.finish();
    }

    /// Reads what had come when this was sent, and waits as long as the recording did.
    fn reach(&mut self, content: &NewData, place: u32) {
        let packet = &self.recording.packets[content.packet];
        self.read_up_to(content.ack.max(1), content.packet);
        let before = self.ours.content.iter().take_while(|before| before.packet < content.packet).last();
        let fresh = before.is_none_or(|before| self.recording.packets[before.packet].has(Flags::PSH));
        self.program.turns.push(Turn { packet: packet.number, place, read: self.read, fresh });
        self.wait_until(packet.at);
    }

    fn wait_until(&mut self, at: Duration) {
        if at > self.clock {
            self.program.calls.push(Call::Sleep(at.saturating_sub(self.clock)));
            self.clock = at;
        }
    }

    /// Reads up to a place of the peer's stream, before the packet `before`; beyond its FIN is the end.
    fn read_up_to(&mut self, place: u32, before: usize) {
        let text_end = self.theirs.stream.len() as u32 + 1;
        let to = place.min(text_end);
        if to > self.read {
            self.program.calls.push(Call::Recv(u64::from(to - self.read)));
            self.program.reads += to - self.read;
            self.read = to;
            self.clock = self.clock.max(self.came_at(to));
        }
        if self.theirs.fin.is_some_and(|fin| place > fin) && self.read == text_end {
            self.program.calls.push(Call::RecvEof);
            self.read = text_end + 1;
            let passed = self.recording.packets[..before].iter().rev();
            let fin = passed.into_iter().find(|p| p.is_acceptable() && p.has(Flags::FIN) && self.is_theirs(p.from));
            self.clock = self.clock.max(fin.map_or(Duration::ZERO, |fin| fin.at));
        }
    }

    /// When the bytes before a place of the peer's stream had passed.
    fn came_at(&self, place: u32) -> Duration {
        self.theirs.came.iter().find(|(end, _)| *end >= place).map_or(Duration::ZERO, |(_, at)| *at)
    }

    fn is_theirs(&self, from: Side) -> bool {
        from != self.end
    }

    /// Whether `content` is the rest of the write that the segment before it began.
    fn is_rest(&self, before: &NewData, content: &NewData) -> bool {
        let packet = &self.recording.packets[before.packet];
        if packet.has(Flags::PSH) || before.ack != content.ack {
            return false;
        }
        let theirs = self.recording.conversation.sender(packet.from.other());
        let options = if packet.options.ts.is_some() { 12 } else { 0 };
        let mss =
            u32::from(theirs.offer.mss.unwrap_or(default_mss(self.recording.ends[0].ip()))).saturating_sub(options);
        let len = packet.payload.len() as u32;
        len >= mss || before.end >= self.window_edge(before)
    }

    /// The right edge of the peer's window when this was sent.
    fn window_edge(&self, content: &NewData) -> u32 {
        let packet = &self.recording.packets[content.packet];
        let earlier = self.recording.packets[..content.packet].iter().rev();
        let last = earlier.into_iter().find(|p| p.from != packet.from && p.has(Flags::ACK) && p.is_acceptable());
        last.map_or(u32::MAX, |p| {
            let shift = self.recording.conversation.window_shift(p.from);
            let shift = if p.has(Flags::SYN) { 0 } else { shift };
            place(p.ack, self.ours.iss).saturating_add(u32::from(p.window) << shift)
        })
    }

    /// Our FIN.
    fn end(&mut self, fin: &NewData) {
        let peer_goes_on = self.theirs.end() > self.read.max(fin.ack);
        let rst = self.ours.rst.filter(|rst| *rst > fin.packet);
        let text_end = self.theirs.stream.len() as u32 + 1;
        let more_text = text_end > self.read;
        let last = self.theirs.content.last().map_or(Duration::ZERO, |c| self.recording.packets[c.packet].at);
        let late = last > self.recording.packets[fin.packet].at + PATIENCE;
        match rst {
            // Text for a socket that is closed is answered with an RST.
            Some(_) if more_text => self.program.calls.push(Call::Close),
            Some(rst) => {
                self.program.calls.push(Call::Shutdown(Shutdown::Write));
                self.abort(rst);
                return;
            }
            None if more_text || (peer_goes_on && late) => {
                self.program.calls.push(Call::Shutdown(Shutdown::Write));
                self.read_up_to(self.theirs.end(), self.recording.packets.len());
                if self.theirs.fin.is_some() {
                    self.program.calls.push(Call::Close);
                }
            }
            None => self.program.calls.push(Call::Close),
        }
        self.wait_for_ever();
    }

    /// No FIN of ours.
    fn finish(&mut self) {
        if let Some(rst) = self.ours.rst {
            return self.abort(rst);
        }
        self.read_up_to(self.theirs.end(), self.recording.packets.len());
        self.wait_for_ever();
    }

    /// Our RST, after everything that passed before it.
    fn abort(&mut self, rst: usize) {
        let packet = &self.recording.packets[rst];
        let before = self.theirs.content.iter().take_while(|content| content.packet < rst);
        let came = before.map(|content| content.end).max().unwrap_or(1);
        let acked = if packet.has(Flags::ACK) && packet.ack >= self.theirs.iss {
            place(packet.ack, self.theirs.iss).min(came)
        } else {
            came
        };
        // An RST that answers a segment carries its numbers: what had come by then was there to be read.
        self.read_up_to(acked.max(self.ours.ack.min(came)), rst);
        // An RST throws away what is not sent yet: a packet of the same instant that lets more go comes first.
        self.wait_until(packet.at + INSTANT);
        self.program.turns.push(Turn { packet: packet.number, place: u32::MAX, read: self.read, fresh: true });
        self.program.calls.push(Call::Abort);
        self.wait_for_ever();
    }

    fn wait_for_ever(&mut self) {
        self.program.calls.push(Call::Sleep(FOR_EVER));
    }
}
