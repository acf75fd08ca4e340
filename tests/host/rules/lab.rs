//! A host alone on a wire, and a test that plays its peer, in relative numbers: the first byte of each direction is 1.
//! Every call returns all that the host sends at that time, as lines of text, so that a test asserts also that nothing else
//! was sent.
//!
//! ```text
//!   1:1001           text from 1 up to 1001
//!   1001:1501 PSH    with PSH; FIN and other flags stand there too
//!   1 ack 1001       without text
//!   ... win 500      the window field, where it differs from the one before
//!   ... ack 2001     the acknowledgment of a segment with text, where it differs from the one before
//!   ... sack 2001:3001 5001:6001
//!   300: 1:1001      what is sent 300 ms after the handshake began
//! ```

use std::fmt::Write as _;

use crate::common::wire::{ACK, FIN_ACK, Peer, SYN_ACK, Said, Wire, only};
use tcplab::event::{HostEvent, Numbers, Reason};
use tcplab::segment::{Flags, Options, SackBlock, SegmentTemplate, Seq, Timestamps};
use tcplab::socket::{Domain, Errno, Fd, HostConfig, SocketOption, TcpInfo, Type};
use tcplab::time::{Duration, Instant};

/// What a call returns when the host sends nothing.
pub(crate) const NOTHING: [&str; 0] = [];

/// A millisecond.
pub(crate) const MS: Duration = Duration::from_millis(1);

/// What the peer offers, and how far away it is.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what a SYN offers, each of its own")]
pub(crate) struct Offer {
    pub(crate) mss: u16,
    pub(crate) sack: bool,
    pub(crate) timestamps: bool,
    pub(crate) wscale: Option<u8>,
    pub(crate) window: u16,
    /// From the SYN|ACK of the host to the ACK of the peer.
    pub(crate) rtt: Duration,
    pub(crate) v6: bool,
    pub(crate) ecn: bool,
}

impl Default for Offer {
    /// Segments of 1,000 bytes, SACK, no timestamps, an RTT of 100 ms: SRTT is 100 ms, RTTVAR 50 ms, the RTO 300 ms.
    fn default() -> Self {
        Self {
            mss: 1000,
            sack: true,
            timestamps: false,
            wscale: None,
            window: 65_000,
            rtt: 100 * MS,
            v6: false,
            ecn: false,
        }
    }
}

/// A connection of the host with the peer.
pub(crate) struct Lab {
    pub(crate) wire: Wire,
    pub(crate) peer: Peer,
    pub(crate) fd: Fd,
    /// What the host said at first, on its SYN|ACK.
    pub(crate) syn_ack: Said,
    /// The host's ISS + 1 and the peer's ISS + 1, less 1: number 0.
    zero: (Seq, Seq),
    last: (u32, u16),
    /// Numbers of the host, in the order of its segments.
    pub(crate) told: Vec<Numbers>,
    /// Other events of the host.
    pub(crate) events: Vec<HostEvent>,
    /// All segments of the host since the handshake.
    pub(crate) said: Vec<Said>,
}

impl Lab {
    /// A connection with all defaults, but for a receive buffer of 60,000 bytes.
    pub(crate) fn new() -> Self {
        Self::with(&Offer::default(), |_| {})
    }

    /// As [`Lab::new`], with another host.
    pub(crate) fn on_host(adjust: impl FnOnce(&mut HostConfig)) -> Self {
        Self::with(&Offer::default(), adjust)
    }

    #[track_caller]
    pub(crate) fn with(offer: &Offer, adjust: impl FnOnce(&mut HostConfig)) -> Self {
        let (own, addr) =
            if offer.v6 { ("2001:db8::1", "[2001:db8::2]:4000") } else { ("192.0.2.1", "192.0.2.2:4000") };
        let own = own.parse().expect("an address");
        let mut wire = Wire::new(|config| {
            config.addresses = vec![(own, if offer.v6 { 64 } else { 24 })];
            config.rcv_buf = Some(60_000);
            adjust(config);
        });
        wire.host.observe_numbers(true);
        let domain = if offer.v6 { Domain::Inet6 } else { Domain::Inet };
        let listener = wire.host.socket(domain, Type::Stream).expect("socket");
        wire.host.bind(listener, (own, 80).into()).expect("bind");
        wire.host.listen(listener, 8).expect("listen");
        let ts = offer.timestamps.then_some(Timestamps { ts_val: 5000, ts_ecr: 0 });
        let mut peer =
            Peer { host: (own, 80).into(), window: offer.window, ts, ..Peer::at(addr.parse().expect("an end")) };
        let options = Options {
            mss: Some(offer.mss),
            sack_permitted: offer.sack,
            wscale: offer.wscale,
            ts,
            ..Options::default()
        };
        let ecn = if offer.ecn { Flags::ECE | Flags::CWR } else { Flags::default() };
        let syn = SegmentTemplate { options, flags: Flags::SYN | ecn, ..peer.syn() };
        let syn_ack = only(wire.feed(&syn));
        assert_eq!(syn_ack.flags.without(Flags::ECE), SYN_ACK);
        (peer.nxt, peer.rcv) = (peer.iss + 1, syn_ack.seq + 1);
        if let (Some(ts), Some(echo)) = (&mut peer.ts, syn_ack.options.ts) {
            ts.ts_ecr = echo.ts_val;
        }
        assert_eq!(wire.run_for(offer.rtt), []);
        assert_eq!(wire.feed(&peer.ack()), []);
        let (fd, _) = wire.host.accept(listener).expect("the connection is established");
        let zero = (syn_ack.seq, peer.iss);
        let last = (1, syn_ack.window);
        while wire.host.poll_event().is_some() {}
        Self { wire, peer, fd, syn_ack, zero, last, told: vec![], events: vec![], said: vec![] }
    }

    /// Milliseconds since the SYN came.
    pub(crate) fn ms(&self) -> u64 {
        self.wire.now.as_millis()
    }

    fn lines(&mut self, said: Vec<Said>, timed: bool) -> Vec<String> {
        while let Some(event) = self.wire.host.poll_event() {
            match event {
                HostEvent::Numbers { numbers, .. } => self.told.push(numbers),
                HostEvent::Call { .. } => {}
                other => self.events.push(other),
            }
        }
        let lines = said.iter().map(|said| self.line(said, timed)).collect();
        self.said.extend(said);
        lines
    }

    fn line(&mut self, said: &Said, timed: bool) -> String {
        assert_eq!((said.src, said.dst), (self.peer.host, self.peer.addr));
        let (seq, ack) = (said.seq - self.zero.0, said.ack - self.zero.1);
        let mut line = if timed { format!("{}: {seq}", said.at.as_millis()) } else { seq.to_string() };
        let len = said.payload.len() as u32;
        if len > 0 {
            write!(line, ":{}", seq + len).expect("text");
        }
        let names = [
            (Flags::SYN, "SYN"),
            (Flags::RST, "RST"),
            (Flags::PSH, "PSH"),
            (Flags::FIN, "FIN"),
            (Flags::ECE, "ECE"),
            (Flags::CWR, "CWR"),
        ];
        for (flag, name) in names {
            if said.flags.contains(flag) {
                write!(line, " {name}").expect("text");
            }
        }
        let bare = len == 0 && said.flags == ACK;
        if said.flags.contains(ACK) && (bare || ack != self.last.0) {
            write!(line, " ack {ack}").expect("text");
        }
        let blocks: Vec<_> = said
            .options
            .sack_blocks()
            .map(|block| format!("{}:{}", block.left - self.zero.1, block.right - self.zero.1))
            .collect();
        if !blocks.is_empty() {
            write!(line, " sack {}", blocks.join(" ")).expect("text");
        }
        if said.window != self.last.1 && !said.flags.contains(Flags::RST) {
            write!(line, " win {}", said.window).expect("text");
        }
        if said.flags.contains(ACK) && !said.flags.contains(Flags::RST) {
            self.last = (ack, said.window);
        }
        line
    }

    /// The host writes `len` bytes.
    #[track_caller]
    pub(crate) fn write(&mut self, len: usize) -> Vec<String> {
        assert_eq!(self.wire.host.write(self.fd, &vec![7; len]), Ok(len));
        let said = self.wire.drain();
        self.lines(said, false)
    }

    /// The host reads at most `len` bytes. Returns how many, and what it says.
    #[track_caller]
    pub(crate) fn read(&mut self, len: usize) -> (Result<usize, Errno>, Vec<String>) {
        let got = self.wire.host.read(self.fd, &mut vec![0; len]);
        let said = self.wire.drain();
        (got, self.lines(said, false))
    }

    #[track_caller]
    pub(crate) fn set(&mut self, option: SocketOption) -> Vec<String> {
        self.wire.host.setsockopt(self.fd, option).expect("an option");
        let said = self.wire.drain();
        self.lines(said, false)
    }

    #[track_caller]
    pub(crate) fn close(&mut self) -> Vec<String> {
        self.wire.host.close(self.fd).expect("close");
        let said = self.wire.drain();
        self.lines(said, false)
    }

    /// The ACK that the peer would send now for the host's byte before `ack`.
    pub(crate) fn segment(&self, ack: u32) -> SegmentTemplate<'static> {
        SegmentTemplate { ack: self.zero.0 + ack, ..self.peer.ack() }
    }

    /// The peer sends a segment.
    #[track_caller]
    pub(crate) fn feed(&mut self, segment: &SegmentTemplate<'_>) -> Vec<String> {
        let said = self.wire.feed(segment);
        self.lines(said, false)
    }

    /// The peer acknowledges all before `ack`.
    #[track_caller]
    pub(crate) fn ack(&mut self, ack: u32) -> Vec<String> {
        self.sack(ack, &[])
    }

    /// The same, with SACK blocks.
    #[track_caller]
    pub(crate) fn sack(&mut self, ack: u32, blocks: &[(u32, u32)]) -> Vec<String> {
        let mut segment = self.segment(ack);
        for (place, (left, right)) in segment.options.sack.iter_mut().zip(blocks) {
            *place = SackBlock { left: self.zero.0 + *left, right: self.zero.0 + *right };
        }
        self.peer.rcv = self.peer.rcv.max(segment.ack);
        self.feed(&segment)
    }

    /// The peer acknowledges with an echo of the host's clock as it was at `ms`.
    #[track_caller]
    pub(crate) fn ack_echo(&mut self, ack: u32, ms: u64) -> Vec<String> {
        let begun = self.syn_ack.options.ts.expect("timestamps").ts_val;
        let ts = self.peer.ts.as_mut().expect("timestamps");
        ts.ts_ecr = begun.wrapping_add(ms as u32);
        self.ack(ack)
    }

    /// The peer's window is so large from now on, as the field says it.
    pub(crate) fn window(&mut self, window: u16) -> &mut Self {
        self.peer.window = window;
        self
    }

    /// The peer sends `len` bytes of text from `seq` on.
    #[track_caller]
    pub(crate) fn data(&mut self, seq: u32, len: usize) -> Vec<String> {
        self.data_with(seq, len, ACK)
    }

    /// The same with these flags.
    #[track_caller]
    pub(crate) fn data_with(&mut self, seq: u32, len: usize, flags: Flags) -> Vec<String> {
        let payload = vec![3; len];
        let segment = SegmentTemplate { seq: self.zero.1 + seq, payload: &payload, flags, ..self.peer.ack() };
        let end = segment.seq + len as u32 + u32::from(flags.contains(Flags::FIN));
        self.peer.nxt = self.peer.nxt.max(end);
        self.feed(&segment)
    }

    /// The peer sends a FIN with this sequence number.
    #[track_caller]
    pub(crate) fn fin(&mut self, seq: u32) -> Vec<String> {
        self.data_with(seq, 0, FIN_ACK)
    }

    /// Time passes up to and including so many milliseconds after the SYN.
    #[track_caller]
    pub(crate) fn until(&mut self, ms: u64) -> Vec<String> {
        let said = self.wire.run_until(Instant::from_millis(ms));
        self.lines(said, true)
    }

    /// Time passes up to, and not including, so many milliseconds after the SYN: nothing is sent.
    #[track_caller]
    pub(crate) fn silent_before(&mut self, ms: u64) {
        let said = self.wire.run_until(Instant::from_nanos(ms * 1_000_000 - 1));
        assert_eq!(self.lines(said, true), NOTHING);
    }

    pub(crate) fn info(&self) -> TcpInfo {
        self.wire.host.tcp_info(self.fd).expect("TCP_INFO")
    }

    /// The reasons of the segments since the last look; an ACK has none.
    pub(crate) fn reasons(&mut self) -> Vec<Option<Reason>> {
        std::mem::take(&mut self.told).into_iter().map(|numbers| numbers.reason).collect()
    }
}
