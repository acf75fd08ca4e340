//! `set NAME VALUE`: a socket option as a word and its value, read and written by one table.

use std::fmt;

use super::{Line, ParseError};
use crate::app::calls::Time;
use crate::link::{TIME_EXPECTED, digits, parse_size, parse_time};
use crate::socket::{CongestionName, SocketOption as O};
use crate::time::Duration;

const NAMES: &str = "reuseaddr, nodelay, cork, cc, quickack, keepalive, v6only, rcvbuf, sndbuf, maxseg, keepcnt, ttl, keepidle, \
    keepintvl, usertimeout, rcvtimeo, sndtimeo or linger";
const SWITCH: &str = "on or off";

/// How the value of an option is read.
#[derive(Clone, Copy)]
enum SettingKind {
    Switch(fn(bool) -> O),
    Count(u64, fn(u64) -> O),
    Bytes(fn(u64) -> O),
    Time(fn(Duration) -> O),
    Controller,
}

const SETTINGS: [(&str, SettingKind); 18] = [
    ("reuseaddr", SettingKind::Switch(O::ReuseAddr)),
    ("nodelay", SettingKind::Switch(O::NoDelay)),
    ("cork", SettingKind::Switch(O::Cork)),
    ("cc", SettingKind::Controller),
    ("quickack", SettingKind::Switch(O::QuickAck)),
    ("keepalive", SettingKind::Switch(O::KeepAlive)),
    ("v6only", SettingKind::Switch(O::V6Only)),
    ("rcvbuf", SettingKind::Bytes(|size| O::RcvBuf(size as usize))),
    ("sndbuf", SettingKind::Bytes(|size| O::SndBuf(size as usize))),
    ("maxseg", SettingKind::Count(u16::MAX as u64, |size| O::MaxSeg(size as u16))),
    ("keepcnt", SettingKind::Count(127, |count| O::KeepCnt(count as u32))),
    ("ttl", SettingKind::Count(255, |ttl| O::Ttl(ttl as u8))),
    ("keepidle", SettingKind::Time(O::KeepIdle)),
    ("keepintvl", SettingKind::Time(O::KeepIntvl)),
    ("usertimeout", SettingKind::Time(O::UserTimeout)),
    ("rcvtimeo", SettingKind::Time(|time| O::RcvTimeo(Some(time)))),
    ("sndtimeo", SettingKind::Time(|time| O::SndTimeo(Some(time)))),
    ("linger", SettingKind::Time(|time| O::Linger(Some(time)))),
];

/// The largest buffer that a program can ask for: 16 MiB.
const MOST_BUFFER: u64 = 16 << 20;

/// Name and value behind `set`.
pub(super) fn read(line: &mut Line<'_>) -> Result<O, ParseError> {
    let kind = line.take(NAMES, |name| SETTINGS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind))?;
    match kind {
        SettingKind::Switch(option) => line.take(SWITCH, |word| match word {
            "on" => Some(option(true)),
            "off" => Some(option(false)),
            _ => None,
        }),
        SettingKind::Count(most, option) => {
            line.take(&format!("a number up to {most}"), |word| digits(word).filter(|&count| count <= most).map(option))
        }
        SettingKind::Bytes(option) => line.take("bytes up to 16777216, for example 65536 or 64KiB", |word| {
            parse_size(word).filter(|&count| count <= MOST_BUFFER).map(option)
        }),
        SettingKind::Controller => line.take("the name of a congestion controller, at most 15 bytes", |word| {
            CongestionName::exact(word).map(O::Congestion)
        }),
        SettingKind::Time(option) => line.take(TIME_EXPECTED, |word| parse_time(word).map(option)),
    }
}

/// An option as it is written behind `set`.
pub(in crate::app::calls) struct Setting(pub(in crate::app::calls) O);

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let switch = |on: bool| if on { "on" } else { "off" };
        let time = |time: Option<Duration>| Time(time.unwrap_or_default());
        match self.0 {
            O::ReuseAddr(on) => write!(f, "reuseaddr {}", switch(on)),
            O::NoDelay(on) => write!(f, "nodelay {}", switch(on)),
            O::Cork(on) => write!(f, "cork {}", switch(on)),
            O::Congestion(name) => write!(f, "cc {name}"),
            O::QuickAck(on) => write!(f, "quickack {}", switch(on)),
            O::KeepAlive(on) => write!(f, "keepalive {}", switch(on)),
            O::V6Only(on) => write!(f, "v6only {}", switch(on)),
            O::RcvBuf(size) => write!(f, "rcvbuf {size}"),
            O::SndBuf(size) => write!(f, "sndbuf {size}"),
            O::MaxSeg(size) => write!(f, "maxseg {size}"),
            O::KeepCnt(count) => write!(f, "keepcnt {count}"),
            O::Ttl(ttl) => write!(f, "ttl {ttl}"),
            O::KeepIdle(idle) => write!(f, "keepidle {}", time(Some(idle))),
            O::KeepIntvl(interval) => write!(f, "keepintvl {}", time(Some(interval))),
            O::UserTimeout(limit) => write!(f, "usertimeout {}", time(Some(limit))),
            O::RcvTimeo(limit) => write!(f, "rcvtimeo {}", time(limit)),
            O::SndTimeo(limit) => write!(f, "sndtimeo {}", time(limit)),
            O::Linger(limit) => write!(f, "linger {}", time(limit)),
        }
    }
}
