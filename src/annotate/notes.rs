//! What a host tells of itself and no packet shows: timers that went off, and the phases of loss recovery, in words.
//! Ladders print them beside the arrows. The stable names are those of `event`.

use crate::event::{CookieStep, Phase, TimerKind};
use crate::time::Duration;

/// A timer that went off, in words. `ran` is how long a retransmission timer had run, if that is known.
pub fn timer(timer: TimerKind, ran: Option<Duration>) -> String {
    let text = match timer {
        TimerKind::Retransmission | TimerKind::SynAck => {
            let mut text = "RTO".to_owned();
            if let Some(ran) = ran {
                text.push(' ');
                super::write_duration(&mut text, ran);
            }
            if timer == TimerKind::SynAck {
                text.push_str(" of the SYN|ACK");
            }
            return text;
        }
        TimerKind::UserTimeout => "no answer for too long",
        TimerKind::KeepAlive => "keep-alive timer",
        TimerKind::FinWait2 => "FIN-WAIT-2 has reached its time limit",
        TimerKind::TimeWait => "2 MSL have passed",
        TimerKind::Linger => "the time of SO_LINGER has passed",
        TimerKind::DelayedAck => "delayed ACK",
        TimerKind::Rack => "RACK: the reordering window has passed",
        TimerKind::Tlp => "tail loss probe",
        TimerKind::Persist => "persist timer: zero-window probe",
        TimerKind::Cork => "the time of TCP_CORK has passed",
        TimerKind::PathMtuProbe => "path MTU probe",
    };
    text.to_owned()
}

/// What became of a SYN cookie, in words.
pub const fn syn_cookie(step: CookieStep) -> &'static str {
    match step {
        CookieStep::Sent => "SYN queue full: answers with a SYN cookie",
        CookieStep::Received => "the SYN cookie is valid",
        CookieStep::Failed => "no valid SYN cookie",
    }
}

/// A change of the phase of loss recovery, in words. `undone`: the loss was spurious.
pub fn recovery(from: Phase, to: Phase, undone: bool) -> &'static str {
    match (from, to) {
        _ if undone => "undone: the loss was spurious",
        (_, Phase::Recovery) => "fast recovery begins",
        (_, Phase::Loss) => "recovery after the RTO begins",
        (Phase::Recovery | Phase::Loss, Phase::Open | Phase::Disorder) => "recovery ends",
        (_, Phase::Disorder) => "disorder: a segment may be missing",
        (_, Phase::Open) => "disorder ends",
    }
}
