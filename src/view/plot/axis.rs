//! The axes of a plot: where a value stands, round ticks, and units that keep the numbers short.

/// What the values of an axis are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Nanoseconds.
    Time,
    /// Bytes, or sequence numbers.
    Bytes,
    /// Bits per second.
    Rate,
    /// A count.
    Packets,
}

impl Quantity {
    /// How many make one of the unit that fits this range, and the name of the unit.
    pub(super) fn unit(self, range: i64) -> (i64, &'static str) {
        let units: &[(i64, &str)] = match self {
            Self::Time => &[(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")],
            Self::Bytes => &[(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB"), (1, "bytes")],
            Self::Rate => &[(1_000_000_000, "Gbit/s"), (1_000_000, "Mbit/s"), (1_000, "kbit/s"), (1, "bit/s")],
            Self::Packets => &[(1, "packets")],
        };
        let fits = |(divisor, _): &&(i64, &str)| range >= divisor.saturating_mul(2);
        units.iter().find(fits).or(units.last()).copied().unwrap_or((1, ""))
    }
}

/// One axis: values from `low` to `high` on the way from `from` to `to`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) low: i64,
    pub(super) high: i64,
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Axis {
    /// Where a value stands. What is far outside stands a little outside.
    pub(super) fn place(&self, value: i64) -> f64 {
        let range = (self.high as f64 - self.low as f64).max(1.0);
        let part = ((value as f64 - self.low as f64) / range).clamp(-0.2, 1.2);
        self.from + part * (self.to - self.from)
    }

    /// Round values, at most `most` of them, and the step between them.
    pub(super) fn ticks(&self, most: i64) -> (Vec<i64>, i64) {
        let range = self.high.saturating_sub(self.low).max(1);
        let mut power = 1_i64;
        let step = 'found: loop {
            for step in [1, 2, 5].map(|step| power.saturating_mul(step)) {
                if range / step <= most.max(1) || step == i64::MAX {
                    break 'found step;
                }
            }
            power = power.saturating_mul(10);
        };
        let first = self.low.div_euclid(step) + i64::from(self.low.rem_euclid(step) != 0);
        let values = (first..).map(|nth| nth.saturating_mul(step)).take_while(|value| *value <= self.high);
        (values.take(most.max(1) as usize + 2).collect(), step)
    }
}

/// A value in units of `divisor`, with as many decimals as the step between ticks has.
pub(super) fn label(value: i64, divisor: i64, step: i64) -> String {
    let mut decimals = 0;
    let mut rest = step % divisor;
    while rest != 0 && decimals < 9 {
        rest = rest * 10 % divisor;
        decimals += 1;
    }
    let sign = if value < 0 { "-" } else { "" };
    let (value, divisor) = (value.unsigned_abs(), divisor.unsigned_abs());
    let whole = value / divisor;
    if decimals == 0 {
        return format!("{sign}{whole}");
    }
    let mut fraction = String::new();
    let mut rest = value % divisor;
    for _ in 0..decimals {
        rest *= 10;
        fraction.push_str(&(rest / divisor).to_string());
        rest %= divisor;
    }
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(low: i64, high: i64, most: i64, quantity: Quantity) -> String {
        let axis = Axis { low, high, from: 0.0, to: 100.0 };
        let (values, step) = axis.ticks(most);
        let (divisor, unit) = quantity.unit(high - low);
        let labels: Vec<_> = values.iter().map(|value| label(*value, divisor, step)).collect();
        format!("{} {unit}", labels.join(" "))
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(0, 1_234_000_000, 7, Quantity::Time), "0 200 400 600 800 1000 1200 ms");
        assert_eq!(ticks(0, 12_340_000_000, 7, Quantity::Time), "0 2 4 6 8 10 12 s");
        assert_eq!(ticks(0, 2_500_000_000, 6, Quantity::Time), "0.0 0.5 1.0 1.5 2.0 2.5 s");
        assert_eq!(ticks(-1, 1, 5, Quantity::Packets), "-1 0 1 packets");
        assert_eq!(ticks(0, 99_999, 5, Quantity::Bytes), "0 20 40 60 80 kB");
        assert_eq!(ticks(0, 900, 5, Quantity::Bytes), "0 200 400 600 800 bytes");
        assert_eq!(ticks(0, 9_400_000, 5, Quantity::Rate), "0 2 4 6 8 Mbit/s");
        assert_eq!(ticks(5, 5, 5, Quantity::Bytes), "5 bytes", "no range");
        let all = Axis { low: i64::MIN, high: i64::MAX, from: 0.0, to: 1.0 }.ticks(5).0;
        assert!(all.len() <= 7, "{all:?}");
    }

    #[test]
    fn a_value_stands_at_its_part_of_the_way() {
        let axis = Axis { low: 0, high: 200, from: 400.0, to: 0.0 };
        assert_eq!([0, 50, 200, 240, 1_000_000].map(|value| axis.place(value) as i64), [400, 300, 0, -80, -80]);
    }
}
