//! A segment of ours: whether the peer accepts it, whether anything is sent again that has arrived, and whether it says
//! what it must: RCV.NXT, the window, timestamps and SACK blocks.

use tcplab::segment::{Segment, Timestamps};

use super::flow::Flow;
use super::{Findings, Moments, Seen};

impl Flow {
    pub(super) fn on_departure(&mut self, seen: &Seen<'_>, moments: &Moments, findings: &mut Findings) {
        let segment = &seen.segment;
        if segment.is_rst() {
            self.reset = true;
            return;
        }
        let bare = segment.is_empty() && !segment.is_syn();
        if !bare {
            self.take_waiting(self.waiting.len(), findings);
        }
        if segment.is_syn() && self.reset {
            // The ports are used again.
            *self = Self::new(self.ends, self.reads_at_once);
        }
        // An answer may know only some of the arrivals of a batch.
        let text = core::mem::take(&mut self.ours.text);
        let known = (0..=self.waiting.len()).rev().find(|count| {
            let (mut copy, mut ignored) = (self.clone(), Findings::default());
            copy.take_waiting(*count, &mut ignored);
            bare && copy.breaches(seen, moments, &mut ignored).is_empty()
        });
        self.ours.text = text;
        self.take_waiting(known.unwrap_or(self.waiting.len()), findings);
        for what in self.breaches(seen, moments, findings) {
            self.breach(seen.at, findings, &what);
        }
        if segment.is_ack() {
            self.answer(seen);
        }
    }

    fn take_waiting(&mut self, count: usize, findings: &mut Findings) {
        for _ in 0..count {
            if let Some(arrival) = self.waiting.pop_front() {
                self.on_arrival(&arrival, findings);
            }
        }
    }

    /// What is wrong with this segment, and what it changes.
    fn breaches(&mut self, seen: &Seen<'_>, moments: &Moments, findings: &mut Findings) -> Vec<String> {
        let mut breaches = Vec::new();
        if seen.segment.is_syn() {
            self.on_our_syn(&seen.segment, &mut breaches);
        } else if self.ours.iss.is_some() && self.peer.irs.is_some() {
            self.look_at_timestamps(seen.segment.options.ts, &mut breaches);
            self.look_at_sequence(seen, findings, &mut breaches);
            self.look_at_ack(seen, moments, &mut breaches);
            self.look_at_sack(&seen.segment, &mut breaches);
        }
        breaches
    }

    fn on_our_syn(&mut self, segment: &Segment<'_>, breaches: &mut Vec<String>) {
        if self.ours.iss.is_some_and(|iss| iss != segment.seq) {
            breaches.push("a SYN with another sequence number".to_owned());
        }
        if segment.is_ack() {
            // Only what both offer (RFC 7323, sections 2.2 and 3.2; RFC 2018, section 2).
            let (offer, answer) = (self.peer.syn, segment.options);
            let more = (answer.ts.is_some() && offer.ts.is_none())
                || (answer.wscale.is_some() && offer.wscale.is_none())
                || (answer.sack_permitted && !offer.sack_permitted);
            if more {
                breaches.push("a SYN|ACK with an option that the SYN did not have".to_owned());
            }
            self.look_at_timestamps(segment.options.ts, breaches);
        }
        self.ours.iss = Some(segment.seq);
        self.ours.syn = segment.options;
        self.ours.nxt = self.ours.nxt.max(1);
        self.ours.ts_val = segment.options.ts.map(|ts| ts.ts_val);
        // The window of a SYN is not scaled; the peer counts it from its own SYN.
        let edge = 1 + i64::from(segment.window);
        self.peer.promised = self.peer.promised.max(edge);
    }

    /// RFC 7323, section 3.2: on every segment, `TSval` never goes back, `TSecr` is `TS.Recent`.
    fn look_at_timestamps(&mut self, ts: Option<Timestamps>, breaches: &mut Vec<String>) {
        let Some(Timestamps { ts_val, ts_ecr }) = ts else {
            if self.has_timestamps() {
                breaches.push("a segment without timestamps".to_owned());
            }
            return;
        };
        if self.ours.ts_val.is_some_and(|last| (ts_val.wrapping_sub(last) as i32) < 0) {
            breaches.push(format!("TSval {ts_val} is older than the one before"));
        }
        self.ours.ts_val = Some(ts_val);
        if let Some((least, most)) = &mut self.peer.ts_recent {
            if (ts_ecr.wrapping_sub(*least) as i32) < 0 || (most.wrapping_sub(ts_ecr) as i32) < 0 {
                breaches.push(format!("TSecr is {ts_ecr}, TS.Recent is {least} to {most}"));
            } else {
                *least = ts_ecr;
            }
        }
    }

    /// RFC 9293, section 3.4, at the peer, as far as we can know its RCV.NXT and its window.
    fn look_at_sequence(&mut self, seen: &Seen<'_>, findings: &mut Findings, breaches: &mut Vec<String>) {
        let segment = &seen.segment;
        let begin = self.our_position(segment.seq);
        let text_end = begin + segment.payload.len() as i64;
        let end = text_end + i64::from(segment.is_fin());
        let ours = &mut self.ours;
        if begin == end {
            // A window probe or a keep-alive begins before SND.UNA and is not acceptable on purpose.
            let asks = begin == ours.una - 1;
            let at_edge = begin >= ours.una && ours.edges.contains(&begin);
            if !(asks || begin == ours.nxt || at_edge) {
                let (una, nxt) = (ours.una, ours.nxt);
                breaches.push(format!("an ACK at {begin}, with SND.UNA {una} and SND.NXT {nxt}"));
            }
            return;
        }
        if begin > ours.nxt {
            breaches.push(format!("text at {begin} leaves out what begins at {}", ours.nxt));
        }
        if begin < ours.una {
            breaches.push(format!("{begin}:{end} again, and all before {} is acknowledged", ours.una));
        }
        for (from, to) in ours.sacked.overlaps(begin, end) {
            breaches.push(format!("{begin}:{end} again, and {from}:{to} of it was SACKed"));
        }
        if end > ours.edge {
            breaches.push(format!("{begin}:{end} goes beyond the window, which ends at {}", ours.edge));
        }
        // RFC 9293, section 3.7.1: the MSS counts options as text.
        let mss = usize::from(peers_mss(self.peer.syn.mss, segment));
        let len = segment.payload.len() + seen.header - 20;
        if len > mss {
            breaches.push(format!("{len} bytes of text and options, and the peer takes {mss}"));
        }
        findings.counts.sent_again += usize::from(begin < ours.nxt);
        let known = ours.text.len() as i64 + 1;
        let same = (text_end.min(known) - begin).max(0) as usize;
        if begin >= 1 && same > 0 {
            let at = begin as usize - 1;
            if ours.text[at..at + same] != segment.payload[..same] {
                breaches.push(format!("{begin}:{text_end} again with other bytes"));
            }
        }
        if begin >= 1 && begin <= known && text_end > known {
            ours.text.extend_from_slice(&segment.payload[same..]);
        }
        if ours.fin.is_some_and(|fin| text_end > fin || (segment.is_fin() && text_end != fin)) {
            breaches.push(format!("{begin}:{end} does not agree with the FIN before"));
        }
        if segment.is_fin() {
            ours.fin = Some(text_end);
        }
        ours.nxt = ours.nxt.max(end);
    }

    /// RFC 9293, section 3.10.7.4: the ACK is RCV.NXT. The right edge does not move to the left (section 3.8.6), but for
    /// less than a unit of the scale (RFC 7323, section 2.4).
    fn look_at_ack(&mut self, seen: &Seen<'_>, moments: &Moments, breaches: &mut Vec<String>) {
        let segment = &seen.segment;
        if !segment.is_ack() {
            breaches.push("a segment without ACK".to_owned());
            return;
        }
        let ack = self.peer_position(segment.ack);
        if ack != self.peer.nxt {
            breaches.push(format!("it acknowledges {ack}, and RCV.NXT is {}", self.peer.nxt));
        }
        let shift = self.shifts().0;
        let edge = ack + (i64::from(segment.window) << shift);
        // After the peer's FIN nothing comes that the window could admit.
        let over = self.peer.fin.is_some_and(|fin| self.peer.nxt > fin);
        if edge + (1 << shift) <= self.peer.promised && !over {
            breaches.push(format!("the right edge goes from {} to {edge}", self.peer.promised));
        }
        if let Some(at) = self.owed.second.take()
            && moments.is_late(at)
            && self.reads_at_once
        {
            breaches.push(format!("two full segments came at {at} and wait for an ACK since then"));
        }
        self.peer.promised = self.peer.promised.max(edge);
    }

    /// RFC 2018, section 4, and RFC 2883, section 4.
    fn look_at_sack(&mut self, segment: &Segment<'_>, breaches: &mut Vec<String>) {
        let blocks = segment.options.sack.iter().filter(|block| block.left != block.right);
        let blocks: Vec<_> =
            blocks.map(|block| (self.peer_position(block.left), self.peer_position(block.right))).collect();
        if !blocks.is_empty() && !self.has_sack() {
            breaches.push("SACK blocks that were not agreed on".to_owned());
            return;
        }
        let peer = &self.peer;
        let dsack = blocks.first().is_some_and(|first| {
            let inside = blocks.get(1).is_some_and(|second| second.0 <= first.0 && first.1 <= second.1);
            first.1 <= peer.nxt || inside
        });
        if dsack && !peer.twice.covers(blocks[0].0, blocks[0].1) {
            breaches.push(format!("a DSACK of {:?}, which did not come twice", blocks[0]));
        }
        for block in &blocks[usize::from(dsack)..] {
            if !peer.beyond.covers(block.0, block.1) {
                breaches.push(format!("a SACK of {block:?}, which has not arrived"));
            }
        }
        // "The first SACK block MUST specify the contiguous block of data containing the segment which triggered this ACK,
        // unless that segment advanced the Acknowledgment Number field".
        if let Some(newest) = peer.newest.filter(|newest| newest.1 > peer.nxt)
            && self.has_sack()
            && segment.is_empty()
        {
            let first = blocks.get(usize::from(dsack));
            if first.is_none_or(|first| newest.0 < first.0 || first.1 < newest.1) {
                breaches.push(format!("the first SACK block is {first:?}, and {newest:?} came last"));
            }
        }
    }

    /// This segment acknowledges what has arrived.
    fn answer(&mut self, seen: &Seen<'_>) {
        let ack = self.peer_position(seen.segment.ack);
        self.peer.acked = self.peer.acked.max(ack);
        self.peer.answered_at = Some(seen.at);
        if !self.owed.at_once.is_empty() {
            self.owed.at_once.remove(0);
        }
        if ack >= self.peer.nxt {
            self.owed.text = None;
        }
    }
}

/// The peer's MSS (RFC 9293, section 3.7.1).
fn peers_mss(offered: Option<u16>, segment: &Segment<'_>) -> u16 {
    offered.unwrap_or(if segment.dst.is_ipv4() { 536 } else { 1220 })
}
