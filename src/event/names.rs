//! The stable names of events: what `run --json`, bracket tags in captures and filters of users rely on. A name never
//! changes with the Rust identifier; docs/events.md lists all of them, and a test compares the page with this file.

use core::fmt;

use super::{Cause, ChannelState, CookieStep, DropReason, Fate, LimitedReply, Phase, Reason, Rule, TimerKind};

impl Fate {
    /// Its stable name. Of a drop, the reason has a name of its own ([`DropReason::name`]).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deliver(_) => "deliver",
            Self::Reorder(_) => "reorder",
            Self::Overtake(_) => "overtake",
            Self::Duplicate(_) => "duplicate",
            Self::Corrupt(_) => "corrupt",
            Self::Drop(_) => "drop",
        }
    }

    /// The names of all fates.
    pub const NAMES: [&'static str; 6] = ["deliver", "reorder", "overtake", "duplicate", "corrupt", "drop"];
}

impl DropReason {
    /// One of each, rules left out: those are [`Rule::ALL`].
    pub const ALL: [Self; 24] = [
        Self::Loss,
        Self::BurstLoss(ChannelState::Good),
        Self::BurstLoss(ChannelState::Bad),
        Self::Fault,
        Self::QueueFull,
        Self::LinkDown { until: None },
        Self::TooBig,
        Self::NoRoute,
        Self::HostUnreachable,
        Self::TtlExceeded,
        Self::Malformed,
        Self::Checksum,
        Self::Fragment,
        Self::NotLocal,
        Self::BadSource,
        Self::IpOptions,
        Self::SourceRoute,
        Self::SynQueueFull,
        Self::AcceptQueueFull,
        Self::ReceiveQueueFull,
        Self::NoMemory,
        Self::TimeWait,
        Self::HalfOpen,
        Self::NoSocket,
    ];

    /// Its stable name; a rule's is that of the rule.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::BurstLoss(ChannelState::Good) => "gemodel-good",
            Self::BurstLoss(ChannelState::Bad) => "gemodel-bad",
            Self::Fault => "scripted",
            Self::QueueFull => "queue-full",
            Self::LinkDown { .. } => "link-down",
            Self::TooBig => "too-big",
            Self::NoRoute => "no-route",
            Self::HostUnreachable => "host-unreachable",
            Self::TtlExceeded => "ttl-exceeded",
            Self::Malformed => "malformed",
            Self::Checksum => "checksum",
            Self::Fragment => "fragment",
            Self::NotLocal => "not-local",
            Self::BadSource => "bad-source",
            Self::IpOptions => "ip-options",
            Self::SourceRoute => "source-route",
            Self::SynQueueFull => "syn-queue-full",
            Self::AcceptQueueFull => "accept-queue-full",
            Self::ReceiveQueueFull => "receive-queue-full",
            Self::NoMemory => "no-memory",
            Self::Rule(rule) => rule.name(),
            Self::TimeWait => "time-wait",
            Self::HalfOpen => "half-open",
            Self::NoSocket => "no-socket",
        }
    }

    /// The reason with this name. A name says nothing of how long a link is down: [`DropReason::LinkDown`] comes back
    /// without it.
    pub fn from_name(name: &str) -> Option<Self> {
        let rules = Rule::ALL.into_iter().map(Self::Rule);
        Self::ALL.into_iter().chain(rules).find(|reason| reason.name() == name)
    }
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 7] = [
        Self::ExactRst,
        Self::SynChallenge,
        Self::OutOfWindow,
        Self::AckOutOfRange,
        Self::Paws,
        Self::RightEdge,
        Self::NoReader,
    ];

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExactRst => "exact-rst",
            Self::SynChallenge => "syn-challenge",
            Self::OutOfWindow => "out-of-window",
            Self::AckOutOfRange => "ack-out-of-range",
            Self::Paws => "paws",
            Self::RightEdge => "right-edge",
            Self::NoReader => "no-reader",
        }
    }
}

impl TimerKind {
    /// Every timer.
    pub const ALL: [Self; 13] = [
        Self::SynAck,
        Self::Retransmission,
        Self::UserTimeout,
        Self::KeepAlive,
        Self::FinWait2,
        Self::TimeWait,
        Self::Linger,
        Self::DelayedAck,
        Self::Rack,
        Self::Tlp,
        Self::Persist,
        Self::Cork,
        Self::PathMtuProbe,
    ];

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SynAck => "syn-ack",
            Self::Retransmission => "retransmission",
            Self::UserTimeout => "user-timeout",
            Self::KeepAlive => "keep-alive",
            Self::FinWait2 => "fin-wait-2",
            Self::TimeWait => "time-wait",
            Self::Linger => "linger",
            Self::DelayedAck => "delayed-ack",
            Self::Rack => "rack",
            Self::Tlp => "tlp",
            Self::Persist => "persist",
            Self::Cork => "cork",
            Self::PathMtuProbe => "path-mtu-probe",
        }
    }
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 4] = [Self::Open, Self::Disorder, Self::Recovery, Self::Loss];

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Disorder => "disorder",
            Self::Recovery => "recovery",
            Self::Loss => "loss",
        }
    }

    /// The phase with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::New,
        Self::FastRetransmit,
        Self::Rack,
        Self::Tlp,
        Self::Rto,
        Self::PathMtu,
        Self::Probe,
        Self::KeepAlive,
    ];

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::FastRetransmit => "fast-retransmit",
            Self::Rack => "rack",
            Self::Tlp => "tlp",
            Self::Rto => "rto",
            Self::PathMtu => "path-mtu",
            Self::Probe => "window-probe",
            Self::KeepAlive => "keep-alive",
        }
    }

    /// The reason with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

impl CookieStep {
    /// Every step.
    pub const ALL: [Self; 3] = [Self::Sent, Self::Received, Self::Failed];

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
            Self::Failed => "failed",
        }
    }
}

impl LimitedReply {
    /// Every reply.
    pub const ALL: [Self; 2] = [Self::IcmpError, Self::Reset];

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IcmpError => "icmp-error",
            Self::Reset => "reset",
        }
    }
}

impl Cause {
    /// The names of all causes; the first four are followed by what it was.
    pub const NAMES: [&'static str; 5] = ["received", "sent", "call", "timer", "icmp"];
}

impl fmt::Display for Cause {
    /// `received S.` (the flags in tcpdump's letters), `call close`, `timer retransmission`, `icmp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Received(flags) => write!(f, "received {flags}"),
            Self::Sent(flags) => write!(f, "sent {flags}"),
            Self::Call(call) => write!(f, "call {call}"),
            Self::Timer(timer) => write!(f, "timer {}", timer.name()),
            Self::Icmp => f.write_str("icmp"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_kebab_case_and_stands_for_one_reason() {
        let rules = Rule::ALL.into_iter().map(DropReason::Rule);
        let reasons: Vec<_> = DropReason::ALL.into_iter().chain(rules).collect();
        let names: BTreeSet<_> = reasons.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), reasons.len());
        let timers = TimerKind::ALL.map(TimerKind::name);
        let (phases, sends) = (Phase::ALL.map(Phase::name), Reason::ALL.map(Reason::name));
        let (steps, replies) = (CookieStep::ALL.map(CookieStep::name), LimitedReply::ALL.map(LimitedReply::name));
        let others = timers
            .iter()
            .chain(&steps)
            .chain(&replies)
            .chain(&phases)
            .chain(&sends)
            .chain(&Fate::NAMES)
            .chain(&Cause::NAMES);
        for name in names.iter().chain(others) {
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
        }
        for reason in reasons {
            assert_eq!(DropReason::from_name(reason.name()), Some(reason));
        }
        assert_eq!(phases.map(Phase::from_name), Phase::ALL.map(Some));
        assert_eq!(sends.map(Reason::from_name), Reason::ALL.map(Some));
    }

    /// The names in the first column of the table below a heading of docs/events.md.
    fn listed(page: &str, heading: &str) -> Vec<String> {
        let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no ## {heading}"));
        let section = section.split("\n## ").next().expect("one part at least");
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        rows.map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn the_page_lists_every_name_and_no_other() {
        let page = include_str!("../../docs/events.md");
        assert_eq!(listed(page, "Fates"), Fate::NAMES);
        assert_eq!(listed(page, "Reasons"), DropReason::ALL.map(DropReason::name));
        assert_eq!(listed(page, "Rules"), Rule::ALL.map(Rule::name));
        assert_eq!(listed(page, "Timers"), TimerKind::ALL.map(TimerKind::name));
        assert_eq!(listed(page, "Causes"), Cause::NAMES);
        assert_eq!(listed(page, "Phases"), Phase::ALL.map(Phase::name));
        assert_eq!(listed(page, "Transmissions"), Reason::ALL.map(Reason::name));
        assert_eq!(listed(page, "SYN cookies"), CookieStep::ALL.map(CookieStep::name));
        assert_eq!(listed(page, "Limited replies"), LimitedReply::ALL.map(LimitedReply::name));
    }
}
