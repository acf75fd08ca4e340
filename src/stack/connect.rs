//! How a connection begins by connect (RFC 9293, section 3.10.1), and what a new connection starts from.

use std::sync::Arc;

use crate::event::{Cause, State};
use crate::recovery::TsClock;
use crate::time::Duration;

use super::address::FourTuple;
use super::config::TcpOptions;
use super::connection::{Connection, ConnectionId, Limits, Owner, Shut, Tally, Unread};
use super::tcp::{Context, Tcp};
use super::timers::Deadline;
use super::{Slot, Stack};

/// `TSval` counts milliseconds, as on Linux (RFC 7323, section 5.4, allows 1 ms to 1 s).
pub(super) const TS_TICK: Duration = Duration::from_millis(1);

impl Stack {
    /// Begins an active open. The caller has chosen both ends and made sure that the tuple is free.
    pub(super) fn open(&mut self, tuple: FourTuple, options: &Arc<TcpOptions>, token: u32) -> ConnectionId {
        let now = self.now;
        let iss = self.secret.initial_sequence_number(&tuple, now);
        let (clock, seed) = (self.ts_clock(&tuple), self.secret.controller_seed(&tuple));
        let mtu = self.path_mtu(&tuple);
        let context = &mut Context { now, config: &self.config, pool: &mut self.pool, machines: &mut self.machines };
        let tcp = Tcp::connect(context, tuple, options, iss, clock, seed, mtu);
        let connection = self.make_connection(tuple, tcp, options, Owner::Descriptor(token), true);
        let id = self.tables.connections.insert(Box::new(connection));
        self.tables.exact.insert(tuple, Slot::Connection(id));
        self.events.state(&tuple, State::Closed, State::SynSent, Cause::Call("connect"));
        self.touch(id);
        id
    }

    /// The timestamp clock of a connection.
    pub(super) fn ts_clock(&self, tuple: &FourTuple) -> TsClock {
        TsClock::new(self.secret.timestamp_offset(tuple), TS_TICK)
    }

    /// The MTU of the path to the other end, as far as it is known.
    pub(super) fn path_mtu(&self, tuple: &FourTuple) -> usize {
        self.path_mtus.of(self.now, tuple.remote, self.config.mtu)
    }

    pub(super) fn make_connection(
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
            deadline: Deadline::default(),
            dirty: false,
            resting: false,
            loops_back: self.addresses.is_own(tuple.remote.ip()),
            active,
            reuse: false,
            fin_received: false,
            limits: Limits {
                user_timeout: options.user_timeout,
                unacked_since: None,
                fin_wait_2_until: None,
                keep_alive: options.keep_alive.then(|| Box::new(options.keep_alive_times)),
                heard_at: self.now,
                keep_alives: 0,
                idle: false,
            },
            shut: Shut::default(),
            error: None,
            soft_error: None,
            time_wait: None,
            unread: Unread::default(),
            account: Tally::default(),
        }
    }
}
