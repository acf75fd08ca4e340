//! Descriptors whose readiness may have changed, each once, first in first out.

use std::collections::VecDeque;

/// A queue of descriptor numbers without repetition.
#[derive(Debug, Default)]
pub(super) struct Ready {
    queue: VecDeque<u32>,
    /// By descriptor number: whether it stands in the queue.
    queued: Vec<bool>,
}

impl Ready {
    pub(super) fn push(&mut self, token: u32) {
        let at = token as usize;
        if at >= self.queued.len() {
            self.queued.resize(at + 1, false);
        }
        if !core::mem::replace(&mut self.queued[at], true) {
            self.queue.push_back(token);
        }
    }

    pub(super) fn pop(&mut self) -> Option<u32> {
        let token = self.queue.pop_front()?;
        self.queued[token as usize] = false;
        Some(token)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
