//! The calls of a script that move data, and poll(2). What is written is the text that `flow::pattern` gives, from the
//! position that the descriptor has reached.

use std::io::IoSliceMut;

use super::args::{self, Args};
use super::{Calls, Effect, Issued, Refused, Returned};
use crate::drill::flow::pattern;
use crate::drill::script::{Field, Value};
use crate::socket::{Errno, MsgFlags, PollFd, Readiness};
use crate::time::Duration;

/// Flags that the host has.
const KNOWN_FLAGS: u32 = MsgFlags::PEEK.0 | MsgFlags::TRUNC.0 | MsgFlags::DONTWAIT.0 | MsgFlags::NOSIGNAL.0;

impl Calls {
    /// A call that moves data.
    pub(super) fn data(&self, name: &str, args: &Args<'_>) -> Result<Issued, Refused> {
        let number = args.int(0)?;
        let fd = self.fd(args)?;
        let flags_at = match name {
            "recvmsg" | "sendmsg" => Some(2),
            "recv" | "send" | "recvfrom" | "sendto" => Some(3),
            _ => None,
        };
        let flags = flags_at.map_or(Ok(0), |at| args.int(at))?;
        let flags = u32::try_from(flags).unwrap_or(u32::MAX);
        if flags & !KNOWN_FLAGS != 0 {
            return Err(Refused::Unsupported(format!("the flags 0x{flags:x} of {name}")));
        }
        let flags = MsgFlags(flags);
        let sizes = match name {
            "readv" | "writev" => vectors(args.at(1)?)?,
            "recvmsg" | "sendmsg" => message(args.at(1)?)?,
            _ => vec![args.size(2)?],
        };
        let total = sizes.iter().sum::<usize>().min(1 << 26);
        if name.starts_with('r') {
            let peek = flags.contains(MsgFlags::PEEK);
            return Ok(self.start(async move |net| {
                let mut buf = vec![0; total];
                let result = match flags {
                    MsgFlags::NONE => net.read(fd, &mut buf).await,
                    flags => match net.recvmsg(fd, &mut [IoSliceMut::new(&mut buf)], flags).await {
                        Ok(message) => Ok(message.len),
                        Err(errno) => Err(errno),
                    },
                };
                buf.truncate(result.unwrap_or(0));
                Returned { effect: Effect::Read(number, buf, peek), ..Returned::of(result.map(|len| len as i64)) }
            }));
        }
        let to = match name {
            "sendto" if args.len() > 4 => match args.at(4)? {
                Value::Struct(_) => Some(Self::address(args, 4, self.addresses.connect)?),
                _ => None,
            },
            _ => None,
        };
        let from = self.descriptors.get(&number).map_or(0, |descriptor| descriptor.written);
        let text = match args.at(1)? {
            Value::String(text) if text.len() >= total => text.as_bytes()[..total].to_vec(),
            _ => pattern(from, total),
        };
        Ok(self.start(async move |net| {
            let result = match to {
                Some(to) => net.sendto(fd, &text, flags, Some(to)).await,
                None => net.send(fd, &text, flags).await,
            };
            Returned { effect: Effect::Wrote(number), ..Returned::of(result.map(|len| len as i64)) }
        }))
    }

    /// poll(2): an array of `{fd=3, events=POLLIN, revents=POLLIN}`.
    pub(super) fn poll(&self, args: &Args<'_>) -> Result<Issued, Refused> {
        let Value::Array(entries) = args.at(0)? else {
            return Err(Refused::Wrong("poll needs an array of structs".to_owned()));
        };
        let mut fds = Vec::new();
        let mut expected = Vec::new();
        for entry in entries {
            let Value::Struct(fields) = &entry.value else {
                return Err(Refused::Wrong("poll needs an array of structs".to_owned()));
            };
            let number = |name: &str| args::field(fields, name).map_or(Ok(0), args::int);
            let events = u32::try_from(number("events")?).unwrap_or(0);
            fds.push(PollFd { fd: self.fd_of(number("fd")?), events: Readiness(events), revents: Readiness::NONE });
            expected.push(u32::try_from(number("revents")?).unwrap_or(0));
        }
        let timeout = args.int(2)?;
        let timeout = u64::try_from(timeout).ok().map(Duration::from_millis);
        Ok(self.start(async move |net| {
            let ready = net.poll(&mut fds, timeout).await;
            let actual: Vec<_> = fds.iter().map(|fd| fd.revents.0).collect();
            let show =
                |events: &[u32]| events.iter().map(|events| format!("0x{events:x}")).collect::<Vec<_>>().join(", ");
            let differs = (actual != expected).then(|| (show(&expected), show(&actual)));
            Returned { differs, ..Returned::of(Ok::<_, Errno>(ready as i64)) }
        }))
    }
}

/// The lengths of an array of `{..., LEN}`.
fn vectors(value: &Value) -> Result<Vec<usize>, Refused> {
    let wrong = || Refused::Wrong("an array of {..., LENGTH} was expected".to_owned());
    let Value::Array(parts) = value else { return Err(wrong()) };
    let length = |part: &Value| match part {
        Value::Struct(fields) => match fields.as_slice() {
            [_, Field { value, .. }] => args::size(args::int(&value.value)?),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    };
    parts.iter().map(|part| length(&part.value)).collect()
}

/// The lengths in `msg_iov` of a message. Control data is not supported.
fn message(value: &Value) -> Result<Vec<usize>, Refused> {
    let Value::Struct(fields) = value else {
        return Err(Refused::Wrong("a struct with msg_iov was expected".to_owned()));
    };
    if fields.iter().any(|field| field.name.as_deref() == Some("msg_control")) {
        return Err(Refused::Unsupported("control data of a message".to_owned()));
    }
    args::field(fields, "msg_iov").map_or_else(|| Ok(vec![0]), vectors)
}
