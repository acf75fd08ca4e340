//! `[hosts.NAME]`: a host, its addresses and its TCP settings. `[routers.NAME]`: a router.

use super::error::ScenarioError;
use super::source::Section;
use crate::app::{Registry, one_of};
use crate::congestion::Algorithm;
use crate::link::{TIME_EXPECTED, parse_time};
use crate::socket::HostConfig;
use crate::time::Duration;

/// A host or router as it is written.
#[derive(Clone, Debug)]
pub(super) struct HostPart {
    pub(super) name: String,
    pub(super) router: bool,
    /// Empty: the next of 192.0.2.0/24.
    pub(super) address: String,
    /// All but seed and addresses.
    pub(super) config: HostConfig,
    /// A router: whether it sends ICMP errors.
    pub(super) icmp: bool,
}

/// Keys of a router with what they mean.
pub(super) const ROUTER_KEYS: [(&str, &str); 1] =
    [("icmp", "true or false: whether it sends an ICMP error for a packet that it cannot forward (default true)")];

/// What an address looks like.
pub(super) const ADDRESS: &str = "an address with its prefix length, such as 192.0.2.1/24 or 2001:db8::1/64, or several with \
    commas between";

/// Keys of a host with what they mean.
pub(super) const KEYS: [(&str, &str); 22] = [
    ("address", "addresses with their prefix lengths, with commas between; by default the next of 192.0.2.0/24"),
    ("cc", "congestion control: reno (the default), cubic or none"),
    ("mtu", "the largest packet of the interface, in bytes"),
    ("rcv_buf", "bytes of a receive buffer"),
    ("snd_buf", "bytes of a send buffer"),
    ("timestamps", "true or false: whether timestamps are offered (RFC 7323)"),
    ("ack_delay", "how long an ACK may be delayed; 0 is not at all"),
    ("time_wait", "how long TIME-WAIT lasts"),
    ("fin_timeout", "how long a connection without an application waits in FIN-WAIT-2"),
    ("syn_retries", "retransmissions of a SYN"),
    ("synack_retries", "retransmissions of a SYN|ACK"),
    ("retries", "retransmissions of data"),
    ("orphan_retries", "retransmissions without an application"),
    ("nodelay", "true or false: whether a new socket has TCP_NODELAY (default false)"),
    ("keep_alive", "true or false: whether a new socket has SO_KEEPALIVE (default false)"),
    ("keep_alive_idle", "how long a connection is idle before the first probe"),
    ("keep_alive_interval", "from one probe to the next"),
    ("keep_alive_probes", "probes without an answer before the connection is aborted"),
    ("backlog_limit", "the largest backlog that a listener gets"),
    ("default_route", "true or false: whether addresses outside of the prefixes are reached"),
    ("descriptors", "how many descriptors can be open at once"),
    ("buffer_limit", "bytes that all buffers of the host may take"),
];

/// The largest buffer of a scenario.
const MOST_BUFFER: usize = 16 << 20;
const SIZE: &str = "bytes from 1 to 16777216, also as 64KiB or 1MiB";
const SWITCH: &str = "true or false";

impl HostPart {
    pub(super) fn read(
        section: &Section<'_, '_>,
        name: &str,
        router: bool,
        registry: &Registry,
    ) -> Result<Self, ScenarioError> {
        let config = HostConfig { algorithms: registry.algorithms().clone(), ..HostConfig::default() };
        let mut host = Self { name: name.to_owned(), router, address: String::new(), config, icmp: true };
        let known = if router { ROUTER_KEYS.map(|(key, _)| key).to_vec() } else { KEYS.map(|(key, _)| key).to_vec() };
        for entry in section.entries() {
            if !known.contains(&entry.key) {
                return Err(entry.unknown(&known));
            }
            let value = entry.scalar("a text, a number, true or false")?;
            if router {
                host.icmp = switch(&value).map_err(|expected| entry.wrong(expected))?;
            } else {
                host.set(entry.key, &value, registry).map_err(|expected| entry.wrong(expected))?;
            }
        }
        Ok(host)
    }

    /// Sets one of [`KEYS`]; the error is what was expected.
    pub(super) fn set(&mut self, key: &str, value: &str, registry: &Registry) -> Result<(), String> {
        let config = &mut self.config;
        match key {
            "address" => value.clone_into(&mut self.address),
            "cc" => {
                let expected = || one_of(registry.algorithms().iter().map(Algorithm::name));
                config.congestion = registry.algorithms().by_name(value).ok_or_else(expected)?.clone();
            }
            "mtu" => config.mtu = number(value, 576, 65_535)?,
            "rcv_buf" => config.rcv_buf = Some(bytes(value)?),
            "snd_buf" => config.snd_buf = Some(bytes(value)?),
            "timestamps" => config.timestamps = switch(value)?,
            "ack_delay" => config.ack_delay = Some(time(value)?).filter(|delay| !delay.is_zero()),
            "time_wait" => config.time_wait = time(value)?,
            "fin_timeout" => config.fin_timeout = time(value)?,
            "syn_retries" => config.syn_retries = number(value, 0, 127)?,
            "synack_retries" => config.synack_retries = number(value, 0, 127)?,
            "retries" => config.retries = number(value, 0, 127)?,
            "orphan_retries" => config.orphan_retries = number(value, 0, 127)?,
            "nodelay" => config.nodelay = switch(value)?,
            "keep_alive" => config.keep_alive = switch(value)?,
            "keep_alive_idle" => config.keep_alive_idle = time(value)?,
            "keep_alive_interval" => config.keep_alive_interval = time(value)?,
            "keep_alive_probes" => config.keep_alive_probes = number(value, 1, 127)?,
            "backlog_limit" => config.backlog_limit = number(value, 0, 65_535)?,
            "default_route" => config.default_route = switch(value)?,
            "descriptors" => config.descriptor_limit = number(value, 1, 1 << 20)?,
            "buffer_limit" => config.buffer_limit = number(value, 1, usize::MAX)?,
            _ => return Err(super::error::unknown(key, &KEYS.map(|(key, _)| key))),
        }
        Ok(())
    }
}

pub(super) fn number<T>(text: &str, least: T, most: T) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy,
{
    let read = text.parse().ok().filter(|number| *number >= least && *number <= most);
    read.ok_or_else(|| format!("a number from {least} to {most}"))
}

/// `65536`, `64KiB`, `1MiB`.
fn bytes(text: &str) -> Result<usize, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20)];
    let unit = units.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, *scale)));
    let (count, scale) = unit.unwrap_or((text, 1_usize));
    let bytes = count.parse::<usize>().ok().and_then(|count| count.checked_mul(scale));
    bytes.filter(|bytes| (1..=MOST_BUFFER).contains(bytes)).ok_or_else(|| SIZE.to_owned())
}

/// A time, or 0 without a unit.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let zero = (text == "0").then_some(Duration::ZERO);
    zero.or_else(|| parse_time(text)).ok_or_else(|| TIME_EXPECTED.to_owned())
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| SWITCH.to_owned())
}
