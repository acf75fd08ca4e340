//! Random loss: each packet independently (Bernoulli), or in bursts (Gilbert 1960, Elliott 1963).
//!
//! The Gilbert-Elliott channel has a good and a bad state. A packet is lost with the loss probability of the present
//! state. Then the state changes, with probability `p` from good to bad, and `r` from bad to good. In the long run p /
//! (p + r) of the packets find the bad state, and it lasts 1 / r packets on average. The parameters are those of
//! tc-netem(8), in its order: `p`, `r`, `1-h` (loss in the bad state), `1-k` (loss in the good state).

use core::fmt;

use super::value::Percent;
use crate::event::{ChannelState, DropReason};
use crate::rng::Rng;

/// Which packets are lost at random.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Each packet independently, with this probability.
    Bernoulli(Percent),
    /// In bursts.
    GilbertElliott(GilbertElliott),
}

/// The channel of Gilbert and Elliott.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GilbertElliott {
    /// From good to bad, for each packet.
    pub p: Percent,
    /// From bad to good, for each packet.
    pub r: Percent,
    /// Loss in the bad state: 1 - h.
    pub bad_loss: Percent,
    /// Loss in the good state: 1 - k.
    pub good_loss: Percent,
}

impl Default for Loss {
    fn default() -> Self {
        Self::NONE
    }
}

impl Loss {
    /// No packet is lost at random.
    pub const NONE: Self = Self::Bernoulli(Percent::NEVER);

    /// How many packets are lost in the long run, from 0 to 1.
    pub fn rate(&self) -> f64 {
        match self {
            Self::Bernoulli(percent) => percent.probability(),
            Self::GilbertElliott(model) => {
                let [p, r, bad, good] = [model.p, model.r, model.bad_loss, model.good_loss].map(Percent::probability);
                // A channel that never changes stays as it began: good.
                let share_bad = if p == 0.0 { 0.0 } else { p / (p + r) };
                share_bad * bad + (1.0 - share_bad) * good
            }
        }
    }

    pub(super) const EXPECTED: &str = "a probability from 0% to 100% such as 0.5%, or bursts, gemodel:P[:R[:1-H[:1-K]]] \
        such as gemodel:1%:10%:100%:0% (P good to bad, R bad to good, loss when bad, loss when good)";

    pub(super) fn parse(text: &str) -> Option<Self> {
        let Some(model) = text.strip_prefix("gemodel:") else {
            return Percent::parse(text).map(Self::Bernoulli);
        };
        let mut values = model.split(':').map(Percent::parse);
        let p = values.next()??;
        let mut next_or = |usual| values.next().map_or(Some(usual), |given| given);
        let r = next_or(Percent::new(100.0 - p.percent())?)?;
        let bad_loss = next_or(Percent::ALWAYS)?;
        let good_loss = next_or(Percent::NEVER)?;
        values.next().is_none().then_some(Self::GilbertElliott(GilbertElliott { p, r, bad_loss, good_loss }))
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bernoulli(percent) => percent.fmt(f),
            Self::GilbertElliott(GilbertElliott { p, r, bad_loss, good_loss }) => {
                write!(f, "gemodel:{p}:{r}")?;
                match (*bad_loss == Percent::ALWAYS, *good_loss == Percent::NEVER) {
                    (true, true) => Ok(()),
                    (false, true) => write!(f, ":{bad_loss}"),
                    (_, false) => write!(f, ":{bad_loss}:{good_loss}"),
                }
            }
        }
    }
}

/// The loss of one link direction: a model, the state of its channel, and the random streams that belong to it.
#[derive(Debug)]
pub(super) struct Channel {
    loss: Loss,
    state: ChannelState,
    rng: Rng,
    changes: Rng,
}

impl Channel {
    pub(super) fn new(seed: u64, link: &str) -> Self {
        let rng = Rng::new(seed, &format!("link {link} loss"));
        let changes = Rng::new(seed, &format!("link {link} loss state"));
        Self { loss: Loss::NONE, state: ChannelState::Good, rng, changes }
    }

    /// Another model; a channel of another one begins good.
    pub(super) fn set(&mut self, loss: Loss) {
        if self.loss != loss {
            self.state = ChannelState::Good;
        }
        self.loss = loss;
    }

    /// Whether the next packet is lost, and why. It makes a draw for each packet, also for one that is lost anyway.
    pub(super) fn draw(&mut self) -> Option<DropReason> {
        match &self.loss {
            Loss::Bernoulli(percent) if *percent == Percent::NEVER => None,
            Loss::Bernoulli(percent) => self.rng.chance(percent.probability()).then_some(DropReason::Loss),
            Loss::GilbertElliott(model) => {
                let met = self.state;
                let (lost, change, other) = match met {
                    ChannelState::Good => (model.good_loss, model.p, ChannelState::Bad),
                    ChannelState::Bad => (model.bad_loss, model.r, ChannelState::Good),
                };
                if self.changes.chance(change.probability()) {
                    self.state = other;
                }
                self.rng.chance(lost.probability()).then_some(DropReason::BurstLoss(met))
            }
        }
    }
}
