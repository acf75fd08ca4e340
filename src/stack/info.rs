//! `TCP_INFO`: what Linux shows of a connection, as far as it exists here.

use crate::conversation::Side;
use crate::event::{HostEvent, Numbers, Phase, State};
use crate::time::Duration;

use super::Stack;
use super::connection::ConnectionId;

/// What getsockopt(`TCP_INFO`) gives. Names are those of Linux's `struct tcp_info` without the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// `tcpi_state`
    pub state: State,
    /// `tcpi_options`: [`TcpInfo::TIMESTAMPS`], [`TcpInfo::SACK`], [`TcpInfo::WSCALE`] as far as both ends offered them.
    pub options: u8,
    /// `tcpi_rtt`: SRTT, zero before the first measurement.
    pub rtt: Duration,
    /// `tcpi_rttvar`
    pub rttvar: Duration,
    /// `tcpi_rto`
    pub rto: Duration,
    /// `tcpi_snd_mss`: octets of data in a full segment that is sent.
    pub snd_mss: u32,
    /// `tcpi_rcv_mss`: the largest segment received so far, at least 536 as Linux begins, at most the MTU allows.
    pub rcv_mss: u32,
    /// `tcpi_unacked`: segments in flight, counted in full ones.
    pub unacked: u32,
    /// `tcpi_ca_state`, as far as it exists here.
    pub ca_state: Phase,
    /// `tcpi_backoff`: timeouts since the last progress, each of which doubled the RTO.
    pub backoff: u8,
    /// `tcpi_probes`: zero-window probes since the window closed.
    pub probes: u8,
    /// `tcpi_snd_wnd`: the window that the peer advertises, in octets.
    pub snd_wnd: u32,
    /// Duplicate ACKs in a row.
    pub dup_acks: u8,
    /// `tcpi_retransmits`: retransmissions since the last progress.
    pub retransmits: u32,
    /// `tcpi_total_retrans`: retransmissions in all.
    pub total_retrans: u32,
    /// `tcpi_snd_cwnd`, but in octets.
    pub snd_cwnd: usize,
    /// `tcpi_snd_ssthresh`, but in octets.
    pub snd_ssthresh: usize,
}

impl TcpInfo {
    /// `TCPI_OPT_TIMESTAMPS`
    pub const TIMESTAMPS: u8 = 1;
    /// `TCPI_OPT_SACK`
    pub const SACK: u8 = 2;
    /// `TCPI_OPT_WSCALE`
    pub const WSCALE: u8 = 4;
}

impl Stack {
    /// Tells those who asked for it what a connection knows, right after it has sent.
    pub(super) fn tell_numbers(&mut self, id: ConnectionId) {
        if !self.events.numbers {
            return;
        }
        let Some(connection) = self.tables.connections.get(id) else { return };
        let (tuple, watch) = (&connection.tuple, &connection.watch);
        let bounded = |octets: usize| (octets != usize::MAX).then_some(octets as u64);
        let numbers = Numbers {
            srtt: watch.srtt(),
            rttvar: watch.rttvar(),
            rto: Some(watch.rto()),
            cwnd: bounded(watch.cwnd()),
            ssthresh: bounded(watch.ssthresh()),
            flight_size: Some(connection.conversation.sender(Side::Local).flight_size().into()),
            phase: Some(watch.phase()),
            ..Numbers::default()
        };
        let (local, remote) = (tuple.local_addr(), tuple.remote_addr());
        self.events.push(HostEvent::Numbers { local, remote, numbers });
    }

    /// What there is to know of a connection.
    pub(crate) fn tcp_info(&self, id: ConnectionId) -> TcpInfo {
        let connection = &*self.tables.connections[id];
        let (conversation, watch) = (&connection.conversation, &connection.watch);
        let (ours, theirs) = (conversation.sender(Side::Local), conversation.sender(Side::Remote));
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let snd_mss = self.snd_mss(id);
        TcpInfo {
            state: self.shown_state(connection),
            options: bit(conversation.timestamps(), TcpInfo::TIMESTAMPS)
                | bit(conversation.sack(), TcpInfo::SACK)
                | bit(conversation.window_scaling(), TcpInfo::WSCALE),
            rtt: watch.srtt().unwrap_or_default(),
            rttvar: watch.rttvar().unwrap_or_default(),
            rto: watch.rto(),
            snd_mss,
            rcv_mss: connection.largest_received.max(536.min(u32::from(theirs.offer.mss.unwrap_or(536)))),
            unacked: ours.flight_size().div_ceil(snd_mss.max(1)),
            ca_state: watch.phase(),
            backoff: watch.timeouts(),
            probes: watch.probes(),
            snd_wnd: watch.snd_wnd(),
            dup_acks: watch.dup_acks(),
            retransmits: ours.retries,
            total_retrans: watch.total_retransmissions(),
            snd_cwnd: watch.cwnd(),
            snd_ssthresh: watch.ssthresh(),
        }
    }

    /// Octets of data in a full segment: the least of what the MTU, `TCP_MAXSEG` and the peer allow, less the options
    /// that every segment carries (RFC 6691).
    pub(crate) fn snd_mss(&self, id: ConnectionId) -> u32 {
        let connection = &*self.tables.connections[id];
        let headers = if connection.tuple.remote.ip().is_ipv4() { 40 } else { 60 };
        let ours = (self.config.mtu - headers) as u32;
        let theirs = u32::from(connection.conversation.sender(Side::Remote).offer.mss.unwrap_or(536));
        let max_seg = connection.max_seg.map_or(u32::MAX, u32::from);
        let options = if connection.conversation.timestamps() { 12 } else { 0 };
        ours.min(theirs).min(max_seg).saturating_sub(options)
    }
}
