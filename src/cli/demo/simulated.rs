//! The demo in virtual time. Every run has the same packets. `demo` calls it with --simulated or without a TUN device.

use super::{CliError, Demo, Destination, NAME, Output, finish, listen, server};
use crate::capture::Settings;
use crate::cli::run::events::Events;
use crate::net::TcpStream;
use crate::sim::Sim;
use crate::time::Duration;
use crate::view::Ladder;

/// The client's pause before it writes and closes, longer than a delayed ACK.
const PAUSE: Duration = Duration::from_millis(30);

pub(super) fn run(args: &Demo, destination: &Destination, reason: &str, output: Output) -> Result<(), CliError> {
    output.note(format_args!("path: simulated link: {reason}"));
    let sim = Sim::seeded(1);
    let ladder = sim.observe(Ladder::new());
    let client_host = sim.host("client", "192.168.69.2/24");
    let server_host = sim.host("server", "192.168.69.1/24");
    sim.link(&client_host, &server_host, "delay=10ms");
    ladder.borrow_mut().name_hosts([&client_host, &server_host].map(|host| (host.id(), host.name().to_owned())));
    let settings = Settings::default().at(server_host.id()).interface("server").comments(args.comments.into());
    let capture = sim.observe(destination.capture(settings)?);
    let names = sim.names();
    let events = output.json.then(|| sim.observe(Events::new(names.into_iter(), !destination.is_stdout(), false)));

    let listen = listen(server_host.address());
    server_host.spawn_daemon(async move |net| server(net, listen).await);
    let mut greeting = client_host.spawn(async move |net| {
        let stream = TcpStream::connect(&net, listen.addr).await?;
        // A pause, so that each step is a packet of its own.
        net.sleep(PAUSE).await;
        stream.write_all(NAME).await?;
        let mut greeting = vec![0; 64];
        let count = stream.read(&mut greeting).await?;
        greeting.truncate(count);
        net.sleep(PAUSE).await;
        Ok::<_, std::io::Error>(greeting)
    });
    sim.try_run_until_idle().map_err(|gave_up| CliError::Failures("demo".to_owned(), gave_up.to_string()))?;
    let greeting = match greeting.try_take() {
        Some(Ok(greeting)) => greeting,
        Some(Err(error)) => return Err(CliError::Run(format!("demo: the client's calls failed: {error}"))),
        None => return Err(CliError::Run("demo: the client has not ended".to_owned())),
    };
    if let Some(events) = events {
        events.borrow_mut().close()?;
    }
    finish(&ladder.borrow(), &greeting, &mut capture.borrow_mut(), destination, output)
}
