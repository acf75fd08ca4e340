//! Reassembles IP fragments (RFC 791, section 3.2; RFC 8200, section 4.5), in bounded memory.
//!
//! The lenient parser of captures uses it. When there is no room the oldest datagram is dropped. Bytes that came first
//! stay; a fragment that contradicts the end of its datagram is refused.

use core::net::IpAddr;
use std::collections::VecDeque;

use super::IpView;

/// Datagrams that wait for fragments at the same time.
const DATAGRAMS: usize = 64;
/// No datagram is longer.
const LONGEST: usize = 65_535;
/// Pieces of one datagram that do not touch.
const PIECES: usize = 64;

/// Datagrams of which fragments are missing, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    waiting: VecDeque<PartialDatagram>,
    whole: Vec<u8>,
    refused: u64,
}

#[derive(Debug)]
struct PartialDatagram {
    key: Key,
    /// The headers before the fragmented part, without the fragment header.
    header: Vec<u8>,
    payload: Vec<u8>,
    /// What is there, sorted; pieces do not touch.
    pieces: Vec<(usize, usize)>,
    /// Where the payload ends, once the last fragment is there.
    end: Option<usize>,
    /// Bytes that a snap length has cut off.
    lost: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    protocol: u8,
}

/// Where a fragment stands in its datagram.
struct FragmentPlace {
    key: Key,
    offset: usize,
    more: bool,
    /// The headers that each fragment has, as they stand before a datagram that is whole.
    header: Vec<u8>,
}

impl Fragments {
    /// Takes a fragment of which the first `kept` of `bytes` were captured. Gives the whole packet and how many of its
    /// bytes are missing, if this fragment completes it.
    pub(super) fn take(&mut self, ip: &IpView<'_>, bytes: &[u8], kept: usize) -> Option<(&[u8], usize)> {
        let Some(FragmentPlace { key, offset, more, header }) = place(ip) else {
            self.refused += 1;
            return None;
        };
        let (start, end) = (offset, offset + ip.payload.len());
        let lost = ip.total_len().min(bytes.len()).saturating_sub(kept).min(ip.payload.len());
        let at = self.waiting.iter().position(|datagram| datagram.key == key);
        let at = at.unwrap_or_else(|| {
            if self.waiting.len() >= DATAGRAMS {
                self.waiting.pop_front();
                self.refused += 1;
            }
            let (payload, pieces) = (Vec::new(), Vec::new());
            self.waiting.push_back(PartialDatagram { key, header: Vec::new(), payload, pieces, end: None, lost: 0 });
            self.waiting.len() - 1
        });
        let datagram = &mut self.waiting[at];
        if !datagram.fits(start, end, more) {
            self.refused += 1;
            return None;
        }
        if start == 0 {
            datagram.header = header;
        }
        datagram.put(start, ip.payload);
        datagram.lost += lost;
        if !more {
            datagram.end = Some(end);
        }
        if datagram.end.is_none_or(|end| datagram.pieces != [(0, end)]) {
            return None;
        }
        let datagram = self.waiting.remove(at)?;
        self.whole.clear();
        self.whole.extend_from_slice(&datagram.header);
        self.whole.extend_from_slice(&datagram.payload);
        super::edit::set_ip_len(&mut self.whole);
        Some((&self.whole, datagram.lost))
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }
}

impl PartialDatagram {
    /// A fragment other than the last is a multiple of eight bytes, ends before the end, and leaves the pieces bounded.
    fn fits(&self, start: usize, end: usize, more: bool) -> bool {
        let sound = start < end && end <= LONGEST && (!more || (end - start).is_multiple_of(8));
        let within = match (self.end, more) {
            (Some(known), true) => end <= known,
            (Some(known), false) => end == known,
            (None, true) => true,
            (None, false) => self.pieces.last().is_none_or(|(_, last)| *last <= end),
        };
        sound && within && self.pieces.len() < PIECES
    }

    fn put(&mut self, start: usize, bytes: &[u8]) {
        let end = start + bytes.len();
        if self.payload.len() < end {
            self.payload.resize(end, 0);
        }
        let mut at = start;
        for &(from, to) in self.pieces.iter().chain(&[(end, end)]) {
            if at < from.min(end) {
                self.payload[at..from.min(end)].copy_from_slice(&bytes[at - start..from.min(end) - start]);
            }
            at = at.max(to).min(end);
        }
        self.pieces.push((start, end));
        self.pieces.sort_unstable();
        self.pieces.dedup_by(|next, piece| {
            let touches = next.0 <= piece.1;
            if touches {
                piece.1 = piece.1.max(next.1);
            }
            touches
        });
    }
}

fn place(ip: &IpView<'_>) -> Option<FragmentPlace> {
    let key = |id: u32, protocol: u8| Key { src: ip.src, dst: ip.dst, id, protocol };
    if ip.src.is_ipv4() {
        let mut header = ip.header.to_vec();
        let field = u16::from_be_bytes([header[6], header[7]]);
        let id = u16::from_be_bytes([header[4], header[5]]).into();
        super::edit::clear_fragment(&mut header);
        let place = (usize::from(field & 0x1fff) * 8, field & 0x2000 != 0);
        return Some(FragmentPlace { key: key(id, ip.protocol.number()), offset: place.0, more: place.1, header });
    }
    let (before, fragment) = super::ip::fragment_header(ip.header)?;
    let field = u16::from_be_bytes([fragment[2], fragment[3]]);
    let id = u32::from_be_bytes([fragment[4], fragment[5], fragment[6], fragment[7]]);
    let mut header = ip.header[..before.len].to_vec();
    header[before.next_at] = fragment[0];
    // Headers behind the fragment header are in each fragment as this parser reads it; they belong to the payload.
    if before.len + 8 != ip.header.len() {
        return None;
    }
    // RFC 8200, section 4.5: IPv6 identifies a datagram by addresses and identification alone.
    Some(FragmentPlace { key: key(id, 0), offset: usize::from(field & 0xfff8), more: field & 1 != 0, header })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::segment::{CaptureParser, Malformed, Segment, SegmentTemplate};

    fn packet(v6: bool, payload: &[u8]) -> Vec<u8> {
        let ends = if v6 { ["[fd69::1]:1000", "[fd69::2]:80"] } else { ["192.0.2.1:1000", "192.0.2.2:80"] };
        let [src, dst] = ends.map(|end| end.parse().expect("an address"));
        SegmentTemplate { payload, ..SegmentTemplate::new(src, dst) }.to_bytes()
    }

    /// A fragment of a packet: `from..to` of what follows its header.
    fn fragment(whole: &[u8], id: u16, from: usize, to: usize) -> Vec<u8> {
        let header = if whole[0] >> 4 == 4 { 20 } else { 40 };
        let more = u16::from(header + to < whole.len());
        let mut bytes = whole[..header].to_vec();
        if header == 20 {
            bytes[4..6].copy_from_slice(&id.to_be_bytes());
            bytes[6..8].copy_from_slice(&((more << 13) | (from / 8) as u16).to_be_bytes());
            bytes[2..4].copy_from_slice(&((20 + to - from) as u16).to_be_bytes());
        } else {
            bytes[4..6].copy_from_slice(&((8 + to - from) as u16).to_be_bytes());
            bytes[6] = 44;
            bytes.extend_from_slice(&[6, 0]);
            bytes.extend_from_slice(&(from as u16 | more).to_be_bytes());
            bytes.extend_from_slice(&u32::from(id).to_be_bytes());
        }
        bytes.extend_from_slice(&whole[header + from..header + to]);
        bytes
    }

    fn take(parser: &mut CaptureParser, bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
        let captured = parser.parse(bytes, bytes.len() as u32);
        assert!(captured.segment.is_err() || (captured.reassembled && captured.ip.is_ok_and(|ip| ip.checksums_ok())));
        captured.segment.map(|segment| segment.payload.to_vec())
    }

    #[test]
    fn fragments_in_any_order_are_a_segment_with_the_last_of_them() {
        let payload: Vec<u8> = (0..3000).map(|at| at as u8).collect();
        for v6 in [false, true] {
            let whole = packet(v6, &payload);
            for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
                let mut parser = CaptureParser::new();
                let cuts = [0, 1480, 2960, 3020];
                for at in &order[..2] {
                    assert_eq!(
                        take(&mut parser, &fragment(&whole, 1, cuts[*at], cuts[at + 1])),
                        Err(Malformed::Fragment)
                    );
                }
                let last = order[2];
                assert_eq!(
                    take(&mut parser, &fragment(&whole, 1, cuts[last], cuts[last + 1])).as_deref(),
                    Ok(&*payload)
                );
                assert_eq!(parser.fragments_refused(), 0);
            }
        }
    }

    #[test]
    fn the_number_of_waiting_datagrams_is_bounded_and_the_oldest_is_given_up() {
        let whole = packet(false, &[7; 100]);
        let mut parser = CaptureParser::new();
        for id in 0..DATAGRAMS as u16 {
            take(&mut parser, &fragment(&whole, id, 0, 80)).unwrap_err();
        }
        assert_eq!(parser.fragments_refused(), 0);
        take(&mut parser, &fragment(&whole, 999, 0, 80)).unwrap_err();
        assert_eq!(parser.fragments_refused(), 1);
        assert_eq!(take(&mut parser, &fragment(&whole, 1, 80, 120)).map(|payload| payload.len()), Ok(100));
        take(&mut parser, &fragment(&whole, 0, 80, 120)).unwrap_err();
    }

    #[test]
    fn a_fragment_that_contradicts_its_datagram_is_refused() {
        let whole = packet(false, &[7; 100]);
        let mut parser = CaptureParser::new();
        take(&mut parser, &fragment(&whole, 1, 80, 120)).unwrap_err();
        let longer = packet(false, &[8; 200]);
        take(&mut parser, &fragment(&longer, 1, 80, 160)).unwrap_err();
        assert_eq!(parser.fragments_refused(), 1);
        assert_eq!(take(&mut parser, &fragment(&whole, 1, 0, 80)).map(|payload| payload.len()), Ok(100));
    }

    #[test]
    fn the_first_bytes_stay_where_fragments_overlap() {
        let (first, second) = (packet(false, &[1; 100]), packet(false, &[2; 100]));
        let mut parser = CaptureParser::new();
        take(&mut parser, &fragment(&first, 1, 0, 80)).unwrap_err();
        let captured = fragment(&second, 1, 40, 120);
        let captured = parser.parse(&captured, captured.len() as u32);
        let payload = captured.segment.expect("a segment").payload;
        assert_eq!(payload, [vec![1; 60], vec![2; 40]].concat());
    }

    proptest! {
        #[test]
        fn any_cut_in_any_order_gives_the_packet_back(
            len in 1_usize..4000,
            v6 in any::<bool>(),
            cuts in prop::collection::btree_set(1_usize..500, 0..8),
            order in any::<prop::sample::Index>(),
        ) {
            let payload: Vec<u8> = (0..len).map(|at| (at * 7) as u8).collect();
            let whole = packet(v6, &payload);
            let total = len + 20;
            let mut edges: Vec<usize> = cuts.into_iter().map(|cut| cut * 8).filter(|cut| *cut < total).collect();
            edges.insert(0, 0);
            edges.push(total);
            let mut pieces: Vec<_> = edges.windows(2).map(|edge| fragment(&whole, 5, edge[0], edge[1])).collect();
            let turn = order.index(pieces.len());
            pieces.rotate_left(turn);
            let mut parser = CaptureParser::new();
            let mut results: Vec<_> = Vec::new();
            for piece in &pieces {
                let captured = parser.parse(piece, piece.len() as u32);
                results.push(captured.segment.map(|segment: Segment<'_>| segment.payload.to_vec()));
            }
            let last = results.pop();
            prop_assert_eq!(last, Some(Ok(payload)));
            prop_assert!(results.iter().all(Result::is_err));
        }
    }
}
