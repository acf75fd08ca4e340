//! What a host checks in IPv4 options (RFC 791, section 3.1; RFC 1122, section 3.2.1.8) and IPv6 extension headers (RFC 8200,
//! section 4). `stack` drops a packet that fails, as Linux does. Linux also sends a Parameter Problem; this host sends nothing.

use core::net::IpAddr;

use super::IpView;

/// Why a host does not take a packet with these options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OptionFault {
    /// An option has an impossible length, pointer or value, or is one that a host must not skip.
    Malformed,
    /// A source route, or a routing header that is not used up.
    SourceRoute,
}

use OptionFault::{Malformed, SourceRoute};

impl IpView<'_> {
    /// Checks the options or extension headers. Most packets have none.
    #[inline]
    pub(crate) fn check_options(&self) -> Result<(), OptionFault> {
        match self.dst {
            IpAddr::V4(_) if self.header.len() == 20 => Ok(()),
            IpAddr::V6(_) if self.header.len() == 40 => Ok(()),
            IpAddr::V4(_) => v4(&self.header[20..]),
            IpAddr::V6(_) => v6(self.header),
        }
    }
}

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const CIPSO: u8 = 134;
const STRICT_SOURCE_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;

/// The options of an IPv4 header.
fn v4(mut options: &[u8]) -> Result<(), OptionFault> {
    let (mut source_route, mut record_route, mut timestamp) = (false, false, false);
    // A second source route, record route or timestamp is malformed.
    let once = |seen: &mut bool| if core::mem::replace(seen, true) { Err(Malformed) } else { Ok(()) };
    while let [kind, rest @ ..] = options {
        match *kind {
            END => break,
            NO_OPERATION => {
                options = rest;
                continue;
            }
            _ => {}
        }
        let len = usize::from(*rest.first().ok_or(Malformed)?);
        let option = options.get(..len).filter(|option| option.len() >= 2).ok_or(Malformed)?;
        options = &options[len..];
        match (*kind, option) {
            // The pointer counts from 1; the first address is the fourth byte.
            (LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE, [_, _, 4..=255, ..]) => once(&mut source_route)?,
            (RECORD_ROUTE, [_, _, at @ 4..=255, ..]) if has_room(*at, 4, len) => once(&mut record_route)?,
            (TIMESTAMP, [_, _, at @ 5..=255, flags, ..]) => {
                once(&mut timestamp)?;
                let full = usize::from(*at) > len;
                match flags & 0xf {
                    // RFC 791: the count of hosts that found no room has overflowed.
                    _ if full && flags >> 4 == 15 => return Err(Malformed),
                    _ if full => {}
                    0 if has_room(*at, 4, len) => {}
                    1 | 3 if has_room(*at, 8, len) => {}
                    _ => return Err(Malformed),
                }
            }
            (ROUTER_ALERT, [_, _, _, _, ..]) => {}
            // A host without labels does not take them (Linux).
            (LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE | RECORD_ROUTE | TIMESTAMP | ROUTER_ALERT | CIPSO, _) => {
                return Err(Malformed);
            }
            // RFC 1122, section 3.2.1.8: an unknown option is ignored.
            _ => {}
        }
    }
    if source_route { Err(SourceRoute) } else { Ok(()) }
}

/// Whether `size` bytes fit at the pointer, which counts from 1. A pointer beyond the end says that the option is full.
fn has_room(at: u8, size: usize, len: usize) -> bool {
    let at = usize::from(at);
    at > len || at + size - 1 <= len
}

/// The extension headers of an IPv6 header, whose lengths were checked when it was parsed.
fn v6(header: &[u8]) -> Result<(), OptionFault> {
    let (mut at, mut next) = (40, header[6]);
    while at < header.len() {
        let &[following, len, _, left, ..] = &header[at..] else { return Err(Malformed) };
        let size = if next == 44 { 8 } else { (usize::from(len) + 1) * 8 };
        let content = header.get(at + 2..at + size).ok_or(Malformed)?;
        match next {
            // RFC 8200, section 4.3: it stands right behind the IPv6 header.
            0 if at == 40 => v6_options(content, true)?,
            0 => return Err(Malformed),
            60 => v6_options(content, false)?,
            // RFC 8200, section 4.4: an unknown type with segments left. RFC 5095: type 0 counts as unknown.
            43 if left != 0 => return Err(SourceRoute),
            _ => {}
        }
        (at, next) = (at + size, following);
    }
    Ok(())
}

const PAD_1: u8 = 0;
const PAD_N: u8 = 1;
const V6_ROUTER_ALERT: u8 = 5;

/// The options of a hop-by-hop or destination options header (RFC 8200, section 4.2).
fn v6_options(mut options: &[u8], hop_by_hop: bool) -> Result<(), OptionFault> {
    while let [kind, rest @ ..] = options {
        if *kind == PAD_1 {
            options = rest;
            continue;
        }
        let (len, rest) = rest.split_first().ok_or(Malformed)?;
        let (value, rest) = rest.split_at_checked(usize::from(*len)).ok_or(Malformed)?;
        match *kind {
            // As on Linux: padding is to the next multiple of eight, of zeros.
            PAD_N if value.len() > 5 || value.iter().any(|byte| *byte != 0) => return Err(Malformed),
            PAD_N => {}
            V6_ROUTER_ALERT if hop_by_hop && value.len() != 2 => return Err(Malformed),
            // The two highest bits say what becomes of the packet if the option is unknown: 00 skips the option.
            kind if kind >> 6 != 0 => return Err(Malformed),
            _ => {}
        }
        options = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_ipv4_pass_unless_they_are_malformed_or_a_source_route() {
        let pass: &[&[u8]] = &[
            &[0, 9, 9, 9],
            &[1, 1, 1, 0],
            &[7, 7, 4, 0, 0, 0, 0, 0],
            &[7, 7, 8, 1, 2, 3, 4, 0],
            &[68, 8, 5, 0, 0, 0, 0, 0],
            &[68, 8, 9, 0xe0, 0, 0, 0, 0],
            &[68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            &[148, 4, 0, 0],
            &[136, 4, 1, 2],
            &[99, 2, 99, 2],
        ];
        for options in pass {
            assert_eq!(v4(options), Ok(()), "{options:?}");
        }
        let malformed: &[&[u8]] = &[
            &[1, 1, 1, 7],
            &[7, 0, 4, 0],
            &[7, 1, 4, 0],
            &[7, 9, 4, 0, 0, 0, 0, 0],
            &[7, 7, 3, 0, 0, 0, 0, 0],
            &[7, 7, 5, 0, 0, 0, 0, 0],
            &[7, 2, 1, 0],
            &[7, 3, 4, 7, 3, 4, 0, 0],
            &[68, 8, 4, 0, 0, 0, 0, 0],
            &[68, 8, 6, 0, 0, 0, 0, 0],
            &[68, 8, 5, 1, 0, 0, 0, 0],
            &[68, 8, 5, 2, 0, 0, 0, 0],
            &[68, 8, 9, 0xf0, 0, 0, 0, 0],
            &[68, 4, 5, 0, 68, 4, 5, 0],
            &[131, 2, 0, 0],
            &[137, 7, 3, 0, 0, 0, 0, 0],
            &[131, 3, 4, 137, 3, 4, 0, 0],
            &[148, 3, 0, 0],
            &[134, 4, 0, 0],
        ];
        for options in malformed {
            assert_eq!(v4(options), Err(Malformed), "{options:?}");
        }
        for options in [&[131, 7, 4, 10, 0, 0, 1, 0][..], &[137, 3, 4, 0], &[1, 131, 7, 8, 10, 0, 0, 1]] {
            assert_eq!(v4(options), Err(SourceRoute), "{options:?}");
        }
    }

    fn extended(first: u8, extensions: &[u8]) -> Result<(), OptionFault> {
        let mut header = [0; 40].to_vec();
        header[6] = first;
        header.extend_from_slice(extensions);
        v6(&header)
    }

    #[test]
    fn extension_headers_pass_unless_an_option_must_not_be_skipped_or_a_route_is_left() {
        assert_eq!(extended(0, &[6, 0, 5, 2, 0, 0, 1, 0]), Ok(()), "router alert");
        assert_eq!(extended(60, &[6, 0, 0x1e, 4, 1, 2, 3, 4]), Ok(()), "an unknown option that may be skipped");
        assert_eq!(extended(43, &[6, 0, 0, 0, 0, 0, 0, 0]), Ok(()), "RFC 5095: no segments left");
        assert_eq!(extended(44, &[6, 0, 0, 0, 0, 0, 0, 1]), Ok(()), "an atomic fragment");
        assert_eq!(extended(0, &[60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0]), Ok(()));
        for kind in [0x40, 0x80, 0xc0, 0xc2, 0xc9] {
            assert_eq!(extended(60, &[6, 0, kind, 4, 0, 0, 0, 0]), Err(Malformed), "{kind:#x}");
        }
        assert_eq!(extended(0, &[6, 0, 1, 5, 0, 0, 0, 0]), Err(Malformed), "the option is longer than its header");
        assert_eq!(extended(0, &[6, 0, 0, 0, 0, 0, 0, 1]), Err(Malformed), "PadN without a length");
        assert_eq!(extended(0, &[6, 0, 1, 4, 0, 0, 0, 1]), Err(Malformed), "padding that is not zero");
        assert_eq!(extended(60, &[0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0]), Err(Malformed), "not the first");
        for kind in [0, 2, 3, 4, 200] {
            assert_eq!(extended(43, &[6, 0, kind, 1, 0, 0, 0, 0]), Err(SourceRoute), "type {kind}");
        }
    }
}
