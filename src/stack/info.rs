//! `TCP_INFO`: what Linux shows of a connection, and the numbers that go with each segment to observers.

use crate::event::{HostEvent, Numbers, Phase, Reason, State};
use crate::time::Duration;

use super::Stack;
use super::connection::ConnectionId;
use super::tcp::{Receiver, Sender};

/// What getsockopt(`TCP_INFO`) gives. Names are those of Linux's `struct tcp_info` without the prefix. Counts of segments
/// are in segments, the rest is in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// `tcpi_state`
    pub state: State,
    /// `tcpi_options`: [`TcpInfo::TIMESTAMPS`], [`TcpInfo::SACK`], [`TcpInfo::WSCALE`], [`TcpInfo::ECN`] as far as both
    /// ends agreed on them.
    pub options: u8,
    /// `tcpi_snd_wscale`: the shift of the windows that the peer advertises.
    pub snd_wscale: u8,
    /// `tcpi_rcv_wscale`: the shift of the windows that we advertise.
    pub rcv_wscale: u8,
    /// `tcpi_rtt`: SRTT, zero before the first sample.
    pub rtt: Duration,
    /// `tcpi_rttvar`
    pub rttvar: Duration,
    /// `tcpi_min_rtt`: zero before the first sample.
    pub min_rtt: Duration,
    /// `tcpi_rto`
    pub rto: Duration,
    /// `tcpi_snd_mss`: bytes of text in a full segment that is sent.
    pub snd_mss: u32,
    /// `tcpi_rcv_mss`: the size of the peer's segments, as estimated for the ACK policy.
    pub rcv_mss: u32,
    /// `tcpi_unacked`: segments in flight, acknowledged selectively or not.
    pub unacked: u32,
    /// `tcpi_sacked`: of them, those that the peer acknowledged selectively.
    pub sacked: u32,
    /// `tcpi_lost`: of them, those that are judged lost.
    pub lost: u32,
    /// `tcpi_retrans`: of them, those whose retransmission is in flight.
    pub retrans: u32,
    /// `tcpi_ca_state`
    pub ca_state: Phase,
    /// `tcpi_backoff`: how often the RTO was doubled since the last RTT sample.
    pub backoff: u8,
    /// `tcpi_probes`: zero-window probes that the peer has not answered.
    pub probes: u8,
    /// `tcpi_snd_wnd`: the window that the peer advertises.
    pub snd_wnd: u32,
    /// `tcpi_rcv_wnd`: the window that we advertise.
    pub rcv_wnd: u32,
    /// `tcpi_rcv_space`: the size of the receive buffer.
    pub rcv_space: usize,
    /// `tcpi_retransmits`: retransmission timeouts since the last progress.
    pub retransmits: u32,
    /// `tcpi_total_retrans`: retransmissions in all, of the SYN too.
    pub total_retrans: u32,
    /// `tcpi_dsack_dups`: retransmissions that a DSACK reported as spurious.
    pub dsack_dups: u32,
    /// `tcpi_snd_cwnd`, in bytes.
    pub snd_cwnd: u64,
    /// `tcpi_snd_ssthresh`, in bytes; `u64::MAX` before the first reduction.
    pub snd_ssthresh: u64,
    /// `pipe` of RFC 6675, in bytes. Linux tells it as packets: unacked - sacked - lost + retrans.
    pub pipe: u64,
    /// `tcpi_notsent_bytes`: bytes that were written and never sent.
    pub notsent_bytes: u64,
    /// `tcpi_delivered`, in bytes as congestion control counts them.
    pub delivered: u64,
    /// `tcpi_pacing_rate`, in bytes per second; `None` without pacing.
    pub pacing_rate: Option<u64>,
    /// `tcpi_reord_seen`: a segment has overtaken another one.
    pub reord_seen: bool,
}

/// The smallest RTT that is shown: on a fast path a packet and its answer are handled in one turn of the loop, with one
/// time.
const LEAST_RTT: Duration = Duration::from_micros(1);

fn shown(rtt: Option<Duration>) -> Option<Duration> {
    rtt.map(|rtt| rtt.max(LEAST_RTT))
}

impl TcpInfo {
    /// `TCPI_OPT_TIMESTAMPS`
    pub const TIMESTAMPS: u8 = 1;
    /// `TCPI_OPT_SACK`
    pub const SACK: u8 = 2;
    /// `TCPI_OPT_WSCALE`
    pub const WSCALE: u8 = 4;
    /// `TCPI_OPT_ECN`
    pub const ECN: u8 = 8;

    /// Of a connection that has sent nothing, or whose TCP is over.
    fn empty(state: State, snd_mss: u32) -> Self {
        Self {
            state,
            options: 0,
            snd_wscale: 0,
            rcv_wscale: 0,
            rtt: Duration::ZERO,
            rttvar: Duration::ZERO,
            min_rtt: Duration::ZERO,
            rto: Duration::ZERO,
            snd_mss,
            rcv_mss: 536,
            unacked: 0,
            sacked: 0,
            lost: 0,
            retrans: 0,
            ca_state: Phase::Open,
            backoff: 0,
            probes: 0,
            snd_wnd: 0,
            rcv_wnd: 0,
            rcv_space: 0,
            retransmits: 0,
            total_retrans: 0,
            dsack_dups: 0,
            snd_cwnd: 0,
            snd_ssthresh: u64::MAX,
            pipe: 0,
            notsent_bytes: 0,
            delivered: 0,
            pacing_rate: None,
            reord_seen: false,
        }
    }

    fn set_sender(&mut self, sender: &Sender) {
        let (recovery, controller) = (sender.recovery(), sender.controller());
        let totals = recovery.board().totals();
        // Zero would mean that there is no sample. Linux too gives at least one microsecond.
        self.rtt = shown(recovery.srtt()).unwrap_or_default();
        self.rttvar = recovery.rttvar();
        self.min_rtt = shown(recovery.min_rtt()).unwrap_or_default();
        self.rto = recovery.rto();
        self.snd_mss = sender.mss();
        self.unacked = recovery.board().units().len() as u32;
        (self.sacked, self.lost, self.retrans) = (totals.sacked_units, totals.lost_units, totals.retransmitted_units);
        self.ca_state = recovery.phase();
        self.backoff = recovery.backoff().min(255) as u8;
        self.probes = sender.probes().min(255) as u8;
        self.snd_wnd = sender.snd_wnd();
        self.retransmits = sender.timeouts();
        self.dsack_dups = recovery.counters().spurious as u32;
        (self.snd_cwnd, self.snd_ssthresh, self.pipe) = (controller.cwnd(), controller.ssthresh(), recovery.pipe());
        self.notsent_bytes = sender.unsent();
        self.delivered = recovery.delivered();
        self.pacing_rate = sender.pacing_rate();
        self.reord_seen = recovery.reordering_seen();
    }

    fn set_receiver(&mut self, receiver: &Receiver) {
        (self.rcv_mss, self.rcv_wnd, self.rcv_space) =
            (receiver.peer_mss(), receiver.rcv_wnd(), receiver.buffer_size());
    }
}

impl Stack {
    /// Publishes what a connection knows, right after it has sent.
    pub(super) fn tell_numbers(&mut self, id: ConnectionId, reason: Option<Reason>) {
        if !self.events.numbers {
            return;
        }
        let Some(connection) = self.tables.connections.get(id) else { return };
        let Some(tcp) = &connection.tcp else { return };
        let mut numbers = Numbers { reason, rto: Some(self.config.initial_rto), ..Numbers::default() };
        if let Some(sender) = tcp.sender() {
            let (recovery, controller) = (sender.recovery(), sender.controller());
            let bounded = |bytes: u64| (bytes != u64::MAX).then_some(bytes);
            numbers = Numbers {
                srtt: shown(recovery.srtt()),
                rttvar: recovery.srtt().map(|_| recovery.rttvar()),
                rto: Some(recovery.rto()),
                cwnd: bounded(controller.cwnd()),
                ssthresh: bounded(controller.ssthresh()),
                flight_size: Some(recovery.flight_size().into()),
                pipe: Some(recovery.pipe()),
                phase: Some(recovery.phase()),
                reason,
            };
        }
        let (local, remote) = (connection.tuple.local_addr(), connection.tuple.remote_addr());
        self.events.push(HostEvent::Numbers { local, remote, numbers });
    }

    /// What there is to know of a connection.
    pub(crate) fn tcp_info(&self, id: ConnectionId) -> TcpInfo {
        let connection = &*self.tables.connections[id];
        let mut info = TcpInfo::empty(self.shown_state(connection), self.snd_mss(id));
        let Some(tcp) = &connection.tcp else { return info };
        info.total_retrans = tcp.retransmissions() as u32;
        let (Some(terms), Some(sender), Some(receiver)) = (tcp.terms(), tcp.sender(), tcp.receiver()) else {
            info.rto = self.config.initial_rto;
            return info;
        };
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        info.options = bit(terms.timestamps, TcpInfo::TIMESTAMPS)
            | bit(terms.sack, TcpInfo::SACK)
            | bit(terms.shifts.is_some(), TcpInfo::WSCALE)
            | bit(terms.ecn, TcpInfo::ECN);
        (info.rcv_wscale, info.snd_wscale) = terms.shifts.unwrap_or_default();
        info.set_sender(sender);
        info.set_receiver(receiver);
        info
    }

    /// The name of the congestion controller of a connection (`TCP_CONGESTION`).
    pub(crate) fn controller_name(&self, id: ConnectionId) -> Option<&str> {
        let tcp = self.tables.connections[id].tcp.as_ref()?;
        tcp.sender().map(|sender| sender.controller().name())
    }

    /// The sizes of the receive and the send buffer, as they are now; `None` before the handshake and when TCP is over.
    pub(crate) fn buffer_sizes(&self, id: ConnectionId) -> Option<(usize, usize)> {
        let tcp = self.tables.connections[id].tcp.as_ref()?;
        Some((tcp.receiver()?.buffer_size(), tcp.sender()?.buffer_size()))
    }

    /// Bytes that were written and not acknowledged (`SIOCOUTQ`).
    pub(crate) fn unacknowledged(&self, id: ConnectionId) -> usize {
        let tcp = self.tables.connections[id].tcp.as_ref();
        tcp.and_then(|tcp| tcp.sender()).map_or(0, Sender::queued)
    }

    /// Bytes of text in a full segment (`TCP_MAXSEG`).
    pub(crate) fn snd_mss(&self, id: ConnectionId) -> u32 {
        let connection = &*self.tables.connections[id];
        connection.tcp.as_ref().and_then(|tcp| tcp.sender()).map_or(536, Sender::mss)
    }
}
