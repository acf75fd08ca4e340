//! One recorded conversation: its packets, and what can be inferred about each side.
//!
//! [`Conversation`] follows the sequence numbers. Here they are counted from the initial one of their side, as Wireshark
//! counts them. Such a relative number is called a *place*: the SYN is at 0, byte `k` of the stream at `k + 1`, and the FIN
//! behind the last byte.

use core::ops::Range;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::conversation::{Conversation, DataKind, Side};
use crate::segment::{Flags, Options, Segment, Seq, default_mss};
use crate::time::{Duration, Instant};

/// How many packets may lie between a packet and itself, where it is in the file twice.
#[cfg(feature = "drill")]
const NEAR: usize = 8;
/// How much later it is there again, at most.
#[cfg(feature = "drill")]
const SOON: Duration = Duration::from_millis(1);

/// The side of a recording that opened the connection.
pub(crate) const CLIENT: Side = Side::Local;
/// The side that accepted the connection.
pub(crate) const SERVER: Side = Side::Remote;

/// The place of a number in a stream that begins at `start`; 0 for one from before it. No stream here is so long that
/// its places do not fit, with a window added, into 32 bits.
pub(crate) fn place(number: Seq, start: Seq) -> u32 {
    number.distance(start).max(0) as u32
}

/// Why a conversation is not replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    /// The packet at which it shows.
    pub(crate) packet: Option<u64>,
    pub(crate) reason: String,
}

impl Skip {
    pub(crate) fn new(packet: impl Into<Option<u64>>, reason: impl Into<String>) -> Self {
        Self { packet: packet.into(), reason: reason.into() }
    }
}

/// One segment as recorded.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// In the file, from 1.
    pub(crate) number: u64,
    /// Since the first packet of the conversation. Never goes back.
    pub(crate) at: Duration,
    pub(crate) from: Side,
    pub(crate) seq: Seq,
    pub(crate) ack: Seq,
    pub(crate) flags: Flags,
    pub(crate) window: u16,
    pub(crate) options: Options,
    pub(crate) ttl: u8,
    pub(crate) ecn: u8,
    /// The range of its TCP header in [`Recording::bytes`], options included. Empty for ICMP.
    #[cfg_attr(not(feature = "drill"), expect(dead_code, reason = "only `drill` writes headers"))]
    pub(crate) header: Range<usize>,
    /// The identification in its IPv4 header; 0 where there is none.
    pub(crate) ident: u16,
    /// The range of its bytes in [`Recording::bytes`].
    pub(crate) payload: Range<usize>,
    pub(crate) kind: DataKind,
    /// A checksum of it does not fit.
    pub(crate) bad_checksum: bool,
    /// An ICMP error about a packet of the other end; its bytes are the whole packet.
    pub(crate) icmp: bool,
}

impl Recorded {
    pub(crate) const fn has(&self, flags: Flags) -> bool {
        self.flags.contains(flags)
    }

    pub(crate) fn is_acceptable(&self) -> bool {
        self.kind != DataKind::Unacceptable
    }
}

/// A conversation of a file.
#[derive(Debug)]
pub(crate) struct Recording {
    /// Which in the file, from 0, in the order in which they begin.
    pub(crate) stream: usize,
    pub(crate) ends: [SocketAddr; 2],
    /// When its first packet passed.
    pub(crate) started: Instant,
    pub(crate) packets: Vec<Recorded>,
    /// Packets before them, of attempts to connect that were refused. Their times count from the first of these.
    pub(crate) left_out: Vec<Recorded>,
    /// The time from the first of the packets that were left out to the first of `packets`.
    pub(crate) left_out_time: Duration,
    pub(crate) bytes: Vec<u8>,
    pub(crate) conversation: Conversation,
    /// Packets of each end that the file marks as sent by the host of the capture.
    pub(crate) outbound: [u32; 2],
    /// The file ends in the middle of a record, so that more may have followed.
    pub(crate) torn: bool,
    /// Why it cannot be replayed, found while reading.
    pub(crate) trouble: Option<Skip>,
    /// Options that were left out, by their kinds.
    pub(crate) strange_options: Vec<u8>,
}

/// How the conversation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// SYN, SYN|ACK, ACK; or two SYNs that crossed.
    Open,
    /// SYN, RST.
    Refused,
}

/// New bytes (or the FIN) of one side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewData {
    /// Index in [`Recording::packets`].
    pub(crate) packet: usize,
    /// From this place up to but not including `end`.
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// What its sender had received: the place that its ACK names.
    #[cfg_attr(not(feature = "replay"), expect(dead_code, reason = "only programs of `replay` are derived from it"))]
    pub(crate) ack: u32,
}

/// What one side did.
#[derive(Debug, Default)]
pub(crate) struct SideFacts {
    pub(crate) iss: Seq,
    /// Its bytes without holes.
    pub(crate) stream: Vec<u8>,
    /// The place of its FIN.
    pub(crate) fin: Option<u32>,
    /// The FIN was sent more than once: it, or what came before it, was lost.
    pub(crate) fin_again: bool,
    /// The FIN acknowledged the FIN of the peer.
    pub(crate) fin_acks_fin: bool,
    /// The highest place that its peer acknowledged.
    pub(crate) acked: u32,
    /// When the bytes before a place were all there, in order.
    pub(crate) came: Vec<(u32, Duration)>,
    /// As `came`, with the index of the packet that brought them.
    pub(crate) arrived: Vec<(u32, usize)>,
    /// In the order in which it was sent.
    pub(crate) content: Vec<NewData>,
    /// Index of its first RST.
    pub(crate) rst: Option<usize>,
    /// Packets that carried nothing new, or a part of what was sent before.
    pub(crate) retransmissions: u32,
    /// The highest ACK that it sent.
    pub(crate) ack: u32,
    /// The largest window that it offered, in bytes.
    pub(crate) window: u32,
    /// The most of the peer's bytes that were on the way at once.
    pub(crate) peer_flight: u32,
}

impl SideFacts {
    /// The place behind everything that it sent.
    pub(crate) fn end(&self) -> u32 {
        self.stream.len() as u32 + 1 + u32::from(self.fin.is_some())
    }
}

impl Recording {
    pub(crate) fn segment(&self, packet: &Recorded) -> Segment<'_> {
        let Recorded { seq, ack, flags, window, options, ttl, ecn, .. } = *packet;
        Segment {
            src: self.ends[packet.from],
            dst: self.ends[packet.from.other()],
            seq,
            ack,
            flags,
            window,
            options,
            payload: &self.bytes[packet.payload.clone()],
            ttl,
            ecn,
        }
    }

    /// The MSS that an end offered, or the default (RFC 9293, section 3.7.1).
    pub(crate) fn mss(&self, end: Side) -> u16 {
        let offer = self.conversation.sender(end).offer;
        offer.mss.unwrap_or(default_mss(self.ends[end].ip()))
    }

    pub(crate) fn duration(&self) -> Duration {
        self.packets.last().map_or(Duration::ZERO, |packet| packet.at)
    }

    /// Puts the packets into the order in which they were sent, as far as that can be known, leaves out attempts to
    /// connect that were refused before one succeeded, and finds out what each packet is.
    pub(crate) fn settle(&mut self) {
        self.move_late_syn();
        self.leave_out_refused();
        let mut conversation = Conversation::new();
        let mut sent = [None; 2];
        for index in 0..self.packets.len() {
            let packet = &self.packets[index];
            let from = packet.from;
            if packet.icmp || packet.kind == DataKind::Unacceptable {
                continue; // no TCP took it
            }
            let segment = self.segment(packet);
            let seen = conversation.observe(self.started + packet.at, from, &segment);
            let (end, reset) = (segment.seq + segment.len(), segment.is_rst());
            // A FIN below what its side has sent is an old one. One that is sent again ends where the first one did.
            let stale_fin = segment.is_fin() && sent[from].is_some_and(|sent: Seq| end < sent);
            if seen.restarted {
                // A SYN|ACK with another number: what came before it from this side was never taken.
                let before = self.packets[..index].iter_mut().filter(|packet| packet.from == from);
                before.for_each(|packet| packet.kind = DataKind::Unacceptable);
                sent[from] = None;
            }
            self.packets[index].kind = if stale_fin { DataKind::Unacceptable } else { seen.data };
            if !stale_fin && !reset && seen.data != DataKind::Unacceptable {
                sent[from] = Some(sent[from].map_or(end, |sent| if end > sent { end } else { sent }));
            }
        }
        self.conversation = conversation;
    }

    /// Removes packets that are in the file twice, as where both ways into a mirror port are captured. It shows in a packet
    /// of `ours`: no host sends the same identification twice in a row. Gives how many were removed.
    #[cfg(feature = "drill")]
    pub(crate) fn remove_doubles(&mut self, ours: Side) -> usize {
        let bytes = &self.bytes;
        let same = |a: &Recorded, b: &Recorded| {
            let all = |p: &Recorded| (p.from, p.ident, p.seq, p.ack, p.flags, p.window, p.icmp);
            all(a) == all(b)
                && bytes[a.header.clone()].get(20..) == bytes[b.header.clone()].get(20..)
                && bytes[a.payload.clone()] == bytes[b.payload.clone()]
        };
        let is_double = |index: usize| {
            let packet = &self.packets[index];
            let soon = |before: &Recorded| packet.at.saturating_sub(before.at) < SOON;
            self.packets[..index].iter().rev().take(NEAR).any(|before| soon(before) && same(before, packet))
        };
        let doubles: Vec<_> = (0..self.packets.len()).map(is_double).collect();
        if !self
            .packets
            .iter()
            .zip(&doubles)
            .any(|(packet, double)| *double && packet.from == ours && packet.ident != 0)
        {
            return 0;
        }
        let mut index = 0;
        self.packets.retain(|_| {
            index += 1;
            !doubles[index - 1]
        });
        self.settle();
        doubles.iter().filter(|double| **double).count()
    }

    /// A SYN that was recorded behind the SYN|ACK that answers it goes before it.
    fn move_late_syn(&mut self) {
        let Some(first) = self.packets.first().filter(|first| first.has(Flags::SYN | Flags::ACK)) else { return };
        let (from, ack) = (first.from, first.ack);
        let is_its_syn = |p: &Recorded| p.from != from && p.has(Flags::SYN) && !p.has(Flags::ACK) && p.seq + 1 == ack;
        if let Some(at) = self.packets.iter().position(is_its_syn) {
            let syn = self.packets.remove(at);
            self.packets.insert(0, Recorded { at: Duration::ZERO, ..syn });
        }
    }

    /// Attempts to connect that were refused do not count if a later one succeeded.
    fn leave_out_refused(&mut self) {
        let answered = |p: &Recorded| p.from == SERVER && p.has(Flags::SYN | Flags::ACK) && !p.has(Flags::RST);
        let Some(answer) = self.packets.iter().position(answered) else { return };
        let refuses = |p: &Recorded| p.from == SERVER && p.has(Flags::RST | Flags::ACK) && !p.icmp;
        let Some(refused) = self.packets[..answer].iter().rposition(refuses) else { return };
        let tries_again = |p: &Recorded| p.from == CLIENT && p.has(Flags::SYN);
        if self.packets[refused..answer].iter().any(tries_again) {
            self.left_out = self.packets.drain(..=refused).collect();
            let first = self.packets[0].at;
            self.left_out_time = first;
            self.started += first;
            self.packets.iter_mut().for_each(|packet| packet.at -= first);
        }
    }

    /// How it begins, or why that is no beginning.
    pub(crate) fn opening(&self) -> Result<Opening, Skip> {
        let first = &self.packets[0];
        if !first.has(Flags::SYN) {
            return Err(Skip::new(first.number, "no handshake: the capture begins in the midst of the connection"));
        }
        let other = |packet: &&Recorded| packet.from == SERVER;
        if self.conversation.handshake_seen() {
            if first.has(Flags::ACK) {
                return Err(Skip::new(first.number, "no handshake: the SYN is not in the capture"));
            }
            // Both SYNs, and each of them acknowledged.
            let [a, b] = [Side::Local, Side::Remote].map(|side| self.conversation.sender(side));
            let acked = |own: &crate::conversation::Sender| own.iss.is_some_and(|iss| own.snd_una != iss);
            if acked(a) && acked(b) {
                return Ok(Opening::Open);
            }
            let last = self.packets.last().map(|packet| packet.number);
            return Err(Skip::new(last, "no handshake: it is not completed in the capture"));
        }
        match self.packets.iter().find(other) {
            Some(answer) if answer.has(Flags::RST) && answer.is_acceptable() => Ok(Opening::Refused),
            Some(answer) => Err(Skip::new(answer.number, "no handshake: the SYN is not answered by SYN|ACK or RST")),
            None => Err(Skip::new(first.number, "no handshake: the SYN is not answered")),
        }
    }

    /// The index of the packet with which both SYNs have passed; 0 if that is none.
    fn opened(&self) -> usize {
        let syn = |end: Side| self.packets.iter().position(|p| p.from == end && p.has(Flags::SYN) && p.is_acceptable());
        syn(CLIENT).zip(syn(SERVER)).map_or(0, |(a, b)| a.max(b))
    }

    /// What both sides did.
    ///
    /// # Errors
    /// Bytes that were acknowledged are not in the capture.
    pub(crate) fn facts(&self) -> Result<[SideFacts; 2], Skip> {
        let mut facts = [SideFacts::default(), SideFacts::default()];
        let mut streams = [Assembly::default(), Assembly::default()];
        let mut sent = [0_u32; 2];
        for (end, facts) in Side::BOTH.into_iter().zip(&mut facts) {
            facts.iss = self.conversation.sender(end).iss.unwrap_or_default();
        }
        let iss = [facts[CLIENT].iss, facts[SERVER].iss];
        let opened = self.opened();
        for (index, packet) in self.packets.iter().enumerate() {
            if !packet.is_acceptable() {
                continue;
            }
            let (own, peer) = (packet.from, packet.from.other());
            // An ACK of something before the SYN is none.
            let ack = if packet.has(Flags::ACK) { place(packet.ack, iss[peer]) } else { 0 };
            if packet.has(Flags::RST) {
                // Before both SYNs an RST answers something older (RFC 9293, figure 9).
                if index >= opened {
                    facts[own].rst.get_or_insert(index);
                }
                continue;
            }
            facts[own].ack = facts[own].ack.max(ack);
            facts[peer].acked = facts[peer].acked.max(ack);
            let shift = if packet.has(Flags::SYN) { 0 } else { self.conversation.window_shift(own) };
            facts[own].window = facts[own].window.max(u32::from(packet.window) << shift);
            let start = place(packet.seq, iss[own]) + u32::from(packet.has(Flags::SYN));
            let end = start + packet.payload.len() as u32;
            if !packet.payload.is_empty() && packet.kind != DataKind::KeepAlive && start >= 1 {
                let had = streams[own].bytes.len();
                streams[own].put(start - 1, &self.bytes[packet.payload.clone()]);
                if streams[own].bytes.len() > had {
                    let end = streams[own].bytes.len() as u32 + 1;
                    facts[own].came.push((end, packet.at));
                    facts[own].arrived.push((end, index));
                }
            }
            let fin = packet.has(Flags::FIN);
            facts[own].fin_again |= fin && facts[own].fin.is_some();
            if fin && facts[own].fin.is_none() {
                facts[own].fin = Some(end);
                facts[own].fin_acks_fin = facts[peer].fin.is_some_and(|fin| ack > fin);
            }
            let reach = end + u32::from(fin);
            if matches!(packet.kind, DataKind::Retransmission { .. } | DataKind::Duplicate) {
                facts[own].retransmissions += 1;
            }
            let carries = fin || !packet.payload.is_empty();
            if carries && reach > sent[own].max(1) && packet.kind != DataKind::KeepAlive {
                facts[own].content.push(NewData { packet: index, start: sent[own].max(1), end: reach, ack });
                sent[own] = reach;
                let flight = reach.saturating_sub(facts[own].acked);
                facts[peer].peer_flight = facts[peer].peer_flight.max(flight);
            }
        }
        for (end, stream) in Side::BOTH.into_iter().zip(streams) {
            let (have, acked) = (stream.bytes.len() as u32, facts[end].acked);
            facts[end].stream = stream.bytes;
            if facts[end].fin.is_some_and(|fin| fin != have + 1) && acked <= have + 1 {
                facts[end].fin = None; // behind a hole that was never filled
            }
            let last = facts[end].content.iter().rev().map(|content| content.end).next().unwrap_or(1);
            let known = if last > have + 2 { have + 1 } else { facts[end].end() };
            if acked > known {
                let packet = facts[end].content.iter().find(|content| content.start > known).map(|c| c.packet);
                let number = packet.map(|packet| self.packets[packet].number);
                let who = self.ends[end];
                let reason =
                    format!("a hole: bytes {have} to {} of {who} are not in the capture, but acknowledged", acked - 1);
                return Err(Skip::new(number, reason));
            }
            facts[end].content.retain_mut(|content| {
                content.end = content.end.min(known.max(1));
                content.start < content.end
            });
        }
        Ok(facts)
    }

    /// The place up to which a side had sent when it sent this RST: by its number, if it can be that, or by what passed
    /// before it.
    #[cfg(feature = "replay")]
    pub(crate) fn place_of_rst(&self, facts: &SideFacts, rst: usize) -> u32 {
        let before = facts.content.iter().take_while(|content| content.packet < rst);
        let passed = before.map(|content| content.end).max().unwrap_or(1);
        let number = place(self.packets[rst].seq, facts.iss);
        if number <= facts.end() { passed.max(number) } else { passed }
    }

    /// The gaps between SYN and SYN|ACK, and between SYN|ACK and the ACK of it.
    pub(crate) fn handshake_gaps(&self) -> Option<(Duration, Duration)> {
        let answer =
            self.packets.iter().position(|packet| packet.from == SERVER && packet.has(Flags::SYN | Flags::ACK))?;
        let syn = self.packets[..answer].iter().rev().find(|packet| packet.from == CLIENT && packet.has(Flags::SYN))?;
        let behind = &self.packets[answer..];
        let ack = behind.iter().position(|packet| packet.from == CLIENT && packet.has(Flags::ACK))?;
        // A SYN|ACK that was sent again counts from its last time.
        let said = behind[..ack].iter().rev().find(|packet| packet.from == SERVER)?;
        let answer = &self.packets[answer];
        Some((answer.at.saturating_sub(syn.at), behind[ack].at.saturating_sub(said.at)))
    }
}

/// Bytes of one direction, put together. What was there first stays.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    pub(crate) bytes: Vec<u8>,
    beyond: BTreeMap<u32, Vec<u8>>,
}

impl Assembly {
    /// `bytes` stand at `offset` of the stream.
    pub(crate) fn put(&mut self, offset: u32, bytes: &[u8]) {
        let have = self.bytes.len() as u32;
        if offset > have {
            let kept = self.beyond.entry(offset).or_default();
            if kept.len() < bytes.len() {
                *kept = bytes.to_vec();
            }
            return;
        }
        let known = (have - offset) as usize;
        self.bytes.extend_from_slice(bytes.get(known..).unwrap_or_default());
        while let Some(entry) = self.beyond.first_entry() {
            let have = self.bytes.len() as u32;
            if *entry.key() > have {
                break;
            }
            let (offset, bytes) = entry.remove_entry();
            self.bytes.extend_from_slice(bytes.get((have - offset) as usize..).unwrap_or_default());
        }
    }
}
