//! Readiness: what poll(2) and epoll(7) report, without waiting. [`crate::net`] builds its waits on it.

use crate::stack::Condition;

use super::stream::{Stream, StreamState};
use super::{Descriptor, EpollCtl, EpollEvent, Errno, Fd, Host, PollFd, Readiness};

/// The descriptors that an epoll instance watches, in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Epoll {
    watched: Vec<(Fd, Readiness, u64)>,
}

impl Epoll {
    pub(super) fn watches(&self, fd: Fd) -> bool {
        self.watched.iter().any(|(watched, ..)| *watched == fd)
    }
}

/// Always reported, also when not requested.
const ALWAYS: Readiness = Readiness(Readiness::ERROR.0 | Readiness::HANG_UP.0 | Readiness::INVALID.0);

impl Host {
    /// What poll(2) would report of a descriptor if every event were requested.
    pub fn readiness(&self, fd: Fd) -> Readiness {
        match self.table.at(fd) {
            Some(Descriptor::Stream(stream)) => self.stream_readiness(stream),
            Some(Descriptor::Datagram(datagram)) => {
                let error = self.stack.has_udp_error(datagram.id);
                let waiting = self.stack.next_datagram(datagram.id).is_some();
                let readable = waiting || error || Self::datagram_read_ended(datagram);
                when(readable, Readiness::READABLE) | Readiness::WRITABLE | when(error, Readiness::ERROR)
            }
            Some(Descriptor::Epoll(epoll)) => {
                let ready = epoll.watched.iter().any(|(fd, events, _)| !self.revents(*fd, *events).is_empty());
                when(ready, Readiness::READABLE)
            }
            None => Readiness::INVALID,
        }
    }

    fn stream_readiness(&self, stream: &Stream) -> Readiness {
        match stream.role {
            // Linux: a stream that never was connected is writable and hung up.
            StreamState::Fresh => Readiness::WRITABLE | Readiness::HANG_UP,
            StreamState::Listening(id) => when(self.stack.queue_lengths(id).1 > 0, Readiness::READABLE),
            StreamState::Connecting(id) | StreamState::Connected(id) => {
                let Condition { state: _, readable, writable, read_ended, both_ended, error } =
                    self.stack.condition(id);
                when(readable, Readiness::READABLE)
                    | when(writable, Readiness::WRITABLE)
                    | when(read_ended, Readiness::READ_HANG_UP)
                    | when(both_ended, Readiness::HANG_UP)
                    | when(error, Readiness::ERROR)
            }
        }
    }

    fn revents(&self, fd: Fd, events: Readiness) -> Readiness {
        self.readiness(fd) & (events | ALWAYS)
    }

    /// poll(2) without waiting: fills in `revents` and returns how many are not empty.
    pub fn poll(&self, fds: &mut [PollFd]) -> usize {
        for entry in fds.iter_mut() {
            entry.revents = self.revents(entry.fd, entry.events);
        }
        fds.iter().filter(|entry| !entry.revents.is_empty()).count()
    }

    /// `epoll_create(2)`: an empty set.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn epoll_create(&mut self) -> Result<Fd, Errno> {
        let fd = self.table.next_free().ok_or(Errno::EMFILE)?;
        self.table.insert(fd, Descriptor::Epoll(Epoll::default()));
        self.epolls.push(fd);
        Ok(fd)
    }

    /// `epoll_ctl(2)`. Level-triggered only; an epoll instance cannot watch another (Linux allows it).
    ///
    /// # Errors
    /// `EBADF`, `EINVAL` if `epoll` is none or `fd` is one, `EEXIST`, `ENOENT`.
    pub fn epoll_ctl(&mut self, epoll: Fd, fd: Fd, ctl: EpollCtl) -> Result<(), Errno> {
        match self.table.at(fd) {
            Some(Descriptor::Epoll(_)) => return Err(Errno::EINVAL),
            Some(_) => {}
            None => return Err(Errno::EBADF),
        }
        let watched = &mut self.epoll_mut(epoll)?.watched;
        let place = watched.iter().position(|(watched, ..)| *watched == fd);
        match (ctl, place) {
            (EpollCtl::Add(..), Some(_)) => return Err(Errno::EEXIST),
            (EpollCtl::Add(events, data), None) => watched.push((fd, events, data)),
            (EpollCtl::Modify(events, data), Some(at)) => watched[at] = (fd, events, data),
            (EpollCtl::Delete, Some(at)) => {
                watched.remove(at);
            }
            (EpollCtl::Modify(..) | EpollCtl::Delete, None) => return Err(Errno::ENOENT),
        }
        self.stack.push_ready(epoll.0);
        Ok(())
    }

    /// `epoll_wait(2)` without waiting: fills `events` with at most `max` and returns how many. Reported descriptors go
    /// to the end of the list, so that with a small `max` each is reported in turn.
    ///
    /// # Errors
    /// `EBADF`; `EINVAL` if `epoll` is none or `max` is zero.
    pub fn epoll_wait(&mut self, epoll: Fd, events: &mut Vec<EpollEvent>, max: usize) -> Result<usize, Errno> {
        events.clear();
        if max == 0 {
            return Err(Errno::EINVAL);
        }
        let watched = core::mem::take(&mut self.epoll_mut(epoll)?.watched);
        let (mut waiting, mut reported) = (Vec::with_capacity(watched.len()), Vec::new());
        for entry @ (fd, interest, data) in watched {
            let revents = self.revents(fd, interest);
            if revents.is_empty() || events.len() == max {
                waiting.push(entry);
            } else {
                events.push(EpollEvent { events: revents, data });
                reported.push(entry);
            }
        }
        waiting.append(&mut reported);
        self.epoll_mut(epoll)?.watched = waiting;
        Ok(events.len())
    }

    fn epoll_mut(&mut self, fd: Fd) -> Result<&mut Epoll, Errno> {
        match self.table.at_mut(fd) {
            Some(Descriptor::Epoll(epoll)) => Ok(epoll),
            Some(_) => Err(Errno::EINVAL),
            None => Err(Errno::EBADF),
        }
    }

    /// A closed descriptor leaves every epoll set.
    pub(super) fn forget_watched(&mut self, fd: Fd) {
        for at in 0..self.epolls.len() {
            if let Some(Descriptor::Epoll(epoll)) = self.table.at_mut(self.epolls[at]) {
                epoll.watched.retain(|(watched, ..)| *watched != fd);
            }
        }
    }
}

const fn when(condition: bool, bit: Readiness) -> Readiness {
    if condition { bit } else { Readiness::NONE }
}
