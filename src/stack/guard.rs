//! Rules that smoltcp lacks and that can be applied a segment at a time, before TCP sees the segment.
//!
//! Each rule is a function from the connection and the segment to a [`Disposition`]; the stack does what it says. The
//! order is that of RFC 9293, section 3.10.7.4: timestamps, reset, SYN, acknowledgment, window, text. The guard changes
//! nothing itself, and a capture shows what was on the wire, before the guard.

use crate::conversation::{Conversation, Sender, Side};
use crate::event::{Rule, State};
use crate::segment::{Flags, IpView, Segment, Seq};
use crate::time::{Duration, Instant};

use super::connection::{Connection, Owner};
use super::tcp::Tcp;

/// What is to be done with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// TCP shall see it as it is.
    Pass,
    /// TCP shall see it changed.
    Rewrite(Rule, Mend),
    /// Nobody shall see it.
    Drop(Rule),
    /// Nobody shall see it; the peer is told where this end stands (RFC 5961: a challenge ACK).
    Reply(Rule),
    /// The connection is reset.
    Reset(Rule),
}

/// A change to a segment. What is `None` or false stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Mend {
    /// Cut the payload to this length; a FIN or PSH behind it goes.
    pub(super) cut: Option<usize>,
    pub(super) ack: Option<Seq>,
    /// The window field.
    pub(super) window: Option<u16>,
    /// Take the SYN off: sequence numbers begin one later.
    pub(super) syn: bool,
    /// Take the payload off the front: sequence numbers begin behind it.
    pub(super) skip: bool,
}

/// What the rules look at: the connection at the moment at which a segment came.
#[derive(Clone, Copy)]
pub(super) struct Situation<'a> {
    pub(super) connection: &'a Connection,
    pub(super) now: Instant,
    pub(super) rcv_nxt: Seq,
    pub(super) right_edge: Seq,
    /// Octets written and not acknowledged.
    pub(super) send_queue: usize,
}

impl<'a> Situation<'a> {
    pub(super) fn new(connection: &'a Connection, tcp: &Tcp, now: Instant) -> Self {
        let send_queue = tcp.socket().send_queue();
        Self { connection, now, send_queue, rcv_nxt: connection.rcv_nxt(tcp), right_edge: connection.right_edge(tcp) }
    }

    fn conversation(&self) -> &Conversation {
        &self.connection.conversation
    }

    /// The variables of what this end sends.
    fn ours(&self) -> &Sender {
        self.conversation().sender(Side::Local)
    }

    /// The segment acceptability test of RFC 9293, section 3.4: whether TCP will take anything from this segment.
    pub(super) fn accepts(&self, segment: &Segment<'_>) -> bool {
        let (start, end) = (segment.seq, segment.seq + segment.payload.len() as u32);
        if start == end {
            return start == self.rcv_nxt || (self.rcv_nxt < start && start < self.right_edge);
        }
        start < self.right_edge && self.rcv_nxt < end
    }

    /// The common case, which no rule touches: the next octets or a bare ACK, in the window, of something sent, and no
    /// window from before one that overtook it.
    #[inline]
    fn is_ordinary(&self, segment: &Segment<'_>) -> bool {
        let ours = self.ours();
        segment.flags.without(Flags::PSH) == Flags::ACK
            && segment.seq == self.rcv_nxt
            && ours.snd_wl1 <= segment.seq
            && segment.window != 0
            && ours.snd_una <= segment.ack
            && segment.ack <= ours.snd_nxt
            && segment.payload.len() as u32 <= self.right_edge - self.rcv_nxt
            && self.connection.state == State::Established
            && paws(self, segment) == Disposition::Pass
    }
}

/// Asks the rules in order. The first that drops, answers or resets decides; changes add up.
pub(super) fn judge(situation: &Situation<'_>, segment: &Segment<'_>) -> Disposition {
    if situation.is_ordinary(segment) {
        return Disposition::Pass;
    }
    if situation.connection.state == State::SynSent {
        return not_the_answer(situation, segment);
    }
    if segment.is_rst() {
        return exact_reset(situation, segment);
    }
    // Without its SYN the segment is another one: the rules below would not know it.
    let open = simultaneous_open(situation, segment);
    if open != Disposition::Pass {
        return open;
    }
    let rules = [
        paws,
        syn_challenged,
        out_of_window,
        ack_out_of_range,
        old_ack,
        repeated_ack_of_fin,
        stale_window,
        closed_over_flight,
        after_fin,
        fin_behind_old_text,
        nobody_reads,
        right_edge,
    ];
    let mut mended = None;
    for rule in rules {
        match rule(situation, segment) {
            Disposition::Pass => {}
            Disposition::Rewrite(rule, more) => {
                let (first, mend) = mended.unwrap_or((rule, Mend::default()));
                mended = Some((first, mend.and(more)));
            }
            decided => return decided,
        }
    }
    mended.map_or(Disposition::Pass, |(rule, mend)| Disposition::Rewrite(rule, mend))
}

/// RFC 9293, section 3.10.7.3: in SYN-SENT a bad acknowledgment is answered with an RST, by smoltcp, which overlooks it
/// behind a FIN or PSH.
fn not_the_answer(situation: &Situation<'_>, segment: &Segment<'_>) -> Disposition {
    let bad = segment.is_ack() && segment.ack != situation.ours().snd_nxt;
    if bad
        && !segment.flags.intersects(Flags::SYN | Flags::RST)
        && segment.flags.without(Flags::ACK) != Flags::default()
    {
        Disposition::Rewrite(Rule::AckOutOfRange, Mend { cut: Some(0), ..Mend::default() })
    } else {
        Disposition::Pass
    }
}

/// RFC 7323, section 5.3, R1: a segment whose timestamp is older than the last one is not acceptable, unless the
/// connection was idle for 24 days. The ACK that answers it is a challenge ACK here, limited as those.
fn paws(situation: &Situation<'_>, segment: &Segment<'_>) -> Disposition {
    const OUTDATED: Duration = Duration::from_hours(576);
    match (situation.connection.ts_recent, segment.options.ts) {
        (Some((recent, at)), Some(ts))
            if (ts.ts_val.wrapping_sub(recent) as i32) < 0 && !segment.is_rst() && situation.now - at < OUTDATED =>
        {
            Disposition::Reply(Rule::Paws)
        }
        _ => Disposition::Pass,
    }
}

/// RFC 5961, section 3.2: an RST resets only if it hits RCV.NXT exactly; elsewhere in the window it is challenged,
/// outside it is dropped. Its payload, which may explain it (RFC 9293, section 3.5.2), is not for TCP.
fn exact_reset(situation: &Situation<'_>, segment: &Segment<'_>) -> Disposition {
    if segment.seq == situation.rcv_nxt {
        return match segment.payload {
            [] => Disposition::Pass,
            _ => Disposition::Rewrite(Rule::ExactRst, Mend { cut: Some(0), ..Mend::default() }),
        };
    }
    if situation.rcv_nxt < segment.seq && segment.seq < situation.right_edge {
        Disposition::Reply(Rule::ExactRst)
    } else {
        Disposition::Drop(Rule::ExactRst)
    }
}

/// RFC 9293, section 3.5, figure 8: the SYN|ACK that ends a simultaneous open begins one before the window, where the
/// acceptability test would only have it acknowledged. Without its SYN it is the ACK that it also is.
fn simultaneous_open(situation: &Situation<'_>, segment: &Segment<'_>) -> Disposition {
    let expected = situation.connection.state == State::SynReceived
        && segment.is_syn()
        && segment.is_ack()
        && segment.seq == situation.connection.irs
        && segment.ack == situation.ours().snd_nxt;
    if expected {
        Disposition::Rewrite(Rule::SynChallenge, Mend { syn: true, ..Mend::default() })
    } else {
        Disposition::Pass
    }
}

/// RFC 5961, section 4.2: a SYN in a synchronized state is answered with a challenge ACK, whatever its sequence number.
fn syn_challenged(_: &Situation<'_>, segment: &Segment<'_>) -> Disposition {
    if segment.is_syn() { Disposition::Reply(Rule::SynChallenge) } else { Disposition::Pass }
}

/// RFC 9293, section 3.10.7.4, first: a segment outside of the window is acknowledged, whatever else it says. smoltcp
/// looks at the ACK before, and is silent if it is missing or old. (Data is for it to acknowledge, without a limit.)
fn out_of_window(situation: &Situation<'_>, segment: &Segment<'_>) -> Disposition {
    let ours = situation.ours();
    let overlooked = !segment.is_ack()
        || (segment.is_empty() && segment.ack < ours.snd_una)
        || (situation.connection.state == State::SynReceived && segment.ack != ours.snd_nxt);
    if overlooked && !situation.accepts(segment) { Disposition::Reply(Rule::OutOfWindow) } else { Disposition::Pass }
}

/// RFC 5961, section 5.2: acceptable is SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT. In SYN-RECEIVED an ACK out of range
/// is answered with an RST (RFC 9293, section 3.10.7.4), by smoltcp.
fn ack_out_of_range(situation: &Situation<'_>, segment: &Segment<'_>) -> Disposition {
    let ours = situation.ours();
    let in_range = || segment.ack <= ours.snd_nxt && ours.snd_una - ours.max_snd_wnd <= segment.ack;
    if situation.connection.state == State::SynReceived || !segment.is_ack() || in_range() {
        Disposition::Pass
    } else {
        Disposition::Reply(Rule::AckOutOfRange)
    }
}

/// RFC 9293, section 3.10.7.4: "If the ACK is a duplicate (SEG.ACK =< SND.UNA), it can be ignored": the ACK, but not the
/// text. smoltcp ignores the whole segment, so that it is shown the newest ACK and window instead.
fn old_ack(situation: &Situation<'_>, segment: &Segment<'_>) -> Disposition {
    let ours = situation.ours();
    if !segment.is_ack() || situation.connection.state == State::SynReceived || segment.ack >= ours.snd_una {
        return Disposition::Pass;
    }
    if segment.payload.is_empty() && !segment.is_fin() {
        return Disposition::Drop(Rule::OldAck);
    }
    let mend = Mend { ack: Some(ours.snd_una), window: Some(current_window(situation)), ..Mend::default() };
    Disposition::Rewrite(Rule::OldAck, mend)
}

/// The third duplicate ACK has smoltcp stop its timer for a fast retransmission; with only a FIN outstanding it has
/// nothing to retransmit fast, and would never send the FIN again. Such an ACK says nothing: RFC 5681, section 2, counts
/// duplicates to find lost data.
fn repeated_ack_of_fin(situation: &Situation<'_>, segment: &Segment<'_>) -> Disposition {
    let ours = situation.ours();
    let only_fin = situation.send_queue == 0
        && matches!(situation.connection.state, State::FinWait1 | State::Closing | State::LastAck)
        && ours.snd_una != ours.snd_nxt;
    // A FIN beyond a hole is not taken either.
    let flags = if segment.seq > situation.rcv_nxt { Flags::PSH | Flags::FIN } else { Flags::PSH };
    let says_nothing = segment.payload.is_empty()
        && segment.flags.without(flags) == Flags::ACK
        && segment.ack == ours.snd_una
        && situation.accepts(segment);
    if only_fin && says_nothing && segment.window == current_window(situation) {
        Disposition::Drop(Rule::OldAck)
    } else {
        Disposition::Pass
    }
}

/// RFC 9293, section 3.10.7.4: SND.WND is updated only if SND.WL1 < SEG.SEQ, or SND.WL1 = SEG.SEQ and SND.WL2 =<
/// SEG.ACK. smoltcp takes every window, so that an older segment is shown with the newest one.
fn stale_window(situation: &Situation<'_>, segment: &Segment<'_>) -> Disposition {
    let ours = situation.ours();
    let stale = segment.seq < ours.snd_wl1 || (segment.seq == ours.snd_wl1 && segment.ack < ours.snd_wl2);
    let window = current_window(situation);
    if stale && segment.is_ack() && segment.window != window && situation.connection.state != State::SynReceived {
        Disposition::Rewrite(Rule::OldAck, Mend { window: Some(window), ..Mend::default() })
    } else {
        Disposition::Pass
    }
}

/// RFC 9293, section 3.8.6.1: a window that closes over octets in flight leaves their retransmission going. smoltcp would
/// exchange its timer for that of probes, and have none when the window opens again. With a window of one octet its
/// retransmissions are the probes.
fn closed_over_flight(situation: &Situation<'_>, segment: &Segment<'_>) -> Disposition {
    let ours = situation.ours();
    // The octet of a probe is not in flight: smoltcp has not moved SND.NXT for it.
    let in_flight = ours.snd_una + situation.connection.watch.flight_size();
    if segment.is_ack()
        && segment.window == 0
        && ours.snd_una <= segment.ack
        && segment.ack < in_flight
        && situation.send_queue > 0
    {
        Disposition::Rewrite(Rule::ClosedOverFlight, Mend { window: Some(1), ..Mend::default() })
    } else {
        Disposition::Pass
    }
}

/// The window field that says SND.WND.
fn current_window(situation: &Situation<'_>) -> u16 {
    let shift = situation.conversation().window_shift(Side::Remote);
    u16::try_from(situation.ours().snd_wnd >> shift).unwrap_or(u16::MAX)
}

/// RFC 9293, section 3.10.7.4, seventh and eighth: after a FIN the peer has nothing to say; text and FIN are ignored, the
/// ACK is not. smoltcp would ignore the ACK beside a second FIN too.
fn after_fin(situation: &Situation<'_>, segment: &Segment<'_>) -> Disposition {
    if !situation.connection.fin_received || segment.is_empty() || segment.end() <= situation.rcv_nxt {
        return Disposition::Pass;
    }
    Disposition::Rewrite(Rule::AfterFin, Mend { cut: Some(0), ..Mend::default() })
}

/// RFC 9293, section 3.4: a FIN occupies a sequence number; behind text that is all old it is still new. smoltcp looks at
/// the text alone, and would never take it from a peer that sends both again.
fn fin_behind_old_text(situation: &Situation<'_>, segment: &Segment<'_>) -> Disposition {
    let text_end = segment.seq + segment.payload.len() as u32;
    let new = segment.is_fin() && !segment.payload.is_empty() && text_end == situation.rcv_nxt;
    if new && !situation.connection.fin_received {
        Disposition::Rewrite(Rule::AfterFin, Mend { skip: true, ..Mend::default() })
    } else {
        Disposition::Pass
    }
}

/// RFC 1122, section 4.2.2.13: data for an application that has closed is answered with an RST, so that its sender knows.
fn nobody_reads(situation: &Situation<'_>, segment: &Segment<'_>) -> Disposition {
    let end = segment.seq + segment.payload.len() as u32;
    let new_text = !segment.payload.is_empty() && end > situation.rcv_nxt && situation.accepts(segment);
    if situation.connection.owner == Owner::Orphan && new_text {
        Disposition::Reset(Rule::NoReader)
    } else {
        Disposition::Pass
    }
}

/// RFC 9293, section 3.4: text beyond the right edge of the window is not for TCP, and neither is a FIN behind it.
/// smoltcp trims the text but takes the FIN, and so loses what was trimmed.
fn right_edge(situation: &Situation<'_>, segment: &Segment<'_>) -> Disposition {
    let room = segment.seq.distance(situation.right_edge).wrapping_neg();
    if segment.payload.is_empty() || segment.payload.len() as i64 <= i64::from(room) {
        return Disposition::Pass;
    }
    match usize::try_from(room) {
        Ok(room @ 1..) => Disposition::Rewrite(Rule::RightEdge, Mend { cut: Some(room), ..Mend::default() }),
        // Nothing of it is for us: the answer says where the window ends (zero-window probes come here).
        _ => Disposition::Reply(Rule::RightEdge),
    }
}

impl Mend {
    /// Both changes.
    fn and(self, more: Self) -> Self {
        Self {
            cut: self.cut.into_iter().chain(more.cut).min(),
            ack: self.ack.or(more.ack),
            window: self.window.or(more.window),
            syn: self.syn || more.syn,
            skip: self.skip || more.skip,
        }
    }

    /// Applies the change to the packet. Its checksums are then wrong, which nobody asks again.
    pub(super) fn apply(&self, packet: &mut Vec<u8>) {
        let Ok(ip_header) = IpView::parse(packet).map(|ip| ip.header.len()) else { return };
        let tcp = &mut packet[ip_header..];
        if self.syn {
            let seq = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]).wrapping_add(1);
            tcp[4..8].copy_from_slice(&seq.to_be_bytes());
            tcp[13] &= !Flags::SYN.0;
        }
        if self.skip {
            let (header_len, flags) = (usize::from(tcp[12] >> 4) * 4, tcp[13]);
            let len = (tcp.len() - header_len) as u32;
            let seq = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]).wrapping_add(len);
            tcp[4..8].copy_from_slice(&seq.to_be_bytes());
            cut_payload(packet, ip_header, 0);
            packet[ip_header + 13] = flags;
        }
        let tcp = &mut packet[ip_header..];
        if let Some(ack) = self.ack {
            tcp[8..12].copy_from_slice(&ack.0.to_be_bytes());
        }
        if let Some(window) = self.window {
            tcp[14..16].copy_from_slice(&window.to_be_bytes());
        }
        if let Some(cut) = self.cut {
            cut_payload(packet, ip_header, cut);
        }
    }
}

/// Cuts the payload to this length; FIN and PSH go.
fn cut_payload(packet: &mut Vec<u8>, ip_header: usize, cut: usize) {
    let tcp = &mut packet[ip_header..];
    tcp[13] &= !(Flags::FIN | Flags::PSH).0;
    let len = ip_header + usize::from(tcp[12] >> 4) * 4 + cut;
    packet.truncate(len);
    if packet[0] >> 4 == 4 {
        packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    } else {
        packet[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
    }
}
