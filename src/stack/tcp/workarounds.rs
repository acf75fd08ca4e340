//! What smoltcp 0.14 must be kept from. Each function can be deleted when smoltcp no longer does what its comment says;
//! the tests of [`machine`](super::machine) then still pass. One deviation from RFC 9293 is left: close in CLOSE-WAIT
//! enters LAST-ACK before our FIN has left. Linux does the same.

use smoltcp::iface::{Interface, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;

use crate::event::State;
use crate::stack::one_packet::OnePacket;

/// In SYN-RECEIVED smoltcp's close sends a FIN in place of the SYN|ACK, and the handshake never ends.
pub(super) const fn must_hold_close(state: State) -> bool {
    matches!(state, State::SynReceived)
}

/// A FIN that smoltcp was shown, and whose acknowledgment it has not emitted, keeps it in LAST-ACK or CLOSING.
pub(super) fn poll_until_silent(
    interface: &mut Interface,
    set: &mut SocketSet<'static>,
    now: Instant,
    mtu: usize,
    said: &mut Vec<u8>,
    mut each: impl FnMut(&[u8]),
) {
    loop {
        said.clear();
        interface.poll_egress(now, &mut OnePacket::sending(mtu, said), set);
        if said.is_empty() {
            return;
        }
        each(said);
    }
}

/// An RST in passive SYN-RECEIVED takes smoltcp's socket back to LISTEN; here a listener is another object.
pub(super) fn end_after_rst(socket: &mut tcp::Socket<'static>) {
    if socket.state() == tcp::State::Listen {
        socket.close();
    }
}

/// After a FIN smoltcp takes an RST only behind it.
pub(super) const fn seq_of_rst(fin_shown: bool) -> u32 {
    if fin_shown { 2 } else { 1 }
}
