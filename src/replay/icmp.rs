//! ICMP errors about a conversation: they quote the packet that could not go on, and are fed with the live numbers in the
//! quoted packet.

use core::net::SocketAddr;

use super::feed::Mapping;
use super::live::Live;
use super::recording::Recorded;
use crate::segment::{IpView, Quoted};

/// The ends of the quoted packet: its sender, whom the error is for, and the other one.
pub(super) fn quoted_ends(bytes: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let ip = IpView::parse_captured(bytes).ok()?;
    let quoted = Quoted::parse(&ip).filter(|quoted| quoted.seq.is_some() && ip.dst == quoted.src.ip())?;
    Some((quoted.src, quoted.dst))
}

/// The error as it is fed: about the live connection between `ends`, ours first.
pub(super) fn mapped(
    mapping: &Mapping<'_>,
    packet: &Recorded,
    live: &Live,
    ends: (SocketAddr, SocketAddr),
) -> Option<Vec<u8>> {
    let mut bytes = mapping.recording.bytes[packet.payload.clone()].to_vec();
    let number = Quoted::parse(&IpView::parse_captured(&bytes).ok()?)?.seq?;
    Quoted::rewrite(&mut bytes, ends.0, ends.1, mapping.number(number, live))?;
    Some(bytes)
}
