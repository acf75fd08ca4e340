//! How connections begin: by connect, or from a SYN through a half-open record.
//!
//! smoltcp has no SYN queue: a listening socket becomes the connection. So the SYN|ACK of a half-open connection is ours,
//! and when the final ACK comes, a socket is made that has lived through the same: it is shown the recorded SYN at the
//! time at which it came, draws the recorded ISS, says the same SYN|ACK (as often as we did) into the void, and is then
//! given the ACK.

use smoltcp::wire::{IpEndpoint, IpListenEndpoint};

use crate::conversation::{Conversation, Side};
use crate::event::{Cause, DropReason, HostEvent, State, TimerKind};
use crate::segment::{Flags, IpView, Options, Segment, SegmentTemplate, Seq, Timestamps};
use crate::time::Instant;

use super::address::FourTuple;
use super::config::TcpOptions;
use super::connection::{Account, Connection, ConnectionId, Limits, Owner, Shut, Unread};
use super::ingress::{CHALLENGE_INTERVAL, reset_for};
use super::isn::interface_for;
use super::listener::{HalfOpen, HalfOpenId, ListenerId, syn_ack_timeout};
use super::note::note_egress;
use super::ports::{Holder, Role};
use super::tcp::{Tcp, TcpSettings, ts_val_at};
use super::timers::Deadline;
use super::watch::{Snapshot, Watch};
use super::{Slot, Stack, TimerOwner, bridge};

impl Stack {
    /// Begins an active open. The caller has chosen both ends and made sure that the tuple is free.
    pub(super) fn open(&mut self, tuple: FourTuple, options: &TcpOptions, token: u32) -> ConnectionId {
        let now = self.now;
        let iss = self.secret.initial_sequence_number(&tuple, now);
        let mut tcp = self.make_tcp(&tuple, options, self.config.timestamps);
        let (local, remote) = (tuple.local_addr(), tuple.remote_addr());
        let mut scratch = interface_for(iss, now, self.config.mtu);
        tcp.socket_mut()
            .connect(scratch.context(), IpEndpoint::from(remote), IpListenEndpoint::from(local))
            .expect("the socket is new and both ends were checked by the caller");
        let connection = self.make_connection(tuple, tcp, options, Owner::Descriptor(token), true);
        let id = self.tables.connections.insert(Box::new(connection));
        self.tables.exact.insert(tuple, Slot::Connection(id));
        self.events.state(&tuple, State::Closed, State::SynSent, Cause::Call("connect"));
        self.touch(id);
        id
    }

    fn make_tcp(&mut self, tuple: &FourTuple, options: &TcpOptions, timestamps: bool) -> Tcp {
        let settings = TcpSettings {
            rcv_buf: bridge::rcv_buf(&self.config, options),
            snd_buf: bridge::snd_buf(options),
            congestion: bridge::control(&options.congestion),
            ts_offset: timestamps.then(|| self.secret.timestamp_offset(tuple)),
            ack_delay: bridge::ack_delay(&self.config, options),
            nodelay: options.nodelay,
            ttl: options.ttl,
        };
        Tcp::new(&mut self.pool, &settings)
    }

    fn make_connection(
        &self,
        tuple: FourTuple,
        tcp: Tcp,
        options: &TcpOptions,
        owner: Owner,
        active: bool,
    ) -> Connection {
        Connection {
            tuple,
            state: tcp.state(),
            tcp: Some(tcp),
            owner,
            conversation: Conversation::new(),
            watch: Watch::new(bridge::control(&options.congestion)),
            deadline: Deadline::default(),
            dirty: false,
            loops_back: self.addresses.is_own(tuple.remote.ip()),
            active,
            irs: Seq(0),
            fin_received: false,
            ts_recent: None,
            challenge_at: Instant::EPOCH,
            max_seg: options.max_seg,
            reuse: false,
            largest_received: 0,
            limits: Limits {
                retries: self.config.retries,
                user_timeout: options.user_timeout,
                unacked_since: None,
                give_up_at: None,
                fin_wait_2_until: None,
                keep_alive: options.keep_alive.then_some(options.keep_alive_times),
                heard_at: self.now,
                keep_alives: 0,
                window_probes: 0,
            },
            shut: Shut::default(),
            error: None,
            soft_error: None,
            time_wait: None,
            unread: Unread::default(),
            account: Account::new(&tuple),
        }
    }

    /// A segment for a listening socket (RFC 9293, section 3.10.7.2). `beyond` is SND.NXT of a connection in TIME-WAIT
    /// whose tuple a SYN takes over: the new one begins above it (section 3.10.7.4, MAY-2), as far above as on Linux.
    pub(super) fn listener_ingress(
        &mut self,
        id: ListenerId,
        tuple: &FourTuple,
        segment: &Segment<'_>,
        beyond: Option<Seq>,
    ) -> Result<(), DropReason> {
        if segment.is_rst() {
            return Err(DropReason::NoSocket);
        }
        if segment.is_ack() {
            self.queue_segment(&reset_for(segment));
            return Err(DropReason::NoSocket);
        }
        if !segment.is_syn() || segment.is_fin() {
            return Err(DropReason::NoSocket);
        }
        let listener = &mut self.tables.listeners[id];
        if !listener.takes_connection() {
            return Err(DropReason::AcceptQueueFull);
        }
        if !listener.takes_syn() {
            return Err(DropReason::SynQueueFull);
        }
        listener.syn_queue += 1;
        let iss = self.secret.initial_sequence_number(tuple, self.now);
        let half_open = HalfOpen {
            tuple: *tuple,
            listener: id,
            iss: beyond.map_or(iss, |snd_nxt| iss.max(snd_nxt + 65_537)),
            irs: segment.seq,
            offered: segment.options.into(),
            rcv_buf: bridge::rcv_buf(&self.config, &listener.options),
            max_seg: listener.options.max_seg,
            window: segment.window,
            sent_at: self.now,
            retries: 0,
            said_again: false,
            deadline: Deadline::default(),
            challenge_at: Instant::EPOCH,
        };
        let half_open_id = self.tables.half_open.insert(Box::new(half_open));
        self.tables.exact.insert(*tuple, Slot::HalfOpen(half_open_id));
        self.hold_connection_port(tuple, id);
        self.events.state(tuple, State::Listen, State::SynReceived, Cause::Received(segment.flags));
        self.report_queue(id);
        self.send_syn_ack(half_open_id);
        let deadline = &mut self.tables.half_open[half_open_id].deadline;
        self.timers.set(TimerOwner::HalfOpen(half_open_id), deadline, Some(self.now + syn_ack_timeout(0)));
        Ok(())
    }

    fn hold_connection_port(&mut self, tuple: &FourTuple, listener: ListenerId) {
        let reuse = self.tables.listeners[listener].reuse;
        self.ports.hold(tuple.local_port, connection_holder(tuple, reuse));
    }

    pub(super) fn report_queue(&mut self, id: ListenerId) {
        if let Some(listener) = self.tables.listeners.get(id) {
            self.events.push(HostEvent::Queue {
                local: core::net::SocketAddr::new(listener.addr.ip(), listener.port),
                syn_queue: listener.syn_queue,
                accept_queue: listener.accept_queue.len(),
                backlog: listener.backlog,
            });
        }
    }

    /// The SYN|ACK of a half-open connection: exactly what the socket will believe to have said.
    fn send_syn_ack(&mut self, id: HalfOpenId) {
        let half_open = &self.tables.half_open[id];
        let ttl = self.tables.listeners[half_open.listener].options.ttl;
        let (tuple, offered) = (half_open.tuple, half_open.offered);
        let headers = if tuple.local.ip().is_ipv4() { 40 } else { 60 };
        let mss = (self.config.mtu - headers) as u16;
        let ts = offered.ts.filter(|_| self.config.timestamps).map(|ts| Timestamps {
            ts_val: ts_val_at(self.now, self.secret.timestamp_offset(&tuple)),
            ts_ecr: ts.ts_val,
        });
        let syn_ack = SegmentTemplate {
            seq: half_open.iss,
            ack: half_open.irs + 1,
            flags: Flags::SYN | Flags::ACK,
            window: u16::try_from(half_open.rcv_buf).unwrap_or(u16::MAX),
            options: Options {
                mss: Some(half_open.max_seg.map_or(mss, |max_seg| max_seg.min(mss))),
                wscale: offered.wscale.map(|_| window_shift(half_open.rcv_buf)),
                sack_permitted: offered.sack_permitted,
                ts,
                ..Options::default()
            },
            ttl,
            ..SegmentTemplate::new(tuple.local_addr(), tuple.remote_addr())
        };
        self.queue_segment(&syn_ack);
    }

    /// No answer to the SYN|ACK yet: once more, or the end.
    pub(super) fn on_half_open_timer(&mut self, id: HalfOpenId) {
        let half_open = &mut self.tables.half_open[id];
        let tuple = half_open.tuple;
        self.events.timer(&tuple, TimerKind::SynAck);
        if half_open.retries >= self.config.synack_retries {
            self.forget_half_open(id, Cause::Timer(TimerKind::SynAck));
            return;
        }
        half_open.retries += 1;
        let at = self.now + syn_ack_timeout(half_open.retries);
        self.timers.set(TimerOwner::HalfOpen(id), &mut half_open.deadline, Some(at));
        self.send_syn_ack(id);
    }

    /// A segment for a half-open connection (RFC 9293, section 3.10.7.4, for SYN-RECEIVED).
    pub(super) fn half_open_ingress(
        &mut self,
        id: HalfOpenId,
        bytes: &[u8],
        segment: &Segment<'_>,
    ) -> Result<(), DropReason> {
        let half_open = &self.tables.half_open[id];
        let listener = &self.tables.listeners[half_open.listener];
        let rcv_nxt = half_open.irs + 1;
        let in_window = rcv_nxt <= segment.seq && segment.seq < rcv_nxt + half_open.rcv_buf.min(65_535) as u32;
        if segment.is_rst() {
            if segment.seq == rcv_nxt {
                self.forget_half_open(id, Cause::Received(segment.flags));
            } else if in_window {
                self.challenge_half_open(id);
            }
            return Err(DropReason::HalfOpen);
        }
        if segment.is_syn() {
            if segment.seq == half_open.irs && !segment.is_ack() {
                // The client has not heard our SYN|ACK: say it again, without disturbing the timer.
                self.tables.half_open[id].said_again = true;
                self.send_syn_ack(id);
            } else {
                self.challenge_half_open(id);
            }
            return Err(DropReason::HalfOpen);
        }
        if !segment.is_ack() {
            return Err(DropReason::HalfOpen);
        }
        let stale = match (half_open.offered.ts.filter(|_| self.config.timestamps), segment.options.ts) {
            (Some(first), Some(ts)) => (ts.ts_val.wrapping_sub(first.ts_val) as i32) < 0,
            _ => false,
        };
        if stale || !in_window {
            self.challenge_half_open(id);
            return Err(DropReason::HalfOpen);
        }
        if segment.ack != half_open.iss + 1 {
            self.queue_segment(&reset_for(segment));
            return Err(DropReason::HalfOpen);
        }
        if !listener.takes_connection() {
            return Err(DropReason::AcceptQueueFull);
        }
        let need = half_open.rcv_buf + bridge::snd_buf(&listener.options);
        if !self.pool.has_room_for(need) {
            return Err(DropReason::AcceptQueueFull);
        }
        self.promote(id, bytes, segment)
    }

    /// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>` for a half-open connection, limited as challenge ACKs are.
    fn challenge_half_open(&mut self, id: HalfOpenId) {
        let half_open = &mut self.tables.half_open[id];
        if self.now < half_open.challenge_at {
            return;
        }
        half_open.challenge_at = self.now + CHALLENGE_INTERVAL;
        let ts = half_open.offered.ts.filter(|_| self.config.timestamps).map(|ts| Timestamps {
            ts_val: ts_val_at(self.now, self.secret.timestamp_offset(&half_open.tuple)),
            ts_ecr: ts.ts_val,
        });
        let shift = half_open.offered.wscale.map_or(0, |_| window_shift(half_open.rcv_buf));
        let ack = SegmentTemplate {
            seq: half_open.iss + 1,
            ack: half_open.irs + 1,
            window: u16::try_from(half_open.rcv_buf.min(65_535) >> shift).unwrap_or(u16::MAX),
            options: Options { ts, ..Options::default() },
            ..SegmentTemplate::new(half_open.tuple.local_addr(), half_open.tuple.remote_addr())
        };
        self.queue_segment(&ack);
    }

    /// Makes the connection of a half-open record whose final ACK has come, and gives it the segment.
    fn promote(&mut self, id: HalfOpenId, bytes: &[u8], segment: &Segment<'_>) -> Result<(), DropReason> {
        let Some(half_open) = self.tables.half_open.remove(id) else { return Err(DropReason::HalfOpen) };
        let (tuple, listener_id) = (half_open.tuple, half_open.listener);
        let listener = &mut self.tables.listeners[listener_id];
        let options =
            TcpOptions { rcv_buf: Some(half_open.rcv_buf), max_seg: half_open.max_seg, ..listener.options.clone() };
        listener.syn_queue -= 1;
        let reuse = listener.reuse;
        let mut connection = self.relive_handshake(&half_open, &options);
        connection.reuse = reuse;
        let connection_id = self.tables.connections.insert(Box::new(connection));
        self.tables.exact.insert(tuple, Slot::Connection(connection_id));
        self.tables.listeners[listener_id].accept_queue.push_back(connection_id);
        let token = self.tables.listeners[listener_id].token;
        self.ready.push(token);
        let result = self.connection_ingress(connection_id, bytes, segment);
        self.report_queue(listener_id);
        result
    }

    /// A connection in SYN-RECEIVED whose socket has seen the SYN and sent the SYN|ACKs of the record, when it did.
    fn relive_handshake(&mut self, half_open: &HalfOpen, options: &TcpOptions) -> Connection {
        let tuple = half_open.tuple;
        let timestamps = self.config.timestamps && half_open.offered.ts.is_some();
        let mut tcp = self.make_tcp(&tuple, options, timestamps);
        tcp.socket_mut()
            .listen(IpListenEndpoint::from(tuple.local_addr()))
            .expect("the socket is new and its port is not zero");
        let mut offered = Options::from(half_open.offered);
        if let Some(max_seg) = options.max_seg {
            // smoltcp knows only the MTU: it is shown a peer that takes no larger segments.
            offered.mss = Some(offered.mss.unwrap_or(536).min(max_seg));
        }
        let syn = SegmentTemplate {
            seq: half_open.irs,
            flags: Flags::SYN,
            window: half_open.window,
            options: offered,
            ..SegmentTemplate::new(tuple.remote_addr(), tuple.local_addr())
        };
        let mut shown = self.queues.take_spare();
        let mut said = self.queues.take_spare();
        syn.write(&mut shown.bytes);
        let mut scratch = interface_for(half_open.iss, half_open.sent_at, self.config.mtu);
        tcp.ingress(&mut scratch, self.config.mtu, half_open.sent_at, &shown.bytes, &mut said.bytes);
        let mut connection = self.make_connection(tuple, tcp, options, Owner::Queue(half_open.listener), false);
        connection.irs = half_open.irs;
        connection.ts_recent = half_open.offered.ts.filter(|_| timestamps).map(|ts| (ts.ts_val, half_open.sent_at));
        if let Ok(segment) = IpView::parse(&shown.bytes).and_then(|ip| Segment::parse(&ip)) {
            connection.conversation.observe(half_open.sent_at, Side::Remote, &segment);
            if let Some(tcp) = &connection.tcp {
                let after = Snapshot::of(tcp.socket());
                let before = Snapshot { state: smoltcp::socket::tcp::State::Listen, ..after };
                connection.watch.on_ingress(half_open.sent_at, &segment, before, after);
            }
        }
        // A SYN|ACK that was sent twice is no sample of the RTT (Karn's rule; RFC 6298, section 3), whatever made us send
        // it again. smoltcp has no other way to be told than its own retransmission.
        let retries = half_open.retries.max(u32::from(half_open.said_again));
        let mut at = half_open.sent_at;
        for retry in 0..=retries {
            let Some(tcp) = &mut connection.tcp else { break };
            let before = Snapshot::of(tcp.socket());
            if tcp.egress(&mut self.interface, self.config.mtu, at, &mut said.bytes) {
                note_egress(&mut connection, at, &mut said.bytes, |watch, segment| {
                    watch.on_egress(at, Some(segment), before);
                });
            }
            at += syn_ack_timeout(retry);
        }
        self.queues.give_back(shown);
        self.queues.give_back(said);
        connection
    }

    /// Ends a half-open connection and frees its place.
    pub(super) fn forget_half_open(&mut self, id: HalfOpenId, cause: Cause) {
        let Some(half_open) = self.tables.half_open.remove(id) else { return };
        self.tables.exact.remove(&half_open.tuple);
        if let Some(listener) = self.tables.listeners.get_mut(half_open.listener) {
            listener.syn_queue -= 1;
            let reuse = listener.reuse;
            self.ports.release(half_open.tuple.local_port, &connection_holder(&half_open.tuple, reuse));
        }
        self.events.state(&half_open.tuple, State::SynReceived, State::Closed, cause);
        self.report_queue(half_open.listener);
    }
}

/// How a connection holds its local port.
pub(super) fn connection_holder(tuple: &FourTuple, reuse: bool) -> Holder {
    Holder { addr: tuple.local, v6_only: false, reuse, role: Role::Connection }
}

/// The window scale that smoltcp uses for a receive buffer: enough for its whole size.
fn window_shift(rcv_buf: usize) -> u8 {
    (usize::BITS - rcv_buf.leading_zeros()).saturating_sub(16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_shift_is_that_of_smoltcp() {
        assert_eq!(window_shift(65_535), 0);
        assert_eq!(window_shift(65_536), 1);
        assert_eq!(window_shift(1 << 20), 5);
        assert_eq!(window_shift(0), 0);
    }
}
