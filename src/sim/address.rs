//! The addresses of a host as text: `192.0.2.1/24`, or several, `192.0.2.1/24, 2001:db8::1/64`.

use core::net::{IpAddr, Ipv4Addr};

use super::SimError;

pub(crate) fn parse(text: &str) -> Result<Vec<(IpAddr, u8)>, SimError> {
    text.split(',').map(|one| parse_one(one.trim()).ok_or_else(|| SimError::Address(one.trim().to_owned()))).collect()
}

/// One address with its prefix length; `None` if it is malformed, or if no host can have it.
pub(crate) fn parse_one(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix_len) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let of_nobody = address.is_unspecified() || address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST);
    if of_nobody {
        return None;
    }
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix_len = prefix_len.parse().ok().filter(|len| *len <= longest)?;
    Some((address, prefix_len))
}
