//! Changes to the TCP header of packets that smoltcp wrote or is about to read: what it cannot be told to do otherwise.
//! The checksum is filled in afterwards on the way out, and was verified before on the way in.

use crate::segment::{Flags, IpView, Seq};

/// Lowers the MSS option of a SYN to `max_seg`, so that smoltcp, which knows only the MTU, sends no larger segments. The
/// checksum is then wrong, which nobody asks again.
pub(super) fn lower_mss(packet: &mut [u8], max_seg: u16) {
    let Ok(ip) = IpView::parse(packet) else { return };
    let start = ip.header.len();
    let Some(data_offset) = packet.get(start + 12).map(|byte| usize::from(byte >> 4) * 4) else { return };
    let mut at = start + 20;
    while at + 4 <= start + data_offset {
        match packet[at] {
            0 => return,
            1 => at += 1,
            2 => {
                let mss = u16::from_be_bytes([packet[at + 2], packet[at + 3]]);
                packet[at + 2..at + 4].copy_from_slice(&mss.min(max_seg).to_be_bytes());
                return;
            }
            _ => at += usize::from(packet[at + 1]).max(2),
        }
    }
}

/// RFC 7323, section 4.3: the echo is `TS.Recent`. smoltcp echoes the last segment that it took, which may lie beyond a hole
/// or have come while an ACK was delayed.
pub(super) fn set_echo(packet: &mut [u8], recent: u32) {
    let start = if packet.first().is_some_and(|byte| byte >> 4 == 6) { 40 } else { 20 };
    let Some(data_offset) = packet.get(start + 12).map(|byte| usize::from(byte >> 4) * 4) else { return };
    let mut at = start + 20;
    while at + 10 <= (start + data_offset).min(packet.len()) {
        match packet[at] {
            0 => return,
            1 => at += 1,
            8 => {
                packet[at + 6..at + 10].copy_from_slice(&recent.to_be_bytes());
                return;
            }
            _ => at += usize::from(packet[at + 1]).max(2),
        }
    }
}

/// RFC 9293, section 3.10.7.4: `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`. After a timeout smoltcp goes back to SND.UNA with its
/// ACKs too: they would lie left of the window of a peer that has more, who would not look at them. Two ends that both
/// lost ACKs would never hear each other again.
pub(super) fn set_acceptable_seq(packet: &mut [u8], snd_nxt: Seq) {
    let start = if packet.first().is_some_and(|byte| byte >> 4 == 6) { 40 } else { 20 };
    let Some(header) = packet.get(start..start + 20) else { return };
    let is_bare_ack = header[13] == Flags::ACK.0 && start + usize::from(header[12] >> 4) * 4 == packet.len();
    let seq = Seq(u32::from_be_bytes([header[4], header[5], header[6], header[7]]));
    if is_bare_ack && seq < snd_nxt {
        packet[start + 4..start + 8].copy_from_slice(&snd_nxt.0.to_be_bytes());
    }
}
