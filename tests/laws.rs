//! The laws of the house that can be read off the source text, each held by a test whose name is the law. A checker is
//! a plain function from sources to violations, so that a second test can show that it finds a planted one.
//!
//! Exempt are files named `tests.rs` and items under `#[cfg(test)]`, except from what is said of "all of `src`".

#[path = "laws/source.rs"]
mod source;

use source::{NamedPath, Source, is_macro_call, is_word, line_of, paths, words};
use std::collections::BTreeSet;
use std::path::Path;

/// A module imports only from rows above its own. `bench`, `cli` and `main` are one row in the map; among themselves
/// `main` may use `cli`, and `cli` may use `bench`.
const ROOMS: &[&[&str]] = &[
    &["time", "rng"],
    &["segment"],
    &["conversation"],
    &["event"],
    &["capture"],
    &["link"],
    &["device"],
    &["stack"],
    &["socket"],
    &["net"],
    &["app"],
    &["drive"],
    &["sim"],
    &["live"],
    &["view"],
    &["scenario"],
    &["replay", "drill"],
    &["bench"],
    &["cli"],
    &["main"],
];

/// Who may name a crate: the crate, the room, and the part of it that the room may name ("" for all).
const HOMES: &[(&str, &[(&str, &str)])] = &[
    ("smoltcp", &[("stack", ""), ("bench", ""), ("segment", "wire"), ("time", "time")]),
    ("tun_tap", &[("device", "")]),
    ("pcap_file", &[("capture", "")]),
    ("clap", &[("cli", ""), ("main", "")]),
    ("clap_complete", &[("cli", "")]),
    ("clap_mangen", &[("cli", "")]),
];

/// Files that may hold a hash map, each with the reason why its order decides nothing.
const HASH_MAP_FILES: &[(&str, &str)] = &[
    ("bench/bare/mod.rs", "the reference finds its sockets by 4-tuple: looked up, never iterated"),
    ("capture/flows.rs", "connections for the comments: looked up by their ends, forgotten a generation at a time"),
    ("sim/routes.rs", "routes by prefix: looked up, never iterated"),
    ("stack/mod.rs", "the demultiplexer's tables: looked up by 4-tuple or address, never iterated"),
    ("stack/ports.rs", "the bind table: looked up by port, never iterated"),
    ("stack/udp.rs", "the demultiplexer's tables for UDP: looked up, never iterated"),
    ("view/streams.rs", "connections for the ladder and the tables: looked up by their ends, listed in another place"),
];

/// Files that may hold `unsafe`, each with its reason.
const UNSAFE_FILES: &[(&str, &str)] = &[
    ("device/netif.rs", "ioctls that set up a network interface"),
    ("live/command.rs", "the program beside the host dies with us: prctl between fork and exec"),
    ("live/sandbox.rs", "unshare, and who we are"),
    ("stack/buffers.rs", "smoltcp never gives a buffer back: buffers are lent as 'static slices and taken back"),
];

/// A file past this is split along a seam of its subject.
const MAX_LINES: usize = 600;

#[derive(Debug, PartialEq)]
struct Violation {
    file: String,
    line: usize,
    what: String,
}

fn violation(source: &Source, offset: usize, what: String) -> Violation {
    Violation { file: source.path.clone(), line: line_of(&source.whole, offset), what }
}

fn sources() -> Vec<Source> {
    Source::all_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

#[track_caller]
fn hold(law: &str, violations: &[Violation]) {
    let list: Vec<_> = violations.iter().map(|v| format!("  src/{}:{}: {}", v.file, v.line, v.what)).collect();
    assert!(list.is_empty(), "{law}\n{}\n", list.join("\n"));
}

// ---- (a) the table of rooms

#[test]
fn a_module_imports_only_from_rows_above_it() {
    hold("A module imports only from rows above it (ARCHITECTURE.md, rooms).", &imports_from_below(&sources()));
}

#[test]
fn every_top_level_module_is_in_the_table_of_rooms() {
    hold(
        "Every top-level module has a row in ROOMS (tests/laws.rs) and ARCHITECTURE.md.",
        &rooms_off_the_table(&sources()),
    );
}

#[test]
fn the_map_in_architecture_md_has_the_rooms_in_order_and_marks_those_that_are_yet_to_come() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).expect("the page");
    let sources = sources();
    let rooms: BTreeSet<_> = sources.iter().map(Source::room).collect();
    let wrong = map_differs(&page, &rooms);
    assert!(wrong.is_empty(), "ARCHITECTURE.md, rooms:\n{}\n", wrong.join("\n"));
}

fn row(room: &str) -> Option<usize> {
    ROOMS.iter().position(|row| row.contains(&room))
}

fn imports_from_below(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.room() != "lib") {
        let room = source.room();
        for path in paths(&source.code) {
            // The binary reaches the library's rooms by the crate's name.
            let (named, in_library) = match source.below_root(&path) {
                Some(named) => (named, false),
                None if path.segments[0] == "tcplab" && path.segments.len() > 1 => (path.segments[1].as_str(), true),
                None => continue,
            };
            let what = match (row(room), row(named)) {
                _ if named == room => continue,
                (Some(mine), Some(theirs)) if theirs < mine => continue,
                (Some(_), Some(_)) => format!("`{room}` imports from `{named}`, which is not above it"),
                (Some(_), None) if in_library => continue,
                (Some(_), None) => format!("`{named}` is not a room: name the room that it comes from"),
                (None, _) => continue, // reported by rooms_off_the_table
            };
            found.push(violation(source, path.offset, what));
        }
    }
    found
}

fn rooms_off_the_table(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        let room = source.room();
        if room == "lib" || room == "main" {
            let code: Vec<_> = words(&source.code).collect();
            for pair in code.windows(2).filter(|pair| pair[0].1 == "mod" && row(pair[1].1).is_none()) {
                found.push(violation(
                    source,
                    pair[1].0,
                    format!("module `{}` is not in the table of rooms", pair[1].1),
                ));
            }
        } else if row(room).is_none() {
            found.push(violation(source, 0, format!("module `{room}` is not in the table of rooms")));
        }
        let all: Vec<_> = words(&source.code).collect();
        for pair in all.windows(2).filter(|pair| pair[0].1 == "mod" && pair[1].1 == "tests") {
            found.push(violation(source, pair[0].0, "`mod tests` without #[cfg(test)]: tests are exempt".to_owned()));
        }
    }
    found
}

/// The rows of the page look like "| `time`, `rng` | what lives there |"; "(to come)" stands behind what is not there.
fn map_differs(page: &str, existing: &BTreeSet<&str>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut on_page = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cell = line.split('|').nth(1).unwrap_or_default();
        for name in cell.split('`').skip(1).step_by(2) {
            on_page.push(name);
            let behind = cell.split(&format!("`{name}`")).nth(1).unwrap_or_default();
            let marked = behind.split(',').next().unwrap_or_default().contains("(to come)");
            match (marked, existing.contains(name)) {
                (true, true) => wrong.push(format!("  `{name}` exists: take \"(to come)\" off its row")),
                (false, false) => wrong.push(format!("  `{name}` is not in src: write \"`{name}` (to come)\"")),
                _ => {}
            }
        }
    }
    let table: Vec<_> = ROOMS.iter().flat_map(|row| row.iter().copied()).collect();
    if on_page != table {
        wrong.push(format!("  the rooms are {table:?}, the page has {on_page:?}"));
    }
    wrong
}

// ---- (b) foreign crates

#[test]
fn a_foreign_crate_is_named_only_in_its_home() {
    hold("A foreign crate is named only in its home (HOMES in tests/laws.rs).", &crates_abroad(&sources()));
}

fn crates_abroad(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        for path in paths(&source.code) {
            let first = path.segments[0].as_str();
            let Some((name, homes)) = HOMES.iter().find(|(name, _)| *name == first) else { continue };
            if path.segments.len() < 2 && !is_imported(&source.code, path.offset) {
                continue; // a variable of that name
            }
            let part = path.segments.get(1).map_or("", String::as_str);
            if homes.iter().any(|(home, only)| *home == source.room() && (only.is_empty() || *only == part)) {
                continue;
            }
            let at_home: Vec<_> = homes
                .iter()
                .map(
                    |(home, only)| {
                        if only.is_empty() { (*home).to_owned() } else { format!("{home} (only {name}::{only})") }
                    },
                )
                .collect();
            let what =
                format!("`{}` named here; {name} is at home in {}", path.segments.join("::"), at_home.join(", "));
            found.push(violation(source, path.offset, what));
        }
    }
    found
}

// ---- (c), (e), (f) and the textual part of law 2: what is named only in some rooms

struct Ban {
    law: &'static str,
    /// Found anywhere in a path; with a `$` behind it, only as the whole path.
    paths: &'static [&'static str],
    crates: &'static [&'static str],
    /// `x.ln()` and `f64::ln(x)`.
    methods: &'static [&'static str],
    macros: &'static [&'static str],
    /// The rooms that it is forbidden in; all when empty.
    rooms: &'static [&'static str],
    except: &'static [&'static str],
    /// Files that must name it all the same, each with its reason.
    files: &'static [(&'static str, &'static str)],
}

const NO_CLOCK: Ban = Ban {
    law: "Law 1: only `live`, `cli` and `bench` (which measures) read a wall clock or sleep; `now` is an argument.",
    paths: &[
        "std::time$",
        "std::time::*",
        "std::time::Instant",
        "SystemTime",
        "UNIX_EPOCH",
        "Instant::now",
        "thread::sleep",
        "thread::park_timeout",
        "clock_gettime",
    ],
    crates: &[],
    methods: &[],
    macros: &[],
    rooms: &[],
    except: &["live", "cli", "bench"],
    files: &[(
        "net/hyper.rs",
        "hyper's Timer trait speaks std's Instant; one is taken as an origin, and only differences from it are used",
    )],
};

const SAME_BYTES: Ban = Ban {
    law: "Law 2: same seed, same bytes: luck from `rng`, logarithms and the like from libm, `select_biased!` only.",
    paths: &["RandomState", "DefaultHasher"],
    crates: &["rand", "getrandom", "fastrand"],
    methods: &[
        "ln", "ln_1p", "log", "log2", "log10", "exp", "exp2", "exp_m1", "powf", "powi", "sin", "cos", "tan", "cbrt",
    ],
    macros: &["select"],
    rooms: &[],
    except: &["bench"],
    files: &[],
};

const NO_IO: Ban = Ban {
    law: "Law 4: `stack`, `socket` and `link` do no I/O.",
    paths: &[
        "std::fs",
        "std::net$",
        "std::process",
        "std::thread",
        "std::env",
        "std::os",
        "net::TcpStream",
        "net::TcpListener",
        "net::UdpSocket",
        "io::stdin",
        "io::stdout",
        "io::stderr",
    ],
    crates: &["libc", "rustix"],
    methods: &[],
    macros: &[],
    rooms: &["stack", "socket", "link"],
    except: &[],
    files: &[],
};

const PORTABLE: Ban = Ban {
    law: "Only `device`, `live` and `bench` (which measures) speak to the system: the rest runs wherever Rust does.",
    paths: &["std::os"],
    crates: &["libc", "rustix", "nix"],
    methods: &[],
    macros: &[],
    rooms: &[],
    except: &["device", "live", "bench"],
    files: &[],
};

const NO_PRINTING: Ban = Ban {
    law: "Only `cli`, `bench` and `main` print; others publish events or return values.",
    paths: &[],
    crates: &[],
    methods: &[],
    macros: &["println", "eprintln", "print", "eprint", "dbg"],
    rooms: &[],
    except: &["cli", "bench", "main"],
    files: &[],
};

#[test]
fn law_1_only_live_cli_and_bench_read_a_wall_clock_or_sleep() {
    hold(NO_CLOCK.law, &banned(&NO_CLOCK, &sources()));
}

#[test]
fn law_2_nothing_whose_result_depends_on_the_machine_is_named() {
    hold(SAME_BYTES.law, &banned(&SAME_BYTES, &sources()));
}

#[test]
fn law_4_stack_socket_and_link_do_no_io() {
    hold(NO_IO.law, &banned(&NO_IO, &sources()));
}

#[test]
fn only_device_live_and_bench_speak_to_the_system() {
    hold(PORTABLE.law, &banned(&PORTABLE, &sources()));
}

#[test]
fn only_cli_bench_and_main_print() {
    hold(NO_PRINTING.law, &banned(&NO_PRINTING, &sources()));
}

fn banned(ban: &Ban, sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    let applies = |room: &str| (ban.rooms.is_empty() || ban.rooms.contains(&room)) && !ban.except.contains(&room);
    let exempt = |source: &Source| ban.files.iter().any(|(file, _)| source.path == *file);
    for source in sources.iter().filter(|source| applies(source.room()) && !exempt(source)) {
        for path in paths(&source.code).iter().filter(|path| is_banned(ban, path, &source.code)) {
            found.push(violation(source, path.offset, format!("`{}` named here", path.segments.join("::"))));
        }
        for (offset, word) in words(&source.code) {
            if ban.macros.contains(&word) && is_macro_call(&source.code, offset, word) {
                found.push(violation(source, offset, format!("`{word}!` called here")));
            }
        }
    }
    found
}

fn is_banned(ban: &Ban, path: &NamedPath, code: &str) -> bool {
    let segments = &path.segments;
    let (first, last) = (segments[0].as_str(), segments[segments.len() - 1].as_str());
    let is_path = |pattern: &&str| {
        let wanted: Vec<&str> = pattern.trim_end_matches('$').split("::").collect();
        if pattern.ends_with('$') { *segments == wanted } else { segments.windows(wanted.len()).any(|w| w == wanted) }
    };
    let is_method = || match segments.len() {
        1 => code[..path.offset].trim_end().ends_with('.') && code[path.offset + first.len()..].starts_with('('),
        _ => matches!(segments[segments.len() - 2].as_str(), "f32" | "f64"),
    };
    ban.paths.iter().any(is_path)
        || (ban.crates.contains(&first) && (segments.len() > 1 || is_imported(code, path.offset)))
        || (ban.methods.contains(&last) && is_method())
}

/// True if the word at `offset` stands behind `use` or `extern crate`: a crate, not a variable of that name.
fn is_imported(code: &str, offset: usize) -> bool {
    let before = code[..offset].trim_end().trim_end_matches("::").trim_end();
    matches!(before.rsplit(|c: char| !c.is_alphanumeric()).next(), Some("use" | "crate"))
}

// ---- (d) hash maps

#[test]
fn law_3_hash_maps_stand_only_where_their_order_decides_nothing() {
    let sources = sources();
    hold("Law 3: a hash map needs a line in HASH_MAP_FILES with its reason.", &hash_maps(&sources, HASH_MAP_FILES));
    hold("Law 3: no iteration over a hash map decides anything.", &hash_iterations(&sources));
}

const HASHED: &[&str] = &["HashMap", "HashSet", "hash_map", "hash_set", "hashbrown"];
const ITERATING: &[&str] = &[
    "iter",
    "iter_mut",
    "keys",
    "values",
    "values_mut",
    "into_iter",
    "into_keys",
    "into_values",
    "drain",
    "retain",
    "extract_if",
];

fn hash_maps(sources: &[Source], allowed: &[(&str, &str)]) -> Vec<Violation> {
    only_in("a hash map", sources, allowed, |source| {
        words(&source.code).find(|(_, word)| HASHED.contains(word)).map(|(offset, _)| offset)
    })
}

/// One violation for each file that has the thing and no line in the list, and for each line that is not needed.
fn only_in(
    thing: &str,
    sources: &[Source],
    allowed: &[(&str, &str)],
    first: impl Fn(&Source) -> Option<usize>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        let reason = allowed.iter().find(|(file, _)| *file == source.path).map(|(_, reason)| *reason);
        match (first(source), reason) {
            (Some(offset), None) => found.push(violation(source, offset, format!("{thing}, and no reason given"))),
            (Some(offset), Some("")) => {
                found.push(violation(source, offset, format!("{thing}, and its reason is empty")));
            }
            (None, Some(_)) => found.push(violation(source, 0, format!("on the list for {thing}, but has none"))),
            _ => {}
        }
    }
    for (file, _) in allowed.iter().filter(|(file, _)| !sources.iter().any(|source| source.path == *file)) {
        found.push(Violation {
            file: (*file).to_owned(),
            line: 0,
            what: format!("on the list for {thing}, but not there"),
        });
    }
    found
}

/// A net, not a proof: variables and fields declared as hash maps in this file, and the iterating calls on them.
fn hash_iterations(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        let code = source.code.as_str();
        let mut hashed: BTreeSet<&str> = HASHED.iter().copied().collect();
        let aliases: Vec<_> = declared(code, &hashed, true).collect();
        hashed.extend(aliases);
        let names: BTreeSet<&str> = declared(code, &hashed, false).collect();
        for (offset, word) in words(code).filter(|(_, word)| names.contains(word)) {
            if let Some(how) = iterated(code, offset, word) {
                found.push(violation(source, offset, format!("hash map `{word}` is iterated over by `{how}`")));
            }
        }
    }
    found
}

/// The names declared with a type, or bound to a value, that names one of `hashed`; the type aliases if asked for.
fn declared<'c>(code: &'c str, hashed: &BTreeSet<&'c str>, aliases: bool) -> impl Iterator<Item = &'c str> {
    let hashed = hashed.clone();
    words(code).filter(move |(_, word)| hashed.contains(word)).filter_map(move |(offset, _)| {
        let start = code[..offset].rfind([';', ',', '{', '}', '(', ')', '|']).map_or(0, |at| at + 1);
        let fragment = &code[start..offset];
        let all: Vec<_> = words(fragment).map(|(_, word)| word).collect();
        let type_at = all.iter().position(|word| *word == "type");
        if aliases || type_at.is_some() {
            return type_at.filter(|_| aliases).and_then(|at| all.get(at + 1).copied());
        }
        let bytes = fragment.as_bytes();
        let single_colon =
            |at: usize| bytes[at] == b':' && bytes.get(at + 1) != Some(&b':') && (at == 0 || bytes[at - 1] != b':');
        let end = (0..bytes.len())
            .find(|at| single_colon(*at) || (bytes[*at] == b'=' && bytes.get(at + 1) != Some(&b'>')))?;
        words(&fragment[..end]).last().map(|(_, word)| word)
    })
}

fn iterated<'c>(code: &'c str, offset: usize, word: &str) -> Option<&'c str> {
    let mut rest = code[offset + word.len()..].trim_start();
    while let Some(call) = rest.strip_prefix('.') {
        let call = call.trim_start();
        let name = &call[..call.bytes().position(|byte| !is_word(byte)).unwrap_or(call.len())];
        if ITERATING.contains(&name) {
            return Some(name);
        }
        rest = match call[name.len()..].strip_prefix("()") {
            Some(next) if matches!(name, "borrow" | "borrow_mut" | "as_ref" | "as_mut" | "clone") => next.trim_start(),
            _ => return None,
        };
    }
    let before = code[..offset].trim_end_matches(|c: char| c.is_alphanumeric() || "_.&".contains(c)).trim_end();
    let before = before.strip_suffix("&mut").map_or(before, str::trim_end);
    (rest.starts_with('{') && before.ends_with(" in")).then_some("for")
}

// ---- (g), (h) files

#[test]
fn a_source_file_has_at_most_600_lines_and_opens_with_what_it_is() {
    hold("A source file is short and opens with `//!`: what it is, what it is not.", &shapeless(&sources()));
}

#[test]
fn unsafe_stands_only_in_files_that_say_why() {
    hold("`unsafe` needs a line in UNSAFE_FILES with its reason.", &unsafe_files(&sources(), UNSAFE_FILES));
}

#[test]
fn nothing_in_src_is_dead_or_yet_to_be_written() {
    hold("All of `src`: no `dead_code` allowed, no `todo!`, no `unimplemented!`.", &unfinished(&sources()));
}

#[test]
fn no_test_is_ignored() {
    let mut sources = sources();
    sources.extend(Source::all_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")));
    hold("No test is ignored: what a machine cannot run is named by `left_out` (tests/common).", &ignored(&sources));
}

fn shapeless(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        let lines = source.raw.lines().count();
        if lines > MAX_LINES {
            let what = format!("{lines} lines, at most {MAX_LINES}: split it along a seam of its subject");
            found.push(Violation { file: source.path.clone(), line: lines, what });
        }
        if !source.raw.starts_with("//!") {
            found.push(violation(source, 0, "does not begin with `//!`".to_owned()));
        }
    }
    found
}

fn unsafe_files(sources: &[Source], allowed: &[(&str, &str)]) -> Vec<Violation> {
    only_in("`unsafe`", sources, allowed, |source| {
        words(&source.whole).find(|(_, word)| matches!(*word, "unsafe" | "unsafe_code")).map(|(offset, _)| offset)
    })
}

fn unfinished(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        for (offset, word) in words(&source.whole) {
            let macro_call = matches!(word, "todo" | "unimplemented") && is_macro_call(&source.whole, offset, word);
            let all_of_it = matches!(word, "unused" | "warnings") && source.whole[..offset].ends_with("allow(");
            if word == "dead_code" || macro_call || all_of_it {
                found.push(violation(source, offset, format!("`{word}`")));
            }
        }
    }
    found
}

fn ignored(sources: &[Source]) -> Vec<Violation> {
    let attributes = |source: &Source| source.whole.match_indices("#[ignore").map(|(at, _)| at).collect::<Vec<_>>();
    let one = |source| attributes(source).into_iter().map(|at| violation(source, at, "an ignored test".to_owned()));
    sources.iter().flat_map(one).collect()
}

#[path = "laws/planted.rs"]
mod planted;
