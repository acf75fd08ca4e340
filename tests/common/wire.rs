//! One host alone on a wire, and a test that plays everybody else: it feeds crafted segments and looks at all that the
//! host says, in virtual time.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use tcplab::event::{DropReason, Event, HostEvent, HostId, Observer, State};
use tcplab::segment::{Flags, IpView, Options, Packet, Segment, SegmentTemplate, Seq, Timestamps};
use tcplab::sim::Sim;
use tcplab::socket::{Domain, Fd, Host, HostConfig, Type};
use tcplab::time::{Duration, Instant};

pub(crate) const SYN: Flags = Flags::SYN;
pub(crate) const ACK: Flags = Flags::ACK;
pub(crate) const RST: Flags = Flags::RST;
pub(crate) const FIN_ACK: Flags = Flags(Flags::FIN.0 | Flags::ACK.0);
pub(crate) const PSH_ACK: Flags = Flags(Flags::PSH.0 | Flags::ACK.0);
pub(crate) const SYN_ACK: Flags = Flags(Flags::SYN.0 | Flags::ACK.0);

/// A segment that was seen, on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) at: Instant,
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    pub(crate) seq: Seq,
    pub(crate) ack: Seq,
    pub(crate) flags: Flags,
    pub(crate) window: u16,
    pub(crate) options: Options,
    pub(crate) payload: Vec<u8>,
}

impl Said {
    #[track_caller]
    pub(crate) fn parse(at: Instant, bytes: &[u8]) -> Self {
        let ip = IpView::parse(bytes).expect("a host sends IP packets");
        assert!(ip.checksums_ok(), "a host sends valid checksums");
        let segment = Segment::parse(&ip).expect("a host under test sends TCP");
        Self {
            at,
            src: segment.src,
            dst: segment.dst,
            seq: segment.seq,
            ack: segment.ack,
            flags: segment.flags,
            window: segment.window,
            options: segment.options,
            payload: segment.payload.to_vec(),
        }
    }

    /// True if exactly these flags are set, PSH aside.
    pub(crate) fn is(&self, flags: Flags) -> bool {
        self.flags.without(Flags::PSH) == flags.without(Flags::PSH)
    }
}

/// Whole seconds of virtual time.
pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A nanosecond less than the 60 s that TIME-WAIT and FIN-WAIT-2 last.
pub(crate) const ALMOST_A_MINUTE: Duration = Duration::from_nanos(59_999_999_999);

/// A host, its clock, and everything around it.
pub(crate) struct Wire {
    pub(crate) host: Host,
    pub(crate) now: Instant,
    packet: Packet,
}

impl Wire {
    /// A host at 192.0.2.1 with events on.
    pub(crate) fn new(adjust: impl FnOnce(&mut HostConfig)) -> Self {
        let addresses = vec![("192.0.2.1".parse().expect("an address"), 24)];
        let mut config = HostConfig { seed: 11, addresses, ..HostConfig::default() };
        adjust(&mut config);
        let mut host = Host::new(&config);
        host.observe_events(true);
        Self { host, now: Instant::EPOCH, packet: Packet::default() }
    }

    /// A listener on port 80 of every address.
    #[track_caller]
    pub(crate) fn listen(&mut self, backlog: usize) -> Fd {
        let fd = self.host.socket(Domain::Inet, Type::Stream).expect("socket");
        self.host.bind(fd, "0.0.0.0:80".parse().expect("an address")).expect("bind");
        self.host.listen(fd, backlog).expect("listen");
        fd
    }

    /// Feeds a segment now and gives what the host says at once.
    #[track_caller]
    pub(crate) fn feed(&mut self, segment: &SegmentTemplate<'_>) -> Vec<Said> {
        segment.write(&mut self.packet.bytes);
        let mut packet = std::mem::take(&mut self.packet);
        self.host.handle_packet(self.now, &mut packet);
        self.packet = packet;
        self.drain()
    }

    /// What the host has to say now.
    #[track_caller]
    pub(crate) fn drain(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        let mut packet = std::mem::take(&mut self.packet);
        while self.host.poll_transmit(self.now, &mut packet) {
            said.push(Said::parse(self.now, &packet.bytes));
        }
        self.packet = packet;
        // As every loop does.
        let _ = self.host.next_at();
        said
    }

    /// Lets time pass up to and including `end`; gives what the host says meanwhile.
    #[track_caller]
    pub(crate) fn run_until(&mut self, end: Instant) -> Vec<Said> {
        let mut said = self.drain();
        while let Some(at) = self.host.next_at().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.host.handle_timeout(self.now);
            said.extend(self.drain());
        }
        self.now = end;
        self.host.set_now(end);
        said
    }

    /// Lets so much time pass.
    #[track_caller]
    pub(crate) fn run_for(&mut self, time: Duration) -> Vec<Said> {
        self.run_until(self.now + time)
    }

    /// Asserts that the host says nothing for so long.
    #[track_caller]
    pub(crate) fn silent_for(&mut self, time: Duration) {
        let said = self.run_for(time);
        assert!(said.is_empty(), "the host was to be silent and said {said:#?}");
    }

    /// Why packets were dropped since the last look; other events are forgotten too.
    pub(crate) fn drops(&mut self) -> Vec<DropReason> {
        let dropped = |event| match event {
            HostEvent::Dropped { why } => Some(why),
            _ => None,
        };
        std::iter::from_fn(|| self.host.poll_event()).filter_map(dropped).collect()
    }

    /// The lengths of the SYN queue and the accept queue that were reported last.
    pub(crate) fn queues(&mut self) -> Option<(usize, usize)> {
        let queue = |event| match event {
            HostEvent::Queue { syn_queue, accept_queue, .. } => Some((syn_queue, accept_queue)),
            _ => None,
        };
        std::iter::from_fn(|| self.host.poll_event()).filter_map(queue).last()
    }

    /// The states that connections came to since the last look.
    pub(crate) fn states(&mut self) -> Vec<State> {
        let state = |event| match event {
            HostEvent::State { to, .. } => Some(to),
            _ => None,
        };
        std::iter::from_fn(|| self.host.poll_event()).filter_map(state).collect()
    }

    /// Reads what is there, at most 64 KiB.
    #[track_caller]
    pub(crate) fn read(&mut self, fd: Fd) -> Vec<u8> {
        let mut octets = vec![0; 65_536];
        let len = self.host.read(fd, &mut octets).expect("read");
        octets.truncate(len);
        octets
    }
}

/// The only segment of a list.
#[track_caller]
pub(crate) fn only(said: Vec<Said>) -> Said {
    assert_eq!(said.len(), 1, "one segment was expected: {said:#?}");
    said.into_iter().next().expect("counted")
}

/// Asserts that nothing was said.
#[track_caller]
pub(crate) fn nothing(said: &[Said]) {
    assert!(said.is_empty(), "nothing was to be said, but {said:#?}");
}

/// The other end of one connection: its RFC 9293 variables, in the test's hands.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) addr: SocketAddr,
    pub(crate) host: SocketAddr,
    pub(crate) iss: Seq,
    /// SND.NXT, kept by the test.
    pub(crate) nxt: Seq,
    /// RCV.NXT, kept by the test.
    pub(crate) rcv: Seq,
    pub(crate) window: u16,
    /// `TSval` and `TSecr` of the next segment; `None` has no timestamps.
    pub(crate) ts: Option<Timestamps>,
}

impl Peer {
    /// A client at this port of 192.0.2.2, without timestamps, of port 80.
    pub(crate) fn new(port: u16) -> Self {
        Self::at(SocketAddr::new("192.0.2.2".parse().expect("an address"), port))
    }

    pub(crate) fn at(addr: SocketAddr) -> Self {
        Self {
            addr,
            host: "192.0.2.1:80".parse().expect("an address"),
            iss: Seq(1000),
            nxt: Seq(1000),
            rcv: Seq(0),
            window: 65_000,
            ts: None,
        }
    }

    /// As [`Peer::new`], with timestamps that begin at `ts_val`.
    pub(crate) fn with_timestamps(port: u16, ts_val: u32) -> Self {
        Self { ts: Some(Timestamps { ts_val, ts_ecr: 0 }), ..Self::new(port) }
    }

    /// The SYN, always from the initial sequence number.
    pub(crate) fn syn(&self) -> SegmentTemplate<'static> {
        let options = Options { mss: Some(1460), ts: self.ts, ..Options::default() };
        SegmentTemplate { seq: self.iss, flags: SYN, window: self.window, options, ..self.bare() }
    }

    fn bare(&self) -> SegmentTemplate<'static> {
        SegmentTemplate::new(self.addr, self.host)
    }

    /// `<SEQ=SND.NXT><ACK=RCV.NXT>` with these flags.
    pub(crate) fn segment(&self, flags: Flags) -> SegmentTemplate<'static> {
        let options = Options { ts: self.ts, ..Options::default() };
        SegmentTemplate { seq: self.nxt, ack: self.rcv, flags, window: self.window, options, ..self.bare() }
    }

    pub(crate) fn ack(&self) -> SegmentTemplate<'static> {
        self.segment(ACK)
    }

    pub(crate) fn data<'a>(&self, payload: &'a [u8]) -> SegmentTemplate<'a> {
        SegmentTemplate { payload, ..self.segment(PSH_ACK) }
    }

    /// Takes note of the host's SYN|ACK.
    #[track_caller]
    pub(crate) fn hear_syn_ack(&mut self, syn_ack: &Said) {
        assert!(syn_ack.is(SYN_ACK), "a SYN|ACK was expected: {syn_ack:?}");
        assert_eq!(syn_ack.ack, self.iss + 1);
        (self.nxt, self.rcv) = (self.iss + 1, syn_ack.seq + 1);
        if let Some(ts) = &mut self.ts {
            ts.ts_ecr = syn_ack.options.ts.expect("timestamps were offered").ts_val;
        }
    }

    /// SYN, SYN|ACK, and not yet the final ACK. Gives the SYN|ACK.
    #[track_caller]
    pub(crate) fn half_open(&mut self, wire: &mut Wire) -> Said {
        let syn_ack = only(wire.feed(&self.syn()));
        self.hear_syn_ack(&syn_ack);
        syn_ack
    }

    /// The whole handshake.
    #[track_caller]
    pub(crate) fn establish(&mut self, wire: &mut Wire) {
        self.half_open(wire);
        nothing(&wire.feed(&self.ack()));
    }
}

/// A host established with a client by crafted segments, the child accepted.
#[track_caller]
pub(crate) fn accepted(wire: &mut Wire, listener: Fd, peer: &mut Peer) -> Fd {
    peer.establish(wire);
    wire.host.accept(listener).expect("the connection is established").0
}

/// What an observer wrote down of a simulation.
#[derive(Default)]
pub(crate) struct Log {
    /// Every TCP segment that a host sent.
    pub(crate) sent: Vec<(HostId, Said)>,
    /// Every packet that a stack did not want.
    pub(crate) dropped: Vec<(HostId, DropReason, Said)>,
    /// Every change of state.
    pub(crate) states: Vec<(HostId, Instant, State, State)>,
}

impl Observer for Log {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        match event {
            Event::Sent { host, packet, .. } => self.sent.push((*host, Said::parse(at, &packet.bytes))),
            Event::StackDropped { host, packet, why, .. } => {
                self.dropped.push((*host, *why, Said::parse(at, &packet.bytes)));
            }
            Event::Host { host, event: HostEvent::State { from, to, .. } } => {
                self.states.push((*host, at, *from, *to));
            }
            _ => {}
        }
    }
}

/// Writes down all that happens from now on.
pub(crate) fn log(sim: &Sim) -> Rc<RefCell<Log>> {
    sim.observe(Log::default())
}
