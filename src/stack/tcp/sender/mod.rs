//! The sender of one connection: the send buffer, and what may leave when. Loss detection, RTO and undo are
//! [`recovery`](crate::recovery)'s; how much may be in flight is the [`Controller`]'s. Here are segmentation, the peer's
//! window, Nagle's algorithm, PSH, the persist timer and the FIN (RFC 9293, sections 3.7.4 and 3.8.6). SND.UNA and SND.NXT
//! are those of [`Recovery`]. [`Tcp`](super::Tcp) calls it. A position counts bytes of text from ISS + 1.

mod persist;
mod push;
mod transmit;
mod window;

use crate::congestion::{Algorithm, Controller, Pacer, Setup, charge, initial_window_of, pacing_rate};
use crate::event::TimerKind;
use crate::recovery::{AckInfo, Outcome, Recovery, RecoveryConfig, Timer, TsClock};
use crate::segment::{Flags, Segment, Seq};
use crate::stack::config::{HostConfig, TcpOptions};
use crate::time::{Duration, Instant};

use super::memory::{BlockPool, Buffer};
use super::terms::Terms;

use persist::Persist;
use push::WriteEnds;
pub(super) use transmit::Outgoing;
use window::SendWindow;

/// The sender of one connection, from the handshake on.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(in crate::stack) struct Sender {
    recovery: Recovery,
    controller: Box<dyn Controller>,
    /// Boxed: most senders have none.
    pacer: Option<Box<Pacer>>,
    text: Buffer,
    /// The positions of the first byte not acknowledged, of the first never sent, and behind the last written.
    una: u64,
    nxt: u64,
    end: u64,
    fin: Fin,
    write_ends: WriteEnds,
    window: SendWindow,
    /// Bytes of text in a full segment (`Eff.snd.MSS` of RFC 9293, section 3.7.1).
    mss: u32,
    /// Where the last segment that was not full ends (Minshall's change to Nagle's algorithm).
    small_end: u64,
    persist: Persist,
    /// The next segment need not be full: the persist or the cork timer expired.
    forced: bool,
    nodelay: bool,
    cork: bool,
    cork_timeout: Duration,
    cork_at: Option<Instant>,
    space: SendSpace,
    /// Retransmission timeouts since SND.UNA last moved.
    timeouts: u32,
    initial_window: u64,
    hystart: bool,
    seed: u64,
    ecn: bool,
    /// RFC 3168, section 6.1.2: the next new segment carries CWR.
    cwr: bool,
}

/// What became of the FIN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Fin {
    /// The application goes on writing.
    #[default]
    None,
    /// It follows the last byte.
    Wanted,
    Sent,
    Acked,
}

/// How large the send buffer may be, in bytes.
#[derive(Clone, Copy, Debug)]
struct SendSpace {
    limit: usize,
    /// Zero: the size is fixed (`SO_SNDBUF`).
    max: usize,
}

/// What a sender is made of, once the handshake is over or as far as the peer's SYN says.
pub(super) struct SenderSettings<'a> {
    pub(super) now: Instant,
    pub(super) config: &'a HostConfig,
    pub(super) options: &'a TcpOptions,
    pub(super) terms: &'a Terms,
    /// The MTU of the path, as far as it is known.
    pub(super) mtu: usize,
    pub(super) iss: Seq,
    pub(super) clock: TsClock,
    pub(super) seed: u64,
}

/// What an ACK changed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Acked {
    pub(super) outcome: Outcome,
    /// SND.UNA moved.
    pub(super) advanced: bool,
    /// Our FIN is acknowledged now.
    pub(super) fin: bool,
    /// The window or the buffer has room that it had not before.
    pub(super) writable: bool,
}

impl Sender {
    pub(super) fn new(settings: &SenderSettings<'_>) -> Self {
        let SenderSettings { now, config, options, terms, mtu, iss, clock, seed } = *settings;
        let mss = terms.send_mss(mtu);
        let recovery = RecoveryConfig {
            rto: crate::recovery::RtoConfig { initial: config.initial_rto, min: config.min_rto, max: config.max_rto },
            sack: terms.sack,
            timestamps: terms.timestamps.then_some(clock),
            rack: config.rack,
            tlp: config.tlp,
            prr: config.prr,
            frto: config.frto,
            undo: config.undo,
            limited_transmit: config.limited_transmit,
            idle_restart: config.idle_restart,
            dup_thresh: config.dup_thresh,
            ..RecoveryConfig::default()
        };
        let initial_window = initial_window_of(config.initial_window.max(1), u64::from(mss));
        Self {
            recovery: Recovery::new(recovery, mss, iss + 1, now),
            // Until the handshake is over nothing leaves. A type without fields takes no memory.
            controller: Box::new(crate::congestion::Unlimited::new(&Setup::new(u64::from(mss), now))),
            pacer: None,
            text: Buffer::default(),
            una: 0,
            nxt: 0,
            end: 0,
            fin: Fin::None,
            write_ends: WriteEnds::default(),
            window: SendWindow::new(terms, iss + 1),
            mss,
            small_end: 0,
            persist: Persist::default(),
            forced: false,
            nodelay: options.nodelay,
            cork: options.cork,
            cork_timeout: config.cork_timeout,
            cork_at: None,
            space: SendSpace {
                limit: options.snd_buf.unwrap_or(config.snd_buf_initial),
                max: if options.snd_buf.is_some() { 0 } else { config.snd_buf_max },
            },
            timeouts: 0,
            initial_window,
            hystart: config.hystart,
            seed,
            ecn: terms.ecn,
            cwr: false,
        }
    }

    /// The handshake is over. `rtt`: a sample, if there is one; `sends`: how often the SYN or SYN|ACK left.
    pub(super) fn on_handshake(
        &mut self,
        now: Instant,
        rtt: Option<Duration>,
        sends: u32,
        options: &TcpOptions,
        paced: bool,
    ) {
        self.recovery.on_handshake(now, rtt, sends > 1);
        // RFC 6928, section 2: after a lost SYN the initial window is one segment. Linux: after two.
        let cwnd = if sends > 2 { u64::from(self.mss) } else { self.initial_window };
        let setup = self.setup(now, paced, cwnd, u64::MAX);
        self.install(&options.congestion, &setup);
        self.grow_space();
    }

    fn setup(&self, now: Instant, paced: bool, cwnd: u64, ssthresh: u64) -> Setup {
        Setup {
            initial_window: self.initial_window,
            cwnd,
            ssthresh,
            srtt: self.recovery.srtt(),
            paced,
            sack: self.recovery.has_sack(),
            hystart: self.hystart,
            seed: self.seed,
            ..Setup::new(u64::from(self.mss), now)
        }
    }

    fn install(&mut self, algorithm: &Algorithm, setup: &Setup) {
        self.controller = algorithm.controller(setup);
        // A controller with a rate of its own (BBR) is always paced, as on Linux.
        let paced = setup.paced || self.controller.pacing_rate().is_some();
        self.pacer = paced.then(|| Box::new(Pacer::new(setup.mss, setup.initial_window)));
        self.update_rate();
    }

    /// `TCP_CONGESTION`: another controller goes on from cwnd and ssthresh of the one before.
    pub(in crate::stack) fn set_algorithm(&mut self, now: Instant, algorithm: &Algorithm) {
        if self.controller.name() == algorithm.name() {
            return;
        }
        let (cwnd, ssthresh) = (self.controller.cwnd(), self.controller.ssthresh());
        let setup = self.setup(now, self.pacer.is_some(), cwnd, ssthresh);
        self.install(algorithm, &setup);
    }

    /// Takes bytes from the application. Returns how many: what the buffer has room for.
    pub(in crate::stack) fn write(&mut self, bytes: &[u8], pool: &mut BlockPool) -> usize {
        let len = bytes.len().min(self.free_space()).min(pool.room());
        if len > 0 {
            self.text.write(self.end, &bytes[..len], pool);
            self.end += len as u64;
            self.write_ends.push(self.end);
        }
        len
    }

    /// Bytes that the send buffer has room for.
    pub(in crate::stack) fn free_space(&self) -> usize {
        self.space.limit.saturating_sub(self.queued())
    }

    /// Bytes of the send buffer, as it is now (`SO_SNDBUF`).
    pub(in crate::stack) const fn buffer_size(&self) -> usize {
        self.space.limit
    }

    /// Bytes that are written and not acknowledged (`SIOCOUTQ`).
    pub(in crate::stack) const fn queued(&self) -> usize {
        (self.end - self.una) as usize
    }

    /// As Linux's `sk_stream_is_writeable`: at least a third of the buffer is free.
    pub(in crate::stack) fn is_writable(&self) -> bool {
        let free = self.free_space();
        free > 0 && free >= self.queued() / 2
    }

    /// A FIN follows what is written.
    pub(super) fn shutdown(&mut self) {
        self.fin = self.fin.max(Fin::Wanted);
    }

    /// Applies options that can change while the connection lives.
    pub(in crate::stack) fn set_options(&mut self, now: Instant, options: &TcpOptions) {
        if self.cork && !options.cork {
            // What is held leaves now (tcp(7)).
            self.forced = true;
        }
        (self.nodelay, self.cork) = (options.nodelay, options.cork);
        if let Some(limit) = options.snd_buf {
            self.space = SendSpace { limit, max: 0 };
        }
        self.set_algorithm(now, &options.congestion);
    }

    /// SND.UNA.
    pub(in crate::stack) const fn snd_una(&self) -> Seq {
        self.recovery.snd_una()
    }

    /// SND.NXT.
    pub(in crate::stack) const fn snd_nxt(&self) -> Seq {
        self.recovery.snd_nxt()
    }

    /// SND.WND, in bytes.
    pub(in crate::stack) const fn snd_wnd(&self) -> u32 {
        self.window.wnd
    }

    /// The largest SND.WND so far.
    pub(super) const fn max_snd_wnd(&self) -> u32 {
        self.window.max
    }

    /// The sequence number of an ACK without text: SND.NXT, but not beyond the peer's window, where it would not be
    /// acceptable (Linux's `tcp_acceptable_seq`).
    pub(super) fn acceptable_seq(&self) -> Seq {
        let edge = self.window.edge();
        // A window that shrank below SND.UNA has no edge that helps.
        if edge < self.snd_una() { self.snd_nxt() } else { self.snd_nxt().min(edge.max(self.snd_una())) }
    }

    /// Loss recovery, to look at.
    pub(in crate::stack) const fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// The controller, to look at.
    pub(in crate::stack) fn controller(&self) -> &dyn Controller {
        &*self.controller
    }

    /// Bytes of text in a full segment.
    pub(in crate::stack) const fn mss(&self) -> u32 {
        self.mss
    }

    /// Bytes that were written and never sent.
    pub(in crate::stack) const fn unsent(&self) -> u64 {
        self.end - self.nxt
    }

    /// The pacing rate in bytes per second, if what leaves is paced.
    pub(in crate::stack) fn pacing_rate(&self) -> Option<u64> {
        self.pacer.as_ref().and_then(|pacer| pacer.rate())
    }

    /// Retransmission timeouts since SND.UNA last moved.
    pub(in crate::stack) const fn timeouts(&self) -> u32 {
        self.timeouts
    }

    /// Window probes since the peer was last heard.
    pub(in crate::stack) const fn probes(&self) -> u32 {
        self.persist.probes
    }

    /// Something waits for its acknowledgment.
    pub(in crate::stack) fn is_waiting(&self) -> bool {
        self.snd_una() != self.snd_nxt()
    }

    /// Nothing waits to be sent or acknowledged.
    pub(in crate::stack) fn is_idle(&self) -> bool {
        self.una == self.end && self.fin != Fin::Wanted && !self.is_waiting()
    }

    /// Takes the window of a segment whose ACK is acceptable, before [`Sender::on_ack`]. True if SND.WND changed.
    pub(super) fn on_window(&mut self, segment: &Segment<'_>) -> bool {
        // RFC 9293, section 3.10.7.4: "If SND.UNA =< SEG.ACK =< SND.NXT, the send window should be updated." An older ACK can
        // come with a newer sequence number.
        if segment.ack < self.snd_una() {
            return false;
        }
        let changed = self.window.update(segment);
        if self.window.edge() > self.snd_nxt() {
            self.persist.stop();
        }
        changed
    }

    /// Takes the ACK of a segment, which the rules have found acceptable.
    pub(super) fn on_ack(
        &mut self,
        now: Instant,
        segment: &Segment<'_>,
        window_changed: bool,
        pool: &mut BlockPool,
    ) -> Acked {
        let sack = &segment.options.sack;
        let blocks = sack.iter().position(|block| block.left == block.right).unwrap_or(sack.len());
        let was_writable = self.is_writable();
        let info = AckInfo {
            ack: segment.ack,
            sack: &sack[..blocks],
            ts_ecr: segment.options.ts.map(|ts| ts.ts_ecr),
            text: !segment.payload.is_empty() || segment.is_fin(),
            window_changed,
            unsent: self.has_unsent_in_window(),
            ece: self.ecn && segment.flags.contains(Flags::ECE),
        };
        let ssthresh = if info.ece { self.controller.ssthresh() } else { 0 };
        let outcome = self.recovery.on_ack(now, &info, &mut *self.controller);
        if info.ece && self.controller.ssthresh() != ssthresh {
            self.cwr = true;
        }
        self.persist.heard();
        let mut acked = Acked { outcome, advanced: outcome.acked > 0, ..Acked::default() };
        if acked.advanced {
            acked.fin = self.take_acked(outcome.acked);
            self.timeouts = 0;
            self.text.free_before(self.una, self.end, pool);
            self.write_ends.free_to(self.una);
            self.grow_space();
        }
        acked.writable = !was_writable && self.is_writable();
        self.update_rate();
        acked
    }

    /// SND.UNA moved by `len`. True if that covers our FIN.
    fn take_acked(&mut self, len: u32) -> bool {
        let sent = self.nxt - self.una;
        let fin = self.fin == Fin::Sent && u64::from(len) > sent;
        self.una += u64::from(len) - u64::from(fin);
        if fin {
            self.fin = Fin::Acked;
        }
        fin
    }

    /// As Linux's `tcp_sndbuf_expand`: room for two congestion windows.
    fn grow_space(&mut self) {
        let wanted = self.controller.cwnd().saturating_mul(2).min(self.space.max as u64) as usize;
        self.space.limit = self.space.limit.max(wanted);
    }

    fn update_rate(&mut self) {
        if let Some(pacer) = &mut self.pacer {
            pacer.set_rate(pacing_rate(&*self.controller, self.recovery.srtt()));
        }
    }

    /// Something was never sent, and the peer's window admits it.
    fn has_unsent_in_window(&self) -> bool {
        self.has_unsent() && self.room() > 0
    }

    /// Text or a FIN was never sent.
    pub(in crate::stack) fn has_unsent(&self) -> bool {
        self.nxt < self.end || self.fin == Fin::Wanted
    }

    /// Bytes from SND.NXT to the right edge of the peer's window.
    fn room(&self) -> u64 {
        let room = self.window.edge().distance(self.snd_nxt());
        u64::try_from(room).unwrap_or(0)
    }

    /// The earliest deadline.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let pacer = self.pacer.as_ref().and_then(|pacer| pacer.next_at());
        Instant::earliest([self.recovery.deadline(), self.persist.at(), self.cork_at, pacer])
    }

    /// Handles the next timer that has expired by `now`. Call it until it returns `None`, then poll what may leave.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<TimerKind> {
        let unsent = self.has_unsent_in_window();
        if let Some(timer) = self.recovery.on_timeout(now, unsent, &mut *self.controller) {
            self.update_rate();
            return Some(match timer {
                Timer::Rack => TimerKind::Rack,
                Timer::Tlp => TimerKind::Tlp,
                Timer::Rto => {
                    self.timeouts += 1;
                    TimerKind::Retransmission
                }
            });
        }
        if self.persist.expires(now) {
            if self.room() > 0 && self.nxt < self.end {
                // RFC 9293, section 3.8.6.2.1: the override timeout sends what fits.
                self.forced = true;
            } else {
                self.persist.probe(now, self.recovery.rto());
            }
            return Some(TimerKind::Persist);
        }
        if self.cork_at.is_some_and(|at| at <= now) {
            self.cork_at = None;
            self.forced = true;
            return Some(TimerKind::Cork);
        }
        None
    }

    /// The path takes smaller segments now. With `cut`, what is in flight and larger is cut and sent again.
    pub(super) fn set_mss(&mut self, mss: u32, cut: bool) {
        self.mss = mss.max(1);
        self.recovery.on_mss(self.mss, cut, &mut *self.controller);
        if let Some(pacer) = &mut self.pacer {
            pacer.set_mss(u64::from(self.mss));
        }
    }

    /// Bytes of the first segment that waits for its acknowledgment.
    pub(super) fn first_waiting(&self) -> u32 {
        self.recovery.board().units().front().map_or(0, |unit| unit.len)
    }

    pub(super) fn has_spare_memory(&self) -> bool {
        self.text.has_spare_places() || self.write_ends.has_spare_memory() || self.recovery.has_spare_memory()
    }

    /// Gives back the memory that an idle connection does not need.
    pub(super) fn shrink(&mut self) {
        self.text.shrink();
        self.write_ends.shrink();
        self.recovery.shrink();
    }

    /// Gives the memory back.
    pub(super) fn release(&mut self, pool: &mut BlockPool) {
        self.text.clear(pool);
    }

    /// Charged bytes of a segment of `len` bytes.
    fn charge(&self, len: u32) -> u64 {
        charge(u64::from(len), u64::from(self.mss))
    }
}
