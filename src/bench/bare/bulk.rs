//! One connection that carries many megabytes, by smoltcp alone. Its loop is the smallest with the same timing. It goes
//! to the next packet that arrives or the next deadline of a socket, and polls the egress of that host.

use smoltcp::socket::tcp::CongestionControl;
use smoltcp::time::{Duration, Instant};

use super::wire::{Wire, WireSettings};
use super::{BareHost, BareSettings, CLIENT, SERVER, ports};
use crate::bench::bulk::{CHUNK, DELAY, LIMIT, RATE, Workload};
use crate::bench::flow::ACK_DELAY;
use crate::bench::measure::Stopwatch;
use crate::bench::{BenchError, Measured};

/// A host and the wire that leads away from it.
struct BulkEnd {
    host: BareHost,
    wire: Wire,
    next_at: Option<u64>,
}

impl BulkEnd {
    fn new(host: BareHost) -> Self {
        Self { host, wire: Wire::new(WireSettings { rate: RATE, delay: DELAY, limit: LIMIT }), next_at: Some(0) }
    }

    /// Takes a packet, and sends what smoltcp answers at once: an ACK for a segment out of its place.
    fn ingress(&mut self, now: u64, packet: &[u8]) {
        let mut reply = self.wire.buffer();
        self.host.ingress(instant(now), packet, &mut reply);
        if reply.is_empty() {
            self.wire.give_back(reply);
        } else {
            self.wire.send(now, reply);
        }
    }

    /// Everything that the socket has to send, then its deadline.
    fn egress(&mut self, now: u64) {
        let at = instant(now);
        loop {
            let mut packet = self.wire.buffer();
            if !self.host.egress(at, 0, &mut packet) {
                self.wire.give_back(packet);
                break;
            }
            self.wire.send(now, packet);
        }
        self.next_at = self.host.next_at(at, 0).map(|at| at.total_micros() as u64 * 1_000);
    }
}

/// smoltcp counts in microseconds.
fn instant(nanos: u64) -> Instant {
    Instant::from_micros((nanos / 1_000) as i64)
}

pub(in crate::bench) fn run(workload: &Workload, one_set: bool) -> Result<Measured, BenchError> {
    let flows = &workload.flows;
    // smoltcp has these three.
    let congestion = match flows.congestion.name() {
        "none" => CongestionControl::None,
        "reno" => CongestionControl::Reno,
        _ => CongestionControl::Cubic,
    };
    let ack_delay = Some(Duration::from_micros(ACK_DELAY.as_micros() as u64));
    let settings = BareSettings { buffer: flows.buffer, congestion, timestamps: false, ack_delay, one_set };
    let (mut client, mut server) =
        (BulkEnd::new(BareHost::new(CLIENT, settings)), BulkEnd::new(BareHost::new(SERVER, settings)));
    let (client_port, server_port) = ports(0);
    server.host.open(server_port, (CLIENT, client_port), false);
    client.host.open(client_port, (SERVER, server_port), true);
    let (bytes, mut written, mut received, mut now) = (workload.bytes(), 0, 0, 0_u64);
    let (chunk, mut buf) = (vec![7; CHUNK], vec![0; CHUNK]);
    let stopwatch = Stopwatch::start();
    client.egress(now);
    server.egress(now);
    while received < bytes {
        let next = [client.wire.next_at(), server.wire.next_at(), client.next_at, server.next_at];
        let Some(at) = next.into_iter().flatten().min() else {
            return Err(BenchError::Stuck { now });
        };
        now = now.max(at);
        if let Some(packet) = client.wire.receive(now) {
            server.ingress(now, &packet);
            client.wire.give_back(packet);
            while let Ok(len @ 1..) = server.host.socket(0).recv_slice(&mut buf) {
                received += len as u64;
            }
            server.egress(now);
        } else if let Some(packet) = server.wire.receive(now) {
            client.ingress(now, &packet);
            server.wire.give_back(packet);
            while written < bytes {
                let len = (bytes - written).min(CHUNK as u64) as usize;
                let Ok(len @ 1..) = client.host.socket(0).send_slice(&chunk[..len]) else { break };
                written += len as u64;
            }
            client.egress(now);
        } else {
            for end in [&mut client, &mut server] {
                if end.next_at.is_some_and(|at| at <= now) {
                    end.egress(now);
                    // A deadline that is not later than now would keep the clock where it is.
                    end.next_at = end.next_at.map(|at| at.max(now + 1_000));
                }
            }
        }
    }
    let taken = stopwatch.stop();
    let packets = client.wire.sent + server.wire.sent;
    Ok(Measured {
        packets,
        frames: packets,
        connections: 1,
        hosts: 2,
        buffer_kib: flows.buffer as u64 / 1024,
        sim_s: now as f64 / 1e9,
        taken,
        bytes: received,
        dropped: client.wire.dropped + server.wire.dropped,
        ..Measured::default()
    })
}
