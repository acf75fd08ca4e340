//! Every errno of the host, reached as a program reaches it: through a peer, through the stack, or with resources that
//! are used up. Each way is a function that gives the errno it ended with; the table at the end names what was expected.

mod network;
mod own;
mod peer;

use std::fmt::Debug;

use crate::common::calls::{PORT, at};
use tcplab::socket::{Domain, Errno, Fd, Host, HostConfig, Type};

/// A host of its own: for calls that no peer has a part in.
fn host() -> Host {
    Host::new(&HostConfig { addresses: vec![("192.0.2.2".parse().expect("an address"), 24)], ..HostConfig::default() })
}

#[track_caller]
fn refusal<T: Debug>(result: Result<T, Errno>) -> Errno {
    result.expect_err("an errno")
}

fn server() -> core::net::SocketAddr {
    at("192.0.2.1", PORT)
}

/// A datagram socket, not bound.
fn unbound_datagram(host: &mut Host) -> Fd {
    host.socket(Domain::Inet, Type::Datagram).expect("a descriptor")
}

/// Makes a test of each way, and the list of what they reach.
macro_rules! reached {
    ($($errno:ident by $($module:ident::$way:ident),+;)*) => {
        const REACHED: &[Errno] = &[$(Errno::$errno),*];

        mod reached_by {
            $($(#[test]
            fn $way() {
                assert_eq!(super::$module::$way(), tcplab::socket::Errno::$errno);
            })+)*
        }
    };
}

reached! {
    EADDRINUSE by own::a_port_that_is_bound, own::a_datagram_port_that_is_bound,
        own::a_port_on_which_another_socket_listens, own::a_bind_when_no_ephemeral_port_is_left;
    EADDRNOTAVAIL by own::a_bind_to_an_address_of_somebody_else, own::a_connect_when_no_ephemeral_port_is_left,
        own::a_connect_over_a_4_tuple_in_use;
    ECONNREFUSED by peer::a_connect_where_nobody_listens, peer::so_error_after_a_refusal,
        peer::a_read_after_a_refusal, peer::a_write_after_a_refusal, peer::a_blocking_connect_where_nobody_listens,
        network::a_syn_answered_by_icmp_port_unreachable, peer::a_datagram_to_a_closed_port,
        peer::a_read_after_a_datagram_to_a_closed_port;
    ECONNABORTED by peer::a_connect_after_so_error_told_of_the_refusal;
    ECONNRESET by peer::a_read_after_a_reset, peer::a_write_after_a_reset, peer::so_error_after_a_reset,
        peer::a_read_after_the_peer_closed_with_unread_data, peer::a_connect_of_a_program_that_was_slow_to_look,
        peer::so_error_after_a_shutdown_in_syn_sent;
    ETIMEDOUT by network::a_connect_over_a_dead_link, network::a_read_when_what_was_written_is_never_acknowledged,
        network::a_write_when_what_was_written_is_never_acknowledged;
    EPIPE by peer::a_write_after_shutdown, peer::a_write_before_connect, peer::a_write_to_a_listener,
        peer::a_write_after_a_reset_in_close_wait, peer::a_datagram_after_shutdown;
    ENOTCONN by peer::calls_that_need_a_connection_before_connect, peer::a_datagram_socket_without_peer,
        peer::calls_that_need_a_connection_when_it_is_over, peer::calls_that_need_a_connection_in_time_wait;
    EISCONN by peer::a_connect_when_connected, peer::a_connect_of_a_listener;
    EALREADY by peer::a_second_connect;
    EINPROGRESS by peer::a_first_connect, peer::a_blocking_connect_whose_time_is_over;
    EAGAIN by own::a_read_of_nothing, own::an_accept_of_nobody, own::a_write_before_the_handshake_is_over,
        own::a_datagram_when_no_ephemeral_port_is_left;
    EINVAL by own::calls_at_the_wrong_moment, own::values_out_of_range,
        own::reading_and_watching_what_is_no_socket_for_it,
        own::a_loopback_address_as_the_source_of_what_leaves_the_host;
    EBADF by own::every_call_on_a_closed_descriptor;
    ENOTSOCK by own::socket_calls_on_an_epoll_instance;
    EMFILE by own::one_descriptor_more_than_the_limit;
    ENOBUFS by own::a_limit_of_buffers_of_one_byte_less_than_a_block,
        own::one_datagram_more_than_the_queue_of_the_interface;
    EHOSTUNREACH by network::a_syn_answered_by_icmp_host_unreachable,
        network::data_that_met_icmp_host_unreachable_and_timed_out,
        network::a_datagram_that_met_icmp_host_unreachable;
    ENETUNREACH by network::an_address_without_route, network::an_address_of_a_version_that_the_host_has_not,
        network::a_mapped_address_from_a_socket_for_ipv6_only, network::a_multicast_address,
        network::a_syn_answered_by_icmp_net_unreachable, network::data_that_met_icmp_net_unreachable_and_timed_out;
    EMSGSIZE by own::a_datagram_of_one_byte_more_than_the_mtu;
    EDESTADDRREQ by own::a_datagram_to_nobody;
    EAFNOSUPPORT by own::an_address_of_the_other_family;
    EOPNOTSUPP by own::stream_calls_on_a_datagram_socket;
    ENOPROTOOPT by own::options_of_another_protocol;
    EEXIST by own::watching_a_descriptor_twice;
    ENOENT by own::changing_what_is_not_watched;
}

#[test]
fn every_errno_of_the_host_is_reached() {
    let missing: Vec<_> = Errno::ALL.iter().filter(|errno| !REACHED.contains(errno)).collect();
    assert_eq!(missing, Vec::<&Errno>::new());
    assert_eq!(REACHED.len(), Errno::ALL.len(), "none is named twice");
}
