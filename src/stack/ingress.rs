//! The way of a packet into the host: checks, demultiplexer, guard, smoltcp.
//!
//! Order of the look-ups: the exact 4-tuple (connection, half-open record or TIME-WAIT record), then the listeners (the
//! address itself, then the wildcards). What matches nothing is given to smoltcp with no sockets, which answers with RST
//! or ICMP by itself.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::conversation::Side;
use crate::event::{Cause, DropReason, HostEvent, Rule, State};
use crate::segment::{Flags, IpView, Options, Packet, Protocol, Segment, SegmentTemplate, Timestamps};
use crate::time::Duration;

use super::address::{Addr, FourTuple, is_good_source};
use super::connection::ConnectionId;
use super::guard::{self, Disposition, Situation};
use super::icmp::Report;
use super::listener::ListenerId;
use super::note::{note_egress, note_ingress};
use super::one_packet::OnePacket;
use super::rewrite::lower_mss;
use super::watch::Snapshot;
use super::{Origin, Slot, Stack};

/// RFC 5961, section 10, leaves the rate of challenge ACKs to the host; Linux's `tcp_invalid_ratelimit`.
pub(super) const CHALLENGE_INTERVAL: Duration = Duration::from_millis(500);

impl Stack {
    pub(super) fn ingress(&mut self, packet: &Packet, origin: Origin) {
        if let Err(why) = self.demultiplex(packet, origin) {
            self.events.push(HostEvent::Dropped { why });
        }
    }

    fn demultiplex(&mut self, packet: &Packet, origin: Origin) -> Result<(), DropReason> {
        let bytes = packet.bytes.as_slice();
        let ip = IpView::parse(bytes).map_err(|_| DropReason::Malformed)?;
        if ip.fragment {
            return Err(DropReason::Fragment);
        }
        if !packet.meta.sound && !ip.checksums_ok() {
            return Err(DropReason::Checksum);
        }
        // RFC 1122, section 3.2.1.3 (g): loopback addresses must not appear outside a host.
        if origin == Origin::Link && (ip.src.is_loopback() || ip.dst.is_loopback()) {
            return Err(if ip.src.is_loopback() { DropReason::BadSource } else { DropReason::NotLocal });
        }
        if ip.dst.is_ipv6() && ip.header.len() > IPV6_HEADER {
            return self.without_extensions(&ip, origin);
        }
        if ip.protocol == Protocol::Tcp {
            let segment = Segment::parse(&ip).map_err(|_| DropReason::Malformed)?;
            if !is_sane(&segment) {
                return Err(DropReason::Malformed);
            }
            let tuple = FourTuple::new(segment.dst, segment.src);
            return match self.tables.exact.get(&tuple).copied() {
                Some(Slot::Connection(id)) => self.connection_ingress(id, bytes, &segment),
                Some(Slot::HalfOpen(id)) => self.half_open_ingress(id, bytes, &segment),
                Some(Slot::TimeWait(id)) => self.time_wait_ingress(id, &segment),
                None => self.unmatched_tcp(&tuple, &segment),
            };
        }
        self.check_addresses(ip.src, ip.dst)?;
        match ip.protocol {
            Protocol::Udp => {
                let delivered = self.udp.handle_packet(&ip, &mut self.ready);
                if delivered == Err(DropReason::NoSocket) {
                    self.give_to_nobody(bytes);
                }
                delivered
            }
            Protocol::Icmp | Protocol::Icmpv6 => {
                match Report::parse(&ip) {
                    Some(report) => self.on_icmp(&report),
                    None => self.give_to_nobody(bytes),
                }
                Ok(())
            }
            Protocol::Tcp | Protocol::Other(_) => {
                self.give_to_nobody(bytes);
                Err(DropReason::NoSocket)
            }
        }
    }

    /// Extension headers say nothing to this host (RFC 8200, section 4), and smoltcp refuses packets with most of them: it
    /// is shown the packet without.
    fn without_extensions(&mut self, ip: &IpView<'_>, origin: Origin) -> Result<(), DropReason> {
        let mut plain = self.queues.take_spare();
        plain.bytes.clear();
        plain.bytes.extend_from_slice(&ip.header[..IPV6_HEADER]);
        plain.bytes.extend_from_slice(ip.payload);
        plain.bytes[4..6].copy_from_slice(&(ip.payload.len() as u16).to_be_bytes());
        plain.bytes[6] = ip.protocol.number();
        // The checksum, which says nothing about extension headers, is that of the whole packet: it was verified.
        plain.meta.sound = true;
        let result = self.demultiplex(&plain, origin);
        self.queues.give_back(plain);
        result
    }

    /// RFC 1122, section 3.2.1.3: the destination is ours, the source is somebody.
    fn check_addresses(&self, src: IpAddr, dst: IpAddr) -> Result<(), DropReason> {
        if !self.addresses.is_own(dst) {
            Err(DropReason::NotLocal)
        } else if is_good_source(src) {
            Ok(())
        } else {
            Err(DropReason::BadSource)
        }
    }

    /// A segment for no connection: a listener, or nobody.
    pub(super) fn unmatched_tcp(&mut self, tuple: &FourTuple, segment: &Segment<'_>) -> Result<(), DropReason> {
        self.check_addresses(segment.src.ip(), segment.dst.ip())?;
        if let Some(listener) = self.listener_for(tuple) {
            return self.listener_ingress(listener, tuple, segment, None);
        }
        if !segment.is_rst() {
            self.queue_segment(&reset_for(segment));
        }
        Err(DropReason::NoSocket)
    }

    /// The listener for a packet to `tuple.local`: its address, then the wildcard of its version, then a dual-stack one.
    pub(super) fn listener_for(&self, tuple: &FourTuple) -> Option<ListenerId> {
        let find = |addr: Addr| self.tables.listening.get(&(addr, tuple.local_port)).copied();
        let any_v6 = Addr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        find(tuple.local).or_else(|| {
            if tuple.local.ip().is_ipv6() {
                return find(any_v6);
            }
            find(Addr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
                .or_else(|| find(any_v6).filter(|id| !self.tables.listeners[*id].v6_only))
        })
    }

    /// Lets smoltcp answer a packet that has no socket: RST, port or protocol unreachable, echo reply.
    pub(super) fn give_to_nobody(&mut self, bytes: &[u8]) {
        let mut reply = self.queues.take_spare();
        let mut device = OnePacket::receiving(self.config.mtu, bytes, &mut reply.bytes);
        self.interface.poll_ingress_single(self.now.to_smoltcp(), &mut device, &mut self.nobody);
        self.queue_reply(reply);
    }

    /// Queues a packet written by smoltcp, checksums missing, or gives its buffer back if it is empty.
    pub(super) fn queue_reply(&mut self, mut reply: Packet) {
        if reply.bytes.is_empty() {
            self.queues.give_back(reply);
        } else {
            crate::segment::fill_checksums(&mut reply.bytes);
            self.queues.out.push_back(reply);
        }
    }

    /// Queues a segment of our own making.
    pub(super) fn queue_segment(&mut self, segment: &SegmentTemplate<'_>) {
        let mut packet = self.queues.take_spare();
        segment.write(&mut packet.bytes);
        self.queues.out.push_back(packet);
    }

    /// One segment for a connection: the guard, then smoltcp, then what follows from the new state.
    pub(super) fn connection_ingress(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        segment: &Segment<'_>,
    ) -> Result<(), DropReason> {
        let connection = &*self.tables.connections[id];
        let Some(tcp) = &connection.tcp else {
            return Err(DropReason::NoSocket);
        };
        let situation = Situation::new(connection, tcp, self.now);
        match guard::judge(&situation, segment) {
            Disposition::Pass => {
                let accepted = situation.accepts(segment);
                self.feed(id, bytes, segment, accepted);
                Ok(())
            }
            Disposition::Rewrite(rule, mend) => {
                self.events.push(HostEvent::Edited { rule });
                let mut mended = self.queues.take_spare();
                mended.bytes.clear();
                mended.bytes.extend_from_slice(bytes);
                mend.apply(&mut mended.bytes);
                if let Ok(segment) = IpView::parse(&mended.bytes).and_then(|ip| Segment::parse(&ip)) {
                    let accepted = situation.accepts(&segment);
                    self.feed(id, &mended.bytes, &segment, accepted);
                }
                self.queues.give_back(mended);
                Ok(())
            }
            Disposition::Drop(rule) => Err(DropReason::Rule(rule)),
            Disposition::Reply(rule) => {
                self.challenge(id, rule != Rule::RightEdge);
                Err(DropReason::Rule(rule))
            }
            Disposition::Reset(rule) => {
                self.abort(id, Cause::Received(segment.flags));
                Err(DropReason::Rule(rule))
            }
        }
    }

    /// Gives a segment that the guard let through to smoltcp.
    fn feed(&mut self, id: ConnectionId, bytes: &[u8], segment: &Segment<'_>, accepted: bool) {
        let connection = &mut *self.tables.connections[id];
        if let (State::SynSent, Some(max_seg), Some(mss)) = (connection.state, connection.max_seg, segment.options.mss)
            && mss > max_seg
        {
            let mut lowered = bytes.to_vec();
            lower_mss(&mut lowered, max_seg);
            if let Ok(segment) = IpView::parse(&lowered).and_then(|ip| Segment::parse(&ip)) {
                self.feed(id, &lowered, &segment, accepted);
            }
            return;
        }
        let Some(tcp) = &mut connection.tcp else { return };
        let (state, before) = (connection.state, Snapshot::of(tcp.socket()));
        let mut reply = self.queues.take_spare();
        tcp.ingress(&mut self.interface, self.config.mtu, self.now, bytes, &mut reply.bytes);
        connection.watch.on_ingress(self.now, segment, before, Snapshot::of(tcp.socket()));
        connection.state = tcp.state();
        note_ingress(connection, self.now, state, segment, accepted);
        self.send_reply_of(id, reply);
        if self.tables.connections[id].state != state {
            self.follow_state(id, state, Cause::Received(segment.flags));
            if !self.tables.connections.contains_key(id) {
                return;
            }
        }
        self.touch(id);
    }

    /// Answers with where this end stands: SND.NXT, RCV.NXT, RCV.WND. smoltcp says it when it is shown an octet from
    /// before its window, so that its own notion of what it has acknowledged stays true.
    fn challenge(&mut self, id: ConnectionId, limited: bool) {
        let now = self.now;
        let connection = &mut *self.tables.connections[id];
        if !connection.is_synchronized() || (limited && now < connection.challenge_at) {
            return;
        }
        if limited {
            connection.challenge_at = now + CHALLENGE_INTERVAL;
        }
        let ours = connection.conversation.sender(Side::Local);
        let Some(tcp) = &mut connection.tcp else { return };
        let rcv_nxt = tcp.rcv_nxt(connection.irs, connection.account.bytes_received, connection.fin_received);
        let ts = connection.ts_recent.map(|(ts_val, _)| Timestamps { ts_val, ts_ecr: 0 });
        let ack = if connection.state == State::SynReceived { ours.snd_nxt } else { ours.snd_una };
        let octet = SegmentTemplate {
            seq: rcv_nxt - 1,
            ack,
            options: Options { ts, ..Default::default() },
            payload: &[0],
            ..SegmentTemplate::new(connection.tuple.remote_addr(), connection.tuple.local_addr())
        };
        let mut shown = self.queues.take_spare();
        let mut reply = self.queues.take_spare();
        octet.write(&mut shown.bytes);
        tcp.ingress(&mut self.interface, self.config.mtu, now, &shown.bytes, &mut reply.bytes);
        self.queues.give_back(shown);
        self.send_reply_of(id, reply);
    }

    /// Queues what a connection answered at once, and takes note of it.
    fn send_reply_of(&mut self, id: ConnectionId, mut reply: Packet) {
        if reply.bytes.is_empty() {
            self.queues.give_back(reply);
            return;
        }
        note_egress(&mut self.tables.connections[id], self.now, &mut reply.bytes, |watch, segment| {
            watch.on_reply(segment);
        });
        self.queues.out.push_back(reply);
    }
}

const IPV6_HEADER: usize = 40;

/// What smoltcp would not parse: no port, contradictory control bits, an option of impossible length. It is dropped
/// here, so that nobody takes note of a segment that TCP never saw.
fn is_sane(segment: &Segment<'_>) -> bool {
    let contradictory = [Flags::SYN | Flags::FIN, Flags::SYN | Flags::RST, Flags::FIN | Flags::RST];
    segment.src.port() != 0
        && segment.dst.port() != 0
        && !contradictory.iter().any(|flags| segment.flags.contains(*flags))
        && !segment.options.irregular
}

/// RFC 9293, section 3.10.7.1: `<SEQ=SEG.ACK><CTL=RST>`, or `<SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>` where there is no
/// ACK.
pub(super) fn reset_for(segment: &Segment<'_>) -> SegmentTemplate<'static> {
    let reset = SegmentTemplate { flags: Flags::RST, ..SegmentTemplate::new(segment.dst, segment.src) };
    if segment.is_ack() {
        SegmentTemplate { seq: segment.ack, ..reset }
    } else {
        SegmentTemplate { ack: segment.end(), flags: Flags::RST | Flags::ACK, ..reset }
    }
}
