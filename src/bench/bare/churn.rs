//! Short connections, by smoltcp alone: new sockets with new buffers for each, gone at the client's TIME-WAIT. In each
//! round every open connection moves one packet each way.

use smoltcp::socket::tcp::{CongestionControl, State};
use smoltcp::time::{Duration, Instant};

use super::{BareHost, BareSettings, CLIENT, SERVER, ports};
use crate::bench::Measured;
use crate::bench::churn::{BUFFER, REQUEST, RESPONSE, Workload};
use crate::bench::measure::Stopwatch;

/// A connection under way: where its sockets stand, and how far its programs have come.
struct Under {
    client: usize,
    server: usize,
    asked: bool,
    got: usize,
    /// Bytes of the request that the server got.
    request: usize,
    sent: usize,
}

struct Run {
    client: BareHost,
    server: BareHost,
    now: Instant,
    packet: Vec<u8>,
    reply: Vec<u8>,
    buf: Vec<u8>,
    packets: u64,
}

impl Run {
    fn open(&mut self, n: usize) -> Under {
        let (client, server) = ports(n);
        Under {
            server: self.server.open(server, (CLIENT, client), false),
            client: self.client.open(client, (SERVER, server), true),
            asked: false,
            got: 0,
            request: 0,
            sent: 0,
        }
    }

    /// The client's program.
    fn request(&mut self, under: &mut Under) {
        let socket = self.client.socket(under.client);
        if !under.asked && socket.may_send() {
            under.asked = socket.send_slice(&[7; REQUEST]).is_ok();
        }
        while let Ok(len @ 1..) = socket.recv_slice(&mut self.buf) {
            under.got += len;
            if under.got == RESPONSE {
                socket.close();
            }
        }
    }

    /// The server's program.
    fn respond(&mut self, under: &mut Under) {
        let socket = self.server.socket(under.server);
        while let Ok(len @ 1..) = socket.recv_slice(&mut self.buf) {
            under.request += len;
        }
        if under.request == REQUEST && under.sent < RESPONSE {
            under.sent += socket.send_slice(&[7; RESPONSE][under.sent..]).unwrap_or(0);
        }
        if socket.state() == State::CloseWait {
            socket.close();
        }
    }

    /// One packet each way. False if neither side had one.
    fn round(&mut self, under: &mut Under) -> bool {
        let mut moved = false;
        if self.client.egress(self.now, under.client, &mut self.packet) {
            (moved, self.packets) = (true, self.packets + 1);
            self.server.ingress(self.now, &self.packet, &mut self.reply);
            self.respond(under);
        }
        if self.server.egress(self.now, under.server, &mut self.packet) {
            (moved, self.packets) = (true, self.packets + 1);
            self.client.ingress(self.now, &self.packet, &mut self.reply);
            self.request(under);
        }
        moved
    }

    /// Both ends have seen everything; the client is in TIME-WAIT.
    fn is_over(&mut self, under: &Under) -> bool {
        self.client.socket(under.client).state() == State::TimeWait
            && self.server.socket(under.server).state() == State::Closed
    }
}

pub(in crate::bench) fn run(workload: &Workload, one_set: bool) -> Measured {
    let settings = BareSettings {
        buffer: BUFFER,
        congestion: CongestionControl::Reno,
        timestamps: true,
        ack_delay: Some(Duration::from_millis(10)),
        one_set,
    };
    let mut run = Run {
        client: BareHost::new(CLIENT, settings),
        server: BareHost::new(SERVER, settings),
        now: Instant::ZERO,
        packet: Vec::with_capacity(1500),
        reply: Vec::with_capacity(1500),
        buf: vec![0; RESPONSE],
        packets: 0,
    };
    let (mut begun, mut open) = (0, Vec::new());
    let stopwatch = Stopwatch::start();
    while begun < workload.count || !open.is_empty() {
        while begun < workload.count && open.len() < workload.parallel {
            open.push(run.open(begun));
            begun += 1;
        }
        run.now += Duration::from_millis(1);
        let mut moved = false;
        for under in &mut open {
            moved |= run.round(under);
        }
        open.retain(|under| {
            let over = run.is_over(under);
            if over {
                run.client.close(under.client);
                run.server.close(under.server);
            }
            !over
        });
        if !moved {
            // A delayed ACK is waited for.
            run.now += Duration::from_millis(10);
        }
    }
    let taken = stopwatch.stop();
    Measured {
        packets: run.packets,
        frames: run.packets,
        connections: workload.count as u64,
        hosts: 2,
        buffer_kib: BUFFER as u64 / 1024,
        sim_s: run.now.total_micros() as f64 / 1e6,
        taken,
        bytes: (workload.count * (REQUEST + RESPONSE)) as u64,
        ..Measured::default()
    }
}
