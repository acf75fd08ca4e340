//! How connections end: what follows from a change of state, TIME-WAIT as a record, and the end of TCP (RFC 9293,
//! sections 3.6 and 3.10.4 to 3.10.7).

use crate::event::{Cause, DropReason, State, TimerKind};
use crate::segment::{Flags, Segment};
use crate::time::Instant;

use super::connection::{Connection, ConnectionError, ConnectionId, Owner, Unread};
use super::half_open::connection_holder;
use super::tcp::{Context, Receiver, Sender};
use super::time_wait::{Outcome, TimeWait, TimeWaitId};
use super::{Slot, Stack, Tables};

/// More records than this, and the oldest goes before its time. Linux's `tcp_max_tw_buckets`.
const TIME_WAIT_LIMIT: usize = 262_144;

impl Stack {
    /// Does what a new state of a connection asks for.
    pub(super) fn follow_state(&mut self, id: ConnectionId, before: State, cause: Cause) {
        let now = self.now;
        let connection = &mut *self.tables.connections[id];
        let after = connection.state;
        if before == after {
            return;
        }
        self.events.state(&connection.tuple, before, after, cause);
        if matches!(before, State::SynSent | State::SynReceived) && after != State::Closed {
            self.on_established(id);
        }
        let connection = &mut *self.tables.connections[id];
        match connection.state {
            State::FinWait2 if connection.owner == Owner::Orphan => {
                connection.limits.fin_wait_2_until = Some(now + self.config.fin_timeout);
            }
            State::TimeWait => self.enter_time_wait(id),
            State::Closed => {
                let error = match (cause, before) {
                    (Cause::Received(_), State::SynSent) => Some(ConnectionError::Refused),
                    (Cause::Received(_), State::SynReceived) if connection.active => Some(ConnectionError::Refused),
                    (Cause::Received(_), State::CloseWait) => Some(ConnectionError::ResetAfterFin),
                    // Not the last ACK in LAST-ACK, but an RST, or a SYN that resets (RFC 793, section 3.9).
                    (Cause::Received(flags), _) if flags.intersects(Flags::RST | Flags::SYN) => {
                        Some(ConnectionError::Reset)
                    }
                    _ => None,
                };
                self.finish(id, error, cause);
            }
            _ => {}
        }
    }

    fn on_established(&mut self, id: ConnectionId) {
        let now = self.now;
        let connection = &mut *self.tables.connections[id];
        if matches!(connection.state, State::SynReceived) || connection.account.opened_at.is_some() {
            return;
        }
        connection.account.opened_at = Some(now);
    }

    /// Sends a FIN after what is in the send buffer (RFC 9293, section 3.10.4).
    pub(super) fn end_writing(&mut self, id: ConnectionId, call: &'static str) {
        let connection = &mut *self.tables.connections[id];
        connection.shut.write = true;
        let Some(tcp) = &mut connection.tcp else { return };
        let before = connection.state;
        tcp.shutdown(&mut Context {
            now: self.now,
            config: &self.config,
            pool: &mut self.pool,
            machines: &mut self.machines,
        });
        connection.state = tcp.state();
        self.follow_state(id, before, Cause::Call(call));
        self.touch(id);
    }

    /// RFC 9293, section 3.10.5: an RST, and nothing that was queued; silently where the peer knows of no connection or
    /// both FINs are already under way.
    pub(super) fn abort(&mut self, id: ConnectionId, cause: Cause) {
        // A kernel has sent by now what the application wrote before it closed.
        if matches!(cause, Cause::Call(_)) && self.tables.connections[id].state != State::SynSent {
            self.send_due(id);
        }
        let Some(connection) = self.tables.connections.get_mut(id) else { return };
        let connection = &mut **connection;
        let Some(tcp) = &mut connection.tcp else { return };
        if matches!(connection.state, State::SynSent | State::Closing | State::LastAck) {
            self.finish(id, None, cause);
            return;
        }
        let before = connection.state;
        tcp.abort(&mut self.machines);
        connection.state = State::Closed;
        self.events.state(&connection.tuple, before, State::Closed, cause);
        self.touch(id);
    }

    /// Ends TCP for a connection: the tuple and the port are free. What was received stays for a
    /// descriptor to read.
    pub(super) fn finish(&mut self, id: ConnectionId, error: Option<ConnectionError>, cause: Cause) {
        let connection = &mut *self.tables.connections[id];
        let tuple = connection.tuple;
        if connection.tcp.is_none() {
            return;
        }
        self.events.state(&tuple, connection.state, State::Closed, cause);
        connection.state = State::Closed;
        connection.error = connection.error.or(error);
        let holder = connection_holder(&tuple, connection.reuse);
        self.tables.exact.remove(&tuple);
        self.ports.release(tuple.local_port, &holder);
        self.drop_tcp(id);
    }

    /// Takes TCP from a connection and gives its memory back; forgets the connection if nobody has it.
    fn drop_tcp(&mut self, id: ConnectionId) {
        let now = self.now;
        let connection = &mut *self.tables.connections[id];
        self.retransmissions += connection.retransmissions();
        let Some(mut tcp) = connection.tcp.take() else { return };
        connection.account.closed_at = Some(now);
        connection.limits.stop();
        connection.unread = Unread::new(tcp.release(&mut self.pool));
        match connection.owner {
            Owner::Orphan => {
                self.tables.connections.remove(id);
            }
            Owner::Descriptor(token) => self.ready.push(token),
            Owner::Queue(_) => {}
        }
    }

    /// RFC 9293, section 3.10.7.4: the FIN is acknowledged, the rest is waiting. The record does both.
    fn enter_time_wait(&mut self, id: ConnectionId) {
        let now = self.now;
        let connection = &*self.tables.connections[id];
        let Some(tcp) = &connection.tcp else { return };
        let rcv_wnd = tcp.receiver().map_or(0, Receiver::rcv_wnd);
        let shift = tcp.terms().and_then(|terms| terms.shifts).map_or(0, |(ours, _)| ours);
        let record = TimeWait {
            tuple: connection.tuple,
            snd_nxt: tcp.sender().map_or(tcp.sent().1, Sender::snd_nxt),
            rcv_nxt: tcp.rcv_nxt(),
            window: u16::try_from(rcv_wnd >> shift).unwrap_or(u16::MAX),
            rcv_wnd,
            ts_recent: tcp.ts_recent(),
            clock: *tcp.clock(),
            layout: self.config.option_layout,
            until: now + self.config.time_wait,
            quiet_until: now,
            reuse: connection.reuse,
        };
        // After a simultaneous close the peer's FIN may have been acknowledged before.
        if tcp.owes_ack() {
            self.queues.send(&record.ack(now));
        }
        let (tuple, until) = (record.tuple, record.until);
        let record_id = self.tables.time_wait.insert(record);
        self.tables.exact.insert(tuple, Slot::TimeWait(record_id));
        self.tables.connections[id].time_wait = Some(record_id);
        self.push_time_wait_end(until, record_id);
        if self.tables.time_wait.len() > TIME_WAIT_LIMIT
            && self.next_time_wait_end().is_some()
            && let Some((_, oldest)) = self.tables.time_wait_ends.pop_front()
        {
            self.forget_time_wait(oldest, Cause::Timer(TimerKind::TimeWait));
        }
        self.drop_tcp(id);
    }

    /// A segment for a connection in TIME-WAIT.
    pub(super) fn time_wait_ingress(&mut self, id: TimeWaitId, segment: &Segment<'_>) -> Result<(), DropReason> {
        let (now, period, needs_ack) = (self.now, self.config.time_wait, self.config.time_wait_needs_ack);
        let listens = self.listener_for(&self.tables.time_wait[id].tuple).is_some();
        let record = &mut self.tables.time_wait[id];
        match record.handle_segment(now, segment, listens, needs_ack) {
            Outcome::Ack { restart } => {
                let ack = record.ack(now);
                if restart {
                    record.until = now + period;
                    self.push_time_wait_end(now + period, id);
                }
                self.queues.send(&ack);
                Err(DropReason::TimeWait)
            }
            Outcome::Ignore => Err(DropReason::TimeWait),
            Outcome::Reset => {
                self.forget_time_wait(id, Cause::Received(segment.flags));
                Err(DropReason::TimeWait)
            }
            Outcome::Reuse => {
                let (tuple, snd_nxt) = (record.tuple, record.snd_nxt);
                let Some(listener) = self.listener_for(&tuple) else { return Err(DropReason::TimeWait) };
                self.forget_time_wait(id, Cause::Received(segment.flags));
                self.listener_ingress(listener, &tuple, segment, Some(snd_nxt))
            }
        }
    }

    fn forget_time_wait(&mut self, id: TimeWaitId, cause: Cause) {
        let Some(record) = self.tables.time_wait.remove(id) else { return };
        self.tables.exact.remove(&record.tuple);
        self.ports.release(record.tuple.local_port, &connection_holder(&record.tuple, record.reuse));
        self.events.state(&record.tuple, State::TimeWait, State::Closed, cause);
    }

    /// The state that a program is shown: CLOSED once the record that took over from the connection has ended.
    pub(super) fn shown_state(&self, connection: &Connection) -> State {
        let waits = |id| self.tables.time_wait.contains_key(id);
        match connection.state {
            State::TimeWait if !connection.time_wait.is_some_and(waits) => State::Closed,
            state => state,
        }
    }

    /// Puts a record at the end of the queue. Entries that mean nothing go when they are the greater part: a FIN that is
    /// retransmitted without end takes no memory.
    fn push_time_wait_end(&mut self, until: Instant, id: TimeWaitId) {
        let Tables { time_wait, time_wait_ends: ends, .. } = &mut self.tables;
        ends.push_back((until, id));
        if ends.len() > 2 * time_wait.len() + 64 {
            ends.retain(|(until, id)| time_wait.get(*id).is_some_and(|record| record.until == *until));
        }
    }

    /// When the next TIME-WAIT ends. Entries of records that have gone or begun again are skipped.
    pub(super) fn next_time_wait_end(&mut self) -> Option<Instant> {
        while let Some((until, id)) = self.tables.time_wait_ends.front().copied() {
            if self.tables.time_wait.get(id).is_some_and(|record| record.until == until) {
                return Some(until);
            }
            self.tables.time_wait_ends.pop_front();
        }
        None
    }

    pub(super) fn end_time_waits(&mut self) {
        while self.next_time_wait_end().is_some_and(|until| until <= self.now) {
            if let Some((_, id)) = self.tables.time_wait_ends.pop_front() {
                if let Some(record) = self.tables.time_wait.get(id) {
                    let tuple = record.tuple;
                    self.events.timer(&tuple, TimerKind::TimeWait);
                }
                self.forget_time_wait(id, Cause::Timer(TimerKind::TimeWait));
            }
        }
    }
}
