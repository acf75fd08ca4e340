//! The way of a packet into the host: checks, then the demultiplexer. Order of the look-ups: the exact 4-tuple
//! (connection, half-open record or TIME-WAIT record), then the listeners (the address itself, then the wildcards). A
//! segment that matches nothing is answered with an RST. Other packets without a socket are given to smoltcp's interface,
//! which answers echo requests and sends ICMP errors; `replies` limits both.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::event::{Cause, DropReason, HostEvent, State};
use crate::segment::{Flags, IpView, OptionFault, Packet, Protocol, Segment};

use super::address::{Addr, FourTuple};
use super::connection::{ConnectionId, Owner};
use super::icmp::Report;
use super::listener::ListenerId;
use super::tcp::{Context, Reply, Verdict};
use super::{Origin, Slot, Stack};

impl Stack {
    pub(super) fn ingress(&mut self, packet: &Packet, origin: Origin) {
        if let Err(why) = self.demultiplex(packet, origin) {
            self.counters.count_drop(why);
            self.events.push(HostEvent::Dropped { why });
        }
    }

    fn demultiplex(&mut self, packet: &Packet, origin: Origin) -> Result<(), DropReason> {
        let bytes = packet.bytes.as_slice();
        let ip = IpView::parse(bytes).map_err(|_| DropReason::Malformed)?;
        if ip.fragment {
            return Err(DropReason::Fragment);
        }
        // While a routing header has segments left, the checksum counts the last address of the route (RFC 8200, section 8.1).
        let v6 = ip.dst.is_ipv6();
        if v6 {
            ip.check_options().map_err(reason_of)?;
        }
        if !packet.meta.sound && !ip.checksums_ok() {
            return Err(DropReason::Checksum);
        }
        if origin == Origin::Link {
            self.addresses.check_outside(ip.src, ip.dst)?;
        }
        if !v6 {
            ip.check_options().map_err(reason_of)?;
        }
        if v6 && ip.header.len() > IPV6_HEADER {
            return self.without_extensions(&ip, origin);
        }
        if ip.protocol == Protocol::Tcp {
            let segment = Segment::parse(&ip).map_err(|_| DropReason::Malformed)?;
            if !is_sane(&segment, self.config.drop_syn_fin) {
                return Err(DropReason::Malformed);
            }
            let tuple = FourTuple::between(&segment.dst, &segment.src);
            return match self.tables.exact.get(&tuple).copied() {
                Some(Slot::Connection(id)) => self.connection_ingress(id, &segment),
                Some(Slot::HalfOpen(id)) => self.half_open_ingress(id, &segment),
                Some(Slot::TimeWait(id)) => self.time_wait_ingress(id, &segment),
                None => self.unmatched_tcp(&tuple, &segment),
            };
        }
        self.check_addresses(ip.src, ip.dst)?;
        match ip.protocol {
            Protocol::Udp => {
                let delivered = self.udp.handle_packet(&ip, &mut self.ready);
                if delivered == Err(DropReason::NoSocket) {
                    self.send_icmp_error(&ip, bytes);
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
                self.send_icmp_error(&ip, bytes);
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
        } else if self.addresses.is_good_source(src) {
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
            self.send_reset(segment);
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

    /// One segment for a connection, and what follows from the new state.
    pub(super) fn connection_ingress(&mut self, id: ConnectionId, segment: &Segment<'_>) -> Result<(), DropReason> {
        let now = self.now;
        let connection = &mut *self.tables.connections[id];
        let Some(tcp) = &mut connection.tcp else { return Err(DropReason::NoSocket) };
        let (state, phase) = (connection.state, tcp.phase());
        let context = &mut Context { now, config: &self.config, pool: &mut self.pool, machines: &mut self.machines };
        let mut verdict = Verdict::default();
        tcp.handle_segment(context, segment, connection.owner == Owner::Orphan, &mut verdict);
        connection.state = tcp.state();
        if verdict.heard {
            let limits = &mut connection.limits;
            (limits.heard_at, limits.keep_alives, limits.idle) = (now, 0, tcp.is_idle());
            if verdict.advanced {
                limits.unacked_since = tcp.is_waiting().then_some(now);
            }
        }
        connection.fin_received |= tcp.receiver().is_some_and(super::tcp::Receiver::fin_received);
        if self.events.observed {
            self.events.phase(&connection.tuple, phase, tcp.phase(), verdict.undone);
            if let Some(rule) = verdict.edited {
                self.events.push(HostEvent::Edited { rule });
            }
        }
        match verdict.reply {
            Some(Reply::Ack) if connection.state == State::Closed => {}
            Some(Reply::Ack) => {
                let mut packet = self.queues.take_spare();
                tcp.write_ack(context, &mut packet);
                self.queues.out.push_back(packet);
            }
            Some(Reply::Reset(reset)) => self.queues.send(&reset),
            None => {}
        }
        if connection.state == state {
            if let Owner::Descriptor(token) = connection.owner
                && (verdict.readable || verdict.writable)
            {
                self.ready.push(token);
            }
            connection.mark_dirty(id, &mut self.dirty);
        } else {
            self.follow_state(id, state, Cause::Received(segment.flags));
            if self.tables.connections.contains_key(id) {
                self.touch(id);
            }
        }
        verdict.dropped.map_or(Ok(()), Err)
    }
}

const IPV6_HEADER: usize = 40;

fn reason_of(fault: OptionFault) -> DropReason {
    match fault {
        OptionFault::Malformed => DropReason::IpOptions,
        OptionFault::SourceRoute => DropReason::SourceRoute,
    }
}

/// A segment that no TCP sends: no port, or contradictory control bits.
fn is_sane(segment: &Segment<'_>, drop_syn_fin: bool) -> bool {
    let contradictory = [Flags::SYN | Flags::RST, Flags::FIN | Flags::RST];
    segment.src.port() != 0
        && segment.dst.port() != 0
        && !contradictory.iter().any(|flags| segment.flags.contains(*flags))
        && !(drop_syn_fin && segment.flags.contains(Flags::SYN | Flags::FIN))
}
