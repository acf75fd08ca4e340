//! The lessons: scenario files that come with the program.

macro_rules! lesson {
    ($name:literal) => {
        ($name, include_str!(concat!("lessons/", $name, ".toml")))
    };
}

/// Name and text, in the order in which they are best read.
const LESSONS: &[(&str, &str)] = &[
    lesson!("hello"),
    lesson!("http"),
    lesson!("chat"),
    lesson!("handshake"),
    lesson!("simultaneous-open"),
    lesson!("refused"),
    lesson!("unreachable"),
    lesson!("data"),
    lesson!("nagle"),
    lesson!("delayed-ack"),
    lesson!("nagle-delayed-ack"),
    lesson!("zero-window"),
    lesson!("silly-window"),
    lesson!("window-scaling"),
    lesson!("keep-alive"),
    lesson!("close"),
    lesson!("half-close"),
    lesson!("simultaneous-close"),
    lesson!("time-wait-reuse"),
    lesson!("time-wait-assassination"),
    lesson!("paws"),
    lesson!("reset"),
    lesson!("half-open"),
    lesson!("challenge-ack"),
    lesson!("bind-in-use"),
    lesson!("backlog"),
    lesson!("syn-flood"),
    lesson!("many-clients"),
    lesson!("close-wait"),
    lesson!("lost-syn"),
    lesson!("lost-synack"),
    lesson!("lost-data"),
    lesson!("tail-loss-probe"),
    lesson!("rto-backoff"),
    lesson!("karn"),
    lesson!("undo"),
    lesson!("fast-retransmit"),
    lesson!("sack"),
    lesson!("limited-transmit"),
    lesson!("reorder"),
    lesson!("rack-reorder"),
    lesson!("duplicate"),
    lesson!("ack-loss"),
    lesson!("corrupt"),
    lesson!("slow-start"),
    lesson!("hystart"),
    lesson!("reno-vs-cubic"),
    lesson!("cubic-vs-bbr"),
    lesson!("bufferbloat"),
    lesson!("fairness"),
    lesson!("mtu-blackhole"),
    lesson!("pmtud"),
    lesson!("udp-vs-tcp"),
];

/// The names of all lessons, in the order in which they are best read.
pub fn lessons() -> impl Iterator<Item = &'static str> {
    LESSONS.iter().map(|(name, _)| *name)
}

pub(super) fn find(name: &str) -> Option<(&'static str, &'static str)> {
    LESSONS.iter().find(|(known, _)| *known == name).copied()
}
