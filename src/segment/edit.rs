//! The one place that edits header bytes of packets, and keeps their checksums right.
//!
//! [`HeaderEditor`] changes fields of a TCP segment in place. Each change updates the checksums that cover it (RFC
//! 1624), so a correct checksum stays correct and a wrong one stays wrong. Routers lower the TTL here; replay and the
//! parser of captures use the rest.

use core::net::IpAddr;

use super::{Flags, IpView, Malformed, Packet, Protocol, Seq, checksum};

/// Edits the headers of a packet that carries TCP.
#[derive(Debug)]
pub struct HeaderEditor<'a> {
    bytes: &'a mut [u8],
    /// Where the TCP header begins and ends.
    tcp: usize,
    end: usize,
    v6: bool,
}

impl<'a> HeaderEditor<'a> {
    /// Edits the packet in `bytes`.
    ///
    /// # Errors
    /// [`Malformed`] if the packet is no TCP segment.
    pub fn new(bytes: &'a mut [u8]) -> Result<Self, Malformed> {
        let ip = IpView::parse(bytes)?;
        if ip.protocol != Protocol::Tcp {
            return Err(Malformed::NotTcp);
        }
        if ip.fragment {
            return Err(Malformed::Fragment);
        }
        let tcp = ip.header.len();
        let len = ip.payload.get(12).map_or(0, |byte| usize::from(byte >> 4) * 4);
        if len < 20 || len > ip.payload.len() {
            return Err(Malformed::TcpHeader);
        }
        let v6 = ip.src.is_ipv6();
        Ok(Self { bytes, tcp, end: tcp + len, v6 })
    }

    /// Changes source and destination port.
    pub fn set_ports(&mut self, src: u16, dst: u16) -> &mut Self {
        self.write(0, &src.to_be_bytes()).write(2, &dst.to_be_bytes())
    }

    /// Changes SEG.SEQ.
    pub fn set_seq(&mut self, seq: Seq) -> &mut Self {
        self.write(4, &seq.0.to_be_bytes())
    }

    /// Changes SEG.ACK.
    pub fn set_ack(&mut self, ack: Seq) -> &mut Self {
        self.write(8, &ack.0.to_be_bytes())
    }

    /// Changes the control bits.
    pub fn set_flags(&mut self, flags: Flags) -> &mut Self {
        let offset = self.bytes[self.tcp + 12];
        self.write(12, &[offset, flags.0])
    }

    /// Changes the window field.
    pub fn set_window(&mut self, window: u16) -> &mut Self {
        self.write(14, &window.to_be_bytes())
    }

    /// Changes the MSS option, if there is one.
    pub fn set_mss(&mut self, mss: u16) -> &mut Self {
        match self.option(2, 4) {
            Some(at) => self.write(at + 2, &mss.to_be_bytes()),
            None => self,
        }
    }

    /// Changes `TSecr` of the timestamps option, if there is one (RFC 7323, section 3).
    pub fn set_echo(&mut self, ts_ecr: u32) -> &mut Self {
        match self.option(8, 10) {
            Some(at) => self.write(at + 6, &ts_ecr.to_be_bytes()),
            None => self,
        }
    }

    /// Changes the addresses. Those of the other IP version are not written.
    pub fn set_addresses(&mut self, src: IpAddr, dst: IpAddr) -> &mut Self {
        let (at, len) = if self.v6 { (8, 16) } else { (12, 4) };
        for (at, address) in [(at, src), (at + len, dst)] {
            let mut new = [0; 16];
            let new = match address {
                IpAddr::V4(v4) if !self.v6 => {
                    new[..4].copy_from_slice(&v4.to_bits().to_be_bytes());
                    &new[..4]
                }
                IpAddr::V6(v6) if self.v6 => {
                    new = v6.to_bits().to_be_bytes();
                    &new[..]
                }
                _ => continue,
            };
            // Addresses are part of the pseudo-header: both checksums change.
            let delta = replace(&mut self.bytes[at..at + len], new, 0);
            update(&mut self.bytes[self.tcp + 16..self.tcp + 18], delta);
            if !self.v6 {
                update(&mut self.bytes[10..12], delta);
            }
        }
        self
    }

    /// Makes the checksum of the segment wrong.
    pub fn spoil_checksum(&mut self) -> &mut Self {
        self.bytes[self.tcp + 16] ^= 0xff;
        self
    }

    /// Where an option of this kind and length stands in the TCP header.
    fn option(&self, kind: u8, len: usize) -> Option<usize> {
        let area = &self.bytes[self.tcp + 20..self.end];
        let mut at = 0;
        while at < area.len() {
            match area[at] {
                0 => return None,
                1 => at += 1,
                found => {
                    let found_len = usize::from(*area.get(at + 1)?);
                    if found == kind && found_len == len && at + len <= area.len() {
                        return Some(20 + at);
                    }
                    at += found_len.max(2);
                }
            }
        }
        None
    }

    /// Writes `new` at a place in the TCP header and updates the checksum.
    fn write(&mut self, at: usize, new: &[u8]) -> &mut Self {
        let delta = replace(&mut self.bytes[self.tcp + at..self.tcp + at + new.len()], new, at);
        update(&mut self.bytes[self.tcp + 16..self.tcp + 18], delta);
        self
    }
}

/// Writes `new` over `old` and gives `~m + m'` of RFC 1624, summed over their 16-bit words. `at` is their place in what
/// the checksum covers: it gives which bytes are the high ones.
fn replace(old: &mut [u8], new: &[u8], at: usize) -> u64 {
    let mut delta = 0;
    for (place, (old, new)) in old.iter_mut().zip(new).enumerate() {
        let shift = if (at + place).is_multiple_of(2) { 8 } else { 0 };
        delta += 0xffff - (u64::from(*old) << shift) + (u64::from(*new) << shift);
        *old = *new;
    }
    delta
}

/// RFC 1624, equation 3: `HC' = ~(~HC + ~m + m')`.
fn update(field: &mut [u8], delta: u64) {
    let check = u16::from_be_bytes([field[0], field[1]]);
    let check = !checksum::fold(u64::from(!check) + delta);
    field.copy_from_slice(&check.to_be_bytes());
}

/// Takes one from the TTL or hop limit of a packet that has one left, and updates the checksum of the IPv4 header (RFC
/// 1624). A header that was wrong stays wrong, and a checksum that is missing stays missing.
pub(crate) fn decrement_ttl(packet: &mut Packet) {
    let missing = packet.meta.checksums_missing;
    let packet = packet.bytes.as_mut_slice();
    match packet.first().map(|byte| byte >> 4) {
        Some(4) if packet.len() >= 20 => {
            let ttl = packet[8].saturating_sub(1);
            let delta = replace(&mut packet[8..9], &[ttl], 8);
            if !missing {
                update(&mut packet[10..12], delta);
            }
        }
        Some(6) if packet.len() >= 40 => packet[7] = packet[7].saturating_sub(1),
        _ => {}
    }
}

/// Takes the marks of a fragment from an IPv4 header.
pub(super) fn clear_fragment(header: &mut [u8]) {
    header[6..8].fill(0);
}

/// Writes the length of a packet into its IP header, and the checksum of an IPv4 header anew.
pub(super) fn set_ip_len(packet: &mut [u8]) {
    let len = packet.len().min(65_535);
    match packet.first().map(|byte| byte >> 4) {
        Some(4) if packet.len() >= 20 => {
            packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            let header = (usize::from(packet[0] & 0x0f) * 4).clamp(20, packet.len());
            packet[10..12].fill(0);
            let check = !checksum::fold(checksum::sum(&packet[..header]));
            packet[10..12].copy_from_slice(&check.to_be_bytes());
        }
        Some(6) if packet.len() >= 40 => packet[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::segment::{Segment, SegmentTemplate, Timestamps, complete_checksums};

    fn template(v6: bool, payload: &[u8]) -> SegmentTemplate<'_> {
        let [src, dst] = if v6 { ["[fd00::1]:80", "[fd00::2]:90"] } else { ["192.0.2.1:80", "192.0.2.2:90"] };
        let [src, dst] = [src, dst].map(|addr| addr.parse().expect("an address"));
        let mut template = SegmentTemplate { payload, ..SegmentTemplate::new(src, dst) };
        template.options.mss = Some(1460);
        template.options.ts = Some(Timestamps { ts_val: 7, ts_ecr: 8 });
        template
    }

    fn parse(bytes: &[u8]) -> (Segment<'_>, bool) {
        let ip = IpView::parse(bytes).expect("a packet");
        (Segment::parse(&ip).expect("a segment"), ip.checksums_ok())
    }

    #[test]
    fn a_ttl_goes_down_by_one_and_the_checksum_stays_right_for_every_ttl() {
        for (ttl, v6) in (1..=255).flat_map(|ttl| [(ttl, false), (ttl, true)]) {
            let text = [ttl; 9];
            let template = SegmentTemplate { ttl, ..template(v6, &text) };
            let mut packet = Packet::new(template.to_bytes());
            decrement_ttl(&mut packet);
            let ip = IpView::parse(&packet.bytes).expect("a packet");
            assert_eq!(ip.ttl, ttl - 1);
            assert!(ip.checksums_ok(), "TTL {ttl}");
            let mut unfinished = Packet::default();
            template.write_without_checksums(text.len(), &mut unfinished, |bytes| bytes.extend_from_slice(&text));
            decrement_ttl(&mut unfinished);
            complete_checksums(&mut unfinished);
            assert_eq!(unfinished.bytes, packet.bytes, "TTL {ttl}");
            packet.bytes[10] ^= 0x10;
            decrement_ttl(&mut packet);
            assert!(!IpView::parse(&packet.bytes).is_ok_and(|ip| ip.checksums_ok()), "a wrong header stays wrong");
        }
    }

    proptest! {
        #[test]
        fn edited_fields_read_back_and_checksums_stay_as_right_as_they_were(
            v6 in any::<bool>(),
            harmed in any::<bool>(),
            numbers in any::<(u16, u16, u32, u32, u8, u16, u16, u32)>(),
            host in any::<(u8, u8)>(),
            payload in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let (src_port, dst_port, seq, ack, flags, window, mss, echo) = numbers;
            let addresses = if v6 { [format!("fd00::{}", host.0), format!("fd00::{}", host.1)] }
                else { [format!("10.0.0.{}", host.0), format!("10.9.0.{}", host.1)] };
            let [src, dst]: [IpAddr; 2] = addresses.map(|address| address.parse().expect("an address"));
            let mut bytes = template(v6, &payload).to_bytes();
            let len = bytes.len();
            if harmed {
                HeaderEditor::new(&mut bytes).expect("a segment").spoil_checksum();
            }
            HeaderEditor::new(&mut bytes).expect("a segment")
                .set_ports(src_port, dst_port).set_seq(Seq(seq)).set_ack(Seq(ack)).set_flags(Flags(flags))
                .set_window(window).set_mss(mss).set_echo(echo).set_addresses(src, dst);
            let (segment, sound) = parse(&bytes);
            prop_assert_eq!(sound, !harmed);
            prop_assert_eq!((segment.src.port(), segment.dst.port()), (src_port, dst_port));
            prop_assert_eq!((segment.src.ip(), segment.dst.ip()), (src, dst));
            prop_assert_eq!((segment.seq, segment.ack, segment.flags), (Seq(seq), Seq(ack), Flags(flags)));
            prop_assert_eq!((segment.window, segment.options.mss), (window, Some(mss)));
            prop_assert_eq!(segment.options.ts, Some(Timestamps { ts_val: 7, ts_ecr: echo }));
            prop_assert_eq!((segment.payload, bytes.len()), (&payload[..], len));
        }
    }

    #[test]
    fn options_that_are_not_there_are_not_written_and_other_addresses_change_nothing() {
        let mut plain =
            SegmentTemplate { options: crate::segment::Options::default(), ..template(false, b"12") }.to_bytes();
        let before = plain.clone();
        let v6: IpAddr = "fd00::9".parse().expect("an address");
        HeaderEditor::new(&mut plain).expect("a segment").set_mss(1).set_echo(2).set_addresses(v6, v6);
        assert_eq!(plain, before);
        assert!(HeaderEditor::new(&mut plain[..30]).is_err());
        plain[9] = 17;
        assert!(matches!(HeaderEditor::new(&mut plain), Err(Malformed::NotTcp)));
    }
}
