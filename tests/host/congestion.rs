//! How fast a stream is under loss: the mean over twenty seeds against the estimate of Mathis, Semke, Mahdavi and Ott
//! (1997), MSS / RTT × C / √p, with C = √(3/2): growth counts bytes, so that delayed ACKs do not slow it down (RFC 3465).

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tcplab::app::bulk;
use tcplab::congestion::{Algorithm, by_name};
use tcplab::net::TcpListener;
use tcplab::sim::Sim;
use tcplab::time::Duration;

const SEEDS: u64 = 20;
const SECONDS: u64 = 60;

/// Bytes that a sender gets acknowledged in a minute, in Mbit/s.
fn goodput(seed: u64, congestion: &Algorithm, link: &str) -> f64 {
    let sim = Sim::seeded(seed);
    let client = sim.host_with("client", "192.0.2.2/24", |host| {
        host.congestion = congestion.clone();
        host.timestamps = false;
        host.snd_buf = Some(1 << 20);
    });
    let server = sim.host_with("server", "192.0.2.1/24", |host| {
        host.timestamps = false;
        host.rcv_buf = Some(1 << 20);
    });
    sim.link(&client, &server, link);
    sim.link(&client, &server, &format!("client>server:{link},loss=1%"));
    let at = SocketAddr::new(server.address(), 9);
    let received = Rc::new(Cell::new(0));
    let counted = Rc::clone(&received);
    server.spawn_daemon(async move |net| {
        let (stream, _) = TcpListener::bind(&net, at)?.accept().await?;
        let mut buf = vec![0; 1 << 16];
        loop {
            match stream.read(&mut buf).await? {
                0 => return io::Result::Ok(()),
                count => counted.set(counted.get() + count),
            }
        }
    });
    client.spawn_daemon(move |net| bulk::send(net, at, 1 << 40));
    sim.run_for(Duration::from_secs(SECONDS));
    received.get() as f64 * 8.0 / SECONDS as f64 / 1e6
}

fn mean(congestion: &Algorithm, link: &str) -> f64 {
    (1..=SEEDS).map(|seed| goodput(seed, congestion, link)).sum::<f64>() / SEEDS as f64
}

#[test]
fn at_one_percent_loss_reno_is_near_the_estimate_of_mathis_and_cubic_at_least_as_fast() {
    let estimate = 1460.0 * 8.0 / 0.05 * 1.5_f64.sqrt() / 0.01_f64.sqrt() / 1e6;
    let [reno, cubic] =
        ["reno", "cubic"].map(|name| mean(&by_name(name).expect("a built-in controller"), "rate=100Mbit,delay=25ms"));
    assert!((0.80..1.15).contains(&(reno / estimate)), "Reno: {reno} Mbit/s, estimated {estimate}");
    assert!(cubic >= reno, "CUBIC: {cubic} Mbit/s, Reno: {reno}");
}
