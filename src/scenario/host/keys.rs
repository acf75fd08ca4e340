//! The keys of `[hosts.NAME]`: one for each setting of a host, with what it means and how its value is read. `host` uses
//! the table for files, `--set` and sweeps; docs/scenarios.md shows it. The text of a key names its default.

use super::{number, switch, time};
use crate::app::one_of;
use crate::congestion::Algorithm;
use crate::link::{TIME_EXPECTED, parse_size};
use crate::segment::OptionLayout;
use crate::socket::{HostConfig, SynCookies, WindowUpdate};
use crate::time::Duration;

/// Reads a value into the settings; the error is what was expected.
type Set = fn(&mut HostConfig, &str) -> Result<(), String>;

/// A key of a host.
#[derive(Clone, Copy)]
pub(in crate::scenario) struct Key {
    pub(in crate::scenario) name: &'static str,
    pub(in crate::scenario) what: &'static str,
    pub(super) set: Set,
}

const fn key(name: &'static str, what: &'static str, set: Set) -> Key {
    Key { name, what, set }
}

/// The keys of a host, `address` apart, in the order of docs/scenarios.md.
pub(in crate::scenario) const KEYS: [Key; 72] = [
    key("cc", "the congestion controller: cubic, reno, bbr, none or one of your own (default cubic)", |host, value| {
        let known = || one_of(host.algorithms.iter().map(Algorithm::name));
        host.congestion = host.algorithms.by_name(value).ok_or_else(known)?.clone();
        Ok(())
    }),
    key("initial_window", "segments of the initial window, from 1 to 1000 (default 10; RFC 6928)", |host, value| {
        put(&mut host.initial_window, number(value, 1, 1_000))
    }),
    key("pacing", "true or false: whether senders pace; bbr always does (default false)", |host, value| {
        put(&mut host.pacing, switch(value))
    }),
    key(
        "idle_restart",
        "true or false: whether cwnd is reduced after idle time (default true; RFC 5681)",
        |host, value| put(&mut host.idle_restart, switch(value)),
    ),
    key(
        "hystart",
        "true or false: whether HyStart++ ends slow start of cubic and reno (default true; RFC 9406)",
        |host, value| put(&mut host.hystart, switch(value)),
    ),
    key("mtu", "the largest packet of the interface, in bytes (default 1500)", |host, value| {
        let read = size(value).filter(|mtu| (576..=65_535).contains(mtu));
        put(&mut host.mtu, read.ok_or_else(|| "a number from 576 to 65535".to_owned()))
    }),
    key("rcv_buf", "bytes of a receive buffer that does not grow; auto: it grows (default auto)", |host, value| {
        put(&mut host.rcv_buf, automatic(value, &format!("{SIZE}, or auto"), buffer))
    }),
    key("rcv_buf_initial", "bytes of a receive buffer that grows, at first (default 64KiB)", |host, value| {
        put(&mut host.rcv_buf_initial, bytes(value))
    }),
    key("rcv_buf_max", "bytes that a receive buffer grows to at most (default 6MiB)", |host, value| {
        put(&mut host.rcv_buf_max, bytes(value))
    }),
    key("snd_buf", "bytes of a send buffer that does not grow; auto: it grows (default auto)", |host, value| {
        put(&mut host.snd_buf, automatic(value, &format!("{SIZE}, or auto"), buffer))
    }),
    key("snd_buf_initial", "bytes of a send buffer that grows, at first (default 16KiB)", |host, value| {
        put(&mut host.snd_buf_initial, bytes(value))
    }),
    key("snd_buf_max", "bytes that a send buffer grows to at most (default 4MiB)", |host, value| {
        put(&mut host.snd_buf_max, bytes(value))
    }),
    key(
        "judge_by_buffer",
        "true or false: whether segments are judged by all free space, as on FreeBSD (default false)",
        |host, value| put(&mut host.judge_by_buffer, switch(value)),
    ),
    key(
        "whole_segment_buffers",
        "true or false: whether buffers are rounded up to whole segments, as on FreeBSD (default false)",
        |host, value| put(&mut host.whole_segment_buffers, switch(value)),
    ),
    key("udp_buf", "bytes that the queue of a UDP socket takes (default 212992)", |host, value| {
        put(&mut host.udp_buf, bytes(value))
    }),
    key("buffer_limit", "bytes that all buffers of the host may take (default 512MiB)", |host, value| {
        let read = size(value).filter(|bytes| (1..=MOST_MEMORY).contains(bytes));
        put(&mut host.buffer_limit, read.ok_or_else(|| format!("bytes from 1 to {MOST_MEMORY}, also as 64KiB or 1MiB")))
    }),
    key("option_layout", "the order of TCP options: linux, freebsd or compact (default linux)", |host, value| {
        let known =
            [("linux", OptionLayout::Linux), ("freebsd", OptionLayout::FreeBsd), ("compact", OptionLayout::Compact)];
        put(&mut host.option_layout, choice(value, known))
    }),
    key("mss_option", "true or false: whether a SYN has the MSS option (default true; RFC 9293)", |host, value| {
        put(&mut host.mss_option, switch(value))
    }),
    key("timestamps", "true or false: whether timestamps are offered (default true; RFC 7323)", |host, value| {
        put(&mut host.timestamps, switch(value))
    }),
    key(
        "window_scaling",
        "true or false: whether window scaling is offered (default true; RFC 7323)",
        |host, value| put(&mut host.window_scaling, switch(value)),
    ),
    key(
        "window_scale",
        "the shift count of window scaling; auto: enough for the largest buffer (default auto)",
        |host, value| {
            let shift = |text: &str| text.parse().ok().filter(|shift| *shift <= 14_u8);
            put(&mut host.window_scale, automatic(value, "a number from 0 to 14, or auto", shift))
        },
    ),
    key("sack", "true or false: whether SACK is offered (default true; RFC 2018)", |host, value| {
        put(&mut host.sack, switch(value))
    }),
    key("dsack", "true or false: whether DSACK reports duplicates (default true; RFC 2883)", |host, value| {
        put(&mut host.dsack, switch(value))
    }),
    key("ecn", "true or false: whether ECN is offered (default false; RFC 3168)", |host, value| {
        put(&mut host.ecn, switch(value))
    }),
    key("ecn_syn_retries", "retransmissions of a SYN that still ask for ECN (default 0; RFC 3168)", |host, value| {
        put(&mut host.ecn_syn_retries, number(value, 0, 127))
    }),
    key("min_rto", "the smallest retransmission timeout (default 200ms; RFC 6298 has 1s)", |host, value| {
        put(&mut host.min_rto, timeout(value))
    }),
    key(
        "initial_rto",
        "the retransmission timeout before the first sample of the RTT (default 1s; RFC 6298)",
        |host, value| put(&mut host.initial_rto, timeout(value)),
    ),
    key("max_rto", "the largest retransmission timeout (default 120s; RFC 6298)", |host, value| {
        put(&mut host.max_rto, timeout(value))
    }),
    key("dup_thresh", "how many duplicate ACKs show a loss, from 1 to 300 (default 3; RFC 5681)", |host, value| {
        put(&mut host.dup_thresh, number(value, 1, 300))
    }),
    key("rack", "true or false: whether RACK detects losses (default true; RFC 8985)", |host, value| {
        put(&mut host.rack, switch(value))
    }),
    key("tlp", "true or false: whether tail loss probes are sent (default true; RFC 8985)", |host, value| {
        put(&mut host.tlp, switch(value))
    }),
    key("prr", "true or false: whether PRR governs recovery (default true; RFC 9937)", |host, value| {
        put(&mut host.prr, switch(value))
    }),
    key("frto", "true or false: whether F-RTO examines timeouts (default true; RFC 5682)", |host, value| {
        put(&mut host.frto, switch(value))
    }),
    key(
        "undo",
        "true or false: whether the reduction for a loss that was none is undone (default true)",
        |host, value| put(&mut host.undo, switch(value)),
    ),
    key(
        "limited_transmit",
        "true or false: whether the first two duplicate ACKs send new data (default true; RFC 3042); with SACK it has no effect",
        |host, value| put(&mut host.limited_transmit, switch(value)),
    ),
    key("ack_delay", "the shortest time that an ACK is delayed; 0: no ACK is delayed (default 40ms)", |host, value| {
        put(&mut host.ack_delay, time(value).map(|delay| Some(delay).filter(|delay| !delay.is_zero())))
    }),
    key("ack_delay_max", "the longest time that an ACK is delayed (default 200ms)", |host, value| {
        put(&mut host.ack_delay_max, time(value))
    }),
    key("quick_acks", "how many segments are acknowledged at once at the beginning (default 16)", |host, value| {
        put(&mut host.quick_acks, number(value, 0, 1_000))
    }),
    key(
        "ack_second_segment",
        "true or false: whether the second segment is acknowledged at once, however small it is (default false)",
        |host, value| put(&mut host.ack_second_segment, switch(value)),
    ),
    key(
        "delay_fin_ack",
        "true or false: whether the ACK of a FIN after text is delayed, as on Linux (default false)",
        |host, value| put(&mut host.delay_fin_ack, switch(value)),
    ),
    key(
        "fin_with_acks",
        "true or false: whether each ACK carries a FIN that is not acknowledged, as on FreeBSD (default false)",
        |host, value| put(&mut host.fin_with_acks, switch(value)),
    ),
    key(
        "window_update",
        "when a window update is sent: doubled, when the window has doubled, two-segments or segment (default doubled)",
        |host, value| {
            let two = ("two-segments", WindowUpdate::TwoSegments);
            let known = [("doubled", WindowUpdate::Doubled), two, ("segment", WindowUpdate::Segment)];
            put(&mut host.window_update, choice(value, known))
        },
    ),
    key("nodelay", "true or false: whether a new socket has TCP_NODELAY (default false)", |host, value| {
        put(&mut host.nodelay, switch(value))
    }),
    key("cork_timeout", "how long TCP_CORK holds a small segment back (default 200ms)", |host, value| {
        put(&mut host.cork_timeout, time(value))
    }),
    key(
        "path_mtu_discovery",
        "true or false: whether packets have DF set and ICMP errors reduce the path MTU (default true)",
        |host, value| put(&mut host.path_mtu_discovery, switch(value)),
    ),
    key(
        "mtu_probing",
        "true or false: whether a sender probes for a smaller path MTU (default true; RFC 4821)",
        |host, value| put(&mut host.mtu_probing, switch(value)),
    ),
    key("keep_alive", "true or false: whether a new socket has SO_KEEPALIVE (default false)", |host, value| {
        put(&mut host.keep_alive, switch(value))
    }),
    key("keep_alive_idle", "how long a connection is idle before the first probe (default 7200s)", |host, value| {
        put(&mut host.keep_alive_idle, time(value))
    }),
    key("keep_alive_interval", "from one probe to the next (default 75s)", |host, value| {
        put(&mut host.keep_alive_interval, time(value))
    }),
    key("keep_alive_probes", "probes without an answer before the connection is aborted (default 9)", |host, value| {
        put(&mut host.keep_alive_probes, number(value, 1, 127))
    }),
    key("backlog_limit", "the largest backlog that a listener gets (default 4096)", |host, value| {
        put(&mut host.backlog_limit, number(value, 0, 65_535))
    }),
    key(
        "backlog_plus_one",
        "true or false: whether the accept queue takes one more than the backlog (default false)",
        |host, value| put(&mut host.backlog_plus_one, switch(value)),
    ),
    key(
        "syn_cookies",
        "when SYN cookies are sent: on, when the SYN queue is full, always or off (default on; RFC 4987)",
        |host, value| {
            let known = [("on", SynCookies::On), ("off", SynCookies::Off), ("always", SynCookies::Always)];
            put(&mut host.syn_cookies, choice(value, known))
        },
    ),
    key("syn_retries", "retransmissions of a SYN (default 6)", |host, value| {
        put(&mut host.syn_retries, number(value, 0, 127))
    }),
    key("synack_retries", "retransmissions of a SYN|ACK (default 5)", |host, value| {
        put(&mut host.synack_retries, number(value, 0, 127))
    }),
    key("retries", "retransmissions of data (default 15)", |host, value| put(&mut host.retries, number(value, 0, 127))),
    key("orphan_retries", "retransmissions without an application (default 8)", |host, value| {
        put(&mut host.orphan_retries, number(value, 0, 127))
    }),
    key(
        "fin_timeout",
        "how long a connection without an application waits in FIN-WAIT-2 (default 60s)",
        |host, value| put(&mut host.fin_timeout, time(value)),
    ),
    key("time_wait", "how long TIME-WAIT lasts (default 60s)", |host, value| put(&mut host.time_wait, time(value))),
    key(
        "drop_syn_fin",
        "true or false: whether segments with SYN and FIN are dropped (default true)",
        |host, value| put(&mut host.drop_syn_fin, switch(value)),
    ),
    key(
        "challenge_rst",
        "true or false: whether an RST in the window is challenged (default true; RFC 5961)",
        |host, value| put(&mut host.challenge_rst, switch(value)),
    ),
    key(
        "challenge_syn",
        "true or false: whether a SYN in a synchronized state is challenged (default true; RFC 5961)",
        |host, value| put(&mut host.challenge_syn, switch(value)),
    ),
    key(
        "time_wait_needs_ack",
        "true or false: whether TIME-WAIT ignores a segment without ACK, as on FreeBSD (default false)",
        |host, value| put(&mut host.time_wait_needs_ack, switch(value)),
    ),
    key(
        "challenge_interval",
        "from one challenge ACK of a connection to the next (default 500ms; RFC 5961)",
        |host, value| put(&mut host.challenge_interval, time(value)),
    ),
    key(
        "icmp_interval",
        "from one ICMP error to the next to the same destination, after six at once; 0s: no limit (default 1s; RFC 4443)",
        |host, value| put(&mut host.icmp_interval, time(value)),
    ),
    key(
        "icmp_rate",
        "ICMP errors in a second to all destinations; 0: no limit (default 1000; RFC 4443)",
        |host, value| put(&mut host.icmp_rate, number(value, 0, 1_000_000)),
    ),
    key("icmp_burst", "how many ICMP errors may be sent at once (default 50)", |host, value| {
        put(&mut host.icmp_burst, number(value, 1, 1_000_000))
    }),
    key("reset_rate", "RSTs in a second for segments of no connection; 0: no limit (default 1000)", |host, value| {
        put(&mut host.reset_rate, number(value, 0, 1_000_000))
    }),
    key("reset_burst", "how many of these RSTs may be sent at once (default 200)", |host, value| {
        put(&mut host.reset_burst, number(value, 1, 1_000_000))
    }),
    key(
        "reset_on_unread_close",
        "true or false: whether close with unread data sends an RST (default true; RFC 2525)",
        |host, value| put(&mut host.reset_on_unread_close, switch(value)),
    ),
    key(
        "default_route",
        "true or false: whether addresses outside of the prefixes are reached (default true)",
        |host, value| put(&mut host.default_route, switch(value)),
    ),
    key("descriptors", "how many descriptors can be open at once (default 1048576)", |host, value| {
        put(&mut host.descriptor_limit, number(value, 1, 1 << 20))
    }),
];

/// The largest buffer of a scenario.
const MOST_BUFFER: usize = 16 << 20;
/// The most memory that a scenario may give to a host.
const MOST_MEMORY: usize = 1 << 30;
const SIZE: &str = "bytes from 1 to 16777216, also as 64KiB or 1MiB";

fn put<T>(field: &mut T, read: Result<T, String>) -> Result<(), String> {
    *field = read?;
    Ok(())
}

/// `auto` or a value.
fn automatic<T>(text: &str, expected: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, String> {
    if text == "auto" {
        return Ok(None);
    }
    read(text).map(Some).ok_or_else(|| expected.to_owned())
}

/// One of these names.
fn choice<T: Copy, const N: usize>(text: &str, known: [(&str, T); N]) -> Result<T, String> {
    let found = known.iter().find(|(name, _)| *name == text);
    found.map(|(_, choice)| *choice).ok_or_else(|| one_of(known.iter().map(|(name, _)| *name)))
}

/// Bytes of a buffer.
fn bytes(text: &str) -> Result<usize, String> {
    buffer(text).ok_or_else(|| SIZE.to_owned())
}

fn buffer(text: &str) -> Option<usize> {
    size(text).filter(|bytes| (1..=MOST_BUFFER).contains(bytes))
}

fn size(text: &str) -> Option<usize> {
    parse_size(text).and_then(|bytes| bytes.try_into().ok())
}

/// A timeout: at least 1 ms, so that a timer cannot stop the clock.
fn timeout(text: &str) -> Result<Duration, String> {
    let read = time(text).ok().filter(|timeout| *timeout >= Duration::from_millis(1));
    read.ok_or_else(|| format!("{TIME_EXPECTED}, at least 1ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_that_a_key_names_is_that_of_a_host() {
        for Key { name, what, set } in KEYS {
            let (_, default) = what.split_once("(default ").unwrap_or_else(|| panic!("{name} names no default"));
            let default = default.split([')', ';']).next().unwrap_or_default();
            let mut host = HostConfig::default();
            assert_eq!(set(&mut host, default), Ok(()), "{name} = {default}");
            assert_eq!(host, HostConfig::default(), "{name} = {default}");
        }
    }

    /// `Debug` of the settings names every field. Each but these two is set by one key, which has its name or another.
    #[test]
    fn every_setting_of_a_host_has_a_key() {
        let text = format!("{:#?}", HostConfig::default());
        let fields: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": ")).collect();
        let fields = fields.iter().map(|(name, _)| *name).filter(|name| !name.starts_with([' ', '}', ']', ')']));
        for field in fields.filter(|field| !["seed", "addresses", "algorithms"].contains(field)) {
            let name = match field {
                "congestion" => "cc",
                "descriptor_limit" => "descriptors",
                other => other,
            };
            assert!(KEYS.iter().any(|key| key.name == name), "{field} has no key");
        }
        assert_eq!(KEYS.len() + 3, text.lines().filter(|line| is_field(line)).count(), "each key is of one setting");
    }

    fn is_field(line: &str) -> bool {
        line.strip_prefix("    ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
    }
}
