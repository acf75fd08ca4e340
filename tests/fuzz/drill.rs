//! Texts that nobody means: the parser of packetdrill's language reads them or says what is wrong, and never panics. What it
//! reads runs to a verdict. A fixed number of cases; `make fuzz` has many more (`TCPLAB_FUZZ_CASES`).
#![cfg(feature = "drill")]

use std::time::{Duration, Instant};

use crate::fuzz;
use crate::fuzz::each_case;
use crate::scripts::{SMALL, corpus, defined};
use tcplab::drill::parse::{Definitions, MAX_BYTES, parse};
use tcplab::drill::{Drill, Verdict};
use tcplab::rng::Rng;

/// What a mutation puts in: signs of the language, and bytes that terminals obey.
const PIECES: [&str; 36] = [
    "...",
    "~",
    "+",
    "*",
    "-",
    "<",
    ">",
    "<...>",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "`",
    "%{",
    "}%",
    "/*",
    "*/",
    "//",
    "\n#ifdef A\n",
    "\n#else\n",
    "\n#endif\n",
    "\n--define=ack=win\n",
    "0x",
    "4294967295",
    "18446744073709551616",
    "1e9",
    ":",
    "!",
    "/udp(",
    "\\",
    "\u{1b}[31m",
    "\u{202e}",
    "\u{e4}",
];

fn cases() -> u64 {
    fuzz::cases(20_000)
}

fn below(rng: &mut Rng, bound: usize) -> usize {
    rng.below(bound as u64) as usize
}

/// A place between two characters.
fn place(text: &str, rng: &mut Rng) -> usize {
    let mut at = below(rng, text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Two places in order.
fn range(text: &str, rng: &mut Rng, most: usize) -> (usize, usize) {
    let start = place(text, rng);
    let mut end = (start + below(rng, most)).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (start, end.max(start))
}

/// Changes a text in a few places; sometimes with a part of another one.
fn mutate(text: &mut String, other: &str, rng: &mut Rng) {
    for _ in 0..=below(rng, 4) {
        let (start, end) = range(text, rng, 40);
        match below(rng, 7) {
            0 => text.truncate(start),
            1 => text.insert_str(start, PIECES[below(rng, PIECES.len())]),
            2 => text.replace_range(start..end, ""),
            3 => text.replace_range(start..end, PIECES[below(rng, PIECES.len())]),
            4 => {
                let (from, to) = range(other, rng, 200);
                text.insert_str(start, &other[from..to]);
            }
            5 => {
                let part = text[start..end].to_owned();
                text.insert_str(end, &part);
            }
            _ => text.insert(start, char::from_u32(rng.next_u32() & 0xfff).unwrap_or('x')),
        }
    }
}

/// Parses a text. An error has its place in the text and can be shown; a script can be printed and parsed again.
fn read(text: &str, definitions: &Definitions) -> bool {
    match parse(text, definitions) {
        Ok(script) => {
            let inside = |start: usize, end: usize| start < end && text.get(start..end).is_some();
            for event in &script.events {
                assert!(inside(event.span.start, event.span.end), "{:?} in {text:?}", event.span);
            }
            let printed = script.to_string();
            assert!(parse(&printed, &Definitions::new()).is_ok(), "{printed:?} of {text:?}");
            true
        }
        Err(error) => {
            assert!(text.get(error.span.start..error.span.end).is_some(), "{:?} in {text:?}", error.span);
            let shown = error.render("a.pkt", text);
            assert!(shown.contains(&format!("a.pkt:{}:{}\n", error.line, error.column)), "{shown} of {text:?}");
            let control = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!shown.contains(control) && !error.to_string().contains(control), "{shown:?} of {text:?}");
            false
        }
    }
}

/// The texts that are changed.
fn seeds() -> Vec<String> {
    let small = SMALL.iter().map(ToString::to_string);
    small.chain(corpus().into_iter().flatten().map(|(_, text)| text)).collect()
}

#[test]
fn changed_scripts_are_read_or_refused() {
    let seeds = seeds();
    let definitions = [Definitions::new(), defined(&["FreeBSD", "A", "mss=1", "close=\"x\"", "ack=`x`", "win=0"])];
    let (mut good, mut bad) = (0, 0);
    each_case(cases(), |case| {
        let mut rng = Rng::new(case, "changed scripts");
        // Every other text is a small one: they have all parts of the language.
        let seed = if rng.chance(0.5) { below(&mut rng, SMALL.len()) } else { below(&mut rng, seeds.len()) };
        let mut text = seeds[seed].clone();
        let other = &seeds[below(&mut rng, seeds.len())];
        mutate(&mut text, other, &mut rng);
        *if read(&text, &definitions[below(&mut rng, 2)]) { &mut good } else { &mut bad } += 1;
        // A run ends with a verdict.
        let outcome = Drill::new().run_text("a.pkt", &text);
        assert_eq!(outcome.verdict == Verdict::Pass, outcome.reason.is_empty(), "{outcome:?} of {text:?}");
    });
    assert!(good > 0 && bad > good, "{good} good, {bad} bad");
}

#[test]
fn cut_scripts_are_read_or_refused() {
    for text in SMALL {
        for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
            read(&text[..at], &Definitions::new());
            read(&text[at..], &Definitions::new());
        }
    }
}

#[test]
fn random_characters_are_read_or_refused() {
    each_case(cases() / 4, |case| {
        let mut rng = Rng::new(case, "random characters in scripts");
        let pieces = (0..below(&mut rng, 60)).map(|_| match below(&mut rng, 4) {
            0 => PIECES[below(&mut rng, PIECES.len())].to_owned(),
            1 => char::from_u32(rng.next_u32() & 0x7f).unwrap_or('x').to_string(),
            2 => ["0", " ", "S", ".", "f(", "= 3", "ack 1", "icmp", "nop"][below(&mut rng, 9)].to_owned(),
            _ => char::from_u32(rng.next_u32()).unwrap_or('\u{1}').to_string(),
        });
        read(&pieces.collect::<String>(), &Definitions::new());
    });
}

#[test]
fn long_scripts_take_time_in_proportion_to_their_length() {
    let start = Instant::now();
    let repeated = [
        "[",
        "{",
        "(",
        "\"",
        "\\\"",
        "`",
        "%{",
        "/*",
        "0 ",
        "0 f(",
        "0 f(1,",
        "0 f({a=",
        "+",
        "~",
        ".",
        "...",
        "<",
        "--x=\"",
        "--x=`",
        "-D",
        "S",
        "A|",
        "1:1",
        "0 > gre:",
        "0 > ipv4 a > b",
        "mss ",
        "#ifdef x\n",
        "a=",
        "\"\" ",
        "(()",
        "\n",
        "\u{e4}",
        "\u{1b}",
        "x",
        "9",
        "0 < icmp 1 ",
    ];
    for text in repeated {
        for start in ["", "0 ", "0 f(", "0 > S 0:0(0) <", "0 f() = ", "0 f() = -1 E (", "--x=", "#", "0 %{"] {
            let mut long = start.to_owned();
            long.extend(core::iter::repeat_n(text, (MAX_BYTES / 16 - start.len()) / text.len()));
            read(&long, &Definitions::new());
        }
    }
    // A generous bound: time that grows with the square would need hours.
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
}
