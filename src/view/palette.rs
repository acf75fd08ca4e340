//! The colours of plots and pages, on a light and on a dark ground. They are those of Okabe and Ito, which people with any
//! kind of colour blindness can tell apart, and lighter ones of the same hue for the dark ground. No mark is told by its
//! colour alone: shapes and dashes differ too.

/// A colour on both grounds, as CSS writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Color {
    /// On a light ground.
    pub light: &'static str,
    /// On a dark ground.
    pub dark: &'static str,
}

const fn color(light: &'static str, dark: &'static str) -> Color {
    Color { light, dark }
}

/// The ground.
pub const GROUND: Color = color("#ffffff", "#14171a");
/// Text.
pub const TEXT: Color = color("#1f2328", "#e6e8ea");
/// Text of less weight: units, captions, ticks.
pub const FAINT: Color = color("#57606a", "#9aa4ae");
/// Lines of the grid.
pub const GRID: Color = color("#e4e7ea", "#2b3036");
/// The frame of a plot.
pub const FRAME: Color = color("#8b949e", "#6b747d");

/// Data sent for the first time.
pub const NEW: Color = color("#0072b2", "#56b4e9");
/// Sent again.
pub const RETRANSMISSION: Color = color("#d55e00", "#ff8a3d");
/// Sent again though it was acknowledged, or copied.
pub const DUPLICATE: Color = color("#a86e00", "#f0c040");
/// Overtaken on the way.
pub const OUT_OF_ORDER: Color = color("#b0578d", "#e79ac4");
/// A probe or a keep-alive.
pub const PROBE: Color = color("#6b4fa0", "#b9a3e8");
/// A loss.
pub const LOST: Color = color("#c00000", "#ff6b6b");
/// What is acknowledged.
pub const ACK: Color = color("#00805f", "#2fcf9f");
/// What is acknowledged selectively.
pub const SACK: Color = color("#008fb3", "#7fd7f0");
/// The window.
pub const WINDOW: Color = color("#7a7f85", "#a9b1b9");

/// Of one connection among several, in this order. From the ninth on they begin again.
pub const FLOWS: [Color; 8] = [
    color("#0072b2", "#56b4e9"),
    color("#c2570c", "#ff9a4d"),
    color("#00805f", "#2fcf9f"),
    color("#b0578d", "#e79ac4"),
    color("#8a6d00", "#f0e442"),
    color("#1f2328", "#e6e8ea"),
    color("#0f9bc4", "#a6e3ff"),
    color("#6b4fa0", "#b9a3e8"),
];
