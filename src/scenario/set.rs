//! Settings: a key of the file and a new value, as text. On the command line `--set link.loss=1%`, in a recipe an entry
//! of `set`, in a sweep one of many values.
//!
//! | key | what it changes |
//! |---|---|
//! | `link.ITEM` | an item of every link line: `link.loss` |
//! | `links.A-B.ITEM`, `links.A>B.ITEM` | of one link, of one direction |
//! | `link.@TIME.ITEM`, `links.A>B.@TIME.ITEM` | an item from a time on: `link.@5s.loss` |
//! | `host.KEY` | a key of every host: `host.cc` |
//! | `hosts.NAME.KEY` | of one host |
//! | `programs.NAME.KEY` | `size`, `port`, `backlog`, `start`, `count`, `every` of a program, by name or number from 1 |
//! | `until` | when the run ends |
//!
//! The value 0 takes an item of a link away: `link.loss=0` is no loss.

use super::error::SetError;
use super::link::described;
use super::{Scenario, host, read};
use crate::link::{LinkItems, LinkLine, LinkSpec, SpecError, TIME_EXPECTED, Trace, parse_time};
use crate::sim::parse_addresses;
use crate::time::Duration;

/// What keys look like, for messages.
const EXPECTED: &str = "is not known: expected link.ITEM, links.A-B.ITEM, links.A>B.ITEM, host.KEY, hosts.NAME.KEY, \
    programs.NAME.KEY or until";

impl Scenario {
    /// Sets a key. Setting the same key again puts the new value in place of the old.
    ///
    /// # Errors
    /// No such key, or no such value; the scenario is as before.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SetError> {
        self.set_all(vec![(key.to_owned(), value.to_owned())], &[])
    }

    /// Sets the items of link lines, for every link or, with `A>B:` in front, for one direction; with `@TIME:` from that time
    /// on.
    ///
    /// # Errors
    /// As [`Scenario::set`].
    pub fn set_links(&mut self, lines: &[LinkLine]) -> Result<(), SetError> {
        let traces: Vec<_> =
            lines.iter().filter_map(|line| line.items.spec().trace.clone()).filter(Trace::is_read).collect();
        self.set_all(lines.iter().flat_map(Self::keys_of).collect(), &traces)
    }

    /// The keys that a link line sets, with their values.
    pub fn keys_of(line: &LinkLine) -> Vec<(String, String)> {
        let table = match &line.direction {
            None => "link".to_owned(),
            Some((from, to)) => format!("links.{from}>{to}"),
        };
        let table = line.at.map_or(table.clone(), |at| format!("{table}.@{}", written(at)));
        let pairs = line.items.pairs().into_iter();
        pairs.map(|(key, value)| (format!("{table}.{key}"), value)).collect()
    }

    /// Sets keys in order, all or none.
    fn set_all(&mut self, pairs: Vec<(String, String)>, traces: &[Trace]) -> Result<(), SetError> {
        let mut changed = self.clone();
        for trace in traces {
            changed.traces.insert(trace.name().to_owned(), trace.clone());
        }
        let wrong = |key: &str, value: &str, expected| {
            let (key, value) = (key.to_owned(), value.to_owned());
            SetError { key, value, expected }
        };
        for (key, value) in &pairs {
            changed.try_set(key, value).map_err(|expected| wrong(key, value, expected))?;
        }
        changed.give_known_traces();
        if let (Err(excess), Some((key, value))) = (super::limits::check(&changed), pairs.last()) {
            return Err(wrong(key, value, format!("asks for too much: {excess}")));
        }
        changed.set.extend(pairs);
        *self = changed;
        Ok(())
    }

    fn try_set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let takes = |expected: String| format!("takes {expected}");
        if value.contains(['\n', '\r']) {
            return Err("takes one line".to_owned());
        }
        if key == "until" {
            self.until = Some(host::time(value).map_err(takes)?);
            return Ok(());
        }
        let (table, item) = key.rsplit_once('.').ok_or_else(|| EXPECTED.to_owned())?;
        match table.split_once('.').unwrap_or((table, "")) {
            ("link", "") if self.links.is_empty() => Err("cannot be set: there is no link".to_owned()),
            ("link", at) if at.is_empty() || at.starts_with('@') => {
                let line = link_line(None, at, item, value)?;
                self.links.iter_mut().try_for_each(|link| link.set(&line)).map_err(takes)
            }
            ("links", name) => self.set_one_link(name, item, value),
            ("host", "") => {
                let mut hosts = self.hosts.iter_mut().filter(|host| !host.router);
                hosts.try_for_each(|host| host.set(item, value)).map_err(takes)?;
                self.check_addresses()
            }
            ("hosts", name) => {
                let known = self.hosts().collect::<Vec<_>>().join(", ");
                let host = self.hosts.iter_mut().find(|host| !host.router && host.name == name);
                host.ok_or(format!("is not known: the hosts are {known}"))?.set(item, value).map_err(takes)?;
                self.check_addresses()
            }
            ("programs", name) => {
                let number = name.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
                let named = self.programs.iter().position(|program| program.name.as_deref() == Some(name));
                let program = named.or(number).and_then(|at| self.programs.get_mut(at));
                let program = program.ok_or("is not known: programs are called by their name or number")?;
                program.set_from_outside(item, value).map_err(takes)
            }
            _ => Err(EXPECTED.to_owned()),
        }
    }

    fn set_one_link(&mut self, name: &str, item: &str, value: &str) -> Result<(), String> {
        let known = self.links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>().join(", ");
        let unknown = || format!("is not known: the links are {known}");
        let (name, at) = name.rfind(".@").map_or((name, ""), |dot| (&name[..dot], &name[dot + 1..]));
        let direction = name.split_once('>').map(|(from, to)| (from.to_owned(), to.to_owned()));
        let link = match &direction {
            Some((from, to)) => self.links.iter_mut().find(|link| link.joins(from, to)),
            None => self.links.iter_mut().find(|link| link.name == name),
        };
        let line = link_line(direction, at, item, value)?;
        link.ok_or_else(unknown)?.set(&line).map_err(|expected| format!("takes {expected}"))
    }

    fn check_addresses(&self) -> Result<(), String> {
        let hosts = self.hosts.iter().filter(|host| !host.router);
        let known = read::addresses(&self.hosts).len();
        if known == hosts.clone().count() && hosts.clone().all(|host| parse_addresses(&host.address).is_ok()) {
            if let Some(same) = read::same_address(&self.hosts) {
                return Err(format!("takes {same}"));
            }
            return Ok(());
        }
        Err(format!("takes {}", host::ADDRESS))
    }
}

/// A line of one item. `at` is empty, or `@TIME`.
fn link_line(direction: Option<(String, String)>, at: &str, key: &str, value: &str) -> Result<LinkLine, String> {
    let time = |text: &str| parse_time(text).ok_or(format!("takes, behind `@`, {TIME_EXPECTED}"));
    let at = at.strip_prefix('@').map(time).transpose()?;
    let wrong = |error| match error {
        SpecError::Value { .. } if value.is_empty() => "has no value; 0 takes the item away".to_owned(),
        SpecError::Value { expected, .. } => format!("takes {expected}"),
        SpecError::UnknownKey(_) => format!("is not known: the items are {}", LinkSpec::KEYS.join(", ")),
        error => format!("takes {}", described(&error)),
    };
    let items = LinkItems::item(key, value).map_err(wrong)?;
    Ok(LinkLine { direction, at, items })
}

/// A time as in a link line.
fn written(at: Duration) -> String {
    let line = LinkLine { at: Some(at), ..LinkLine::default() }.to_string();
    line.trim_matches(['@', ':']).to_owned()
}
