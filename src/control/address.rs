//! Where a control interface listens: `127.0.0.1:PORT`, `[::1]:PORT` or `unix:PATH`. Opens the socket, and removes the file
//! of a Unix socket at the end.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;
use std::io;
use std::net::TcpListener;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
#[cfg(unix)]
use std::os::unix::{fs::MetadataExt as _, fs::PermissionsExt as _, net::UnixListener};
use std::path::PathBuf;

use super::answer::Hosts;
use super::client::Stream;
use crate::escape::Name;

/// The value of `--control`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlAddress {
    /// An address and a port. Port 0 is a free one.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// Why a control interface cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Other machines could reach it.
    #[error(
        "--control {0}: other machines can reach this address, and the interface asks for no password; use \
         127.0.0.1:{port}, or allow it with --control-anywhere", port = .0.port()
    )]
    NotLoopback(SocketAddr),
    /// There is something with that name.
    #[error("--control unix:{}: there is a file of that name; remove it, or choose another name", Name(.0))]
    Exists(String),
    /// This system has no Unix sockets.
    #[error("--control unix:{}: this system has no Unix sockets; use 127.0.0.1:PORT", Name(.0))]
    NoUnix(String),
    /// The system refuses.
    #[error("--control {address}: {error}; {}", way_out(.1), address = Name(.0), error = .1)]
    Io(String, io::Error),
}

/// What to do about an error of the system.
fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::InvalidInput => "choose a path of at most 107 bytes",
        io::ErrorKind::NotFound => "make the directory first",
        io::ErrorKind::AddrInUse => "another program has it; choose another port",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address; choose 127.0.0.1:PORT",
        io::ErrorKind::PermissionDenied => "choose a port above 1023, or another directory",
        _ => "choose another address",
    }
}

impl ControlAddress {
    /// What it looks like, for messages.
    pub const EXPECTED: &str = "127.0.0.1:PORT, [::1]:PORT or unix:PATH";
}

impl FromStr for ControlAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = match text.strip_prefix("unix:") {
            Some(path) => (!path.is_empty()).then(|| Self::Unix(path.into())),
            None => text.parse().ok().map(Self::Tcp),
        };
        read.ok_or_else(|| format!("expected {}", Self::EXPECTED))
    }
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that listens.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Socket,
    name: String,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    #[allow(dead_code, reason = "the file is held to be removed at the end")]
    Unix(UnixListener, SocketFile),
}

/// The file of a Unix socket. It is removed if it is still the one that was made.
#[cfg(unix)]
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
}

impl Listener {
    pub(super) fn open(address: &ControlAddress, anywhere: bool) -> Result<(Self, Hosts), OpenError> {
        let failed = |error| OpenError::Io(address.to_string(), error);
        match address {
            ControlAddress::Tcp(addr) if !is_loopback(addr.ip()) && !anywhere => Err(OpenError::NotLoopback(*addr)),
            ControlAddress::Tcp(addr) => {
                let socket = TcpListener::bind(addr).map_err(failed)?;
                socket.set_nonblocking(true).map_err(failed)?;
                let name = socket.local_addr().map_err(failed)?.to_string();
                let hosts = if is_loopback(addr.ip()) { Hosts::Loopback } else { Hosts::Addresses };
                Ok((Self { socket: Socket::Tcp(socket), name }, hosts))
            }
            #[cfg(unix)]
            ControlAddress::Unix(path) => {
                // A relative path would mean another file to a program in another directory.
                let path = std::path::absolute(path).map_err(failed)?;
                if path.symlink_metadata().is_ok() {
                    return Err(OpenError::Exists(path.display().to_string()));
                }
                let socket = UnixListener::bind(&path).map_err(failed)?;
                let file = SocketFile::of(path).map_err(failed)?;
                socket.set_nonblocking(true).map_err(failed)?;
                let name = format!("unix:{}", file.path.display());
                Ok((Self { socket: Socket::Unix(socket, file), name }, Hosts::Loopback))
            }
            #[cfg(not(unix))]
            ControlAddress::Unix(path) => Err(OpenError::NoUnix(path.display().to_string())),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    #[cfg(unix)]
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket, _) => socket.as_fd(),
        }
    }

    pub(super) fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Socket::Tcp(socket) => {
                let (stream, _) = socket.accept()?;
                stream.set_nonblocking(true)?;
                Ok(Stream::Tcp(stream))
            }
            #[cfg(unix)]
            Socket::Unix(socket, _) => {
                let (stream, _) = socket.accept()?;
                stream.set_nonblocking(true)?;
                Ok(Stream::Unix(stream))
            }
        }
    }
}

/// An IPv4 address may be written as IPv6.
fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(unix)]
impl SocketFile {
    /// Only the user may connect.
    fn of(path: PathBuf) -> io::Result<Self> {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let found = path.symlink_metadata()?;
        Ok(Self { id: (found.dev(), found.ino()), path })
    }
}

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.path.symlink_metadata().is_ok_and(|found| (found.dev(), found.ino()) == self.id) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
