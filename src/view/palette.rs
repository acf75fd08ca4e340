//! The colours of plots and pages, on a light and on a dark ground. They have the hues of Okabe and Ito, which people with
//! any kind of colour blindness can tell apart: darker ones on the light ground, lighter ones on the dark ground. Marks have
//! the contrast that WCAG 2.2 asks of text, because the ladder has text in their colours. No mark is told by its colour
//! alone: shapes and dashes differ too.

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
pub const RETRANSMISSION: Color = color("#bf5300", "#ff8a3d");
/// Sent again though it was acknowledged, or copied.
pub const DUPLICATE: Color = color("#946000", "#f0c040");
/// Overtaken on the way.
pub const OUT_OF_ORDER: Color = color("#b0578d", "#e79ac4");
/// A probe or a keep-alive.
pub const PROBE: Color = color("#6b4fa0", "#b9a3e8");
/// A loss.
pub const LOST: Color = color("#c00000", "#ff6b6b");
/// What is acknowledged.
pub const ACK: Color = color("#00805f", "#2fcf9f");
/// What is acknowledged selectively.
pub const SACK: Color = color("#007a9c", "#7fd7f0");
/// The window.
pub const WINDOW: Color = color("#6e7378", "#a9b1b9");

/// Of one connection among several, in this order. From the ninth on they begin again.
pub const FLOWS: [Color; 8] = [
    color("#0072b2", "#56b4e9"),
    color("#bf5300", "#ff9a4d"),
    color("#00805f", "#2fcf9f"),
    color("#b0578d", "#e79ac4"),
    color("#8a6d00", "#f0e442"),
    color("#1f2328", "#e6e8ea"),
    color("#0f9bc4", "#a6e3ff"),
    color("#6b4fa0", "#b9a3e8"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The relative luminance of `#rrggbb`, as WCAG 2.2 defines it.
    fn luminance(color: &str) -> f64 {
        let part = |at: usize| {
            let value = f64::from(u8::from_str_radix(&color[at..at + 2], 16).expect("hexadecimal")) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    /// The contrast ratio of two colours, from 1 to 21.
    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[track_caller]
    fn has_contrast(name: &str, color: Color, least: f64) {
        let got = [contrast(color.light, GROUND.light), contrast(color.dark, GROUND.dark)];
        assert!(got.iter().all(|ratio| *ratio >= least), "{name} {color:?}: {got:.2?} are less than {least}");
    }

    #[test]
    fn the_contrast_of_black_and_white_is_21() {
        assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 1e-9);
        assert!((contrast("#767676", "#ffffff") - 4.54).abs() < 0.005, "the lightest grey for text");
    }

    #[test]
    fn text_and_marks_that_are_also_text_have_a_contrast_of_4_5_on_both_grounds() {
        let marks = [
            ("text", TEXT),
            ("faint text", FAINT),
            ("new", NEW),
            ("retransmission", RETRANSMISSION),
            ("duplicate", DUPLICATE),
            ("out of order", OUT_OF_ORDER),
            ("probe", PROBE),
            ("lost", LOST),
            ("acknowledged", ACK),
            ("SACK", SACK),
            ("window", WINDOW),
        ];
        for (name, color) in marks {
            has_contrast(name, color, 4.5);
        }
    }

    #[test]
    fn lines_have_a_contrast_of_3_on_both_grounds_and_no_two_connections_the_same() {
        has_contrast("frame", FRAME, 3.0);
        for (number, color) in FLOWS.iter().enumerate() {
            has_contrast(&format!("connection {number}"), *color, 3.0);
            assert!(!FLOWS[..number].contains(color), "connection {number}");
        }
    }
}
