//! hyper in a test: a real HTTP client and a real HTTP server over a bad link, in virtual time. The same seed gives the
//! same packets on every machine, and the minutes that it takes on the link cost milliseconds.
//!
//! `cargo run --example hyper` prints what happened; `cargo test --example hyper` runs the test at the end.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::service::service_fn;
use hyper::{Request, Response, client, server};
use tcplab::net::{Net, TcpListener, TcpStream};
use tcplab::sim::Sim;

/// Serves `page` to whoever asks.
async fn serve(net: Net, addr: SocketAddr, page: Bytes) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(&net, addr)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let page = page.clone();
        let answer = service_fn(move |_| {
            let page = page.clone();
            async { Ok::<_, Infallible>(Response::new(Full::new(page))) }
        });
        // No Date field, so that the same bytes are sent at any time of day.
        net.spawn(server::conn::http1::Builder::new().auto_date_header(false).serve_connection(stream, answer));
    }
}

/// Asks for a page and gives its bytes.
async fn fetch(net: Net, addr: SocketAddr) -> Result<Bytes, Box<dyn Error>> {
    let stream = TcpStream::connect(&net, addr).await?;
    let (mut sender, connection) = client::conn::http1::handshake(stream).await?;
    net.spawn(connection);
    let request = Request::get("/").header("host", "server").body(Empty::<Bytes>::new())?;
    Ok(sender.send_request(request).await?.into_body().collect().await?.to_bytes())
}

/// Fetches a page of a megabyte over a link that loses packets; gives the page and a line about the way.
fn run(seed: u64, link: &str) -> (Bytes, String) {
    let sim = Sim::seeded(seed);
    let server = sim.host("server", "192.0.2.1/24");
    let client = sim.host("client", "192.0.2.2/24");
    let link = sim.link(&client, &server, link);

    let addr = SocketAddr::new(server.address(), 80);
    let page = Bytes::from("All happy families are alike. ".repeat(33_334));
    server.spawn_daemon(async move |net| serve(net, addr, page).await);
    let mut fetched = client.spawn(async move |net| fetch(net, addr).await);
    sim.run_until(|| fetched.is_finished());

    let page = fetched.try_take().expect("it has ended").expect("the page comes");
    let way = format!("{} bytes after {} s; server to client: {}", page.len(), sim.now(), link.counters(&server));
    (page, way)
}

fn main() {
    println!("{}", run(7, "rate=10Mbit,delay=20ms,loss=1%").1);
}

#[test]
fn a_page_comes_whole_over_a_bad_link_and_the_same_way_each_time() {
    let link = "rate=10Mbit,delay=20ms,loss=5%,reorder=1%,duplicate=1%";
    let (page, way) = run(7, link);
    assert_eq!(page.len(), 1_000_020);
    assert!(page.ends_with(b"alike. "));
    assert_eq!(run(7, link).1, way);
    assert_ne!(run(8, link).1, way);
}
