//! How a recorded conversation begins, whether it can be played again, and the settings of the recorded host that its
//! packets show. `replay` and `drill` set up their host with them.

use core::net::IpAddr;

use super::packets::{CLIENT, Opening, Recorded, Recording, SERVER, SideFacts, Skip};
use crate::congestion::{self, Algorithm};
use crate::conversation::Side;
use crate::segment::Flags;
use crate::socket::HostConfig;
use crate::stack::window_shift;
use crate::time::Duration;

/// The longest conversation that is replayed, since virtual time is limited.
const LONGEST: Duration = Duration::from_hours(24 * 30);

/// The most bytes of a stream that is replayed, since it is kept in memory.
const MOST_BYTES: usize = 1 << 30;

/// Bytes of the usual send buffer.
pub(crate) const SND_BUF: usize = 64 << 10;

/// Settings of a host that cannot be inferred from segments.
#[derive(Clone)]
#[allow(clippy::struct_excessive_bools)] // Each is a setting of its own.
pub(crate) struct HostManner {
    pub(crate) congestion: Algorithm,
    pub(crate) nodelay: bool,
    pub(crate) quick_acks: bool,
    pub(crate) snd_buf: Option<usize>,
    pub(crate) ack_delay: Option<Duration>,
    pub(crate) mtu_probing: bool,
    pub(crate) tlp: bool,
}

/// The manners to be tried, the usual ones first. `host`: the settings of the host, if they are known. `sizes`: how many
/// sizes of a send buffer are tried.
pub(crate) fn manners(host: Option<&HostConfig>, sizes: usize) -> Vec<HostManner> {
    let usual = HostConfig::default();
    let congestion = host.map_or(&usual.congestion, |host| &host.congestion).clone();
    let ack_delay = host.map_or(usual.ack_delay, |host| host.ack_delay);
    let plain = HostManner {
        congestion,
        nodelay: false,
        quick_acks: false,
        snd_buf: None,
        ack_delay,
        mtu_probing: true,
        tlp: true,
    };
    // Options of sockets, which the settings of a host do not contain.
    let mut manners = vec![
        plain.clone(),
        HostManner { nodelay: true, ..plain.clone() },
        HostManner { quick_acks: true, ..plain.clone() },
        HostManner { mtu_probing: false, ..plain.clone() },
        HostManner { tlp: false, ..plain.clone() },
    ];
    if host.is_none() {
        let others = ["cubic", "none"].into_iter().filter_map(congestion::by_name);
        for congestion in core::iter::once(usual.congestion).chain(others) {
            for ack_delay in [usual.ack_delay, None] {
                // The size of the send buffer shows in where writes end.
                for snd_buf in core::iter::once(None).chain((0..sizes).map(|doubled| Some(SND_BUF << doubled))) {
                    let congestion = congestion.clone();
                    let manner = HostManner { congestion, snd_buf, ack_delay, ..plain };
                    manners.extend([manner.clone(), HostManner { nodelay: true, ..manner }]);
                }
            }
        }
    }
    manners
}

/// The settings of a host of this stack, as far as packets and a manner tell.
pub(crate) fn exact_settings(
    recording: &Recording,
    facts: &[SideFacts; 2],
    ours: Side,
    ip: IpAddr,
    manner: &HostManner,
) -> HostConfig {
    let usual = HostConfig::default();
    HostConfig {
        congestion: manner.congestion.clone(),
        ack_delay: manner.ack_delay,
        rcv_buf: receive_buffer(recording, facts, ours),
        snd_buf: manner.snd_buf,
        mtu_probing: manner.mtu_probing,
        tlp: manner.tlp,
        retries: retries(recording, ours).unwrap_or(usual.retries),
        syn_retries: syn_retries(recording, ours).unwrap_or(usual.syn_retries),
        ..settings(recording, facts, ours, ip)
    }
}

/// How often a SYN was sent again that was never answered: so often and no more.
fn syn_retries(recording: &Recording, ours: Side) -> Option<u32> {
    let silent = recording.packets.iter().all(|packet| packet.from == ours);
    silent.then_some(recording.packets.len() as u32 - 1)
}

/// How often a segment was sent again by the retransmission timer before the connection was given up: at intervals that
/// double, without an answer.
fn retries(recording: &Recording, ours: Side) -> Option<u32> {
    let last = recording.packets.last().filter(|last| last.from == ours && !last.payload.is_empty())?;
    let again = |packet: &&Recorded| packet.from == ours && packet.seq == last.seq && !packet.payload.is_empty();
    let times: Vec<_> = recording.packets.iter().rev().take_while(again).map(|packet| packet.at).collect();
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[0].saturating_sub(pair[1])).collect();
    let doubles = |pair: &&[Duration]| (pair[1] * 19..pair[1] * 21).contains(&(pair[0] * 10));
    (gaps.len() > 1).then(|| 1 + gaps.windows(2).take_while(doubles).count() as u32)
}

/// The receive buffer of a host of this stack: `None` if it grows. Else the largest window that it offered. One that did
/// not scale may have more.
fn receive_buffer(recording: &Recording, facts: &[SideFacts; 2], ours: Side) -> Option<usize> {
    let default = HostConfig::default();
    let own = recording.conversation.sender(ours);
    let shift = recording.conversation.window_shift(ours);
    let grows = own.offer.wscale == Some(window_shift(default.rcv_buf_max));
    let syn = recording.packets.iter().find(|packet| packet.from == ours && packet.has(Flags::SYN));
    if grows && syn.is_some_and(|syn| syn.window == u16::MAX) {
        return None;
    }
    let offered = own.offer.wscale.filter(|shift| (1..=14).contains(shift));
    let resets = recording.packets.iter().filter(|p| p.from == ours && p.has(Flags::RST) && p.is_acceptable());
    let of_resets = resets.map(|p| u32::from(p.window) << shift).max().unwrap_or(0);
    let largest = facts[ours].window.max(of_resets) as usize;
    Some(match offered {
        // Nothing but the SYN was seen, or the peer does not scale.
        Some(offered) if largest <= 0xffff => 1 << (15 + u32::from(offered)),
        _ if largest == 0xffff && shift == 0 && offered.is_none() => default.rcv_buf_initial,
        _ => largest.max(1),
    })
}

/// How a conversation begins and what both sides did, or why it is not replayed.
///
/// The strict comparison also covers attempts without a connection, if our side, `alone`, sent packets by itself.
pub(crate) fn examine(recording: &Recording, alone: Option<Side>) -> Result<(Opening, [SideFacts; 2]), Skip> {
    if let Some(trouble) = &recording.trouble {
        return Err(trouble.clone());
    }
    let said_syn = |end: Side| recording.packets.iter().any(|p| p.from == end && p.has(Flags::SYN));
    let opening = match (recording.opening(), alone) {
        (Ok(opening), _) => opening,
        (Err(_), Some(CLIENT)) if said_syn(CLIENT) && !recording.packets[0].has(Flags::ACK) && !said_syn(SERVER) => {
            Opening::Refused
        }
        (Err(_), Some(_)) if said_syn(CLIENT) && said_syn(SERVER) && !recording.packets[0].has(Flags::ACK) => {
            Opening::Open
        }
        (Err(skip), _) => return Err(skip),
    };
    if recording.duration() > LONGEST {
        let last = recording.packets.last().map(|packet| packet.number);
        return Err(Skip::new(last, format!("it lasts longer than {} days", LONGEST.as_secs() / 86_400)));
    }
    if recording.bytes.len() > MOST_BYTES {
        return Err(Skip::new(None, format!("it carries more than {} MiB", MOST_BYTES >> 20)));
    }
    Ok((opening, recording.facts()?))
}

/// The settings of the recorded host, as far as they can be inferred.
pub(crate) fn settings(recording: &Recording, facts: &[SideFacts; 2], ours: Side, ip: IpAddr) -> HostConfig {
    let default = HostConfig::default();
    let offer = recording.conversation.sender(ours).offer;
    let (headers, prefix) = if ip.is_ipv4() { (40, 32) } else { (60, 128) };
    let (own, theirs) = (&facts[ours], &facts[ours.other()]);
    let wanted = (own.window as usize).max(2 * own.peer_flight as usize).min(theirs.stream.len());
    HostConfig {
        addresses: vec![(ip, prefix)],
        mtu: offer.mss.map_or(default.mtu, |mss| usize::from(mss) + headers).clamp(576, 65_535),
        rcv_buf: Some(wanted.clamp(default.rcv_buf_initial, 16 << 20)),
        snd_buf: Some(own.stream.len().clamp(SND_BUF, 4 << 20)),
        congestion: congestion::by_name("none").unwrap_or_default(),
        timestamps: offer.timestamps,
        sack: offer.sack_permitted,
        ..default
    }
}
