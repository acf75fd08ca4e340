//! The test that README.md shows, word for word, and a test that it does.

// README begins
use std::io;
use std::net::SocketAddr;
use tcplab::net::{Net, TcpListener, TcpStream};
use tcplab::sim::Sim;

/// The program under test.
async fn serve(net: Net, addr: SocketAddr) -> io::Result<()> {
    let (stream, _) = TcpListener::bind(&net, addr)?.accept().await?;
    let mut name = Vec::new();
    stream.read_to_end(&mut name).await?;
    stream.write_all(&[b"Hello, ", &name[..], b"!"].concat()).await
}

#[test]
fn a_greeting_comes_over_a_bad_link() {
    let sim = Sim::seeded(7);
    let server = sim.host("server", "192.0.2.1/24");
    let client = sim.host("client", "192.0.2.2/24");
    sim.link(&client, &server, "rate=1Mbit,delay=50ms,loss=10%");

    let addr = SocketAddr::new(server.address(), 4000);
    server.spawn(async move |net| serve(net, addr).await.unwrap());
    let mut greeting = client.spawn(async move |net| {
        let stream = TcpStream::connect(&net, addr).await.unwrap();
        stream.write_all(b"Ada").await.unwrap();
        stream.shutdown_write().unwrap();
        let mut greeting = Vec::new();
        stream.read_to_end(&mut greeting).await.unwrap();
        greeting
    });
    sim.run_until_idle();
    assert_eq!(greeting.try_take().unwrap(), b"Hello, Ada!");
}
// README ends

#[test]
fn the_readme_shows_this_test() {
    let begins = concat!("// README", " begins\n");
    let ends = concat!("// README", " ends\n");
    let code = include_str!("readme.rs").split_once(begins).and_then(|(_, rest)| rest.split_once(ends));
    let (code, _) = code.expect("both marks are there");
    let readme = include_str!("../../README.md").replace("\r\n", "\n");
    let shown = readme.contains(&format!("```rust\n{}```\n", code.replace("\r\n", "\n")));
    assert!(shown, "README.md does not show, between ```rust and ```:\n{code}");
}
