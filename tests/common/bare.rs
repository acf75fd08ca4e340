//! A scripted peer at the wire of one host: it hands packets to a [`Host`] and reads what the host answers, with the
//! sequence numbers of RFC 9293, section 3.3.1, seen from the host.

#![allow(dead_code, reason = "each test binary compiles this module anew and uses its own part of it")]

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use tcplab::event::{HostEvent, State};
use tcplab::segment::{Flags, IpView, Options, Packet, Segment, SegmentTemplate, Seq, Timestamps};
use tcplab::socket::{Domain, Errno, Fd, Host, HostConfig, Type};
use tcplab::time::Instant;

/// The window that the peer advertises, and the receive buffer of the host.
pub(crate) const WINDOW: u16 = 1000;

/// How a connection is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) v6: bool,
    pub(crate) timestamps: bool,
    /// The host connects; otherwise it listens.
    pub(crate) active: bool,
    pub(crate) irs: u32,
}

impl Setting {
    /// IPv4 and IPv6, with and without timestamps, by accept and by connect; half of them wrap around zero.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..8_u32).map(|n| Self {
            v6: n & 1 != 0,
            timestamps: n & 2 != 0,
            active: n & 4 != 0,
            irs: if n.count_ones() % 2 == 0 { 70_000 } else { u32::MAX - 3 },
        })
    }

    /// The simplest: IPv4, no timestamps, by accept.
    pub(crate) const fn plain() -> Self {
        Self { v6: false, timestamps: false, active: false, irs: 70_000 }
    }

    fn address(self, last: u8) -> IpAddr {
        if self.v6 {
            format!("2001:db8::{last}").parse().expect("an address")
        } else {
            format!("192.0.2.{last}").parse().expect("an address")
        }
    }
}

/// A segment as it stands on the wire, payload and all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) flags: Flags,
    pub(crate) seq: Seq,
    pub(crate) ack: Seq,
    pub(crate) window: u16,
    pub(crate) options: Options,
    pub(crate) payload: Vec<u8>,
}

/// One host and the peer on its wire.
pub(crate) struct Wire {
    pub(crate) host: Host,
    pub(crate) now: Instant,
    pub(crate) setting: Setting,
    pub(crate) ours: SocketAddr,
    pub(crate) peer: SocketAddr,
    /// The descriptor of the connection, or of the listener before there is one.
    pub(crate) fd: Option<Fd>,
    pub(crate) listener: Option<Fd>,
    /// The state of the tuple, as the events of the host tell.
    pub(crate) state: State,
    pub(crate) iss: Seq,
    pub(crate) snd_una: Seq,
    pub(crate) snd_nxt: Seq,
    pub(crate) rcv_nxt: Seq,
    pub(crate) rcv_edge: Seq,
    /// The clock of the peer's timestamps.
    pub(crate) ts_val: u32,
    /// The host's last `TSval`.
    pub(crate) ts_ecr: u32,
    /// Both SYNs had a timestamp.
    pub(crate) timestamps: bool,
}

impl Wire {
    /// A host without sockets.
    pub(crate) fn new(setting: Setting, adjust: impl FnOnce(&mut HostConfig)) -> Self {
        let (ours, peer) = (setting.address(1), setting.address(2));
        let mut config = HostConfig {
            seed: 7,
            addresses: vec![(ours, if setting.v6 { 64 } else { 24 })],
            rcv_buf: Some(usize::from(WINDOW)),
            ack_delay: None,
            timestamps: setting.timestamps,
            ..HostConfig::default()
        };
        adjust(&mut config);
        let mut host = Host::new(&config);
        host.observe_events(true);
        Self {
            host,
            now: Instant::from_secs(5),
            setting,
            ours: SocketAddr::new(ours, 80),
            peer: SocketAddr::new(peer, 4000),
            fd: None,
            listener: None,
            state: State::Closed,
            iss: Seq(0),
            snd_una: Seq(0),
            snd_nxt: Seq(0),
            rcv_nxt: Seq(0),
            rcv_edge: Seq(0),
            ts_val: 1000,
            ts_ecr: 0,
            timestamps: false,
        }
    }

    fn domain(&self) -> Domain {
        Domain::of(&self.ours)
    }

    /// A listener at the host's end.
    #[track_caller]
    pub(crate) fn listen(&mut self) {
        self.host.set_now(self.now);
        let fd = self.host.socket(self.domain(), Type::Stream).expect("socket");
        self.host.bind(fd, self.ours).expect("bind");
        self.host.listen(fd, 8).expect("listen");
        self.listener = Some(fd);
        self.state = State::Listen;
    }

    /// connect, up to the SYN.
    #[track_caller]
    pub(crate) fn connect(&mut self) {
        self.host.set_now(self.now);
        let fd = self.host.socket(self.domain(), Type::Stream).expect("socket");
        self.host.bind(fd, self.ours).expect("bind");
        assert_eq!(self.host.connect(fd, self.peer), Err(Errno::EINPROGRESS));
        self.fd = Some(fd);
        let syn = self.one();
        assert_eq!(syn.flags, Flags::SYN);
        (self.iss, self.snd_una) = (syn.seq, syn.seq);
    }

    /// A segment of the peer with its next timestamp.
    pub(crate) fn segment<'a>(&self, flags: Flags, seq: Seq, ack: Seq, payload: &'a [u8]) -> SegmentTemplate<'a> {
        let syn = flags.contains(Flags::SYN);
        let wanted = if syn { self.setting.timestamps } else { self.timestamps };
        let options = Options {
            mss: syn.then_some(1400),
            ts: wanted.then_some(Timestamps { ts_val: self.ts_val, ts_ecr: self.ts_ecr }),
            ..Options::default()
        };
        SegmentTemplate {
            seq,
            ack,
            flags,
            window: WINDOW,
            options,
            payload,
            ..SegmentTemplate::new(self.peer, self.ours)
        }
    }

    /// Hands a segment to the host, without asking for what it sends.
    #[track_caller]
    pub(crate) fn feed(&mut self, segment: &SegmentTemplate<'_>) {
        let mut packet = Packet::new(segment.to_bytes());
        self.host.handle_packet(self.now, &mut packet);
        self.ts_val = self.ts_val.wrapping_add(1);
    }

    /// Hands a segment to the host; what the host sends at that instant.
    #[track_caller]
    pub(crate) fn deliver(&mut self, segment: &SegmentTemplate<'_>) -> Vec<Seen> {
        self.feed(segment);
        self.sent()
    }

    /// As [`Wire::deliver`], from the numbers.
    #[track_caller]
    pub(crate) fn peer_says(&mut self, flags: Flags, seq: Seq, ack: Seq, payload: &[u8]) -> Vec<Seen> {
        let segment = self.segment(flags, seq, ack, payload);
        let sent = self.deliver(&segment);
        if flags.contains(Flags::ACK) && self.snd_una < ack && ack <= self.snd_nxt {
            self.snd_una = ack;
        }
        sent
    }

    /// Everything that the host has to send at this instant. Each packet has good checksums and the right ends.
    #[track_caller]
    pub(crate) fn sent(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        let mut packet = Packet::default();
        while self.host.poll_transmit(self.now, &mut packet) {
            let ip = IpView::parse(&packet.bytes).expect("the host sends good packets");
            assert!(ip.checksums_ok(), "checksums of {:02x?}", packet.bytes);
            let segment = Segment::parse(&ip).expect("the host sends good segments");
            assert_eq!((segment.src, segment.dst), (self.ours, self.peer));
            self.note(&segment);
            seen.push(Seen {
                flags: segment.flags.without(Flags::PSH),
                seq: segment.seq,
                ack: segment.ack,
                window: segment.window,
                options: segment.options,
                payload: segment.payload.to_vec(),
            });
        }
        while let Some(event) = self.host.poll_event() {
            if let HostEvent::State { local, remote, to, from, .. } = event
                && (local, remote) == (self.ours, self.peer)
            {
                let before = if self.state == State::Closed && from == State::Listen { from } else { self.state };
                assert_eq!(from, before, "a change of state begins where the last one ended");
                self.state = to;
            }
        }
        seen
    }

    fn note(&mut self, segment: &Segment<'_>) {
        if segment.is_syn() {
            (self.iss, self.snd_una) = (segment.seq, segment.seq);
            self.timestamps = segment.options.ts.is_some();
        }
        if !segment.is_rst() {
            self.snd_nxt = if segment.is_syn() { segment.end() } else { self.snd_nxt.max(segment.end()) };
            self.ts_ecr = segment.options.ts.map_or(self.ts_ecr, |ts| ts.ts_val);
            if segment.is_ack() {
                self.rcv_nxt = segment.ack;
                self.rcv_edge = segment.ack + u32::from(segment.window);
            }
        }
    }

    /// As [`Wire::sent`], where it must be one segment.
    #[track_caller]
    pub(crate) fn one(&mut self) -> Seen {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    /// Nothing is to be sent.
    #[track_caller]
    pub(crate) fn silent(&mut self) {
        assert_eq!(self.sent(), [], "silence");
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// A connection by [`Setting::active`] connect or accept, with nothing sent yet.
    #[track_caller]
    pub(crate) fn established(setting: Setting, adjust: impl FnOnce(&mut HostConfig)) -> Self {
        let mut wire = Self::new(setting, adjust);
        let irs = Seq(setting.irs);
        if setting.active {
            wire.connect();
            wire.timestamps = setting.timestamps;
            let (iss, flags) = (wire.iss, Flags::SYN | Flags::ACK);
            let answer = wire.peer_says(flags, irs, iss + 1, b"");
            assert_eq!(answer.len(), 1, "{answer:?}");
        } else {
            wire.listen();
            let answer = wire.peer_says(Flags::SYN, irs, Seq(0), b"");
            assert_eq!(answer.len(), 1, "{answer:?}");
            let nxt = wire.snd_nxt;
            assert_eq!(wire.peer_says(Flags::ACK, irs + 1, nxt, b""), []);
            let listener = wire.listener.expect("it listens");
            wire.fd = Some(wire.host.accept(listener).expect("a connection").0);
        }
        assert_eq!((wire.state, wire.rcv_nxt), (State::Established, irs + 1));
        wire
    }

    /// The descriptor of the connection.
    #[track_caller]
    pub(crate) fn fd(&self) -> Fd {
        self.fd.expect("a connection")
    }

    /// The host writes; what it sends at once.
    #[track_caller]
    pub(crate) fn write(&mut self, octets: &[u8]) -> Vec<Seen> {
        let fd = self.fd();
        self.host.set_now(self.now);
        assert_eq!(self.host.write(fd, octets), Ok(octets.len()));
        self.sent()
    }

    /// Everything that the host's program can read now.
    #[track_caller]
    pub(crate) fn read(&mut self) -> Result<Vec<u8>, Errno> {
        let fd = self.fd();
        let mut octets = vec![0; 70_000];
        self.host.set_now(self.now);
        self.host.read(fd, &mut octets).map(|len| octets[..len].to_vec())
    }

    /// The state that the descriptor shows.
    #[track_caller]
    pub(crate) fn descriptor_state(&self) -> Option<State> {
        self.host.tcp_info(self.fd?).ok().map(|info| info.state)
    }
}
