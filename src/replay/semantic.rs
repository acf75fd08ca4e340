//! The semantic comparison: whether a conversation is the same, for recordings of any stack. `one` calls it after the
//! replay.
//!
//! Compared: the handshake, the bytes each way, the order of turns, kind and place of the close, acknowledgments,
//! options, the limits that the peer set, resets and retransmissions. Reported but not compared: numbers of segments,
//! windows, PSH, delays.

use super::program::RecordedProgram;
use super::run::{Ending, Played};
use crate::conversation::{DataKind, Side};
use crate::recording::{CLIENT, Opening, Recording, SERVER, SideFacts};
use crate::segment::{Flags, default_mss};
use crate::time::{Duration, Instant};

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// The packet of the recording that it is about.
    pub(super) packet: Option<u64>,
    pub(super) text: String,
}

pub(super) struct Case<'a> {
    pub(super) recording: &'a Recording,
    pub(super) facts: &'a [SideFacts; 2],
    pub(super) ours: Side,
    pub(super) opening: Opening,
    pub(super) program: &'a RecordedProgram,
    /// The program is the derived one.
    pub(super) derived: bool,
    pub(super) played: &'a Played,
    pub(super) start: Instant,
}

/// The differences, in the order of a conversation.
pub(super) fn judge(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let checks: [fn(&Case<'_>, &mut Vec<Finding>); 9] =
        [handshake, options, bytes, turns, close, acknowledgments, limits, retransmissions, program];
    for check in checks {
        check(case, &mut findings);
    }
    findings
}

fn note(findings: &mut Vec<Finding>, packet: impl Into<Option<u64>>, text: impl Into<String>) {
    findings.push(Finding { packet: packet.into(), text: text.into() });
}

impl Case<'_> {
    fn own(&self) -> &SideFacts {
        &self.facts[self.ours]
    }

    fn peer(&self) -> &SideFacts {
        &self.facts[self.ours.other()]
    }

    fn number(&self, index: usize) -> u64 {
        self.recording.packets[index].number
    }

    /// The packet of ours that carried this place.
    fn packet_at(&self, place: u32) -> Option<u64> {
        self.own().content.iter().find(|content| content.end > place).map(|content| self.number(content.packet))
    }

    fn finished(&self) -> bool {
        self.played.ending == Ending::Finished
    }
}

/// SYN, SYN|ACK, ACK, in this order; or SYN, RST.
fn handshake(case: &Case<'_>, findings: &mut Vec<Finding>) {
    let live = &case.played.live;
    let connects = |flags: Flags| flags.contains(Flags::SYN) && !flags.contains(Flags::ACK);
    let own_first = case.recording.packets.iter().find(|packet| packet.from == case.ours);
    let Some(expected) = own_first else { return };
    let Some(first) = live.emitted.first() else {
        return note(findings, expected.number, "handshake: our side sent nothing");
    };
    if case.opening == Opening::Refused && case.ours == SERVER {
        if !first.flags.contains(Flags::RST) {
            note(findings, expected.number, format!("handshake: our side sent {} instead of RST", first.flags));
        }
        return;
    }
    if connects(first.flags) != connects(expected.flags) || !first.flags.contains(Flags::SYN) {
        let text = format!("handshake: our side began with [{}], the recording with [{}]", first.flags, expected.flags);
        return note(findings, expected.number, text);
    }
    if case.opening == Opening::Open {
        let behind = live.emitted.iter().find(|sent| !sent.flags.contains(Flags::SYN));
        let early = behind.is_some_and(|sent| !sent.flags.contains(Flags::ACK) && !sent.flags.contains(Flags::RST));
        let completed = live.conversation.handshake_seen() && live.acked >= 1 && (case.ours == SERVER || live.ack >= 1);
        if early || (case.finished() && !completed) {
            note(findings, expected.number, "handshake: it was not completed");
        }
    }
}

/// What our SYN|ACK agrees to was offered; an MSS is always there.
fn options(case: &Case<'_>, findings: &mut Vec<Finding>) {
    let live = &case.played.live;
    let Some(own) = live.offer else { return };
    let packet = case.recording.packets.iter().find(|p| p.from == case.ours && p.has(Flags::SYN)).map(|p| p.number);
    if own.mss.is_none() {
        note(findings, packet, "options: no MSS on our SYN");
    }
    let answers = live.emitted.first().is_some_and(|first| first.flags.contains(Flags::SYN | Flags::ACK));
    if !answers {
        return;
    }
    let theirs = live.conversation.sender(Side::Remote).offer;
    let unasked = [
        (own.wscale.is_some() && theirs.wscale.is_none(), "window scale"),
        (own.sack_permitted && !theirs.sack_permitted, "SACK-permitted"),
        (own.ts.is_some() && !theirs.timestamps, "timestamps"),
    ];
    for (_, name) in unasked.iter().filter(|(wrong, _)| *wrong) {
        note(findings, packet, format!("options: our SYN|ACK has {name}, which was not offered"));
    }
}

/// Exactly the same bytes from our side.
fn bytes(case: &Case<'_>, findings: &mut Vec<Finding>) {
    let (expected, actual) = (&case.own().stream, &case.played.live.stream.bytes);
    if let Some(at) = first_difference(expected, actual) {
        let packet = case.packet_at(at as u32 + 1);
        note(findings, packet, format!("bytes of our side: {}", describe(expected, actual, at)));
    }
}

/// Where two streams begin to differ; the shorter one's end if it is a part of the other.
pub(super) fn first_difference(expected: &[u8], actual: &[u8]) -> Option<usize> {
    let at = expected.iter().zip(actual).take_while(|(a, b)| a == b).count();
    (at < expected.len().max(actual.len())).then_some(at)
}

/// The difference at an offset, with a few bytes of each.
pub(super) fn describe(expected: &[u8], actual: &[u8], at: usize) -> String {
    let show = |bytes: &[u8]| match bytes.get(at..) {
        None | Some([]) => format!("the end, after {} bytes", bytes.len()),
        Some(rest) => format!("\"{}\"", rest[..rest.len().min(24)].escape_ascii()),
    };
    format!("at offset {at} the recording has {}, the replay {}", show(expected), show(actual))
}

/// Bytes of a turn come after those of the turn before it.
fn turns(case: &Case<'_>, findings: &mut Vec<Finding>) {
    let live = &case.played.live;
    for (nth, turn) in case.program.turns.iter().enumerate().filter(|(_, turn)| turn.place != u32::MAX) {
        // A program of the user may answer before it has read everything; some bytes of the peer are enough.
        let before = nth.checked_sub(1).map_or(1, |nth| case.program.turns[nth].read);
        let needed = match case.derived {
            true => turn.read,
            false if !turn.fresh => continue,
            false if turn.read > before => before + 1,
            false => before,
        };
        let first = live
            .emitted
            .iter()
            .find(|sent| sent.end > turn.place && !sent.flags.contains(Flags::RST) && sent.kind != DataKind::KeepAlive);
        if let Some(first) = first
            && first.fed < needed
        {
            let text = format!(
                "order of turns: byte {} of ours came when {} of the peer's had been fed, in the recording after {}",
                turn.place.saturating_sub(1),
                first.fed.saturating_sub(1),
                needed.saturating_sub(1)
            );
            return note(findings, turn.packet, text);
        }
    }
}

/// Kind, side and place of the close.
fn close(case: &Case<'_>, findings: &mut Vec<Finding>) {
    let (own, peer, live) = (case.own(), case.peer(), &case.played.live);
    let rst_packet = own.rst.map(|rst| case.number(rst));
    let peer_rst_first = match (own.rst, peer.rst) {
        (Some(own), Some(peer)) => peer < own,
        (None, peer) => peer.is_some(),
        _ => false,
    };
    let fins_before = |index: usize| {
        let fin = |end: Side| {
            case.recording.packets[..index].iter().any(|p| p.from == end && p.has(Flags::FIN) && p.is_acceptable())
        };
        fin(CLIENT) && fin(SERVER)
    };
    // After both FINs an RST has no effect, and stacks differ in whether they send it.
    let needless = own.rst.is_some_and(|rst| peer_rst_first || fins_before(rst));
    let fin_packet = case.packet_at(own.fin.unwrap_or(u32::MAX));
    match (own.fin, live.fin) {
        (Some(expected), Some(actual)) if expected != actual => {
            let text = format!(
                "close: our FIN came after {} bytes, in the recording after {}",
                actual.saturating_sub(1),
                expected.saturating_sub(1)
            );
            note(findings, fin_packet, text);
        }
        (Some(_), None) if live.reset && own.rst.is_none() => {
            note(findings, fin_packet, "close: our side sent RST, in the recording FIN");
        }
        (Some(expected), None) if case.finished() && !(live.peer_reset && case.bytes_ended_by_reset(expected)) => {
            note(findings, fin_packet, "close: our FIN did not come");
        }
        (None, Some(_)) => {
            let text = match own.rst {
                Some(_) => "close: our side sent FIN, in the recording RST",
                None => "close: our side sent FIN, in the recording it did not end",
            };
            note(findings, rst_packet, text);
        }
        (Some(_), Some(_)) => {
            let answered = live.emitted.iter().find(|sent| sent.flags.contains(Flags::FIN));
            let acks_fin = answered.zip(peer.fin).is_some_and(|(sent, fin)| sent.ack > fin);
            // Of a FIN that was sent again it is not known when it came. A program of the user's may close when it is ready,
            // but not before a peer that it waited for.
            let other = acks_fin != own.fin_acks_fin && (case.derived || own.fin_acks_fin);
            if other && !peer.fin_again {
                let first = |first: bool| if first { "after the peer's" } else { "before the peer's" };
                let text =
                    format!("close: our FIN came {}, in the recording {}", first(acks_fin), first(own.fin_acks_fin));
                note(findings, fin_packet, text);
            }
        }
        _ => {}
    }
    match (own.rst, live.reset) {
        (None, true) if case.opening == Opening::Open => {
            note(findings, None, "a reset by our side that is not in the recording");
        }
        (Some(_), false) if !needless && case.finished() => {
            note(findings, rst_packet, "close: our RST did not come");
        }
        (Some(rst), true) if case.opening == Opening::Open && !needless => {
            let sent = live.emitted.iter().find(|sent| sent.flags.contains(Flags::RST));
            let expected = case.recording.place_of_rst(own, rst);
            if let Some(sent) = sent
                && sent.sent_before != expected
            {
                let text = format!(
                    "close: our RST came after {} of sequence space, in the recording after {expected}",
                    sent.sent_before
                );
                note(findings, rst_packet, text);
            }
        }
        _ => {}
    }
}

impl Case<'_> {
    /// A reset by the peer may come before a FIN that was on its way.
    fn bytes_ended_by_reset(&self, fin: u32) -> bool {
        let content = self.own().content.iter().find(|content| content.end > fin);
        content.zip(self.peer().rst).is_some_and(|(content, rst)| content.packet > rst)
    }
}

/// Everything that was fed is acknowledged, and nothing else.
fn acknowledgments(case: &Case<'_>, findings: &mut Vec<Finding>) {
    let live = &case.played.live;
    let mut last = 0;
    for sent in live.emitted.iter().filter(|sent| sent.flags.contains(Flags::ACK) && !sent.flags.contains(Flags::RST)) {
        if sent.ack > sent.fed {
            let text = format!("our side acknowledged {} when {} was fed", sent.ack, sent.fed);
            return note(findings, None, text);
        }
        if sent.ack < last {
            return note(findings, None, format!("our ACK went back from {last} to {}", sent.ack));
        }
        last = sent.ack;
    }
    let cut_short = live.reset || live.peer_reset || case.opening == Opening::Refused;
    if case.finished() && !cut_short && last != live.fed {
        let fed = case.peer().content.iter().find(|content| content.end > last);
        let packet = fed.map(|content| case.number(content.packet));
        note(findings, packet, format!("our side acknowledged {last} of {} that were fed", live.fed));
    }
}

/// Nothing beyond the peer's window or MSS.
fn limits(case: &Case<'_>, findings: &mut Vec<Finding>) {
    let live = &case.played.live;
    let theirs = live.conversation.sender(Side::Remote).offer;
    let mss = u32::from(theirs.mss.unwrap_or(default_mss(case.recording.ends[0].ip()))).max(48);
    for sent in &live.emitted {
        if sent.payload_len > 0 && sent.payload_len + sent.options_len > mss {
            let text = format!("a segment of {} bytes, where the peer's MSS is {mss}", sent.payload_len);
            return note(findings, case.packet_at(sent.start), text);
        }
        let probe = sent.payload_len <= 1 && (sent.zero_window || sent.kind == DataKind::Probe);
        let text_end = sent.start + sent.payload_len + u32::from(sent.flags.contains(Flags::SYN));
        if sent.payload_len > 0 && text_end > sent.edge && !probe {
            let text = format!("bytes up to {text_end}, where the peer's window ends at {}", sent.edge);
            return note(findings, case.packet_at(sent.start), text);
        }
    }
}

/// A retransmission has its cause in the recording: one of its own, duplicate ACKs, or an ACK that came late or never.
fn retransmissions(case: &Case<'_>, findings: &mut Vec<Finding>) {
    let live = &case.played.live;
    if case.own().retransmissions > 0 {
        return;
    }
    for sent in &live.emitted {
        let again = matches!(sent.kind, DataKind::Retransmission { .. } | DataKind::Duplicate);
        if !again || sent.duplicate_acks >= 3 {
            continue;
        }
        let acked_at = case.recording.packets.iter().find(|packet| {
            packet.from != case.ours
                && packet.has(Flags::ACK)
                && packet.is_acceptable()
                && packet.ack >= case.own().iss + sent.end
        });
        let late = acked_at.is_none_or(|packet| case.start + packet.at + Duration::from_millis(1) >= sent.at);
        if !late {
            let text =
                format!("a retransmission of {}..{} that no loss in the recording explains", sent.start, sent.end);
            return note(findings, case.packet_at(sent.start), text);
        }
    }
}

/// The derived program read exactly what the recording has, and came to its end.
fn program(case: &Case<'_>, findings: &mut Vec<Finding>) {
    if !case.derived {
        return;
    }
    let (recorded, read) = (&case.peer().stream, &case.played.read);
    let common = read.len().min(recorded.len());
    if read[..common] != recorded[..common] || read.len() > recorded.len() {
        let at = first_difference(&recorded[..common], read).unwrap_or(common);
        note(findings, None, format!("bytes that our program read: {}", describe(recorded, read, at)));
    }
    let reset = case.peer().rst.is_some() || case.opening == Opening::Refused;
    if let Some(Err(failed)) = &case.played.program
        && !reset
    {
        note(findings, None, format!("our program, derived from the recording: {failed}"));
    } else if case.finished() && !reset && (read.len() as u32) < case.program.reads {
        let text = format!("our program read {} of {} bytes", read.len(), case.program.reads);
        note(findings, None, text);
    }
}
