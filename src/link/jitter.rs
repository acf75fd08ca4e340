//! Jitter: how much the propagation delay differs from packet to packet.
//!
//! The time is half the width of a uniform distribution, and the standard deviation of the others. These are the normal
//! distribution, and a Pareto distribution of shape 3 whose mean is the link's delay. With Pareto most packets are a
//! little early and a few are very late. A delay is never below zero.
//! Jitter alone never reorders. A packet that would overtake the one before it arrives at the same instant, right
//! behind it.

use core::fmt;

use super::value;
use crate::rng::Rng;
use crate::time::Duration;

/// How the delay varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jitter {
    /// Half the width of a uniform distribution, the standard deviation of others.
    pub deviation: Duration,
    /// The shape.
    pub distribution: Distribution,
}

/// The shape of a jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Distribution {
    /// All delays from the mean less the deviation to the mean plus it are equally likely.
    #[default]
    Uniform,
    /// The normal distribution.
    Normal,
    /// A heavy tail of late packets.
    Pareto,
}

/// Of the Pareto distribution.
const SHAPE: f64 = 3.0;

impl Jitter {
    pub(super) const EXPECTED: &str = "a time, and a distribution if it is not uniform: 2ms, 2ms:normal, 2ms:pareto";

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (time, name) = text.split_once(':').unwrap_or((text, "uniform"));
        let distribution = match name {
            "uniform" => Distribution::Uniform,
            "normal" => Distribution::Normal,
            "pareto" => Distribution::Pareto,
            _ => return None,
        };
        Some(Self { deviation: value::parse_time(time)?, distribution })
    }

    /// The delay of one packet whose link has the delay `mean`. Every distribution makes the same number of draws.
    pub(super) fn delay(self, mean: Duration, rng: &mut Rng) -> Duration {
        let [first, second] = [rng.unit(), rng.unit()];
        let deviations = match self.distribution {
            Distribution::Uniform => 2.0 * first - 1.0,
            Distribution::Normal => {
                // Box and Muller. 1 - first is above zero.
                (-2.0 * libm::log(1.0 - first)).sqrt() * libm::cos(core::f64::consts::TAU * second)
            }
            Distribution::Pareto => {
                let mean = SHAPE / (SHAPE - 1.0);
                let variance = SHAPE / ((SHAPE - 1.0) * (SHAPE - 1.0) * (SHAPE - 2.0));
                (1.0 / libm::cbrt(1.0 - first) - mean) / variance.sqrt()
            }
        };
        let nanos = |duration: Duration| duration.as_nanos() as f64;
        let shifted = nanos(mean) + nanos(self.deviation) * deviations;
        // Below zero saturates to zero.
        Duration::from_nanos(shifted as u64)
    }
}

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        value::write_time(f, self.deviation)?;
        f.write_str(match self.distribution {
            Distribution::Uniform => "",
            Distribution::Normal => ":normal",
            Distribution::Pareto => ":pareto",
        })
    }
}
