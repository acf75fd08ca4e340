//! What is remembered of each segment that passes between smoltcp and the link: the conversation, the watch, the host's own
//! limits. The segment is finished on its way out (checksums, and what [`super::rewrite`] mends); nothing is decided here.

use crate::conversation::{DataKind, Side};
use crate::event::State;
use crate::segment::{Flags, Segment, fill_checksums};
use crate::time::Instant;

use super::connection::Connection;
use super::rewrite::{lower_mss, set_acceptable_seq, set_echo};
use super::watch::Watch;

/// Takes note of a segment that smoltcp has seen, if TCP took anything from it.
pub(super) fn note_ingress(
    connection: &mut Connection,
    now: Instant,
    before: State,
    segment: &Segment<'_>,
    accepted: bool,
) {
    connection.limits.heard_at = now;
    connection.limits.keep_alives = 0;
    connection.limits.window_probes = 0;
    if !(if before == State::SynSent { answers_our_syn(connection, segment) } else { accepted }) {
        return;
    }
    if segment.is_syn() {
        connection.irs = segment.seq;
    }
    remember_timestamp(connection, now, segment);
    connection.largest_received = connection.largest_received.max(segment.payload.len() as u32);
    connection.fin_received |= matches!(connection.state, State::CloseWait | State::Closing | State::TimeWait);
    let una = connection.conversation.sender(Side::Local).snd_una;
    connection.conversation.observe(now, Side::Remote, segment);
    let ours = connection.conversation.sender(Side::Local);
    if ours.snd_una != una {
        connection.limits.give_up_at = None;
        connection.limits.unacked_since = (ours.snd_una != ours.snd_nxt).then_some(now);
    }
}

/// RFC 9293, section 3.10.7.3: what SYN-SENT takes.
fn answers_our_syn(connection: &Connection, segment: &Segment<'_>) -> bool {
    let acked = segment.is_ack() && segment.ack == connection.conversation.sender(Side::Local).snd_nxt;
    (segment.is_syn() && !segment.is_rst() && (acked || !segment.is_ack())) || (segment.is_rst() && acked)
}

/// RFC 7323, section 4.3: `TS.Recent` follows a segment that begins at or before the last ACK sent.
fn remember_timestamp(connection: &mut Connection, now: Instant, segment: &Segment<'_>) {
    let Some(ts) = segment.options.ts else { return };
    if segment.is_syn() {
        connection.ts_recent = Some((ts.ts_val, now));
        return;
    }
    let last_ack = connection.conversation.sender(Side::Local).last_ack;
    if let Some((recent, at)) = &mut connection.ts_recent
        && last_ack.is_none_or(|last_ack| segment.seq <= last_ack)
        && ts.ts_val.wrapping_sub(*recent) as i32 >= 0
    {
        (*recent, *at) = (ts.ts_val, now);
    }
}

/// Finishes a packet that smoltcp wrote for a connection, and takes note of it. Returns its flags.
pub(super) fn note_egress(
    connection: &mut Connection,
    now: Instant,
    bytes: &mut [u8],
    watch: impl FnOnce(&mut Watch, &Segment<'_>),
) -> Flags {
    if let Some(max_seg) = connection.max_seg
        && bytes.len() <= MAX_HEADERS
    {
        lower_mss(bytes, max_seg);
    }
    if let Some((recent, _)) = connection.ts_recent {
        set_echo(bytes, recent);
    }
    set_acceptable_seq(bytes, connection.conversation.sender(Side::Local).snd_nxt);
    let Some(segment) = fill_checksums(bytes).and_then(|ip| Segment::parse(&ip).ok()) else {
        return Flags::default();
    };
    let seen = connection.conversation.observe(now, Side::Local, &segment);
    connection.limits.window_probes += u32::from(seen.data == DataKind::Probe);
    watch(&mut connection.watch, &segment);
    let ours = connection.conversation.sender(Side::Local);
    if connection.limits.unacked_since.is_none() && ours.snd_una != ours.snd_nxt {
        connection.limits.unacked_since = Some(now);
    }
    segment.flags
}

/// A SYN is all headers: 40 octets of IPv6, 60 of TCP.
const MAX_HEADERS: usize = 100;
