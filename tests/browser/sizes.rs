//! Narrow and wide windows: nothing is cut off, and every control can be seen and clicked.

use std::path::Path;

use serde_json::json;

use crate::browser::Browser;
use crate::driver::Lent;
use crate::pages::{course, lesson};

const WIDTHS: [u32; 4] = [320, 400, 900, 1600];

/// Nothing is wider than the window. Every control is in the window after it was scrolled to, and nothing covers it.
#[track_caller]
fn assert_fits(browser: &Browser, file: &Path, width: u32) {
    browser.resize(width, 800);
    let wrong = browser.run(
        r#"const wrong = [];
           for (const element of [document.documentElement, document.body])
               if (element.scrollWidth > element.clientWidth)
                   wrong.push(`${element.tagName} is ${element.scrollWidth} wide`);
           // What is cut off at the edge of the window, too. In a part that scrolls or hides by itself it is meant so.
           const within = (element) => {
               for (let at = element.parentElement; at !== document.body; at = at.parentElement)
                   if (getComputedStyle(at).overflowX !== 'visible') return true;
               return false;
           };
           for (const element of document.querySelectorAll('body *')) {
               const box = element.getBoundingClientRect();
               if (box.right > innerWidth + 0.5 && !within(element))
                   wrong.push(`${element.tagName} ${element.id} ${element.className} ends at ${box.right}`);
           }
           for (const control of document.querySelectorAll('button, select, input, a[href], [tabindex="0"], summary')) {
               if (control.closest('[hidden]')) continue;
               const name = control.id || control.textContent;
               control.scrollIntoView({ block: 'center', inline: 'nearest', behavior: 'instant' });
               const box = control.getBoundingClientRect();
               if (box.width < 8 || box.height < 8) wrong.push(`${name} is ${box.width} by ${box.height}`);
               if (box.left < 0 || box.right > innerWidth) wrong.push(`${name} is from ${box.left} to ${box.right}`);
               const [line] = control.getClientRects();
               const at = document.elementFromPoint(line.left + line.width / 2, Math.max(0, line.top) +
                   Math.min(line.height, innerHeight) / 2);
               if (!at || !(control.contains(at) || at.contains(control) && at.tagName === 'LABEL'))
                   wrong.push(`${name} is covered by ${at?.tagName} ${at?.id}`);
           }
           scrollTo(0, 0);
           return wrong;"#,
    );
    assert_eq!(wrong, json!([]), "{} at {width} pixels", file.display());
}

#[test]
fn at_every_width_the_page_fits_and_every_control_can_be_clicked() {
    let Some(browser) = Lent::new() else { return };
    // Many connections, and long lines: the story, the words and the fields.
    for name in ["cubic-vs-bbr", "many-clients", "sack"] {
        let file = lesson(name);
        browser.open_page(&file, "p=10");
        for width in WIDTHS {
            assert_fits(&browser, &file, width);
        }
    }
}

#[test]
fn at_every_width_the_index_fits() {
    let Some(browser) = Lent::new() else { return };
    let file = course().join("index.html");
    browser.open(&file, "");
    for width in WIDTHS {
        assert_fits(&browser, &file, width);
    }
}

#[test]
fn the_parts_of_the_page_do_not_lie_on_each_other() {
    let Some(browser) = Lent::new() else { return };
    browser.open_page(&lesson("sack"), "p=10");
    for width in WIDTHS {
        browser.resize(width, 800);
        let wrong = browser.run(
            r"const parts = ['#ladder', '#packet', '#machine', '#space', '#plots', '#slider'];
               const boxes = parts.map((part) => document.querySelector(part).getBoundingClientRect());
               const wrong = [];
               boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b, j) => {
                   const inside = (x, y) => document.querySelector(x).contains(document.querySelector(y));
                   const [x, y] = [parts[i], parts[i + 1 + j]];
                   const apart = a.right <= b.left + 1 || b.right <= a.left + 1 ||
                       a.bottom <= b.top + 1 || b.bottom <= a.top + 1;
                   if (!apart && !inside(x, y) && !inside(y, x)) wrong.push(`${x} and ${y}`);
               }));
               return wrong;",
        );
        assert_eq!(wrong, json!([]), "at {width} pixels");
    }
}
