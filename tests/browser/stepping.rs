//! Steps through a page: buttons, keys, slider, link to a packet, filter. After each step the whole page shows the same
//! packet.

use serde_json::json;

use crate::browser::Browser;
use crate::driver::Lent;
use crate::pages::{Packet, capture, changes, packets, page, place};

/// Keys of `WebDriver` that have no character.
mod key {
    pub(super) const END: &str = "\u{e010}";
    pub(super) const HOME: &str = "\u{e011}";
    pub(super) const LEFT: &str = "\u{e012}";
    pub(super) const UP: &str = "\u{e013}";
    pub(super) const RIGHT: &str = "\u{e014}";
    pub(super) const DOWN: &str = "\u{e015}";
}

/// The number of the chosen packet: the row of the ladder, the address and the slider agree on it.
#[track_caller]
fn chosen(browser: &Browser) -> u64 {
    let row = browser.text(
        r#"[...document.querySelectorAll('#ladder [data-packet][aria-selected="true"]')]
            .map((row) => row.dataset.packet).join()"#,
    );
    assert_eq!(browser.text("location.hash"), format!("#p={row}"), "the address names the chosen packet");
    let active = "document.getElementById(document.querySelector('#ladder').getAttribute('aria-activedescendant'))";
    assert_eq!(browser.text(&format!("{active}.dataset.packet")), row, "aria-activedescendant is the chosen row");
    row.parse().unwrap_or_else(|_| panic!("one row is chosen, not {row:?}"))
}

/// The chosen row is within the visible part of the ladder.
#[track_caller]
fn assert_in_view(browser: &Browser) {
    let seen = browser.run(
        r#"const list = document.querySelector('#ladder').getBoundingClientRect();
           const row = document.querySelector('#ladder [aria-selected="true"]').getBoundingClientRect();
           return row.height > 0 && row.top < list.bottom && row.bottom > list.top;"#,
    );
    assert_eq!(seen, true, "the chosen row can be seen");
}

/// The whole page shows this packet.
#[track_caller]
fn assert_shows(browser: &Browser, packet: &Packet) {
    browser.until(&format!(r##"location.hash === "#p={}""##, packet.number));
    assert_eq!(chosen(browser), packet.number);
    assert_in_view(browser);
    let panel = browser.text("document.querySelector('#packet').textContent");
    assert!(panel.contains(&packet.words), "packet {}: {panel:?} has {:?}", packet.number, packet.words);
    assert!(browser.eval("document.querySelector('#packet-fields').rows.length").as_u64() > Some(2), "fields");
    let time = browser.text("document.querySelector('#time').textContent");
    let shown = time.split(|c: char| !c.is_ascii_digit() && c != '.').filter_map(|word| word.parse::<f64>().ok());
    assert!(shown.clone().any(|shown| (shown - packet.at).abs() < 0.000_5), "{time:?} has {}", packet.at);
    let [left, right] = ["left", "right"].map(|side| lit(browser, side));
    assert_eq!([left, right], packet.states, "states at packet {}", packet.number);
}

/// The lit state of one end; empty if none is lit.
fn lit(browser: &Browser, side: &str) -> String {
    browser.text(&format!(
        r#"[...document.querySelectorAll('#machine [data-side="{side}"] [data-lit="true"]')]
            .map((state) => state.dataset.state).join()"#
    ))
}

/// Opens the page of a lesson's capture.
fn open(browser: &Browser, lesson: &str, name: &str, hash: &str) -> Vec<Packet> {
    let capture = capture(lesson);
    browser.open_page(&page(&capture, &place(name)), hash);
    packets(&capture)
}

fn numbers(packets: &[Packet], wanted: impl Fn(&Packet) -> bool) -> Vec<u64> {
    packets.iter().filter(|packet| wanted(packet)).map(|packet| packet.number).collect()
}

#[test]
fn buttons_step_through_the_packets_and_stay_at_both_ends() {
    let Some(browser) = Lent::new() else { return };
    let packets = open(&browser, "lost-data", "buttons", "");
    let last = packets.last().expect("packets");
    assert_shows(&browser, &packets[0]);
    browser.click("#next");
    assert_shows(&browser, &packets[1]);
    browser.click("#last");
    assert_shows(&browser, last);
    browser.click("#previous");
    assert_shows(&browser, &packets[packets.len() - 2]);
    browser.click("#first");
    assert_shows(&browser, &packets[0]);
    // A button that leads nowhere may be disabled.
    browser.run("document.querySelector('#previous').click()");
    assert_shows(&browser, &packets[0]);
    browser.click("#last");
    browser.run("document.querySelector('#next').click()");
    assert_shows(&browser, last);
    assert_eq!(browser.log(), Vec::<String>::new());
}

#[test]
fn every_packet_of_a_connection_is_shown_with_its_words_time_and_states() {
    let Some(browser) = Lent::new() else { return };
    let packets = open(&browser, "half-close", "every", "");
    for packet in &packets {
        assert_shows(&browser, packet);
        browser.press(key::RIGHT);
    }
    assert_shows(&browser, packets.last().expect("packets"));
}

#[test]
fn keys_do_what_the_buttons_do() {
    let Some(browser) = Lent::new() else { return };
    let packets = open(&browser, "lost-data", "keys", "");
    let last = packets.len() - 1;
    let back = [key::LEFT, key::UP, "k", "k"].map(|key| (key, -1));
    let steps = [key::RIGHT, key::DOWN, "j"].map(|key| (key, 1)).into_iter().chain(back);
    let mut at = 0;
    for (key, step) in steps.chain([(key::RIGHT, 1), (key::RIGHT, 1), (key::HOME, -2)]) {
        at = (at as i64 + step).max(0) as usize;
        browser.press(key);
        assert_shows(&browser, &packets[at]);
    }
    browser.press(key::END);
    assert_shows(&browser, &packets[last]);
    browser.press("j");
    assert_shows(&browser, &packets[last]);
}

#[test]
fn the_next_loss_retransmission_and_state_are_found_by_button_and_by_key() {
    let Some(browser) = Lent::new() else { return };
    for lesson in ["lost-data", "sack"] {
        let packets = open(&browser, lesson, "jumps", "");
        let losses = numbers(&packets, |packet| packet.lost);
        let again = numbers(&packets, |packet| packet.again);
        let states = changes(&packets);
        for (button, key, wanted) in
            [("#next-loss", "l", losses), ("#next-retransmission", "r", again), ("#next-state", "s", states)]
        {
            let wanted: Vec<_> = wanted.into_iter().filter(|number| *number > packets[0].number).collect();
            assert!(!wanted.is_empty(), "{lesson} has something to find with {button}");
            browser.press(key::HOME);
            for number in &wanted {
                browser.click(button);
                browser.until(&format!(r##"location.hash === "#p={number}""##));
                assert_eq!(chosen(&browser), *number, "{lesson} {button}");
            }
            // There is no further one.
            browser.press(key);
            assert_eq!(chosen(&browser), wanted[wanted.len() - 1], "{lesson} {key}");
            browser.press(key::HOME);
            browser.press(key);
            assert_eq!(chosen(&browser), wanted[0], "{lesson} {key}");
        }
    }
}

#[test]
fn a_link_to_a_packet_opens_it_and_a_click_on_a_row_makes_one() {
    let Some(browser) = Lent::new() else { return };
    let packets = open(&browser, "slow-start", "link", "p=12");
    assert_shows(&browser, &packets[11]);
    browser.point_at(r#"#ladder [data-packet="14"]"#);
    assert_shows(&browser, &packets[13]);
    // As when the address is edited by hand, or the browser goes back.
    browser.run("location.hash = '#p=30'");
    browser.until(r#"document.querySelector('#ladder [aria-selected="true"]')?.dataset.packet === "30""#);
    assert_shows(&browser, &packets[29]);
    for wrong in ["p=0", "p=99999999", "p=x", "p=", "q=3", "p=-1", "p=1e400", "%3Cscript%3E"] {
        browser.run(&format!("location.hash = '#{wrong}'"));
        let one = browser.eval(r#"document.querySelectorAll('#ladder [aria-selected="true"]').length"#);
        assert_eq!(one, 1, "{wrong}");
    }
    assert_eq!(browser.log(), Vec::<String>::new());
}

#[test]
fn the_slider_moves_through_time() {
    let Some(browser) = Lent::new() else { return };
    let packets = open(&browser, "lost-data", "slider", "");
    browser.run("document.querySelector('#slider').focus()");
    browser.press(key::END);
    assert_shows(&browser, packets.last().expect("packets"));
    browser.press(key::HOME);
    assert_shows(&browser, &packets[0]);
    // The key steps the slider and not the page as well: one packet.
    browser.press(key::RIGHT);
    assert_shows(&browser, &packets[1]);
    browser.press(key::LEFT);
    assert_shows(&browser, &packets[0]);
    let said = browser.text("document.querySelector('#slider').getAttribute('aria-valuetext') ?? ''");
    assert!(!said.is_empty(), "a screen reader says more than a number");
}

#[test]
fn the_filter_leaves_one_connection() {
    let Some(browser) = Lent::new() else { return };
    let packets = open(&browser, "many-clients", "filter", "");
    let mut streams: Vec<_> = packets.iter().filter_map(|packet| packet.stream).collect();
    streams.sort_unstable();
    streams.dedup();
    let offered = browser.eval("[...document.querySelector('#filter').options].map((option) => option.value)");
    let expected: Vec<_> = ["all".to_owned()].into_iter().chain(streams.iter().map(u64::to_string)).collect();
    assert_eq!(offered, json!(expected));
    let stream = streams[2];
    let of_it: Vec<_> = packets.iter().filter(|packet| packet.stream == Some(stream)).collect();
    browser.choose("#filter", &stream.to_string());
    // Away from the select, whose own keys these are.
    browser.run("document.querySelector('#ladder').focus()");
    browser.press(key::HOME);
    for packet in &of_it {
        assert_shows(&browser, packet);
        browser.press(key::DOWN);
    }
    assert_shows(&browser, of_it[of_it.len() - 1]);
    let drawn =
        browser.eval("[...document.querySelectorAll('#ladder [data-packet]')].map((row) => +row.dataset.packet)");
    let drawn: Vec<_> = drawn.as_array().expect("rows").iter().filter_map(serde_json::Value::as_u64).collect();
    assert!(!drawn.is_empty() && drawn.iter().all(|row| of_it.iter().any(|packet| packet.number == *row)), "{drawn:?}");
    browser.choose("#filter", "all");
    browser.run("document.querySelector('#ladder').focus()");
    browser.press(key::HOME);
    browser.press(key::DOWN);
    assert_shows(&browser, &packets[1]);
}

#[test]
fn the_sequence_space_of_the_sender_moves_with_the_cursor() {
    let Some(browser) = Lent::new() else { return };
    let packets = open(&browser, "lost-data", "space", "p=3");
    let space =
        |side: &str| browser.text(&format!(r#"document.querySelector('#space [data-side="{side}"]').innerHTML"#));
    let mut seen = Vec::new();
    // Data, its ACK, data that is lost, its retransmission, the ACK of that.
    for number in [3_usize, 4, 5, 8] {
        browser.run(&format!("location.hash = '#p={number}'"));
        browser.until(&format!(
            r#"document.querySelector('#ladder [aria-selected="true"]')?.dataset.packet === "{number}""#
        ));
        assert_shows(&browser, &packets[number - 1]);
        seen.push(space("left"));
    }
    for pair in seen.windows(2) {
        assert_ne!(pair[0], pair[1]);
    }
    browser.run("location.hash = '#p=3'");
    browser.until(r#"document.querySelector('#ladder [aria-selected="true"]')?.dataset.packet === "3""#);
    assert_eq!(space("left"), seen[0], "back is as forward");
}
