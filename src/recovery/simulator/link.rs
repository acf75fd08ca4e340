//! One direction of a simulated wire: rate, queue, delay, and what may happen to a packet.

use std::collections::VecDeque;

use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// How packets are lost.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    None,
    /// Each with this probability.
    Random(f64),
    /// Gilbert's model: P(good to bad), P(bad to good); in the bad state all are lost.
    Bursts(f64, f64),
}

/// A direction of the wire.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// Bits per second.
    pub(crate) rate: u64,
    pub(crate) delay: Duration,
    /// Packets in the queue.
    pub(crate) limit: usize,
    pub(crate) loss: Loss,
    /// Held back with this probability for so long; later packets overtake.
    pub(crate) reorder: (f64, Duration),
    pub(crate) duplicate: f64,
    /// All that enters in between leaves at the end.
    pub(crate) hold: Option<(Instant, Instant)>,
    /// The numbers of packets to drop, counted from 0.
    pub(crate) drop: Vec<u64>,
    pub(crate) drops: u64,
    pub(crate) packets: u64,
    in_bad_state: bool,
    busy_until: Instant,
    /// When each packet in the queue will have left.
    queue: VecDeque<Instant>,
    rng: Rng,
}

impl Link {
    pub(crate) fn new(rate: u64, delay: Duration, seed: u64, name: &str) -> Self {
        Self {
            rate,
            delay,
            limit: 1_000,
            loss: Loss::None,
            reorder: (0.0, Duration::ZERO),
            duplicate: 0.0,
            hold: None,
            drop: Vec::new(),
            drops: 0,
            packets: 0,
            in_bad_state: false,
            busy_until: Instant::EPOCH,
            queue: VecDeque::new(),
            rng: Rng::new(seed, name),
        }
    }

    fn is_lost(&mut self) -> bool {
        match self.loss {
            Loss::None => false,
            Loss::Random(probability) => self.rng.chance(probability),
            Loss::Bursts(to_bad, to_good) => {
                let change = if self.in_bad_state { to_good } else { to_bad };
                self.in_bad_state ^= self.rng.chance(change);
                self.in_bad_state
            }
        }
    }

    /// A packet of `bytes` enters at `now`: when its copies arrive.
    pub(crate) fn send(&mut self, now: Instant, bytes: u64) -> Vec<Instant> {
        let number = self.packets;
        self.packets += 1;
        let time = Duration::from_nanos((bytes * 8).saturating_mul(1_000_000_000) / self.rate);
        while self.queue.front().is_some_and(|&leaves| leaves <= now) {
            self.queue.pop_front();
        }
        if self.is_lost() || self.drop.contains(&number) || self.queue.len() >= self.limit {
            self.drops += 1;
            return Vec::new();
        }
        self.busy_until = self.busy_until.max(now) + time;
        self.queue.push_back(self.busy_until);
        let mut at = self.busy_until + self.delay;
        if let Some((from, to)) = self.hold
            && now >= from
            && at < to
        {
            at = to;
        }
        if self.rng.chance(self.reorder.0) {
            at += self.reorder.1;
        }
        if self.rng.chance(self.duplicate) { vec![at, at] } else { vec![at] }
    }
}
