//! What each host knows of its sequence numbers and windows against what the wire at its interface shows: SND.UNA, SND.NXT,
//! SND.WND, RCV.NXT and RCV.WND (RFC 9293, section 3.3.1). [`Wires`] observes the run; after each event the run compares.

use tcplab::conversation::{Conversation, Side};
use tcplab::event::{Cause, DropReason, Event, HostEvent, HostId, Observer, State, TimerKind};
use tcplab::net::Net;
use tcplab::segment::{IpView, Packet, Segment, Seq};
use tcplab::sim::HostHandle;
use tcplab::socket::{Fd, Host};
use tcplab::time::Instant;

/// What passes the interface of one host.
#[derive(Default)]
struct Interface {
    conversation: Conversation,
    /// The packet that came last. The host may still refuse it.
    pending: Option<(Instant, Packet)>,
    /// The host has sent an RST.
    reset: bool,
    /// The host has given up: no answer for too long.
    gave_up: bool,
    /// The connection ended without an answer, by a call or by a segment.
    causes: Vec<Cause>,
}

/// What passes the interfaces of the hosts.
#[derive(Default)]
pub(crate) struct Wires(Vec<(HostId, Interface)>);

impl Wires {
    pub(crate) fn of(hosts: [&HostHandle; 2]) -> Self {
        Self(hosts.map(|host| (host.id(), Interface::default())).into())
    }

    fn at(&mut self, host: HostId) -> Option<&mut Interface> {
        self.0.iter_mut().find(|(id, _)| *id == host).map(|(_, interface)| interface)
    }

    pub(crate) fn has_reset(&mut self, host: &HostHandle) -> bool {
        self.at(host.id()).is_some_and(|interface| interface.reset)
    }

    pub(crate) fn gave_up(&mut self, host: &HostHandle) -> bool {
        self.at(host.id()).is_some_and(|interface| interface.gave_up)
    }

    /// What the causes of the ends of the connection at this host were.
    pub(crate) fn causes(&mut self, host: &HostHandle) -> Vec<Cause> {
        self.at(host.id()).map(|interface| interface.causes.clone()).unwrap_or_default()
    }

    /// Compares, if the host has a connection in a synchronized state. False if it has none.
    pub(crate) fn compare(&mut self, host: &HostHandle, connection: Option<&(Net, Fd)>) -> Result<bool, String> {
        let Some(interface) = self.at(host.id()) else { return Ok(false) };
        interface.settle();
        let Some((net, fd)) = connection else { return Ok(false) };
        let Some(known) = Numbers::of_host(&net.host(), *fd) else { return Ok(false) };
        let seen = Numbers::of_wire(&interface.conversation);
        if known == seen {
            Ok(true)
        } else {
            Err(format!("{}: the host has {known:?}, the wire {seen:?}", host.name()))
        }
    }
}

impl Interface {
    /// The host has taken the packet that came last.
    fn settle(&mut self) {
        if let Some((at, packet)) = self.pending.take() {
            self.observe(at, Side::Remote, &packet);
        }
    }

    fn observe(&mut self, at: Instant, from: Side, packet: &Packet) {
        let Ok(ip) = IpView::parse(&packet.bytes) else { return };
        if let Ok(segment) = Segment::parse(&ip) {
            self.reset |= from == Side::Local && segment.is_rst();
            self.conversation.observe(at, from, &segment);
        }
    }
}

impl Observer for Wires {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        match event {
            Event::Sent { host, packet, .. } => {
                if let Some(interface) = self.at(*host) {
                    interface.settle();
                    interface.observe(at, Side::Local, packet);
                }
            }
            Event::Delivered { host, packet, .. } => {
                if let Some(interface) = self.at(*host) {
                    interface.settle();
                    let sound = IpView::parse(&packet.bytes).is_ok_and(|ip| ip.checksums_ok());
                    interface.pending = sound.then(|| (at, (*packet).clone()));
                }
            }
            // Of a segment without room its ACK was taken all the same.
            Event::StackDropped { host, why, .. } if *why != DropReason::NoMemory => {
                if let Some(interface) = self.at(*host) {
                    interface.pending = None;
                }
            }
            Event::Host { host, event: HostEvent::Timer { timer: TimerKind::UserTimeout, .. } } => {
                if let Some(interface) = self.at(*host) {
                    interface.gave_up = true;
                }
            }
            Event::Host { host, event: HostEvent::State { to: State::Closed, cause, .. } } => {
                if let Some(interface) = self.at(*host) {
                    interface.causes.push(*cause);
                }
            }
            _ => {}
        }
    }
}

/// In bytes of text from the begin of each direction; windows in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Numbers {
    snd_una: u64,
    snd_nxt: u64,
    snd_wnd: u32,
    rcv_nxt: u64,
    rcv_wnd: u32,
}

impl Numbers {
    fn of_host(host: &Host, fd: Fd) -> Option<Self> {
        let info = host.tcp_info(fd).ok()?;
        if !matches!(
            info.state,
            State::Established | State::FinWait1 | State::FinWait2 | State::CloseWait | State::Closing | State::LastAck
        ) {
            return None;
        }
        let account = host.account(fd)?;
        Some(Self {
            snd_una: account.bytes_sent - host.siocoutq(fd).ok()? as u64,
            snd_nxt: account.bytes_sent - info.notsent_bytes,
            snd_wnd: info.snd_wnd,
            rcv_nxt: account.bytes_received + host.fionread(fd).ok()? as u64,
            rcv_wnd: info.rcv_wnd,
        })
    }

    fn of_wire(conversation: &Conversation) -> Self {
        let [local, remote] = Side::BOTH.map(|side| conversation.sender(side));
        let text = |seq: Seq, iss: Option<Seq>, fin: bool| u64::from(seq - iss.unwrap_or(seq) - 1) - u64::from(fin);
        let fin_came = remote.fin.is_some_and(|fin| remote.contiguous_end > fin);
        let edge = local.last_ack.unwrap_or(remote.contiguous_end) + local.rcv_wnd;
        Self {
            snd_una: text(local.snd_una, local.iss, local.is_fin_acked()),
            snd_nxt: text(local.snd_nxt, local.iss, local.fin.is_some()),
            snd_wnd: local.snd_wnd,
            rcv_nxt: text(remote.contiguous_end, remote.iss, fin_came),
            rcv_wnd: u32::try_from(edge.distance(remote.contiguous_end)).unwrap_or(0),
        }
    }
}
