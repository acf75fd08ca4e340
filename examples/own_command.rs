//! The `tcplab` command with a program of one's own. `main` is all that it takes: the program has a name in scenario files
//! and in every command.
//!
//! ```text
//! cargo run --example own_command -- serve shout -- nc 192.168.69.1 7002
//! cargo run --example own_command -- sweep shout.toml --set link.loss=0,5%
//! ```

use std::io;
use std::process::ExitCode;

use tcplab::app::ServerOptions;
use tcplab::net::{Net, TcpListener};
use tcplab::{Program, Registry};

fn main() -> ExitCode {
    let shout = Program::new("shout", 7002, "sends back what it receives, in capital letters").server(shout);
    tcplab::command_line(Registry::default().with(shout))
}

/// Serves one client after the other.
async fn shout(net: Net, options: ServerOptions) -> io::Result<()> {
    let listener = TcpListener::bind(&net, options.listen.addr)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let mut buffer = vec![0; 1000];
        // An error ends this client only.
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            buffer[..count].make_ascii_uppercase();
            if stream.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
    }
}
