//! The course: `index.html` of the lessons' pages. First stand questions with the lessons that answer them, then all lessons
//! by topic, in the order in which they can be learned.

use core::fmt::Write as _;

use super::super::plot::svg::Xml;
use super::frame::{hash, style};

/// A lesson of the course.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its page is `NAME.html`.
    pub(crate) name: String,
    /// The topic under which it stands.
    pub(crate) topic: String,
    /// What it shows, in a line.
    pub(crate) summary: String,
}

/// Questions, and the lessons that answer them.
pub(super) const QUESTIONS: [(&str, &[&str]); 12] = [
    ("What happens when a connection opens and closes?", &["handshake", "data", "close"]),
    ("What does a program see when nobody listens, or when the host is not there?", &["refused", "unreachable"]),
    (
        "Why is a download over a lossy link slow with one congestion controller and fast with another?",
        &["cubic-vs-bbr", "reno-vs-cubic", "fast-retransmit"],
    ),
    ("How does a sender notice that a segment is lost?", &["fast-retransmit", "sack", "tail-loss-probe", "lost-data"]),
    ("Why does connect sometimes take a second longer?", &["lost-syn", "lost-synack", "backlog"]),
    (
        "Why is a transfer slow although no packet is lost?",
        &["slow-start", "window-scaling", "zero-window", "bufferbloat"],
    ),
    ("Why do small messages wait 40 ms?", &["nagle-delayed-ack", "nagle", "delayed-ack"]),
    ("Why does the handshake work and the data does not arrive?", &["mtu-blackhole", "pmtud"]),
    ("Why is the address in use after a server has ended?", &["bind-in-use", "time-wait-reuse", "close"]),
    ("What does an RST mean?", &["reset", "refused", "challenge-ack", "half-open"]),
    ("Why do connections remain in CLOSE-WAIT?", &["close-wait", "half-close"]),
    ("What happens in a SYN flood?", &["syn-flood", "backlog"]),
];

/// The order of the topics. Others follow.
const TOPICS: [&str; 9] =
    ["programs", "opening", "data", "closing", "sockets", "loss", "timers", "congestion", "the path"];

/// The index of these lessons.
pub(crate) fn index(lessons: &[Entry]) -> String {
    let style = style();
    let policy = format!("default-src 'none'; style-src '{}'", hash(&style));
    let link = |name: &str| format!("<a href=\"{0}.html\">{0}</a>", Xml(name));
    let has = |name: &str| lessons.iter().any(|lesson| lesson.name == name);
    let mut questions = String::new();
    for (question, names) in QUESTIONS {
        let links: Vec<_> = names.iter().filter(|name| has(name)).map(|name| link(name)).collect();
        if !links.is_empty() {
            let _ = writeln!(questions, "<li>{question} {}</li>", links.join(", "));
        }
    }
    let mut topics: Vec<&str> = TOPICS.to_vec();
    for lesson in lessons {
        if !topics.contains(&lesson.topic.as_str()) {
            topics.push(&lesson.topic);
        }
    }
    let mut parts = String::new();
    for (number, topic) in topics.iter().enumerate() {
        let of: Vec<_> = lessons.iter().filter(|lesson| lesson.topic == *topic).collect();
        if of.is_empty() {
            continue;
        }
        let topic = Xml(topic);
        let _ = writeln!(parts, "<nav aria-labelledby=\"topic-{number}\"><h2 id=\"topic-{number}\">{topic}</h2><ul>");
        for lesson in of {
            let _ = writeln!(parts, "<li>{}: {}</li>", link(&lesson.name), Xml(&lesson.summary));
        }
        parts.push_str("</ul></nav>\n");
    }
    let beginning = super::BEGINNING;
    format!(
        "{beginning}>\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"{policy}\">\n<title>TCP, packet by packet</title>\n<style>{style}</style>\n</head>\n<body>\n<main \
         class=\"course\">\n<h1>TCP, packet by packet</h1>\n<p class=\"intro\">Each lesson is one run of a userspace TCP \
         stack over simulated links. Its page has the story, every packet, both ends of the connection, and plots. Use the \
         arrow keys to go from packet to packet.</p>\n<section aria-labelledby=\"questions\"><h2 \
         id=\"questions\">Questions</h2><ul>\n{questions}</ul></section>\n{parts}</main>\n</body>\n</html>\n"
    )
}
