//! The parser of packetdrill's language: each construct with its result, each syntax error with its rendering, the limits
//! at n and at n + 1, and the whole shared corpus.
#![cfg(feature = "drill")]

mod common;
#[path = "common/programs.rs"]
mod programs;

use std::fs;
use std::path::PathBuf;

use tcplab::drill::parse::{Definitions, ParseErrorKind, parse};

/// Every script below a directory, in order.
fn scripts(below: PathBuf) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![below]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a directory of scripts") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "pkt") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn defined(words: &[&str]) -> Definitions {
    let mut definitions = Definitions::new();
    for word in words {
        definitions.define(word).expect("a definition");
    }
    definitions
}

#[test]
fn every_script_of_the_corpus_parses_but_the_one_with_a_stray_letter() {
    let Some(corpus) = programs::shared("corpus/packetdrill/freebsd-tcp-testsuite") else { return };
    let all = scripts(corpus);
    assert_eq!(all.len(), 551);
    for words in [&[][..], &["FreeBSD"], &["STANDARD"], &["FreeBSD", "STANDARD"]] {
        let mut refused = Vec::new();
        for path in &all {
            let source = fs::read_to_string(path).expect("a text");
            match parse(&source, &defined(words)) {
                Ok(script) => assert!(script.events.len() > 3, "{}", path.display()),
                Err(error) => {
                    assert_eq!(error.kind, ParseErrorKind::Syntax);
                    refused.push((path.file_name().expect("a name").to_owned(), error.to_string()));
                    eprintln!("{}", error.render(&path.display().to_string(), &source));
                }
            }
        }
        // Its first line is `s//`. No rule of the language begins with a letter there.
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert_eq!(refused[0].0, "client-handle-cookie-update-of-length-17.pkt");
        assert!(refused[0].1.ends_with("found `s`"), "{refused:?}");
    }
}
