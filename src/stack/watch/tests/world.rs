//! Two bare smoltcp hosts, each with one socket and its mirror, and a bad link between them in virtual time. One packet
//! moves at a time; after each of them the mirror must equal the socket.

use std::collections::BTreeMap;

use smoltcp::iface::{Config, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{self, ChecksumCapabilities, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{self, CongestionControl, State};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use super::super::congestion::Law;
use super::super::{Arrival, Departure, Phase, Snapshot, Timer, Watch};
use super::compare;
use crate::rng::Rng;
use crate::segment::{IpView, Segment};
use crate::time::{Duration, Instant};

/// What a run is made of. Probabilities are per packet, in both directions.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) seed: u64,
    pub(super) control: CongestionControl,
    pub(super) loss: f64,
    pub(super) duplicate: f64,
    /// A packet that is late by up to ten times the delay, so that others overtake it.
    pub(super) late: f64,
    /// An old or garbled header: a random field of the TCP header gets a random value.
    pub(super) garble: f64,
    pub(super) delay_us: u64,
    pub(super) jitter_us: u64,
    pub(super) mtu: usize,
    /// Written over the MSS option of every SYN.
    pub(super) mss: Option<u16>,
    /// Receive and send buffer of each side.
    pub(super) buffers: [[usize; 2]; 2],
    /// Octets that each side writes.
    pub(super) octets: [usize; 2],
    /// How often a reader takes nothing, which closes windows.
    pub(super) lazy: f64,
    /// The programs run this often at least.
    pub(super) tick_us: u64,
    pub(super) keep_alive: bool,
    pub(super) nagle: bool,
    pub(super) ack_delay: bool,
    /// How often a program aborts instead of going on.
    pub(super) abort: f64,
    /// How often the controller is replaced by another.
    pub(super) switch: f64,
    /// smoltcp's own timeout.
    pub(super) timeout: Option<u64>,
}

impl Scenario {
    pub(super) fn new(seed: u64, control: CongestionControl) -> Self {
        Self {
            seed,
            control,
            loss: 0.0,
            duplicate: 0.0,
            late: 0.0,
            garble: 0.0,
            delay_us: 10_000,
            jitter_us: 0,
            mtu: 300,
            mss: None,
            buffers: [[2_048; 2]; 2],
            octets: [20_000, 2_000],
            lazy: 0.0,
            tick_us: 100_000,
            keep_alive: false,
            nagle: true,
            ack_delay: true,
            abort: 0.0,
            switch: 0.0,
            timeout: None,
        }
    }
}

/// How often what was seen: a run that never times out proves nothing about timeouts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) compared: usize,
    pub(super) new: usize,
    pub(super) fast: usize,
    pub(super) timeouts: usize,
    pub(super) go_back_n: usize,
    pub(super) probes: usize,
    pub(super) keep_alives: usize,
    pub(super) replies: usize,
    pub(super) duplicate_acks: usize,
    pub(super) ignored: usize,
    pub(super) resets: usize,
    pub(super) aborts: usize,
    pub(super) finished: usize,
    /// New ACKs taken by CUBIC while its curve was running.
    pub(super) on_the_curve: usize,
}

/// A device that holds at most one packet each way.
struct OnePacket {
    rx: Option<Vec<u8>>,
    tx: Option<Vec<u8>>,
    mtu: usize,
}

struct Rx(Vec<u8>);
struct Tx<'a>(&'a mut Option<Vec<u8>>);

impl phy::RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut bytes = vec![0; len];
        let result = f(&mut bytes);
        assert!(self.0.replace(bytes).is_none(), "one packet at a time");
        result
    }
}

impl Device for OnePacket {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Rx, Tx<'_>)> {
        Some((Rx(self.rx.take()?), Tx(&mut self.tx)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Tx<'_>> {
        Some(Tx(&mut self.tx))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities.checksum = ChecksumCapabilities::ignored();
        capabilities
    }
}

struct Host {
    device: OnePacket,
    iface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    watch: Watch,
    unwritten: usize,
    text: String,
}

impl Host {
    fn new(scenario: &Scenario, side: usize) -> Self {
        let mut device = OnePacket { rx: None, tx: None, mtu: scenario.mtu };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = scenario.seed * 2 + side as u64;
        let mut iface = Interface::new(config, &mut device, smoltcp::time::Instant::ZERO);
        iface.update_ip_addrs(|addresses| {
            let address = IpCidr::new(IpAddress::v4(10, 0, 0, side as u8 + 1), 24);
            addresses.push(address).expect("there is room for one address");
        });
        let [rx, tx] = scenario.buffers[side].map(|octets| tcp::SocketBuffer::new(vec![0; octets]));
        let mut socket = tcp::Socket::new(rx, tx);
        socket.set_congestion_control(scenario.control);
        socket.set_nagle_enabled(scenario.nagle);
        if !scenario.ack_delay {
            socket.set_ack_delay(None);
        }
        socket.set_timeout(scenario.timeout.map(smoltcp::time::Duration::from_millis));
        if scenario.keep_alive {
            socket.set_keep_alive(Some(smoltcp::time::Duration::from_millis(700)));
        }
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket);
        Self {
            device,
            iface,
            sockets,
            handle,
            watch: Watch::new(scenario.control),
            unwritten: scenario.octets[side],
            text: String::new(),
        }
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::of(self.sockets.get(self.handle))
    }

    #[track_caller]
    fn compare(&mut self, seen: &mut Seen, context: &dyn Fn() -> String) {
        // At the end of TIME-WAIT a socket forgets everything.
        if self.watch.timer == Timer::Close && self.snapshot().state == State::Closed {
            return;
        }
        seen.compared += 1;
        compare::assert_same(&self.watch, self.sockets.get(self.handle), &mut self.text, context);
    }
}

/// Calls `f` with the segment in a packet, which must be well-formed.
fn with_segment<R>(packet: &[u8], f: impl FnOnce(&Segment<'_>) -> R) -> R {
    let ip = IpView::parse(packet).expect("the link keeps the IP header whole");
    f(&Segment::parse(&ip).expect("the link keeps the lengths in the TCP header"))
}

pub(super) struct World {
    scenario: Scenario,
    hosts: [Host; 2],
    now: Instant,
    wire: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    sent: u64,
    next_tick: Instant,
    luck: Rng,
    pub(super) seen: Seen,
}

const SERVER: usize = 1;

pub(super) const CONTROLS: [CongestionControl; 3] =
    [CongestionControl::None, CongestionControl::Reno, CongestionControl::Cubic];

impl World {
    pub(super) fn new(scenario: Scenario) -> Self {
        let mut hosts = [Host::new(&scenario, 0), Host::new(&scenario, SERVER)];
        hosts[SERVER].socket().listen(80).expect("the socket is new");
        let Host { sockets, iface, handle, .. } = &mut hosts[0];
        let socket = sockets.get_mut::<tcp::Socket<'_>>(*handle);
        let server = (IpAddress::v4(10, 0, 0, 2), 80);
        socket.connect(iface.context(), server, 49_152).expect("the socket is new and the address is good");
        let luck = Rng::new(scenario.seed, "watch");
        let now = Instant::from_nanos(1_000_000_500);
        Self { scenario, hosts, now, wire: BTreeMap::new(), sent: 0, next_tick: now, luck, seen: Seen::default() }
    }

    /// Runs until both sides have closed, or nothing happens any more, or ten virtual minutes have passed.
    pub(super) fn run(mut self) -> Seen {
        for _ in 0..20_000 {
            self.egress(0);
            self.egress(1);
            if self.hosts.iter().all(|host| matches!(host.snapshot().state, State::Closed | State::TimeWait)) {
                self.seen.finished = 1;
                break;
            }
            let at = [self.wire.keys().next().map(|key| key.0), self.due(0), self.due(1), Some(self.next_tick)];
            let at = at.into_iter().flatten().min().expect("the tick is always there");
            self.now = self.now.max(at);
            if self.now > Instant::from_secs(600) {
                break;
            }
            if self.wire.first_key_value().is_some_and(|(key, _)| key.0 <= self.now) {
                let (_, (to, packet)) = self.wire.pop_first().expect("it was just looked at");
                self.ingress(to, &packet);
            }
            if self.next_tick <= self.now {
                self.tick(0);
                self.tick(1);
                self.next_tick = self.now + Duration::from_micros(1 + self.luck.below(self.scenario.tick_us));
            }
        }
        self.seen
    }

    /// When smoltcp wants to be asked again; a keep-alive is all that can be overdue after egress.
    fn due(&mut self, side: usize) -> Option<Instant> {
        let Host { iface, sockets, .. } = &mut self.hosts[side];
        iface.poll_at(self.now.to_smoltcp(), sockets).map(Instant::from_smoltcp)
    }

    /// The programs: write, read, and close when all is written.
    fn tick(&mut self, side: usize) {
        let host = &mut self.hosts[side];
        let lazy = self.luck.chance(self.scenario.lazy);
        let chunk = 1 + self.luck.below(2 * self.scenario.buffers[side][1] as u64) as usize;
        let gulp = 1 + self.luck.below(3 * self.scenario.buffers[side][0] as u64) as usize;
        if host.unwritten > 0 && host.socket().can_send() {
            let zeros = vec![0; chunk.min(host.unwritten)];
            host.unwritten -= host.socket().send_slice(&zeros).expect("the socket can send");
        }
        if !lazy && host.socket().can_recv() {
            host.socket().recv(|data| (data.len().min(gulp), ())).expect("the socket can receive");
        }
        if self.luck.chance(self.scenario.abort) {
            host.socket().abort();
            self.seen.aborts += 1;
        }
        if self.luck.chance(self.scenario.switch) {
            let control = CONTROLS[self.luck.below(3) as usize];
            host.socket().set_congestion_control(control);
            host.watch.set_congestion_control(control);
        }
        if host.unwritten == 0 && matches!(host.socket().state(), State::Established | State::CloseWait) {
            host.socket().close();
        }
    }

    fn ingress(&mut self, to: usize, packet: &[u8]) {
        let (now, sent) = (self.now, self.sent);
        let host = &mut self.hosts[to];
        let before = host.snapshot();
        host.device.rx = Some(packet.to_vec());
        let result = host.iface.poll_ingress_single(now.to_smoltcp(), &mut host.device, &mut host.sockets);
        assert_ne!(result, PollIngressSingleResult::None);
        let after = host.snapshot();
        let arrival = with_segment(packet, |segment| host.watch.on_ingress(now, segment, before, after));
        let reply = host.device.tx.take();
        if let Some(reply) = &reply {
            with_segment(reply, |segment| host.watch.on_reply(segment));
            self.seen.replies += 1;
        }
        match arrival {
            Arrival::Ignored => self.seen.ignored += 1,
            Arrival::Reset => self.seen.resets += 1,
            Arrival::Duplicate { .. } => self.seen.duplicate_acks += 1,
            Arrival::Advance { .. } if host.watch.phase() == Phase::Open => {
                let curve = matches!(host.watch.congestion.law, Law::Cubic(cubic) if cubic.epoch().is_some());
                self.seen.on_the_curve += usize::from(curve);
            }
            Arrival::Accepted | Arrival::Advance { .. } => {}
        }
        let scenario = &self.scenario;
        let context = || with_segment(packet, |s| format!("{now} after {sent} packets, {s} {before:?} {scenario:?}"));
        host.compare(&mut self.seen, &context);
        if let Some(reply) = reply {
            self.transmit(to, reply);
        }
    }

    fn egress(&mut self, side: usize) {
        for _ in 0..1_000 {
            let (now, sent) = (self.now, self.sent);
            let host = &mut self.hosts[side];
            let before = host.snapshot();
            let result = host.iface.poll_egress(now.to_smoltcp(), &mut host.device, &mut host.sockets);
            let packet = host.device.tx.take();
            assert_eq!(result == PollResult::None, packet.is_none());
            let departure = match &packet {
                Some(packet) => with_segment(packet, |segment| host.watch.on_egress(now, Some(segment), before)),
                None => host.watch.on_egress(now, None, before),
            };
            let seen = &mut self.seen;
            match departure {
                Some(Departure::New) => seen.new += 1,
                Some(Departure::FastRetransmit) => seen.fast += 1,
                Some(Departure::Timeout { .. }) => seen.timeouts += 1,
                Some(Departure::GoBackN) => seen.go_back_n += 1,
                Some(Departure::WindowProbe { .. }) => seen.probes += 1,
                Some(Departure::KeepAlive) => seen.keep_alives += 1,
                Some(Departure::Control) | None => {}
            }
            // What a timer did without sending shows after the next packet.
            let Some(packet) = packet else {
                return;
            };
            let scenario = &self.scenario;
            let context = || format!("{now} after {sent} packets, {departure:?} {before:?} {scenario:?}");
            host.compare(seen, &context);
            self.transmit(side, packet);
        }
        panic!("egress never ends: {:?}", self.scenario);
    }

    /// The link: decides what becomes of a packet.
    fn transmit(&mut self, from: usize, mut packet: Vec<u8>) {
        self.sent += 1;
        let scenario = &self.scenario;
        let luck = &mut self.luck;
        let syn = packet[33] & 0x02 != 0;
        if let Some(mss) = scenario.mss.filter(|_| syn && packet[40..42] == [2, 4]) {
            packet[42..44].copy_from_slice(&mss.to_be_bytes());
        }
        if luck.chance(scenario.garble) {
            garble(&mut packet, luck);
        }
        let copies = if luck.chance(scenario.loss) { 0 } else { 1 + usize::from(luck.chance(scenario.duplicate)) };
        for copy in 0..copies {
            let late = if luck.chance(scenario.late) { luck.below(10 * scenario.delay_us) } else { 0 };
            let jitter = luck.below(scenario.jitter_us * 1_000 + 1);
            let at = self.now + Duration::from_nanos((scenario.delay_us + late) * 1_000 + jitter);
            self.wire.insert((at, self.sent * 2 + copy as u64), (1 - from, packet.clone()));
        }
    }
}

/// Shifts the sequence number or the acknowledgment, or changes the flags or the window, as old duplicates and
/// attackers do. The checksum is not looked at.
fn garble(packet: &mut [u8], luck: &mut Rng) {
    let at = [24, 28][luck.below(2) as usize];
    let field: [u8; 4] = packet[at..at + 4].try_into().expect("the header is there");
    match luck.below(5) {
        0 | 1 => {
            let by = luck.below(6_000) as u32;
            let shifted = u32::from_be_bytes(field).wrapping_add(by).wrapping_sub(3_000);
            packet[at..at + 4].copy_from_slice(&shifted.to_be_bytes());
        }
        // A FIN at a place where none is expected.
        3 => {
            packet[33] |= 0x01;
            let seq = u32::from_be_bytes([packet[24], packet[25], packet[26], packet[27]]);
            packet[24..28].copy_from_slice(&seq.wrapping_add(luck.below(50) as u32).to_be_bytes());
        }
        // Not RST alone: it would end most runs at once.
        2 => packet[33] = (luck.next_u32() as u8) & 0x3b,
        _ => packet[34..36].copy_from_slice(&(luck.below(4_000) as u16).to_be_bytes()),
    }
}
