//! Packet by packet: what our stack sends must be what was recorded, in the recorded order.
//!
//! The recording is walked once. A packet of the peer's is fed at its instant; for one of ours the host is moved along
//! until it sends something. Taken off before the comparison: initial sequence numbers, the ephemeral port, the origin of
//! the timestamps, the IP identification. Instants are not compared. The checksums of the recording are verified, since
//! a capture of this stack has them all.

use super::lines::{Drawn, draw};
use super::play::{Driver, Ending, Played, Stage};
use super::recording::{Recorded, Recording};
use super::semantic::Finding;
use crate::capture::Capture;
use crate::segment::{Flags, IpView, Segment, Timestamps, diff};
use crate::time::Duration;

/// So much later than recorded a packet of ours is still waited for.
const LATE: Duration = Duration::from_secs(1);
/// So long nothing may come behind the last packet.
const SILENCE: Duration = Duration::from_secs(10);

/// Plays a conversation and compares as it goes. The first finding ends it.
pub(super) fn play(stage: Stage<'_>, capture: Option<&mut Capture>) -> (Played, Vec<Finding>) {
    let packets = &stage.recording.packets;
    let limit = 20_000 + 200 * packets.len();
    let mut driver = Driver::new(stage, capture);
    driver.mapping.constant_stamps = true;
    driver.sent_bytes = Some(Vec::new());
    driver.begin();
    let mut walker = Walker { driver, compared: 0, steps: 0, limit };
    let finding = walker.walk().err();
    let played = walker.driver.finish(Ending::Finished, 0, 0);
    (played, finding.into_iter().collect())
}

struct Walker<'a, 'c> {
    driver: Driver<'a, 'c>,
    /// Packets of ours that were compared.
    compared: usize,
    steps: usize,
    limit: usize,
}

impl<'a> Walker<'a, '_> {
    fn walk(&mut self) -> Result<(), Finding> {
        let recording = self.driver.stage.recording;
        for packet in &recording.packets {
            let ours = packet.from == self.driver.stage.ours;
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
        let Some(last) = recording.packets.last() else { return Ok(()) };
        let until = self.driver.stage.start + last.at + SILENCE;
        loop {
            self.driver.turn();
            self.nothing_came(last, "the end of the recording")?;
            match self.driver.runtime.next_at().filter(|at| *at <= until) {
                Some(at) => self.go_to(at, last)?,
                None => return Ok(()),
            }
        }
    }

    /// One of ours.
    fn expect(&mut self, packet: &'a Recorded) -> Result<(), Finding> {
        let latest = self.driver.stage.start + packet.at + LATE;
        while self.pending().is_none() {
            self.driver.turn();
            if self.pending().is_some() {
                break;
            }
            let Some(at) = self.driver.runtime.next_at().filter(|at| *at <= latest) else {
                let line = self.recorded_line(packet);
                return Err(finding(packet, format!("our side sent nothing\n{line}   recorded")));
            };
            self.go_to(at, packet)?;
        }
        self.compare(packet)
    }

    /// One of the peer's.
    fn feed(&mut self, packet: &'a Recorded) -> Result<(), Finding> {
        let due = self.driver.stage.start + packet.at;
        loop {
            let line = || self.recorded_line(packet);
            self.nothing_came(packet, &format!("\n{}   recorded", line()))?;
            // What is due at the same instant comes behind what was recorded.
            match self.driver.runtime.next_at().filter(|at| *at < due) {
                Some(at) => {
                    self.go_to(at, packet)?;
                    self.driver.turn();
                }
                None => break,
            }
        }
        self.driver.now = self.driver.now.max(due);
        if self.driver.feed_unseen(packet) || self.was_not_heard(packet) {
            return Ok(());
        }
        let template = self.driver.mapping.whole(packet, &self.driver.live, self.driver.ends());
        self.driver.feed(&template);
        Ok(())
    }

    /// A SYN that the recorded host did not answer, but the same one again: its queues were full of connections that are
    /// not here.
    fn was_not_heard(&self, packet: &Recorded) -> bool {
        let recording = self.driver.stage.recording;
        let behind = recording.packets.iter().skip_while(|other| other.number <= packet.number);
        packet.has(Flags::SYN)
            && !packet.has(Flags::ACK)
            && behind.take_while(|p| p.from == packet.from).any(|p| p.has(Flags::SYN) && p.seq == packet.seq)
    }

    fn go_to(&mut self, at: crate::time::Instant, packet: &Recorded) -> Result<(), Finding> {
        self.steps += 1;
        if self.steps > self.limit {
            return Err(finding(packet, format!("our side does not come to rest: {} steps", self.limit)));
        }
        self.driver.now = self.driver.now.max(at);
        Ok(())
    }

    /// The next packet of ours that was not compared.
    fn pending(&self) -> Option<&Vec<u8>> {
        self.driver.sent_bytes.as_ref().and_then(|sent| sent.get(self.compared))
    }

    fn nothing_came(&self, packet: &Recorded, instead_of: &str) -> Result<(), Finding> {
        let Some(bytes) = self.pending() else { return Ok(()) };
        let Some(segment) = IpView::parse(bytes).and_then(|ip| Segment::parse(&ip)).ok() else { return Ok(()) };
        let live = self.normalised(&segment);
        let drawn = Drawn::of(&live, self.starts(), self.driver.stage.ours);
        let at = self.driver.now - self.driver.stage.start;
        let line = draw(self.driver.stage.recording.started + at, &drawn);
        Err(finding(
            packet,
            format!("our side sent what is not in the recording\n{line}   replayed, instead of {instead_of}"),
        ))
    }

    /// A live segment with the numbers, ends and timestamps of the recording.
    fn normalised<'s>(&self, live: &Segment<'s>) -> Segment<'s> {
        let stage = &self.driver.stage;
        let (ours, theirs) = (stage.recording.ends[stage.ours], stage.recording.ends[1 - stage.ours]);
        let mut segment = Segment { src: ours, dst: theirs, ..*live };
        segment.seq = self.driver.mapping.recorded_iss + (live.seq - self.driver.live.iss.unwrap_or_default());
        if let Some(ts) = live.options.ts {
            let ts_val = self.driver.mapping.recorded_stamp(ts.ts_val, &self.driver.live);
            segment.options.ts = Some(Timestamps { ts_val, ..ts });
        }
        segment
    }

    fn starts(&self) -> [crate::segment::Seq; 2] {
        [self.driver.stage.facts[0].iss, self.driver.stage.facts[1].iss]
    }

    fn recorded_line(&self, packet: &Recorded) -> String {
        let recording = self.driver.stage.recording;
        draw(recording.started + packet.at, &Drawn::of(&recording.segment(packet), self.starts(), packet.from))
    }

    fn compare(&mut self, packet: &'a Recorded) -> Result<(), Finding> {
        let recording: &Recording = self.driver.stage.recording;
        let Some(bytes) = self.pending() else { return Ok(()) };
        let Ok(segment) = IpView::parse(bytes).and_then(|ip| Segment::parse(&ip)) else { return Ok(()) };
        let (expected, actual) = (recording.segment(packet), self.normalised(&segment));
        let differences = diff(&expected, &actual);
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
        let (expected, actual) =
            (Drawn::of(&expected, self.starts(), packet.from), Drawn::of(&actual, self.starts(), packet.from));
        let lines =
            format!("{}   recorded\n{}   replayed\n{}", draw(at, &expected), draw(at, &actual), actual.marks(&fields));
        Err(finding(packet, format!("{}\n{lines}", text.join("; "))))
    }
}

fn finding(packet: &Recorded, text: String) -> Finding {
    Finding { packet: Some(packet.number), text }
}
