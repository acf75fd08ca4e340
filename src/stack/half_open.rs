//! Passive opens: a SYN for a listener, the half-open record that answers it, and the connection that the final ACK makes
//! of it (RFC 9293, sections 3.10.7.2 and 3.10.7.4; RFC 4987, section 3.5). A listener may hold SYNs: then its owner
//! accepts or refuses each one.

use core::net::SocketAddr;
use std::sync::Arc;

use crate::event::{Cause, DropReason, HostEvent, State, TimerKind};
use crate::segment::{Flags, Options, Segment, SegmentTemplate, Seq, Timestamps};
use crate::time::{Duration, Instant};

use super::address::FourTuple;
use super::config::{SynCookies, TcpOptions};
use super::connection::Owner;
use super::listener::{HalfOpen, HalfOpenId, ListenerId};
use super::ports::{Holder, Role};
use super::tcp::{Context, Handshake, Offer, Tcp, Terms, syn_timeout};
use super::timers::Deadline;
use super::{Slot, Stack, TimerOwner};

/// How long a held SYN waits for the answer of the listener's owner: as long as Linux sends SYNs.
const HELD_FOR: Duration = Duration::from_secs(127);

/// Records that are gone, for an owner of a listener that does not ask for them.
const MOST_GONE: usize = 65_536;

impl Stack {
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
            if let Some(result) = self.cookie_ingress(id, tuple, segment) {
                return result;
            }
            self.send_reset(segment);
            return Err(DropReason::NoSocket);
        }
        // A FIN beside the SYN is left out: the peer sends it again.
        if !segment.is_syn() {
            return Err(DropReason::NoSocket);
        }
        let listener = &self.tables.listeners[id];
        if !listener.takes_connection() {
            return Err(DropReason::AcceptQueueFull);
        }
        // The owner of a listener that holds SYNs answers each one by itself: no cookie can wait for that.
        let cookies = if listener.holds { SynCookies::Off } else { self.config.syn_cookies };
        // As on Linux, a connection in TIME-WAIT shows that the peer is there: its next SYN always gets a record.
        let verified = beyond.is_some() && cookies != SynCookies::Off;
        let full = !listener.takes_syn() && !verified;
        if full && cookies == SynCookies::Off {
            return Err(DropReason::SynQueueFull);
        }
        if self.pool.is_under_pressure() {
            return Err(DropReason::NoMemory);
        }
        if full || (cookies == SynCookies::Always && !verified) {
            self.send_cookie(id, tuple, segment);
            return Ok(());
        }
        let (held, rcv_buf) = (listener.holds, listener.options.rcv_buf);
        let offer = Offer::new(&self.config, &listener.options, tuple).answer(&segment.options, segment.flags);
        let iss = self.secret.initial_sequence_number(tuple, self.now);
        let half_open = HalfOpen {
            tuple: *tuple,
            listener: id,
            iss: beyond.map_or(iss, |snd_nxt| iss.max(snd_nxt + 65_537)),
            offer,
            terms: Terms::new(&offer, segment),
            rcv_buf,
            ts_recent: segment.options.ts.filter(|_| offer.timestamps).map(|ts| (ts.ts_val, self.now)),
            sent_at: None,
            sends: 0,
            retries: 0,
            held,
            deadline: Deadline::default(),
            challenge_at: Instant::EPOCH,
            clock: self.ts_clock(tuple),
        };
        let half_open_id = self.keep_half_open(half_open, segment);
        if held {
            self.tables.listeners[id].held.push_back(half_open_id);
            let token = self.tables.listeners[id].token;
            self.ready.push(token);
        } else {
            self.send_syn_ack(half_open_id);
        }
        Ok(())
    }

    /// Puts a half-open connection into the SYN queue of its listener. Its timer begins.
    pub(super) fn keep_half_open(&mut self, half_open: HalfOpen, segment: &Segment<'_>) -> HalfOpenId {
        let (tuple, listener) = (half_open.tuple, half_open.listener);
        let timeout = if half_open.held { HELD_FOR } else { syn_timeout(&self.config, 0) };
        self.tables.listeners[listener].syn_queue += 1;
        let id = self.tables.half_open.insert(Box::new(half_open));
        self.tables.exact.insert(tuple, Slot::HalfOpen(id));
        self.hold_connection_port(&tuple, listener);
        self.events.state(&tuple, State::Listen, State::SynReceived, Cause::Received(segment.flags));
        self.report_queue(listener);
        let deadline = &mut self.tables.half_open[id].deadline;
        self.timers.set(TimerOwner::HalfOpen(id), deadline, Some(self.now + timeout));
        id
    }

    /// Whether the SYNs of a listener wait for [`Stack::answer_syn`].
    pub(crate) fn hold_syns(&mut self, id: ListenerId, on: bool) {
        let listener = &mut self.tables.listeners[id];
        listener.holds = on;
        if !on {
            listener.gone = std::collections::VecDeque::new();
        }
    }

    /// The next SYN that was held and whose record is gone before it became a connection, and who sent it.
    pub(crate) fn poll_gone_syn(&mut self, id: ListenerId) -> Option<(HalfOpenId, SocketAddr)> {
        self.tables.listeners[id].gone.pop_front()
    }

    /// The next SYN that waits for an answer, and who sent it.
    pub(crate) fn poll_held_syn(&mut self, id: ListenerId) -> Option<(HalfOpenId, SocketAddr)> {
        let Self { tables, .. } = self;
        let held = tables.listeners[id].held.pop_front()?;
        tables.half_open.get(held).map(|half_open| (held, half_open.tuple.remote_addr()))
    }

    /// Answers a SYN that was held. Nothing happens if it has gone.
    pub(crate) fn answer_syn(&mut self, id: HalfOpenId, accept: bool) {
        let Some(half_open) = self.tables.half_open.get_mut(id).filter(|half_open| half_open.held) else { return };
        let (tuple, ack) = (half_open.tuple, half_open.terms.irs + 1);
        if !accept {
            let reset = SegmentTemplate {
                ack,
                flags: Flags::RST | Flags::ACK,
                ..SegmentTemplate::new(tuple.local_addr(), tuple.remote_addr())
            };
            self.queues.send(&reset);
            self.forget_half_open(id, Cause::Call("refuse"));
            return;
        }
        half_open.held = false;
        self.send_syn_ack(id);
        let deadline = &mut self.tables.half_open[id].deadline;
        let at = self.now + syn_timeout(&self.config, 0);
        self.timers.set(TimerOwner::HalfOpen(id), deadline, Some(at));
    }

    pub(super) fn hold_connection_port(&mut self, tuple: &FourTuple, listener: ListenerId) {
        let reuse = self.tables.listeners[listener].reuse;
        self.ports.hold(tuple.local_port, connection_holder(tuple, reuse));
    }

    pub(super) fn report_queue(&mut self, id: ListenerId) {
        if let Some(listener) = self.tables.listeners.get(id) {
            self.events.push(HostEvent::Queue {
                local: SocketAddr::new(listener.addr.ip(), listener.port),
                syn_queue: listener.syn_queue,
                accept_queue: listener.accept_queue.len(),
                backlog: listener.backlog,
            });
        }
    }

    /// Sends the SYN|ACK of a half-open connection.
    pub(super) fn send_syn_ack(&mut self, id: HalfOpenId) {
        let half_open = &mut self.tables.half_open[id];
        let clock = half_open.clock;
        (half_open.sent_at, half_open.sends) = (Some(self.now), half_open.sends + 1);
        let ts_ecr = half_open.ts_recent.map_or(0, |(recent, _)| recent);
        let (tuple, offer) = (half_open.tuple, half_open.offer);
        let syn_ack = SynAck {
            tuple: &tuple,
            iss: half_open.iss,
            irs: half_open.terms.irs,
            offer: &offer,
            ecn: half_open.terms.ecn,
            ts: Timestamps { ts_val: clock.at(self.now), ts_ecr },
            ttl: self.tables.listeners[half_open.listener].options.ttl,
        };
        self.queue_syn_ack(&syn_ack);
    }

    pub(super) fn queue_syn_ack(&mut self, syn_ack: &SynAck<'_>) {
        let SynAck { tuple, iss, irs, offer, ecn, ts, ttl } = *syn_ack;
        let ecn = if ecn { Flags::ECE } else { Flags::default() };
        let syn_ack = SegmentTemplate {
            seq: iss,
            ack: irs + 1,
            flags: Flags::SYN | Flags::ACK | ecn,
            window: offer.window,
            options: offer.options(ts),
            layout: self.config.option_layout,
            ttl,
            ..SegmentTemplate::new(tuple.local_addr(), tuple.remote_addr())
        };
        self.queues.send(&syn_ack);
    }

    /// No answer to the SYN|ACK yet: once more, or the end.
    pub(super) fn on_half_open_timer(&mut self, id: HalfOpenId) {
        let half_open = &mut self.tables.half_open[id];
        let tuple = half_open.tuple;
        self.events.timer(&tuple, TimerKind::SynAck);
        if half_open.held || half_open.retries >= self.config.synack_retries {
            self.forget_half_open(id, Cause::Timer(TimerKind::SynAck));
            return;
        }
        half_open.retries += 1;
        let at = self.now + syn_timeout(&self.config, half_open.retries);
        self.timers.set(TimerOwner::HalfOpen(id), &mut half_open.deadline, Some(at));
        self.send_syn_ack(id);
    }

    /// A segment for a half-open connection (RFC 9293, section 3.10.7.4, for SYN-RECEIVED).
    pub(super) fn half_open_ingress(&mut self, id: HalfOpenId, segment: &Segment<'_>) -> Result<(), DropReason> {
        let half_open = &self.tables.half_open[id];
        let listener = &self.tables.listeners[half_open.listener];
        let rcv_nxt = half_open.terms.irs + 1;
        let edge = rcv_nxt + u32::from(half_open.offer.window);
        let in_window = segment.seq == rcv_nxt || (rcv_nxt < segment.seq && segment.seq < edge);
        if segment.is_rst() {
            if segment.seq == rcv_nxt {
                self.forget_half_open(id, Cause::Received(segment.flags));
            } else if in_window {
                self.challenge_half_open(id);
            }
            return Err(DropReason::HalfOpen);
        }
        if segment.is_syn() {
            if segment.seq == half_open.terms.irs && !segment.is_ack() {
                // The SYN|ACK was lost: send it again, without a change to the timer.
                if !half_open.held {
                    self.send_syn_ack(id);
                }
            } else {
                self.challenge_half_open(id);
            }
            return Err(DropReason::HalfOpen);
        }
        if !segment.is_ack() {
            return Err(DropReason::HalfOpen);
        }
        let stale = match (half_open.ts_recent, segment.options.ts) {
            (Some((first, _)), Some(ts)) => (ts.ts_val.wrapping_sub(first) as i32) < 0,
            _ => false,
        };
        if half_open.held {
            return Err(DropReason::HalfOpen);
        }
        if stale || !in_window {
            self.challenge_half_open(id);
            return Err(DropReason::HalfOpen);
        }
        if segment.ack != half_open.iss + 1 {
            self.send_reset(segment);
            return Err(DropReason::HalfOpen);
        }
        if !listener.takes_connection() {
            return Err(DropReason::AcceptQueueFull);
        }
        if self.pool.is_under_pressure() {
            return Err(DropReason::NoMemory);
        }
        self.promote(id, segment)
    }

    /// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>` for a half-open connection, limited as challenge ACKs are.
    fn challenge_half_open(&mut self, id: HalfOpenId) {
        let half_open = &mut self.tables.half_open[id];
        let clock = half_open.clock;
        if self.now < half_open.challenge_at || half_open.held {
            return;
        }
        half_open.challenge_at = self.now + self.config.challenge_interval;
        let ts = half_open.ts_recent.map(|(ts_ecr, _)| Timestamps { ts_val: clock.at(self.now), ts_ecr });
        let ack = SegmentTemplate {
            seq: half_open.iss + 1,
            ack: half_open.terms.irs + 1,
            window: half_open.offer.window >> half_open.terms.shifts.map_or(0, |(ours, _)| ours),
            options: Options { ts, ..Options::default() },
            layout: self.config.option_layout,
            ..SegmentTemplate::new(half_open.tuple.local_addr(), half_open.tuple.remote_addr())
        };
        self.queues.send(&ack);
    }

    /// Takes a record whose final ACK has come out of the SYN queue, and makes its connection.
    fn promote(&mut self, id: HalfOpenId, segment: &Segment<'_>) -> Result<(), DropReason> {
        let Some(half_open) = self.tables.half_open.remove(id) else { return Err(DropReason::HalfOpen) };
        self.tables.listeners[half_open.listener].syn_queue -= 1;
        self.establish(&half_open, segment)
    }

    /// Makes the connection of a half-open record that is in no queue, and gives it the final ACK.
    pub(super) fn establish(&mut self, half_open: &HalfOpen, segment: &Segment<'_>) -> Result<(), DropReason> {
        let (tuple, listener_id) = (half_open.tuple, half_open.listener);
        let listener = &mut self.tables.listeners[listener_id];
        let max_seg = half_open.offer.max_seg;
        let mut options = Arc::clone(&listener.options);
        if (options.rcv_buf, options.max_seg) != (half_open.rcv_buf, max_seg) {
            let inherited = TcpOptions::clone(&options);
            options = Arc::new(TcpOptions { rcv_buf: half_open.rcv_buf, max_seg, ..inherited });
        }
        let reuse = listener.reuse;
        let (clock, seed) = (half_open.clock, self.secret.controller_seed(&tuple));
        let handshake = Handshake {
            iss: half_open.iss,
            offer: half_open.offer,
            terms: half_open.terms,
            ts_recent: half_open.ts_recent,
            sends: half_open.sends,
            sent_at: half_open.sent_at,
        };
        let mtu = self.path_mtu(&tuple);
        let context =
            &mut Context { now: self.now, config: &self.config, pool: &mut self.pool, machines: &mut self.machines };
        let tcp = Tcp::accept(context, tuple, &options, &handshake, clock, seed, mtu);
        let mut connection = self.make_connection(tuple, tcp, &options, Owner::Queue(listener_id), false);
        connection.reuse = reuse;
        let connection_id = self.tables.connections.insert(Box::new(connection));
        self.tables.exact.insert(tuple, Slot::Connection(connection_id));
        self.tables.listeners[listener_id].accept_queue.push_back(connection_id);
        let token = self.tables.listeners[listener_id].token;
        self.ready.push(token);
        let result = self.connection_ingress(connection_id, segment);
        self.report_queue(listener_id);
        result
    }

    /// Ends a half-open connection and frees its place.
    pub(super) fn forget_half_open(&mut self, id: HalfOpenId, cause: Cause) {
        let Some(half_open) = self.tables.half_open.remove(id) else { return };
        self.tables.exact.remove(&half_open.tuple);
        if let Some(listener) = self.tables.listeners.get_mut(half_open.listener) {
            listener.syn_queue -= 1;
            if listener.holds {
                if listener.gone.len() == MOST_GONE {
                    listener.gone.pop_front();
                }
                listener.gone.push_back((id, half_open.tuple.remote_addr()));
                self.ready.push(listener.token);
            }
            let reuse = listener.reuse;
            self.ports.release(half_open.tuple.local_port, &connection_holder(&half_open.tuple, reuse));
        }
        self.events.state(&half_open.tuple, State::SynReceived, State::Closed, cause);
        self.report_queue(half_open.listener);
    }
}

/// What a SYN|ACK says.
#[derive(Clone, Copy)]
pub(super) struct SynAck<'a> {
    pub(super) tuple: &'a FourTuple,
    pub(super) iss: Seq,
    pub(super) irs: Seq,
    pub(super) offer: &'a Offer,
    pub(super) ecn: bool,
    pub(super) ts: Timestamps,
    pub(super) ttl: u8,
}

/// How a connection holds its local port.
pub(super) fn connection_holder(tuple: &FourTuple, reuse: bool) -> Holder {
    Holder { addr: tuple.local, v6_only: false, reuse, role: Role::Connection }
}
