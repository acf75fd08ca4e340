//! `run --realtime`: an observer that holds each event back until its time on the wall clock. It also flushes the captures
//! before it waits, so that a reader sees them grow. `extcap` uses it too.

use std::cell::RefCell;
use std::rc::Rc;

use crate::capture::Capture;
use crate::event::{Event, HostEvent, Observer};
use crate::time::Instant;

/// Captures that the pace flushes.
pub(in crate::cli) type Flushed = Rc<RefCell<Vec<Rc<RefCell<Capture>>>>>;

/// Waits until the time of each event. It flushes the captures before it waits. It must be the first observer. When every
/// capture has ended, since its reader has gone, it waits no more.
pub(in crate::cli) struct Pace<W> {
    last: Instant,
    captures: Flushed,
    /// Waits until an instant.
    wait: W,
}

impl Pace<()> {
    /// Waits on the wall clock, which starts now.
    pub(in crate::cli) fn by_wall_clock(captures: Flushed) -> Pace<impl FnMut(Instant)> {
        let began = std::time::Instant::now();
        Pace::new(captures, move |at: Instant| {
            let due = began + (at - Instant::EPOCH);
            std::thread::sleep(due.saturating_duration_since(std::time::Instant::now()));
        })
    }
}

impl<W: FnMut(Instant)> Pace<W> {
    fn new(captures: Flushed, wait: W) -> Self {
        Self { last: Instant::EPOCH, captures, wait }
    }
}

impl<W: FnMut(Instant)> Observer for Pace<W> {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        // Events inside a host do not wait: a call or a packet follows them, which does. The end of TIME-WAIT has neither,
        // and the run does not wait for it.
        let inside = matches!(event, Event::Host { event, .. } if !matches!(event, HostEvent::Call { .. }));
        if at <= self.last || inside {
            return;
        }
        self.last = at;
        // More about a packet may follow it at the same instant. The record is complete when the time advances.
        let captures = self.captures.borrow();
        for capture in captures.iter() {
            capture.borrow_mut().flush();
        }
        let gone = !captures.is_empty() && captures.iter().all(|capture| capture.borrow().has_ended());
        if !gone {
            (self.wait)(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Reader, Settings};
    use crate::scenario::Scenario;
    use std::io::{self, Cursor, Write};
    use std::sync::{Arc, Mutex};

    /// What a reader of a pipe has got. With a limit it goes away when so many bytes were written.
    #[derive(Clone, Default)]
    struct Pipe(Arc<Mutex<Vec<u8>>>, Option<usize>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut got = self.0.lock().expect("one thread");
            if self.1.is_some_and(|limit| got.len() >= limit) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            got.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Runs a lesson at a pace, and gives what was in the pipe at each wait.
    fn waits(lesson: &str, pipe: &Pipe) -> Vec<(Instant, Vec<u8>)> {
        let scenario = Scenario::lesson(lesson).expect("a lesson");
        let world = scenario.build(1).expect("it is sound");
        let seen = Rc::new(RefCell::new(Vec::new()));
        let captures = Flushed::default();
        let (log, reader) = (Rc::clone(&seen), pipe.clone());
        world.observe(Pace::new(Rc::clone(&captures), move |at| {
            log.borrow_mut().push((at, reader.0.lock().expect("one thread").clone()));
        }));
        // In place, so that what is flushed is there.
        let capture = Settings::default().own_thread(false).stream(pipe.clone(), "a pipe").expect("it begins");
        let capture = Rc::new(RefCell::new(capture));
        captures.borrow_mut().push(Rc::clone(&capture));
        world.observe(Rc::clone(&capture));
        assert!(world.run().failures.is_empty());
        capture.borrow_mut().close().expect("a pipe");
        seen.take()
    }

    fn times(bytes: &[u8]) -> Vec<Instant> {
        let mut reader = Reader::from_read(Cursor::new(bytes.to_vec()), "a pipe").expect("a capture");
        let mut times = Vec::new();
        while let Some(record) = reader.next_record() {
            times.push(record.expect("a whole record").at);
        }
        assert!(!reader.is_torn());
        times
    }

    #[test]
    fn before_each_wait_every_earlier_packet_is_readable_and_no_later_one() {
        let pipe = Pipe::default();
        let waits = waits("fast-retransmit", &pipe);
        let all = times(&pipe.0.lock().expect("one thread"));
        assert!(all.len() > 20 && waits.len() > 20, "{} packets, {} waits", all.len(), waits.len());
        for (until, bytes) in &waits {
            let earlier: Vec<_> = all.iter().copied().filter(|at| at < until).collect();
            assert_eq!(times(bytes), earlier, "while it waits for {until}");
        }
        assert!(waits.windows(2).all(|pair| pair[0].0 < pair[1].0), "the waits are in order");
        assert!(all.iter().all(|at| *at == Instant::EPOCH || waits.iter().any(|(until, _)| until == at)));
    }

    #[test]
    fn when_the_reader_has_gone_the_run_waits_no_more() {
        let all = waits("fast-retransmit", &Pipe::default()).len();
        let few = waits("fast-retransmit", &Pipe(Arc::default(), Some(1000))).len();
        assert!(few > 1 && few < all / 2, "{few} of {all} waits");
    }
}
