//! Why a packet went no further, in words, for the ladder. The stable names are those of `event`.

use crate::event::{DropReason, Rule};

/// A reason in words, as part of a sentence.
pub fn reason(why: DropReason) -> String {
    let text = match why {
        DropReason::Loss => "lost on the link",
        DropReason::BurstLoss(state) => {
            return format!("lost on the link, Gilbert-Elliott model, {} state", state_name(state));
        }
        DropReason::Fault => "dropped by a scripted fault",
        DropReason::QueueFull => "the queue of the link is full",
        DropReason::LinkDown { until: None } => "the link is down",
        DropReason::LinkDown { until: Some(until) } => {
            return format!("the link is down until {} s", until.as_secs_f64());
        }
        DropReason::TooBig => "larger than the MTU of the link",
        DropReason::NoRoute => "no route to the destination",
        DropReason::HostUnreachable => "no host has that address",
        DropReason::TtlExceeded => "the TTL has reached zero",
        DropReason::Malformed => "not a valid packet",
        DropReason::Checksum => "wrong checksum",
        DropReason::Fragment => "an IP fragment",
        DropReason::NotLocal => "not an address of this host",
        DropReason::BadSource => "the source address is not valid",
        DropReason::IpOptions => "the IP options are malformed",
        DropReason::SourceRoute => "source routes are not allowed",
        DropReason::SynQueueFull => "the SYN queue is full",
        DropReason::AcceptQueueFull => "the accept queue is full",
        DropReason::NoMemory => "the buffers of the host have reached their limit",
        DropReason::ReceiveQueueFull => "the receive queue of the socket is full",
        DropReason::TimeWait => "the connection is in TIME-WAIT",
        DropReason::HalfOpen => "the half-open connection does not need it",
        DropReason::NoSocket => "no socket for it",
        DropReason::Rule(rule) => self::rule(rule),
    };
    text.to_owned()
}

fn state_name(state: crate::event::ChannelState) -> &'static str {
    match state {
        crate::event::ChannelState::Good => "good",
        crate::event::ChannelState::Bad => "bad",
    }
}

fn rule(rule: Rule) -> &'static str {
    match rule {
        Rule::ExactRst => "an RST must have the number RCV.NXT (RFC 5961)",
        Rule::SynChallenge => "a SYN on an open connection gets a challenge ACK (RFC 5961)",
        Rule::OutOfWindow => "outside the receive window",
        Rule::AckOutOfRange => "the ACK is out of range",
        Rule::Paws => "the timestamp is old (PAWS)",
        Rule::RightEdge => "beyond the right edge of the window",
        Rule::NoReader => "no program will read it",
    }
}
