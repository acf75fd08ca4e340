//! `[hosts.NAME]`: a host, its addresses and its TCP settings. `[routers.NAME]`: a router.

mod keys;

use super::error::ScenarioError;
use super::source::Section;
use crate::app::Registry;
use crate::link::{TIME_EXPECTED, parse_time};
use crate::socket::HostConfig;
use crate::time::Duration;

/// A host or router as it is written.
#[derive(Clone, Debug)]
pub(super) struct HostPart {
    pub(super) name: String,
    pub(super) router: bool,
    /// As it is written, or the next of the default network.
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

const ADDRESS_KEY: (&str, &str) = (
    "address",
    "addresses with their prefix lengths, with commas between; by default the next of 192.0.2.0/24; with more than 254 hosts, of 198.18.0.0/15",
);
const SWITCH: &str = "true or false";

/// Keys of a host with what they mean.
pub(super) fn keys() -> Vec<(&'static str, &'static str)> {
    core::iter::once(ADDRESS_KEY).chain(keys::KEYS.iter().map(|key| (key.name, key.what))).collect()
}

/// Sets a field of a host by its key. The error says what was expected, or names the keys.
pub(crate) fn set_host_key(config: &mut HostConfig, key: &str, value: &str) -> Result<(), String> {
    match keys::KEYS.iter().find(|known| known.name == key) {
        Some(known) => (known.set)(config, value),
        None => Err(super::error::unknown(key, &keys().iter().map(|(key, _)| *key).collect::<Vec<_>>())),
    }
}

impl HostPart {
    pub(super) fn read(
        section: &Section<'_, '_>,
        name: &str,
        router: bool,
        registry: &Registry,
    ) -> Result<Self, ScenarioError> {
        let config = HostConfig { algorithms: registry.algorithms().clone(), ..HostConfig::default() };
        let mut host = Self { name: name.to_owned(), router, address: String::new(), config, icmp: true };
        let known = if router { ROUTER_KEYS.to_vec() } else { keys() };
        let known: Vec<_> = known.into_iter().map(|(key, _)| key).collect();
        for entry in section.entries() {
            if !known.contains(&entry.key) {
                return Err(entry.unknown(&known));
            }
            let value = entry.scalar("a text, a number, true or false")?;
            if router {
                host.icmp = switch(&value).map_err(|expected| entry.wrong(expected))?;
            } else {
                host.set(entry.key, &value).map_err(|expected| entry.wrong(expected))?;
            }
        }
        Ok(host)
    }

    /// Sets one of [`keys`]; the error is what was expected.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        if key == ADDRESS_KEY.0 {
            value.clone_into(&mut self.address);
            return Ok(());
        }
        set_host_key(&mut self.config, key, value)
    }
}

pub(super) fn number<T>(text: &str, least: T, most: T) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy,
{
    let read = text.parse().ok().filter(|number| *number >= least && *number <= most);
    read.ok_or_else(|| format!("a number from {least} to {most}"))
}

/// A time, or 0 without a unit.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    parse_time(text).ok_or_else(|| TIME_EXPECTED.to_owned())
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| SWITCH.to_owned())
}
