//! The way of a packet out of the host: answers first, then each dirty connection in order of first touch until it has
//! nothing due (law 5), then its deadline. What goes to an address of this host comes back in.

use crate::conversation::Side;
use crate::event::{Cause, State, TimerKind};
use crate::segment::{IpView, Packet};
use crate::time::{Duration, Instant};

use super::config::HostConfig;
use super::connection::{Connection, ConnectionError, ConnectionId, Owner, earlier};
use super::note::note_egress;
use super::watch::{Departure, Snapshot};
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
        let dirty = &mut self.tables.connections[id].dirty;
        if !core::mem::replace(dirty, true) {
            self.dirty.push_back(id);
        }
    }

    /// Marks a connection to be given its egress, and its descriptor to be looked at.
    pub(super) fn touch(&mut self, id: ConnectionId) {
        let connection = &mut *self.tables.connections[id];
        if !core::mem::replace(&mut connection.dirty, true) {
            self.dirty.push_back(id);
        }
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
                match self.connection_egress(id, packet) {
                    Egress::Sent => return true,
                    Egress::Looped => self.loop_back(packet),
                    Egress::Nothing => {
                        self.dirty.pop_front();
                    }
                }
                continue;
            }
            let Some(looped) = self.queues.loopback.pop_front() else {
                packet.bytes.clear();
                return false;
            };
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
            match self.connection_egress(id, &mut packet) {
                Egress::Sent => {
                    let spare = self.queues.take_spare();
                    self.queues.out.push_back(core::mem::replace(&mut packet, spare));
                }
                Egress::Looped => self.loop_back(&mut packet),
                Egress::Nothing => break,
            }
        }
        self.queues.give_back(packet);
    }

    /// Lets a connection send one packet. If it has nothing due, its deadline is set.
    fn connection_egress(&mut self, id: ConnectionId, packet: &mut Packet) -> Egress {
        let (now, mtu) = (self.now, self.config.mtu);
        let Some(connection) = self.tables.connections.get_mut(id) else { return Egress::Nothing };
        let connection = &mut **connection;
        let Some(tcp) = &mut connection.tcp else {
            connection.dirty = false;
            return Egress::Nothing;
        };
        // After the last SYN there is nothing to send: smoltcp, whose RTO ends at 60 s, would send one more before the
        // 64 s are over that this host waits for its answer.
        let last_syn_is_out = connection.state == State::SynSent && connection.limits.give_up_at.is_some();
        let mut next_at = if last_syn_is_out { None } else { tcp.next_at(&mut self.interface, now) };
        if next_at.is_some_and(|at| at <= now) {
            let (state, before) = (connection.state, Snapshot::of(tcp.socket()));
            if tcp.egress(&mut self.interface, mtu, now, &mut packet.bytes) {
                connection.state = tcp.state();
                let mut departure = None;
                let flags = note_egress(connection, now, &mut packet.bytes, |watch, segment| {
                    departure = watch.on_egress(now, Some(segment), before);
                });
                if let Some(Departure::Timeout { .. }) = departure {
                    self.events.timer(&connection.tuple, TimerKind::Retransmission);
                }
                let sent = if connection.loops_back { Egress::Looped } else { Egress::Sent };
                limit_retransmissions(connection, &self.config, now);
                let changed = connection.state != state;
                self.tell_numbers(id);
                if changed {
                    self.follow_state(id, state, Cause::Sent(flags));
                }
                return sent;
            }
            connection.watch.on_egress(now, None, before);
            connection.state = tcp.state();
            next_at = tcp.next_at(&mut self.interface, now).map(|at| at.max(now + MINIMUM_WAIT));
        }
        let at = earlier(next_at, connection.limits.next_at());
        self.timers.set(TimerOwner::Connection(id), &mut connection.deadline, at);
        connection.dirty = false;
        // A reset that had nothing to say (no peer yet) ends here; one that had, in `follow_state`.
        if connection.state == State::Closed {
            self.finish(id, None, Cause::Call("close"));
        }
        Egress::Nothing
    }

    /// A timer of a connection went off: the host's own limits, then smoltcp's.
    pub(super) fn on_connection_timer(&mut self, id: ConnectionId) {
        let now = self.now;
        let connection = &mut *self.tables.connections[id];
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let tuple = connection.tuple;
        if due(connection.limits.give_up_at) || due(connection.limits.user_timeout_at()) {
            self.events.timer(&tuple, TimerKind::UserTimeout);
            let error = connection.soft_error.unwrap_or(ConnectionError::TimedOut);
            self.finish(id, Some(error), Cause::Timer(TimerKind::UserTimeout));
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
                // smoltcp sends one probe when an interval is set, and none when it is gone again.
                tcp.socket_mut().set_keep_alive(Some(smoltcp::time::Duration::from_secs(1)));
                tcp.socket_mut().set_keep_alive(None);
            }
        }
        self.mark_dirty(id);
    }
}

/// After the last retransmission that is allowed, the connection waits one RTO more and is given up (RFC 9293,
/// section 3.8.3: R2).
fn limit_retransmissions(connection: &mut Connection, config: &HostConfig, now: Instant) {
    let allowed = match connection.state {
        State::SynSent => config.syn_retries,
        State::SynReceived => config.synack_retries,
        _ if connection.owner == Owner::Orphan => config.orphan_retries,
        _ => connection.limits.retries,
    };
    // A window that stays closed is no reason to stop as long as the peer answers (RFC 9293, section 3.8.6.1).
    let ours = connection.conversation.sender(Side::Local);
    let retries = ours.retries.max(connection.limits.window_probes);
    let waits = retries > 0 || ours.snd_una != ours.snd_nxt;
    if retries >= allowed && waits && connection.limits.give_up_at.is_none() {
        let timeout = match connection.state {
            // Linux's 127 seconds in all for 6 retries.
            State::SynSent => Duration::from_secs(1 << retries.min(6)),
            _ => connection.watch.rto(),
        };
        connection.limits.give_up_at = Some(now + timeout);
    }
}

/// smoltcp never says "now" without sending; should it, the host does not spin.
const MINIMUM_WAIT: Duration = Duration::from_millis(1);
