//! The TCP options that a modern host uses: MSS (RFC 9293, section 3.7.1), window scale and timestamps (RFC 7323), SACK
//! (RFC 2018). Others are skipped by their length. `layout` writes them.

use super::Seq;

/// `TSval` and `TSecr` of RFC 7323, section 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Timestamps {
    /// The sender's clock.
    pub ts_val: u32,
    /// The echo of the other side's clock.
    pub ts_ecr: u32,
}

/// One block of a SACK option: from `left` up to but not including `right`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct SackBlock {
    /// The first sequence number of the block.
    pub left: Seq,
    /// The sequence number after its last.
    pub right: Seq,
}

/// The options of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Options {
    /// Maximum segment size in bytes (only on SYN).
    pub mss: Option<u16>,
    /// Window scale shift (only on SYN).
    pub wscale: Option<u8>,
    /// SACK-permitted (only on SYN).
    pub sack_permitted: bool,
    /// Timestamps.
    pub ts: Option<Timestamps>,
    /// SACK blocks, in their order; unused places are empty blocks (left == right).
    pub sack: [SackBlock; 4],
    /// An option had a length that it cannot have. It was skipped, or it ended the list.
    pub irregular: bool,
}

impl Options {
    /// Reads the options area of a TCP header, as Linux does. A length below 2, or beyond the header, ends the list, and
    /// the options before it count. RFC 9293, section 3.1, leaves this case to the host.
    pub(super) fn parse(area: &[u8]) -> Self {
        // Nearly every segment has timestamps and nothing else, padded before (Linux) or behind (smoltcp).
        if let [1, 1, 8, 10, body @ ..] | [8, 10, body @ .., 0 | 1, 0 | 1] = area
            && body.len() == 8
        {
            let ts = Timestamps { ts_val: word(body, 0), ts_ecr: word(body, 4) };
            return Self { ts: Some(ts), ..Self::default() };
        }
        Self::parse_list(area)
    }

    fn parse_list(mut area: &[u8]) -> Self {
        let mut options = Self::default();
        while let [kind, rest @ ..] = area {
            match kind {
                0 => break,
                1 => {
                    area = rest;
                    continue;
                }
                _ => {}
            }
            let Some(body) = rest.first().and_then(|len| area.get(2..usize::from(*len))) else {
                options.irregular = true;
                break;
            };
            options.take(*kind, body);
            area = &area[body.len() + 2..];
        }
        options
    }

    /// Reads the options area of a captured segment, as far as it makes sense. Behind an option of impossible length nothing
    /// is read, and [`Options::irregular`] is set, unless the area was `cut` off there.
    pub(super) fn parse_lenient(mut area: &[u8], cut: bool) -> Self {
        let options = Self::parse(area);
        if !options.irregular {
            return options;
        }
        let mut options = Self::default();
        while let [kind, rest @ ..] = area {
            match kind {
                0 => break,
                1 => {
                    area = rest;
                    continue;
                }
                _ => {}
            }
            let len = rest.first().map(|len| usize::from(*len));
            let Some(body) = len.and_then(|len| area.get(2..len)) else {
                options.irregular |= !cut || len.is_some_and(|len| len < 2);
                break;
            };
            options.take(*kind, body);
            area = &area[body.len() + 2..];
            // After a wrong length the following options cannot be parsed.
            if options.irregular {
                break;
            }
        }
        options
    }

    /// An option of a known kind but the wrong length is skipped, as an unknown one, and recorded.
    fn take(&mut self, kind: u8, body: &[u8]) {
        match (kind, body) {
            (8, [_, _, _, _, _, _, _, _]) => {
                self.ts = Some(Timestamps { ts_val: word(body, 0), ts_ecr: word(body, 4) });
            }
            (2, &[a, b]) => self.mss = Some(u16::from_be_bytes([a, b])),
            (3, &[shift]) => self.wscale = Some(shift),
            (4, &[]) => self.sack_permitted = true,
            (5, blocks) if !blocks.is_empty() && blocks.len() % 8 == 0 => {
                for (block, bytes) in self.sack.iter_mut().zip(blocks.chunks_exact(8)) {
                    *block = SackBlock { left: Seq(word(bytes, 0)), right: Seq(word(bytes, 4)) };
                }
            }
            (2..=5 | 8, _) => self.irregular = true,
            _ => {}
        }
    }

    /// The SACK blocks that are there.
    pub fn sack_blocks(&self) -> impl Iterator<Item = &SackBlock> {
        self.sack.iter().filter(|block| block.left != block.right)
    }
}

/// Four bytes of `bytes` from `at` on, which are there.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: [u8; 4] = [2, 4, 5, 180];

    #[test]
    fn an_option_of_impossible_length_ends_the_list_and_the_options_before_it_count() {
        let sound = Options { mss: Some(1460), ..Options::default() };
        assert_eq!(Options::parse(&MSS), sound);
        // Window scale with a length of 0, 1, beyond the header, and without a length. SACK-permitted follows.
        for rest in [&[3, 0, 7, 4, 2][..], &[3, 1, 7, 4, 2], &[3, 6, 7, 4, 2], &[4, 200, 1, 1], &[1, 1, 1, 3]] {
            let area = [&MSS[..], rest].concat();
            assert_eq!(Options::parse(&area), Options { irregular: true, ..sound }, "{rest:?}");
        }
    }

    #[test]
    fn an_option_of_a_length_that_its_kind_does_not_have_is_skipped_and_the_next_one_counts() {
        let area = [&[2, 3, 5, 8, 4, 1, 1, 5, 4, 1, 1][..], &MSS].concat();
        assert_eq!(Options::parse(&area), Options { mss: Some(1460), irregular: true, ..Options::default() });
    }

    #[test]
    fn an_option_of_unknown_kind_is_skipped_by_its_length_rfc_9293_section_3_1() {
        let area = [&[254, 4, 0, 0, 253, 2][..], &MSS].concat();
        assert_eq!(Options::parse(&area), Options { mss: Some(1460), ..Options::default() });
    }
}
