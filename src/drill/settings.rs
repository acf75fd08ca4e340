//! Settings of a run: the option lines of a script and their twins on the command line, which win. `run` reads them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::script::{OptionLine, Script, Span};
use super::system::System;
use crate::scenario::set_host_key;
use crate::socket::HostConfig;
use crate::time::Duration;

/// The IP version of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum IpVersion {
    /// `ipv4`
    #[default]
    V4,
    /// `ipv6`
    V6,
    /// `ipv4-mapped-ipv6`: IPv6 sockets, IPv4 packets.
    Mapped,
}

impl IpVersion {
    /// By its name in option lines.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "ipv4" => Some(Self::V4),
            "ipv6" => Some(Self::V6),
            "ipv4-mapped-ipv6" => Some(Self::Mapped),
            _ => None,
        }
    }

    /// True if packets are IPv6 packets.
    pub const fn is_v6(self) -> bool {
        matches!(self, Self::V6)
    }
}

/// What option lines set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct Settings {
    pub(super) ip_version: IpVersion,
    pub(super) bind_port: u16,
    pub(super) connect_port: u16,
    pub(super) local_ip: Option<IpAddr>,
    pub(super) remote_ip: Option<IpAddr>,
    /// `None`: that of the host.
    pub(super) mtu: Option<usize>,
    pub(super) tolerance: Duration,
    /// Percent of the time since the event before, in hundredths of a percent.
    pub(super) tolerance_percent: u64,
    /// Microseconds of one unit of a timestamp; zero: the values are not compared.
    pub(super) tick: u64,
    pub(super) strict_segments: bool,
    /// A packet that differs does not end the run.
    pub(super) packets_not_fatal: bool,
    /// A call that differs does not end the run.
    pub(super) calls_not_fatal: bool,
    pub(super) no_extra: bool,
    /// Calls at the instant of a packet belong to the turn of the host that takes the packet.
    pub(super) one_turn: bool,
    /// Keys of the host with their values, in the order of the script.
    pub(super) host: Vec<(String, String)>,
}

/// Why the option lines of a script cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// What they ask for does not exist here.
    Unsupported(String),
    /// They make no sense.
    Wrong(String),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ip_version: IpVersion::V4,
            bind_port: 8080,
            connect_port: 8080,
            local_ip: None,
            remote_ip: None,
            mtu: None,
            tolerance: Duration::from_millis(4),
            tolerance_percent: 1_250,
            tick: 0,
            strict_segments: false,
            packets_not_fatal: false,
            calls_not_fatal: false,
            no_extra: false,
            one_turn: false,
            host: Vec::new(),
        }
    }
}

impl Settings {
    /// The settings of a script. `more`: those of the command line.
    /// The error has the place of the line, if the script has it.
    pub(super) fn of(script: &Script, more: &[OptionLine]) -> Result<Self, (Unusable, Option<Span>)> {
        let mut settings = Self::default();
        let lines = script.options.iter().map(|line| (&line.value, Some(line.span)));
        for (line, span) in lines.chain(more.iter().map(|line| (line, None))) {
            settings.set(line).map_err(|unusable| (unusable, span))?;
        }
        let wrong = |what| Err((Unusable::Wrong(what), None));
        let fits = |ip: Option<IpAddr>| ip.is_none_or(|ip| ip.is_ipv6() == settings.ip_version.is_v6());
        if !(fits(settings.local_ip) && fits(settings.remote_ip)) {
            return wrong("local_ip and remote_ip are not of the IP version of the run".to_owned());
        }
        if settings.local() == settings.remote() {
            return wrong(format!("local_ip and remote_ip are both {}", settings.local()));
        }
        Ok(settings)
    }

    fn set(&mut self, line: &OptionLine) -> Result<(), Unusable> {
        let value = line.value.as_deref().unwrap_or_default();
        let wrong = |expected: &str| Unusable::Wrong(format!("--{}={value}: expected {expected}", line.name));
        let port = || value.parse::<u16>().map_err(|_| wrong("a port"));
        let number = || value.parse::<u64>().ok().filter(|number| *number <= 1 << 40).ok_or_else(|| wrong("a number"));
        let address = || {
            let text = value.split('/').next().unwrap_or_default();
            text.parse::<IpAddr>().map(Some).map_err(|_| wrong("an address"))
        };
        let switch = || match value {
            "" | "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(wrong("true or false")),
        };
        match line.name.as_str() {
            "ip_version" => {
                self.ip_version = IpVersion::by_name(value).ok_or_else(|| wrong("ipv4, ipv6 or ipv4-mapped-ipv6"))?;
            }
            "bind_port" => self.bind_port = port()?,
            "connect_port" => self.connect_port = port()?,
            "local_ip" => self.local_ip = address()?,
            "remote_ip" => self.remote_ip = address()?,
            "mtu" => {
                let mtu = number()?;
                let known = usize::try_from(mtu).ok().filter(|mtu| (576..=65_535).contains(mtu));
                self.mtu = Some(known.ok_or_else(|| wrong("from 576 to 65535"))?);
            }
            "tolerance_usecs" => self.tolerance = Duration::from_micros(number()?),
            "tolerance_percent" => {
                let percent = value.parse::<f64>().ok().filter(|percent| (0.0..=1e6).contains(percent));
                self.tolerance_percent = (percent.ok_or_else(|| wrong("a percentage"))? * 100.0) as u64;
            }
            "tcp_ts_tick_usecs" => self.tick = number()?,
            "strict_segments" => self.strict_segments = switch()?,
            "no_extra" | "no-extra" => self.no_extra = switch()?,
            // Ours, as on the command line.
            "one_turn" | "one-turn" => self.one_turn = switch()?,
            "set" => {
                let (key, value) = value.split_once('=').ok_or_else(|| wrong("KEY=VALUE"))?;
                let known = set_host_key(&mut HostConfig::default(), key, value);
                known.map_err(|expected| wrong(&expected))?;
                self.host.push((key.to_owned(), value.to_owned()));
            }
            "as" => {
                System::by_name(value).ok_or_else(|| wrong("freebsd, linux or rfc"))?;
            }
            "non_fatal" => {
                for kind in value.split(',') {
                    match kind {
                        "packet" => self.packets_not_fatal = true,
                        "syscall" => self.calls_not_fatal = true,
                        _ => return Err(wrong("packet, syscall or both")),
                    }
                }
            }
            "udp_encapsulation" => {
                return Err(Unusable::Unsupported(format!("--{}={value}: TCP over UDP", line.name)));
            }
            "tcp_md5_secret" => return Err(Unusable::Unsupported("--tcp_md5_secret: MD5 signatures".to_owned())),
            // What is about the way to a kernel, or about how much is printed.
            "gateway_ip" | "netmask_ip" | "prefix" | "speed" | "init_scripts" | "tcp_ts_ecr_scaled"
            | "send_omit_free" | "is_anyip" | "define" | "code_command" | "code_format" | "code_sockopt"
            | "dry_run" | "verbose" | "debug" | "mss" => {}
            name if name.starts_with("so_") || name.starts_with("wire_") => {}
            name if name.starts_with("psp") => return Err(Unusable::Unsupported(format!("--{name}"))),
            name => {
                return Err(Unusable::Wrong(format!("--{name} is no option of a script; docs/drill.md lists them")));
            }
        }
        Ok(())
    }

    /// The address of the host under test.
    pub(super) fn local(&self) -> IpAddr {
        self.local_ip.unwrap_or(if self.ip_version.is_v6() {
            IpAddr::V6(Ipv6Addr::new(0xfd3d, 0x0a0b, 0x17d6, 0, 0, 0, 0, 1))
        } else {
            IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1))
        })
    }

    /// The address of the script's side.
    pub(super) fn remote(&self) -> IpAddr {
        self.remote_ip.unwrap_or(if self.ip_version.is_v6() {
            IpAddr::V6(Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 1))
        } else {
            IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))
        })
    }

    /// How far the time of an event may be off, `gap` after the event before.
    pub(super) fn tolerance(&self, gap: Duration) -> Duration {
        let share = gap.as_nanos() * u128::from(self.tolerance_percent) / 10_000;
        self.tolerance.max(Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX)))
    }
}
