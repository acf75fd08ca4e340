//! TEMPORARY: what the sender and receiver of smoltcp make of the settings of a host. They know fixed buffers, Reno and
//! CUBIC. Where nothing was chosen they keep their former defaults (Reno, 64 KiB, 10 ms), so that captures stay as they
//! are until this crate's own sender and receiver replace them. This file and `Algorithm::is_unchosen` then go.

use smoltcp::socket::tcp::CongestionControl;

use super::config::{HostConfig, TcpOptions};
use crate::congestion::Algorithm;
use crate::time::Duration;

/// Bytes of the send buffer of smoltcp.
const SND_BUF: usize = 64 << 10;

/// smoltcp's controller for this one: CUBIC for those that it does not have.
pub(super) fn control(algorithm: &Algorithm) -> CongestionControl {
    match algorithm.name() {
        "none" => CongestionControl::None,
        "reno" => CongestionControl::Reno,
        _ if algorithm.is_unchosen() => CongestionControl::Reno,
        _ => CongestionControl::Cubic,
    }
}

pub(super) fn rcv_buf(config: &HostConfig, options: &TcpOptions) -> usize {
    options.rcv_buf.unwrap_or(config.rcv_buf_initial)
}

pub(super) fn snd_buf(options: &TcpOptions) -> usize {
    options.snd_buf.unwrap_or(SND_BUF)
}

/// How long smoltcp delays ACKs.
pub(super) fn ack_delay(config: &HostConfig, options: &TcpOptions) -> Option<Duration> {
    let delay = config.ack_delay.filter(|_| !options.quick_ack)?;
    Some(if delay == Duration::from_millis(40) { Duration::from_millis(10) } else { delay })
}

/// Whole buffers of every connection count below this limit, not what they hold.
pub(super) fn buffer_limit(config: &HostConfig) -> usize {
    if config.buffer_limit == 512 << 20 { usize::MAX } else { config.buffer_limit }
}
