//! One connection of a script: its addresses, and how the numbers of the script become those on the wire and back.
//! `peer` uses it for packets that it sends, `compare` for packets that the host sent.
//!
//! The numbers of the remote side are used as they stand. Those of the local side are shifted by the difference between
//! the first number that the host sends and the one that the script has for it.

use core::net::SocketAddr;

/// A connection of a script.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// The end of the host under test.
    pub(super) local: SocketAddr,
    /// The end of the script.
    pub(super) remote: SocketAddr,
    /// The ports by which the script names the connection, if it does: remote, local.
    pub(super) named: Option<(u16, u16)>,
    /// The host opened it.
    pub(super) active: bool,
    /// Wire number minus script number of the local side, once the host's SYN was seen.
    shift: Option<u32>,
    /// The script's number of the first byte of text that the host sends.
    local_text: u32,
    /// The script's number of the first byte of text that the script sends.
    remote_text: Option<u32>,
    /// The host has acknowledged the SYN before that byte.
    synchronized: bool,
    /// What `remote_text` becomes if the host accepts a later SYN.
    offered: Option<u32>,
    /// Timestamps of the host: script value, wire value.
    stamps: Vec<(u32, u32)>,
}

/// Timestamps that are remembered. Older ones are forgotten.
const MOST_STAMPS: usize = 4_096;

impl Flow {
    pub(super) fn new(local: SocketAddr, remote: SocketAddr, named: Option<(u16, u16)>, active: bool) -> Self {
        Self {
            local,
            remote,
            named,
            active,
            shift: None,
            local_text: 1,
            remote_text: None,
            synchronized: false,
            offered: None,
            stamps: Vec::new(),
        }
    }

    /// True once the first number of the host is known.
    pub(super) fn is_mapped(&self) -> bool {
        self.shift.is_some()
    }

    /// The host has sent a SYN with `wire`, for which the script has `script`.
    pub(super) fn learn(&mut self, script: u32, wire: u32) {
        if self.shift.is_none() {
            self.shift = Some(wire.wrapping_sub(script));
            self.local_text = script.wrapping_add(1);
        }
    }

    /// A number of the local side on the wire.
    pub(super) fn to_wire(&self, script: u32) -> u32 {
        script.wrapping_add(self.shift.unwrap_or(0))
    }

    /// A number of the local side in the script.
    pub(super) fn to_script(&self, wire: u32) -> u32 {
        wire.wrapping_sub(self.shift.unwrap_or(0))
    }

    /// The script sends a segment with this sequence number. A SYN on an open connection changes no number of it, unless
    /// the host accepts it.
    pub(super) fn note_remote(&mut self, seq: u32, syn: bool) {
        let text = seq.wrapping_add(u32::from(syn));
        if self.remote_text.is_none() || (syn && !self.synchronized) {
            self.remote_text = Some(text);
        } else if syn {
            self.offered = Some(text);
        }
    }

    /// The host has acknowledged the script's side up to `ack`. `syn`: with a SYN|ACK.
    pub(super) fn note_ack(&mut self, ack: u32, syn: bool) {
        if syn && self.offered == Some(ack) {
            self.remote_text = self.offered.take();
        }
        self.synchronized |= self.remote_text.is_some_and(|text| ack.wrapping_sub(text) < 1 << 31);
    }

    /// The text of the remote side from a number on.
    pub(super) fn remote_payload(&self, seq: u32, len: usize) -> Vec<u8> {
        pattern(seq.wrapping_sub(self.remote_text.unwrap_or(seq)), len)
    }

    /// The text of the local side from a number of the script on.
    pub(super) fn local_payload(&self, script: u32, len: usize) -> Vec<u8> {
        pattern(script.wrapping_sub(self.local_text), len)
    }

    /// The host has sent a timestamp for which the script has `script`.
    pub(super) fn learn_stamp(&mut self, script: u32, wire: u32) {
        if self.stamps.len() == MOST_STAMPS {
            self.stamps.remove(1);
        }
        self.stamps.push((script, wire));
    }

    /// The first pair of timestamps.
    pub(super) fn first_stamp(&self) -> Option<(u32, u32)> {
        self.stamps.first().copied()
    }

    /// The timestamp of the host that a packet of the script echoes. What the script has not shown before is reckoned
    /// from the first pair.
    pub(super) fn echo_to_wire(&self, script: u32) -> u32 {
        let known = self.stamps.iter().rev().find(|(value, _)| *value == script);
        match (known, self.stamps.first()) {
            (Some((_, wire)), _) => *wire,
            (None, Some((value, wire))) => wire.wrapping_add(script.wrapping_sub(*value)),
            (None, None) => script,
        }
    }
}

/// `len` bytes of the text that scripts and programs send, from position `from` on. Byte n is n modulo 251, so a byte in
/// the wrong place is found.
pub(super) fn pattern(from: u32, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| ((u64::from(from) + at) % 251) as u8).collect()
}
