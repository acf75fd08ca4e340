//! The file around the data of a page: the parts of the document, the style, the scripts, and the Content-Security-Policy that
//! allows exactly these. Text from captures stands in the packed data only, or is escaped.

use core::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::super::model::Model;
use super::super::palette::{self, Color};
use super::super::plot::svg::Xml;
use super::Place;

const FRAME: &str = include_str!("assets/page.html");
const STYLE: &str = include_str!("assets/page.css");
const SCRIPTS: [&str; 7] = [
    include_str!("assets/data.js"),
    include_str!("assets/ladder.js"),
    include_str!("assets/packet.js"),
    include_str!("assets/machine.js"),
    include_str!("assets/space.js"),
    include_str!("assets/plots.js"),
    include_str!("assets/main.js"),
];

/// What every page of ours begins with.
pub(crate) const BEGINNING: &str = "<!DOCTYPE html>\n<html lang=\"en\" data-made-by=\"tcplab\"";

/// Colours by their names in the style.
const COLORS: [(&str, Color); 14] = [
    ("ground", palette::GROUND),
    ("text", palette::TEXT),
    ("faint", palette::FAINT),
    ("grid", palette::GRID),
    ("frame", palette::FRAME),
    ("new", palette::NEW),
    ("again", palette::RETRANSMISSION),
    ("duplicate", palette::DUPLICATE),
    ("reordered", palette::OUT_OF_ORDER),
    ("probe", palette::PROBE),
    ("lost", palette::LOST),
    ("ack", palette::ACK),
    ("sack", palette::SACK),
    ("window", palette::WINDOW),
];

/// A page around `data` and the bytes of packets.
pub(super) fn page(model: &Model, data: &str, bytes: &[u8], place: Place<'_>) -> String {
    let script = format!("(() => {{\n\"use strict\";\n{}}})();", SCRIPTS.concat());
    let style = style();
    let policy = format!("default-src 'none'; style-src '{}'; script-src '{}'", hash(&style), hash(&script));
    let home = if place.in_course { "<a class=\"home\" href=\"index.html\">All lessons</a>" } else { "" };
    let parts: [(&str, &str); 8] = [
        ("POLICY", &policy),
        ("TITLE", &Xml(&model.title).to_string()),
        ("STYLE", &style),
        ("HOME", home),
        ("STORY", &story(model)),
        ("DATA", &packed(data.as_bytes())),
        ("BYTES", &packed(bytes)),
        ("SCRIPT", &script),
    ];
    filled(FRAME, &parts)
}

/// The document with its parts. What was filled in is not searched again.
fn filled(mut rest: &str, parts: &[(&str, &str)]) -> String {
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let (name, behind) = after.split_once("}}").unwrap_or((after, ""));
        out.push_str(parts.iter().find(|(part, _)| *part == name).map_or("", |(_, text)| text));
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// The style, with the colours of both schemes. A page without `data-scheme` has that of the reader's system.
pub(super) fn style() -> String {
    let colors = |of: fn(&Color) -> &'static str| {
        let mut text = String::new();
        for (name, color) in &COLORS {
            let _ = write!(text, "--{name}:{};", of(color));
        }
        text
    };
    let (light, dark) = (colors(|color| color.light), colors(|color| color.dark));
    let dark = format!("{{color-scheme:dark;{dark}}}");
    format!(
        ":root{{color-scheme:light;{light}}}\n:root[data-scheme=dark]{dark}\n\
         @media(prefers-color-scheme:dark){{:root:not([data-scheme]){dark}}}\n{STYLE}"
    )
}

/// The source of an inline style or script in a policy (Content Security Policy Level 3, section 2.3.1).
pub(super) fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// Deflated (RFC 1951), in base64.
fn packed(bytes: &[u8]) -> String {
    STANDARD.encode(miniz_oxide::deflate::compress_to_vec(bytes, 9))
}

/// The story of a lesson, and what the reader has to know.
fn story(model: &Model) -> String {
    let mut out = String::new();
    if let Some(story) = &model.story {
        let paragraphs = story.story.split("\n\n").map(str::trim).filter(|text| !text.is_empty());
        let _ = write!(
            out,
            "<details id=\"story\" open><summary><h2>Story</h2></summary><div class=\"prose\"><p class=\"summary\">{}</p>{}",
            Xml(&story.summary),
            elements("p", paragraphs)
        );
        if !story.look.is_empty() {
            let items = elements("li", story.look.iter().map(String::as_str));
            let _ = write!(out, "<h3>What to look at in Wireshark</h3><ul>{items}</ul>");
        }
        out.push_str("</div></details>");
    }
    if !model.notes().is_empty() {
        let items = elements("li", model.notes().iter().map(String::as_str));
        let _ = write!(out, "<details class=\"notes\"><summary><h2>Notes</h2></summary><ul>{items}</ul></details>");
    }
    out
}

/// Each text in an element of its own.
fn elements<'a>(name: &str, texts: impl Iterator<Item = &'a str>) -> String {
    texts.fold(String::new(), |mut out, text| {
        // Lines of the source are no lines of the page.
        let _ = write!(out, "<{name}>{}</{name}>", Xml(&text.replace('\n', " ")));
        out
    })
}
