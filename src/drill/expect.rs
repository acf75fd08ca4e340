//! Packets that a script expects: which packet of the host is compared with which, at what time, and what a failure says.
//! `run` calls it for each outbound packet of a script.

use core::fmt::Write as _;
use std::collections::BTreeSet;

use super::compare::{Difference, Relax, compare};
use super::flow::Flow;
use super::packets::Seen;
use super::run::{Before, LONGEST_WAIT, Run, Stop, seconds};
use super::script::{Action, Body, Event, IpInfo, Options, Packet, Tcp, TcpOption, Time};
use crate::segment::{Flags, IpView, Segment};
use crate::sim::Arrived;
use crate::time::Instant;

impl Run<'_> {
    pub(super) fn outbound(&mut self, event: &Event, packet: &Packet) -> Result<(), Stop> {
        if packet.udp_encapsulation.is_some() {
            return Err(Stop::Unsupported("TCP over UDP".to_owned()));
        }
        let (from, to) = self.due(event.time, false);
        let any = event.time == Time::Any;
        let relaxed = self.setup.relax.contains(&Relax::Timing);
        let tolerance = self.tolerance(to);
        let (earliest, latest) = (from.as_nanos().saturating_sub(tolerance.as_nanos() as u64), to + tolerance);
        let until = if any || relaxed { self.sim.now() + LONGEST_WAIT } else { latest };
        let Some(first) = self.wait_for_packet(until)? else {
            return Err(Stop::Fail(self.nothing_came(event, until)));
        };
        let wanted = match &packet.body {
            Body::Tcp(tcp) => tcp.len as usize,
            _ => 0,
        };
        let parts = self.join(first, wanted, until)?;
        let at = parts.last().map_or(self.sim.now(), |part| part.at);
        self.match_packet(packet, &parts)?;
        if !any && !(earliest..=latest.as_nanos()).contains(&at.as_nanos()) {
            if !relaxed {
                let (from, to) = (seconds(from), seconds(to));
                let when = if from == to { format!("at {from}") } else { format!("between {from} and {to}") };
                let allowed = tolerance.as_micros();
                return Err(Stop::Fail(format!(
                    "the packet was expected {when} and was sent at {}; the tolerance is {allowed} us\n\
                     --relax timing leaves this out",
                    seconds(at)
                )));
            }
            self.relaxed.insert(Relax::Timing);
        }
        self.before = Before { finished: self.sim.now(), scheduled: from, inbound: false };
        Ok(())
    }

    /// Says that a packet did not come, and what came later instead.
    fn nothing_came(&mut self, event: &Event, until: Instant) -> String {
        let mut text = format!("no packet by {}", seconds(until));
        let Action::Packet(packet) = &event.action else { return text };
        if let Ok(Some(later)) = self.wait_for_packet(self.sim.now() + LONGEST_WAIT) {
            text = format!("{text}; the next one is at {}: {}", seconds(later.at), self.describe(&later));
        } else {
            text.push_str(", and none later");
        }
        format!("{text}\nexpected: {packet}")
    }

    /// Joins segments that the host sent one after the other, until there is as much text as the script has in one.
    fn join(&mut self, first: Arrived, wanted: usize, until: Instant) -> Result<Vec<Arrived>, Stop> {
        let mut parts = vec![first];
        if self.setup.settings.strict_segments {
            return Ok(parts);
        }
        let mut have = text_len(&parts[0]);
        while have > 0 && have < wanted {
            let Some(next) = self.wait_for_packet(until)? else { break };
            let more = text_len(&next);
            let follows = more > 0 && have + more <= wanted && continues(&parts[parts.len() - 1], &next);
            if !follows {
                self.queue.push_front(next);
                break;
            }
            have += more;
            parts.push(next);
        }
        Ok(parts)
    }

    /// Finds the connection of a packet of the host, or makes the one that a SYN opens.
    fn flow_of(&mut self, seen: &Seen<'_>, expected: &Packet) -> Result<usize, Stop> {
        let Some((local, remote)) = seen.ends else { return Ok(self.current.unwrap_or(0)) };
        if let Some(at) = self.flows.iter().rposition(|flow| flow.local == local && flow.remote == remote) {
            self.current = Some(at);
            return Ok(at);
        }
        let named = match &expected.body {
            Body::Tcp(tcp) => tcp.ports.map(|(local, remote)| (remote, local)),
            Body::Udp(udp) => udp.ports.map(|(local, remote)| (remote, local)),
            Body::Icmp(_) => None,
        };
        self.add_flow(Flow::new(local, remote, named, true))?;
        Ok(self.flows.len() - 1)
    }

    fn match_packet(&mut self, expected: &Packet, parts: &[Arrived]) -> Result<(), Stop> {
        let last = &parts[parts.len() - 1];
        let Some(seen) = Seen::new(&last.bytes) else {
            return Err(Stop::Fail("the host sent what is no packet".to_owned()));
        };
        if self.flows.is_empty() && seen.ends.is_none() {
            self.open_flow(None)?;
        }
        let at = self.flow_of(&seen, expected)?;
        let flow = &mut self.flows[at];
        if let (Body::Tcp(Tcp { seq: Some(seq), .. }), Ok(segment)) = (&expected.body, Segment::parse(&seen.ip))
            && segment.is_syn()
        {
            flow.learn(*seq, segment.seq.0);
        }
        let Some(mut actual) = seen.packet(flow) else {
            return Err(Stop::Fail("the host sent a packet of another protocol".to_owned()));
        };
        let mut text_ok = true;
        let mut stamp = None;
        if let (Body::Tcp(want), Body::Tcp(have)) = (&expected.body, &mut actual.body) {
            (text_ok, stamp) = check_text(flow, want, have, parts, self.setup.settings.tick);
            if want.absolute {
                have.seq = have.seq.map(|seq| flow.to_wire(seq));
            }
        }
        let differences = compare(expected, &actual, text_ok, stamp);
        let is_hard = |one: &&Difference| one.relax.is_none_or(|relax| !self.setup.relax.contains(&relax));
        let hard: Vec<_> = differences.iter().filter(is_hard).collect();
        if !hard.is_empty() {
            return Err(Stop::Fail(show_differences(expected, &actual, &differences, &hard)));
        }
        self.relaxed.extend(differences.iter().filter_map(|one| one.relax));
        Ok(())
    }

    pub(super) fn describe(&self, arrived: &Arrived) -> String {
        let packet = Seen::new(&arrived.bytes).and_then(|seen| {
            let flow = self.flows.iter().rev().find(|flow| seen.ends == Some((flow.local, flow.remote)));
            let flow = flow.or(self.flows.last());
            flow.and_then(|flow| seen.packet(flow))
        });
        packet.map_or_else(
            || "a packet of another connection".to_owned(),
            |packet| shown(&packet, IpInfo::default()).to_string(),
        )
    }
}

/// Checks the text of joined segments, and makes one segment of them. Learns the timestamp.
fn check_text(flow: &mut Flow, want: &Tcp, have: &mut Tcp, parts: &[Arrived], tick: u64) -> (bool, Option<u32>) {
    let mut ok = true;
    let mut total = 0;
    for (nth, part) in parts.iter().enumerate() {
        let Ok(segment) = IpView::parse(&part.bytes).and_then(|ip| Segment::parse(&ip)) else { continue };
        let from = flow.to_script(segment.seq.0).wrapping_add(u32::from(segment.is_syn()));
        ok &= flow.local_payload(from, segment.payload.len()) == segment.payload;
        total += segment.payload.len() as u32;
        if nth == 0 {
            have.seq = Some(flow.to_script(segment.seq.0));
        }
    }
    have.len = total;
    let stamp_of = |tcp: &Tcp| match &tcp.options {
        Options::List(list) => list.iter().find_map(|option| match option {
            TcpOption::Timestamp { val, .. } => *val,
            _ => None,
        }),
        Options::Any => None,
    };
    let (Some(script), Some(wire)) = (stamp_of(want), stamp_of(have)) else { return (ok, None) };
    let stamp = flow.first_stamp().filter(|_| tick > 0).map(|(first, first_wire)| {
        // Our clock of timestamps has milliseconds.
        let micros = u64::from(script.wrapping_sub(first)) * tick;
        first_wire.wrapping_add((micros / 1_000) as u32)
    });
    flow.learn_stamp(script, wire);
    (ok, stamp)
}

/// Bytes of text in a packet.
fn text_len(arrived: &Arrived) -> usize {
    Seen::new(&arrived.bytes).map_or(0, |seen| seen.payload.len())
}

/// True if `next` continues the text of `last`, which carries neither PSH nor FIN.
fn continues(last: &Arrived, next: &Arrived) -> bool {
    let (Ok(last_ip), Ok(next_ip)) = (IpView::parse(&last.bytes), IpView::parse(&next.bytes)) else { return false };
    let (Ok(last), Ok(next)) = (Segment::parse(&last_ip), Segment::parse(&next_ip)) else { return false };
    let ends = Flags::FIN | Flags::PSH | Flags::SYN | Flags::RST;
    (last.src, last.dst) == (next.src, next.dst) && next.seq == last.end() && !last.flags.intersects(ends)
}

/// A packet of the host without what scripts do not write: what `told` does not say about the IP header, and an
/// acknowledgment number of 0 without ACK.
fn shown(packet: &Packet, told: IpInfo) -> Packet {
    let mut packet = packet.clone();
    packet.ip = IpInfo {
        ecn: packet.ip.ecn.filter(|_| told.ecn.is_some()),
        tos: packet.ip.tos.filter(|_| told.tos.is_some()),
        flow_label: packet.ip.flow_label.filter(|_| told.flow_label.is_some()),
        ttl: packet.ip.ttl.filter(|_| told.ttl.is_some()),
    };
    if let Body::Tcp(tcp) = &mut packet.body {
        tcp.ack = tcp.ack.filter(|ack| tcp.flags.ack || *ack != 0);
    }
    packet
}

/// `hard`: those that make it a failure.
fn show_differences(expected: &Packet, actual: &Packet, all: &[Difference], hard: &[&Difference]) -> String {
    let mut text = format!("expected: {expected}\nactual:   {}", shown(actual, expected.ip));
    for Difference { field, expected, actual, .. } in all {
        let _ = write!(text, "\n  {field}: expected {expected}, was {actual}");
    }
    if let (Body::Tcp(want), Body::Tcp(have)) = (&expected.body, &actual.body)
        && (want.flags.ae, want.flags.ack, have.flags.ae, have.flags.ack) == (true, false, false, true)
    {
        text.push_str("\n  `A` is the flag AE; the flag ACK is written `.`");
    }
    let relax: Option<BTreeSet<_>> = hard.iter().map(|one| one.relax).collect();
    if let Some(relax) = relax {
        let names: Vec<_> = relax.iter().map(|relax| relax.name()).collect();
        let _ = write!(text, "\n  --relax {} leaves this out", names.join(","));
    }
    text
}
