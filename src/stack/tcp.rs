//! One smoltcp TCP socket in a set of its own, with the buffers that were lent to it.
//!
//! smoltcp walks its whole `SocketSet` for each packet; a set with one socket costs the same whether the host has one
//! connection or a hundred thousand. A socket is never used twice: `reset` keeps the congestion window, SACK and
//! duplicate-ACK state of the old connection.

use core::cell::Cell;

use smoltcp::iface::{Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::tcp;

use crate::event::State;
use crate::segment::Seq;
use crate::time::{Duration, Instant};

use super::buffers::{Lent, Pool};
use super::one_packet::OnePacket;

/// A smoltcp socket and its buffers.
#[derive(Debug)]
pub(super) struct Tcp {
    set: SocketSet<'static>,
    handle: SocketHandle,
    lent: [Lent; 2],
    ts_offset: Option<u32>,
}

/// What is fixed when a socket is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct TcpSettings {
    pub(super) rcv_buf: usize,
    pub(super) snd_buf: usize,
    pub(super) congestion: tcp::CongestionControl,
    /// Where the timestamp clock begins; `None` offers no timestamps.
    pub(super) ts_offset: Option<u32>,
    pub(super) ack_delay: Option<Duration>,
    pub(super) nodelay: bool,
    pub(super) ttl: u8,
}

thread_local! {
    /// smoltcp asks for TSval through a plain function pointer; this is where the answer waits.
    static TS_VAL: Cell<u32> = const { Cell::new(0) };
}

fn ts_val() -> u32 {
    TS_VAL.get()
}

/// `TSval` counts milliseconds, as Linux does (RFC 7323, section 5.4, allows 1 ms to 1 s).
pub(super) fn ts_val_at(now: Instant, offset: u32) -> u32 {
    (now.as_millis() as u32).wrapping_add(offset)
}

impl Tcp {
    pub(super) fn new(pool: &mut Pool, settings: &TcpSettings) -> Self {
        let (rx, rx_lent) = pool.lend(settings.rcv_buf);
        let (tx, tx_lent) = pool.lend(settings.snd_buf);
        let mut socket = tcp::Socket::new(tcp::SocketBuffer::new(rx), tcp::SocketBuffer::new(tx));
        socket.set_congestion_control(settings.congestion);
        if settings.ts_offset.is_some() {
            socket.set_tsval_generator(Some(ts_val));
        }
        socket.set_ack_delay(settings.ack_delay.map(to_smoltcp));
        socket.set_nagle_enabled(!settings.nodelay);
        socket.set_hop_limit(Some(settings.ttl));
        let mut set = SocketSet::new(Vec::<SocketStorage<'static>>::with_capacity(1));
        let handle = set.add(socket);
        Self { set, handle, lent: [rx_lent, tx_lent], ts_offset: settings.ts_offset }
    }

    /// Ends the socket without a word and gives its buffers back.
    pub(super) fn release(self, pool: &mut Pool) {
        let Self { set, handle: _, lent, ts_offset: _ } = self;
        drop(set);
        for buffer in lent {
            pool.take_back(buffer);
        }
    }

    pub(super) fn socket(&self) -> &tcp::Socket<'static> {
        self.set.get(self.handle)
    }

    pub(super) fn socket_mut(&mut self) -> &mut tcp::Socket<'static> {
        self.set.get_mut(self.handle)
    }

    fn set_clock(&self, now: Instant) {
        if let Some(offset) = self.ts_offset {
            TS_VAL.set(ts_val_at(now, offset));
        }
    }

    /// Gives the socket one packet; an immediate answer is written to `reply`, which is empty if there is none.
    pub(super) fn ingress(
        &mut self,
        interface: &mut Interface,
        mtu: usize,
        now: Instant,
        packet: &[u8],
        reply: &mut Vec<u8>,
    ) {
        self.set_clock(now);
        let mut device = OnePacket::receiving(mtu, packet, reply);
        interface.poll_ingress_single(now.to_smoltcp(), &mut device, &mut self.set);
    }

    /// Lets the socket send one packet. False, and `packet` empty, if it has none.
    pub(super) fn egress(&mut self, interface: &mut Interface, mtu: usize, now: Instant, packet: &mut Vec<u8>) -> bool {
        self.set_clock(now);
        let mut device = OnePacket::sending(mtu, packet);
        interface.poll_egress(now.to_smoltcp(), &mut device, &mut self.set);
        !packet.is_empty()
    }

    /// When the socket wants to send next; an instant in the past is "now".
    pub(super) fn next_at(&self, interface: &mut Interface, now: Instant) -> Option<Instant> {
        interface.poll_at(now.to_smoltcp(), &self.set).map(Instant::from_smoltcp)
    }

    pub(super) fn state(&self) -> State {
        match self.socket().state() {
            tcp::State::Closed => State::Closed,
            tcp::State::Listen => State::Listen,
            tcp::State::SynSent => State::SynSent,
            tcp::State::SynReceived => State::SynReceived,
            tcp::State::Established => State::Established,
            tcp::State::FinWait1 => State::FinWait1,
            tcp::State::FinWait2 => State::FinWait2,
            tcp::State::CloseWait => State::CloseWait,
            tcp::State::Closing => State::Closing,
            tcp::State::LastAck => State::LastAck,
            tcp::State::TimeWait => State::TimeWait,
        }
    }

    /// Octets of free receive buffer: what RCV.WND can be at most.
    pub(super) fn free_window(&self) -> u32 {
        let socket = self.socket();
        (socket.recv_capacity() - socket.recv_queue()) as u32
    }

    /// RCV.NXT. It is not on the wire, since ACKs are delayed: IRS + 1, octets read, octets waiting, one for the FIN.
    pub(super) fn rcv_nxt(&self, irs: Seq, read: u64, fin_received: bool) -> Seq {
        irs + 1 + read as u32 + self.socket().recv_queue() as u32 + u32::from(fin_received)
    }
}

pub(super) fn to_smoltcp(duration: Duration) -> smoltcp::time::Duration {
    smoltcp::time::Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}
