//! Settings: a key of the file and a new value, as text. On the command line `--set link.loss=1%`, in a recipe an entry
//! of `set`, in a sweep one of many values.
//!
//! | key | what it changes |
//! |---|---|
//! | `link.ITEM` | an item of every link line: `link.loss` |
//! | `links.A-B.ITEM`, `links.A>B.ITEM` | of one link, of one direction |
//! | `host.KEY` | a key of every host: `host.cc` |
//! | `hosts.NAME.KEY` | of one host |
//! | `programs.NAME.KEY` | `size`, `port`, `backlog`, `start`, `count`, `every` of a program, by name or number from 1 |
//! | `until` | when the run ends |
//!
//! The value 0 takes an item of a link away: `link.loss=0` is no loss.

use super::error::SetError;
use super::{Scenario, host, read};
use crate::link::LinkLine;
use crate::sim::parse_addresses;

/// What keys look like, for messages.
const EXPECTED: &str = "is not known: expected link.ITEM, links.A-B.ITEM, links.A>B.ITEM, host.KEY, hosts.NAME.KEY, \
    programs.NAME.KEY or until";

impl Scenario {
    /// Sets a key. Setting the same key again puts the new value in place of the old.
    ///
    /// # Errors
    /// No such key, or no such value; the scenario is as before.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SetError> {
        let mut changed = self.clone();
        changed.try_set(key, value).map_err(|expected| SetError {
            key: key.to_owned(),
            value: value.to_owned(),
            expected,
        })?;
        super::limits::check(&changed).map_err(|excess| SetError {
            key: key.to_owned(),
            value: value.to_owned(),
            expected: format!("asks for too much: {excess}"),
        })?;
        changed.set.insert(key.to_owned(), value.to_owned());
        *self = changed;
        Ok(())
    }

    /// Sets the items of a link line, for every link or, with `A>B:` in front, for one direction.
    ///
    /// # Errors
    /// As [`Scenario::set`].
    pub fn set_link(&mut self, line: &LinkLine) -> Result<(), SetError> {
        let table = match &line.direction {
            None => "link".to_owned(),
            Some((from, to)) => format!("links.{from}>{to}"),
        };
        let items = line.spec.to_string();
        for (key, value) in items.split(',').filter_map(|item| item.split_once('=')) {
            self.set(&format!("{table}.{key}"), value)?;
        }
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
            ("link", "") => self.links.iter_mut().try_for_each(|link| link.set(None, item, value)).map_err(takes),
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
        let takes = |expected: String| format!("takes {expected}");
        if let Some((from, to)) = name.split_once('>') {
            let direction = (from.to_owned(), to.to_owned());
            let link = self.links.iter_mut().find(|link| link.joins(from, to)).ok_or_else(unknown)?;
            return link.set(Some(&direction), item, value).map_err(takes);
        }
        let link = self.links.iter_mut().find(|link| link.name == name).ok_or_else(unknown)?;
        link.set(None, item, value).map_err(takes)
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
