//! axe-core finds no violation: light and dark, narrow and wide, with the course's index. What axe cannot tell is tested
//! besides: landmarks, and that a screen reader is told of the chosen packet.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::common::left_out;
use crate::driver::Lent;
use crate::pages::{course, lesson};

/// The text of axe-core, which tests/deps.sh puts into the user's cache.
fn axe() -> Option<String> {
    let line = |line: &'static str| line.strip_prefix("axe=");
    let version = include_str!("../deps.sh").lines().find_map(line).expect("tests/deps.sh names a version");
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    let text = cache.and_then(|cache| fs::read_to_string(cache.join(format!("tcplab/axe-core-{version}.js"))).ok());
    if text.is_none() {
        left_out("the accessibility of the page by axe-core", "make deps");
    }
    text
}

/// Runs all rules of axe-core on the page as it is.
#[track_caller]
fn assert_no_violation(browser: &Browser, axe: &str, what: &str) {
    if browser.eval("typeof axe === 'undefined'") == true {
        browser.run(&format!("{axe}\nwindow.axe = axe;"));
    }
    let violations = browser.run_async(
        "const found = await axe.run(document, { resultTypes: ['violations'] });
         if (found.passes.length < 10) throw new Error('axe has looked at nothing');
         return found.violations.map((violation) => `${violation.id}: ${violation.help}: ` +
             violation.nodes.slice(0, 5).map((node) => node.html.slice(0, 200) + ' ' +
                 node.any.map((check) => check.message).join()).join(' | '));",
    );
    assert_eq!(violations, json!([]), "{what}");
}

#[track_caller]
fn assert_accessible(browser: &Browser, axe: &str, file: &Path, open: impl Fn()) {
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        open();
        if file.file_name().is_some_and(|name| name != "index.html") {
            assert_eq!(browser.text("document.documentElement.dataset.scheme"), scheme);
        }
        for width in [400, 1600] {
            browser.resize(width, 900);
            let what = format!("{} {scheme}, {width} pixels wide", file.display());
            assert_no_violation(browser, axe, &what);
        }
    }
}

#[test]
fn axe_finds_no_violation_in_a_page() {
    let Some(axe) = axe() else { return };
    let Some(browser) = Lent::new() else { return };
    let file = lesson("sack");
    assert_accessible(&browser, &axe, &file, || browser.open_page(&file, "p=2"));
}

#[test]
fn axe_finds_no_violation_in_the_index() {
    let Some(axe) = axe() else { return };
    let Some(browser) = Lent::new() else { return };
    let file = course().join("index.html");
    assert_accessible(&browser, &axe, &file, || browser.open(&file, ""));
}

#[test]
fn the_button_changes_the_scheme_and_its_contrast_is_enough_too() {
    let Some(axe) = axe() else { return };
    let Some(browser) = Lent::new() else { return };
    browser.prefer("light");
    // A packet that is lost.
    browser.open_page(&lesson("lost-data"), "p=5");
    let background = || {
        let of = |element| browser.text(&format!("getComputedStyle(document.{element}).backgroundColor"));
        [of("documentElement"), of("body")]
    };
    let light = background();
    browser.click("#scheme");
    assert_eq!(browser.text("document.documentElement.dataset.scheme"), "dark");
    assert_ne!(background(), light);
    assert_no_violation(&browser, &axe, "dark by the button");
    browser.click("#scheme");
    assert_eq!(browser.text("document.documentElement.dataset.scheme"), "light");
    assert_eq!(background(), light);
}

#[test]
fn a_screen_reader_finds_landmarks_names_and_the_chosen_packet() {
    let Some(browser) = Lent::new() else { return };
    browser.open_page(&lesson("sack"), "p=4");
    let told = browser.run(
        r#"const live = document.querySelector('[aria-live="polite"], [role="status"]');
           return [document.documentElement.lang, document.querySelectorAll('main').length,
               document.querySelectorAll('h1').length, document.querySelector('#ladder').getAttribute('role'),
               document.querySelector('#plot').getAttribute('role') ?? '', live ? live.textContent : null];"#,
    );
    assert_eq!(
        [&told[0], &told[1], &told[2], &told[3]],
        [&json!("en"), &json!(1), &json!(1), &json!("listbox")],
        "{told}"
    );
    assert_eq!(told[4], "img", "the plot is a picture with a text");
    assert!(told[5].as_str().is_some_and(|text| text.contains('4')), "{told}");
    browser.press("j");
    let live = r#"document.querySelector('[aria-live="polite"], [role="status"]').textContent"#;
    browser.until(&format!("{live} !== {}", told[5]));
    // As the browser's own tree for screen readers has it.
    let tree = browser.cdp("Accessibility.getFullAXTree", &json!({}));
    let nodes = tree["nodes"].as_array().expect("nodes");
    let named = |role: &str| -> Vec<&Value> {
        nodes.iter().filter(|node| node["role"]["value"] == role && node["ignored"] == false).collect()
    };
    for role in ["button", "combobox", "slider", "listbox", "region", "option"] {
        let all = named(role);
        assert!(!all.is_empty(), "there is a {role}");
        for node in all {
            assert!(
                node["name"]["value"].as_str().is_some_and(|name| !name.is_empty()),
                "a {role} without a name: {node}"
            );
        }
    }
    let chosen = named("option").into_iter().filter(|node| {
        let properties = node["properties"].as_array().into_iter().flatten();
        properties.into_iter().any(|property| property["name"] == "selected" && property["value"]["value"] == true)
    });
    // The row of the ladder, and one option of each select.
    let selects = browser.eval("document.querySelectorAll('select').length").as_u64();
    assert_eq!(Some(chosen.count() as u64), selects.map(|selects| selects + 1));
}
