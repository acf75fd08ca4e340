//! The registry: which programs and which congestion controllers can be named in a scenario file and on the command line.
//! There is one list of each, and every command reads it. A user adds programs and gives the registry to
//! `tcplab::command_line`, or to a scenario.
//!
//! ```
//! use tcplab::{Program, Registry};
//! use tcplab::net::TcpListener;
//!
//! let hail = Program::new("hail", 7000, "sends one line to each client").server(|net, options| async move {
//!     let listener = TcpListener::bind(&net, options.listen.addr)?;
//!     loop {
//!         let (stream, _) = listener.accept().await?;
//!         stream.write_all(b"hail\n").await?;
//!     }
//! });
//! let registry = Registry::default().with(hail);
//! assert_eq!(registry.find("hail").expect("it was added").port(), 7000);
//! ```

use core::fmt;
use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use super::calls::Done;
use super::{Listen, Log, bulk, chat, discard, echo, hello};
use crate::congestion::{Algorithm, Algorithms};
use crate::net::Net;

/// A running program. It ends with the bytes that it sent and received, or with an error.
pub type Running = Pin<Box<dyn Future<Output = io::Result<Done>>>>;

/// Starts a program. The threads of a sweep share it.
type Start<O> = Arc<dyn Fn(Net, O) -> Running + Send + Sync>;

/// The most bytes that a client sends. More would take minutes, and a scenario may come from an untrusted capture.
const MOST_SENT: u64 = 1 << 30;
/// The client of echo keeps what it sends in memory.
const MOST_ECHOED: u64 = 16 << 20;

/// What a server is started with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Where it listens.
    pub listen: Listen,
    /// `size` of a scenario file, `--size`: bytes of what it serves.
    pub size: Option<u64>,
    /// `--dir`: the directory that it serves. A scenario never names one.
    pub dir: Option<PathBuf>,
    /// `-v`: takes the access log.
    pub log: Option<Log>,
}

/// What a client is started with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientOptions {
    /// The server.
    pub to: SocketAddr,
    /// `size` of a scenario file: bytes that it sends.
    pub size: u64,
}

impl ServerOptions {
    /// Without a size, a directory or a log.
    pub fn new(listen: Listen) -> Self {
        Self { listen, size: None, dir: None, log: None }
    }
}

impl ClientOptions {
    /// A client of this server that sends this number of bytes.
    pub fn new(to: SocketAddr, size: u64) -> Self {
        Self { to, size }
    }
}

/// A program that has a name: a server, the client of one, or both.
#[derive(Clone)]
pub struct Program {
    name: Cow<'static, str>,
    port: u16,
    summary: Cow<'static, str>,
    server: Option<Start<ServerOptions>>,
    udp_server: Option<Start<ServerOptions>>,
    client: Option<Start<ClientOptions>>,
    most_sent: u64,
    serves_files: bool,
    try_with: fn(SocketAddr) -> String,
}

impl Program {
    /// A program that does nothing yet. `port` is where its server listens by default; `summary` stands in `--help`.
    pub fn new(name: impl Into<Cow<'static, str>>, port: u16, summary: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            port,
            summary: summary.into(),
            server: None,
            udp_server: None,
            client: None,
            most_sent: MOST_SENT,
            serves_files: false,
            try_with: |addr| format!("nc {} {}", addr.ip(), addr.port()),
        }
    }

    /// Sets the server. It runs until its socket fails; an error ends the run of the command.
    #[must_use]
    pub fn server<F>(self, start: impl Fn(Net, ServerOptions) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + 'static,
    {
        Self { server: Some(without_figures(start)), ..self }
    }

    /// Sets a second server, for UDP. `tcplab serve` starts both.
    #[must_use]
    pub fn udp_server<F>(self, start: impl Fn(Net, ServerOptions) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + 'static,
    {
        Self { udp_server: Some(without_figures(start)), ..self }
    }

    /// Sets the client: in a scenario the program with `to`. It returns how many bytes it sent and received.
    #[must_use]
    pub fn client<F>(self, start: impl Fn(Net, ClientOptions) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<Done>> + 'static,
    {
        Self { client: Some(Arc::new(move |net, options| Box::pin(start(net, options)))), ..self }
    }

    /// The most bytes that a scenario may ask the client to send (1 GiB by default).
    #[must_use]
    pub fn client_sends_at_most(self, bytes: u64) -> Self {
        Self { most_sent: bytes.min(MOST_SENT), ..self }
    }

    /// The server takes `--dir` and `--size`.
    #[must_use]
    pub fn serves_files(self) -> Self {
        Self { serves_files: true, ..self }
    }

    /// The command that tries the server out in a second terminal (`nc IP PORT` by default).
    #[must_use]
    pub fn try_with(self, command: fn(SocketAddr) -> String) -> Self {
        Self { try_with: command, ..self }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The usual port of its server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it does, in a line.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// True if it has a server.
    pub fn has_server(&self) -> bool {
        self.server.is_some()
    }

    /// True if it has a client.
    pub fn has_client(&self) -> bool {
        self.client.is_some()
    }

    /// True if its server takes a directory or a size.
    pub fn takes_files(&self) -> bool {
        self.serves_files
    }

    /// The most bytes that its client sends.
    pub fn most_sent(&self) -> u64 {
        self.most_sent
    }

    /// The command for a second terminal.
    pub fn command_for(&self, addr: SocketAddr) -> String {
        (self.try_with)(addr)
    }

    /// The running server; `None` if the program has none.
    pub fn start_server(&self, net: Net, options: ServerOptions) -> Option<Running> {
        self.server.as_ref().map(|start| start(net, options))
    }

    /// The running server for UDP; `None` if the program has none.
    pub fn start_udp_server(&self, net: Net, options: ServerOptions) -> Option<Running> {
        self.udp_server.as_ref().map(|start| start(net, options))
    }

    /// The running client; `None` if the program has none.
    pub fn start_client(&self, net: Net, options: ClientOptions) -> Option<Running> {
        self.client.as_ref().map(|start| start(net, options))
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({}, port {})", self.name, self.port)
    }
}

/// A server does not count.
fn without_figures<F>(start: impl Fn(Net, ServerOptions) -> F + Send + Sync + 'static) -> Start<ServerOptions>
where
    F: Future<Output = io::Result<()>> + 'static,
{
    Arc::new(move |net, options| {
        let server = start(net, options);
        Box::pin(async move { server.await.map(|()| Done::default()) })
    })
}

/// The programs and congestion controllers that can be named. [`Registry::default`] has the built-in ones.
#[derive(Clone)]
pub struct Registry {
    programs: Arc<Vec<Program>>,
    algorithms: Arc<Algorithms>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { programs: Arc::new(built_in()), algorithms: Arc::default() }
    }
}

impl Registry {
    /// Adds a program.
    ///
    /// # Panics
    /// The name is taken, or is not made of the letters a-z, digits and hyphens.
    #[must_use]
    #[track_caller]
    pub fn with(mut self, program: Program) -> Self {
        let name = program.name();
        assert!(self.find(name).is_none(), "the registry has a program `{name}` already; give yours another name");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(
            !name.is_empty() && name.chars().all(plain),
            "the name of a program is made of a-z, 0-9 and -, not `{name}`"
        );
        Arc::make_mut(&mut self.programs).push(program);
        self
    }

    /// Adds a congestion controller. Every `--cc`, every scenario file and `TCP_CONGESTION` can name it from then on.
    ///
    /// # Panics
    /// The name is taken, or there are 64 controllers already.
    #[must_use]
    #[track_caller]
    pub fn with_controller(mut self, algorithm: Algorithm) -> Self {
        if let Err(error) = Arc::make_mut(&mut self.algorithms).add(algorithm) {
            panic!("{error}");
        }
        self
    }

    /// The programs, the built-in ones first.
    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        self.programs.iter()
    }

    /// The program of that name.
    pub fn find(&self, name: &str) -> Option<&Program> {
        self.programs().find(|program| program.name() == name)
    }

    /// The congestion controllers, the default first.
    pub fn algorithms(&self) -> &Algorithms {
        &self.algorithms
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("programs", &self.programs).field("algorithms", &self.algorithms).finish()
    }
}

/// Names, as a sentence lists them: `a, b or c`.
#[cfg(any(feature = "scenario", test))]
pub(crate) fn one_of<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<_> = names.collect();
    match names.split_last() {
        None => "nothing: there is none".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
    }
}

fn built_in() -> Vec<Program> {
    let received = |received: u64| Done { received, ..Done::default() };
    vec![
        Program::new("hello", hello::PORT, "sends `Hello, Client!` to each client")
            .server(|net, options| async move { Ok(hello::server(net, options.listen).await?) })
            .client(move |net, options| async move {
                let greeting = hello::client(net, options.to).await?;
                Ok(received(greeting.len() as u64))
            }),
        Program::new("echo", echo::PORT, "sends back what it receives, over TCP and UDP")
            .server(|net, options| echo::server(net, options.listen))
            .udp_server(|net, options| echo::udp_server(net, options.listen.addr))
            .client(move |net, options| async move {
                let came_back = echo::count(net, options.to, bulk::bytes(options.size)).await?;
                Ok(Done { sent: options.size, ..received(came_back) })
            })
            .client_sends_at_most(MOST_ECHOED),
        Program::new("discard", discard::PORT, "reads and discards")
            .server(|net, options| discard::server(net, options.listen)),
        Program::new("chat", chat::PORT, "sends what one client writes to all the others")
            .server(|net, options| chat::server(net, options.listen)),
        Program::new("bulk", bulk::PORT, "receives a pattern of bytes and checks it")
            .server(|net, options| bulk::server(net, options.listen, |_, _| {}))
            .client(|net, options| async move {
                bulk::send(net, options.to, options.size).await?;
                Ok(Done { sent: options.size, ..Done::default() })
            }),
        #[cfg(feature = "http")]
        http(),
    ]
}

#[cfg(feature = "http")]
fn http() -> Program {
    use super::http;
    Program::new("http", http::PORT, "HTTP/1.1: the files of a directory, or a generated file")
        .server(|net, options| {
            let dir = || options.dir.clone().unwrap_or_else(|| ".".into());
            let source = options.size.map_or_else(|| http::Source::Dir(dir()), http::Source::Size);
            let settings = http::HttpSettings { log: options.log, ..http::HttpSettings::new(source) };
            http::server(net, options.listen, settings)
        })
        .client(|net, options| async move {
            let received = http::get(net, options.to, "/file").await?;
            Ok(Done { received, ..Done::default() })
        })
        .serves_files()
        .try_with(|addr| format!("curl http://{addr}/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::Reno;

    #[test]
    fn a_controller_that_is_added_is_found_beside_the_others() {
        let before = Registry::default().algorithms().names();
        let own = Algorithm::new("own", "my own", Reno::new).expect("a good name");
        let registry = Registry::default().with_controller(own);
        assert_eq!(registry.algorithms().names(), format!("{before}, own"));
        assert!(Registry::default().algorithms().by_name("own").is_none(), "another registry is as before");
    }

    #[test]
    #[should_panic(expected = "cannot register the controller cubic")]
    fn the_name_of_a_controller_is_not_taken_twice() {
        let _ = Registry::default().with_controller(Algorithm::default());
    }

    #[test]
    fn a_program_that_is_added_is_found_beside_the_others() {
        let before = Registry::default().programs().count();
        let registry = Registry::default().with(Program::new("nothing", 1, "does nothing"));
        assert_eq!(registry.programs().count(), before + 1);
        let found = registry.find("nothing").expect("it was added");
        assert_eq!((found.port(), found.has_server(), found.has_client()), (1, false, false));
        assert!(Registry::default().find("nothing").is_none(), "another registry is as before");
    }

    #[test]
    #[should_panic(expected = "has a program `echo` already")]
    fn a_name_is_not_taken_twice() {
        let _ = Registry::default().with(Program::new("echo", 1, "another one"));
    }

    #[test]
    #[should_panic(expected = "made of a-z, 0-9 and -")]
    fn a_name_can_be_typed() {
        let _ = Registry::default().with(Program::new("my program", 1, "a space in its name"));
    }

    #[test]
    fn names_are_listed_as_in_a_sentence() {
        assert_eq!(one_of(["a", "b", "c"].into_iter()), "a, b or c");
        assert_eq!(one_of(["a"].into_iter()), "a");
    }
}
