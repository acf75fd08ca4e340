//! One connection that carries many MiB, by smoltcp alone. The packets of a burst wait in a queue of recycled buffers
//! and are fed one at a time; the receiver reads and has its egress after each.

use std::collections::VecDeque;

use smoltcp::socket::tcp::State;
use smoltcp::time::{Duration, Instant};

use super::{BareHost, CLIENT, SERVER, Settings, ports};
use crate::bench::Figures;
use crate::bench::bulk::{BUFFER, CHUNK};
use crate::bench::measure::Stopwatch;

/// Packets on the way in one direction, and buffers not in use.
#[derive(Default)]
struct Wire {
    queue: VecDeque<Vec<u8>>,
    packets: u64,
}

impl Wire {
    /// Everything that a socket has to send.
    fn drain(&mut self, host: &mut BareHost, now: Instant, spare: &mut Vec<Vec<u8>>) {
        loop {
            let mut packet = spare.pop().unwrap_or_else(|| Vec::with_capacity(1500));
            if !host.egress(now, 0, &mut packet) {
                spare.push(packet);
                return;
            }
            self.packets += 1;
            self.queue.push_back(packet);
        }
    }
}

pub(in crate::bench) fn run(mib: usize, one_set: bool) -> Figures {
    let settings = Settings { buffer: BUFFER, ack_delay: Some(Duration::from_millis(10)), one_set };
    let (mut client, mut server) = (BareHost::new(CLIENT, settings), BareHost::new(SERVER, settings));
    let (client_port, server_port) = ports(0);
    server.open(server_port, (CLIENT, client_port), false);
    client.open(client_port, (SERVER, server_port), true);
    let (mut to_server, mut to_client, mut spare) = (Wire::default(), Wire::default(), Vec::new());
    let (mut left, mut received, mut now, mut reply) = (mib << 20, 0, Instant::ZERO, Vec::with_capacity(1500));
    let (chunk, mut buf) = (vec![7; CHUNK], vec![0; CHUNK]);
    let stopwatch = Stopwatch::start();
    while received < mib << 20 {
        let socket = client.socket(0);
        while left > 0
            && let Ok(len @ 1..) = socket.send_slice(&chunk[..left.min(CHUNK)])
        {
            left -= len;
        }
        to_server.drain(&mut client, now, &mut spare);
        core::hint::black_box(client.next_at(now, 0));
        now += Duration::from_micros(50);
        while let Some(packet) = to_server.queue.pop_front() {
            server.ingress(now, &packet, &mut reply);
            spare.push(packet);
            let socket = server.socket(0);
            while let Ok(len @ 1..) = socket.recv_slice(&mut buf) {
                received += len;
            }
            to_client.drain(&mut server, now, &mut spare);
            core::hint::black_box(server.next_at(now, 0));
        }
        if to_client.queue.is_empty() && client.socket(0).state() == State::Established {
            // The last segment of a burst may wait for its delayed ACK.
            now += Duration::from_millis(10);
            to_client.drain(&mut server, now, &mut spare);
        }
        now += Duration::from_micros(50);
        while let Some(packet) = to_client.queue.pop_front() {
            client.ingress(now, &packet, &mut reply);
            spare.push(packet);
            let socket = client.socket(0);
            while left > 0
                && let Ok(len @ 1..) = socket.send_slice(&chunk[..left.min(CHUNK)])
            {
                left -= len;
            }
            to_server.drain(&mut client, now, &mut spare);
            core::hint::black_box(client.next_at(now, 0));
        }
    }
    let taken = stopwatch.stop();
    let packets = to_server.packets + to_client.packets;
    Figures {
        packets,
        frames: packets,
        connections: 1,
        buffer_kib: BUFFER as u64 / 1024,
        sim_s: now.total_micros() as f64 / 1e6,
        taken,
        octets: (mib << 20) as u64,
        ..Figures::default()
    }
}
