//! The built-in programs: async functions over [`Net`]. They are the same in virtual time and in real time. A server
//! returns only with an error of its listening socket. An error of one client ends only the connection of that client.
//!
//! | program | port | what it does |
//! |---|---|---|
//! | [`hello`] | 12345 | sends `Hello, Client!` to each client |
//! | [`echo`] | 7 | sends back what it receives, over TCP and UDP |
//! | [`discard`] | 9 | reads and discards |
//! | [`chat`] | 5000 | sends what one client writes to all the others |
//! | [`bulk`] | 5001 | receives a pattern of bytes and checks it |
//! | `http` (feature `http`) | 8080 | a directory, or a generated file |
//! | [`calls`] | | a list of calls: `connect server:80`, `send 3000`, `recv eof`, `close` |

pub mod bulk;
pub mod calls;
pub mod chat;
pub mod discard;
pub mod echo;
pub mod hello;
#[cfg(feature = "http")]
pub mod http;
mod registry;

#[cfg(feature = "scenario")]
pub(crate) use registry::one_of;
pub use registry::{ClientOptions, Program, Registry, Running, ServerOptions};

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::{fmt, io};

use crate::net::{Net, TcpListener, TcpStream};
use crate::socket::Errno;
use crate::time::Duration;

/// How long a server waits before it accepts again when it has no descriptor or no memory left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Address and port.
    pub addr: SocketAddr,
    /// How many connections may wait for accept.
    pub backlog: usize,
}

impl Listen {
    /// A backlog of 128.
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, backlog: 128 }
    }

    /// The given port of an address.
    pub fn on(ip: IpAddr, port: u16) -> Self {
        Self::new(SocketAddr::new(ip, port))
    }
}

impl From<SocketAddr> for Listen {
    fn from(addr: SocketAddr) -> Self {
        Self::new(addr)
    }
}

/// Takes the lines of a log, such as the access log of a server.
#[derive(Clone)]
pub struct Log(Rc<dyn Fn(&str)>);

impl Log {
    /// A log that gives each line to `take`.
    pub fn new(take: impl Fn(&str) + 'static) -> Self {
        Self(Rc::new(take))
    }

    /// Writes a line.
    pub fn line(&self, text: &str) {
        (self.0)(text);
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

/// Accepts without end. Each connection gets a task named `name`.
async fn serve_each<F>(
    net: Net,
    listen: Listen,
    name: &'static str,
    serve: impl Fn(TcpStream, SocketAddr) -> F,
) -> io::Result<()>
where
    F: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind_with_backlog(&net, listen.addr, listen.backlog)?;
    loop {
        let (stream, peer) = accept(&net, &listener).await?;
        net.spawn_named(name, serve(stream, peer));
    }
}

/// Accepts a connection. Errors of one client and temporary errors are skipped.
async fn accept(net: &Net, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    loop {
        match listener.accept().await {
            Ok(accepted) => return Ok(accepted),
            Err(error) => match errno(&error) {
                Some(Errno::ECONNABORTED) => {}
                Some(Errno::EMFILE | Errno::ENOBUFS) => net.sleep(EXHAUSTED).await,
                _ => return Err(error),
            },
        }
    }
}

/// The errno inside an error of a socket.
pub fn errno(error: &io::Error) -> Option<Errno> {
    error.get_ref()?.downcast_ref().copied()
}
