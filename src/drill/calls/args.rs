//! Reads the arguments of a call, and the constants that scripts name. Numbers are Linux's; a script uses names, so it
//! makes no difference which system has them.

use super::Refused;
use crate::drill::script::{Call, Field, Value};

pub(super) const AF_INET: i64 = 2;
pub(super) const AF_INET6: i64 = 10;
pub(super) const SOCK_STREAM: i64 = 1;
pub(super) const SOCK_DGRAM: i64 = 2;
pub(super) const SOCK_NONBLOCK: i64 = 0o4000;
pub(super) const IPPROTO_TCP: i64 = 6;
pub(super) const IPPROTO_UDP: i64 = 17;
pub(super) const F_GETFL: i64 = 3;
pub(super) const F_SETFL: i64 = 4;
pub(super) const O_RDWR: i64 = 2;
pub(super) const O_NONBLOCK: i64 = 0o4000;

/// Constants by name.
const CONSTANTS: [(&str, i64); 46] = [
    ("AF_INET", AF_INET),
    ("PF_INET", AF_INET),
    ("AF_INET6", AF_INET6),
    ("PF_INET6", AF_INET6),
    ("SOCK_STREAM", SOCK_STREAM),
    ("SOCK_DGRAM", SOCK_DGRAM),
    ("SOCK_NONBLOCK", SOCK_NONBLOCK),
    ("SOCK_CLOEXEC", 0o2_000_000),
    ("IPPROTO_IP", 0),
    ("IPPROTO_TCP", IPPROTO_TCP),
    ("IPPROTO_UDP", IPPROTO_UDP),
    ("F_GETFL", F_GETFL),
    ("F_SETFL", F_SETFL),
    ("O_RDONLY", 0),
    ("O_WRONLY", 1),
    ("O_RDWR", O_RDWR),
    ("O_NONBLOCK", O_NONBLOCK),
    ("SHUT_RD", 0),
    ("SHUT_WR", 1),
    ("SHUT_RDWR", 2),
    ("MSG_OOB", 1),
    ("MSG_PEEK", 2),
    ("MSG_DONTROUTE", 4),
    ("MSG_CTRUNC", 8),
    ("MSG_TRUNC", 0x20),
    ("MSG_DONTWAIT", 0x40),
    ("MSG_EOR", 0x80),
    ("MSG_WAITALL", 0x100),
    ("MSG_SYN", 0x400),
    ("MSG_ERRQUEUE", 0x2000),
    ("MSG_NOSIGNAL", 0x4000),
    ("MSG_MORE", 0x8000),
    ("MSG_ZEROCOPY", 0x0400_0000),
    ("MSG_FASTOPEN", 0x2000_0000),
    ("POLLIN", 0x01),
    ("POLLPRI", 0x02),
    ("POLLOUT", 0x04),
    ("POLLERR", 0x08),
    ("POLLHUP", 0x10),
    ("POLLNVAL", 0x20),
    ("POLLRDHUP", 0x2000),
    ("EPOLLIN", 0x01),
    ("EPOLLOUT", 0x04),
    ("EPOLLERR", 0x08),
    ("EPOLLHUP", 0x10),
    ("EPOLLRDHUP", 0x2000),
];

/// The arguments of a call.
pub(super) struct Args<'a> {
    call: &'a Call,
}

impl<'a> Args<'a> {
    pub(super) fn new(call: &'a Call) -> Self {
        Self { call }
    }

    pub(super) fn len(&self) -> usize {
        self.call.args.len()
    }

    /// The argument in this place, from 0.
    pub(super) fn at(&self, at: usize) -> Result<&'a Value, Refused> {
        let argument = self.call.args.get(at).map(|argument| &argument.value);
        argument.ok_or_else(|| {
            let name = &self.call.name.value;
            Refused::Wrong(format!("{name} has {} arguments, and needs argument {}", self.len(), at + 1))
        })
    }

    /// A number, or a constant by name.
    pub(super) fn int(&self, at: usize) -> Result<i64, Refused> {
        int(self.at(at)?)
    }

    /// A number of bytes that is not unreasonable.
    pub(super) fn size(&self, at: usize) -> Result<usize, Refused> {
        size(self.int(at)?)
    }

    /// A name.
    pub(super) fn word(&self, at: usize) -> Option<&'a str> {
        match self.at(at).ok()? {
            Value::Word(word) => Some(word),
            _ => None,
        }
    }

    /// The one value in brackets, `[4]`.
    pub(super) fn bracketed(&self, at: usize) -> Result<&'a Value, Refused> {
        match self.at(at)? {
            Value::Array(values) => match values.as_slice() {
                [only] => Ok(&only.value),
                _ => Err(Refused::Wrong(format!("argument {} needs one value in its brackets", at + 1))),
            },
            other => Ok(other),
        }
    }

    /// Compares the value in brackets with what the host wrote.
    pub(super) fn differs(&self, at: usize, actual: i64) -> Result<Option<(String, String)>, Refused> {
        let expected = match self.bracketed(at)? {
            Value::Any => return Ok(None),
            expected => int(expected)?,
        };
        Ok((expected != actual).then(|| (format!("[{expected}]"), format!("[{actual}]"))))
    }
}

/// The most bytes that a call may move.
const MOST: i64 = 1 << 26;

/// A number of bytes.
pub(super) fn size(number: i64) -> Result<usize, Refused> {
    let fits = (0..=MOST).contains(&number);
    fits.then_some(number as usize).ok_or_else(|| Refused::Wrong(format!("{number} bytes: from 0 to {MOST}")))
}

/// A number, or a constant by name, or several joined by `|`.
pub(super) fn int(value: &Value) -> Result<i64, Refused> {
    match value {
        Value::Integer(number) => Ok(*number),
        Value::Htons(port) => Ok(i64::from(*port)),
        Value::Word(word) => {
            let known = CONSTANTS.iter().find(|(name, _)| name == word);
            known.map(|(_, number)| *number).ok_or_else(|| Refused::Unsupported(format!("the constant {word}")))
        }
        Value::Or(parts) => parts.iter().try_fold(0, |all, part| Ok(all | int(part)?)),
        _ => Err(Refused::Wrong("a number was expected".to_owned())),
    }
}

/// A part of a struct by name.
pub(super) fn field<'a>(fields: &'a [Field], name: &str) -> Option<&'a Value> {
    fields.iter().find(|field| field.name.as_deref() == Some(name)).map(|field| &field.value.value)
}
