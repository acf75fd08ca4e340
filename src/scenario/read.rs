//! The file as a whole: its tables, in what order they are read, and the list of all keys.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use super::error::ScenarioError;
use super::fault::FaultPart;
use super::host::HostPart;
use super::limits::{self, Excess};
use super::link::LinkPart;
use super::program::ProgramPart;
use super::source::{Section, Text};
use super::{Scenario, Source, expect, fault, host, program};
use crate::app::Registry;
use crate::sim::parse_addresses;
use crate::time::Instant;

/// Keys of the file itself with what they mean.
const KEYS: [(&str, &str); 14] = [
    ("topic", "what it is about, in one or two words"),
    ("summary", "what it is about, in a line"),
    ("story", "what happens and why"),
    ("look", "what to look at in the capture: one text, or a list"),
    ("seed", "the random seed, if --seed is not given (default 1)"),
    ("at", "the host at whose interface captures are taken (default: the first)"),
    ("until", "when the run ends; by default when every program has ended and nothing can happen any more"),
    ("fds", "\"HOST at TIME\": the descriptors of a host at an instant are printed"),
    ("hosts", "tables [hosts.NAME]"),
    ("routers", "tables [routers.NAME]"),
    ("links", "the table [links]: A-B = \"a link line\", or a list of lines"),
    ("programs", "tables [[programs]]"),
    ("faults", "tables [[faults]]"),
    ("tshark", "the table [tshark]: what tshark finds in the capture, by the name of the expert item"),
];

const TABLES: &str = "a table";
/// More hosts than anybody draws.
const MOST_HOSTS: usize = 1_000;
/// Each pair of hosts has one link at most.
const MOST_LINKS: usize = 10_000;
const MOST_FAULTS: usize = 10_000;
/// Tables `[[programs]]`. Each may stand for many programs.
const MOST_TABLES: usize = 10_000;
/// Every key of a scenario file, with the tables that it is in, and what it means.
pub fn keys() -> Vec<(String, &'static str)> {
    let below = |table: &str, keys: &[(&str, &'static str)]| -> Vec<_> {
        keys.iter().map(|(key, what)| (format!("{table}{key}"), *what)).collect()
    };
    [
        below("", &KEYS),
        below("hosts.NAME.", &host::keys()),
        below("routers.NAME.", &host::ROUTER_KEYS),
        below("programs.", &program::KEYS),
        below("faults.", &fault::KEYS),
    ]
    .concat()
}

pub(super) fn scenario(text: &str, source: Source, registry: &Registry) -> Result<Scenario, ScenarioError> {
    let text = Text(text);
    if text.0.len() > Scenario::MOST_BYTES {
        return Err(text.error(0, "", format!("at most {} bytes", Scenario::MOST_BYTES)));
    }
    let document = text.parse()?;
    let root = Section::root(text, &document);
    for entry in root.entries() {
        if !KEYS.iter().any(|(key, _)| *key == entry.key) {
            return Err(entry.unknown(&KEYS.map(|(key, _)| key)));
        }
    }
    let hosts = hosts(&root, registry)?;
    let known: Vec<_> = hosts.iter().map(|host| host.name.as_str()).collect();
    let links = match root.entry("links") {
        None => Vec::new(),
        Some(entry) => {
            let mut links: Vec<LinkPart> = Vec::new();
            let mut pairs = BTreeSet::new();
            let entries = entry.table(TABLES)?.entries();
            if entries.len() > MOST_LINKS {
                return Err(
                    root.missing("links", format!("at most {MOST_LINKS} links, and here are {}", entries.len()))
                );
            }
            for entry in entries {
                let link = LinkPart::read(&entry, &known)?;
                let mut pair = link.ends.clone();
                pair.sort_unstable();
                if !pairs.insert(pair) {
                    return Err(entry.unknown_name("another pair of hosts: these two are joined already"));
                }
                links.push(link);
            }
            links
        }
    };
    let table = addresses(&hosts);
    let sections = |key: &str| root.entry(key).map_or(Ok(Vec::new()), |entry| entry.tables("tables, [[...]]"));
    let program_sections = sections("programs")?;
    let faults = sections("faults")?;
    for (key, most, count) in [("programs", MOST_TABLES, program_sections.len()), ("faults", MOST_FAULTS, faults.len())]
    {
        if count > most {
            return Err(root.missing(key, format!("at most {most} tables [[{key}]], and here are {count}")));
        }
    }
    let programs = program_sections
        .iter()
        .map(|section| ProgramPart::read(section, &table, registry))
        .collect::<Result<_, _>>()?;
    let faults = faults.iter().map(|section| FaultPart::read(section, &links)).collect::<Result<_, _>>()?;
    let tshark = root.entry("tshark").map_or(Ok(BTreeMap::new()), |entry| expect::read(&entry.table(TABLES)?))?;
    let plain = |key: &str| match root.entry(key) {
        Some(entry) => entry.string("a text").map(|text| text.trim().to_owned()),
        None => Ok(String::new()),
    };
    let mut scenario = Scenario {
        source,
        registry: registry.clone(),
        topic: plain("topic")?,
        summary: plain("summary")?,
        story: plain("story")?,
        look: Vec::new(),
        seed: 1,
        at: None,
        until: None,
        fds: None,
        hosts,
        links,
        programs,
        faults,
        tshark,
        traces: BTreeMap::new(),
        set: BTreeMap::new(),
    };
    if let Some(entry) = root.entry("look") {
        let places = entry.strings("a text, or a list of texts")?;
        scenario.look = places.iter().map(|place| place.string.trim().to_owned()).collect();
    }
    rest(&mut scenario, &root)?;
    limits::check(&scenario).map_err(|excess| located(&excess, &root, &program_sections))?;
    Ok(scenario)
}

/// The place of the key that asks for too much.
fn located(excess: &Excess, root: &Section<'_, '_>, programs: &[Section<'_, '_>]) -> ScenarioError {
    let number = || excess.item.parse::<usize>().ok()?.checked_sub(1);
    let of_program = || programs.get(number()?)?.entry(excess.key);
    let of_host =
        || root.entry("hosts")?.table(TABLES).ok()?.entry(&excess.item)?.table(TABLES).ok()?.entry(excess.key);
    match if excess.table == "programs" { of_program() } else { of_host() } {
        Some(entry) => entry.wrong(&excess.expected),
        // The key is not written, its default is.
        None => root.missing(&format!("{}.{}.{}", excess.table, excess.item, excess.key), &excess.expected),
    }
}

/// What names hosts and times.
fn rest(scenario: &mut Scenario, root: &Section<'_, '_>) -> Result<(), ScenarioError> {
    if let Some(entry) = root.entry("seed") {
        let expected = "a number from 0 to 18446744073709551615";
        scenario.seed = entry.scalar(expected)?.parse().map_err(|_| entry.wrong(expected))?;
    }
    let one_of = format!("one of the hosts: {}", scenario.hosts().collect::<Vec<_>>().join(", "));
    if let Some(entry) = root.entry("at") {
        let name = entry.string(&one_of)?;
        if !scenario.hosts().any(|host| host == name) {
            return Err(entry.wrong(one_of));
        }
        scenario.at = Some(name.to_owned());
    }
    if let Some(entry) = root.entry("until") {
        let until = entry.scalar("a time")?;
        scenario.until = Some(host::time(&until).map_err(|expected| entry.wrong(expected))?);
    }
    if let Some(entry) = root.entry("fds") {
        let expected = "\"HOST at TIME\", such as \"server at 1s\"";
        let words = entry.string(expected)?.split_once(" at ");
        let (name, at) = words.ok_or_else(|| entry.wrong(expected))?;
        if !scenario.hosts().any(|host| host == name) {
            return Err(entry.wrong(one_of));
        }
        let at = host::time(at.trim()).map_err(|expected| entry.wrong(expected))?;
        scenario.fds = Some((name.to_owned(), Instant::EPOCH + at));
    }
    Ok(())
}

fn hosts(root: &Section<'_, '_>, registry: &Registry) -> Result<Vec<HostPart>, ScenarioError> {
    let mut all: Vec<HostPart> = Vec::new();
    let mut names = BTreeSet::new();
    for (key, router) in [("hosts", false), ("routers", true)] {
        let Some(entry) = root.entry(key) else { continue };
        let entries = entry.table("tables [hosts.NAME] or [routers.NAME]")?.entries();
        if all.len() + entries.len() > MOST_HOSTS {
            let count = all.len() + entries.len();
            return Err(root.missing(key, format!("at most {MOST_HOSTS} hosts and routers, and here are {count}")));
        }
        for entry in entries {
            let name = entry.key;
            let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
            if !plain || name.len() > 64 {
                return Err(entry.unknown_name("a name of letters, digits, - and _"));
            }
            if !names.insert(name) {
                return Err(entry.unknown_name("another name: there is a host of this name"));
            }
            let host = HostPart::read(&entry.table(TABLES)?, name, router, registry)?;
            if let Some(address) = (!router).then(|| entry.table(TABLES).ok()?.entry("address")).flatten() {
                parse_addresses(&host.address).map_err(|_| address.wrong(host::ADDRESS))?;
            }
            all.push(host);
        }
    }
    if all.iter().all(|host| host.router) {
        return Err(root.missing("hosts", "at least one table [hosts.NAME]"));
    }
    give_addresses(&mut all);
    if let Some(same) = same_address(&all) {
        return Err(root.missing("hosts", same));
    }
    Ok(all)
}

/// Gives each host without an address the one of 192.0.2.0/24 (RFC 5737) that its place in the file has, or the next free
/// one. More than 254 hosts share 198.18.0.0/15 (RFC 2544).
fn give_addresses(hosts: &mut [HostPart]) {
    let count = hosts.iter().filter(|host| !host.router).count();
    let (network, prefix, last) =
        if count > 254 { (Ipv4Addr::new(198, 18, 0, 0), 15, 131_070) } else { (Ipv4Addr::new(192, 0, 2, 0), 24, 254) };
    let written = hosts.iter().filter(|host| !host.router).filter_map(|host| parse_addresses(&host.address).ok());
    let mut taken: BTreeSet<IpAddr> = written.flatten().map(|(address, _)| address).collect();
    for (at, host) in hosts.iter_mut().filter(|host| !host.router).enumerate() {
        if !host.address.is_empty() {
            continue;
        }
        let place = |number: usize| Ipv4Addr::from_bits(network.to_bits() + (number % last) as u32 + 1);
        // There are fewer hosts than addresses.
        if let Some(address) = (at..at + last).map(place).find(|address| taken.insert(IpAddr::from(*address))) {
            host.address = format!("{address}/{prefix}");
        }
    }
}

/// What is expected if two hosts have the same address, which would make the receiver of a packet ambiguous.
pub(super) fn same_address(hosts: &[HostPart]) -> Option<String> {
    let mut known = BTreeMap::new();
    for host in hosts.iter().filter(|host| !host.router) {
        for (address, _) in parse_addresses(&host.address).unwrap_or_default() {
            if let Some(first) = known.insert(address, &host.name).filter(|first| *first != &host.name) {
                return Some(format!(
                    "each address on one host, and {address} is that of {first} and of {}",
                    host.name
                ));
            }
        }
    }
    None
}

/// The first address of each host.
pub(super) fn addresses(hosts: &[HostPart]) -> BTreeMap<String, IpAddr> {
    let first = |host: &HostPart| Some((host.name.clone(), parse_addresses(&host.address).ok()?.first()?.0));
    hosts.iter().filter(|host| !host.router).filter_map(first).collect()
}
