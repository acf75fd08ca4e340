//! ICMP errors about a conversation. They quote the packet that could not be delivered, and are fed with the live numbers in
//! the quotation.

use core::net::SocketAddr;

use super::feed::Mapping;
use super::live::Live;
use crate::recording::Recorded;
use crate::segment::{IpView, Quoted};

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
