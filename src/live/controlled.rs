//! What the control interface can do to a host on a TUN device: its link, and the connections of the host.

use core::net::SocketAddr;

use super::{Live, TO_HOST, TO_KERNEL};
use crate::control::{ConnectionState, Controlled, LinkState};
use crate::device::CableEnd;
use crate::event::LinkId;
use crate::link::LinkItems;

/// By their number in the interface.
const DIRECTIONS: [LinkId; 2] = [TO_KERNEL, TO_HOST];

impl Controlled for Live {
    fn links(&mut self) -> Vec<LinkState> {
        let now = self.clock.now();
        [CableEnd::A, CableEnd::B].map(|end| LinkState::of(&mut self.cable[end], now)).into()
    }

    fn set_link(&mut self, direction: usize, items: &LinkItems) -> Result<(), String> {
        Self::set_link(self, DIRECTIONS[direction], items).map_err(|error| error.to_string())
    }

    fn set_link_up(&mut self, direction: usize, up: bool) {
        Self::set_link_up(self, DIRECTIONS[direction], up);
    }

    fn connections(&mut self, most: usize) -> Vec<ConnectionState> {
        let found = self.runtime.host_mut().connection_list(most);
        found.into_iter().map(|(state, local, remote)| ConnectionState { local, remote, state }).collect()
    }

    fn reset(&mut self, local: SocketAddr, remote: SocketAddr) -> bool {
        let now = self.clock.now();
        let mut host = self.runtime.host_mut();
        host.set_now(now);
        host.reset(local, remote)
    }
}
