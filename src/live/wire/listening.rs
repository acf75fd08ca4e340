//! The sockets of a network namespace that wait for clients, from /proc. `Wire` asks when the right command may start.

use std::fs;
use std::io;

/// The states of a socket in these files, as in `net/tcp_states.h`.
const LISTEN: &str = "0A";
/// A datagram socket that is not connected.
const CLOSE: &str = "07";

/// Whether the namespace of this thread has a socket that waits for clients, on `port` if there is one.
///
/// # Errors
/// A file of /proc cannot be read. A kernel without IPv6 lacks two of them.
pub(super) fn any(port: Option<u16>) -> io::Result<bool> {
    for (file, state) in [("tcp", LISTEN), ("tcp6", LISTEN), ("udp", CLOSE), ("udp6", CLOSE)] {
        match fs::read_to_string(format!("/proc/thread-self/net/{file}")) {
            Ok(table) if has(&table, state, port) => return Ok(true),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(false)
}

/// Whether a table has a socket in this state, on `port` if there is one. The columns are number, local address, remote
/// address, state.
fn has(table: &str, state: &str, port: Option<u16>) -> bool {
    table.lines().skip(1).any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let local = words.next().and_then(|address| address.rsplit_once(':'));
        let local = local.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
        words.nth(1) == Some(state) && local.is_some_and(|local| local != 0 && port.is_none_or(|port| port == local))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n   \
                       0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000\n   \
                       1: 01004D0A:0050 02004D0A:D431 01 00000000:00000000 00:00000000 00000000\n";
    const UDP6: &str = "  sl  local_address                         remote_address                        st tx_queue\n  \
                        12: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07 00000000\n";

    #[test]
    fn a_socket_that_listens_is_found_by_its_port_and_one_that_is_connected_is_not() {
        for (port, found) in [(None, true), (Some(3306), true), (Some(80), false), (Some(3305), false)] {
            assert_eq!(has(TCP, LISTEN, port), found, "{port:?}");
        }
        assert!(!has(TCP, CLOSE, None));
        assert!(!has("", LISTEN, None) && !has("sl\nodd\n0: x 0A\n", LISTEN, None));
    }

    #[test]
    fn a_datagram_socket_that_is_bound_is_found() {
        for (port, found) in [(None, true), (Some(53), true), (Some(54), false)] {
            assert_eq!(has(UDP6, CLOSE, port), found, "{port:?}");
        }
    }
}
