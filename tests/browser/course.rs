//! The course: every lesson has a page without an error and of a small size, and the index leads to all of them.

use std::collections::BTreeSet;
use std::fs;

use serde_json::json;

use crate::driver::Lent;
use crate::pages::{course, lesson, lessons, tcplab};

/// Bytes of the page of a lesson (issue 12, point 3).
const MOST_BYTES: u64 = 400_000;

#[test]
fn every_lesson_has_a_page_of_at_most_400_kb_and_the_index_links_to_it() {
    let names: BTreeSet<_> = tcplab(&["lessons", "--json"])
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .map(|line| line["name"].as_str().expect("a name").to_owned())
        .collect();
    let files = lessons();
    let large = |size: u64| size > MOST_BYTES;
    let sizes = files.iter().map(|file| (file, fs::metadata(file).expect("a file").len()));
    let too_large: Vec<_> = sizes.filter(|(_, size)| large(*size)).collect();
    assert!(too_large.is_empty(), "{too_large:?}");
    let of = |file: &std::path::PathBuf| file.file_stem().expect("a name").to_string_lossy().into_owned();
    assert_eq!(files.iter().map(of).collect::<BTreeSet<_>>(), names, "a page for each lesson");

    let Some(browser) = Lent::new() else { return };
    browser.open(&course().join("index.html"), "");
    assert_eq!(browser.log(), Vec::<String>::new());
    let links = browser.eval("[...document.querySelectorAll('main nav a')].map((link) => link.getAttribute('href'))");
    let links = links.as_array().expect("links").iter().map(|link| link.as_str().expect("a text"));
    let linked: BTreeSet<_> = links.map(|link| link.trim_end_matches(".html").to_owned()).collect();
    assert_eq!(linked, names, "each lesson is linked");
    let all = browser.eval("[...document.querySelectorAll('a')].map((link) => link.getAttribute('href'))");
    for link in all.as_array().expect("links").iter().filter_map(|link| link.as_str()) {
        assert!(link.starts_with('#') || course().join(link).is_file(), "{link}");
    }
    assert_eq!(browser.eval("performance.getEntriesByType('resource').length"), 0);
}

#[test]
fn no_page_of_a_lesson_writes_an_error_to_the_console() {
    let Some(browser) = Lent::new() else { return };
    for file in lessons() {
        browser.open_page(&file, "");
        // The next of each kind, the last packet, each plot.
        browser.press("lrs\u{e010}");
        let seen = browser.run(
            "const kinds = document.querySelector('#plot-kind');
             for (const option of kinds.options) {
                 kinds.value = option.value;
                 kinds.dispatchEvent(new Event('change', { bubbles: true }));
             }
             return [document.querySelector('#story').textContent.trim() !== '',
                 performance.getEntriesByType('resource').length];",
        );
        assert_eq!(seen, json!([true, 0]), "a story, and no request: {}", file.display());
        assert_eq!(browser.log(), Vec::<String>::new(), "{}", file.display());
    }
}

#[test]
fn from_the_index_one_comes_to_a_lesson_and_back() {
    let Some(browser) = Lent::new() else { return };
    browser.open(&course().join("index.html"), "");
    browser.click(r#"a[href="cubic-vs-bbr.html"]"#);
    browser.until("document.querySelector('#story')");
    let url = browser.text("location.pathname");
    assert!(url.ends_with("/cubic-vs-bbr.html"), "{url}");
    browser.click(r#"a[href="index.html"]"#);
    browser.until("document.querySelector('main nav')");
}

#[test]
fn only_the_page_of_a_lesson_has_a_story() {
    let Some(browser) = Lent::new() else { return };
    browser.open_page(&lesson("handshake"), "");
    assert_eq!(browser.eval("document.querySelectorAll('#story').length"), 1);
    let place = crate::pages::place("no-story");
    browser.open_page(&crate::pages::page(&crate::pages::capture("handshake"), &place), "");
    assert_eq!(browser.eval("document.querySelectorAll('#story').length"), 0);
}
