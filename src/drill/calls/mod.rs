//! The system calls of a script on the sockets of the host. `run` issues them and compares what they return.
//!
//! A call that may wait runs as a program of the host, as it would in a process. `args` reads arguments, `options` has
//! setsockopt(2) and getsockopt(2), `data` the calls that move data.

mod args;
mod data;
mod options;

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

use super::script::{Call, Value};
use crate::net::JoinHandle;
use crate::sim::HostHandle;
use crate::socket::{Domain, Errno, Fd, Shutdown, Type};
use crate::time::Instant;
use args::Args;

/// Why a call could not be issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The host does not have it.
    Unsupported(String),
    /// The script asks for what makes no sense.
    Wrong(String),
}

/// What a call returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Returned {
    /// The value, or the error.
    pub(super) result: Result<i64, Errno>,
    /// A value that the call wrote and that the script has otherwise: what the script has, and what was written.
    pub(super) differs: Option<(String, String)>,
    /// What is to be done with what it returned.
    pub(super) effect: Effect,
}

/// What a returned call changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// The value is a new descriptor.
    Opened,
    /// Text was read from this descriptor of the script; with `true` it stays in the queue.
    Read(i64, Vec<u8>, bool),
    /// Bytes were written to this descriptor of the script.
    Wrote(i64),
}

impl Returned {
    fn of(result: Result<i64, Errno>) -> Self {
        Self { result, differs: None, effect: Effect::None }
    }

    fn unit(result: Result<(), Errno>) -> Self {
        Self::of(result.map(|()| 0))
    }
}

/// A call that was issued.
pub(super) enum Issued {
    /// It has returned.
    Returned(Returned),
    /// It runs as a program.
    Running(JoinHandle<(Instant, Returned)>),
}

/// A descriptor of the script.
#[derive(Clone, Copy, Debug)]
struct Descriptor {
    fd: Fd,
    /// Bytes of text that were read and written.
    read: u32,
    written: u32,
}

/// The addresses that `...` stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    /// The family of a socket whose domain is `...`.
    pub(super) domain: Domain,
    /// Of bind.
    pub(super) bind: SocketAddr,
    /// Of connect and sendto.
    pub(super) connect: SocketAddr,
}

/// The descriptors of a script and what is under test.
pub(super) struct Calls {
    host: HostHandle,
    addresses: Addresses,
    descriptors: BTreeMap<i64, Descriptor>,
    /// The descriptor of the script that was opened last and is a stream.
    newest: Option<i64>,
}

impl Calls {
    pub(super) fn new(host: HostHandle, addresses: Addresses) -> Self {
        Self { host, addresses, descriptors: BTreeMap::new(), newest: None }
    }

    /// The socket under test: the newest one.
    pub(super) fn under_test(&self) -> Option<Fd> {
        self.newest.and_then(|number| self.descriptors.get(&number)).map(|descriptor| descriptor.fd)
    }

    /// Issues a call.
    pub(super) fn issue(&mut self, call: &Call) -> Result<Issued, Refused> {
        let args = Args::new(call);
        let returned = match call.name.value.as_str() {
            "socket" => self.socket(&args)?,
            "bind" => {
                let (fd, addr) = (self.fd(&args)?, Self::address(&args, 1, self.addresses.bind)?);
                Returned::unit(self.host.sys(|host| host.bind(fd, addr)))
            }
            "listen" => {
                let (fd, backlog) = (self.fd(&args)?, args.int(1)?);
                let backlog = usize::try_from(backlog).unwrap_or(0);
                Returned::unit(self.host.sys(|host| host.listen(fd, backlog)))
            }
            "accept" | "accept4" => return self.accept(&args),
            "connect" => {
                let (fd, addr) = (self.fd(&args)?, Self::address(&args, 1, self.addresses.connect)?);
                return Ok(self.start(async move |net| Returned::unit(net.connect(fd, addr).await)));
            }
            "shutdown" => {
                let how = match args.int(1)? {
                    0 => Shutdown::Read,
                    1 => Shutdown::Write,
                    2 => Shutdown::Both,
                    other => return Err(Refused::Wrong(format!("shutdown({other}): 0, 1 or 2 was expected"))),
                };
                let fd = self.fd(&args)?;
                Returned::unit(self.host.sys(|host| host.shutdown(fd, how)))
            }
            "close" => {
                let number = args.int(0)?;
                let fd = self.fd(&args)?;
                let closed = self.host.sys(|host| host.close(fd));
                if closed.is_ok() {
                    self.descriptors.remove(&number);
                }
                Returned::unit(closed)
            }
            "fcntl" => self.fcntl(&args)?,
            "ioctl" => self.ioctl(&args)?,
            "setsockopt" => self.setsockopt(&args)?,
            "getsockopt" => self.getsockopt(&args)?,
            "read" | "readv" | "recv" | "recvfrom" | "recvmsg" | "write" | "writev" | "send" | "sendto" | "sendmsg" => {
                return self.data(call.name.value.as_str(), &args);
            }
            "poll" => return self.poll(&args),
            other => return Err(Refused::Unsupported(format!("the call {other}"))),
        };
        Ok(Issued::Returned(returned))
    }

    /// Notes what a call has changed, once it has returned the expected value. `number` is the descriptor that the script
    /// has for it.
    pub(super) fn settle(&mut self, returned: &Returned, number: Option<i64>) -> Result<(), (String, String)> {
        match (&returned.effect, &returned.result) {
            (Effect::Opened, Ok(live)) => {
                let number = number.unwrap_or(*live);
                let fd = Fd(u32::try_from(*live).unwrap_or(0));
                self.descriptors.insert(number, Descriptor { fd, read: 0, written: 0 });
                self.newest = Some(number);
            }
            (Effect::Read(number, text, peek), Ok(_)) => {
                if let Some(descriptor) = self.descriptors.get_mut(number) {
                    let expected = super::flow::pattern(descriptor.read, text.len());
                    if !peek {
                        descriptor.read = descriptor.read.wrapping_add(text.len() as u32);
                    }
                    if expected != *text {
                        return Err(("the text that was sent".to_owned(), "other bytes".to_owned()));
                    }
                }
            }
            (Effect::Wrote(number), Ok(count)) => {
                if let Some(descriptor) = self.descriptors.get_mut(number) {
                    descriptor.written = descriptor.written.wrapping_add(*count as u32);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Runs a call that may wait as a program.
    fn start(&self, call: impl AsyncFnOnce(&crate::net::Net) -> Returned + 'static) -> Issued {
        Issued::Running(self.host.spawn_daemon(async move |net| {
            let returned = call(&net).await;
            (net.now(), returned)
        }))
    }

    /// The descriptor of the host for the first argument. A number that the script has not opened is used as it is.
    fn fd(&self, args: &Args<'_>) -> Result<Fd, Refused> {
        let number = args.int(0)?;
        Ok(self.fd_of(number))
    }

    fn fd_of(&self, number: i64) -> Fd {
        let known = self.descriptors.get(&number).map(|descriptor| descriptor.fd);
        known.unwrap_or_else(|| Fd(u32::try_from(number).ok().filter(|_| self.is_unused(number)).unwrap_or(u32::MAX)))
    }

    /// True if no descriptor of the script is this number on the host.
    fn is_unused(&self, number: i64) -> bool {
        !self.descriptors.values().any(|descriptor| i64::from(descriptor.fd.0) == number)
    }

    fn socket(&self, args: &Args<'_>) -> Result<Returned, Refused> {
        let domain = match args.at(0)? {
            Value::Any => self.addresses.domain,
            _ => match args.int(0)? {
                args::AF_INET => Domain::Inet,
                args::AF_INET6 => Domain::Inet6,
                other => return Err(Refused::Unsupported(format!("sockets of the domain {other}"))),
            },
        };
        let (kind, protocol) = (args.int(1)?, args.int(2)?);
        let nonblocking = kind & args::SOCK_NONBLOCK != 0;
        let kind = match (kind & 0xf, protocol) {
            (args::SOCK_STREAM, 0 | args::IPPROTO_TCP) => Type::Stream,
            (args::SOCK_DGRAM, 0 | args::IPPROTO_UDP) => Type::Datagram,
            _ => return Err(Refused::Unsupported(format!("sockets of type {kind} and protocol {protocol}"))),
        };
        let result = self.host.sys(|host| {
            let fd = host.socket(domain, kind)?;
            host.set_nonblocking(fd, nonblocking)?;
            Ok(i64::from(fd.0))
        });
        Ok(Returned { effect: Effect::Opened, ..Returned::of(result) })
    }

    fn accept(&self, args: &Args<'_>) -> Result<Issued, Refused> {
        let fd = self.fd(args)?;
        let nonblocking = args.len() > 3 && args.int(3)? & args::SOCK_NONBLOCK != 0;
        Ok(self.start(async move |net| {
            let accepted = net.accept(fd).await;
            let result = accepted.and_then(|(fd, _)| {
                if nonblocking {
                    net.set_nonblocking(fd, true)?;
                }
                Ok(i64::from(fd.0))
            });
            Returned { effect: Effect::Opened, ..Returned::of(result) }
        }))
    }

    fn fcntl(&self, args: &Args<'_>) -> Result<Returned, Refused> {
        let fd = self.fd(args)?;
        let result = match args.int(1)? {
            args::F_GETFL => {
                let nonblocking = self.host.sys(|host| host.is_nonblocking(fd));
                nonblocking.map(|on| args::O_RDWR | if on { args::O_NONBLOCK } else { 0 })
            }
            args::F_SETFL => {
                let on = args.int(2)? & args::O_NONBLOCK != 0;
                self.host.sys(|host| host.set_nonblocking(fd, on)).map(|()| 0)
            }
            other => return Err(Refused::Unsupported(format!("fcntl with the command {other}"))),
        };
        Ok(Returned::of(result))
    }

    fn ioctl(&self, args: &Args<'_>) -> Result<Returned, Refused> {
        let fd = self.fd(args)?;
        let count = match args.word(1) {
            Some("SIOCINQ" | "FIONREAD") => self.host.sys(|host| host.fionread(fd)),
            Some("SIOCOUTQ" | "TIOCOUTQ") => self.host.sys(|host| host.siocoutq(fd)),
            other => return Err(Refused::Unsupported(format!("ioctl {}", other.unwrap_or("with a number")))),
        };
        let differs = match count {
            Ok(count) => args.differs(2, count as i64)?,
            Err(_) => None,
        };
        Ok(Returned { differs, ..Returned::of(count.map(|_| 0)) })
    }

    /// An address argument, or what `...` stands for.
    fn address(args: &Args<'_>, at: usize, default: SocketAddr) -> Result<SocketAddr, Refused> {
        let Value::Struct(fields) = args.at(at)? else {
            return match args.at(at)? {
                Value::Any => Ok(default),
                _ => Err(Refused::Wrong(format!("argument {} is no address", at + 1))),
            };
        };
        let field = |names: [&str; 2]| {
            let named = |field: &&super::script::Field| field.name.as_deref().is_some_and(|name| names.contains(&name));
            fields.iter().find(named).map(|field| &field.value.value)
        };
        let port = match field(["sin_port", "sin6_port"]) {
            Some(Value::Htons(port)) => *port,
            Some(Value::Integer(port)) => u16::try_from(*port).unwrap_or(0).swap_bytes(),
            _ => default.port(),
        };
        let ip = match field(["sin_addr", "sin6_addr"]) {
            Some(Value::InetAddr(v4)) => IpAddr::V4(*v4),
            Some(Value::Inet6Addr(v6)) => IpAddr::V6(*v6),
            Some(Value::Word(word)) if word == "INADDR_ANY" => IpAddr::from([0; 4]),
            Some(Value::Integer(0)) => IpAddr::from([0; 4]),
            Some(Value::Any) | None => default.ip(),
            Some(_) => return Err(Refused::Wrong(format!("the address of argument {} is not understood", at + 1))),
        };
        Ok(SocketAddr::new(ip, port))
    }
}
