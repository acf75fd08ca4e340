//! Path MTU discovery: by ICMP with checks, and by probing when ICMP is silent.

use core::net::IpAddr;

use super::lab::{Lab, MS, NOTHING, Offer};
use tcplab::event::Reason;
use tcplab::segment::{Packet, SegmentTemplate};

/// A router says that the segment with the text from `seq` on is too large for a link of `mtu` bytes.
fn too_big(lab: &mut Lab, seq: u32, mtu: u32) -> Vec<String> {
    let first = lab.said.iter().find(|said| !said.payload.is_empty()).expect("text");
    let about = SegmentTemplate {
        seq: lab.syn_ack.seq + seq,
        ack: first.ack,
        payload: &[7; 400],
        ..SegmentTemplate::new(first.src, first.dst)
    };
    icmp(lab, &about.to_bytes(), mtu)
}

fn icmp(lab: &mut Lab, about: &[u8], mtu: u32) -> Vec<String> {
    let word = mtu.to_be_bytes();
    let mut bytes = match lab.peer.host.ip() {
        IpAddr::V4(own) => {
            let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 9];
            bytes.extend_from_slice(&own.octets());
            bytes.extend_from_slice(&[3, 4, 0, 0]);
            bytes
        }
        IpAddr::V6(own) => {
            let mut bytes = vec![0x60, 0, 0, 0, 0, 0, 58, 64];
            bytes.extend_from_slice(&[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
            bytes.extend_from_slice(&own.octets());
            bytes.extend_from_slice(&[2, 0, 0, 0]);
            bytes
        }
    };
    let v4 = bytes[0] >> 4 == 4;
    bytes.extend_from_slice(&word);
    bytes.extend_from_slice(&about[..about.len().min(100)]);
    let (at, len) = if v4 { (2, bytes.len()) } else { (4, bytes.len() - 40) };
    bytes[at..at + 2].copy_from_slice(&(len as u16).to_be_bytes());
    let mut packet = Packet::new(bytes);
    // The checksums are not looked at.
    packet.meta.sound = true;
    lab.wire.host.handle_packet(lab.wire.now, &mut packet);
    let at = lab.ms();
    let said = lab.until(at);
    said.into_iter().map(|line| line.split_once(": ").expect("a time").1.to_owned()).collect()
}

fn flow(v6: bool) -> Lab {
    let mss = if v6 { 1440 } else { 1460 };
    let mut lab = Lab::with(&Offer { mss, v6, ..Offer::default() }, |_| {});
    assert_eq!(lab.write(3 * usize::from(mss)).len(), 3);
    lab.until(150);
    lab.reasons();
    lab
}

/// RFC 1191, section 6.3, and RFC 8201, section 4: what is in flight and too large is cut and sent again, and cwnd stays.
#[test]
fn rfc_1191_section_6_3_a_report_lowers_the_segment_size_and_sends_again_what_was_too_large() {
    let mut lab = flow(false);
    let before = lab.info();
    let said = too_big(&mut lab, 1, 1000);
    assert_eq!(said, ["1:961", "961:1461", "1461:2421", "2421:2921", "2921:3881", "3881:4381 PSH"]);
    assert_eq!(lab.reasons(), [Some(Reason::PathMtu); 6]);
    assert_eq!((lab.info().snd_mss, lab.info().snd_cwnd), (960, before.snd_cwnd));
    assert_eq!(lab.ack(4381), NOTHING);
    assert_eq!(lab.write(2000), ["4381:5341", "5341:6301", "6301:6381 PSH"]);
    let mut lab = flow(true);
    assert_eq!(too_big(&mut lab, 1, 1400)[..2], ["1:1341", "1341:1441"]);
    assert_eq!(lab.info().snd_mss, 1340);
}

/// RFC 5927, section 4.1: a report counts only if it quotes a sequence number in flight: SND.UNA =< SEG.SEQ < SND.NXT.
#[test]
fn rfc_5927_section_4_1_a_report_about_a_number_that_is_not_in_flight_is_ignored() {
    for v6 in [false, true] {
        for (seq, counts) in [(1440, false), (1441, true), (4320, true), (4321, false), (100_000, false)] {
            let mss = 1440;
            let mut lab = Lab::with(&Offer { mss, v6, ..Offer::default() }, |_| {});
            assert_eq!(lab.write(3 * 1440).len(), 3);
            assert_eq!(lab.ack(1441), NOTHING);
            let said = too_big(&mut lab, seq, 1300);
            assert_eq!(!said.is_empty(), counts, "about {seq}: {said:?}");
            assert_eq!(lab.info().snd_mss < 1440, counts);
        }
    }
}

/// RFC 5927, section 7.2, and Linux: a report of less than 552 bytes (IPv6: 1,280) counts as that; RFC 8201, section 4: a report
/// never raises the MTU.
#[test]
fn rfc_5927_section_7_2_no_report_lowers_the_mtu_below_552_or_raises_it() {
    for (v6, mtu, mss) in [
        (false, 553, 513),
        (false, 552, 512),
        (false, 551, 512),
        (false, 68, 512),
        (false, 1499, 1459),
        (false, 1500, 1460),
        (false, 9000, 1460),
        (true, 1281, 1221),
        (true, 1280, 1220),
        (true, 1279, 1220),
        (true, 1500, 1440),
    ] {
        let mut lab = flow(v6);
        too_big(&mut lab, 1, mtu);
        assert_eq!(lab.info().snd_mss, mss, "{mtu} bytes");
        too_big(&mut lab, 1, 1490);
        assert!(lab.info().snd_mss <= mss.max(1450), "a later report of more");
    }
    // RFC 1191, section 7.1: a router that tells no MTU; the quoted packet has 440 bytes, too few for any plateau.
    let mut lab = flow(false);
    too_big(&mut lab, 1, 0);
    assert_eq!(lab.info().snd_mss, 512);
}

/// A host without path MTU discovery ignores reports.
#[test]
fn without_path_mtu_discovery_no_report_counts() {
    let mut lab = Lab::with(&Offer { mss: 1460, ..Offer::default() }, |config| config.path_mtu_discovery = false);
    lab.write(2920);
    assert_eq!(too_big(&mut lab, 1, 1000), NOTHING);
    assert_eq!(lab.info().snd_mss, 1460);
}

/// RFC 4821, section 7.7: the segment that vanishes need not be full. A step that would not cut it is left out.
#[test]
fn rfc_4821_section_7_7_a_segment_that_is_not_full_is_cut_too() {
    for (len, at_once, size) in [(1161, "1000: 1:1161", 1160), (1160, "1000: 1:985", 984), (984, "1000: 1:537", 536)] {
        let mut lab = Lab::with(&Offer { mss: 1460, ..Offer::default() }, |config| config.tlp = false);
        assert_eq!(lab.write(len), [format!("1:{} PSH", len + 1)]);
        assert_eq!(lab.until(999).len(), 1);
        assert_eq!(lab.until(1000)[0], at_once, "{len} bytes");
        assert_eq!(lab.info().snd_mss, size);
    }
    let mut lab = Lab::with(&Offer { mss: 1460, ..Offer::default() }, |config| config.tlp = false);
    assert_eq!(lab.write(536), ["1:537 PSH"]);
    assert!(lab.until(60_000).iter().all(|line| line.ends_with(": 1:537 PSH")));
    assert_eq!(lab.info().snd_mss, 1460, "no step would cut it");
}

/// RFC 4821, section 7.7: full segments vanish in silence. After two timeouts of the same segment the next step is tried: 1,200,
/// 1,024 and 576 bytes.
#[test]
fn rfc_4821_section_7_7_after_two_timeouts_in_silence_smaller_segments_are_tried() {
    let offer = Offer { mss: 1460, ..Offer::default() };
    let mut lab = Lab::with(&offer, |config| config.tlp = false);
    assert_eq!(lab.write(1460), ["1:1461 PSH"]);
    assert_eq!(lab.until(400), ["400: 1:1461 PSH"]);
    assert_eq!(lab.info().snd_mss, 1460);
    let said = lab.until(1000);
    assert_eq!(said[0], "1000: 1:1161");
    assert_eq!(lab.info().snd_mss, 1160);
    // 1,201 bytes do not pass either.
    let said = lab.until(60_000);
    assert!(said.iter().any(|line| line.ends_with(": 1:985")), "{said:?}");
    assert!(said.iter().any(|line| line.ends_with(": 1:537")), "{said:?}");
    assert_eq!(lab.info().snd_mss, 536);
    let begin = lab.ms();
    lab.ack(537);
    lab.until(begin + 100);
    lab.ack(1461);
    let said = lab.write(4000);
    let most = said.iter().map(|line| {
        let (from, to) = line.split([' ']).next().expect("numbers").split_once(':').expect("text");
        to.parse::<u32>().expect("a number") - from.parse::<u32>().expect("a number")
    });
    assert_eq!(most.max(), Some(536), "no larger segment afterwards");
    let mut lab = Lab::with(&offer, |config| (config.mtu_probing, config.tlp) = (false, false));
    lab.write(1460);
    assert!(lab.until(60_000).iter().all(|line| line.ends_with(": 1:1461 PSH")));
    assert!(lab.info().rto > 200 * MS);
}
