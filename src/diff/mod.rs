//! Two captures, conversation by conversation: the same, or the first packet that differs. `tcplab diff` prints the result.
//!
//! ```text
//!   Reader --read--> Contents (A)  --+
//!                                    +--match by ends--> strict or semantic --> Comparison
//!   Reader --read--> Contents (B)  --+
//! ```
//!
//! What is the same in two captures of the same conversation only by chance is removed first: initial sequence numbers, the
//! port of the client, timestamps, the IP identification, checksums. Conversations are matched by their protocol, the
//! addresses of both ends and the port of the server, in the order in which they begin.

mod contents;
mod read;
mod semantic;
mod strict;
#[cfg(test)]
mod tests;

use core::net::{IpAddr, SocketAddr};
use std::collections::{BTreeMap, VecDeque};

use crate::recording::lines::SegmentLine;
use crate::segment::{Field, Protocol};
use crate::time::{Duration, Instant};
pub use contents::Contents;
use contents::Talk;
pub use read::{DiffError, MOST_BYTES, MOST_CONVERSATIONS, MOST_PACKETS, read};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    /// Times too, counted from the first packet of the conversation: they may differ by so much. Not in semantic
    /// comparisons.
    pub time: Option<Duration>,
    /// Only the bytes of each side, and whose turn it was to send them.
    pub semantic: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// The conversations of A in the order in which they begin, then those that only B has.
    pub conversations: Vec<Compared>,
    /// Packets of A and of B of which the file has only the beginning. What is there was compared.
    pub cut: [u64; 2],
    /// Packets of A and of B in conversations that a semantic comparison leaves out: they are neither TCP nor UDP.
    pub left_out: [u64; 2],
    /// ICMP errors about the conversations of A and of B, and packets in them that cannot be read, which a semantic
    /// comparison leaves out.
    pub errors_left_out: [u64; 2],
}

/// A conversation of one file or of both.
#[derive(Clone, Debug)]
pub struct Compared {
    /// What it carries.
    pub protocol: Protocol,
    /// Client and server in A and in B. Without ports, the lower address is the first.
    pub ends: [Option<[SocketAddr; 2]>; 2],
    /// Packets in A and in B.
    pub packets: [u64; 2],
    /// Packets that were compared, up to the first that differs.
    pub compared: u64,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of the comparison of a conversation.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// No difference.
    Same,
    /// The first difference.
    Differs(Box<Finding>),
    /// B has no such conversation.
    OnlyInA,
    /// A has no such conversation.
    OnlyInB,
}

/// The first difference of a conversation.
#[derive(Clone, Debug, Default)]
pub struct Finding {
    /// The packet in A and in B, by its number in the file; `None` where the conversation has ended.
    pub packets: [Option<u64>; 2],
    /// The fields that differ.
    pub fields: Vec<Pair>,
    /// Both packets as lines, each followed by a line of marks below the fields that differ.
    pub lines: Vec<String>,
}

/// A field with both of its values, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Its name.
    pub field: String,
    /// Its value in A.
    pub a: String,
    /// Its value in B.
    pub b: String,
}

impl Pair {
    #[allow(clippy::needless_pass_by_value, reason = "most are temporary")]
    fn new(field: &str, a: impl ToString, b: impl ToString) -> Self {
        Self { field: field.to_owned(), a: a.to_string(), b: b.to_string() }
    }
}

impl Comparison {
    /// True if no conversation differs or is missing.
    pub fn is_same(&self) -> bool {
        self.conversations.iter().all(|one| matches!(one.verdict, Verdict::Same))
    }

    /// Conversations with this kind of verdict.
    pub fn count(&self, wanted: fn(&Verdict) -> bool) -> usize {
        self.conversations.iter().filter(|one| wanted(&one.verdict)).count()
    }
}

/// Compares the contents of two captures.
pub fn compare(a: &Contents, b: &Contents, settings: &Settings) -> Comparison {
    let mut comparison = Comparison { cut: [a.cut, b.cut], ..Comparison::default() };
    let mut of_b: BTreeMap<Key, VecDeque<usize>> = BTreeMap::new();
    for (nth, talk) in b.talks.iter().enumerate() {
        of_b.entry(Key::of(talk)).or_default().push_back(nth);
    }
    let mut matched = vec![false; b.talks.len()];
    let leaves_out = |talk: &Talk| settings.semantic && !matches!(talk.protocol, Protocol::Tcp | Protocol::Udp);
    for talk in &a.talks {
        let other = of_b.get_mut(&Key::of(talk)).and_then(VecDeque::pop_front);
        if let Some(other) = other {
            matched[other] = true;
        }
        if leaves_out(talk) {
            comparison.left_out[0] += talk.items.len() as u64;
            continue;
        }
        let other = other.map(|nth| &b.talks[nth]);
        comparison.conversations.push(match other {
            None => lonely(talk, 0),
            Some(other) => both(settings, (a, talk), (b, other)),
        });
    }
    for (talk, _) in b.talks.iter().zip(&matched).filter(|(_, matched)| !**matched) {
        if !leaves_out(talk) {
            comparison.conversations.push(lonely(talk, 1));
        }
    }
    if settings.semantic {
        comparison.left_out[1] =
            b.talks.iter().filter(|talk| leaves_out(talk)).map(|talk| talk.items.len() as u64).sum();
        comparison.errors_left_out =
            [a, b].map(|side| side.talks.iter().filter(|talk| !leaves_out(talk)).map(Talk::without_data).sum());
    }
    comparison
}

fn both(settings: &Settings, a: (&Contents, &Talk), b: (&Contents, &Talk)) -> Compared {
    let (compared, finding) =
        if settings.semantic { semantic::compare(a, b) } else { strict::compare(a, b, settings.time) };
    Compared {
        protocol: a.1.protocol,
        ends: [Some(a.1.ends), Some(b.1.ends)],
        packets: [a.1.items.len() as u64, b.1.items.len() as u64],
        compared,
        verdict: finding.map_or(Verdict::Same, |finding| Verdict::Differs(Box::new(finding))),
    }
}

/// A conversation that only one file has.
fn lonely(talk: &Talk, side: usize) -> Compared {
    let (mut ends, mut packets) = ([None; 2], [0; 2]);
    ends[side] = Some(talk.ends);
    packets[side] = talk.items.len() as u64;
    let verdict = if side == 0 { Verdict::OnlyInA } else { Verdict::OnlyInB };
    Compared { protocol: talk.protocol, ends, packets, compared: 0, verdict }
}

/// By what conversations are matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    protocol: u8,
    client: IpAddr,
    server: SocketAddr,
}

impl Key {
    fn of(talk: &Talk) -> Self {
        Self { protocol: talk.protocol.number(), client: talk.ends[0].ip(), server: talk.ends[1] }
    }
}

/// A line for a packet of A or B, and its marks.
fn drawn(label: &str, at: Duration, line: &SegmentLine, marks: &[Field]) -> [String; 2] {
    let text = format!("{}   {label}", crate::recording::lines::draw(Instant::EPOCH + at, line));
    [text, line.marks(marks)]
}
