//! Only the bytes of each side, and whose turn it was to send them. Segments may be cut, lost, sent again and acknowledged in
//! any way. Of UDP, the data of each datagram and its sender are compared.

use core::ops::Range;

use super::contents::{CLIENT, Content, Contents, Item, Talk};
use super::read::name;
use super::{Finding, Pair};
use crate::conversation::Side;
use crate::segment::{Flags, Protocol};

/// Compares two conversations. Gives the number of packets looked at in A and B together, and the first difference.
pub(super) fn compare(a: (&Contents, &Talk), b: (&Contents, &Talk)) -> (u64, Option<Finding>) {
    let looked_at = |talk: &Talk| talk.items.len() as u64 - talk.without_data();
    let packets = looked_at(a.1).max(looked_at(b.1));
    let finding = if a.1.protocol == Protocol::Udp { datagrams(a, b) } else { streams(a, b) };
    (packets, finding)
}

fn finding(packets: [Option<u64>; 2], pair: Pair) -> Finding {
    Finding { packets, fields: vec![pair], lines: Vec::new() }
}

fn datagrams(a: (&Contents, &Talk), b: (&Contents, &Talk)) -> Option<Finding> {
    let of = |talk: &Talk| {
        let range = |item: &Item| match &item.content {
            Content::Datagram(range) => Some((item.number, item.from, range.clone(), item.missing)),
            _ => None,
        };
        talk.items.iter().filter_map(range).collect::<Vec<_>>()
    };
    let (one, other) = (of(a.1), of(b.1));
    for nth in 0..one.len().max(other.len()) {
        let (left, right) = (one.get(nth), other.get(nth));
        let packets = [left.map(|found| found.0), right.map(|found| found.0)];
        let (Some(left), Some(right)) = (left, right) else {
            return Some(finding(packets, Pair::new("datagrams", one.len(), other.len())));
        };
        if left.1 != right.1 {
            let field = format!("sender of datagram {}", nth + 1);
            return Some(finding(packets, Pair::new(&field, name(left.1), name(right.1))));
        }
        let (bytes_a, bytes_b) = (&a.0.bytes[left.2.clone()], &b.0.bytes[right.2.clone()]);
        let whole = bytes_a.len().min(bytes_b.len());
        let known = if bytes_a.len() == bytes_b.len() { whole - left.3.max(right.3).min(whole) } else { whole };
        let at = bytes_a[..known].iter().zip(&bytes_b[..known]).take_while(|(a, b)| a == b).count();
        if at < known || bytes_a.len() != bytes_b.len() {
            let field = format!("datagram {} from byte {at}", nth + 1);
            return Some(finding(packets, Pair::new(&field, shown(bytes_a.get(at..)), shown(bytes_b.get(at..)))));
        }
    }
    None
}

/// Some bytes of a side.
struct Piece {
    /// The place of its first byte in the stream, from 0.
    place: u64,
    /// Where the bytes are.
    bytes: Range<usize>,
    packet: u64,
}

/// What a TCP connection carried.
#[derive(Default)]
struct Carried {
    /// The pieces of each side, by place. None begins before the one before it ends.
    pieces: [Vec<Piece>; 2],
    /// Who sent how many new bytes, one after the other, with the first packet of each turn.
    turns: Vec<(Side, u64, u64)>,
    /// The highest byte of each side.
    ends: [u64; 2],
}

impl Carried {
    fn of(talk: &Talk) -> Self {
        let mut carried = Self::default();
        for item in &talk.items {
            let Content::Segment(kept) = &item.content else { continue };
            if kept.unacceptable || kept.payload.is_empty() {
                continue;
            }
            // The first byte of data has the number 1, also on a SYN.
            let first = i64::from(kept.seq.0 as i32) + i64::from(kept.flags.contains(Flags::SYN)) - 1;
            let before = usize::try_from(-first).unwrap_or(0).min(kept.payload.len());
            let place = first.max(0) as u64;
            let bytes = kept.payload.start + before..kept.payload.end;
            let end = place + bytes.len() as u64;
            let side = item.from as usize;
            let new = end.saturating_sub(carried.ends[side]);
            if new > 0 {
                match carried.turns.last_mut() {
                    Some((from, bytes, _)) if *from == item.from => *bytes += new,
                    _ => carried.turns.push((item.from, new, item.number)),
                }
                carried.ends[side] = end;
            }
            let known = bytes.start..bytes.end - item.missing.min(bytes.len());
            if !known.is_empty() {
                carried.pieces[side].push(Piece { place, bytes: known, packet: item.number });
            }
        }
        for pieces in &mut carried.pieces {
            // A stable order: of two pieces at one place the first that was sent counts.
            pieces.sort_by_key(|piece| piece.place);
            let mut end = 0_u64;
            for piece in pieces.iter_mut() {
                let skip = end.saturating_sub(piece.place).min(piece.bytes.len() as u64);
                piece.bytes.start += skip as usize;
                piece.place += skip;
                end = end.max(piece.place + piece.bytes.len() as u64);
            }
            pieces.retain(|piece| !piece.bytes.is_empty());
        }
        carried
    }
}

fn streams(a: (&Contents, &Talk), b: (&Contents, &Talk)) -> Option<Finding> {
    let (one, other) = (Carried::of(a.1), Carried::of(b.1));
    for side in [CLIENT, CLIENT.other()] {
        let nth = side as usize;
        let difference = bytes((a.0, &one.pieces[nth]), (b.0, &other.pieces[nth]), side);
        if difference.is_some() {
            return difference;
        }
        if one.ends[nth] != other.ends[nth] {
            let field = format!("bytes of the {}", name(side));
            return Some(finding([None; 2], Pair::new(&field, one.ends[nth], other.ends[nth])));
        }
    }
    for nth in 0..one.turns.len().max(other.turns.len()) {
        let (left, right) = (one.turns.get(nth), other.turns.get(nth));
        let same = left.zip(right).is_some_and(|(left, right)| left.0 == right.0 && left.1 == right.1);
        if !same {
            let text = |turn: Option<&(Side, u64, u64)>| match turn {
                Some((side, bytes, _)) => format!("the {} sends {bytes} bytes", name(*side)),
                None => "no further turn".to_owned(),
            };
            let packets = [left.map(|turn| turn.2), right.map(|turn| turn.2)];
            return Some(finding(packets, Pair::new(&format!("turn {}", nth + 1), text(left), text(right))));
        }
    }
    None
}

/// The first byte of a side that is in both captures and differs.
fn bytes((of_a, a): (&Contents, &[Piece]), (of_b, b): (&Contents, &[Piece]), side: Side) -> Option<Finding> {
    let (mut nth, mut other) = (0, 0);
    while let (Some(one), Some(two)) = (a.get(nth), b.get(other)) {
        let ends = [one, two].map(|piece| piece.place + piece.bytes.len() as u64);
        let (from, to) = (one.place.max(two.place), ends[0].min(ends[1]));
        if from < to {
            let part = |contents: &'_ Contents, piece: &Piece| {
                let start = piece.bytes.start + (from - piece.place) as usize;
                contents.bytes[start..start + (to - from) as usize].to_vec()
            };
            let (left, right) = (part(of_a, one), part(of_b, two));
            if left != right {
                let at = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
                let field = format!("byte {} of the {}", from + at as u64, name(side));
                let pair = Pair::new(&field, shown(left.get(at..)), shown(right.get(at..)));
                return Some(finding([Some(one.packet), Some(two.packet)], pair));
            }
        }
        if ends[0] <= ends[1] { nth += 1 } else { other += 1 }
    }
    None
}

/// The next bytes.
fn shown(bytes: Option<&[u8]>) -> String {
    match bytes {
        None | Some([]) => "ends".to_owned(),
        Some(rest) => format!("\"{}\"", rest[..rest.len().min(16)].escape_ascii()),
    }
}
