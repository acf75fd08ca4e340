//! Text for terminals: how many columns it takes, where it breaks, what a terminal must not be sent. Used by the ladder
//! and the tables.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::escape::{escaped, escaped_lines};

/// How many columns a text takes. Never less than what a terminal shows.
pub(crate) fn columns(text: &str) -> usize {
    text.width().max(text.chars().map(char_columns).sum())
}

fn char_columns(c: char) -> usize {
    c.width().unwrap_or(1)
}

/// A text without what would command a terminal, which is escaped. Characters that change the width of others are left
/// out. Line ends and tabs stay if `lines` is true.
pub(crate) fn printable(text: &str, lines: bool) -> String {
    let safe: String = text.chars().filter(|c| !matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{200d}')).collect();
    if lines { escaped_lines(&safe).into_owned() } else { escaped(&safe).into_owned() }
}

/// The same in ASCII: what is not becomes `?`.
pub(crate) fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

/// The lines of a text that take at most `most` columns, one at least. Words that are longer are broken.
pub(crate) fn wrapped(text: &str, most: usize) -> Vec<String> {
    let most = most.max(2);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_whitespace() {
        let word = printable(word, false);
        let needs = columns(&word);
        if used > 0 && used + 1 + needs > most {
            lines.push(String::new());
            used = 0;
        }
        let line = lines.last_mut().expect("one at least");
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        if needs <= most {
            line.push_str(&word);
            used += needs;
            continue;
        }
        for c in word.chars() {
            let needs = char_columns(c);
            if used + needs > most {
                lines.push(String::new());
                used = 0;
            }
            lines.last_mut().expect("one at least").push(c);
            used += needs;
        }
    }
    lines
}

/// Prose in at most `most` columns. A line that begins with a blank or `|` stays as it is where it fits; `- ` begins an
/// item; other lines up to an empty one are a paragraph.
#[cfg(feature = "cli")]
pub(crate) fn filled(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut paragraph = String::new();
    let close = |paragraph: &mut String, out: &mut String| {
        let (first, indent) =
            if let Some(item) = paragraph.strip_prefix("- ") { (item, "  ") } else { (&**paragraph, "") };
        if !first.is_empty() {
            for (n, line) in wrapped(first, most.saturating_sub(indent.len())).iter().enumerate() {
                out.push_str(if indent.is_empty() || n > 0 { indent } else { "- " });
                out.push_str(line);
                out.push('\n');
            }
        }
        paragraph.clear();
    };
    for line in text.lines() {
        let kept = line.starts_with([' ', '|', '\t']);
        if line.is_empty() || kept || line.starts_with("- ") {
            close(&mut paragraph, &mut out);
        }
        if line.is_empty() {
            out.push('\n');
        } else if kept {
            let line = printable(line, true);
            if columns(&line) <= most {
                out.push_str(&line);
                out.push('\n');
            } else {
                for line in wrapped(&line, most) {
                    out.push_str(&line);
                    out.push('\n');
                }
            }
        } else {
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line);
        }
    }
    close(&mut paragraph, &mut out);
    out
}

/// Nanoseconds, which may be negative, as seconds in at most `most` columns with at most `decimals` digits behind the
/// point. `None` if not even the whole seconds fit.
pub(crate) fn seconds(nanos: i64, decimals: usize, most: usize) -> Option<String> {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let whole = format!("{sign}{}", nanos / 1_000_000_000);
    let room = most.checked_sub(whole.len())?.saturating_sub(1).min(decimals);
    if room == 0 {
        return Some(whole);
    }
    let fraction = format!("{:09}", nanos % 1_000_000_000);
    Some(format!("{whole}.{}", &fraction[..room]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_wrapped_line_is_too_long_and_nothing_is_lost(text in "\\PC{0,60}|[a-z \u{300}あ🦀\u{1b}]{0,60}", most in 2..40_usize) {
            let lines = wrapped(&text, most);
            for line in &lines {
                prop_assert!(columns(line) <= most, "{line:?}");
            }
            let kept = |text: &str| printable(text, false).chars().filter(|c| !c.is_whitespace()).collect::<String>();
            let whole: String = text.split_whitespace().map(kept).collect();
            prop_assert_eq!(kept(&lines.concat()), whole);
        }

        #[test]
        fn seconds_fit_or_are_refused(nanos in any::<i64>(), decimals in 0..10_usize, most in 0..24_usize) {
            if let Some(text) = seconds(nanos, decimals, most) {
                prop_assert!(text.len() <= most, "{text}");
            }
        }
    }

    #[test]
    fn a_terminal_does_not_obey_a_text() {
        assert_eq!(printable("a\x1b[31mb\u{202e}c\nd", false), r"a\u{1b}[31mb\u{202e}c\nd");
        assert_eq!(printable("a\nb\tc", true), "a\nb\tc");
        assert_eq!(ascii("a→b"), "a?b");
    }

    #[test]
    fn times_lose_digits_where_there_is_no_room() {
        assert_eq!(seconds(1_500_000_000, 9, 13).as_deref(), Some("1.500000000"));
        assert_eq!(seconds(-5, 9, 13).as_deref(), Some("-0.000000005"));
        assert_eq!(seconds(1_500_000_000, 9, 4).as_deref(), Some("1.50"));
        assert_eq!(seconds(12_500_000_000, 9, 2).as_deref(), Some("12"));
        assert_eq!(seconds(123_500_000_000, 9, 2), None);
    }

    #[cfg(feature = "cli")]
    #[test]
    fn prose_is_filled_and_lists_and_tables_stay() {
        let text = "one two\nthree\n\n- four five six\n- seven\n  kept as it is\n";
        assert_eq!(filled(text, 80), "one two three\n\n- four five six\n- seven\n  kept as it is\n");
        assert_eq!(filled(text, 9), "one two\nthree\n\n- four\n  five\n  six\n- seven\nkept as\nit is\n");
    }
}
