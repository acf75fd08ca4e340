//! What the control interface can do to a wire: its links. The connections belong to the kernels.

use super::Wire;
use crate::control::{Controlled, LinkState};
use crate::link::LinkItems;

impl Controlled for Wire {
    fn links(&mut self) -> Vec<LinkState> {
        let now = self.clock.now();
        self.path.links_mut().map(|link| LinkState::of(link, now)).collect()
    }

    fn set_link(&mut self, direction: usize, items: &LinkItems) -> Result<(), String> {
        let now = self.clock.now();
        let set = self.path.set_items(now, direction, items, &mut self.observers);
        // What is set before the links begin holds then too.
        if !self.has_begun && set.is_ok() {
            items.lay_over(&mut self.schedules[direction / 2][direction % 2].spec);
        }
        set.map_err(|error| error.to_string())
    }

    fn set_link_up(&mut self, direction: usize, up: bool) {
        self.path.set_up(self.clock.now(), direction, up, &mut self.observers);
    }
}
