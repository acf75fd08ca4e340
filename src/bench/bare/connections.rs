//! Messages on established connections, by smoltcp alone.

use smoltcp::socket::tcp::CongestionControl;
use smoltcp::time::{Duration, Instant};

use super::{BareHost, BareSettings, CLIENT, SERVER, ports};
use crate::bench::connections::{BUFFER, MESSAGE, Workload, choose};
use crate::bench::measure::{Stopwatch, resident_kib};
use crate::bench::{Measured, per_end};
use crate::rng::Rng;

/// Half of a round trip, as on the links of the tcplab run.
const DELAY: Duration = Duration::from_micros(50);

struct Pair {
    client: BareHost,
    server: BareHost,
    /// The packet under way, and what smoltcp answers from inside ingress: nothing, here.
    packet: Vec<u8>,
    reply: Vec<u8>,
    now: Instant,
    packets: u64,
}

impl Pair {
    fn carry_to_server(&mut self, at: usize) -> bool {
        if !self.client.egress(self.now, at, &mut self.packet) {
            return false;
        }
        (self.packets, self.now) = (self.packets + 1, self.now + DELAY);
        self.server.ingress(self.now, &self.packet, &mut self.reply);
        true
    }

    fn carry_to_client(&mut self, at: usize) -> bool {
        if !self.server.egress(self.now, at, &mut self.packet) {
            return false;
        }
        (self.packets, self.now) = (self.packets + 1, self.now + DELAY);
        self.client.ingress(self.now, &self.packet, &mut self.reply);
        true
    }

    /// The server's program: it sends back what it receives.
    fn echo(&mut self, at: usize, buf: &mut [u8]) {
        let socket = self.server.socket(at);
        while let Ok(len @ 1..) = socket.recv_slice(buf) {
            let _ = socket.send_slice(&buf[..len]);
        }
    }

    /// Sends a message, waits for its echo, and continues until both ends are idle.
    fn exchange(&mut self, at: usize, message: &[u8], buf: &mut [u8]) {
        let _ = self.client.socket(at).send_slice(message);
        let mut left = message.len();
        loop {
            let mut moved = self.carry_to_server(at);
            self.echo(at, buf);
            moved |= self.carry_to_client(at);
            while left > 0
                && let Ok(len @ 1..) = self.client.socket(at).recv_slice(buf)
            {
                left -= len;
            }
            if !moved {
                break;
            }
        }
        // A host computes its deadlines, so the reference does too.
        core::hint::black_box((self.client.next_at(self.now, at), self.server.next_at(self.now, at)));
    }
}

pub(in crate::bench) fn run(workload: &Workload, one_set: bool) -> Measured {
    let settings = BareSettings {
        buffer: BUFFER,
        congestion: CongestionControl::Reno,
        timestamps: true,
        ack_delay: None,
        one_set,
    };
    let resident = resident_kib();
    let mut pair = Pair {
        client: BareHost::new(CLIENT, settings),
        server: BareHost::new(SERVER, settings),
        packet: Vec::with_capacity(1500),
        reply: Vec::with_capacity(1500),
        now: Instant::ZERO,
        packets: 0,
    };
    let mut buf = [0; BUFFER];
    for n in 0..workload.count {
        let (client, server) = ports(n);
        pair.server.open(server, (CLIENT, client), false);
        pair.client.open(client, (SERVER, server), true);
        while pair.carry_to_server(n) | pair.carry_to_client(n) {}
        pair.exchange(n, &[0; BUFFER], &mut buf);
    }
    let memory = per_end(resident, workload.count, 2 * BUFFER);
    let mut rng = Rng::new(1, "bench connections");
    let (packets, started) = (pair.packets, pair.now);
    let stopwatch = Stopwatch::start();
    for _ in 0..workload.messages {
        let at = choose(&mut rng, workload.count);
        pair.exchange(at, &[1; MESSAGE], &mut buf);
        pair.now += DELAY * 2;
    }
    let taken = stopwatch.stop();
    let packets = pair.packets - packets;
    Measured {
        packets,
        frames: packets,
        connections: workload.count as u64,
        hosts: 2,
        buffer_kib: BUFFER as u64 / 1024,
        sim_s: (pair.now - started).total_micros() as f64 / 1e6,
        taken,
        bytes: (workload.messages * MESSAGE * 2) as u64,
        bytes_per_end: memory,
        ..Measured::default()
    }
}
