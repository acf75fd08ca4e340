//! A ladder as SVG: the lines that a terminal would show, with bars, shafts and heads of arrows drawn as lines. So the picture
//! says what the terminal says. Its width is that of the text.

use core::fmt::Write as _;

use super::palette::{self, Color};
use super::plot::svg::{Number, Svg, Xml};
use super::text::columns;

/// Lines that are drawn. One more says how many are not.
const MOST_LINES: usize = 4_000;
/// The columns for which the ladder is to be drawn: readable on a telephone.
pub const SVG_COLUMNS: usize = 72;
/// Room of a character and of a line.
const CELL: (f64, f64) = (8.0, 17.0);
const MARGIN: f64 = 14.0;

/// Gathers the text of a ladder with its colours, line by line, and draws it.
#[derive(Debug, Default)]
pub struct SvgLadder {
    lines: Vec<String>,
    open: String,
    left_out: u64,
}

impl SvgLadder {
    /// Nothing so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes text of a ladder that was drawn with colours, for [`SVG_COLUMNS`] columns.
    pub fn take(&mut self, text: &str) {
        for part in text.split_inclusive('\n') {
            self.open.push_str(part.trim_end_matches('\n'));
            if part.ends_with('\n') {
                let line = core::mem::take(&mut self.open);
                if self.lines.len() < MOST_LINES {
                    self.lines.push(line);
                } else {
                    self.left_out += 1;
                }
            }
        }
    }

    /// The picture.
    pub fn draw(mut self, title: &str) -> String {
        if !self.open.is_empty() {
            self.take("\n");
        }
        let drawn = self.lines.len() as u64;
        let description =
            format!("A ladder of {} lines. Time runs down, each arrow is a segment.", drawn + self.left_out);
        if self.left_out > 0 {
            self.lines.push(format!("… {} more lines are not drawn", self.left_out));
        }
        let mut svg = Svg::default();
        svg.text((MARGIN, 26.0), "h", "start", palette::TEXT, title);
        let mut widest = SVG_COLUMNS;
        for (number, line) in self.lines.iter().enumerate() {
            let y = 40.0 + (number as f64 + 1.0) * CELL.1;
            widest = widest.max(draw_line(&mut svg, line, y));
        }
        let height = 40.0 + (self.lines.len() as f64 + 1.5) * CELL.1;
        svg.finish((widest as f64 * CELL.0 + 2.0 * MARGIN, height), title, &description)
    }
}

/// A part of a line in one colour.
#[derive(Debug, PartialEq)]
struct Span<'a> {
    text: &'a str,
    color: Color,
    bold: bool,
}

/// The parts of a line, by the codes of its colours.
fn spans(line: &str) -> Vec<Span<'_>> {
    let (mut color, mut bold) = (palette::TEXT, false);
    let mut spans = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        spans.push(Span { text: before, color, bold });
        let Some((code, behind)) = after.split_once('m') else { break };
        for number in code.split(';') {
            match number {
                "1" => bold = true,
                "2" => color = palette::FAINT,
                "31" => color = palette::LOST,
                "32" => color = palette::ACK,
                "33" => color = palette::RETRANSMISSION,
                "34" => color = palette::NEW,
                "35" => color = palette::OUT_OF_ORDER,
                "36" => color = palette::SACK,
                _ => (color, bold) = (palette::TEXT, false),
            }
        }
        rest = behind;
    }
    spans.push(Span { text: rest, color, bold });
    spans.retain(|span| !span.text.is_empty());
    spans
}

/// What a character of a ladder is drawn as, from the middle of its cell; `None` for text.
fn form(c: char) -> Option<&'static str> {
    Some(match c {
        '│' => "m0-8.5v17",
        '┆' => "m0-7v3m0 3v3m0 3v3",
        '╲' => "m-4-8.5 8 17",
        '╱' => "m-4 8.5 8-17",
        '─' => "m-4 0h8",
        '═' => "m-4-1.5h8m-8 3h8",
        '→' => "m-4 0h7m-4-3.5 4 3.5-4 3.5",
        '←' => "m4 0h-7m4-3.5-4 3.5 4 3.5",
        '✗' => "m-4-4 8 8m0-8-8 8",
        '↔' => "m-4 0h8m-3-3 3 3-3 3m-2-6-3 3 3 3",
        _ => return None,
    })
}

/// Draws a line. Gives how many columns it has.
fn draw_line(svg: &mut Svg, line: &str, y: f64) -> usize {
    let mut column = 0;
    for span in spans(line) {
        let mut path = String::new();
        let mut text = String::new();
        let mut begins = column;
        for c in span.text.chars() {
            let width = columns(c.encode_utf8(&mut [0; 4]));
            match form(c) {
                Some(form) => {
                    write_text(svg, &text, (begins, column), y, &span);
                    text.clear();
                    let x = MARGIN + (column as f64 + 0.5) * CELL.0;
                    let _ = write!(path, "M{} {}{form}", Number(x), Number(y - 4.5));
                    begins = column + width;
                }
                None if c == ' ' && text.is_empty() => begins = column + width,
                None => text.push(c),
            }
            column += width;
        }
        write_text(svg, &text, (begins, column), y, &span);
        if !path.is_empty() {
            svg.stroke(span.color, " stroke-width=\"1.2\"", &path);
        }
    }
    column
}

/// Writes text from one column up to another. Its length is given, so that it fits whatever font there is.
fn write_text(svg: &mut Svg, text: &str, (from, to): (usize, usize), y: f64, span: &Span<'_>) {
    let shown = text.trim_end();
    if shown.is_empty() {
        return;
    }
    let room = (to - from) - (text.len() - shown.len());
    let (x, length) = (Number(MARGIN + from as f64 * CELL.0), Number(room as f64 * CELL.0));
    let weight = if span.bold { " font-weight=\"600\"" } else { "" };
    let class = svg.class(span.color);
    let (y, shown) = (Number(y), Xml(shown));
    svg.put(format_args!(
        "<text class=\"c {class}\" x=\"{x}\" y=\"{y}\" textLength=\"{length}\"{weight} xml:space=\"preserve\">{shown}</text>\n"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_colours_of_a_terminal_become_those_of_the_picture() {
        let line = "0.1 \x1b[2m│\x1b[0m\x1b[31mlost\x1b[0m";
        let shown: Vec<_> = spans(line).into_iter().map(|span| (span.text, span.color)).collect();
        assert_eq!(shown, [("0.1 ", palette::TEXT), ("│", palette::FAINT), ("lost", palette::LOST)]);
    }

    #[test]
    fn bars_and_arrows_are_lines_and_the_rest_is_text() {
        let mut ladder = SvgLadder::new();
        ladder.take("0.1 │── <SYN> ─");
        ladder.take("→│\n");
        let svg = ladder.draw("a & b");
        assert!(svg.contains("textLength=\"40\"") && svg.contains("&lt;SYN&gt;</text>"), "{svg}");
        assert!(!svg.contains('│') && !svg.contains('─'), "{svg}");
        assert!(svg.contains("<title id=\"title\">a &amp; b</title>"), "{svg}");
    }

    #[test]
    fn lines_beyond_the_limit_are_counted() {
        let lines = |count: usize| {
            let mut ladder = SvgLadder::new();
            ladder.take(&"x\n".repeat(count));
            ladder.draw("")
        };
        let drawn = |svg: &str| svg.matches("<text class=\"c").count();
        assert_eq!(drawn(&lines(MOST_LINES)), MOST_LINES);
        let more = lines(MOST_LINES + 1);
        assert_eq!(drawn(&more), MOST_LINES + 1);
        assert!(more.contains("… 1 more lines are not drawn"), "{more}");
    }
}
