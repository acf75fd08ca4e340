//! The way of a packet out of the host: answers first, then each dirty connection in order of first touch until it has
//! nothing due (invariant 5), then its deadline. What goes to an address of this host comes back in.

use crate::event::{Cause, State, TimerKind};
use crate::segment::{IpView, Packet};
use crate::time::Instant;

use super::connection::{ConnectionError, ConnectionId, Owner};
use super::tcp::{Context, Expired, Sender};
use super::{Origin, Stack, TimerOwner};

/// What came of asking a connection for a packet.
enum Egress {
    /// A packet for the link.
    Sent,
    /// A packet for this host itself.
    Looped,
    /// Nothing is due.
    Nothing,
}

impl Stack {
    /// Marks a connection to be given its egress.
    pub(super) fn mark_dirty(&mut self, id: ConnectionId) {
        self.tables.connections[id].mark_dirty(id, &mut self.dirty);
    }

    /// Marks a connection to be given its egress, and its descriptor to be looked at.
    pub(super) fn touch(&mut self, id: ConnectionId) {
        let connection = &mut *self.tables.connections[id];
        connection.mark_dirty(id, &mut self.dirty);
        if let Owner::Descriptor(token) = connection.owner {
            self.ready.push(token);
        }
    }

    pub(super) fn egress(&mut self, packet: &mut Packet) -> bool {
        loop {
            if let Some(next) = self.queues.out.pop_front() {
                let spare = core::mem::replace(packet, next);
                self.queues.give_back(spare);
                if self.keep_if_own(packet) {
                    continue;
                }
                return true;
            }
            if let Some(id) = self.dirty.front().copied() {
                let (egress, last) = self.connection_egress(id, packet);
                if last {
                    self.dirty.pop_front();
                }
                match egress {
                    Egress::Sent => return true,
                    Egress::Looped => self.loop_back(packet),
                    Egress::Nothing => {}
                }
                continue;
            }
            let Some(looped) = self.queues.loopback.pop_front() else { return false };
            self.ingress(&looped, Origin::Loopback);
            self.queues.give_back(looped);
        }
    }

    /// Moves an answer to an address of this host to where it comes in again.
    fn keep_if_own(&mut self, packet: &mut Packet) -> bool {
        let own = IpView::parse(&packet.bytes).is_ok_and(|ip| self.addresses.is_own(ip.dst));
        if own {
            self.loop_back(packet);
        }
        own
    }

    fn loop_back(&mut self, packet: &mut Packet) {
        let spare = self.queues.take_spare();
        self.queues.loopback.push_back(core::mem::replace(packet, spare));
    }

    /// Queues at once what a connection would send at the end of the batch.
    pub(super) fn send_due(&mut self, id: ConnectionId) {
        let mut packet = self.queues.take_spare();
        loop {
            let (egress, last) = self.connection_egress(id, &mut packet);
            match egress {
                Egress::Sent => {
                    let spare = self.queues.take_spare();
                    self.queues.out.push_back(core::mem::replace(&mut packet, spare));
                }
                Egress::Looped => self.loop_back(&mut packet),
                Egress::Nothing => {}
            }
            if last {
                break;
            }
        }
        self.queues.give_back(packet);
    }

    /// Lets a connection send one packet. True beside it if nothing else is due; the connection's deadline is then set. One
    /// that is closed ends.
    fn connection_egress(&mut self, id: ConnectionId, packet: &mut Packet) -> (Egress, bool) {
        let now = self.now;
        let Some(connection) = self.tables.connections.get_mut(id) else { return (Egress::Nothing, true) };
        let connection = &mut **connection;
        let Some(tcp) = &mut connection.tcp else {
            connection.dirty = false;
            return (Egress::Nothing, true);
        };
        let context = &mut Context { now, config: &self.config, pool: &mut self.pool, machines: &mut self.machines };
        let departure = tcp.poll(context, packet);
        let egress = match &departure {
            None => Egress::Nothing,
            Some(_) if connection.loops_back => Egress::Looped,
            Some(_) => Egress::Sent,
        };
        let limits = &mut connection.limits;
        if departure.is_some() && limits.unacked_since.is_none() && tcp.is_waiting() {
            (limits.unacked_since, limits.idle) = (Some(now), false);
        }
        let last = departure.is_none_or(|departure| departure.last);
        if last {
            // It has nothing due: its deadline is set.
            limits.idle = tcp.is_idle();
            if limits.idle && !connection.resting && tcp.has_spare_memory() {
                connection.resting = true;
                self.resting.push_back((now, id));
            }
            let at = Instant::earliest([tcp.next_at(), connection.limits.next_at()]);
            self.timers.set(TimerOwner::Connection(id), &mut connection.deadline, at);
            connection.dirty = false;
        }
        let closed = last && connection.state == State::Closed;
        if let Some(departure) = departure {
            self.tell_numbers(id, departure.reason);
        }
        if closed {
            self.finish(id, None, Cause::Call("close"));
        }
        (egress, last)
    }

    /// A timer of a connection expired: the host's own limits, then TCP's.
    pub(super) fn on_connection_timer(&mut self, id: ConnectionId) {
        let now = self.now;
        let connection = &mut *self.tables.connections[id];
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let tuple = connection.tuple;
        if due(connection.limits.user_timeout_at()) {
            self.give_up_on(id, TimerKind::UserTimeout);
            return;
        }
        if due(connection.limits.fin_wait_2_until) {
            self.events.timer(&tuple, TimerKind::FinWait2);
            self.finish(id, None, Cause::Timer(TimerKind::FinWait2));
            return;
        }
        if due(connection.limits.keep_alive_at()) {
            self.events.timer(&tuple, TimerKind::KeepAlive);
            if connection.limits.keep_alive_is_over(now) {
                // Linux tells the peer, who may be there after all, that the connection is over.
                connection.error = Some(connection.soft_error.unwrap_or(ConnectionError::TimedOut));
                self.abort(id, Cause::Timer(TimerKind::KeepAlive));
                return;
            }
            connection.limits.keep_alives += 1;
            if let Some(tcp) = &mut connection.tcp {
                tcp.keep_alive();
            }
        }
        let retries = connection.retries(&self.config);
        while let Some(tcp) = &mut connection.tcp {
            let phase = tcp.phase();
            match tcp.handle_timeout(now, &retries) {
                Some(Expired::Timer(timer)) => {
                    self.events.phase(&tuple, phase, tcp.phase(), false);
                    self.events.timer(&tuple, timer);
                }
                Some(Expired::GiveUp(timer)) => {
                    self.events.timer(&tuple, timer);
                    self.give_up_on(id, TimerKind::UserTimeout);
                    return;
                }
                None => {
                    if connection.limits.unacked_since.is_none() && tcp.sender().map_or(0, Sender::probes) > 0 {
                        connection.limits.unacked_since = Some(now);
                    }
                    break;
                }
            }
        }
        self.mark_dirty(id);
    }

    /// The peer has not answered for too long (RFC 9293, section 3.8.3: R2).
    fn give_up_on(&mut self, id: ConnectionId, timer: TimerKind) {
        let connection = &*self.tables.connections[id];
        let error = connection.soft_error.unwrap_or(ConnectionError::TimedOut);
        self.events.timer(&connection.tuple, timer);
        self.finish(id, Some(error), Cause::Timer(timer));
    }
}
