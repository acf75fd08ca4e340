//! A proxy of the library that runs in a thread, and the two ends of a connection through it.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tcplab::event::Event;
use tcplab::link::LinkSpec;
use tcplab::proxy::{Counts, Pair, Proxy, Settings, Waker};
use tcplab::segment::{Flags, IpView, Segment};
use tcplab::socket::HostConfig;
use tcplab::time;

/// How long a test waits for what has to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The TCP flags of the packets of the middle and their bytes of data, as they were delivered.
pub(crate) type Seen = Arc<Mutex<Vec<(Flags, usize)>>>;

/// A running proxy. Dropping it stops it.
pub(crate) struct Lab {
    pub(crate) addresses: Vec<String>,
    pub(crate) seen: Seen,
    /// Connections that are not over, after the last turn.
    open: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<thread::JoinHandle<Counts>>,
}

/// The settings of a proxy from free ports to `to`.
pub(crate) fn settings(to: &[&str], link: [&str; 2]) -> Settings {
    let pair = |to: &&str| Pair { listen: "127.0.0.1:0".parse().expect("an address"), to: to.parse().expect(to) };
    Settings {
        pairs: to.iter().map(pair).collect(),
        udp: false,
        host: HostConfig { seed: 7, ..HostConfig::default() },
        links: link.map(|spec| spec.parse::<LinkSpec>().expect(spec).into()),
    }
}

impl Lab {
    pub(crate) fn start(settings: Settings) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Seen::default());
        let open = Arc::new(AtomicUsize::new(0));
        let (theirs, into, left) = (Arc::clone(&stop), Arc::clone(&seen), Arc::clone(&open));
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut proxy = Proxy::open(&settings).expect("a proxy");
            proxy.observe(Rc::new(RefCell::new(move |_: time::Instant, event: &Event<'_>| {
                if let Event::Delivered { packet, .. } = event
                    && let Ok(ip) = IpView::parse(&packet.bytes)
                    && let Ok(segment) = Segment::parse(&ip)
                {
                    into.lock().expect("one thread at a time").push((segment.flags, segment.payload.len()));
                }
            })));
            tell.send((proxy.addresses(), proxy.waker())).expect("somebody waits");
            while !theirs.load(Ordering::Relaxed) {
                proxy.turn();
                left.store(proxy.connections(), Ordering::Relaxed);
                let until = proxy.next_at();
                proxy.wait(until).expect("poll");
            }
            proxy.counts()
        });
        let (addresses, waker) = told.recv_timeout(PATIENCE).expect("the proxy is open");
        Self { addresses, seen, open, stop, waker, thread: Some(thread) }
    }

    /// A proxy over `link` in both directions, and a listener that is its target.
    pub(crate) fn with_target(link: &str) -> (Self, TcpListener) {
        Self::with_links([link, link])
    }

    pub(crate) fn with_links(links: [&str; 2]) -> (Self, TcpListener) {
        let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let to = target.local_addr().expect("it is bound").to_string();
        (Self::start(settings(&[&to], links)), target)
    }

    /// A client, through the first pair.
    pub(crate) fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(&self.addresses[0]).expect("the proxy listens");
        patient(&client);
        client
    }

    /// Both ends of a connection.
    pub(crate) fn pair(&self, target: &TcpListener) -> [TcpStream; 2] {
        let client = self.connect();
        let (server, _) = target.accept().expect("the proxy connects");
        patient(&server);
        [client, server]
    }

    /// Segments with exactly these flags so far.
    pub(crate) fn count(&self, flags: Flags) -> usize {
        self.seen.lock().expect("one thread at a time").iter().filter(|seen| seen.0 == flags).count()
    }

    /// Segments with data so far, and ACKs without.
    pub(crate) fn data_and_acks(&self) -> (usize, usize) {
        let seen = self.seen.lock().expect("one thread at a time");
        let data = seen.iter().filter(|seen| seen.1 > 0).count();
        (data, seen.iter().filter(|seen| **seen == (Flags::ACK, 0)).count())
    }

    /// Waits until no connection is left.
    #[track_caller]
    pub(crate) fn await_end(&self) {
        let began = Instant::now();
        while self.open.load(Ordering::Relaxed) > 0 {
            assert!(began.elapsed() < PATIENCE, "{} connections are left", self.open.load(Ordering::Relaxed));
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends the proxy and gives its counts.
    pub(crate) fn stop(mut self) -> Counts {
        self.end().expect("it was not stopped")
    }

    fn end(&mut self) -> Option<Counts> {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
        self.thread.take().map(|thread| thread.join().expect("no panic in the proxy"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Has reads and writes of a stream fail after a while.
pub(crate) fn patient(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    stream.set_write_timeout(Some(PATIENCE)).expect("an option");
}

/// How a stream ended for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Eof,
    Reset,
}

/// Everything that can be read, and how it ended.
pub(crate) fn read_all(mut stream: &TcpStream) -> (Vec<u8>, Ending) {
    let mut bytes = Vec::new();
    let ending = match stream.read_to_end(&mut bytes) {
        Ok(_) => Ending::Eof,
        Err(error) if is_reset(&error) => Ending::Reset,
        Err(error) => panic!("after {} bytes: {error}", bytes.len()),
    };
    (bytes, ending)
}

pub(crate) fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// Closes with an RST.
pub(crate) fn abort(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option");
    drop(stream);
}

/// Writes, then ends this direction.
pub(crate) fn send_all(mut stream: &TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).expect("the other end reads");
    stream.shutdown(Shutdown::Write).expect("it is open");
}

/// Writes until nothing more is taken for a while. Gives the number of bytes.
pub(crate) fn fill(mut stream: &TcpStream, bytes: &[u8]) -> usize {
    stream.set_write_timeout(Some(Duration::from_millis(200))).expect("an option");
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => panic!("after {sent} bytes: {error}"),
        }
    }
    stream.set_write_timeout(Some(PATIENCE)).expect("an option");
    sent
}

/// Writes until the connection is found to be reset.
pub(crate) fn write_until_reset(mut stream: &TcpStream) {
    let began = Instant::now();
    loop {
        match stream.write(b"x") {
            Err(error) if is_reset(&error) => return,
            Err(error) => panic!("{error}"),
            Ok(_) => assert!(began.elapsed() < PATIENCE, "writes go on"),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes that differ at every place.
pub(crate) fn text(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Runs a check for the client's end and for the server's end as the first of the two.
pub(crate) fn both_sides(lab: &Lab, target: &TcpListener, check: impl Fn(&str, TcpStream, TcpStream)) {
    let [client, server] = lab.pair(target);
    check("client", client, server);
    let [client, server] = lab.pair(target);
    check("server", server, client);
}
