//! Sockets of the kernel: how their addresses are written and resolved, and the options that each of them gets. `near` and
//! `far` make their sockets here.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::escape;

/// `SO_SNDBUF` and `SO_RCVBUF` of each socket of the kernel. Linux doubles them, for its own bookkeeping. They are small, so
/// that the link decides how much is on the way.
pub const KERNEL_BUFFER: usize = 128 << 10;

/// The backlog of listening sockets. The kernel limits it (Linux: `net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// Where a socket of the kernel is: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host name or an IP address, and a port.
    Inet(String, u16),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXAMPLES: &str = "such as 127.0.0.1:8080, [::1]:8080, localhost:8080 or unix:/run/app.sock";
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err(format!("expected a path behind unix:, {EXAMPLES}")),
                path => Ok(Self::Unix(path.into())),
            };
        }
        if text.contains("://") {
            return Err(format!("expected an address and a port, not a URL, {EXAMPLES}"));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(format!("expected an address and a port, {EXAMPLES}"));
        };
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let Some(port) = port.parse().ok().filter(|_| digits) else {
            return Err(format!("expected a port from 0 to 65535 behind the last colon, {EXAMPLES}"));
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match bare.unwrap_or(host) {
            "" => Err(format!("expected an address before the colon, {EXAMPLES}")),
            host if host.contains(':') && bare.is_none() => {
                Err(format!("expected an IPv6 address in brackets, {EXAMPLES}"))
            }
            host => Ok(Self::Inet(host.to_owned(), port)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Inet(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", escape::path(path)),
        }
    }
}

impl Address {
    /// What the resolver of the system says, in its order.
    pub(super) fn resolve(&self) -> io::Result<Vec<SockAddr>> {
        match self {
            Self::Inet(host, port) => {
                let found: Vec<_> = (host.as_str(), *port).to_socket_addrs()?.map(SockAddr::from).collect();
                if found.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(found) }
            }
            Self::Unix(path) => Ok(vec![SockAddr::unix(path)?]),
        }
    }

    /// The port, if it has one.
    pub(super) const fn port(&self) -> Option<u16> {
        match self {
            Self::Inet(_, port) => Some(*port),
            Self::Unix(_) => None,
        }
    }
}

/// How an address of a socket is shown.
pub(super) fn shown(address: &SockAddr) -> String {
    match address.as_socket() {
        Some(address) => address.to_string(),
        #[cfg(unix)]
        None => address.as_pathname().map_or_else(|| "unix".to_owned(), |path| format!("unix:{}", path.display())),
        #[cfg(not(unix))]
        None => "unix".to_owned(),
    }
}

/// A stream socket that does not wait.
pub(super) fn stream(address: &SockAddr) -> io::Result<Socket> {
    let socket = Socket::new(address.domain(), Type::STREAM, None)?;
    set_options(&socket)?;
    Ok(socket)
}

/// A listening socket at the first of the addresses that can be bound. A Unix socket that nobody listens on any more is
/// replaced.
pub(super) fn listener(addresses: &[SockAddr]) -> io::Result<Socket> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        let bound = stream(address).and_then(|socket| {
            // On Windows the option lets two sockets have the same port.
            #[cfg(unix)]
            if !address.is_unix() {
                socket.set_reuse_address(true)?;
            }
            bind(&socket, address)?;
            socket.listen(BACKLOG)?;
            Ok(socket)
        });
        match bound {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind(socket: &Socket, address: &SockAddr) -> io::Result<()> {
    match socket.bind(address) {
        #[cfg(unix)]
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_over(address) => {
            if let Some(path) = address.as_pathname() {
                std::fs::remove_file(path)?;
            }
            socket.bind(address)
        }
        #[cfg(unix)]
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_file(address) => {
            Err(io::Error::other("there is a file of that name, which is no socket; choose another name"))
        }
        result => result,
    }
}

/// A Unix address whose file exists and is no socket. It is not touched.
#[cfg(unix)]
fn is_file(address: &SockAddr) -> bool {
    use std::os::unix::fs::FileTypeExt;

    let of = |path| std::fs::symlink_metadata(path).is_ok_and(|file| !file.file_type().is_socket());
    address.as_pathname().is_some_and(of)
}

/// The file of a Unix socket that refuses connections: its process has gone. A file of another kind refuses them too.
#[cfg(unix)]
fn is_left_over(address: &SockAddr) -> bool {
    let refused = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.connect(address)
    };
    address.is_unix()
        && !is_file(address)
        && refused().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The options of each stream socket: no waiting, small buffers, no Nagle algorithm, an urgent byte stays in its place.
pub(super) fn set_options(socket: &Socket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    // What the system does not take, it does not need: Unix sockets have fewer options, and other systems have limits.
    let _ = socket.set_recv_buffer_size(KERNEL_BUFFER);
    let _ = socket.set_send_buffer_size(KERNEL_BUFFER);
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_out_of_band_inline(true);
    Ok(())
}

/// Makes the close that follows a reset.
pub(super) fn reset_on_close(socket: &Socket) {
    let _ = socket.set_linger(Some(Duration::ZERO));
}

/// A UDP socket that does not wait, bound to the first of the addresses that can be bound.
pub(super) fn datagrams(addresses: &[SockAddr]) -> io::Result<UdpSocket> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        let bound = Socket::new(address.domain(), Type::DGRAM, None).and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.bind(address)?;
            Ok(socket.into())
        });
        match bound {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A UDP socket with a peer.
pub(super) fn connected_datagrams(peer: &SockAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(peer.domain(), Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(peer)?;
    Ok(socket.into())
}

/// Raises the limit of open file descriptors of this process as far as it may: each connection needs two.
pub fn raise_descriptor_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

/// The address of a socket of the IP family.
pub(super) fn local_address(socket: &Socket) -> Option<SocketAddr> {
    socket.local_addr().ok()?.as_socket()
}

/// True if a call could not be done at once.
pub(super) fn would_block(error: &io::Error) -> bool {
    // connect(2) says EINPROGRESS, which has no kind of its own in every version.
    #[cfg(unix)]
    if error.raw_os_error() == Some(EINPROGRESS) {
        return true;
    }
    error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const EINPROGRESS: i32 = 115;
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
const EINPROGRESS: i32 = 36;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_name_or_an_ip_address_with_a_port_or_the_path_of_a_unix_socket() {
        let inet = |host: &str, port| Ok(Address::Inet(host.to_owned(), port));
        for (text, read) in [
            ("127.0.0.1:8080", inet("127.0.0.1", 8080)),
            ("[::1]:80", inet("::1", 80)),
            ("localhost:0", inet("localhost", 0)),
            ("example.org:65535", inet("example.org", 65_535)),
            ("unix:/run/app.sock", Ok(Address::Unix("/run/app.sock".into()))),
        ] {
            let address: Result<Address, _> = text.parse();
            assert_eq!(address, read, "{text}");
            assert_eq!(address.expect(text).to_string(), text);
        }
    }

    #[test]
    fn an_address_that_is_none_is_told_what_it_lacks() {
        for (text, lacks) in [
            ("", "an address and a port"),
            ("8080", "an address and a port"),
            ("unix:", "a path"),
            ("http://localhost:80", "not a URL"),
            (":80", "before the colon"),
            ("::1:80", "in brackets"),
            ("localhost:65536", "a port from 0 to 65535"),
            ("localhost:http", "a port from 0 to 65535"),
            ("localhost:+80", "a port from 0 to 65535"),
            ("localhost:", "a port from 0 to 65535"),
        ] {
            let error = text.parse::<Address>().expect_err(text);
            assert!(error.contains(lacks) && error.contains("such as"), "{text}: {error}");
        }
    }
}
