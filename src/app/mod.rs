//! The built-in programs: async functions over [`Net`], the same in virtual and in real time. None knows who drives the
//! host. Servers return only with an error of their own socket; what goes wrong with one client ends that client's
//! connection and nothing else.
//!
//! | program | port | what it does |
//! |---|---|---|
//! | [`hello`] | 12345 | sends `Hello, Client!` to whoever connects |
//! | [`echo`] | 7 | sends back what it gets, TCP and UDP |
//! | [`discard`] | 9 | reads and forgets |
//! | [`chat`] | 5000 | what one client writes all others read |
//! | [`bulk`] | 5001 | so many bytes of a pattern that the receiver checks |
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

use std::io;
use std::net::{IpAddr, SocketAddr};

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

/// Accepts for ever and gives each connection a task named `name`.
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

/// Accepts, past what concerns one client or passes by itself.
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
