//! setsockopt(2) and getsockopt(2) of a script: the names of the options and the forms of their values.

use super::args::{self, Args};
use super::{Calls, Refused, Returned};
use crate::drill::script::Value;
use crate::socket::{CongestionName, OptionName, SocketOption};
use crate::time::Duration;

/// An option whose value is a number.
fn named(word: &str) -> Option<OptionName> {
    Some(match word {
        "SO_REUSEADDR" => OptionName::ReuseAddr,
        "SO_KEEPALIVE" => OptionName::KeepAlive,
        "SO_RCVBUF" => OptionName::RcvBuf,
        "SO_SNDBUF" => OptionName::SndBuf,
        "TCP_NODELAY" => OptionName::NoDelay,
        "TCP_CORK" | "TCP_NOPUSH" => OptionName::Cork,
        "TCP_MAXSEG" => OptionName::MaxSeg,
        "TCP_KEEPIDLE" => OptionName::KeepIdle,
        "TCP_KEEPINTVL" => OptionName::KeepIntvl,
        "TCP_KEEPCNT" => OptionName::KeepCnt,
        "TCP_USER_TIMEOUT" => OptionName::UserTimeout,
        "TCP_QUICKACK" => OptionName::QuickAck,
        "IPV6_V6ONLY" => OptionName::V6Only,
        "IP_TTL" | "IPV6_UNICAST_HOPS" => OptionName::Ttl,
        _ => return None,
    })
}

/// The option with this value. `None` for a value that no option can have.
fn with(name: OptionName, number: i64) -> Option<SocketOption> {
    use OptionName as N;
    use SocketOption as O;
    let (on, size) = (number != 0, usize::try_from(number).unwrap_or(0));
    let seconds = || u64::try_from(number).ok().map(Duration::from_secs);
    Some(match name {
        N::ReuseAddr => O::ReuseAddr(on),
        N::KeepAlive => O::KeepAlive(on),
        N::RcvBuf => O::RcvBuf(size),
        N::SndBuf => O::SndBuf(size),
        N::NoDelay => O::NoDelay(on),
        N::Cork => O::Cork(on),
        N::MaxSeg => O::MaxSeg(u16::try_from(number).ok()?),
        N::KeepIdle => O::KeepIdle(seconds()?),
        N::KeepIntvl => O::KeepIntvl(seconds()?),
        N::KeepCnt => O::KeepCnt(u32::try_from(number).ok()?),
        N::UserTimeout => O::UserTimeout(Duration::from_millis(u64::try_from(number).ok()?)),
        N::QuickAck => O::QuickAck(on),
        N::V6Only => O::V6Only(on),
        N::Ttl => O::Ttl(u8::try_from(number).ok()?),
        _ => return None,
    })
}

/// The number that an option has.
fn number(option: SocketOption) -> Option<i64> {
    use SocketOption as O;
    Some(match option {
        O::ReuseAddr(on) | O::KeepAlive(on) | O::NoDelay(on) | O::Cork(on) | O::QuickAck(on) | O::V6Only(on) => {
            on.into()
        }
        O::RcvBuf(size) | O::SndBuf(size) => size as i64,
        O::MaxSeg(size) => size.into(),
        O::KeepIdle(time) | O::KeepIntvl(time) => time.as_secs() as i64,
        O::KeepCnt(count) => count.into(),
        O::UserTimeout(time) => time.as_millis() as i64,
        O::Ttl(ttl) => ttl.into(),
        _ => return None,
    })
}

fn unsupported(word: &str) -> Refused {
    Refused::Unsupported(format!("the socket option {word}"))
}

impl Calls {
    pub(super) fn setsockopt(&self, args: &Args<'_>) -> Result<Returned, Refused> {
        let fd = self.fd(args)?;
        let word = args.word(2).ok_or_else(|| unsupported("with a number"))?;
        let option = match word {
            "SO_LINGER" => SocketOption::Linger(linger(args.at(3)?)?),
            "TCP_CONGESTION" => match args.bracketed(3)? {
                Value::String(name) => SocketOption::Congestion(CongestionName::from(name.as_str())),
                _ => return Err(Refused::Wrong("TCP_CONGESTION needs a string".to_owned())),
            },
            word => {
                let name = named(word).ok_or_else(|| unsupported(word))?;
                let value = args::int(args.bracketed(3)?)?;
                with(name, value).ok_or_else(|| Refused::Wrong(format!("{word} cannot be {value}")))?
            }
        };
        Ok(Returned::unit(self.host.sys(|host| host.setsockopt(fd, option))))
    }

    pub(super) fn getsockopt(&self, args: &Args<'_>) -> Result<Returned, Refused> {
        let fd = self.fd(args)?;
        let word = args.word(2).ok_or_else(|| unsupported("with a number"))?;
        if word == "SO_ERROR" {
            let error = self.host.sys(|host| host.take_error(fd));
            let differs = match &error {
                Ok(error) => {
                    let actual = error.map_or("0", |error| error.name());
                    let expected = match args.bracketed(3)? {
                        Value::Any => actual.to_owned(),
                        Value::Word(name) => name.clone(),
                        Value::Integer(0) => "0".to_owned(),
                        // A number is Linux's.
                        Value::Integer(number) => {
                            let known =
                                crate::socket::Errno::ALL.iter().find(|errno| i64::from(errno.number()) == *number);
                            known.map_or_else(|| number.to_string(), |errno| errno.name().to_owned())
                        }
                        _ => return Err(Refused::Wrong("SO_ERROR needs the name of an error or 0".to_owned())),
                    };
                    (expected != actual).then(|| (format!("[{expected}]"), format!("[{actual}]")))
                }
                Err(_) => None,
            };
            return Ok(Returned { differs, ..Returned::of(error.map(|_| 0)) });
        }
        if word == "TCP_CONGESTION" {
            let value = self.host.sys(|host| host.getsockopt(fd, OptionName::Congestion));
            let differs = match (&value, args.bracketed(3)?) {
                (Ok(SocketOption::Congestion(actual)), Value::String(expected)) => {
                    (expected != actual.as_str()).then(|| (format!("\"{expected}\""), format!("\"{actual}\"")))
                }
                _ => None,
            };
            return Ok(Returned { differs, ..Returned::of(value.map(|_| 0)) });
        }
        let name = named(word).ok_or_else(|| unsupported(word))?;
        let value = self.host.sys(|host| host.getsockopt(fd, name));
        let differs = match value {
            Ok(option) => args.differs(3, number(option).unwrap_or(0))?,
            Err(_) => None,
        };
        Ok(Returned { differs, ..Returned::of(value.map(|_| 0)) })
    }
}

/// `{onoff=1, linger=0}`
fn linger(value: &Value) -> Result<Option<Duration>, Refused> {
    let Value::Struct(fields) = value else {
        return Err(Refused::Wrong("SO_LINGER needs {onoff=, linger=}".to_owned()));
    };
    let part = |names: [&str; 2]| {
        let found = names.iter().find_map(|name| args::field(fields, name));
        found.map_or(Ok(0), args::int)
    };
    let (on, seconds) = (part(["onoff", "l_onoff"])?, part(["linger", "l_linger"])?);
    Ok((on != 0).then(|| Duration::from_secs(u64::try_from(seconds).unwrap_or(0))))
}
