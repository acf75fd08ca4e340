//! The calls of a script as they return: what they returned is compared with the script, and a call that blocks is waited
//! for. `run` makes the calls.

use super::calls::{Effect, Issued, Refused, Returned};
use super::compare::Relax;
use super::run::{LONGEST, LONGEST_WAIT, Run, Stop, seconds};
use super::script::{Call, Event, Time};
use crate::net::JoinHandle;
use crate::time::{Duration, Instant};

/// A blocking call that has not returned.
pub(super) struct Blocked<'a> {
    call: &'a Call,
    event: &'a Event,
    handle: JoinHandle<(Instant, Returned)>,
    /// When it has to return, and how far that may be off.
    due: Instant,
    tolerance: Duration,
}

impl<'a> Run<'a> {
    pub(super) fn call(&mut self, event: &'a Event, call: &'a Call) -> Result<(), Stop> {
        let start = self.sim.now();
        let issued = self.calls.issue(call).map_err(|refused| match refused {
            Refused::Unsupported(what) => Stop::Unsupported(what),
            Refused::Wrong(what) => Stop::Error(what),
        })?;
        let mut handle = match issued {
            Issued::Returned(returned) => return self.returned(event.line, call, &returned),
            Issued::Running(handle) => handle,
        };
        if self.setup.settings.one_turn {
            self.host.run_programs();
        } else {
            self.run_to(start)?;
        }
        let end = match event.time {
            Time::AbsoluteBlocking(_, end) => Instant::EPOCH + end.min(LONGEST),
            Time::RelativeBlocking(_, end) => self.before.finished + end.min(LONGEST),
            _ => {
                let Some((_, returned)) = handle.try_take() else {
                    let name = &call.name.value;
                    let why = match name.as_str() {
                        "accept" | "accept4" => ": no connection is established that it could return",
                        "connect" => ": nothing has answered the SYN",
                        "poll" => ": nothing of what it waits for has come",
                        read if read.starts_with('r') => ": no text has arrived that it could return",
                        _ => ": the send buffer has no room",
                    };
                    let how = "if it should block, it needs a second time, when it returns: `+0...0.1`";
                    return Err(Stop::Fail(format!("{name}: it blocks{why}; {how}")));
                };
                return self.returned(event.line, call, &returned);
            }
        };
        let tolerance = self.setup.settings.tolerance(end.since(start));
        self.blocked = Some(Blocked { call, event, handle, due: end, tolerance });
        Ok(())
    }

    /// Waits for the blocking call that has not returned.
    pub(super) fn finish_blocked(&mut self) -> Result<(), Stop> {
        let Some(blocked) = self.blocked.take() else { return Ok(()) };
        let line = blocked.event.line;
        let finished = self.finish(blocked);
        if finished.is_err() {
            self.blamed = Some(line);
        }
        finished
    }

    fn finish(&mut self, mut blocked: Blocked<'_>) -> Result<(), Stop> {
        let name = &blocked.call.name.value;
        let line = blocked.event.line;
        let measured = self.setup.measured;
        let relaxed = measured || self.setup.relax.contains(&Relax::Timing);
        let until = blocked.due + if relaxed { LONGEST_WAIT } else { blocked.tolerance };
        if self.setup.settings.one_turn {
            self.host.run_programs();
        }
        let returned = loop {
            if let Some(returned) = blocked.handle.try_take() {
                break returned;
            }
            match self.sim.next_at() {
                Some(at) if at <= until => self.run_to(at)?,
                _ if measured => {
                    self.returned_at.push((line, self.sim.now().since(Instant::EPOCH), None));
                    return Ok(());
                }
                _ => {
                    return Err(Stop::Fail(format!("{name} has not returned by {}", seconds(blocked.due))));
                }
            }
        };
        let (at, returned) = returned;
        if measured {
            self.returned_at.push((line, at.since(Instant::EPOCH), returned.result.ok()));
        }
        let early = at + blocked.tolerance < blocked.due;
        let late = at > blocked.due + blocked.tolerance;
        if (early || late) && !measured {
            if !relaxed {
                let (due, at) = (seconds(blocked.due), seconds(at));
                return Err(Stop::Fail(format!("{name} should return at {due} and returned at {at}")));
            }
            self.relaxed.insert(Relax::Timing);
        }
        self.returned(line, blocked.call, &returned)?;
        self.before.finished = self.before.finished.max(at);
        Ok(())
    }

    /// Compares what a call returned with what the script has.
    fn returned(&mut self, line: usize, call: &Call, returned: &Returned) -> Result<(), Stop> {
        let expected = &call.result.value;
        let name = &call.name.value;
        let actual = match returned.result {
            Ok(value) => value.to_string(),
            Err(errno) => format!("-1 {errno}"),
        };
        let same_errno = |errno: &str| match returned.result {
            Ok(_) => false,
            Err(actual) => {
                let errno = if errno == "EWOULDBLOCK" { "EAGAIN" } else { errno };
                actual.name() == errno
            }
        };
        let opened = returned.effect == Effect::Opened;
        let as_expected = match (expected.value, &expected.errno) {
            (None, _) => true,
            (Some(value), Some(errno)) => value == -1 && same_errno(errno),
            (Some(-1), None) => returned.result.is_err(),
            (Some(value), None) => match returned.result {
                Ok(actual) => actual == value || (opened && value >= 0),
                Err(_) => false,
            },
        };
        let is_read = self.setup.measured && name == "read";
        if let (false, true, Ok(value)) = (as_expected, is_read, returned.result) {
            self.returned_at.push((line, self.sim.now().since(Instant::EPOCH), Some(value)));
        } else if !as_expected {
            return Err(Stop::Fail(format!("{name} returned {actual}, the script has {}", call.result.value)));
        }
        if let Some((expected, actual)) = &returned.differs {
            return Err(Stop::Fail(format!("{name} gave {actual}, the script has {expected}")));
        }
        let settled = self.calls.settle(returned, expected.value.filter(|value| *value >= 0));
        settled.map_err(|(expected, actual)| Stop::Fail(format!("{name} read {actual}, not {expected}")))?;
        if name == "listen" && returned.result.is_ok() {
            self.current = None;
        }
        Ok(())
    }
}
