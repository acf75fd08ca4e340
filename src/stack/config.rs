//! The settings of a host, and the TCP options of a socket. Everything that an experiment may want to set is a field of
//! [`HostConfig`]; its defaults are those of Linux. The comment of a field names Linux's sysctl or call for it, if there
//! is one, and the RFC. Scenario files set the fields by name, programs set them with `Sim::host_with`.

use core::net::IpAddr;

use crate::congestion::{Algorithm, Algorithms};
use crate::segment::OptionLayout;
use crate::time::Duration;

use super::connection::KeepAlive;

/// When a receiver tells that its window is open again after the application has read (RFC 9293, section 3.8.6.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum WindowUpdate {
    /// When the window has at least doubled, as on Linux.
    #[default]
    Doubled,
    /// When the window has grown by two segments or by half of the buffer, as on BSD. The window field of every segment
    /// then has all free space, unless that is less than a segment and less than a quarter of the buffer.
    TwoSegments,
    /// When the window has grown by a segment or by half of the buffer, as the RFC has it.
    Segment,
}

/// When a listener answers a SYN with a SYN cookie (RFC 4987, section 3.6). Linux: `tcp_syncookies`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum SynCookies {
    /// Never: a SYN that finds the SYN queue full is dropped. Linux: 0.
    Off,
    /// When the SYN queue is full. Linux: 1.
    #[default]
    On,
    /// Always. Linux: 2.
    Always,
}

/// Settings of a host. Start from [`HostConfig::default`] and change what differs.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // sysctl(8) has them one by one
pub struct HostConfig {
    /// Random seed of the host: initial sequence numbers, ephemeral ports, timestamp offsets and the draws of controllers
    /// follow from it.
    pub seed: u64,
    /// The addresses of the host with the length of their on-link prefix.
    pub addresses: Vec<(IpAddr, u8)>,
    /// True if addresses outside of the prefixes are reached through a router.
    pub default_route: bool,
    /// The largest packet of the interface, in bytes (576 to 65,535).
    pub mtu: usize,

    /// The congestion controller of a new socket. Linux: `tcp_congestion_control`.
    pub congestion: Algorithm,
    /// The controllers that `TCP_CONGESTION` can name on this host. Linux: `tcp_available_congestion_control`.
    pub algorithms: Algorithms,
    /// The initial window in segments (RFC 6928: 10). Linux: `initcwnd` of a route.
    pub initial_window: u32,
    /// True if senders pace what they send, whatever the controller is. BBR always paces. Linux: the queue discipline `fq`.
    pub pacing: bool,
    /// True if cwnd is reduced to the restart window after an idle time of more than one RTO (RFC 5681, section 4.1).
    /// Linux: `tcp_slow_start_after_idle`.
    pub idle_restart: bool,
    /// True if Reno and CUBIC end the first slow start by the delay (`HyStart++`, RFC 9406). Linux: the parameter `hystart`
    /// of the module `tcp_cubic`.
    pub hystart: bool,

    /// `SO_RCVBUF` of a new socket in bytes: the receive buffer has this size. `None`: the buffer of a TCP socket grows
    /// with the flow from [`rcv_buf_initial`](Self::rcv_buf_initial) to [`rcv_buf_max`](Self::rcv_buf_max), and the
    /// queue of a UDP socket has [`udp_buf`](Self::udp_buf).
    pub rcv_buf: Option<usize>,
    /// Bytes of a receive buffer that grows, at first. Linux has 128 KiB in `tcp_rmem`, and counts half of it as window.
    pub rcv_buf_initial: usize,
    /// Bytes that a receive buffer grows to at most. Linux: the third number of `tcp_rmem`.
    pub rcv_buf_max: usize,
    /// `SO_SNDBUF` of a new socket in bytes: the send buffer has this size. `None`: it grows with cwnd from
    /// [`snd_buf_initial`](Self::snd_buf_initial) to [`snd_buf_max`](Self::snd_buf_max).
    pub snd_buf: Option<usize>,
    /// Bytes of a send buffer that grows, at first. Linux: the second number of `tcp_wmem`.
    pub snd_buf_initial: usize,
    /// Bytes that a send buffer grows to at most. Linux: the third number of `tcp_wmem`.
    pub snd_buf_max: usize,
    /// True if segments are judged by all free space of the receive buffer, although the window field could not say so much.
    /// FreeBSD does.
    pub judge_by_buffer: bool,
    /// True if the buffers of a new connection are rounded up to whole segments. FreeBSD does.
    pub whole_segment_buffers: bool,
    /// Bytes that the queue of a UDP socket takes. Linux: `net.core.rmem_default`.
    pub udp_buf: usize,
    /// Bytes that all socket buffers of the host may take. Past it no window opens further, and new connections wait.
    /// Linux: `tcp_mem`, which counts pages.
    pub buffer_limit: usize,

    /// The order and the padding of TCP options.
    pub option_layout: OptionLayout,
    /// True if a SYN has the MSS option (RFC 9293, section 3.7.1, has a SHOULD). Linux always sends it.
    pub mss_option: bool,
    /// True if timestamps are offered (RFC 7323). Linux: `tcp_timestamps`.
    pub timestamps: bool,
    /// True if window scaling is offered (RFC 7323, section 2). Linux: `tcp_window_scaling`.
    pub window_scaling: bool,
    /// The shift count of the window scale option (0 to 14). `None`: enough for the largest size of the receive buffer.
    pub window_scale: Option<u8>,
    /// True if SACK is offered (RFC 2018). Linux: `tcp_sack`.
    pub sack: bool,
    /// True if a segment that arrives twice is reported by DSACK (RFC 2883). Linux: `tcp_dsack`.
    pub dsack: bool,
    /// True if ECN is offered (RFC 3168). Linux: `tcp_ecn`; its default of 2 accepts ECN and does not ask for it.
    pub ecn: bool,
    /// Retransmissions of a SYN that still ask for ECN (RFC 3168, section 6.1.1.1). Linux: none, unless
    /// `tcp_ecn_fallback` is off. FreeBSD: `net.inet.tcp.ecn.maxretries`.
    pub ecn_syn_retries: u32,

    /// The smallest retransmission timeout. RFC 6298, section 2.4, has 1 s. Linux: `tcp_rto_min_us`.
    pub min_rto: Duration,
    /// The retransmission timeout before the first sample of the RTT (RFC 6298, section 2.1). Linux: `TCP_TIMEOUT_INIT`.
    pub initial_rto: Duration,
    /// The largest retransmission timeout (RFC 6298, section 2.5). Linux: `tcp_rto_max_ms`.
    pub max_rto: Duration,
    /// `DupThresh`: how many duplicate ACKs, or segments with a SACK above a hole, show a loss (RFC 5681, section 3.2).
    /// Linux: `tcp_reordering`.
    pub dup_thresh: u32,
    /// True if RACK detects losses by time (RFC 8985). Linux: `tcp_recovery`.
    pub rack: bool,
    /// True if tail loss probes are sent (RFC 8985, section 7). Linux: `tcp_early_retrans`.
    pub tlp: bool,
    /// True if PRR governs what is sent in recovery (RFC 9937). Linux always does.
    pub prr: bool,
    /// True if F-RTO examines each timeout (RFC 5682). Linux: `tcp_frto`.
    pub frto: bool,
    /// True if the reduction for a loss that was none is undone (RFC 4015). Linux always does.
    pub undo: bool,
    /// True if the first two duplicate ACKs send new data (RFC 3042). Linux always does. With SACK it has no effect: each
    /// segment that was `SACKed` lets a new one go anyway (RFC 6675, section 5, step 3).
    pub limited_transmit: bool,

    /// The shortest time that an ACK is delayed (RFC 9293, section 3.8.6.3). `None`: no ACK is delayed. Linux:
    /// `TCP_DELACK_MIN`.
    pub ack_delay: Option<Duration>,
    /// The longest time that an ACK is delayed. RFC 9293, section 3.8.6.3, requires less than 500 ms. Linux:
    /// `TCP_DELACK_MAX`.
    pub ack_delay_max: Duration,
    /// How many segments are acknowledged at once when a connection begins or data comes after a pause. Linux:
    /// `TCP_MAX_QUICKACKS`.
    pub quick_acks: u32,
    /// True if the second segment with text that waits for an ACK is acknowledged at once, however small it is. FreeBSD
    /// does. RFC 5681, section 4.2, asks for it with full-sized segments only.
    pub ack_second_segment: bool,
    /// True if the ACK of a FIN waits for an answer as that of text does, where text came before. Linux does. RFC 9293,
    /// section 3.10.7.4, has it sent; the default is at once.
    pub delay_fin_ack: bool,
    /// True if each ACK carries our FIN again until the peer has acknowledged it. FreeBSD does.
    pub fin_with_acks: bool,
    /// When a window update is sent.
    pub window_update: WindowUpdate,

    /// True if a new socket has `TCP_NODELAY`. Without it Nagle's algorithm holds small segments back (RFC 9293, section
    /// 3.7.4).
    pub nodelay: bool,
    /// How long `TCP_CORK` holds a small segment back. Linux: 200 ms, tcp(7).
    pub cork_timeout: Duration,

    /// True if packets are sent with DF set and ICMP errors reduce the path MTU (RFC 1191, RFC 8201). Linux:
    /// `ip_no_pmtu_disc` is the opposite.
    pub path_mtu_discovery: bool,
    /// True if a sender probes for a smaller path MTU when large segments get no ACK and ICMP is silent (RFC 4821). Linux:
    /// `tcp_mtu_probing`, whose default is off.
    pub mtu_probing: bool,

    /// True if a new socket has `SO_KEEPALIVE`.
    pub keep_alive: bool,
    /// How long a connection is idle before the first probe, unless a socket says otherwise. Linux: `tcp_keepalive_time`.
    pub keep_alive_idle: Duration,
    /// From one probe to the next. Linux: `tcp_keepalive_intvl`.
    pub keep_alive_interval: Duration,
    /// Probes without an answer before the connection is given up. Linux: `tcp_keepalive_probes`.
    pub keep_alive_probes: u32,

    /// The largest backlog that a listener gets, whatever it asks for. Linux: `somaxconn`.
    pub backlog_limit: usize,
    /// True if the accept queue takes one connection more than the backlog, as on Linux.
    pub backlog_plus_one: bool,
    /// Whether SYN cookies are sent (RFC 4987). Linux: `tcp_syncookies`.
    pub syn_cookies: SynCookies,
    /// Retransmissions of a SYN before connect fails. Linux: `tcp_syn_retries`.
    pub syn_retries: u32,
    /// Retransmissions of a SYN|ACK before the half-open connection goes. Linux: `tcp_synack_retries`.
    pub synack_retries: u32,
    /// Retransmissions of data before the connection is given up (RFC 9293, section 3.8.3). Linux: `tcp_retries2`.
    pub retries: u32,
    /// Retransmissions by a connection that has no application any more. Linux: `tcp_orphan_retries`.
    pub orphan_retries: u32,
    /// How long a connection without an application waits in FIN-WAIT-2. Linux: `tcp_fin_timeout`.
    pub fin_timeout: Duration,
    /// How long TIME-WAIT lasts: 2 MSL (RFC 9293, section 3.4.2). Linux: 60 s.
    pub time_wait: Duration,
    /// True if segments with SYN and FIN are dropped, as on Linux. RFC 9293, section 3.10.7, has no such rule. FreeBSD:
    /// `net.inet.tcp.drop_synfin`.
    pub drop_syn_fin: bool,
    /// True if an RST resets a connection only at RCV.NXT, and is challenged elsewhere in the window (RFC 5961, section
    /// 3.2). Without it each RST in the window resets (RFC 793). FreeBSD: `net.inet.tcp.insecure_rst` is the opposite.
    pub challenge_rst: bool,
    /// True if a SYN in a synchronized state is challenged (RFC 5961, section 4.2). Without it a SYN in the window resets
    /// the connection (RFC 793). FreeBSD: `net.inet.tcp.insecure_syn` is the opposite.
    pub challenge_syn: bool,
    /// True if TIME-WAIT ignores each segment without ACK. FreeBSD does. RFC 9293, section 3.10.7.4, has one that lies
    /// outside of the window acknowledged.
    pub time_wait_needs_ack: bool,
    /// From one challenge ACK of a connection to the next (RFC 5961, section 7). Linux: `tcp_invalid_ratelimit`.
    pub challenge_interval: Duration,
    /// From one ICMP error to the next to the same destination, after six at once (RFC 4443, section 2.4 (f)). Zero: no
    /// limit. Linux: `icmp_ratelimit`.
    pub icmp_interval: Duration,
    /// ICMP errors in a second to all destinations together. 0: no limit. Linux: `icmp_msgs_per_sec`.
    pub icmp_rate: u32,
    /// How many of them may be sent at once. Linux: `icmp_msgs_burst`.
    pub icmp_burst: u32,
    /// RSTs in a second for segments of no connection. 0: no limit. Linux has no such limit. FreeBSD has 200:
    /// `net.inet.icmp.icmplim`.
    pub reset_rate: u32,
    /// How many of them may be sent at once.
    pub reset_burst: u32,
    /// True if close with unread data sends an RST (RFC 2525, section 2.17; RFC 1122, section 4.2.2.13). Linux always
    /// does.
    pub reset_on_unread_close: bool,

    /// Descriptors that can be open at once. Linux: `RLIMIT_NOFILE`.
    pub descriptor_limit: usize,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            addresses: Vec::new(),
            default_route: true,
            mtu: 1500,
            congestion: Algorithm::default(),
            algorithms: Algorithms::default(),
            initial_window: 10,
            pacing: false,
            idle_restart: true,
            hystart: true,
            rcv_buf: None,
            rcv_buf_initial: 64 << 10,
            rcv_buf_max: 6 << 20,
            snd_buf: None,
            snd_buf_initial: 16 << 10,
            snd_buf_max: 4 << 20,
            judge_by_buffer: false,
            whole_segment_buffers: false,
            udp_buf: 212_992,
            buffer_limit: 512 << 20,
            option_layout: OptionLayout::default(),
            mss_option: true,
            timestamps: true,
            window_scaling: true,
            window_scale: None,
            sack: true,
            dsack: true,
            ecn: false,
            ecn_syn_retries: 0,
            min_rto: Duration::from_millis(200),
            initial_rto: Duration::from_secs(1),
            max_rto: Duration::from_mins(2),
            dup_thresh: 3,
            rack: true,
            tlp: true,
            prr: true,
            frto: true,
            undo: true,
            limited_transmit: true,
            ack_delay: Some(Duration::from_millis(40)),
            ack_delay_max: Duration::from_millis(200),
            quick_acks: 16,
            ack_second_segment: false,
            delay_fin_ack: false,
            fin_with_acks: false,
            window_update: WindowUpdate::default(),
            nodelay: false,
            cork_timeout: Duration::from_millis(200),
            path_mtu_discovery: true,
            mtu_probing: true,
            keep_alive: false,
            keep_alive_idle: Duration::from_hours(2),
            keep_alive_interval: Duration::from_secs(75),
            keep_alive_probes: 9,
            backlog_limit: 4096,
            backlog_plus_one: false,
            syn_cookies: SynCookies::default(),
            syn_retries: 6,
            synack_retries: 5,
            retries: 15,
            orphan_retries: 8,
            fin_timeout: Duration::from_mins(1),
            time_wait: Duration::from_mins(1),
            drop_syn_fin: true,
            challenge_rst: true,
            challenge_syn: true,
            time_wait_needs_ack: false,
            challenge_interval: Duration::from_millis(500),
            icmp_interval: Duration::from_secs(1),
            icmp_rate: 1000,
            icmp_burst: 50,
            reset_rate: 1000,
            reset_burst: 200,
            reset_on_unread_close: true,
            descriptor_limit: 1 << 20,
        }
    }
}

/// The TCP options of a socket; connections are made with them, and accepted ones inherit those of the listener.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // setsockopt(2) has them one by one
pub(crate) struct TcpOptions {
    /// `SO_RCVBUF` in bytes: fixed. `None`: the buffer grows.
    pub(crate) rcv_buf: Option<usize>,
    /// `SO_SNDBUF` in bytes: fixed. `None`: the buffer grows.
    pub(crate) snd_buf: Option<usize>,
    /// `TCP_CONGESTION`.
    pub(crate) congestion: Algorithm,
    /// `TCP_CORK`: only full-sized segments are sent.
    pub(crate) cork: bool,
    /// `TCP_NODELAY`.
    pub(crate) nodelay: bool,
    /// `TCP_QUICKACK`.
    pub(crate) quick_ack: bool,
    /// `SO_KEEPALIVE`.
    pub(crate) keep_alive: bool,
    /// `TCP_KEEPIDLE`, `TCP_KEEPINTVL`, `TCP_KEEPCNT`.
    pub(crate) keep_alive_times: KeepAlive,
    /// `TCP_USER_TIMEOUT`.
    pub(crate) user_timeout: Option<Duration>,
    /// `TCP_MAXSEG` in bytes.
    pub(crate) max_seg: Option<u16>,
    /// `IP_TTL`.
    pub(crate) ttl: u8,
}

impl TcpOptions {
    /// The options of a new socket of a host: Linux's defaults, or what the host says.
    pub(crate) fn new(config: &HostConfig) -> Self {
        Self {
            rcv_buf: config.rcv_buf,
            snd_buf: config.snd_buf,
            congestion: config.congestion.clone(),
            cork: false,
            nodelay: config.nodelay,
            quick_ack: false,
            keep_alive: config.keep_alive,
            keep_alive_times: KeepAlive {
                idle: config.keep_alive_idle,
                interval: config.keep_alive_interval,
                count: config.keep_alive_probes,
            },
            user_timeout: None,
            max_seg: None,
            ttl: 64,
        }
    }
}
