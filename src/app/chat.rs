//! A chat room: what one client writes, all others read. Bytes are passed on as they arrive.
//!
//! Each client has a queue of bounded size and two tasks. One task reads from the client and adds the bytes to the
//! queues of the others. The other task sends the bytes of the client's own queue. Adding never waits, so a client that
//! does not read blocks no other. The connection of a client is aborted when its queue is full, or when the queues of all
//! clients are and its own is not empty.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::{Listen, serve_each};
use crate::net::{Net, Sleep, TcpStream};
use crate::time::Duration;

/// The port of the room.
pub const PORT: u16 = 5000;

/// Bytes that wait for one client at most, beside those in its socket's send buffer.
pub const OUTBOX: usize = 64 * 1024;

/// Bytes that wait for all clients of a room.
pub const ALL_OUTBOXES: usize = 16 << 20;

/// How long a client that has sent its FIN may take to read the rest.
const FAREWELL: Duration = Duration::from_secs(10);

const BUFFER: usize = 4 * 1024;

/// What waits for one client.
#[derive(Debug, Default)]
struct Outbox {
    bytes: VecDeque<u8>,
    state: State,
    writer: Option<Waker>,
    /// Bytes in all outboxes of the room.
    all: Rc<Cell<usize>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Present,
    /// The client has sent its FIN. It gets the rest, and then a FIN.
    Leaving,
    /// It did not read: it gets an RST.
    Expelled,
}

impl Outbox {
    fn put(&mut self, bytes: &[u8]) {
        if self.state != State::Present {
            return;
        }
        let is_slow = !self.bytes.is_empty() && self.all.get() + bytes.len() > ALL_OUTBOXES;
        if is_slow || self.bytes.len() + bytes.len() > OUTBOX {
            self.clear();
            self.state = State::Expelled;
        } else {
            self.bytes.extend(bytes);
            self.all.update(|all| all + bytes.len());
        }
        self.wake();
    }

    fn clear(&mut self) {
        self.all.update(|all| all - self.bytes.len());
        self.bytes = VecDeque::new();
    }

    /// Moves waiting bytes into `piece`. None when the client has left or was expelled and the queue is empty.
    fn poll_take(&mut self, piece: &mut Vec<u8>, cx: &Context<'_>) -> Poll<()> {
        if self.bytes.is_empty() && self.watch(cx) == State::Present {
            return Poll::Pending;
        }
        let count = self.bytes.len().min(BUFFER);
        piece.clear();
        piece.extend(self.bytes.drain(..count));
        self.all.update(|all| all - count);
        if self.bytes.is_empty() {
            self.bytes = VecDeque::new();
        }
        Poll::Ready(())
    }

    /// The state, and the task is woken when it or the content changes.
    fn watch(&mut self, cx: &Context<'_>) -> State {
        if self.writer.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
            self.writer = Some(cx.waker().clone());
        }
        self.state
    }

    fn leave(&mut self) {
        if self.state == State::Present {
            self.state = State::Leaving;
        }
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Ordered by the time of entry, so that the order of the writes is the same in every run.
#[derive(Debug, Default)]
struct Room {
    outboxes: BTreeMap<u64, Rc<RefCell<Outbox>>>,
    entered: u64,
}

/// Runs the room without end.
pub async fn server(net: Net, listen: Listen) -> io::Result<()> {
    let room = Rc::new(RefCell::new(Room::default()));
    let (tasks, all) = (net.clone(), Rc::new(Cell::new(0)));
    serve_each(net, listen, "chat, reading", move |stream, _| {
        let mut outbox = Outbox::default();
        outbox.all = Rc::clone(&all);
        let outbox = Rc::new(RefCell::new(outbox));
        tasks.spawn_named("chat, writing", write(stream.clone(), Rc::clone(&outbox)));
        read(stream, Rc::clone(&room), outbox)
    })
    .await
}

async fn read(stream: TcpStream, room: Rc<RefCell<Room>>, outbox: Rc<RefCell<Outbox>>) {
    let me = {
        let mut room = room.borrow_mut();
        room.entered += 1;
        let me = room.entered;
        room.outboxes.insert(me, Rc::clone(&outbox));
        me
    };
    let mut buf = vec![0; BUFFER];
    while let Ok(count @ 1..) = stream.read(&mut buf).await {
        for (_, outbox) in room.borrow().outboxes.iter().filter(|&(&number, _)| number != me) {
            outbox.borrow_mut().put(&buf[..count]);
        }
    }
    room.borrow_mut().outboxes.remove(&me);
    outbox.borrow_mut().leave();
}

async fn write(stream: TcpStream, outbox: Rc<RefCell<Outbox>>) {
    let mut piece = Vec::with_capacity(BUFFER);
    let mut leaving: Option<Sleep> = None;
    loop {
        poll_fn(|cx| outbox.borrow_mut().poll_take(&mut piece, cx)).await;
        let mut writing = pin!(stream.write_all(&piece));
        let written = poll_fn(|cx| {
            // The client may have stopped reading. The wait also ends when it is expelled or its time is over.
            let state = outbox.borrow_mut().watch(cx);
            let limit = (state == State::Leaving)
                .then(|| Pin::new(leaving.get_or_insert_with(|| stream.net().sleep(FAREWELL))).poll(cx));
            if state == State::Expelled || limit.is_some_and(|limit| limit.is_ready()) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            writing.as_mut().poll(cx)
        })
        .await;
        match written {
            Ok(()) if piece.is_empty() => return, // it has left
            Ok(()) => {}
            Err(_) => return stream.abort(), // its reader gets EBADF and takes it out of the room
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbox_takes_its_size_and_not_one_byte_more() {
        let mut outbox = Outbox::default();
        outbox.put(&vec![1; OUTBOX]);
        assert_eq!((outbox.state, outbox.bytes.len()), (State::Present, OUTBOX));
        outbox.put(b"!");
        assert_eq!((outbox.state, outbox.bytes.capacity()), (State::Expelled, 0));
        outbox.put(b"!");
        outbox.leave();
        assert_eq!((outbox.state, outbox.bytes.len()), (State::Expelled, 0));
    }

    #[test]
    fn when_all_outboxes_are_full_only_a_client_that_reads_gets_more() {
        let all = Rc::new(Cell::new(0));
        let client = || {
            let mut outbox = Outbox::default();
            outbox.all = Rc::clone(&all);
            outbox
        };
        let mut slow: Vec<_> = (0..ALL_OUTBOXES / OUTBOX).map(|_| client()).collect();
        slow[0].put(b"!");
        slow.iter_mut().skip(1).for_each(|outbox| outbox.put(&vec![1; OUTBOX]));
        slow[0].put(&vec![1; OUTBOX - 1]);
        assert!(all.get() == ALL_OUTBOXES && slow.iter().all(|outbox| outbox.state == State::Present));
        let mut reads = client();
        reads.put(b"!");
        assert_eq!((reads.state, all.get()), (State::Present, ALL_OUTBOXES + 1));
        reads.put(b"!");
        assert_eq!((reads.state, all.get()), (State::Expelled, ALL_OUTBOXES));
        drop(slow);
        assert_eq!(all.get(), 0);
    }

    #[test]
    fn who_leaves_gets_what_is_left_and_nothing_new() {
        let mut outbox = Outbox::default();
        outbox.put(b"bye");
        outbox.leave();
        outbox.put(b"late");
        assert_eq!((outbox.state, outbox.bytes.len()), (State::Leaving, 3));
    }
}
