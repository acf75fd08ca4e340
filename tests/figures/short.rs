//! Short transfers: 50 KB over 10 Mbit/s, 20 ms each way, 3 % loss both ways, from connect to the ACK of the FIN. And 1 MB
//! over a path whose MTU is smaller than the link's, where nobody says so (RFC 4821).

use std::io;
use std::net::SocketAddr;

use tcplab::event::{HostEvent, State};
use tcplab::net::{Net, TcpListener, TcpStream};
use tcplab::time::{Duration, Instant};

use super::flow::{Pair, start};
use super::{percentile, pick, tell};

const LINK: &str = "rate=10Mbit,delay=20ms,loss=3%";
const BYTES: usize = 50_000;

/// Seconds from connect until the client's FIN is acknowledged.
fn transfer(seed: u64, controller: &str) -> f64 {
    let pair = Pair::new(seed, controller, LINK);
    pair.watch.borrow_mut().keep_states = true;
    let at = SocketAddr::new(pair.server.address(), 9);
    let mut server = pair.server.spawn(async move |net| take(&net, at).await);
    pair.client.spawn(async move |net| give(&net, at).await);
    pair.sim.run_until_idle();
    assert_eq!(server.try_take().expect("the server has ended").expect("read"), BYTES, "seed {seed}");
    let client = pair.client.address();
    let watch = pair.watch.borrow();
    let acknowledged = watch.changes.iter().find_map(|(at, event)| match event {
        HostEvent::State { local, from: State::FinWait1, to: State::FinWait2 | State::TimeWait, .. }
        | HostEvent::State { local, from: State::Closing, to: State::TimeWait, .. }
            if local.ip() == client =>
        {
            Some(*at)
        }
        _ => None,
    });
    (acknowledged.unwrap_or_else(|| panic!("seed {seed}: no ACK of the FIN")) - Instant::EPOCH).as_secs_f64()
}

async fn take(net: &Net, at: SocketAddr) -> io::Result<usize> {
    let (stream, _) = TcpListener::bind(net, at)?.accept().await?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await
}

async fn give(net: &Net, at: SocketAddr) -> io::Result<()> {
    let stream = TcpStream::connect(net, at).await?;
    stream.write_all(&vec![7; BYTES]).await?;
    stream.shutdown_write()
}

#[test]
fn short_transfers_over_a_lossy_path_end_soon() {
    for controller in ["cubic", "reno"] {
        let seeds = pick(200, 1000);
        let mut times: Vec<f64> = (1..=seeds).map(|seed| transfer(seed, controller)).collect();
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        let [p90, p99, most] = [0.9, 0.99, 1.0].map(|share| percentile(&mut times, share));
        tell(
            &format!("50 KB at 3 % loss, {controller}, {seeds} seeds"),
            &format!("mean {mean:.3} s, 90 % within {p90:.3} s, 99 % within {p99:.2} s, all within {most:.2} s"),
        );
        assert!(mean <= 0.35, "{controller}: mean {mean} s");
        assert!(p90 <= 0.48, "{controller}: 90 % within {p90} s");
        assert!(p99 <= 1.6, "{controller}: 99 % within {p99} s");
    }
}

#[test]
fn a_megabyte_passes_a_smaller_mtu_in_silence_and_no_larger_segment_follows() {
    for controller in ["cubic", "reno", "bbr"] {
        let pair = Pair::new(1, controller, "rate=100Mbit,delay=25ms,mtu=1400");
        let flow = start(&pair.client, &pair.server, 9, Duration::ZERO, 1_000_000);
        pair.sim.run_until(|| flow.received.get() > 0);
        let client = std::mem::take(&mut pair.watch.borrow_mut().busiest_mut().largest);
        pair.sim.run_until(|| flow.received.get() == 1_000_000);
        let taken = (flow.last.get() - Instant::EPOCH).as_secs_f64();
        let largest = pair.watch.borrow().busiest().largest;
        tell(
            &format!("1 MB, mtu=1400 in silence, {controller}"),
            &format!("{taken:.2} s; segments of {client} bytes at first, then at most {largest}"),
        );
        assert!(taken <= 10.0, "{controller}: {taken} s");
        assert!(largest + 52 <= 1400, "{controller}: a segment of {largest} bytes");
    }
}
