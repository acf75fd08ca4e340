//! A congestion controller of one's own: it keeps about three segments waiting in the queue of the bottleneck, the idea of
//! TCP Vegas. `main` adds it to the `tcplab` command, and every `--cc`, every scenario file and `TCP_CONGESTION` can name
//! it. docs/controllers.md explains each function.
//!
//! ```text
//! cargo run --example controller -- run fairness --set hosts.server.cc=delay
//! cargo run --example controller -- sweep bufferbloat --set host.cc=cubic,delay --seed 1..10
//! ```

use std::process::ExitCode;

use tcplab::Registry;
use tcplab::congestion::{AckSample, Algorithm, CongestionSample, Controller, Setup, Signal};
use tcplab::time::Instant;

#[derive(Debug)]
struct Delay {
    mss: u64,
    cwnd: u64,
    before: u64,
}

impl Controller for Delay {
    fn name(&self) -> &'static str {
        "delay"
    }

    fn cwnd(&self) -> u64 {
        self.cwnd
    }

    fn on_ack(&mut self, ack: &AckSample) {
        let (Some(rtt), Some(min_rtt)) = (ack.rtt, ack.min_rtt) else { return };
        let waiting = rtt.saturating_sub(min_rtt).as_secs_f64() / rtt.as_secs_f64().max(1e-6);
        let queued = (self.cwnd as f64 * waiting) as u64 / self.mss;
        // One segment more or less in a round trip.
        let step = self.mss * ack.newly_delivered / self.cwnd;
        if queued < 2 && ack.cwnd_limited {
            self.cwnd += step;
        } else if queued > 4 {
            self.cwnd = (self.cwnd - step).max(2 * self.mss);
        }
    }

    fn on_congestion(&mut self, congestion: &CongestionSample) {
        self.before = self.cwnd;
        self.cwnd = match congestion.signal {
            Signal::Timeout { .. } => self.mss,
            Signal::Loss | Signal::Ecn => (congestion.flight_size / 2).max(2 * self.mss),
        };
    }

    fn undo(&mut self, _now: Instant) {
        self.cwnd = self.cwnd.max(self.before);
    }

    fn set_mss(&mut self, mss: u64) {
        self.mss = mss;
    }
}

/// What can be chosen by name: one `Delay` for each connection.
fn delay() -> Algorithm {
    let make = |setup: &Setup| Delay { mss: setup.mss, cwnd: setup.cwnd, before: setup.cwnd };
    Algorithm::new("delay", "about three segments in the queue", make).expect("a name of 1 to 15 letters")
}

fn main() -> ExitCode {
    tcplab::command_line(Registry::default().with_controller(delay()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tcplab::app::{Listen, bulk};
    use tcplab::sim::Sim;
    use tcplab::socket::{Domain, Errno, OptionName, SocketOption, Type};

    use super::*;

    const MSS: u64 = 1_448;

    #[test]
    fn a_loss_halves_the_flight_and_undo_takes_it_back() {
        let mut controller = delay().controller(&Setup::new(MSS, Instant::EPOCH));
        controller.on_congestion(&CongestionSample { flight_size: 8 * MSS, ..CongestionSample::default() });
        assert_eq!(controller.cwnd(), 4 * MSS);
        controller.undo(Instant::EPOCH);
        assert_eq!(controller.cwnd(), 10 * MSS);
    }

    #[test]
    fn an_empty_queue_adds_a_segment_in_a_round_trip_and_a_long_one_takes_one_away() {
        let mut controller = delay().controller(&Setup::new(MSS, Instant::EPOCH));
        let min_rtt = Some(Duration::from_millis(50));
        let mut ack = AckSample { newly_delivered: 10 * MSS, cwnd_limited: true, min_rtt, ..AckSample::default() };
        ack.rtt = Some(Duration::from_millis(50));
        controller.on_ack(&ack);
        assert_eq!(controller.cwnd(), 11 * MSS);
        ack.rtt = Some(Duration::from_millis(500));
        controller.on_ack(&ack);
        assert!(controller.cwnd() < 11 * MSS, "{}", controller.cwnd());
    }

    /// The host of a simulation gets it as its default, and another host chooses it for one socket.
    #[test]
    fn a_connection_of_a_simulation_runs_with_it() {
        let sim = Sim::seeded(1);
        let client = sim.host_with("client", "10.0.0.1/24", |host| host.congestion = delay());
        let server = sim.host_with("server", "10.0.0.2/24", |host| host.algorithms.add(delay()).expect("a new name"));
        sim.link(&client, &server, "rate=10Mbit,delay=10ms,limit=100");
        let to = std::net::SocketAddr::new(server.address(), 80);
        server.spawn_daemon(async move |net| bulk::server(net, Listen { addr: to, backlog: 1 }, |_, _| {}).await);
        let mut sent = client.spawn(async move |net| bulk::send(net, to, 1_000_000).await);
        sim.run_until_idle();
        sent.try_take().expect("it has ended").expect("all bytes are acknowledged");
        let name = client.sys(|host| {
            let fd = host.socket(Domain::Inet, Type::Stream)?;
            host.getsockopt(fd, OptionName::Congestion)
        });
        assert_eq!(name, Ok(SocketOption::Congestion("delay".into())));
        server.sys(|host| {
            let fd = host.socket(Domain::Inet, Type::Stream).expect("a descriptor");
            assert_eq!(host.setsockopt(fd, SocketOption::Congestion("delay".into())), Ok(()));
            assert_eq!(host.setsockopt(fd, SocketOption::Congestion("vegas".into())), Err(Errno::ENOENT));
        });
    }
}
