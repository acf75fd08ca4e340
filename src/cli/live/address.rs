//! How `IP:PORT` on the command line is read. Each error says what is expected, with an example. `args` names [`address`].

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// An address with a port. There is no resolver on the userspace host.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    const EXAMPLES: &str = "such as 192.168.69.2:9000 or [fd69::2]:9000";
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return match addr.port() {
            0 => Err(format!("expected a port from 1 to 65535, {EXAMPLES}")),
            _ if addr.ip().is_unspecified() => {
                Err(format!("expected the address of a host, {EXAMPLES}: {} is none", addr.ip()))
            }
            _ if has_zone(text) => Err(without_zone(text)),
            _ => Ok(addr),
        };
    }
    if text.contains("://") {
        return Err(format!("expected an address and a port, not a URL, {EXAMPLES}"));
    }
    if has_zone(text) {
        return Err(without_zone(text));
    }
    if !text.starts_with('[') && text.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("expected an IPv6 address in brackets and a port, {EXAMPLES}"));
    }
    if IpAddr::from_str(text.trim_matches(['[', ']'])).is_ok() {
        return Err(format!("expected a port behind the address, {EXAMPLES}"));
    }
    if text.bytes().filter(|byte| *byte == b':').count() > 1 && !text.starts_with('[') {
        return Err(format!("expected an IPv6 address in brackets, {EXAMPLES}"));
    }
    Err(match text.rsplit_once(':') {
        None => format!("expected an address and a port, {EXAMPLES}"),
        Some((_, port)) if !port.parse::<u16>().is_ok_and(|port| port > 0) => {
            format!("expected a port from 1 to 65535 behind the colon, {EXAMPLES}")
        }
        Some(("", _)) => format!("expected an address before the colon, {EXAMPLES}"),
        Some((host, _)) if host.chars().all(|c| c.is_ascii_digit() || c == '.') => {
            format!("expected an IP address of four numbers from 0 to 255, {EXAMPLES}")
        }
        Some(_) => format!("expected an IP address, {EXAMPLES}: names are not looked up, because the host has no DNS"),
    })
}

fn has_zone(text: &str) -> bool {
    text.contains('%')
}

/// The userspace host has one interface.
fn without_zone(text: &str) -> String {
    let (address, rest) = text.split_once('%').unwrap_or((text, ""));
    let zone = rest.split([']', ':']).next().unwrap_or_default();
    let port = rest.rsplit_once(':').map_or("9000", |(_, port)| port);
    let address = address.trim_start_matches('[');
    format!(
        "expected an address without a zone, such as [{address}]:{port}: the host has one interface, so `%{zone}` is left out"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_told_what_it_lacks() {
        let wrong = |text: &str| address(text).expect_err(text);
        assert_eq!(address("192.168.69.2:9000"), Ok("192.168.69.2:9000".parse().expect("an address")));
        assert_eq!(address("[fd69::2]:9000"), Ok("[fd69::2]:9000".parse().expect("an address")));
        for (text, lacks) in [
            ("nohost:80", "names are not looked up"),
            ("[fe80::1%eth0]:80", "without a zone, such as [fe80::1]:80"),
            ("[fe80::1%3]:80", "without a zone, such as [fe80::1]:80"),
            ("192.168.69.2", "a port behind the address"),
            ("fd69::2", "in brackets and a port"),
            ("::1:80", "in brackets and a port"),
            ("[fd69::2]", "a port behind the address"),
            ("fe80::1%eth0:80", "such as [fe80::1]:80"),
            ("http://192.168.69.2:80/", "not a URL"),
            (":80", "an address before the colon"),
            ("fd69::2:zz:80", "in brackets"),
            ("192.168.69.2:0", "a port from 1 to 65535"),
            ("192.168.69.2:65536", "a port from 1 to 65535"),
            ("192.168.69.2:http", "a port from 1 to 65535"),
            ("192.168.69.300:80", "four numbers from 0 to 255"),
            ("", "an address and a port"),
        ] {
            assert!(wrong(text).contains(lacks), "{text}: {}", wrong(text));
            assert!(wrong(text).contains("such as"), "{text}: {}", wrong(text));
        }
    }
}
