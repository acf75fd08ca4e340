//! Writes TCP options: their order, and the padding between them. RFC 9293, section 3.1, permits any order; peers can tell
//! systems apart by it. `build` calls this file.
//!
//! Every layout but [`OptionLayout::Compact`] pads before an option, so that its 32-bit numbers are aligned in the header.

use super::Options;

/// The order of the options in a TCP header, and their padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OptionLayout {
    /// Linux. A SYN has MSS, SACK-permitted, timestamps, NOP, window scale. Other segments have NOP, NOP, timestamps, and
    /// NOP, NOP, SACK.
    #[default]
    Linux,
    /// FreeBSD. A SYN has MSS, NOP, window scale, SACK-permitted, timestamps. Other segments are as on Linux.
    FreeBsd,
    /// MSS, window scale, SACK-permitted, timestamps, SACK, without NOP. End-of-options pads the end.
    Compact,
}

const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

/// The longest options area of a TCP header, in bytes.
pub(super) const LONGEST: usize = 40;

/// An options area that is being written. What follows the options is zero: end-of-options.
struct Area<'a> {
    bytes: &'a mut [u8; LONGEST],
    len: usize,
}

impl Area<'_> {
    /// Adds an option, unless there is no room for it.
    #[inline]
    fn put<const N: usize>(&mut self, option: [u8; N]) {
        if let Some(place) = self.bytes.get_mut(self.len..self.len + N) {
            place.copy_from_slice(&option);
            self.len += N;
        }
    }

    fn mss(&mut self, mss: Option<u16>) {
        if let Some(mss) = mss {
            let [high, low] = mss.to_be_bytes();
            self.put([MSS, 4, high, low]);
        }
    }

    fn window_scale(&mut self, shift: Option<u8>, pad: bool) {
        match shift {
            Some(shift) if pad => self.put([NOP, WINDOW_SCALE, 3, shift]),
            Some(shift) => self.put([WINDOW_SCALE, 3, shift]),
            None => {}
        }
    }

    /// Adds as many SACK blocks as there is room for (RFC 2018, section 3): three beside timestamps, else four.
    fn sack(&mut self, options: &Options, pad: bool) {
        let head = if pad { 4 } else { 2 };
        let room = (LONGEST - self.len).saturating_sub(head) / 8;
        let count = options.sack_blocks().count().min(room);
        if count == 0 {
            return;
        }
        if pad {
            self.put([NOP, NOP]);
        }
        self.put([SACK, (2 + 8 * count) as u8]);
        for block in options.sack_blocks().take(count) {
            self.put(block.left.0.to_be_bytes());
            self.put(block.right.0.to_be_bytes());
        }
    }
}

/// Writes the options of a segment into `bytes`, which is zero. What does not fit is left out. Returns the length, a
/// multiple of four.
#[inline]
pub(super) fn write(options: &Options, layout: OptionLayout, bytes: &mut [u8; LONGEST]) -> usize {
    // Nearly every segment has timestamps and nothing else.
    let Options { mss: None, wscale: None, sack_permitted: false, ts, .. } = options else {
        return write_any(options, layout, bytes);
    };
    if options.sack_blocks().next().is_some() {
        return write_any(options, layout, bytes);
    }
    let Some(ts) = ts else { return 0 };
    let at = if layout == OptionLayout::Compact { 0 } else { 2 };
    bytes[..2].fill(NOP);
    bytes[at] = TIMESTAMPS;
    bytes[at + 1] = 10;
    bytes[at + 2..at + 6].copy_from_slice(&ts.ts_val.to_be_bytes());
    bytes[at + 6..at + 10].copy_from_slice(&ts.ts_ecr.to_be_bytes());
    12
}

fn write_any(options: &Options, layout: OptionLayout, bytes: &mut [u8; LONGEST]) -> usize {
    let Options { mss, wscale, sack_permitted, ts, sack: _, irregular: _ } = *options;
    let mut area = Area { bytes, len: 0 };
    let ts = ts.map(|ts| {
        let mut option = [TIMESTAMPS, 10, 0, 0, 0, 0, 0, 0, 0, 0];
        option[2..6].copy_from_slice(&ts.ts_val.to_be_bytes());
        option[6..].copy_from_slice(&ts.ts_ecr.to_be_bytes());
        option
    });
    let pad = layout != OptionLayout::Compact;
    area.mss(mss);
    if layout != OptionLayout::Linux {
        area.window_scale(wscale, pad);
    }
    // SACK-permitted and timestamps fill three words together. Each alone needs padding.
    if sack_permitted {
        if pad && (ts.is_none() && layout == OptionLayout::Linux) {
            area.put([NOP, NOP]);
        }
        area.put([SACK_PERMITTED, 2]);
    }
    if let Some(ts) = ts {
        if pad && !sack_permitted {
            area.put([NOP, NOP]);
        }
        area.put(ts);
    }
    if layout == OptionLayout::Linux {
        area.window_scale(wscale, pad);
    }
    area.sack(options, pad && area.len.is_multiple_of(4));
    area.len.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::OptionLayout::{Compact, FreeBsd, Linux};
    use super::*;
    use crate::segment::{SackBlock, Seq, Timestamps};

    const TS: Option<Timestamps> = Some(Timestamps { ts_val: 0x0102_0304, ts_ecr: 0x0506_0708 });
    const TS_BYTES: [u8; 10] = [8, 10, 1, 2, 3, 4, 5, 6, 7, 8];

    fn syn() -> Options {
        Options { mss: Some(1460), wscale: Some(7), sack_permitted: true, ts: TS, ..Options::default() }
    }

    fn sack(blocks: u32, ts: Option<Timestamps>) -> Options {
        let sack = core::array::from_fn(|at| {
            let left = Seq(at as u32 * 16);
            if (at as u32) < blocks { SackBlock { left, right: left + 8 } } else { SackBlock::default() }
        });
        Options { ts, sack, ..Options::default() }
    }

    fn written(options: Options, layout: OptionLayout) -> Vec<u8> {
        let mut area = [0; LONGEST];
        let len = write(&options, layout, &mut area);
        area[..len].to_vec()
    }

    #[test]
    fn a_syn_has_the_order_and_padding_of_its_system() {
        let expected = |parts: &[&[u8]]| parts.concat();
        assert_eq!(written(syn(), Linux), expected(&[&[2, 4, 5, 180, 4, 2], &TS_BYTES, &[1, 3, 3, 7]]));
        assert_eq!(written(syn(), FreeBsd), expected(&[&[2, 4, 5, 180, 1, 3, 3, 7, 4, 2], &TS_BYTES]));
        assert_eq!(written(syn(), Compact), expected(&[&[2, 4, 5, 180, 3, 3, 7, 4, 2], &TS_BYTES, &[0]]));
    }

    #[test]
    fn a_syn_without_timestamps_is_padded_as_linux_and_freebsd_pad_it() {
        let plain = Options { ts: None, ..syn() };
        assert_eq!(written(plain, Linux), [2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 7]);
        assert_eq!(written(plain, FreeBsd), [2, 4, 5, 180, 1, 3, 3, 7, 4, 2, 0, 0]);
        assert_eq!(written(plain, Compact), [2, 4, 5, 180, 3, 3, 7, 4, 2, 0, 0, 0]);
        let bare = Options { mss: Some(1460), ..Options::default() };
        assert_eq!([Linux, FreeBsd, Compact].map(|layout| written(bare, layout)), [const { [2, 4, 5, 180] }; 3]);
    }

    #[test]
    fn timestamps_and_sack_blocks_are_aligned_by_two_nops_each() {
        let ts = Options { ts: TS, ..Options::default() };
        let blocks = |count: u8| {
            let mut bytes = vec![5, 2 + 8 * count];
            (0..count).for_each(|at| bytes.extend_from_slice(&[0, 0, 0, at * 16, 0, 0, 0, at * 16 + 8]));
            bytes
        };
        for layout in [Linux, FreeBsd] {
            assert_eq!(written(ts, layout), [&[1, 1], &TS_BYTES[..]].concat());
            assert_eq!(written(sack(2, TS), layout), [&[1, 1], &TS_BYTES[..], &[1, 1], &blocks(2)].concat());
            assert_eq!(written(sack(4, None), layout), [&[1, 1][..], &blocks(4)].concat());
        }
        assert_eq!(written(ts, Compact), [&TS_BYTES[..], &[0, 0]].concat());
        assert_eq!(written(sack(2, TS), Compact), [&TS_BYTES[..], &blocks(2)].concat());
        assert_eq!(written(sack(4, None), Compact), [&blocks(4)[..], &[0, 0]].concat());
    }

    #[test]
    fn three_sack_blocks_fit_beside_timestamps_and_four_without_rfc_2018_section_3() {
        for layout in [Linux, FreeBsd, Compact] {
            let read = |options| Options::parse(&written(options, layout));
            assert_eq!(read(sack(4, TS)), sack(3, TS), "{layout:?}");
            assert_eq!(read(sack(4, None)), sack(4, None), "{layout:?}");
        }
    }

    proptest! {
        #[test]
        fn options_in_any_layout_read_back_as_far_as_they_fit(
            mss in any::<Option<u16>>(),
            wscale in any::<Option<u8>>(),
            sack_permitted in any::<bool>(),
            ts in any::<Option<(u32, u32)>>(),
            blocks in 0_u32..=4,
            layout in prop::sample::select(vec![Linux, FreeBsd, Compact]),
        ) {
            let ts = ts.map(|(ts_val, ts_ecr)| Timestamps { ts_val, ts_ecr });
            let options = Options { mss, wscale, sack_permitted, ..sack(blocks, ts) };
            let bytes = written(options, layout);
            prop_assert!(bytes.len() <= LONGEST && bytes.len().is_multiple_of(4));
            let read = Options::parse(&bytes);
            prop_assert_eq!(Options { sack: read.sack, ..options }, read);
            let kept = read.sack_blocks().count();
            prop_assert_eq!(&read.sack[..kept], &options.sack[..kept]);
            prop_assert!(kept == blocks as usize || bytes.len() + 8 > LONGEST - 2);
        }
    }
}
