//! The strict comparison: our stack must send the recorded packets, in the recorded order. `one` calls it.
//!
//! The recording is read once. A packet of the peer is fed at its instant. For a packet of ours the host runs until it
//! sends a packet. Removed before the comparison: initial sequence numbers, the ephemeral port, the origin of the
//! timestamps, the IP identification. Instants are not compared. The checksums of the recording are verified, since a
//! capture of this stack has them all.

use super::run::{Ending, Observers, Played, Run, Setup};
use super::semantic::Finding;
use crate::conversation::Side;
use crate::recording::lines::{SegmentLine, draw};
use crate::recording::{Recorded, Recording};
use crate::segment::{Flags, IpView, Segment, Seq, Timestamps, diff};
use crate::time::Duration;

/// How much later than recorded a packet of ours may be.
const LATE: Duration = Duration::from_secs(1);
/// How long our side must send nothing after the last packet.
const SILENCE: Duration = Duration::from_secs(10);

/// Plays a conversation and compares as it goes. The first finding ends it.
pub(super) fn play(setup: Setup<'_>, observers: &Observers) -> (Played, Vec<Finding>) {
    let packets = &setup.recording.packets;
    let limit = 20_000 + 200 * packets.len();
    let mut run = Run::new(setup, observers);
    run.mapping.constant_stamps = true;
    run.sent_bytes = Some(Vec::new());
    run.begin();
    let mut walker = Walker { run, compared: 0, limit };
    let finding = walker.walk().err();
    let played = walker.run.finish(Ending::Finished, 0, 0);
    (played, finding.into_iter().collect())
}

struct Walker<'a> {
    run: Run<'a>,
    /// Packets of ours that were compared.
    compared: usize,
    limit: usize,
}

impl<'a> Walker<'a> {
    fn walk(&mut self) -> Result<(), Finding> {
        let recording = self.run.setup.recording;
        for packet in &recording.packets {
            let ours = packet.from == self.run.setup.ours;
            if packet.icmp && ours {
                continue;
            }
            if packet.bad_checksum && (ours || packet.is_acceptable()) {
                return Err(finding(packet, "a wrong checksum in the recording".to_owned()));
            }
            if ours {
                self.expect(packet)?;
            } else {
                self.feed(packet)?;
            }
        }
        // What follows in a torn file is not known.
        let Some(last) = recording.packets.last().filter(|_| !recording.torn) else { return Ok(()) };
        let until = self.run.setup.start + last.at + SILENCE;
        loop {
            self.run.run_now();
            self.nothing_came(last, "the end of the recording")?;
            match self.run.next_at().filter(|at| *at <= until) {
                Some(at) => self.go_to(at, last)?,
                None => return Ok(()),
            }
        }
    }

    /// One of ours.
    fn expect(&mut self, packet: &'a Recorded) -> Result<(), Finding> {
        let latest = self.run.setup.start + packet.at + LATE;
        while self.pending().is_none() {
            self.run.run_now();
            if self.pending().is_some() {
                break;
            }
            let Some(at) = self.run.next_at().filter(|at| *at <= latest) else {
                let line = self.recorded_line(packet);
                return Err(finding(packet, format!("our side sent nothing\n{line}   recorded")));
            };
            self.go_to(at, packet)?;
        }
        self.compare(packet)
    }

    /// One of the peer's.
    fn feed(&mut self, packet: &'a Recorded) -> Result<(), Finding> {
        let due = self.run.setup.start + packet.at;
        loop {
            let line = || self.recorded_line(packet);
            self.nothing_came(packet, &format!("\n{}   recorded", line()))?;
            // What is due at the same instant comes behind what was recorded.
            match self.run.next_at().filter(|at| *at < due) {
                Some(at) => self.go_to(at, packet)?,
                None => break,
            }
        }
        self.run.advance_to(due);
        if self.was_not_heard(packet) {
            return Ok(());
        }
        self.run.fed.push(packet.number);
        if self.run.feed_unseen(packet) {
            return Ok(());
        }
        let template = self.run.mapping.whole(packet, &self.run.live, self.run.ends());
        self.run.feed(&template);
        Ok(())
    }

    /// A SYN that the recorded host did not answer, but the same one again: its queues were full of connections that are
    /// not here.
    fn was_not_heard(&self, packet: &Recorded) -> bool {
        let recording = self.run.setup.recording;
        let behind = recording.packets.iter().skip_while(|other| other.number <= packet.number);
        packet.has(Flags::SYN)
            && !packet.has(Flags::ACK)
            && behind.take_while(|p| p.from == packet.from).any(|p| p.has(Flags::SYN) && p.seq == packet.seq)
    }

    fn go_to(&mut self, at: crate::time::Instant, packet: &Recorded) -> Result<(), Finding> {
        self.run.steps += 1;
        if self.run.steps > self.limit {
            return Err(finding(packet, format!("our side sends without end: {} steps", self.limit)));
        }
        self.run.run_to(at);
        Ok(())
    }

    /// The next packet of ours that was not compared.
    fn pending(&self) -> Option<&Vec<u8>> {
        self.run.sent_bytes.as_ref().and_then(|sent| sent.get(self.compared))
    }

    fn nothing_came(&self, packet: &Recorded, instead_of: &str) -> Result<(), Finding> {
        let Some(bytes) = self.pending() else { return Ok(()) };
        let Some(segment) = IpView::parse(bytes).and_then(|ip| Segment::parse(&ip)).ok() else { return Ok(()) };
        let live = self.normalised(&segment);
        let drawn = SegmentLine::of(&live, self.starts(), self.run.setup.ours);
        let at = self.run.now() - self.run.setup.start;
        let line = draw(self.run.setup.recording.started + at, &drawn);
        Err(finding(
            packet,
            format!("our side sent what is not in the recording\n{line}   replayed, instead of {instead_of}"),
        ))
    }

    /// A live segment with the numbers, ends and timestamps of the recording.
    fn normalised<'s>(&self, live: &Segment<'s>) -> Segment<'s> {
        let setup = &self.run.setup;
        let (ours, theirs) = (setup.recording.ends[setup.ours], setup.recording.ends[setup.ours.other()]);
        let mut segment = Segment { src: ours, dst: theirs, ..*live };
        segment.seq = self.run.mapping.recorded_iss + (live.seq - self.run.live.iss.unwrap_or_default());
        if let Some(ts) = live.options.ts {
            let ts_val = self.run.mapping.recorded_stamp(ts.ts_val, &self.run.live);
            segment.options.ts = Some(Timestamps { ts_val, ..ts });
        }
        segment
    }

    fn starts(&self) -> [Seq; 2] {
        [self.run.setup.facts[0].iss, self.run.setup.facts[1].iss]
    }

    /// A segment of `from` with all its numbers counted from the initial ones of both sides.
    fn relative<'s>(&self, from: Side, segment: &Segment<'s>) -> Segment<'s> {
        let [own, peer] = [from, from.other()].map(|side| self.starts()[side]);
        let mut relative = *segment;
        relative.seq = Seq(segment.seq - own);
        relative.ack = Seq(segment.ack - peer);
        for block in &mut relative.options.sack {
            (block.left, block.right) = (Seq(block.left - peer), Seq(block.right - peer));
        }
        relative
    }

    fn recorded_line(&self, packet: &Recorded) -> String {
        let recording = self.run.setup.recording;
        draw(recording.started + packet.at, &SegmentLine::of(&recording.segment(packet), self.starts(), packet.from))
    }

    fn compare(&mut self, packet: &'a Recorded) -> Result<(), Finding> {
        let recording: &Recording = self.run.setup.recording;
        let Some(bytes) = self.pending() else { return Ok(()) };
        let Ok(segment) = IpView::parse(bytes).and_then(|ip| Segment::parse(&ip)) else { return Ok(()) };
        let (expected, actual) = (recording.segment(packet), self.normalised(&segment));
        // Reasons give the numbers that Wireshark shows: relative to the initial ones.
        let differences = diff(&self.relative(packet.from, &expected), &self.relative(packet.from, &actual));
        if differences.is_empty() {
            self.compared += 1;
            return Ok(());
        }
        let fields: Vec<_> = differences.iter().map(|difference| difference.field).collect();
        let mut text: Vec<_> = differences.iter().map(ToString::to_string).collect();
        if fields.contains(&crate::segment::Field::Payload) && expected.payload.len() == actual.payload.len() {
            let at = expected.payload.iter().zip(actual.payload).take_while(|(a, b)| a == b).count();
            text.push(format!("first at byte {at}: {:#04x}, got {:#04x}", expected.payload[at], actual.payload[at]));
        }
        let at = recording.started + packet.at;
        let (expected, actual) = (
            SegmentLine::of(&expected, self.starts(), packet.from),
            SegmentLine::of(&actual, self.starts(), packet.from),
        );
        let lines =
            format!("{}   recorded\n{}   replayed\n{}", draw(at, &expected), draw(at, &actual), actual.marks(&fields));
        Err(finding(packet, format!("{}\n{lines}", text.join("; "))))
    }
}

fn finding(packet: &Recorded, text: String) -> Finding {
    Finding { packet: Some(packet.number), text }
}
