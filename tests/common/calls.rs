//! Two hosts on a link of 10 ms each way, their BSD calls, and what they put on the wire.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tcplab::event::{Event, HostId, Observer};
use tcplab::segment::{IpView, Packet, Segment};
use tcplab::sim::{HostHandle, LinkHandle, Sim};
use tcplab::socket::{Domain, Errno, Fd, Host, HostConfig, MsgFlags, PollFd, Readiness, SocketOption, Type};
use tcplab::time::Instant;

/// One way from host to host.
pub(crate) const DELAY: Duration = Duration::from_millis(10);
/// The port that servers listen on.
pub(crate) const PORT: u16 = 8080;

/// One packet that a host put on the link.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Shot {
    pub(crate) at: Instant,
    pub(crate) host: HostId,
    pub(crate) bytes: Vec<u8>,
}

impl Shot {
    #[track_caller]
    pub(crate) fn ip(&self) -> IpView<'_> {
        IpView::parse(&self.bytes).expect("hosts send IP packets")
    }

    #[track_caller]
    pub(crate) fn segment(&self) -> Segment<'_> {
        Segment::parse(&self.ip()).expect("a TCP segment")
    }

    /// The flags as tcpdump writes them, with the length of the payload: `S 0`, `P. 14`.
    #[track_caller]
    pub(crate) fn kind(&self) -> String {
        let segment = self.segment();
        format!("{} {}", segment.flags, segment.payload.len())
    }
}

impl fmt::Debug for Shot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.at, self.ip())
    }
}

/// Records what hosts put on links.
#[derive(Debug, Default)]
pub(crate) struct Wire(Vec<Shot>);

impl Observer for Wire {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        if let Event::Sent { host, packet, .. } = event {
            self.0.push(Shot { at, host: *host, bytes: packet.bytes.clone() });
        }
    }
}

/// A client and a server.
pub(crate) struct Pair {
    pub(crate) sim: Sim,
    pub(crate) client: HostHandle,
    pub(crate) server: HostHandle,
    pub(crate) link: LinkHandle,
    wire: Rc<RefCell<Wire>>,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// Both hosts with settings changed by `adjust`.
    pub(crate) fn with(adjust: impl Fn(&mut HostConfig)) -> Self {
        let sim = Sim::seeded(7);
        let server = sim.host_with("server", "192.0.2.1/24, 2001:db8::1/64", &adjust);
        let client = sim.host_with("client", "192.0.2.2/24, 2001:db8::2/64", &adjust);
        let link = sim.link(&client, &server, "delay=10ms");
        let wire = sim.observe(Wire::default());
        Self { sim, client, server, link, wire }
    }

    /// Nothing gets through any more.
    pub(crate) fn cut(&self) {
        self.sim.link(&self.client, &self.server, "delay=10ms,loss=100%");
    }

    /// Time for a few round trips and delayed ACKs, but for no retransmission: 500 ms.
    pub(crate) fn settle(&self) {
        self.sim.run_for(Duration::from_millis(500));
    }

    /// What was sent since the last look.
    pub(crate) fn take(&self) -> Vec<Shot> {
        core::mem::take(&mut self.wire.borrow_mut().0)
    }

    /// What `host` sent since the last look at anything.
    pub(crate) fn take_from(&self, host: &HostHandle) -> Vec<Shot> {
        self.take().into_iter().filter(|shot| shot.host == host.id()).collect()
    }

    /// The [`Shot::kind`] of what was sent since the last look.
    #[track_caller]
    pub(crate) fn kinds(&self) -> Vec<String> {
        self.take().iter().map(Shot::kind).collect()
    }

    /// Nothing was sent since the last look.
    #[track_caller]
    pub(crate) fn assert_silence(&self) {
        assert_eq!(self.take(), []);
    }

    /// A listener of the server on [`PORT`] with these options.
    #[track_caller]
    pub(crate) fn listen(&self, options: &[SocketOption]) -> Fd {
        self.server.sys(|host| {
            let fd = stream(host, options);
            host.bind(fd, any(PORT)).expect("bound");
            host.listen(fd, 8).expect("listening");
            fd
        })
    }

    /// A stream of the client that has begun to connect to [`PORT`].
    #[track_caller]
    pub(crate) fn connect(&self, options: &[SocketOption]) -> Fd {
        self.client.sys(|host| {
            let fd = stream(host, options);
            assert_eq!(host.connect(fd, at("192.0.2.1", PORT)), Err(Errno::EINPROGRESS));
            fd
        })
    }

    #[track_caller]
    pub(crate) fn accept(&self, listener: Fd) -> Fd {
        self.server.sys(|host| host.accept(listener)).expect("a connection waits").0
    }

    /// A connection between the hosts: the descriptors of client and server. The wire is silent and forgotten.
    #[track_caller]
    pub(crate) fn established(&self) -> (Fd, Fd) {
        self.established_with(&[], &[])
    }

    /// A connection whose ends have these options: those of the client, those of the listener.
    #[track_caller]
    pub(crate) fn established_with(&self, ours: &[SocketOption], theirs: &[SocketOption]) -> (Fd, Fd) {
        let listener = self.listen(theirs);
        let client = self.connect(ours);
        self.settle();
        let server = self.accept(listener);
        let again = self.client.sys(|host| host.connect(client, at("192.0.2.1", PORT)));
        assert_eq!(again, Ok(()));
        self.take();
        (client, server)
    }

    /// What the server has to read now.
    #[track_caller]
    pub(crate) fn server_reads(&self, fd: Fd) -> Vec<u8> {
        self.server.sys(|host| read(host, fd)).expect("data or the end")
    }

    /// The server ends its side of `fd` with an RST, which arrives.
    #[track_caller]
    pub(crate) fn server_resets(&self, fd: Fd) {
        self.server.sys(|host| {
            host.setsockopt(fd, SocketOption::Linger(Some(Duration::ZERO))).expect("set");
            host.close(fd).expect("closed");
        });
        self.settle();
    }
}

/// An address and a port.
#[track_caller]
pub(crate) fn at(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().expect("an address"), port)
}

/// The IPv4 wildcard.
pub(crate) fn any(port: u16) -> SocketAddr {
    at("0.0.0.0", port)
}

/// A new IPv4 stream socket with these options.
#[track_caller]
pub(crate) fn stream(host: &mut Host, options: &[SocketOption]) -> Fd {
    let fd = host.socket(Domain::Inet, Type::Stream).expect("a descriptor");
    for option in options {
        host.setsockopt(fd, *option).expect("an option in range");
    }
    fd
}

/// A new IPv4 datagram socket bound to a port of the wildcard.
#[track_caller]
pub(crate) fn datagram(host: &mut Host, port: u16) -> Fd {
    let fd = host.socket(Domain::Inet, Type::Datagram).expect("a descriptor");
    host.bind(fd, any(port)).expect("bound");
    fd
}

/// One read of at most 100,000 bytes.
pub(crate) fn read(host: &mut Host, fd: Fd) -> Result<Vec<u8>, Errno> {
    let mut buf = vec![0; 100_000];
    let len = host.recv(fd, &mut buf, MsgFlags::NONE)?;
    buf.truncate(len);
    Ok(buf)
}

/// What poll(2) reports of a descriptor when everything is asked for.
pub(crate) fn poll(host: &Host, fd: Fd) -> Readiness {
    let mut entry = [PollFd { fd, events: Readiness(!0), revents: Readiness::NONE }];
    host.poll(&mut entry);
    entry[0].revents
}

/// An ICMP destination unreachable of this code from a router to the sender of the quoted IPv4 packet.
#[track_caller]
pub(crate) fn unreachable(code: u8, quoted: &Shot) -> Packet {
    let IpAddr::V4(to) = quoted.ip().src else { panic!("{quoted:?} is not IPv4") };
    let quoted = &quoted.bytes[..28];
    let mut ip = vec![0x45, 0, 0, (28 + quoted.len()) as u8, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 254];
    ip.extend_from_slice(&to.octets());
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum);
    let mut icmp = vec![3, code, 0, 0, 0, 0, 0, 0];
    icmp.extend_from_slice(quoted);
    let sum = checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum);
    Packet::new([ip, icmp].concat())
}

/// RFC 1071 over an even number of bytes.
fn checksum(octets: &[u8]) -> [u8; 2] {
    let sum: u32 = octets.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    (!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes()
}
