//! What both ends agree on in the handshake: MSS, window scale, SACK, timestamps, ECN (RFC 9293, section 3.7.1; RFC 7323,
//! sections 2 and 3; RFC 2018, section 2; RFC 3168, section 6.1.1). [`Offer`] is what our SYN says; [`Terms`] is what
//! holds once the peer's SYN is known.

use crate::segment::{Flags, Options, Segment, Seq, Timestamps, default_mss};
use crate::stack::address::FourTuple;
use crate::stack::config::{HostConfig, TcpOptions};

/// The largest shift (RFC 7323, section 2.3).
const MAX_SHIFT: u8 = 14;
/// Linux's `tcp_min_snd_mss`: a peer cannot make us send smaller segments.
const MIN_PEER_MSS: u16 = 48;
/// What timestamps take in each segment, padding included (RFC 7323, appendix A).
pub(super) const TIMESTAMPS_LEN: u32 = 12;

/// What our SYN or SYN|ACK offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) struct Offer {
    pub(in crate::stack) mss: Option<u16>,
    /// The window that the segment says, which is never scaled.
    pub(in crate::stack) window: u16,
    pub(in crate::stack) shift: Option<u8>,
    pub(in crate::stack) sack: bool,
    pub(in crate::stack) timestamps: bool,
    pub(in crate::stack) ecn: bool,
    pub(in crate::stack) max_seg: Option<u16>,
    pub(in crate::stack) headers: u16,
}

impl Offer {
    /// What a SYN offers.
    pub(in crate::stack) fn new(config: &HostConfig, options: &TcpOptions, tuple: &FourTuple) -> Self {
        let headers = if tuple.local.ip().is_ipv4() { 40 } else { 60 };
        let mss = (config.mtu - usize::from(headers)).min(65_535) as u16;
        let buffer = options.rcv_buf.unwrap_or(config.rcv_buf_initial);
        let largest = options.rcv_buf.unwrap_or(config.rcv_buf_max.max(config.rcv_buf_initial));
        Self {
            mss: config.mss_option.then(|| options.max_seg.map_or(mss, |max_seg| max_seg.min(mss))),
            window: u16::try_from(buffer).unwrap_or(u16::MAX),
            shift: config.window_scaling.then(|| config.window_scale.unwrap_or_else(|| window_shift(largest))),
            sack: config.sack,
            timestamps: config.timestamps,
            ecn: config.ecn,
            max_seg: options.max_seg,
            headers,
        }
    }

    /// What the answer to this SYN offers: nothing that the SYN did not.
    #[must_use]
    pub(in crate::stack) fn answer(self, syn: &Options, flags: Flags) -> Self {
        Self {
            shift: self.shift.filter(|_| syn.wscale.is_some()),
            sack: self.sack && syn.sack_permitted,
            timestamps: self.timestamps && syn.ts.is_some(),
            // RFC 3168, section 6.1.1: an ECN-setup SYN has both flags.
            ecn: self.ecn && flags.contains(Flags::ECE | Flags::CWR),
            ..self
        }
    }

    /// The options of the SYN or SYN|ACK. `ts`: our timestamps, if they are offered.
    pub(in crate::stack) fn options(&self, ts: Timestamps) -> Options {
        Options {
            mss: self.mss,
            wscale: self.shift,
            sack_permitted: self.sack,
            ts: self.timestamps.then_some(ts),
            ..Options::default()
        }
    }
}

/// The window scale for a receive buffer: enough for its whole size.
pub(crate) const fn window_shift(rcv_buf: usize) -> u8 {
    let shift = (usize::BITS - rcv_buf.leading_zeros()).saturating_sub(16) as u8;
    if shift > MAX_SHIFT { MAX_SHIFT } else { shift }
}

/// What holds for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) struct Terms {
    pub(in crate::stack) irs: Seq,
    /// The MSS that the peer takes.
    pub(in crate::stack) peer_mss: u16,
    /// The window of its SYN.
    pub(in crate::stack) peer_window: u16,
    /// Window scale of both ends: ours, the peer's.
    pub(in crate::stack) shifts: Option<(u8, u8)>,
    pub(in crate::stack) sack: bool,
    pub(in crate::stack) timestamps: bool,
    pub(in crate::stack) ecn: bool,
    pub(in crate::stack) max_seg: Option<u16>,
    /// Bytes of IP and TCP headers without options.
    pub(in crate::stack) headers: u16,
}

impl Terms {
    /// What follows from our offer and the SYN or SYN|ACK of the peer.
    pub(in crate::stack) fn new(offer: &Offer, syn: &Segment<'_>) -> Self {
        let ecn = match (syn.is_ack(), syn.flags.contains(Flags::ECE), syn.flags.contains(Flags::CWR)) {
            (true, ece, cwr) => ece && !cwr,
            (false, ece, cwr) => ece && cwr,
        };
        Self::agreed(offer, syn.seq, syn.window, &syn.options, ecn, syn.src.ip())
    }

    /// The same from the fields of the peer's SYN.
    pub(in crate::stack) fn agreed(
        offer: &Offer,
        irs: Seq,
        window: u16,
        syn: &Options,
        ecn: bool,
        peer: core::net::IpAddr,
    ) -> Self {
        let peer_mss = syn.mss.filter(|mss| *mss != 0).unwrap_or(default_mss(peer));
        Self {
            irs,
            peer_mss: peer_mss.max(MIN_PEER_MSS),
            peer_window: window,
            // RFC 7323, section 2.3: a shift above 14 counts as 14.
            shifts: offer.shift.zip(syn.wscale).map(|(ours, theirs)| (ours, theirs.min(MAX_SHIFT))),
            sack: offer.sack && syn.sack_permitted,
            timestamps: offer.timestamps && syn.ts.is_some(),
            ecn: offer.ecn && ecn,
            max_seg: offer.max_seg,
            headers: offer.headers,
        }
    }

    /// The shift of windows that we advertise.
    pub(super) fn our_shift(&self) -> u8 {
        self.shifts.map_or(0, |(ours, _)| ours)
    }

    /// The shift of windows that the peer advertises.
    pub(super) fn peer_shift(&self) -> u8 {
        self.shifts.map_or(0, |(_, theirs)| theirs)
    }

    /// Bytes of text in the largest segment without options, for buffers of whole segments.
    pub(in crate::stack) fn whole_segment(&self, mtu: usize) -> u32 {
        Self { timestamps: false, ..*self }.send_mss(mtu)
    }

    /// Bytes of text in a full segment over a path of this MTU (`Eff.snd.MSS` of RFC 9293, section 3.7.1; RFC 6691: less
    /// the options that every segment carries).
    pub(in crate::stack) fn send_mss(&self, mtu: usize) -> u32 {
        let path = (mtu.saturating_sub(usize::from(self.headers))) as u32;
        let peer = u32::from(self.peer_mss);
        let max_seg = self.max_seg.map_or(u32::MAX, u32::from);
        let options = if self.timestamps { TIMESTAMPS_LEN } else { 0 };
        path.min(peer).min(max_seg).saturating_sub(options).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_shift_is_enough_for_the_whole_buffer() {
        assert_eq!(window_shift(0), 0);
        assert_eq!(window_shift(65_535), 0);
        assert_eq!(window_shift(65_536), 1);
        assert_eq!(window_shift(1 << 20), 5);
        assert_eq!(window_shift(6 << 20), 7);
        assert_eq!(window_shift(usize::MAX), 14);
    }
}
