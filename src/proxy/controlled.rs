//! What the control interface can do to a proxy: its link, and the connections of the middle. `cli` hands the proxy to the
//! interface.

use core::net::SocketAddr;

use super::Proxy;
use crate::control::{ConnectionState, Controlled, LinkState};
use crate::device::CableEnd;
use crate::link::LinkItems;

/// The ends from which the directions leave, by their number in the interface.
const DIRECTIONS: [CableEnd; 2] = [CableEnd::A, CableEnd::B];

impl Controlled for Proxy {
    fn links(&mut self) -> Vec<LinkState> {
        let now = self.clock.now();
        DIRECTIONS.map(|end| LinkState::of(&mut self.middle.cable[end], now)).into()
    }

    fn set_link(&mut self, direction: usize, items: &LinkItems) -> Result<(), String> {
        let now = self.clock.now();
        let middle = &mut self.middle;
        let set = middle.cable.set_items(now, DIRECTIONS[direction], items, &mut middle.observers);
        set.map_err(|error| error.to_string())
    }

    fn set_link_up(&mut self, direction: usize, up: bool) {
        let now = self.clock.now();
        let middle = &mut self.middle;
        middle.cable.set_up(now, DIRECTIONS[direction], up, &mut middle.observers);
    }

    /// The connections of the clients' host. Those of the other host are the same ones, seen from the other end.
    fn connections(&mut self, most: usize) -> Vec<ConnectionState> {
        let found = self.middle.ends[0].common_mut().host.connection_list(most);
        found.into_iter().map(|(state, local, remote)| ConnectionState { local, remote, state }).collect()
    }

    /// The connection may be named as either host sees it. The other host may have it not yet, or no longer: then it ends at
    /// the one that has it.
    fn reset(&mut self, local: SocketAddr, remote: SocketAddr) -> bool {
        let now = self.clock.now();
        [(local, remote), (remote, local)].into_iter().any(|(local, remote)| {
            self.middle.ends.iter_mut().any(|end| {
                let host = &mut end.common_mut().host;
                host.set_now(now);
                host.reset(local, remote)
            })
        })
    }
}
