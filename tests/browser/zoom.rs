//! The plots: their kinds, and the range of time that they show.

use serde_json::json;

use crate::browser::Browser;
use crate::driver::Lent;
use crate::pages::{capture, packets, page, place};

/// The visible range of time, in seconds.
fn range(browser: &Browser) -> (f64, f64) {
    let [from, to] = ["from", "to"].map(|end| {
        let text = browser.text(&format!("document.querySelector('#plot-text').dataset.{end}"));
        text.parse().unwrap_or_else(|_| panic!("{text:?} are seconds"))
    });
    (from, to)
}

/// A number that changes with the pixels of the plot, and whether anything is drawn.
fn drawn(browser: &Browser) -> (u64, bool) {
    let answer = browser.run(
        "const plot = document.querySelector('#plot');
         const copy = new OffscreenCanvas(plot.width, plot.height).getContext('2d', { willReadFrequently: true });
         copy.drawImage(plot, 0, 0);
         const pixels = copy.getImageData(0, 0, plot.width, plot.height).data;
         let hash = 7;
         const seen = new Set();
         for (let at = 0; at < pixels.length; at += 4) {
             const pixel = pixels[at] * 65536 + pixels[at + 1] * 256 + pixels[at + 2] + pixels[at + 3] * 16777216;
             hash = (hash * 31 + pixel) % 2147483647;
             if (seen.size < 3) seen.add(pixel);
         }
         return [hash, seen.size > 1];",
    );
    (answer[0].as_u64().expect("a number"), answer[1] == true)
}

#[test]
fn zoom_narrows_the_time_around_the_cursor_and_is_undone() {
    let Some(browser) = Lent::new() else { return };
    let capture = capture("cubic-vs-bbr");
    let packets = packets(&capture);
    let middle = &packets[packets.len() / 3];
    browser.open_page(&page(&capture, &place("zoom")), &format!("p={}", middle.number));
    let whole = range(&browser);
    assert!(whole.0 <= 0.001 && whole.1 >= packets[packets.len() - 1].at - 0.001, "{whole:?}: all of the capture");
    let (before, _) = drawn(&browser);
    let mut last = whole;
    for by in ["button", "key", "button"] {
        if by == "key" {
            browser.press("+");
        } else {
            browser.click("#zoom-in");
        }
        let now = range(&browser);
        assert!(now.1 - now.0 < (last.1 - last.0) * 0.8, "{by}: {now:?} is narrower than {last:?}");
        assert!(last.0 <= now.0 && now.1 <= last.1, "{by}: {now:?} is within {last:?}");
        assert!(now.0 <= middle.at && middle.at <= now.1, "{by}: {now:?} has the cursor, {}", middle.at);
        last = now;
    }
    assert_ne!(drawn(&browser).0, before, "another part is drawn");
    browser.press("-");
    let wider = range(&browser);
    assert!(wider.1 - wider.0 > (last.1 - last.0) * 1.2, "{wider:?} is wider than {last:?}");
    browser.click("#zoom-out");
    let wider_still = range(&browser);
    assert!(wider_still.1 - wider_still.0 > wider.1 - wider.0, "{wider_still:?} is wider than {wider:?}");
    browser.click("#zoom-in");
    browser.click("#zoom-all");
    assert_eq!(range(&browser), whole);
    browser.press("+");
    browser.press("0");
    assert_eq!(range(&browser), whole);
    assert_eq!(drawn(&browser).0, before, "the same is drawn as at first");
    // However often: a range remains, and nothing is thrown.
    for _ in 0..60 {
        browser.press("+");
    }
    let least = range(&browser);
    assert!(least.0 < least.1, "{least:?}");
    for _ in 0..80 {
        browser.press("-");
    }
    assert_eq!(range(&browser), whole);
    assert_eq!(browser.log(), Vec::<String>::new());
}

#[test]
fn a_cursor_outside_of_the_visible_time_brings_the_plot_along() {
    let Some(browser) = Lent::new() else { return };
    let capture = capture("slow-start");
    let packets = packets(&capture);
    browser.open_page(&page(&capture, &place("along")), "p=1");
    for _ in 0..4 {
        browser.press("+");
    }
    let (from, to) = range(&browser);
    let last = packets[packets.len() - 1].at;
    assert!(to < last, "{from} to {to} is a part");
    browser.click("#last");
    browser.until(&format!("+document.querySelector('#plot-text').dataset.to >= {last} - 0.000001"));
    let moved = range(&browser);
    assert!(moved.0 <= last, "{moved:?}");
}

#[test]
fn each_plot_is_drawn_and_has_a_text() {
    let Some(browser) = Lent::new() else { return };
    browser.open_page(&page(&capture("slow-start"), &place("plots")), "p=20");
    let kinds = browser.eval("[...document.querySelector('#plot-kind').options].map((option) => option.value)");
    for kind in ["sequence", "window", "rtt", "throughput"] {
        assert!(kinds.as_array().expect("kinds").contains(&json!(kind)), "{kind} of {kinds}");
    }
    let mut pictures = Vec::new();
    for kind in kinds.as_array().expect("kinds") {
        let kind = kind.as_str().expect("a text");
        browser.choose("#plot-kind", kind);
        let (picture, marks) = drawn(&browser);
        assert!(marks, "{kind} is drawn");
        assert!(!pictures.contains(&picture), "{kind} is a plot of its own");
        pictures.push(picture);
        let text = browser.text("document.querySelector('#plot-text').textContent");
        assert!(text.len() > 20, "{kind}: {text:?}");
    }
    assert_eq!(browser.log(), Vec::<String>::new());
}
