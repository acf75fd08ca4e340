//! A segment of the peer: what it acknowledges, what it SACKs, and what we owe it (RFC 9293, section 3.10.7.4).

use tcplab::segment::{Flags, Segment};

use super::flow::{CHALLENGE_INTERVAL, Flow, Ours, Peers};
use super::{Arrival, Findings};

impl Flow {
    pub(super) fn on_arrival(&mut self, arrival: &Arrival, findings: &mut Findings) {
        let segment = &arrival.segment;
        if segment.is_rst() {
            self.reset = true;
            return;
        }
        if segment.is_syn() {
            self.on_peers_syn(arrival);
            return;
        }
        if self.peer.irs.is_none() || self.reset {
            return;
        }
        let begin = self.peer_position(segment.seq);
        let text_end = begin + segment.payload.len() as i64;
        let end = text_end + i64::from(segment.is_fin());
        if self.is_old(segment) {
            // A challenge ACK is due, of which there is one in an interval.
            self.owe_challenge(arrival, "a segment with an old timestamp");
            return;
        }
        if !self.is_acceptable(begin, end, segment.payload.is_empty()) {
            if segment.is_empty() {
                self.owe_challenge(arrival, "a segment out of the window");
            } else {
                findings.counts.duplicates += usize::from(text_end <= self.peer.nxt);
                self.note_twice(begin, text_end);
                self.owed.at_once.push((arrival.at, "text out of the window"));
            }
            return;
        }
        if let (Some(ts), Some((least, most))) = (segment.options.ts, &mut self.peer.ts_recent) {
            // RFC 7323, section 4.3: a segment at or before the last ACK.
            if begin <= arrival.acked && ts.ts_val.wrapping_sub(*least) as i32 >= 0 {
                *least = ts.ts_val;
            }
            if begin <= self.peer.nxt && ts.ts_val.wrapping_sub(*most) as i32 >= 0 {
                *most = ts.ts_val;
            }
        }
        self.take_ack(segment, findings);
        if !segment.is_empty() {
            self.take_text(arrival, begin, text_end, findings);
        }
    }

    fn on_peers_syn(&mut self, arrival: &Arrival) {
        let segment = &arrival.segment;
        if self.peer.irs == Some(segment.seq) {
            return;
        }
        if self.peer.irs.is_some() {
            // The ports are used again.
            *self = Self::new(self.ends, self.reads_at_once);
        }
        let ts_recent = segment.options.ts.map(|ts| (ts.ts_val, ts.ts_val));
        let promised = self.peer.promised;
        let (irs, syn) = (Some(segment.seq), segment.options);
        self.peer = Peers { irs, syn, nxt: 1, ts_recent, promised, ..Peers::default() };
        self.owed.at_once.push((arrival.at, "a SYN"));
        if segment.is_ack() {
            self.ours.una = self.our_position(segment.ack);
            // The window of a SYN is not scaled.
            self.note_edge(i64::from(segment.window));
        } else {
            let edge = 1 + i64::from(segment.window);
            self.ours = Ours { edges: vec![edge], edge, ..Ours::default() };
        }
    }

    /// RFC 7323, section 5.3, R1.
    fn is_old(&self, segment: &Segment<'_>) -> bool {
        match (segment.options.ts, self.peer.ts_recent) {
            (Some(ts), Some((least, _))) => self.has_timestamps() && (ts.ts_val.wrapping_sub(least) as i32) < 0,
            _ => false,
        }
    }

    /// RFC 9293, section 3.4; a bare FIN at RCV.NXT needs no room, as on Linux.
    fn is_acceptable(&self, begin: i64, end: i64, bare: bool) -> bool {
        let (nxt, edge) = (self.peer.nxt, self.peer.promised);
        if begin == end {
            return begin == nxt || (nxt < begin && begin < edge);
        }
        (begin < edge || (bare && begin == nxt)) && nxt < end
    }

    fn owe_challenge(&mut self, arrival: &Arrival, why: &'static str) {
        if self.peer.answered_at.is_none_or(|at| arrival.at - at > CHALLENGE_INTERVAL) {
            self.owed.at_once.push((arrival.at, why));
        }
    }

    fn note_edge(&mut self, window: i64) {
        let edge = self.ours.una + window;
        self.ours.edge = self.ours.edge.max(edge);
        self.ours.edges.push(edge);
        let extra = self.ours.edges.len().saturating_sub(16);
        self.ours.edges.drain(..extra);
    }

    fn take_ack(&mut self, segment: &Segment<'_>, findings: &mut Findings) {
        if !segment.flags.contains(Flags::ACK) {
            return;
        }
        let ack = self.our_position(segment.ack);
        if ack > self.ours.nxt {
            return;
        }
        if ack >= self.ours.una {
            self.ours.una = ack;
            self.ours.sacked.cut_before(ack);
            self.note_edge(i64::from(segment.window) << self.shifts().1);
        }
        let blocks = segment.options.sack.iter().filter(|block| block.left != block.right);
        let blocks: Vec<_> =
            blocks.map(|block| (self.our_position(block.left), self.our_position(block.right))).collect();
        let Some(first) = blocks.first().copied() else { return };
        findings.counts.sacks += 1;
        // RFC 2883, section 4.
        let inside = |outer: &(i64, i64)| outer.0 <= first.0 && first.1 <= outer.1;
        let dsack = first.1 <= ack || blocks.get(1).is_some_and(inside);
        findings.counts.dsacks += usize::from(dsack);
        for (from, to) in blocks.iter().skip(usize::from(dsack)) {
            self.ours.sacked.insert((*from).max(self.ours.una), *to);
        }
    }

    fn note_twice(&mut self, from: i64, to: i64) {
        if from < to {
            self.peer.twice.insert(from, to);
        }
    }

    fn take_text(&mut self, arrival: &Arrival, begin: i64, text_end: i64, findings: &mut Findings) {
        let peer = &mut self.peer;
        let before = peer.nxt;
        // RFC 9293, section 3.4: what lies beyond the window is not taken, and neither is a FIN behind it.
        let taken_end = text_end.min(peer.promised.max(begin));
        let cut = taken_end < text_end;
        let mut taken_end = taken_end;
        if arrival.segment.is_fin() && !cut {
            peer.fin = Some(text_end);
            // It takes a sequence number, which a SACK block covers.
            taken_end += 1;
        }
        peer.largest = peer.largest.max(text_end - begin);
        for (from, to) in peer.received.overlaps(begin, taken_end) {
            peer.twice.insert(from, to);
        }
        peer.received.insert(begin, taken_end);
        let had_hole = !peer.beyond.is_empty();
        let new_from = begin.max(before);
        if new_from < taken_end {
            peer.beyond.insert(new_from, taken_end);
        }
        if let Some((from, to)) = peer.beyond.first()
            && from <= peer.nxt
        {
            peer.nxt = peer.nxt.max(to);
        }
        let fin_now = peer.fin.is_some_and(|fin| before <= fin && fin < peer.nxt);
        peer.beyond.cut_before(peer.nxt);
        let advanced = peer.nxt > before;
        if begin > before {
            findings.counts.out_of_order += 1;
            peer.newest = (begin < taken_end).then_some((begin, taken_end));
            self.owed.at_once.push((arrival.at, "a segment beyond a hole"));
        } else if !advanced {
            findings.counts.duplicates += 1;
            self.owed.at_once.push((arrival.at, "text that came before"));
        } else if fin_now {
            self.owed.at_once.push((arrival.at, "a FIN"));
        } else if had_hole {
            self.owed.at_once.push((arrival.at, "text that fills a part of a hole"));
        } else if cut {
            self.owed.at_once.push((arrival.at, "text beyond the window"));
        } else {
            self.owed.text.get_or_insert(arrival.at);
            // RFC 5681, section 4.2.
            if peer.nxt - peer.acked >= 2 * peer.largest.max(536) {
                self.owed.second.get_or_insert(arrival.at);
            }
        }
    }
}
