//! The order of the modules, as in the table of ARCHITECTURE.md. The test reads the text of `src` line by line and skips
//! comments and unit tests. It knows nothing else of Rust.

use std::fs;
use std::path::{Path, PathBuf};

/// A module imports only from rows above its own. A module that does not exist yet has its place.
const ROWS: [&[&str]; 28] = [
    &["time", "rng", "escape"],
    &["segment"],
    &["conversation"],
    &["event"],
    &["annotate"],
    &["link"],
    &["device"],
    &["congestion"],
    &["recovery"],
    &["stack"],
    &["socket"],
    &["net"],
    &["app"],
    &["drive"],
    &["sim"],
    &["control"],
    &["live"],
    &["proxy"],
    &["capture"],
    &["trace"],
    &["view"],
    &["testing"],
    &["scenario"],
    &["recording"],
    &["replay", "diff", "drill"],
    &["bench"],
    &["cli"],
    &["main"],
];

/// Who may name a crate or a part of the standard library.
const HOMES: [(&str, &[&str]); 14] = [
    ("smoltcp::", &["segment", "time", "stack", "bench"]),
    ("tun_tap::", &["device"]),
    ("pcap_file::", &["capture"]),
    ("clap::", &["cli"]),
    ("httparse::", &["control"]),
    ("sha2::", &["scenario", "view"]),
    ("base64::", &["view"]),
    ("miniz_oxide::", &["view"]),
    ("ratatui::", &["view", "cli"]),
    ("libc::", &["device", "live", "bench"]),
    ("rustix::", &["device", "live", "proxy", "bench"]),
    ("polling::", &["proxy"]),
    ("socket2::", &["proxy"]),
    ("std::process::Command", &["live", "bench", "cli"]),
];

/// What `stack`, `socket`, `link`, `recovery` and `congestion` do not name: they do no I/O.
const IO: [&str; 6] = ["std::fs", "std::thread", "std::env", "std::process", "std::os", "io::std"];

/// Lines of a file. Past this it is split along a seam of its subject.
const MOST_LINES: usize = 600;

/// One file of `src`: its path, its module, its lines without comments and unit tests.
struct Source {
    path: String,
    module: String,
    code: String,
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a directory of src") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.retain(|path| path.extension().is_some_and(|end| end == "rs"));
    files.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a text").replace("\r\n", "\n");
        let path = path.strip_prefix(&root).expect("below src").display().to_string().replace('\\', "/");
        let module = path.split(['/', '.']).next().unwrap_or_default().to_owned();
        let is_test = path.contains("/tests") || path.ends_with("tests.rs");
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().lines();
        let code: Vec<_> = code.filter(|line| !is_test && !line.trim_start().starts_with("//")).collect();
        Source { path, module, code: code.join("\n"), lines: text.lines().count() }
    };
    files.into_iter().map(read).collect()
}

/// The row of a module.
fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

/// The modules that stand behind `crate::` in this code, also those in braces: `crate::{event::Event, link}`.
fn imported(code: &str) -> Vec<&str> {
    let mut all = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let parts = match rest.strip_prefix('{') {
            Some(group) => group.split("};").next().unwrap_or_default().split(',').collect(),
            None => vec![rest],
        };
        let word =
            |part: &&str| part.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("").len();
        all.extend(parts.iter().map(|part| &part.trim()[..word(part)]).filter(|name| row(name).is_some()));
    }
    all
}

#[test]
fn a_module_imports_only_from_rows_above_it() {
    let mut wrong = Vec::new();
    let sources = sources();
    assert!(sources.len() > 100, "the files of src are found");
    for source in sources.iter().filter(|source| source.module != "lib") {
        let Some(own) = row(&source.module) else {
            wrong.push(format!("{}: the module has no row", source.path));
            continue;
        };
        let below = |name: &&str| *name != source.module && row(name).is_some_and(|other| other >= own);
        wrong.extend(imported(&source.code).into_iter().filter(below).map(|name| format!("{}: {name}", source.path)));
    }
    assert!(wrong.is_empty(), "imports from a module that is not above:\n{}", wrong.join("\n"));
}

#[test]
fn imports_are_found_with_and_without_braces() {
    assert_eq!(imported("use crate::event::Event;"), ["event"]);
    assert_eq!(imported("use crate::{event::Event, link, Registry};"), ["event", "link"]);
    assert_eq!(imported("let at = crate::time::Instant::EPOCH;"), ["time"]);
    assert!(imported("use super::event; use other::event;").is_empty());
}

#[test]
fn a_crate_is_named_only_where_it_belongs() {
    let mut wrong = Vec::new();
    for source in sources() {
        let named = |word: &str| {
            let before = |at: usize| {
                source.code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || "_:".contains(c))
            };
            source.code.match_indices(word).any(|(at, _)| !before(at))
        };
        for (word, homes) in HOMES {
            if named(word) && !homes.contains(&source.module.as_str()) {
                wrong.push(format!("{}: {word}", source.path));
            }
        }
        let pure = ["stack", "socket", "link", "recovery", "congestion"].contains(&source.module.as_str());
        wrong.extend(
            IO.iter()
                .filter(|word| pure && source.code.contains(**word))
                .map(|word| format!("{}: {word}", source.path)),
        );
    }
    assert!(wrong.is_empty(), "named where it does not belong:\n{}", wrong.join("\n"));
}

#[test]
fn a_file_has_at_most_600_lines() {
    let long: Vec<_> = sources().into_iter().filter(|source| source.lines > MOST_LINES).collect();
    let long: Vec<_> = long.iter().map(|source| format!("{}: {} lines", source.path, source.lines)).collect();
    assert!(long.is_empty(), "split along a seam of the subject:\n{}", long.join("\n"));
}

#[test]
fn the_table_of_architecture_md_has_the_modules_in_this_order() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).expect("the page");
    let rows = page.lines().skip_while(|line| *line != "## Modules").take_while(|line| *line != "## Invariants");
    let cells = rows.filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));

    let sources = sources();
    // A row may stand on the page before its module is merged.
    let exists = |name: &&str| sources.iter().any(|source| source.module == **name);
    let on_page: Vec<_> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(exists).collect();
    let table: Vec<_> = ROWS.iter().flat_map(|row| row.iter().copied()).filter(exists).collect();
    assert_eq!(on_page, table, "the modules that exist, in their order");
}
