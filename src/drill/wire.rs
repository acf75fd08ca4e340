//! TCP options between their notation and their bytes (RFC 9293, section 3.1; RFC 7323; RFC 2018; RFC 7413; RFC 2385;
//! RFC 9768). `peer` writes the options of packets that it sends, `compare` reads those of packets that were sent.

use super::script::TcpOption;

/// The kinds of IANA's registry that the language has names for.
mod kind {
    pub(super) const EOL: u8 = 0;
    pub(super) const NOP: u8 = 1;
    pub(super) const MSS: u8 = 2;
    pub(super) const WSCALE: u8 = 3;
    pub(super) const SACK_OK: u8 = 4;
    pub(super) const SACK: u8 = 5;
    pub(super) const TIMESTAMP: u8 = 8;
    pub(super) const MD5: u8 = 19;
    pub(super) const FAST_OPEN: u8 = 34;
    pub(super) const ACC_ECN_0: u8 = 172;
    pub(super) const ACC_ECN_1: u8 = 174;
    pub(super) const EXPERIMENTAL: u8 = 254;
}

/// What marks Fast Open in the experimental kind (RFC 7413, appendix A.1 of its drafts; RFC 6994).
const FAST_OPEN_MAGIC: [u8; 2] = [0xf9, 0x89];

/// The most bytes of options in a header.
pub(super) const LONGEST: usize = 40;

/// The bytes of options. `None` if they do not fit into a header.
pub(super) fn write(options: &[TcpOption]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let add = |bytes: &mut Vec<u8>, kind: u8, data: &[u8]| {
        bytes.push(kind);
        bytes.push((data.len() + 2).min(255) as u8);
        bytes.extend_from_slice(data);
    };
    for option in options {
        match option {
            TcpOption::Eol => bytes.push(kind::EOL),
            TcpOption::Nop => bytes.push(kind::NOP),
            TcpOption::Mss(mss) => add(&mut bytes, kind::MSS, &mss.to_be_bytes()),
            TcpOption::Wscale(shift) => add(&mut bytes, kind::WSCALE, &[*shift]),
            TcpOption::SackOk => add(&mut bytes, kind::SACK_OK, &[]),
            TcpOption::Sack(blocks) => {
                let edges = blocks.iter().flat_map(|(left, right)| [*left, *right]);
                let data: Vec<u8> = edges.flat_map(u32::to_be_bytes).collect();
                add(&mut bytes, kind::SACK, &data);
            }
            TcpOption::Timestamp { val, ecr } => {
                let data = [val.unwrap_or(0).to_be_bytes(), ecr.unwrap_or(0).to_be_bytes()].concat();
                add(&mut bytes, kind::TIMESTAMP, &data);
            }
            TcpOption::FastOpen(cookie) => add(&mut bytes, kind::FAST_OPEN, cookie),
            TcpOption::FastOpenExperimental(cookie) => {
                add(&mut bytes, kind::EXPERIMENTAL, &[&FAST_OPEN_MAGIC, cookie.as_slice()].concat());
            }
            TcpOption::Md5(digest) => add(&mut bytes, kind::MD5, digest.as_deref().unwrap_or(&[0; 16])),
            TcpOption::AccEcn(counts) => {
                let order = if counts.first().is_some_and(|(name, _)| name == "e1b") {
                    kind::ACC_ECN_1
                } else {
                    kind::ACC_ECN_0
                };
                let data: Vec<u8> = counts.iter().flat_map(|(_, count)| count.to_be_bytes()[1..].to_vec()).collect();
                add(&mut bytes, order, &data);
            }
            TcpOption::Unknown { kind, data } => add(&mut bytes, *kind, data),
        }
        if bytes.len() > LONGEST {
            return None;
        }
    }
    Some(bytes)
}

/// The options in the bytes behind a TCP header. Each byte of padding is an option of its own, as scripts write it. An
/// option of impossible length ends the list, with what is left as its data.
pub(super) fn read(area: &[u8]) -> Vec<TcpOption> {
    let mut options = Vec::new();
    let mut rest = area;
    while let Some((&first, behind)) = rest.split_first() {
        match first {
            kind::EOL => options.push(TcpOption::Eol),
            kind::NOP => options.push(TcpOption::Nop),
            kind => {
                let len = behind.first().copied().unwrap_or(0);
                let Some((option, next)) = rest.split_at_checked(usize::from(len)).filter(|_| len >= 2) else {
                    options.push(TcpOption::Unknown { kind, data: behind.to_vec() });
                    return options;
                };
                options.push(one(kind, &option[2..]));
                rest = next;
                continue;
            }
        }
        rest = behind;
    }
    options
}

/// One option by its kind and the data behind kind and length.
fn one(kind: u8, data: &[u8]) -> TcpOption {
    let word = |at: usize| data.get(at..at + 4)?.try_into().map(u32::from_be_bytes).ok();
    match (kind, data) {
        (kind::MSS, &[high, low]) => TcpOption::Mss(u16::from_be_bytes([high, low])),
        (kind::WSCALE, &[shift]) => TcpOption::Wscale(shift),
        (kind::SACK_OK, []) => TcpOption::SackOk,
        (kind::SACK, _) if !data.is_empty() && data.len().is_multiple_of(8) => {
            let blocks = (0..data.len()).step_by(8).filter_map(|at| Some((word(at)?, word(at + 4)?)));
            TcpOption::Sack(blocks.collect())
        }
        (kind::TIMESTAMP, _) if data.len() == 8 => TcpOption::Timestamp { val: word(0), ecr: word(4) },
        (kind::FAST_OPEN, _) => TcpOption::FastOpen(data.to_vec()),
        (kind::MD5, _) => TcpOption::Md5(Some(data.to_vec())),
        (kind::EXPERIMENTAL, _) if data.starts_with(&FAST_OPEN_MAGIC) => {
            TcpOption::FastOpenExperimental(data[2..].to_vec())
        }
        (kind::ACC_ECN_0 | kind::ACC_ECN_1, _) if data.len().is_multiple_of(3) => {
            let names = if kind == kind::ACC_ECN_0 { ["e0b", "ceb", "e1b"] } else { ["e1b", "ceb", "e0b"] };
            let counts = data
                .chunks(3)
                .zip(names)
                .map(|(count, name)| (name.to_owned(), count.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))));
            TcpOption::AccEcn(counts.collect())
        }
        _ => TcpOption::Unknown { kind, data: data.to_vec() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_they_were_written() {
        let all = [
            TcpOption::Mss(1460),
            TcpOption::Wscale(6),
            TcpOption::SackOk,
            TcpOption::Sack(vec![(1, 2), (3, 4)]),
            TcpOption::Timestamp { val: Some(7), ecr: Some(8) },
            TcpOption::FastOpen(vec![1, 2, 3, 4]),
            TcpOption::FastOpenExperimental(vec![1, 2]),
            TcpOption::Md5(Some(vec![9; 16])),
            TcpOption::AccEcn(vec![("e1b".to_owned(), 1), ("ceb".to_owned(), 2)]),
            TcpOption::Unknown { kind: 200, data: vec![1] },
            TcpOption::Nop,
            TcpOption::Eol,
        ];
        for option in all {
            let list = [TcpOption::Nop, option, TcpOption::Eol];
            assert_eq!(read(&write(&list).expect("it fits")), list);
        }
    }

    #[test]
    fn forty_bytes_fit_and_one_more_does_not() {
        assert_eq!(write(&vec![TcpOption::Nop; 40]).map(|bytes| bytes.len()), Some(40));
        assert_eq!(write(&vec![TcpOption::Nop; 41]), None);
    }

    #[test]
    fn an_option_of_impossible_length_ends_the_list() {
        for area in [&[1, 2, 0, 5][..], &[1, 2, 1, 5], &[1, 2, 9, 5]] {
            let data = area[2..].to_vec();
            assert_eq!(read(area), [TcpOption::Nop, TcpOption::Unknown { kind: 2, data }]);
        }
    }
}
