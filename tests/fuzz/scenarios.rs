//! Texts that nobody means: scenario files, recipes and link lines with wrong parts are read or refused, and never cause a
//! panic. What is read is built, and runs for a short virtual time. `make fuzz` has many more (`TCPLAB_FUZZ_CASES`).
#![cfg(feature = "scenario")]

use crate::fuzz::{cases, each_case};
use tcplab::link::{LinkLine, LinkSpec};
use tcplab::rng::Rng;
use tcplab::scenario::{Recipe, Scenario, lessons};
use tcplab::time::Instant;

/// How many inputs each test tries by default.
const CASES: u64 = 3_000;
/// How long what was read runs.
const RUN: Instant = Instant::from_millis(50);

/// Values that are too large, too small or of another kind.
const VALUES: [&str; 30] = [
    "0",
    "-1",
    "1",
    "255",
    "65535",
    "65536",
    "4294967296",
    "9223372036854775807",
    "18446744073709551616",
    "1e400",
    "nan",
    "inf",
    "true",
    "\"\"",
    "\"1MB\"",
    "\"16MiB\"",
    "\"1s\"",
    "\"0s\"",
    "\"584y\"",
    "\"100%\"",
    "\"h1\"",
    "\"192.0.2.1\"",
    "\"::1\"",
    "\"255.255.255.255\"",
    "[]",
    "[1, 2]",
    "{}",
    "{ a = 1 }",
    "1979-05-27",
    "\"\\u001b[31m\\u202e\"",
];

/// Lines that are good somewhere.
const LINES: [&str; 12] = [
    "[[hosts]]",
    "[[links]]",
    "[[programs]]",
    "count = 10000",
    "start = \"1s\"",
    "until = \"1ms\"",
    "listen = 80",
    "connect = \"server:80\"",
    "size = \"1GB\"",
    "link = \"rate=1Gbit,delay=1ms,limit=10\"",
    "run = \"bulk\"",
    "rcv-buf = \"16MiB\"",
];

/// Link lines with every key.
const LINKS: [&str; 8] = [
    "rate=10Mbit,delay=20ms,jitter=2ms:normal,loss=1%,reorder=0.5%,limit=64KiB",
    "A>B:rate=1Gbit,delay=1ms,jitter=2ms:pareto,limit=100",
    "loss=gemodel:1%:10%:100%:0%,duplicate=0.1%,corrupt=0.01%",
    "reorder=0.5%:3ms,mtu=1400,down=1s..2s,down=3s..4s",
    "drop=synack:1,drop=data:3,hold=packet:7:300ms",
    "jitter=2ms:uniform,loss=gemodel:1%",
    "",
    "delay=1us,limit=0",
];

/// What a mutation of a link line puts in.
const ITEMS: [&str; 24] = [
    "=",
    ",",
    ":",
    "..",
    "%",
    ">",
    "-",
    "0",
    "9",
    "99999999999999999999",
    "1e9",
    ".",
    "bit",
    "ms",
    "KiB",
    "rate=",
    "delay=",
    "loss=",
    "down=",
    "drop=",
    "hold=",
    "mtu=",
    "\u{1b}",
    "\u{e4}",
];

fn below(rng: &mut Rng, bound: usize) -> usize {
    rng.below(bound as u64) as usize
}

fn one<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[below(rng, from.len())]
}

/// A place between two characters.
fn place(text: &str, rng: &mut Rng) -> usize {
    let mut at = below(rng, text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Changes lines: values, whole lines, single characters.
fn mutate_lines(text: &str, other: &str, rng: &mut Rng) -> String {
    let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
    let others: Vec<&str> = other.lines().collect();
    for _ in 0..=below(rng, 4) {
        let at = below(rng, lines.len().max(1));
        let Some(line) = lines.get_mut(at) else { continue };
        match below(rng, 8) {
            0..=2 => {
                if let Some((key, _)) = line.split_once('=') {
                    *line = format!("{key}= {}", one(rng, &VALUES));
                }
            }
            3 => drop(lines.remove(at)),
            4 => {
                let copy = line.clone();
                lines.insert(at, copy);
            }
            5 => lines.insert(at, one(rng, &LINES).to_owned()),
            6 if !others.is_empty() => lines.insert(at, others[below(rng, others.len())].to_owned()),
            _ => {
                let at = place(line, rng);
                line.insert(at, char::from_u32(rng.next_u32() & 0xff).unwrap_or('x'));
            }
        }
    }
    lines.join("\n")
}

fn texts() -> Vec<String> {
    lessons().filter_map(Scenario::lesson).map(|lesson| lesson.text().to_owned()).collect()
}

/// Reads, builds and runs; says whether all of it was possible.
fn play(scenario: &Scenario) -> bool {
    scenario.build(1).is_ok_and(|world| world.sim().try_run_until(RUN).is_ok())
}

#[test]
fn changed_scenarios_are_refused_or_run() {
    let texts = texts();
    let (mut good, mut bad) = (0_u64, 0_u64);
    each_case(cases(CASES), |case| {
        let mut rng = Rng::new(case, "changed scenarios");
        let [text, other] = [below(&mut rng, texts.len()), below(&mut rng, texts.len())].map(|nth| &texts[nth]);
        let text = mutate_lines(text, other, &mut rng);
        match Scenario::parse(&text) {
            Ok(scenario) => *if play(&scenario) { &mut good } else { &mut bad } += 1,
            Err(error) => {
                assert!(!error.to_string().is_empty(), "{text}");
                bad += 1;
            }
        }
    });
    assert!(good > 0 && bad > 0, "{good} good, {bad} bad");
}

#[test]
fn changed_recipes_are_refused_or_run() {
    let recipes: Vec<String> =
        lessons().filter_map(Scenario::lesson).map(|lesson| Recipe::new(&lesson, lesson.seed()).to_json()).collect();
    let (mut good, mut bad) = (0_u64, 0_u64);
    each_case(cases(CASES), |case| {
        let mut rng = Rng::new(case, "changed recipes");
        let mut text = recipes[below(&mut rng, recipes.len())].clone();
        for _ in 0..=below(&mut rng, 3) {
            let start = place(&text, &mut rng);
            match below(&mut rng, 4) {
                0 => text.truncate(start),
                1 => text.insert_str(start, one(&mut rng, &VALUES)),
                2 => text.insert_str(start, one(&mut rng, &LINES)),
                _ => text.insert(start, ['"', '{', '}', '\\', ',', ':', '\u{1}', '9'][below(&mut rng, 8)]),
            }
        }
        let scenario = Recipe::parse(&text).and_then(|recipe| recipe.scenario());
        *if scenario.is_ok_and(|scenario| play(&scenario)) { &mut good } else { &mut bad } += 1;
    });
    assert!(good > 0 && bad > 0, "{good} good, {bad} bad");
}

#[test]
fn changed_link_lines_are_refused_or_read_again_from_what_they_print() {
    let (mut good, mut bad) = (0_u64, 0_u64);
    each_case(cases(CASES * 10), |case| {
        let mut rng = Rng::new(case, "changed link lines");
        let mut text = one(&mut rng, &LINKS).to_owned();
        for _ in 0..=below(&mut rng, 3) {
            let start = place(&text, &mut rng);
            match below(&mut rng, 5) {
                0 => text.truncate(start),
                1 => text.insert_str(start, one(&mut rng, &LINKS)),
                2 if start < text.len() => drop(text.remove(start)),
                _ => text.insert_str(start, one(&mut rng, &ITEMS)),
            }
        }
        match text.parse::<LinkLine>() {
            Ok(line) => {
                let printed = line.to_string();
                assert_eq!(printed.parse().as_ref(), Ok(&line), "{text:?} prints {printed:?}");
                good += 1;
            }
            Err(error) => {
                assert!(!error.to_string().is_empty(), "{text:?}");
                bad += 1;
            }
        }
        let _ = text.parse::<LinkSpec>();
    });
    assert!(good > 0 && bad > 0, "{good} good, {bad} bad");
}
