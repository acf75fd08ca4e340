//! Writes SVG: numbers with one decimal, escaped text, and colours as classes with a value for light and one for dark. The
//! bytes depend on nothing but the calls.

use core::fmt::{self, Write as _};

use crate::escape::escaped;
use crate::view::palette::{Color, GROUND};

/// A picture that is being written.
#[derive(Debug, Default)]
pub(in crate::view) struct Svg {
    body: String,
    colors: Vec<Color>,
}

/// Sizes of text in units of the picture: usual, narrow and wide. The layout has room for the largest.
const TEXT_SIZES: [(&str, [&str; 3]); 4] = [
    ("t", ["13px", "19px", "10px"]),
    ("h", ["16px", "21px", "12px"]),
    ("m", ["12px", "17.5px", "9px"]),
    ("n", ["12px", "15px", "9px"]),
];

impl Svg {
    /// The class of a colour. An element of this class draws with `currentColor`.
    pub(in crate::view) fn class(&mut self, color: Color) -> String {
        let at = self.colors.iter().position(|known| *known == color).unwrap_or_else(|| {
            self.colors.push(color);
            self.colors.len() - 1
        });
        format!("k{at}")
    }

    /// Writes an element, or a part of one, as it stands. Texts in it must be escaped.
    pub(in crate::view) fn put(&mut self, text: fmt::Arguments<'_>) {
        // Writing into a string does not fail.
        let _ = self.body.write_fmt(text);
    }

    /// A text, unless it is empty. `class` is `t`, `h` (title), `m` (small) or `n` (for sentences); `anchor` is `start`, `middle` or `end`.
    pub(in crate::view) fn text(&mut self, (x, y): (f64, f64), class: &str, anchor: &str, color: Color, text: &str) {
        if text.is_empty() {
            return;
        }
        let color = self.class(color);
        let anchor = if anchor == "start" { String::new() } else { format!(" text-anchor=\"{anchor}\"") };
        let (x, y, text) = (Number(x), Number(y), Xml(text));
        self.put(format_args!("<text class=\"{class} {color}\" x=\"{x}\" y=\"{y}\"{anchor}>{text}</text>\n"));
    }

    /// A path that is stroked. `more` are attributes that begin with a blank.
    pub(in crate::view) fn stroke(&mut self, color: Color, more: &str, path: &str) {
        let color = self.class(color);
        self.put(format_args!("<path class=\"s {color}\"{more} d=\"{path}\"/>\n"));
    }

    /// A path that is filled.
    pub(in crate::view) fn fill(&mut self, color: Color, more: &str, path: &str) {
        let color = self.class(color);
        self.put(format_args!("<path class=\"f {color}\"{more} d=\"{path}\"/>\n"));
    }

    /// The whole picture. Screen readers read the title and the description.
    pub(in crate::view) fn finish(mut self, (width, height): (f64, f64), title: &str, description: &str) -> String {
        let ground = self.class(GROUND);
        let (width, height) = (Number(width), Number(height));
        let mut out = String::with_capacity(self.body.len() + 2048);
        let _ = writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"title desc\">\n<title id=\"title\">{}</title>\n<desc id=\"desc\">{}</desc>\n<style>",
            Xml(title),
            Xml(description)
        );
        out.push_str("text{font-family:system-ui,'DejaVu Sans',Arial,sans-serif;fill:currentColor}\n");
        out.push_str(".c{font:13px ui-monospace,'DejaVu Sans Mono',Menlo,monospace}\n");
        out.push_str(".s{fill:none;stroke:currentColor;stroke-linejoin:round}.f{fill:currentColor}\n");
        for (class, [usual, ..]) in TEXT_SIZES {
            let weight = if class == "h" { ";font-weight:600" } else { "" };
            let _ = write!(out, ".{class}{{font-size:{usual}{weight}}}");
        }
        for (which, at) in [("max-width:560px", 1), ("min-width:1200px", 2)] {
            let _ = write!(out, "\n@media({which}){{");
            for (class, sizes) in TEXT_SIZES {
                let _ = write!(out, ".{class}{{font-size:{}}}", sizes[at]);
            }
            out.push('}');
        }
        out.push('\n');
        for (at, color) in self.colors.iter().enumerate() {
            let _ = write!(out, ".k{at}{{color:{}}}", color.light);
        }
        out.push_str("\n@media(prefers-color-scheme:dark){");
        for (at, color) in self.colors.iter().enumerate() {
            let _ = write!(out, ".k{at}{{color:{}}}", color.dark);
        }
        let _ = write!(out, "}}\n</style>\n<rect class=\"f {ground}\" width=\"{width}\" height=\"{height}\"/>\n");
        out.push_str(&self.body);
        out.push_str("</svg>\n");
        out
    }
}

/// A number with at most one decimal.
#[derive(Clone, Copy)]
pub(in crate::view) struct Number(pub(in crate::view) f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round() as i64;
        let sign = if tenths < 0 { "-" } else { "" };
        let (whole, tenth) = (tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10);
        if tenth == 0 { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{tenth}") }
    }
}

/// Text in an element or an attribute. What would command a terminal is shown as an escape, and so are characters that XML
/// does not have.
pub(in crate::view) struct Xml<'a>(pub(in crate::view) &'a str);

impl fmt::Display for Xml<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in escaped(self.0).chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\u{fffe}' | '\u{ffff}' => f.write_str("\u{fffd}")?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A text that has room for so many characters.
pub(in crate::view) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_decimal_at_most() {
        let shown = |number: f64| Number(number).to_string();
        assert_eq!([0.04, 0.05, -0.04, 12.0, 12.34, -3.96].map(shown), ["0", "0.1", "0", "12", "12.3", "-4"]);
    }

    #[test]
    fn text_cannot_become_markup() {
        let text = "</text><script>alert('1')&\"\u{1b}[2J\u{0}\u{ffff}\u{202e}";
        let shown = "&lt;/text&gt;&lt;script&gt;alert(&#39;1&#39;)&amp;&quot;\\u{1b}[2J\\u{0}\u{fffd}\\u{202e}";
        assert_eq!(Xml(text).to_string(), shown);
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdefg", 6), "abcde…");
    }
}
