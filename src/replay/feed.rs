//! When each packet of the fed side may be fed, and how its numbers are translated. `feeder` and `strict` use it.
//!
//! The order follows from the recording, at any vantage point. A packet that acknowledges bytes of ours was sent after
//! they had arrived. A packet that was recorded after bytes of ours arrived after we had sent them. Bytes of ours that
//! do not acknowledge an earlier packet in order were sent before it arrived. The first rule must hold. The others keep
//! the order where our stack is faster or slower than the recorded one.

use core::net::SocketAddr;

use super::live::Live;
use crate::conversation::{DataKind, Side};
use crate::recording::{Recorded, Recording, SideFacts, place};
use crate::segment::{Flags, Options, SackBlock, SegmentTemplate, Seq, Timestamps};
use crate::time::Duration;

/// A packet to be fed, and what must have been sent before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    /// Index in [`Recording::packets`].
    pub(super) packet: usize,
    /// What it acknowledges.
    pub(super) acked: u32,
    /// What our side should have sent before.
    pub(super) sent: u32,
}

/// The packets of the side that is fed, in order.
pub(super) fn gates(recording: &Recording, facts: &[SideFacts; 2], ours: Side) -> Vec<Gate> {
    let rtt = recording.handshake_gaps().map_or(Duration::ZERO, |(a, b)| a + b);
    let soon = (rtt + rtt / 2).clamp(Duration::from_millis(10), Duration::from_secs(3));
    let own = &facts[ours];
    let mut before = 0;
    let mut passed = 0;
    let mut gates = Vec::new();
    let syn_end = |packet: &Recorded| u32::from(packet.has(Flags::SYN));
    for (index, packet) in recording.packets.iter().enumerate() {
        if packet.from == ours {
            if packet.is_acceptable() && !packet.has(Flags::RST) {
                before = before.max(syn_end(packet));
            }
            while own.content.get(passed).is_some_and(|content| content.packet <= index) {
                before = before.max(own.content[passed].end);
                passed += 1;
            }
            continue;
        }
        let acked = packet.has(Flags::ACK) && packet.is_acceptable() && packet.ack >= own.iss;
        let acked = if acked { place(packet.ack, own.iss) } else { 0 };
        // The acknowledgment of an RST is not checked.
        let acked = if acked > own.end() { 0 } else { acked };
        // Our SYN carries no data: what the recorded one carried (RFC 7413) is sent behind the handshake.
        let most = if packet.has(Flags::SYN) { 1 } else { u32::MAX };
        let acked = acked.min(most);
        let in_order = matches!(packet.kind, DataKind::New);
        let its_end = place(packet.seq, facts[ours.other()].iss)
            + packet.payload.len() as u32
            + u32::from(packet.has(Flags::FIN));
        let reset = packet.has(Flags::RST) && packet.is_acceptable();
        let crossed = own.content[passed..].iter().take_while(|content| {
            recording.packets[content.packet].at <= packet.at + soon
                && (reset || (in_order && !packet.has(Flags::SYN) && content.ack < its_end))
        });
        let crossed = crossed.map(|content| content.end).max().unwrap_or(0);
        gates.push(Gate { packet: index, acked, sent: before.max(crossed).max(acked).min(most) });
    }
    gates
}

/// How the numbers of the recording are translated to those of the live connection.
pub(super) struct Mapping<'a> {
    pub(super) recording: &'a Recording,
    /// Our initial sequence number in the recording.
    pub(super) recorded_iss: Seq,
    /// Our timestamps in the recording: what had been sent when each was used first.
    pub(super) stamps: Vec<(u32, u32)>,
    /// Options that the recorded SYN of the peer loses, since the recorded host did not take them.
    pub(super) no_wscale: bool,
    /// Timestamps run as in the recording: only their origin is another one.
    pub(super) constant_stamps: bool,
}

/// A part of a packet to be fed: its bytes from `from` up to `to`, counted in its sequence space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PacketPart {
    pub(super) from: u32,
    pub(super) to: u32,
    /// Nothing of the packet comes after it.
    pub(super) last: bool,
}

impl<'a> Mapping<'a> {
    pub(super) fn new(recording: &'a Recording, facts: &[SideFacts; 2], ours: Side) -> Self {
        let mut stamps: Vec<(u32, u32)> = Vec::new();
        let mut sent = 0;
        for packet in recording.packets.iter().filter(|packet| packet.from == ours && packet.is_acceptable()) {
            let len = packet.payload.len() as u32;
            let flags = u32::from(packet.has(Flags::SYN)) + u32::from(packet.has(Flags::FIN));
            let end = place(packet.seq, facts[ours].iss) + len + flags;
            if end <= facts[ours].end() {
                sent = sent.max(end);
            }
            if let Some(ts) = packet.options.ts
                && stamps.last().is_none_or(|(_, ts_val)| *ts_val != ts.ts_val)
            {
                stamps.push((sent, ts.ts_val));
            }
        }
        let own = recording.conversation.sender(ours);
        Self {
            recording,
            recorded_iss: facts[ours].iss,
            stamps,
            no_wscale: own.iss.is_some() && own.offer.wscale.is_none(),
            constant_stamps: false,
        }
    }

    /// The live number of a recorded one of ours.
    pub(super) fn number(&self, recorded: Seq, live: &Live) -> Seq {
        live.iss.unwrap_or_default() + (recorded - self.recorded_iss)
    }

    /// A packet as it was recorded, with the live numbers.
    pub(super) fn whole(&self, packet: &Recorded, live: &Live, ends: (SocketAddr, SocketAddr)) -> SegmentTemplate<'a> {
        let part = PacketPart { from: 0, to: Self::len(packet), last: true };
        let recorded = SegmentTemplate { flags: packet.flags, ..self.part(packet, part, live, ends) };
        SegmentTemplate { options: Options { wscale: packet.options.wscale, ..recorded.options }, ..recorded }
    }

    /// A live timestamp of ours in the numbers of the recording, if the clocks run at the same rate.
    pub(super) fn recorded_stamp(&self, live_ts: u32, live: &Live) -> u32 {
        match (self.stamps.first(), live.first_stamp()) {
            (Some((_, recorded)), Some(first)) => live_ts.wrapping_sub(first).wrapping_add(*recorded),
            _ => live_ts,
        }
    }

    /// The bytes of a packet are sequence space behind its SYN; its FIN comes behind them.
    pub(super) fn len(packet: &Recorded) -> u32 {
        packet.payload.len() as u32 + u32::from(packet.has(Flags::SYN)) + u32::from(packet.has(Flags::FIN))
    }

    /// A part of a packet, as it is fed.
    pub(super) fn part(
        &self,
        packet: &Recorded,
        part: PacketPart,
        live: &Live,
        ends: (SocketAddr, SocketAddr),
    ) -> SegmentTemplate<'a> {
        let syn = u32::from(packet.has(Flags::SYN));
        let with_syn = part.from == 0 && syn == 1;
        let text = |at: u32| (at.max(syn) - syn).min(packet.payload.len() as u32) as usize;
        let payload = &self.recording.bytes[packet.payload.clone()][text(part.from)..text(part.to)];
        let mut flags = Flags(packet.flags.0 & (Flags::FIN | Flags::SYN | Flags::RST | Flags::PSH | Flags::ACK).0);
        if !with_syn {
            flags = flags.without(Flags::SYN);
            if syn == 1 {
                flags = flags | Flags::ACK; // bytes of a SYN, which go behind it here
            }
        }
        if !part.last {
            flags = flags.without(Flags::FIN | Flags::PSH);
        }
        let ack = match (packet.has(Flags::ACK), flags.contains(Flags::ACK)) {
            (true, true) if with_syn && packet.is_acceptable() && packet.ack > self.recorded_iss + 1 => {
                live.iss.unwrap_or_default() + 1 // the data of the recorded SYN was not sent yet
            }
            (true, _) => self.number(packet.ack, live),
            (false, true) => live.iss.unwrap_or_default() + 1,
            (false, false) => Seq(0),
        };
        SegmentTemplate {
            seq: packet.seq + part.from,
            ack,
            flags,
            window: packet.window,
            options: self.options(packet, with_syn, live),
            payload,
            ttl: packet.ttl.max(1),
            ecn: packet.ecn,
            ..SegmentTemplate::new(ends.1, ends.0)
        }
    }

    fn options(&self, packet: &Recorded, with_syn: bool, live: &Live) -> Options {
        let recorded = packet.options;
        let ts = recorded.ts.map(|ts| Timestamps {
            ts_val: ts.ts_val,
            ts_ecr: if ts.ts_ecr == 0 { 0 } else { self.echo(ts.ts_ecr, live) },
        });
        if with_syn {
            let wscale = recorded.wscale.filter(|_| !self.no_wscale);
            return Options { ts, wscale, sack: Default::default(), irregular: false, ..recorded };
        }
        let block = |block: SackBlock| {
            if block.left == block.right {
                return block;
            }
            SackBlock { left: self.number(block.left, live), right: self.number(block.right, live) }
        };
        Options { ts, sack: recorded.sack.map(block), ..Options::default() }
    }

    /// The newest live timestamp that is not newer than the one that is echoed in the recording.
    fn echo(&self, recorded: u32, live: &Live) -> u32 {
        if let (true, Some((_, first)), Some(live_first)) =
            (self.constant_stamps, self.stamps.first(), live.first_stamp())
        {
            return recorded.wrapping_sub(*first).wrapping_add(live_first);
        }
        let known = self.stamps.iter().find(|(_, ts_val)| *ts_val == recorded);
        live.stamp_at(known.map_or(u32::MAX, |(sent, _)| *sent))
    }
}
