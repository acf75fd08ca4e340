//! What is kept of a capture: its conversations, each packet with numbers that count from the beginning of its side. `read`
//! fills it, `strict` and `semantic` compare it.

use core::net::SocketAddr;
use core::ops::Range;

use crate::conversation::Side;
use crate::segment::{Flags, Options, Protocol, Segment, Seq, Timestamps};
use crate::time::{Duration, Instant};

/// The side of a conversation that is named first: the client.
pub(super) const CLIENT: Side = Side::Local;

/// The conversations of a capture.
#[derive(Debug, Default)]
pub struct Contents {
    /// In the order in which they begin.
    pub(super) talks: Vec<Talk>,
    /// The bytes of all packets that are compared as bytes.
    pub(super) bytes: Vec<u8>,
    /// Packets of which only the beginning is in the file.
    pub(super) cut: u64,
    /// Records of the file.
    pub(super) records: u64,
    /// Packets with an IP header that cannot be read.
    pub(super) malformed: u64,
    /// What was not looked into, as a line of a summary.
    pub(super) unread: Option<String>,
    /// What is odd in the file.
    pub(super) warnings: Vec<String>,
}

impl Contents {
    /// Records in the file.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Conversations in the file.
    pub fn conversations(&self) -> usize {
        self.talks.len()
    }

    /// Packets in the conversations.
    pub fn packets(&self) -> u64 {
        self.talks.iter().map(|talk| talk.items.len() as u64).sum()
    }

    /// What was not looked into, as a line of a summary.
    pub fn unread(&self) -> Option<String> {
        let malformed = (self.malformed > 0).then(|| format!("{} packets with a malformed IP header", self.malformed));
        match (&self.unread, malformed) {
            (Some(unread), Some(malformed)) => Some(format!("{unread}, {malformed}")),
            (Some(unread), None) => Some(unread.clone()),
            (None, malformed) => malformed.map(|malformed| format!("not looked into: {malformed}")),
        }
    }

    /// What is odd in the file.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// A conversation.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) protocol: Protocol,
    /// Client and server. The port is 0 where the protocol has none.
    pub(super) ends: [SocketAddr; 2],
    pub(super) began: Instant,
    /// What the numbers of each side count from.
    pub(super) starts: [Option<Seq>; 2],
    pub(super) items: Vec<Item>,
}

impl Talk {
    pub(super) fn new(protocol: Protocol, ends: [SocketAddr; 2], began: Instant) -> Self {
        Self { protocol, ends, began, starts: [None; 2], items: Vec::new() }
    }

    pub(super) fn side_of(&self, end: SocketAddr) -> Side {
        if end == self.ends[0] { CLIENT } else { CLIENT.other() }
    }

    /// The start of a side. A side whose SYN was not captured begins at 1, as in Wireshark.
    pub(super) fn start(&mut self, side: Side, seen: Seq, is_syn: bool) -> Seq {
        *self.starts[side as usize].get_or_insert(if is_syn { seen } else { seen - 1 })
    }

    /// Packets that a semantic comparison leaves out: ICMP errors, and what cannot be read as a segment or datagram.
    pub(super) fn without_data(&self) -> u64 {
        let is = |item: &&Item| matches!(item.content, Content::Error { .. } | Content::Other(_));
        self.items.iter().filter(is).count() as u64
    }
}

/// A packet.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// In the file, from 1.
    pub(super) number: u64,
    /// Since the first packet of the conversation.
    pub(super) at: Duration,
    pub(super) from: Side,
    pub(super) ttl: u8,
    pub(super) ecn: u8,
    pub(super) dscp: u8,
    /// Don't fragment.
    pub(super) df: bool,
    /// IP options, or extension headers.
    pub(super) ip_options: Range<usize>,
    /// Bytes at its end that are not in the file.
    pub(super) missing: usize,
    pub(super) content: Content,
}

/// What it carries. Ranges are of [`Contents::bytes`].
#[derive(Clone, Debug)]
pub(super) enum Content {
    Segment(Box<Kept>),
    /// The data of a UDP datagram.
    Datagram(Range<usize>),
    /// An ICMP error about a packet of the conversation: type, code, the four bytes behind the checksum, the side that sent
    /// the quoted packet, the quoted number.
    Error {
        kind: (u8, u8),
        rest: [u8; 4],
        about: Side,
        seq: Option<u32>,
        src: SocketAddr,
    },
    /// Anything else, as bytes.
    Other(Range<usize>),
}

/// A segment. Numbers are relative.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) seq: Seq,
    pub(super) ack: Seq,
    pub(super) flags: Flags,
    pub(super) window: u16,
    /// SACK blocks are relative; the timestamps are zero.
    pub(super) options: Options,
    pub(super) options_cut: bool,
    pub(super) urgent: u16,
    /// The reserved bits of the header.
    pub(super) reserved: u8,
    /// The bytes of the options, without timestamps and SACK blocks.
    pub(super) area: Range<usize>,
    pub(super) payload: Range<usize>,
    /// The receiver took nothing of it.
    pub(super) unacceptable: bool,
}

impl Kept {
    /// Replaces the timestamps, which are never the same.
    pub(super) fn without_timestamps(options: Options) -> Options {
        Options { ts: options.ts.map(|_| Timestamps::default()), ..options }
    }

    /// The segment with at most `len` bytes of its data. The ends are those given.
    pub(super) fn segment<'a>(&self, item: &Item, bytes: &'a [u8], ends: [SocketAddr; 2], len: usize) -> Segment<'a> {
        let payload = &bytes[self.payload.clone()];
        let [src, dst] = if item.from == CLIENT { ends } else { [ends[1], ends[0]] };
        let &Self { seq, ack, flags, window, options, .. } = self;
        let payload = &payload[..payload.len().min(len)];
        Segment { src, dst, seq, ack, flags, window, options, payload, ttl: item.ttl, ecn: item.ecn }
    }
}
