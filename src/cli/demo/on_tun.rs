//! The demo on a TUN device in a sandbox. The server runs on the userspace host. The client is a second process of this
//! program, on the kernel's sockets.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{CliError, Demo, Destination, NAME, Output, finish, listen, server};
use crate::capture::Settings;
use crate::cli::live::{Session, Stop};
use crate::cli::run::events::Events;
use crate::device::Tun;
use crate::link::LinkSchedule;
use crate::live::{HOST, KERNEL, Live, enter, set_up};
use crate::socket::HostConfig;
use crate::view::Ladder;

/// Time limit of the demo, which needs a fraction of a second.
const LIMIT: Duration = Duration::from_secs(10);
/// Time limit for the last packets.
const CLOSE_TIME: Duration = Duration::from_secs(1);

const ADDRESSES: [([u8; 4], u8); 2] = [([192, 168, 69, 1], 24), ([192, 168, 69, 2], 24)];

/// A device in a sandbox, or the reason why there is none.
pub(super) fn prepare() -> Result<Tun, String> {
    enter().map_err(|error| error.to_string())?;
    let tun = Tun::open("tcplab0").map_err(|error| error.to_string())?;
    let (kernel, prefix) = ADDRESSES[1];
    let addresses = vec![(IpAddr::from(kernel), prefix)];
    let settings = crate::device::InterfaceSettings { addresses, mtu: 1500, queue_len: None };
    set_up(tun.name(), &settings).map_err(|error| error.to_string())?;
    Ok(tun)
}

pub(super) fn run(tun: Tun, args: &Demo, destination: &Destination, output: Output) -> Result<(), CliError> {
    let run =
        |what: &'static str| move |error: &dyn core::fmt::Display| CliError::Run(format!("demo: {what}: {error}"));
    output.note(format_args!("path: tun {}", tun.name()));
    let (own, prefix) = ADDRESSES[0];
    let config = HostConfig { addresses: vec![(IpAddr::from(own), prefix)], ..HostConfig::default() };
    let name = tun.name().to_owned();
    let mut live = Live::new(&config, tun, [&LinkSchedule::default(), &LinkSchedule::default()]);
    let mut ladder = Ladder::new();
    ladder.name_hosts([(HOST, "server".to_owned()), (KERNEL, "client (kernel)".to_owned())]);
    ladder.count_from_first();
    let ladder = Rc::new(RefCell::new(ladder));
    live.observe(ladder.clone());
    let settings =
        Settings::default().recipe(r#"{"tcplab":1,"live":true}"#).interface(name).comments(args.comments.into());
    let capture = Rc::new(RefCell::new(destination.capture(settings)?));
    live.observe(capture.clone());

    let names = [(HOST, "server".to_owned()), (KERNEL, "client".to_owned())];
    let events = Events::new(names.into_iter(), !destination.is_stdout(), false);
    let events = output.json.then(|| Rc::new(RefCell::new(events)));
    if let Some(events) = &events {
        live.observe(events.clone());
    }

    let mut session = Session::over(live, output)?;
    let listen = listen(IpAddr::from(own));
    let net = session.net();
    let mut serving = net.spawn_named("demo", server(net.clone(), listen));
    session.turn()?;
    let program =
        std::env::current_exe().map_err(|error| run("find the file of this program, to start the client")(&error))?;
    session.start(&[program.into_os_string(), OsString::from("demo-client"), listen.addr.to_string().into()], true)?;

    let deadline = Instant::now() + LIMIT;
    let mut exit = None;
    while exit.is_none() && Instant::now() < deadline {
        match session.next_until(Some(deadline))? {
            Some(Stop::Command(code)) => exit = Some(code),
            Some(Stop::Signal(signal)) => return Err(CliError::Signal("demo", signal as u8)),
            None => {}
        }
        if let Some(Err(error)) = serving.try_take() {
            return Err(run("the server's calls failed")(&error));
        }
    }
    // The last FIN and its ACK.
    if let Some(Stop::Signal(signal)) = session.drain(CLOSE_TIME)? {
        return Err(CliError::Signal("demo", signal as u8));
    }
    let greeting = match exit {
        Some(0) => [b"Hello, ", NAME, b"!"].concat(),
        Some(code) => return Err(CliError::Run(format!("demo: the client failed with exit code {code}"))),
        None => return Err(CliError::Run(format!("demo: the client did not end within {LIMIT:?}"))),
    };
    if let Some(events) = events {
        events.borrow_mut().close()?;
    }
    finish(&ladder.borrow(), &greeting, &mut capture.borrow_mut(), destination, output)
}

/// The client: connects, sends its name, reads the greeting, closes.
///
/// # Errors
/// A call fails, or the greeting is wrong.
pub(in crate::cli) fn client(server: SocketAddr) -> Result<(), CliError> {
    let greeting =
        greet(server).map_err(|error| CliError::Run(format!("demo: exchange data with {server}: {error}")))?;
    if greeting == [b"Hello, ", NAME, b"!"].concat() {
        return Ok(());
    }
    Err(CliError::Run(format!(
        "demo: {server} sent `{}`, which is not the greeting",
        String::from_utf8_lossy(&greeting)
    )))
}

fn greet(server: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(NAME)?;
    let mut greeting = vec![0; 64];
    let count = stream.read(&mut greeting)?;
    greeting.truncate(count);
    Ok(greeting)
}
