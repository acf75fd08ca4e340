//! The systems whose defaults a host of a script can have, `--as freebsd|linux|rfc`, and the sysctls of FreeBSD and Linux
//! that have a meaning for a host. `run` sets the host up with them.

use core::fmt;

use super::script::{Action, Script};
use crate::segment::OptionLayout;
use crate::socket::{HostConfig, SynCookies, WindowUpdate};
use crate::time::Duration;

/// Whose defaults a host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum System {
    /// FreeBSD's.
    FreeBsd,
    /// Linux's.
    Linux,
    /// What the RFCs have.
    Rfc,
}

impl System {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::FreeBsd, Self::Linux, Self::Rfc];

    /// The name, as `--as` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FreeBsd => "freebsd",
            Self::Linux => "linux",
            Self::Rfc => "rfc",
        }
    }

    /// By its name.
    pub(super) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|system| system.name() == name)
    }

    /// The name that `#ifdef` knows, as the run scripts of the suites define it.
    pub(super) const fn definition(self) -> &'static str {
        match self {
            Self::FreeBsd => "FreeBSD",
            Self::Linux => "Linux",
            Self::Rfc => "STANDARD",
        }
    }

    /// What the script names with `--as`. Else FreeBSD if the script sets `net.inet.*`, Linux if it sets `net.ipv4.*`, else rfc.
    pub(super) fn of(script: &Script) -> Self {
        let named = script.options.iter().rev().find(|line| line.value.name == "as");
        if let Some(system) = named.and_then(|line| Self::by_name(line.value.value.as_deref()?)) {
            return system;
        }
        let commands = script.events.iter().filter_map(|event| match &event.action {
            Action::Command(command) => Some(command.as_str()),
            _ => None,
        });
        let init = script.init.iter().map(|init| init.value.as_str());
        for command in init.chain(commands) {
            if command.contains("net.inet.") || command.contains("net.inet6.") {
                return Self::FreeBsd;
            }
            if command.contains("net.ipv4.") || command.contains("net/ipv4/") || command.contains("net.ipv6.") {
                return Self::Linux;
            }
        }
        Self::Rfc
    }

    /// The settings of a host of this system.
    pub(super) fn config(self) -> HostConfig {
        let linux = HostConfig::default();
        match self {
            Self::Linux => HostConfig { backlog_plus_one: true, mtu_probing: false, delay_fin_ack: true, ..linux },
            Self::Rfc => HostConfig {
                min_rto: Duration::from_secs(1),
                window_update: WindowUpdate::Segment,
                rcv_buf_initial: 65_535,
                quick_acks: 0,
                ..linux
            },
            Self::FreeBsd => HostConfig {
                option_layout: OptionLayout::FreeBsd,
                window_scale: Some(6),
                window_update: WindowUpdate::TwoSegments,
                rcv_buf_initial: 65_536,
                snd_buf_initial: 32_768,
                whole_segment_buffers: true,
                judge_by_buffer: true,
                fin_with_acks: true,
                drop_syn_fin: false,
                time_wait_needs_ack: true,
                ack_second_segment: true,
                ecn_syn_retries: 1,
                quick_acks: 0,
                min_rto: Duration::from_millis(230),
                syn_retries: 12,
                synack_retries: 3,
                retries: 12,
                ..linux
            },
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

/// Why the settings that a command asks for cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The host does not have it, by name.
    Unsupported(String),
    /// The value makes no sense.
    Wrong(String),
}

/// What one sysctl means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    /// It was applied to the settings, or changes nothing here.
    Applied,
    /// Its name has no meaning here.
    Unknown,
    /// Its value does not fit.
    WrongValue,
    /// It asks for something that the host does not have, by name.
    Unsupported(String),
}

/// Applies a command of a script to the settings of the host, as far as it is made of sysctls that have a meaning here. The
/// notes name each part that has none.
pub(super) fn apply(config: &mut HostConfig, command: &str) -> Result<Vec<String>, Refused> {
    let mut notes = Vec::new();
    let parts = command.split([';', '\n']).flat_map(|part| part.split("&&"));
    for part in parts.map(str::trim).filter(|part| !part.is_empty() && !part.starts_with('#')) {
        let words = words(part);
        let assignments: &[String] = match words.split_first() {
            Some((first, rest)) if first.rsplit('/').next() == Some("sysctl") => rest,
            _ => &[],
        };
        let mut found = false;
        for (name, value) in assignments.iter().filter_map(|word| word.split_once('=')) {
            found = true;
            let (name, value) = (name.replace('/', "."), value.trim());
            match set(config, &name, value) {
                Meaning::Applied => {}
                Meaning::Unknown => notes.push(format!("{name} has no meaning here")),
                Meaning::WrongValue => return Err(Refused::Wrong(format!("{name}={value}: the value does not fit"))),
                Meaning::Unsupported(what) => return Err(Refused::Unsupported(what)),
            }
        }
        if !found {
            notes.push(format!("`{part}` is not executed"));
        }
    }
    Ok(notes)
}

/// The words of a command, without options. Quotes hold a word together and are left out.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in command.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (_, Some(open)) if c == open => quote = None,
            (_, None) if c.is_whitespace() => words.push(core::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty() && !word.starts_with('-'));
    words
}

/// Sets one sysctl.
fn set(config: &mut HostConfig, name: &str, value: &str) -> Meaning {
    if let Ok(number) = value.parse() {
        return set_number(config, name, number);
    }
    let meaning = set_text(config, name, value);
    // A name that takes a number has another value here.
    if meaning == Meaning::Unknown && set_number(&mut config.clone(), name, 1) != Meaning::Unknown {
        return Meaning::WrongValue;
    }
    meaning
}

/// Sets one sysctl whose value is a number.
fn set_number(config: &mut HostConfig, name: &str, number: i64) -> Meaning {
    let size = usize::try_from(number).ok().filter(|size| (1..=1 << 30).contains(size));
    let millis = u64::try_from(number).ok().map(Duration::from_millis).filter(|time| !time.is_zero());
    let seconds = u64::try_from(number).ok().map(Duration::from_secs);
    let count = u32::try_from(number).ok();
    let on = number != 0;
    macro_rules! put {
        ($field:ident, $value:expr) => {
            match $value {
                Some(value) => config.$field = value,
                None => return Meaning::WrongValue,
            }
        };
    }
    match name {
        "net.inet.tcp.sack.enable" | "net.ipv4.tcp_sack" => config.sack = on,
        "net.inet.tcp.rfc1323" => (config.timestamps, config.window_scaling) = (on, on),
        "net.ipv4.tcp_timestamps" => config.timestamps = on,
        "net.ipv4.tcp_window_scaling" => config.window_scaling = on,
        "net.ipv4.tcp_dsack" => config.dsack = on,
        // 1 asks for ECN, 2 accepts it.
        "net.inet.tcp.ecn.enable" | "net.ipv4.tcp_ecn" => config.ecn = number == 1,
        "net.inet.tcp.recvspace" => put!(rcv_buf_initial, size),
        "net.inet.tcp.sendspace" => put!(snd_buf_initial, size),
        "net.inet.tcp.rexmit_initial" => put!(initial_rto, millis),
        "net.inet.tcp.rexmit_min" => put!(min_rto, millis.map(|time| time + Duration::from_millis(200))),
        "net.inet.tcp.delacktime" => config.ack_delay = millis,
        "net.inet.tcp.delayed_ack" if !on => config.ack_delay = None,
        "net.inet.tcp.keepidle" => put!(keep_alive_idle, millis),
        "net.inet.tcp.keepintvl" => put!(keep_alive_interval, millis),
        "net.inet.tcp.keepcnt" | "net.ipv4.tcp_keepalive_probes" => put!(keep_alive_probes, count),
        "net.ipv4.tcp_keepalive_time" => put!(keep_alive_idle, seconds),
        "net.ipv4.tcp_keepalive_intvl" => put!(keep_alive_interval, seconds),
        "net.inet.tcp.msl" => put!(time_wait, millis.map(|msl| 2 * msl)),
        "net.inet.tcp.path_mtu_discovery" => config.path_mtu_discovery = on,
        "net.ipv4.ip_no_pmtu_disc" => config.path_mtu_discovery = !on,
        "net.inet.tcp.pmtud_blackhole_detection" | "net.ipv4.tcp_mtu_probing" => config.mtu_probing = on,
        "net.inet.tcp.initcwnd_segments" => put!(initial_window, count),
        "net.ipv4.tcp_rto_max_ms" => put!(max_rto, millis),
        "net.ipv4.tcp_syn_retries" => put!(syn_retries, count),
        "net.ipv4.tcp_synack_retries" => put!(synack_retries, count),
        "net.ipv4.tcp_retries2" => put!(retries, count),
        "net.ipv4.tcp_orphan_retries" => put!(orphan_retries, count),
        "net.ipv4.tcp_fin_timeout" => put!(fin_timeout, seconds),
        "net.ipv4.tcp_reordering" => put!(dup_thresh, count),
        "net.ipv4.tcp_recovery" => config.rack = number & 1 == 1,
        "net.ipv4.tcp_early_retrans" => config.tlp = number >= 3,
        "net.ipv4.tcp_frto" => config.frto = on,
        "net.ipv4.tcp_slow_start_after_idle" => config.idle_restart = on,
        "net.ipv4.tcp_min_rto_us" | "net.ipv4.tcp_rto_min_us" => {
            put!(min_rto, u64::try_from(number).ok().map(Duration::from_micros).filter(|time| !time.is_zero()));
        }
        "net.ipv4.tcp_invalid_ratelimit" => put!(challenge_interval, millis),
        // What the host does anyway, or what has no part that a script can see.
        "kern.ipc.maxsockbuf" => {
            // FreeBSD's scale is the least that reaches this size.
            let largest = u64::try_from(number).unwrap_or(0);
            config.window_scale = Some((0..14).find(|shift| 65_535 << shift >= largest).unwrap_or(14));
        }
        "net.inet.tcp.ecn.maxretries" => put!(ecn_syn_retries, count),
        "net.inet.tcp.insecure_rst" => config.challenge_rst = !on,
        "net.inet.tcp.insecure_syn" => config.challenge_syn = !on,
        "net.inet.tcp.drop_synfin" => config.drop_syn_fin = on,
        "net.ipv4.tcp_syncookies" => {
            config.syn_cookies = match number {
                0 => SynCookies::Off,
                2 => SynCookies::Always,
                _ => SynCookies::On,
            };
        }
        "net.inet.tcp.syncookies" => config.syn_cookies = if on { SynCookies::On } else { SynCookies::Off },
        "net.inet.tcp.syncookies_only" if on => config.syn_cookies = SynCookies::Always,
        "net.ipv4.icmp_ratelimit" => put!(icmp_interval, u64::try_from(number).ok().map(Duration::from_millis)),
        "net.ipv4.icmp_msgs_per_sec" => put!(icmp_rate, count),
        "net.ipv4.icmp_msgs_burst" => put!(icmp_burst, count),
        "net.inet.icmp.icmplim" => put!(reset_rate, count),
        "net.inet.tcp.hostcache.purgenow"
        | "net.inet.tcp.delayed_ack"
        | "net.inet.tcp.rexmit_slop"
        | "net.ipv4.tcp_no_metrics_save" => {}
        "net.inet.tcp.syncookies_only" | "net.ipv4.tcp_syn_linear_timeouts" | "net.ipv4.tcp_retrans_collapse"
            if !on => {}
        _ => return Meaning::Unknown,
    }
    Meaning::Applied
}

/// Sets one sysctl whose value is a text, or several numbers.
fn set_text(config: &mut HostConfig, name: &str, value: &str) -> Meaning {
    match name {
        "net.ipv4.tcp_congestion_control" | "net.inet.tcp.cc.algorithm" => match config.algorithms.by_name(value) {
            Some(algorithm) => config.congestion = algorithm.clone(),
            None => return Meaning::Unsupported(format!("the congestion controller `{value}`")),
        },
        // Bytes of a buffer: the least, at first, and at most.
        "net.ipv4.tcp_rmem" | "net.ipv4.tcp_wmem" => {
            let sizes: Option<Vec<usize>> = value.split_whitespace().map(|size| size.parse().ok()).collect();
            let Some(&[_, first, most]) = sizes.as_deref() else { return Meaning::WrongValue };
            if first == 0 || first > most || most > 1 << 30 {
                return Meaning::WrongValue;
            }
            if name == "net.ipv4.tcp_rmem" {
                // Linux counts half of the receive buffer as window at first.
                (config.rcv_buf_initial, config.rcv_buf_max) = (first.div_ceil(2), most);
            } else {
                (config.snd_buf_initial, config.snd_buf_max) = (first, most);
            }
        }
        _ => return Meaning::Unknown,
    }
    Meaning::Applied
}
