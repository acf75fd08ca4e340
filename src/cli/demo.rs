//! `tcplab demo`: the tutorial's server and client, and the ladder of their connection.

use super::CliError;
use super::output::{Output, print};
use crate::app::{Listen, hello};
use crate::sim::Sim;
use crate::view::Ladder;

pub(super) fn run(output: Output) -> Result<(), CliError> {
    output.note("path: simulated link: this version has no TUN device yet");
    let sim = Sim::seeded(1);
    let ladder = sim.observe(Ladder::new());
    let client = sim.host("client", "192.168.69.2/24");
    let server = sim.host("server", "192.168.69.1/24");
    sim.link(&client, &server, "delay=10ms");
    ladder.borrow_mut().name_hosts([&client, &server].map(|host| (host.id(), host.name().to_owned())));

    let listen = Listen::on(server.address(), hello::PORT);
    server.spawn_daemon(async move |net| hello::server(net, listen).await);
    let mut greeting = client.spawn(async move |net| hello::client(net, listen.addr).await);
    sim.try_run_until_idle().map_err(|gave_up| CliError::Run(format!("demo: {gave_up}")))?;
    let greeting = match greeting.try_take() {
        Some(Ok(greeting)) => greeting,
        Some(Err(errno)) => return Err(CliError::Run(format!("demo: the client's calls failed: {errno}"))),
        None => return Err(CliError::Run("demo: the client has not ended".to_owned())),
    };
    print(ladder.borrow())?;
    output.note(format_args!("the client read: {}", String::from_utf8_lossy(&greeting)));
    Ok(())
}
