//! TCP of one connection.
//!
//! ```text
//!   segment --> rules --> ACK, window --> sender       (recovery, congestion)
//!                    '--> text, FIN   --> receiver     (reassembly, ACK policy, window)
//!                    '--> SYN, FIN, RST and their ACKs --> machine (smoltcp: the state)
//!   poll    <-- SYN, probes, retransmissions, new text, FIN; else a bare ACK
//! ```
//!
//! Every segment is built here, from one template. The stack calls [`Tcp::handle_segment`], [`Tcp::handle_timeout`],
//! [`Tcp::poll`] and [`Tcp::next_at`] (RFC 9293, section 3.10).

mod arrival;
mod machine;
mod memory;
mod opening;
mod outgoing;
mod path_mtu;
mod receiver;
mod sender;
mod terms;
mod workarounds;

use core::net::SocketAddr;
use std::sync::Arc;

use crate::event::{DropReason, Phase, Reason, Rule, State, TimerKind};
use crate::recovery::TsClock;
use crate::segment::{OptionLayout, Seq};
use crate::time::Instant;

use super::address::FourTuple;
use super::config::{HostConfig, TcpOptions};
use super::rules::Situation;

use machine::Machine;
pub(super) use machine::Machines;
pub(super) use memory::BlockPool;
use opening::Opening;
pub(super) use opening::syn_timeout;
pub(super) use outgoing::Reply;
use path_mtu::PathMtu;
pub(super) use receiver::Receiver;
pub(super) use sender::Sender;
#[cfg(any(feature = "replay", feature = "drill"))]
pub(crate) use terms::window_shift;
pub(super) use terms::{Offer, Terms};

/// What the host lends to a connection for a call.
pub(super) struct Context<'a> {
    pub(super) now: Instant,
    pub(super) config: &'a HostConfig,
    pub(super) pool: &'a mut BlockPool,
    pub(super) machines: &'a mut Machines,
}

/// One connection's TCP.
#[derive(Debug)]
pub(super) struct Tcp {
    /// Both ends, as the headers of segments need them.
    ends: (SocketAddr, SocketAddr),
    machine: Machine,
    offer: Offer,
    options: Arc<TcpOptions>,
    /// Our SYN or SYN|ACK, until it is acknowledged.
    opening: Option<Opening>,
    flow: Option<Flow>,
    clock: TsClock,
    seed: u64,
    /// The largest `TSval` of the peer, and when it came (`TS.Recent` of RFC 7323, section 4.3).
    ts_recent: Option<(u32, Instant)>,
    path_mtu: PathMtu,
    /// No challenge ACK before this instant.
    challenge_at: Instant,
    keep_alive_due: bool,
    /// An RST leaves now, and nothing after it.
    rst_due: bool,
    /// RFC 3168, section 6.1.3: our ACKs carry ECE.
    ece: bool,
    /// How often the SYN or SYN|ACK was sent again before the handshake was over.
    syn_resends: u32,
    layout: OptionLayout,
}

/// What exists once the peer's SYN is known.
#[derive(Debug)]
struct Flow {
    terms: Terms,
    sender: Sender,
    receiver: Receiver,
}

/// What came of a segment.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Verdict {
    pub(super) dropped: Option<DropReason>,
    pub(super) edited: Option<Rule>,
    /// What leaves at once.
    pub(super) reply: Option<Reply>,
    /// The peer was heard.
    pub(super) heard: bool,
    /// SND.UNA moved.
    pub(super) advanced: bool,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// A congestion event was undone.
    pub(super) undone: bool,
}

/// What a timer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// It expired; what is due leaves by [`Tcp::poll`].
    Timer(TimerKind),
    /// The peer has not answered for too long.
    GiveUp(TimerKind),
}

/// A segment that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Departure {
    /// Why; `None` for an ACK and for what is no text.
    pub(super) reason: Option<Reason>,
    /// Nothing else is due now.
    pub(super) last: bool,
}

/// How often something may be sent again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retries {
    pub(super) syn: u32,
    pub(super) syn_ack: u32,
    pub(super) text: u32,
}

/// The handshake of a half-open record, as its connection goes on from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handshake {
    pub(super) iss: Seq,
    pub(super) offer: Offer,
    pub(super) terms: Terms,
    pub(super) ts_recent: Option<(u32, Instant)>,
    /// How often the SYN|ACK left, and when it last did, if that is known.
    pub(super) sends: u32,
    pub(super) sent_at: Option<Instant>,
}

impl Tcp {
    /// An active open: a SYN leaves. `mtu`: of the path.
    pub(super) fn connect(
        context: &mut Context<'_>,
        tuple: FourTuple,
        options: &Arc<TcpOptions>,
        iss: Seq,
        clock: TsClock,
        seed: u64,
        mtu: usize,
    ) -> Self {
        let offer = Offer::new(context.config, options, &tuple);
        let machine = Machine::connect(context.machines);
        let opening = Opening::new(iss, context.now);
        Self::new(context, tuple, options, machine, offer, opening, clock, seed, mtu)
    }

    /// A passive open whose SYN|ACK has left: SYN-RECEIVED.
    pub(super) fn accept(
        context: &mut Context<'_>,
        tuple: FourTuple,
        options: &Arc<TcpOptions>,
        handshake: &Handshake,
        clock: TsClock,
        seed: u64,
        mtu: usize,
    ) -> Self {
        let machine = Machine::accept_syn(context.machines);
        let opening = Opening::answered(handshake.iss, handshake.sends, handshake.sent_at);
        let mut tcp = Self::new(context, tuple, options, machine, handshake.offer, opening, clock, seed, mtu);
        tcp.ts_recent = handshake.ts_recent;
        tcp.begin_flow(context, handshake.terms);
        tcp
    }

    #[expect(clippy::too_many_arguments, reason = "both opens share it, nobody else calls it")]
    fn new(
        context: &Context<'_>,
        tuple: FourTuple,
        options: &Arc<TcpOptions>,
        machine: Machine,
        offer: Offer,
        opening: Opening,
        clock: TsClock,
        seed: u64,
        mtu: usize,
    ) -> Self {
        Self {
            ends: (tuple.local_addr(), tuple.remote_addr()),
            machine,
            offer,
            options: Arc::clone(options),
            opening: Some(opening),
            flow: None,
            clock,
            seed,
            ts_recent: None,
            path_mtu: PathMtu::new(context.config, offer.headers, mtu),
            challenge_at: Instant::EPOCH,
            keep_alive_due: false,
            rst_due: false,
            ece: false,
            syn_resends: 0,
            layout: context.config.option_layout,
        }
    }

    /// The peer's SYN is known: sender and receiver begin.
    fn begin_flow(&mut self, context: &Context<'_>, terms: Terms) {
        let Some(opening) = &self.opening else { return };
        let settings = sender::SenderSettings {
            now: context.now,
            config: context.config,
            options: &self.options,
            terms: &terms,
            mtu: self.path_mtu.mtu(),
            iss: opening.iss,
            clock: self.clock,
            seed: self.seed,
        };
        let sender = Sender::new(&settings);
        let receiver = Receiver::new(context.config, &self.options, &terms, context.now);
        self.flow = Some(Flow { terms, sender, receiver });
    }

    /// The state (RFC 9293, section 3.3.2).
    pub(super) const fn state(&self) -> State {
        self.machine.state()
    }

    /// The sender, once the peer's SYN is known.
    pub(super) fn sender(&self) -> Option<&Sender> {
        self.flow.as_ref().map(|flow| &flow.sender)
    }

    /// The receiver, once the peer's SYN is known.
    pub(super) fn receiver(&self) -> Option<&Receiver> {
        self.flow.as_ref().map(|flow| &flow.receiver)
    }

    /// What both ends agreed on, once the peer's SYN is known.
    pub(super) fn terms(&self) -> Option<&Terms> {
        self.flow.as_ref().map(|flow| &flow.terms)
    }

    /// SND.UNA and SND.NXT, the SYN included.
    pub(super) fn sent(&self) -> (Seq, Seq) {
        match (&self.opening, &self.flow) {
            (Some(opening), _) => (opening.iss, opening.iss + 1),
            (None, Some(flow)) => (flow.sender.snd_una(), flow.sender.snd_nxt()),
            (None, None) => (Seq(0), Seq(0)),
        }
    }

    /// RCV.NXT, once the peer's SYN is known.
    pub(super) fn rcv_nxt(&self) -> Seq {
        self.receiver().map_or(Seq(0), Receiver::rcv_nxt)
    }

    /// Something that was sent waits for its acknowledgment.
    pub(super) fn is_waiting(&self) -> bool {
        self.opening.is_some() || self.sender().is_some_and(Sender::is_waiting)
    }

    /// Nothing waits to be sent or acknowledged.
    pub(super) fn is_idle(&self) -> bool {
        self.opening.is_none() && self.sender().is_some_and(Sender::is_idle)
    }

    /// The phase of loss recovery.
    pub(super) fn phase(&self) -> Phase {
        self.sender().map_or(Phase::Open, |sender| sender.recovery().phase())
    }

    /// Segments that were sent again, SYN and SYN|ACK included.
    pub(super) fn retransmissions(&self) -> u64 {
        let opening = self.opening.as_ref().map_or(self.syn_resends, |opening| opening.sends.saturating_sub(1));
        u64::from(opening) + self.sender().map_or(0, |sender| sender.recovery().counters().retransmissions)
    }

    /// An ACK of something that was received is still owed.
    pub(super) fn owes_ack(&self) -> bool {
        self.flow.as_ref().is_some_and(|flow| flow.receiver.ack.is_pending())
    }

    /// `TS.Recent` (RFC 7323, section 4.3); `None` without timestamps.
    pub(super) fn ts_recent(&self) -> Option<u32> {
        self.ts_recent.map(|(recent, _)| recent)
    }

    /// The timestamp clock.
    pub(super) const fn clock(&self) -> &TsClock {
        &self.clock
    }

    /// Takes bytes from the application. Returns how many.
    pub(super) fn write(&mut self, bytes: &[u8], pool: &mut BlockPool) -> usize {
        self.flow.as_mut().map_or(0, |flow| flow.sender.write(bytes, pool))
    }

    /// Gives bytes to the application. Returns how many.
    pub(super) fn read(&mut self, now: Instant, out: &mut [u8], peek: bool, pool: &mut BlockPool) -> usize {
        self.flow.as_mut().map_or(0, |flow| flow.receiver.read(now, out, peek, pool))
    }

    /// Ends the direction from here: a FIN follows what was written (RFC 9293, section 3.10.4).
    pub(super) fn shutdown(&mut self, context: &mut Context<'_>) {
        if let Some(flow) = &mut self.flow {
            flow.sender.shutdown();
        }
        self.machine.close(context.machines);
    }

    /// Ends the connection (RFC 9293, section 3.10.5). An RST leaves where the peer knows of a connection.
    pub(super) fn abort(&mut self, machines: &mut Machines) {
        self.rst_due = matches!(
            self.machine.state(),
            State::SynReceived | State::Established | State::FinWait1 | State::FinWait2 | State::CloseWait
        );
        self.machine.abort(machines);
    }

    /// Applies options that can change while the connection lives.
    pub(super) fn set_options(&mut self, now: Instant, options: &Arc<TcpOptions>) {
        if let Some(flow) = &mut self.flow {
            flow.sender.set_options(now, options);
            flow.receiver.ack.set_always(options.quick_ack);
            if let Some(size) = options.rcv_buf
                && self.options.rcv_buf != options.rcv_buf
            {
                flow.receiver.set_buffer(size);
            }
        }
        self.options = Arc::clone(options);
    }

    /// A keep-alive probe leaves (RFC 9293, section 3.8.4).
    pub(super) fn keep_alive(&mut self) {
        self.keep_alive_due = true;
    }

    /// The earliest deadline.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let opening = self.opening.as_ref().and_then(|opening| opening.at);
        let Some(flow) = self.flow.as_ref().filter(|_| self.machine.state() != State::Closed) else { return opening };
        let ack = flow.receiver.ack.next_at();
        let other = if self.opening.is_some() { opening } else { flow.sender.next_at() };
        Instant::earliest([ack, other])
    }

    /// Handles the next timer that has expired. Call it until it returns `None`, then poll.
    pub(super) fn handle_timeout(&mut self, now: Instant, retries: &Retries) -> Option<Expired> {
        if let Some(opening) = &mut self.opening
            && opening.at.take_if(|at| *at <= now).is_some()
        {
            let (allowed, timer) = if opening.syn_ack {
                (retries.syn_ack, TimerKind::SynAck)
            } else {
                (retries.syn, TimerKind::Retransmission)
            };
            if opening.sends > allowed {
                return Some(Expired::GiveUp(timer));
            }
            opening.due = true;
            return Some(Expired::Timer(timer));
        }
        let flow = self.flow.as_mut().filter(|_| self.machine.state() != State::Closed)?;
        // At equal deadlines: delayed ACK, RACK, TLP, RTO.
        if flow.receiver.ack.handle_timeout(now) {
            return Some(Expired::Timer(TimerKind::DelayedAck));
        }
        if self.opening.is_some() {
            return None;
        }
        let timer = flow.sender.handle_timeout(now)?;
        // RFC 9293, section 3.8.3: R2.
        let spent = match timer {
            TimerKind::Retransmission => flow.sender.timeouts() > retries.text,
            TimerKind::Persist => flow.sender.probes() > retries.text,
            _ => false,
        };
        if timer == TimerKind::Retransmission && !spent {
            self.path_mtu.on_timeout(&mut flow.sender, &flow.terms);
        }
        Some(if spent { Expired::GiveUp(timer) } else { Expired::Timer(timer) })
    }

    /// RFC 1191, section 6.3: a router on the path says that a packet in flight is too large. The new MTU of the path, if it changed.
    pub(super) fn on_packet_too_big(&mut self, mtu: usize) -> Option<usize> {
        let flow = self.flow.as_mut().filter(|_| self.opening.is_none())?;
        self.path_mtu.on_report(&mut flow.sender, &flow.terms, mtu).then(|| self.path_mtu.mtu())
    }

    fn situation(&self, context: &Context<'_>, orphan: bool) -> Option<Situation> {
        let flow = self.flow.as_ref()?;
        let (snd_una, snd_nxt) = self.sent();
        Some(Situation {
            now: context.now,
            state: self.machine.state(),
            irs: flow.terms.irs,
            rcv_nxt: flow.receiver.rcv_nxt(),
            right_edge: if context.config.judge_by_buffer {
                flow.receiver.right_edge().max(flow.receiver.buffer_edge())
            } else {
                flow.receiver.right_edge()
            },
            snd_una,
            snd_nxt,
            max_snd_wnd: flow.sender.max_snd_wnd(),
            ts_recent: self.ts_recent,
            orphan,
            challenge_rst: context.config.challenge_rst,
            challenge_syn: context.config.challenge_syn,
        })
    }

    /// True if [`Tcp::shrink`] would give memory back.
    pub(super) fn has_spare_memory(&self) -> bool {
        let flow = self.flow.as_ref();
        flow.is_some_and(|flow| flow.sender.has_spare_memory() || flow.receiver.has_spare_memory())
    }

    /// Gives back the memory that an idle connection does not need.
    pub(super) fn shrink(&mut self) {
        if let Some(flow) = &mut self.flow {
            flow.sender.shrink();
            flow.receiver.shrink();
        }
    }

    /// Gives all memory back. Returns what the application has not read.
    pub(super) fn release(&mut self, pool: &mut BlockPool) -> Vec<u8> {
        let Some(flow) = &mut self.flow else { return Vec::new() };
        flow.sender.release(pool);
        flow.receiver.take_unread(pool)
    }
}
