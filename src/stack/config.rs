//! What a host is told when it is made.

use core::net::IpAddr;

use crate::time::Duration;

use super::connection::KeepAlive;

/// How the sender is throttled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Congestion {
    /// Not at all: only where nothing is a bottleneck (replay and drill). Behind one the sender drowns in its own
    /// retransmissions.
    None,
    /// RFC 5681.
    #[default]
    Reno,
    /// RFC 9438.
    Cubic,
}

/// Settings of a host. Start from [`HostConfig::default`] and change what differs.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // sysctl(8) has them one by one
pub struct HostConfig {
    /// Everything random about this host follows from it: initial sequence numbers, ephemeral ports, timestamp offsets.
    pub seed: u64,
    /// The addresses of the host with the length of their on-link prefix.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Whether addresses outside the prefixes are reached through a router.
    pub default_route: bool,
    /// The largest packet of the interface, in octets (576 to 65,535).
    pub mtu: usize,
    /// Octets of the receive buffer of a new TCP socket, and of a UDP socket's queue.
    pub rcv_buf: usize,
    /// Octets of the send buffer of a new TCP socket.
    pub snd_buf: usize,
    /// Congestion control of every connection.
    pub congestion: Congestion,
    /// Whether to offer timestamps (RFC 7323).
    pub timestamps: bool,
    /// How long an ACK may be delayed (RFC 9293, section 3.8.6.3); `None` is not at all.
    pub ack_delay: Option<Duration>,
    /// Whether a new socket has `TCP_NODELAY`; without it Nagle's algorithm holds small segments back (RFC 9293, section
    /// 3.7.4).
    pub nodelay: bool,
    /// Whether a new socket has `SO_KEEPALIVE`.
    pub keep_alive: bool,
    /// How long a connection is idle before the first probe, unless a socket says otherwise. Linux's `tcp_keepalive_time`.
    pub keep_alive_idle: Duration,
    /// From one probe to the next. Linux's `tcp_keepalive_intvl`.
    pub keep_alive_interval: Duration,
    /// Probes without an answer before the connection is given up. Linux's `tcp_keepalive_probes`.
    pub keep_alive_probes: u32,
    /// The largest backlog that a listener gets, whatever it asks for. Linux's `somaxconn`.
    pub backlog_limit: usize,
    /// How long TIME-WAIT lasts: 2MSL. Linux's 60 s.
    pub time_wait: Duration,
    /// Retransmissions of a SYN before connect fails. Linux's `tcp_syn_retries`.
    pub syn_retries: u32,
    /// Retransmissions of a SYN|ACK before the half-open connection goes. Linux's `tcp_synack_retries`.
    pub synack_retries: u32,
    /// Retransmissions of data before the connection is given up. Linux's `tcp_retries2`.
    pub retries: u32,
    /// Retransmissions by a connection that has no application any more. Linux's `tcp_orphan_retries`.
    pub orphan_retries: u32,
    /// How long a connection without an application waits in FIN-WAIT-2. Linux's `tcp_fin_timeout`.
    pub fin_timeout: Duration,
    /// Descriptors that can be open at once.
    pub descriptor_limit: usize,
    /// Octets that all socket buffers of the host may take; beyond it a new connection finds no buffer space.
    pub buffer_limit: usize,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            addresses: Vec::new(),
            default_route: true,
            mtu: 1500,
            rcv_buf: 64 * 1024,
            snd_buf: 64 * 1024,
            congestion: Congestion::default(),
            timestamps: true,
            ack_delay: Some(Duration::from_millis(10)),
            nodelay: false,
            keep_alive: false,
            keep_alive_idle: Duration::from_hours(2),
            keep_alive_interval: Duration::from_secs(75),
            keep_alive_probes: 9,
            backlog_limit: 4096,
            time_wait: Duration::from_mins(1),
            syn_retries: 6,
            synack_retries: 5,
            retries: 15,
            orphan_retries: 8,
            fin_timeout: Duration::from_mins(1),
            descriptor_limit: 1 << 20,
            buffer_limit: usize::MAX,
        }
    }
}

/// The TCP options of a socket; connections are made with them, and accepted ones inherit those of the listener.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // setsockopt(2) has them one by one
pub(crate) struct TcpOptions {
    pub(crate) rcv_buf: usize,
    pub(crate) snd_buf: usize,
    pub(crate) nodelay: bool,
    pub(crate) quick_ack: bool,
    pub(crate) keep_alive: bool,
    pub(crate) keep_alive_times: KeepAlive,
    pub(crate) user_timeout: Option<Duration>,
    pub(crate) max_seg: Option<u16>,
    pub(crate) ttl: u8,
}
