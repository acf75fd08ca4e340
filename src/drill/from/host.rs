//! The settings of the host as option lines: what differs from the defaults of Linux, by the keys of scenario files.
//! `from` writes them into the script.

use crate::drill::script::OptionLine;
use crate::drill::system::System;
use crate::segment::OptionLayout;
use crate::socket::{HostConfig, SynCookies, WindowUpdate};
use crate::time::Duration;

/// A value as `--set` takes it.
trait Shown {
    fn shown(&self) -> String;
}

macro_rules! plain {
    ($($type:ty),*) => { $(impl Shown for $type { fn shown(&self) -> String { self.to_string() } })* };
}
plain!(bool, u8, u32, usize);

impl Shown for Duration {
    fn shown(&self) -> String {
        let nanos = self.as_nanos();
        for (unit, name) in [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")] {
            if nanos.is_multiple_of(unit) {
                return format!("{}{name}", nanos / unit);
            }
        }
        format!("{nanos}ns")
    }
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> String {
        self.as_ref().map_or_else(|| "auto".to_owned(), T::shown)
    }
}

impl Shown for OptionLayout {
    fn shown(&self) -> String {
        let name = match self {
            Self::FreeBsd => "freebsd",
            Self::Compact => "compact",
            _ => "linux",
        };
        name.to_owned()
    }
}

impl Shown for WindowUpdate {
    fn shown(&self) -> String {
        let name = match self {
            Self::TwoSegments => "two-segments",
            Self::Segment => "segment",
            Self::Doubled => "doubled",
        };
        name.to_owned()
    }
}

impl Shown for SynCookies {
    fn shown(&self) -> String {
        let name = match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Always => "always",
        };
        name.to_owned()
    }
}

/// The option lines for a host that begins with the defaults of Linux.
pub(super) fn lines(host: &HostConfig) -> Vec<OptionLine> {
    let usual = System::Linux.config();
    let mut lines = Vec::new();
    let mut add = |key: &str, value: String| {
        lines.push(OptionLine { name: "set".to_owned(), value: Some(format!("{key}={value}")) });
    };
    if host.congestion != usual.congestion {
        add("cc", host.congestion.name().to_owned());
    }
    // A larger buffer is more than `--set` takes.
    let host = &HostConfig { rcv_buf: host.rcv_buf.map(|size| size.min(16 << 20)), ..host.clone() };
    if host.ack_delay != usual.ack_delay {
        add("ack_delay", host.ack_delay.unwrap_or(Duration::ZERO).shown());
    }
    macro_rules! fields {
        ($($field:ident),* $(,)?) => {
            $(if host.$field != usual.$field { add(stringify!($field), host.$field.shown()); })*
        };
    }
    fields!(
        initial_window,
        pacing,
        idle_restart,
        hystart,
        rcv_buf,
        rcv_buf_initial,
        rcv_buf_max,
        snd_buf,
        snd_buf_initial,
        snd_buf_max,
        judge_by_buffer,
        whole_segment_buffers,
        buffer_limit,
        option_layout,
        mss_option,
        timestamps,
        window_scaling,
        window_scale,
        sack,
        dsack,
        ecn,
        ecn_syn_retries,
        min_rto,
        initial_rto,
        max_rto,
        dup_thresh,
        rack,
        tlp,
        prr,
        frto,
        undo,
        limited_transmit,
        ack_delay_max,
        quick_acks,
        ack_second_segment,
        delay_fin_ack,
        fin_with_acks,
        window_update,
        nodelay,
        cork_timeout,
        path_mtu_discovery,
        mtu_probing,
        keep_alive,
        keep_alive_idle,
        keep_alive_interval,
        keep_alive_probes,
        backlog_plus_one,
        syn_cookies,
        syn_retries,
        synack_retries,
        retries,
        orphan_retries,
        fin_timeout,
        time_wait,
        drop_syn_fin,
        challenge_rst,
        challenge_syn,
        time_wait_needs_ack,
        challenge_interval,
        icmp_interval,
        icmp_rate,
        icmp_burst,
        reset_rate,
        reset_burst,
        reset_on_unread_close,
    );
    if host.mtu != usual.mtu {
        lines.push(OptionLine { name: "mtu".to_owned(), value: Some(host.mtu.to_string()) });
    }
    lines
}
