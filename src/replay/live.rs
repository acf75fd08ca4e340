//! Records what our stack does during a replay: the live conversation, and an entry for each packet of ours. `feeder`,
//! `strict` and `semantic` read it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::conversation::{Conversation, DataKind, Seen, Side};
use crate::recording::{Assembly, place};
use crate::segment::{Flags, Options, Segment, Seq};
use crate::time::Instant;

/// One packet that our stack sent, in places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Emitted {
    pub(super) at: Instant,
    pub(super) start: u32,
    pub(super) end: u32,
    /// The place in the peer's stream that its ACK names; 0 without ACK.
    pub(super) ack: u32,
    pub(super) flags: Flags,
    pub(super) payload_len: u32,
    pub(super) options_len: u32,
    pub(super) kind: DataKind,
    /// Where everything that was fed without a hole ended then.
    pub(super) fed: u32,
    /// Everything that was sent before it ended there.
    pub(super) sent_before: u32,
    /// The right edge of the window that the peer had offered.
    pub(super) edge: u32,
    pub(super) duplicate_acks: u32,
    /// The window was closed: what goes beyond the edge is a probe.
    pub(super) zero_window: bool,
}

/// Our side, live.
#[derive(Debug)]
pub(super) struct Live {
    /// Our end and the peer's; ours is not known before we connected, the peer's port not before we chose it.
    pub(super) ours: Option<SocketAddr>,
    pub(super) theirs: Option<SocketAddr>,
    pub(super) conversation: Conversation,
    /// The initial sequence number of the peer: as recorded.
    pub(super) irs: Seq,
    pub(super) iss: Option<Seq>,
    pub(super) stream: Assembly,
    pub(super) fin: Option<u32>,
    pub(super) emitted: Vec<Emitted>,
    /// The options of our SYN.
    pub(super) offer: Option<Options>,
    /// Behind everything that we sent.
    pub(super) sent: u32,
    /// Behind everything that was fed without a hole.
    pub(super) fed: u32,
    /// The highest place of ours that was acknowledged to us.
    pub(super) acked: u32,
    /// The highest place of the peer that we acknowledged.
    pub(super) ack: u32,
    /// The right edge of the window that we offered.
    pub(super) own_edge: u32,
    /// The right edge of the window that we were offered.
    peer_edge: u32,
    pub(super) reset: bool,
    pub(super) peer_reset: bool,
    /// RSTs that answer what came when both sides had closed and acknowledged it.
    pub(super) late_resets: u32,
    /// RSTs that answer what came before the handshake was complete (RFC 9293, figure 9).
    pub(super) early_resets: u32,
    duplicate_acks: u32,
    /// `TSval` by the place that had been sent with it.
    stamps: Vec<(u32, u32)>,
    pub(super) last_at: Instant,
    /// Packets of other connections, and what is not TCP.
    pub(super) others: u32,
}

impl Live {
    pub(super) fn new(irs: Seq, ours: Option<SocketAddr>, theirs: Option<SocketAddr>, start: Instant) -> Self {
        Self {
            ours,
            theirs,
            conversation: Conversation::new(),
            irs,
            iss: None,
            stream: Assembly::default(),
            fin: None,
            emitted: Vec::new(),
            offer: None,
            sent: 0,
            fed: 0,
            acked: 0,
            ack: 0,
            own_edge: 0,
            peer_edge: 0,
            reset: false,
            peer_reset: false,
            late_resets: 0,
            early_resets: 0,
            duplicate_acks: 0,
            stamps: Vec::new(),
            last_at: start,
            others: 0,
        }
    }

    /// Takes a segment that our stack sent; false if it belongs to another connection.
    pub(super) fn take_sent(&mut self, now: Instant, segment: &Segment<'_>) -> bool {
        let (ours, theirs) = (*self.ours.get_or_insert(segment.src), *self.theirs.get_or_insert(segment.dst));
        if segment.src != ours || segment.dst != theirs {
            self.others += 1;
            return false;
        }
        self.last_at = now;
        let seen = self.conversation.observe(now, Side::Local, segment);
        if segment.is_syn() {
            self.iss = Some(segment.seq);
            self.offer = Some(segment.options);
        }
        let iss = self.iss.unwrap_or(segment.seq);
        let start = place(segment.seq, iss);
        let end = start + segment.len();
        let ack = if segment.is_ack() { place(segment.ack, self.irs) } else { 0 };
        let ours = self.conversation.sender(Side::Local);
        let zero_window = ours.snd_wnd == 0;
        let emitted = Emitted {
            at: now,
            start,
            end,
            ack,
            flags: segment.flags,
            payload_len: segment.payload.len() as u32,
            options_len: options_len(&segment.options),
            kind: seen.data,
            fed: self.fed,
            sent_before: self.sent,
            edge: self.peer_edge,
            duplicate_acks: self.duplicate_acks,
            zero_window,
        };
        self.emitted.push(emitted);
        if segment.is_rst() {
            if self.is_over() {
                self.late_resets += 1;
            } else if self.iss.is_some() && !self.conversation.handshake_seen() {
                self.early_resets += 1;
            } else {
                self.reset = true;
            }
            return true;
        }
        self.take_bytes(segment, &seen, start, end);
        if let Some(ts) = segment.options.ts {
            self.stamps.push((self.sent, ts.ts_val));
        }
        if segment.is_ack() {
            self.ack = self.ack.max(ack);
            let shift = if segment.is_syn() { 0 } else { self.conversation.window_shift(Side::Local) };
            self.own_edge = self.own_edge.max(ack + (u32::from(segment.window) << shift));
        } else {
            self.own_edge = self.own_edge.max(1 + u32::from(segment.window));
        }
        true
    }

    fn take_bytes(&mut self, segment: &Segment<'_>, seen: &Seen, start: u32, end: u32) {
        let text = start + u32::from(segment.is_syn());
        if text >= 1 && !segment.payload.is_empty() && seen.data != DataKind::KeepAlive {
            self.stream.put(text - 1, segment.payload);
        }
        if segment.is_fin() {
            self.fin.get_or_insert(end - 1);
        }
        if seen.data != DataKind::KeepAlive {
            self.sent = self.sent.max(end);
        }
    }

    /// Takes a segment that is fed. `text` is where its bytes begin and end, with SYN and FIN.
    pub(super) fn take_fed(&mut self, now: Instant, segment: &Segment<'_>) {
        self.last_at = now;
        let seen = self.conversation.observe(now, Side::Remote, segment);
        if segment.is_rst() {
            self.peer_reset |= seen.data != DataKind::Unacceptable;
            return;
        }
        self.fed = place(self.conversation.sender(Side::Remote).contiguous_end, self.irs);
        if let (true, Some(iss)) = (segment.is_ack(), self.iss) {
            let ack = place(segment.ack, iss);
            if ack <= self.sent {
                let again = ack == self.acked && segment.is_empty();
                self.duplicate_acks = if again { self.duplicate_acks + 1 } else { 0 };
                self.acked = self.acked.max(ack);
                let shift = if segment.is_syn() { 0 } else { self.conversation.window_shift(Side::Remote) };
                self.peer_edge = self.peer_edge.max(ack.saturating_add(u32::from(segment.window) << shift));
            }
        } else {
            // The window of a SYN counts from behind our SYN.
            self.peer_edge = self.peer_edge.max(1 + u32::from(segment.window));
        }
    }

    /// Both FINs were sent and acknowledged, or there was an RST: a segment that arrives now has no connection (RFC
    /// 9293, section 3.10.7.1).
    fn is_over(&self) -> bool {
        let [ours, theirs] = [Side::Local, Side::Remote].map(|side| self.conversation.sender(side));
        self.peer_reset || self.reset || (ours.is_fin_acked() && theirs.is_fin_acked())
    }

    /// The right edge of the window that we were offered.
    pub(super) fn peer_edge(&self) -> u32 {
        self.peer_edge
    }

    pub(super) fn first_stamp(&self) -> Option<u32> {
        self.stamps.first().map(|(_, ts_val)| *ts_val)
    }

    /// The newest `TSval` of ours that was sent when no more than `place` had been.
    pub(super) fn stamp_at(&self, place: u32) -> u32 {
        let known = self.stamps.iter().rev().find(|(sent, _)| *sent <= place).or(self.stamps.first());
        known.map_or(0, |(_, ts_val)| *ts_val)
    }
}

fn options_len(options: &Options) -> u32 {
    let sack = options.sack_blocks().count() as u32;
    (if options.ts.is_some() { 12 } else { 0 }) + if sack > 0 { 4 + 8 * sack } else { 0 }
}

/// The addresses of the two hosts in the replay: those of the recording, or documentation addresses if two hosts cannot
/// have them.
pub(super) fn addresses(recorded: [SocketAddr; 2]) -> [SocketAddr; 2] {
    let usable = |ip: IpAddr| {
        let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast() || (v4.to_bits() >> 24) == 0 || (v4.to_bits() >> 24) >= 240);
        let mapped = matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || broadcast || mapped)
    };
    let [a, b] = recorded.map(|addr| addr.ip());
    if usable(a) && usable(b) && a != b {
        return recorded;
    }
    let stand_ins: [IpAddr; 2] = if a.is_ipv4() {
        [Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(192, 0, 2, 2).into()]
    } else {
        [1, 2].map(|last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into())
    };
    [0, 1].map(|end| SocketAddr::new(stand_ins[end], recorded[end].port()))
}
