//! The page by keyboard alone: Tab reaches every control in the order of the page, and one sees where the focus is.

use std::path::Path;

use serde_json::Value;

use crate::browser::Browser;
use crate::driver::Lent;
use crate::pages::{course, lesson};

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
/// More than any of the pages has controls.
const MOST_CONTROLS: usize = 200;

/// Presses Tab from the start of the page until the focus is back there. Each control gets the focus once, in the order of
/// the document, and differs then from what it is without focus.
#[track_caller]
fn assert_all_reached(browser: &Browser, file: &Path) {
    browser.run(
        r"window.controls = [...document.querySelectorAll('button, select, input, a[href], [tabindex], summary')]
               .filter((control) => !control.disabled && control.tabIndex >= 0 && control.getClientRects().length);
           window.look = (control) => {
               const style = getComputedStyle(control);
               return [style.outlineStyle, style.outlineWidth, style.outlineColor, style.boxShadow, style.borderColor,
                   style.backgroundColor].join();
           };
           window.looks = controls.map(look);
           document.activeElement?.blur?.();
           getSelection().removeAllRanges();",
    );
    let count = browser.eval("controls.length").as_u64().expect("a number") as usize;
    assert!((1..MOST_CONTROLS).contains(&count), "{count} controls");
    let mut reached = Vec::new();
    for _ in 0..=count {
        browser.press(TAB);
        let at = browser.run(
            "const at = controls.indexOf(document.activeElement);
             const box = document.activeElement.getBoundingClientRect();
             return [at, at >= 0 && look(controls[at]) !== looks[at], box.bottom > 0 && box.top < innerHeight,
                 document.activeElement.outerHTML.slice(0, 120)];",
        );
        let Some(number) = at[0].as_u64() else { break };
        assert_eq!(at[1], true, "the focus can be seen at {}", at[3]);
        assert_eq!(at[2], true, "what has the focus is in the window: {}", at[3]);
        reached.push(number as usize);
    }
    let all: Vec<_> = (0..count).collect();
    let name = |at: &usize| browser.text(&format!("controls[{at}].outerHTML.slice(0, 120)"));
    let missed: Vec<_> = all.iter().filter(|at| !reached.contains(at)).map(name).collect();
    assert_eq!(missed, Vec::<String>::new(), "{}: not reached", file.display());
    assert_eq!(reached, all, "{}: in the order of the page", file.display());
}

#[test]
fn tab_reaches_every_control_in_order_and_the_focus_is_visible() {
    let Some(browser) = Lent::new() else { return };
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        let file = lesson("sack");
        // In the middle no button is without effect.
        browser.open_page(&file, "p=10");
        assert_all_reached(&browser, &file);
        let index = course().join("index.html");
        browser.open(&index, "");
        assert_all_reached(&browser, &index);
    }
}

/// Presses Tab until a control has the focus.
#[track_caller]
fn tab_to(browser: &Browser, id: &str) {
    for _ in 0..MOST_CONTROLS {
        if browser.eval("document.activeElement.id") == id {
            return;
        }
        browser.press(TAB);
    }
    panic!("Tab does not reach {id}");
}

#[test]
fn without_a_mouse_one_steps_filters_zooms_and_changes_the_scheme() {
    let Some(browser) = Lent::new() else { return };
    browser.open_page(&lesson("sack"), "p=5");
    let hash = || browser.text("location.hash");
    tab_to(&browser, "next");
    browser.press(ENTER);
    assert_eq!(hash(), "#p=6");
    browser.press(" ");
    assert_eq!(hash(), "#p=7");
    browser.run("document.activeElement.blur()");
    tab_to(&browser, "ladder");
    browser.press("j");
    assert_eq!(hash(), "#p=8");
    browser.run("document.activeElement.blur()");
    tab_to(&browser, "scheme");
    let scheme = || browser.text("document.documentElement.dataset.scheme");
    let before = scheme();
    browser.press(ENTER);
    assert_ne!(scheme(), before);
    browser.run("document.activeElement.blur()");
    tab_to(&browser, "filter");
    // Letters choose an option of a select; they are no steps.
    browser.press("k");
    assert_eq!(hash(), "#p=8");
    browser.run("document.activeElement.blur()");
    tab_to(&browser, "zoom-in");
    let width = || {
        let text = "document.querySelector('#plot-text').dataset";
        browser.eval(&format!("{text}.to - {text}.from")).as_f64().expect("a number")
    };
    let whole = width();
    browser.press(ENTER);
    assert!(width() < whole);
    assert_eq!(browser.log(), Vec::<String>::new());
}

#[test]
fn keys_with_control_alt_or_meta_are_left_to_the_browser() {
    let Some(browser) = Lent::new() else { return };
    browser.open_page(&lesson("sack"), "p=5");
    let prevented = browser.run(
        r"const wrong = [];
           for (const modifier of ['ctrlKey', 'altKey', 'metaKey'])
               for (const key of ['j', 'k', 'l', 'r', 's', '+', '-', '0', 'ArrowLeft', 'ArrowRight', 'Home', 'End']) {
                   const event = new KeyboardEvent('keydown', { key, [modifier]: true, bubbles: true, cancelable: true });
                   if (!document.body.dispatchEvent(event)) wrong.push(`${modifier} ${key}`);
               }
           return wrong;",
    );
    assert_eq!(prevented, Value::Array(Vec::new()));
    assert_eq!(browser.text("location.hash"), "#p=5");
}
