//! The owned bytes of one packet, with its metadata. Links, devices and hosts pass it on.

/// The number of a packet in one run. Events with the same number are about the same packet. A duplicate made by a link
/// keeps the number of its original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PacketId(pub u64);

/// The metadata of a packet between device, link and stack. It is not on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PacketMeta {
    /// Given by the loop when a host sends the packet.
    pub id: PacketId,
    /// A stack of this process has filled in the checksums and nothing has changed the bytes since, so that the
    /// receiver need not verify them (as between the two ends of a veth(4)). Code that changes a byte must clear this.
    pub sound: bool,
    /// A stack of this process has left the checksums out: the fields have no meaning yet. The packet is [sound](Self::sound).
    /// Code that reads, shows or changes bytes, or gives them to another machine, must call
    /// [`complete_checksums`](super::complete_checksums) first. Every packet of an event is complete.
    pub checksums_missing: bool,
    /// A router forwards it: it was on a link before.
    pub forwarded: bool,
}

/// An IP datagram: the bytes from the first of the IP header to the last of the payload. The buffer is meant to be used
/// again: loops keep a pool of packets.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Packet {
    /// The datagram as on the wire.
    pub bytes: Vec<u8>,
    /// What is not on the wire.
    pub meta: PacketMeta,
}

impl Packet {
    /// A packet of these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, meta: PacketMeta::default() }
    }
}

impl Packet {
    /// Inverts one bit; bit 0 is the highest of its byte. False if the packet has no such byte. Checksums stay as they are,
    /// and those that are missing are filled in before, so that the receiver detects the change.
    pub fn flip_bit(&mut self, byte: usize, bit: u8) -> bool {
        super::complete_checksums(self);
        let Some(value) = self.bytes.get_mut(byte) else { return false };
        *value ^= 0x80 >> (bit & 7);
        self.meta.sound = false;
        true
    }
}

impl From<&[u8]> for Packet {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }
}
