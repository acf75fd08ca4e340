//! Test my protocol under loss. The protocol: a client sends numbers, one on a line, and the server answers each line with the
//! sum so far. The test runs it under 200 seeds on a link that loses, delays and duplicates packets.
//!
//! ```text
//! cargo test --example lossy_protocol
//! TCPLAB_SEED=7 cargo test --example lossy_protocol              # one seed again
//! TCPLAB_TRACE=traces cargo test --example lossy_protocol        # a failing test leaves its ladder in traces/
//! ```

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tcplab::net::{Net, TcpListener, TcpStream};
use tcplab::sim::Sim;

/// The server: one client, line by line.
async fn sums(net: Net, addr: SocketAddr) -> io::Result<()> {
    let (stream, _) = TcpListener::bind(&net, addr)?.accept().await?;
    let (mut line, mut sum) = (Vec::new(), 0_u64);
    let mut byte = [0];
    while stream.read(&mut byte).await? > 0 {
        if byte[0] != b'\n' {
            line.push(byte[0]);
            continue;
        }
        let number = String::from_utf8_lossy(&line).parse::<u64>().map_err(io::Error::other)?;
        line.clear();
        sum += number;
        stream.write_all(format!("{sum}\n").as_bytes()).await?;
    }
    Ok(())
}

/// The client: all numbers, then everything that comes back.
async fn ask(net: Net, addr: SocketAddr, numbers: Vec<u64>) -> io::Result<String> {
    let stream = TcpStream::connect(&net, addr).await?;
    for number in numbers {
        stream.write_all(format!("{number}\n").as_bytes()).await?;
        // What a person would take to type the next one.
        net.sleep(Duration::from_millis(net.rng("typing").below(200))).await;
    }
    stream.shutdown_write()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    String::from_utf8(answer).map_err(io::Error::other)
}

/// One run.
fn run(sim: &Sim) {
    let server = sim.host("server", "192.0.2.1/24");
    let client = sim.host("client", "192.0.2.2/24");
    sim.link(&client, &server, "rate=10Mbit,delay=30ms,loss=10%,duplicate=5%,reorder=5%");
    let addr = SocketAddr::new(server.address(), 4000);
    let mut served = server.spawn(async move |net| sums(net, addr).await);
    let mut answer = client.spawn(async move |net| ask(net, addr, vec![1, 2, 3, 4]).await);
    sim.run_until_idle();
    served.try_take().expect("it has ended").expect("the server has no error");
    assert_eq!(answer.try_take().expect("it has ended").expect("an answer"), "1\n3\n6\n10\n");
}

fn main() {
    run(&Sim::seeded(1));
    println!("the sums are right; `cargo test --example lossy_protocol` runs it under many seeds");
}

#[test]
fn the_sums_are_right_whatever_the_link_does() {
    tcplab::testing::seeds(0..200, run);
}
