//! Loss recovery: what was sent, what became of it, and what may be sent again. [`Recovery`] is one connection's; the
//! sender drives it with transmissions, ACKs and timeouts and asks what may leave. It keeps the scoreboard (RFC 2018,
//! 6675), judges losses by RACK-TLP (RFC 8985) or `NewReno` (RFC 6582), paces recovery by PRR (RFC 9937), times out by
//! RFC 6298, undoes what was needless (RFC 3522, 3708, 5682), and feeds the congestion controller. Pure: no clock, no
//! I/O, no randomness.

mod ack;
pub mod delivery_rate;
mod dup_thresh;
pub mod frto;
pub mod limited_transmit;
pub mod newreno;
mod phase;
pub mod prr;
pub mod rack;
pub mod rto;
pub mod scoreboard;
pub(crate) mod seldom;
#[cfg(test)]
mod simulator;
pub mod small_queue;
#[cfg(test)]
mod tests;
mod timeout;
pub mod timestamps;
pub mod tlp;
mod transmit;
pub mod undo;

pub use crate::event::{Phase, Reason};
pub use ack::{AckInfo, Outcome};
pub use rto::RtoConfig;
pub use scoreboard::SentRange;
pub use timeout::Timer;
pub use timestamps::TsClock;
pub use transmit::{Resend, Sent};
pub use undo::UndoReason;

use crate::congestion::{Controller, CwndUsage};
use crate::segment::Seq;
use crate::time::{Duration, Instant};
use delivery_rate::DeliveryRate;
use frto::Frto;
use newreno::NewReno;
use prr::Prr;
use rack::Rack;
use rto::{MinRtt, Rto};
use scoreboard::Scoreboard;
use seldom::{Seldom, Unchanged};
use tlp::Tlp;
use undo::Undo;

/// The switches and constants of loss recovery. The defaults are Linux's.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "switches, as in sysctl(8)")]
pub struct RecoveryConfig {
    /// The bounds of the retransmission timeout.
    pub rto: RtoConfig,
    /// The peer sends SACK (RFC 2018): negotiated at the handshake. Without it, `NewReno`.
    pub sack: bool,
    /// The clock of our timestamps (RFC 7323); `None` if they were not negotiated.
    pub timestamps: Option<TsClock>,
    /// RACK (RFC 8985) judges losses. Off: `IsLost` of RFC 6675.
    pub rack: bool,
    /// Tail loss probes (RFC 8985, section 7).
    pub tlp: bool,
    /// Proportional Rate Reduction (RFC 9937). Off: cwnd is ssthresh during recovery (RFC 6675, section 5).
    pub prr: bool,
    /// F-RTO (RFC 5682).
    pub frto: bool,
    /// Undo by timestamps and by DSACK.
    pub undo: bool,
    /// Limited transmit (RFC 3042).
    pub limited_transmit: bool,
    /// Restart after idle (RFC 5681, section 4.1). Linux's `tcp_slow_start_after_idle`.
    pub idle_restart: bool,
    /// `DupThresh` of RFC 6675 and the number of duplicate ACKs of RFC 5681: 3.
    pub dup_thresh: u32,
    /// `TLP.max_ack_delay`: the longest time that the peer may delay an ACK (RFC 8985, section 7.2). Linux: 200 ms.
    pub max_ack_delay: Duration,
}

impl Default for RecoveryConfig {
    fn default() -> Self {
        Self {
            rto: RtoConfig::default(),
            sack: true,
            timestamps: None,
            rack: true,
            tlp: true,
            prr: true,
            frto: true,
            undo: true,
            limited_transmit: true,
            idle_restart: true,
            dup_thresh: 3,
            max_ack_delay: Duration::from_millis(200),
        }
    }
}

/// What happened on a connection, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Segments sent again.
    pub retransmissions: u64,
    /// Of them, those that a DSACK named: sent for nothing.
    pub spurious: u64,
    /// Expirations of the retransmission timer.
    pub timeouts: u64,
    /// Tail loss probes.
    pub probes: u64,
    /// Fast recoveries begun.
    pub recoveries: u64,
    /// Congestion events undone.
    pub undos: u64,
    /// Times that the receiver reneged (RFC 2018, section 8).
    pub reneged: u64,
    /// Units judged lost.
    pub lost: u64,
}

impl Counters {
    const NONE: Self =
        Self { retransmissions: 0, spurious: 0, timeouts: 0, probes: 0, recoveries: 0, undos: 0, reneged: 0, lost: 0 };
}

/// Loss recovery of one connection.
///
/// Inputs: [`on_sent`](Self::on_sent), [`on_ack`](Self::on_ack), [`on_timeout`](Self::on_timeout),
/// [`on_handshake`](Self::on_handshake), [`on_mss`](Self::on_mss), [`on_app_limited`](Self::on_app_limited). Outputs:
/// [`poll_resend`](Self::poll_resend), then [`allowance`](Self::allowance) for new text; [`next_at`](Self::next_at).
/// After each batch of input the sender polls until nothing more may leave, and calls [`on_turn`](Self::on_turn). Everything
/// that leaves is reported by `on_sent`.
#[derive(Clone, Debug)]
pub struct Recovery {
    config: Settings,
    mss: u32,
    board: Scoreboard,
    phase: Phase,
    rto: Rto,
    min_rtt: MinRtt,
    rate: DeliveryRate,
    usage: CwndUsage,
    rack: Rack,
    trouble: Seldom<Trouble>,
    /// One retransmission may go whatever the window: fast retransmit without SACK, and the first one after a timeout.
    forced: bool,
    /// A tail loss probe is due.
    probe: Option<Probe>,
    /// When a segment last left, and when new text last left.
    last_sent_at: Option<Instant>,
    last_new_at: Instant,
    turn: Turn,
    rack_at: Option<Instant>,
    pto_at: Option<Instant>,
    rto_at: Option<Instant>,
}

/// What only losses, timeouts, probes and marks need.
#[derive(Clone, Debug)]
struct Trouble {
    /// `RecoveryPoint` of RFC 6675: recovery ends when SND.UNA reaches it.
    recovery_point: Seq,
    tlp: Tlp,
    prr: Option<Prr>,
    newreno: NewReno,
    undo: Undo,
    frto: Frto,
    /// SND.UNA when the retransmission timer last expired: a second time ssthresh is held (RFC 5681, section 3.1).
    timed_out_at: Option<Seq>,
    /// When it last expired.
    loss_at: Instant,
    /// SND.NXT when cwnd was reduced for ECN; the next reduction waits for its ACK.
    cwr_point: Option<Seq>,
    counters: Counters,
}

impl Unchanged for Trouble {
    const UNCHANGED: &'static Self = &Self {
        recovery_point: Seq(0),
        tlp: Tlp::NONE,
        prr: None,
        newreno: NewReno::NONE,
        undo: Undo::NONE,
        frto: Frto::Off,
        timed_out_at: None,
        loss_at: Instant::EPOCH,
        cwr_point: None,
        counters: Counters::NONE,
    };
}

/// What a connection keeps of [`RecoveryConfig`].
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "switches, as in sysctl(8)")]
struct Settings {
    timestamps: Option<TsClock>,
    /// In nanoseconds.
    max_ack_delay: u64,
    dup_thresh: u32,
    sack: bool,
    rack: bool,
    tlp: bool,
    prr: bool,
    frto: bool,
    undo: bool,
    limited_transmit: bool,
    idle_restart: bool,
}

impl From<&RecoveryConfig> for Settings {
    fn from(config: &RecoveryConfig) -> Self {
        Self {
            timestamps: config.timestamps,
            max_ack_delay: rto::nanos(config.max_ack_delay),
            dup_thresh: config.dup_thresh,
            sack: config.sack,
            rack: config.rack,
            tlp: config.tlp,
            prr: config.prr,
            frto: config.frto,
            undo: config.undo,
            limited_transmit: config.limited_transmit,
            idle_restart: config.idle_restart,
        }
    }
}

/// The moment at which the sender last had its turn.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// What was outstanding, in charged bytes.
    flight: u64,
    cwnd: u64,
    /// `C.delivered`.
    delivered: u64,
}

/// What a tail loss probe sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    /// New text, whatever cwnd says.
    New,
    /// The last segment again.
    Old,
}

impl Recovery {
    /// A connection whose next sequence number is `snd_nxt`; `mss` is how much text a full segment carries.
    #[expect(clippy::needless_pass_by_value, reason = "the settings are the connection's from now on")]
    pub fn new(config: RecoveryConfig, mss: u32, snd_nxt: Seq, now: Instant) -> Self {
        Self {
            mss: mss.max(1),
            board: Scoreboard::new(snd_nxt),
            phase: Phase::Open,
            rto: Rto::new(&config.rto),
            min_rtt: MinRtt::default(),
            rate: DeliveryRate::new(now),
            usage: CwndUsage::default(),
            rack: Rack::default(),
            trouble: Seldom::default(),
            forced: false,
            probe: None,
            last_sent_at: None,
            last_new_at: now,
            turn: Turn { flight: 0, cwnd: u64::MAX, delivered: 0 },
            rack_at: None,
            pto_at: None,
            rto_at: None,
            config: Settings::from(&config),
        }
    }

    /// The handshake is over. `rtt`: from the SYN or SYN|ACK to its ACK, if it was sent once or the echo names it.
    pub fn on_handshake(&mut self, now: Instant, rtt: Option<Duration>, syn_resent: bool) {
        let rtt = rtt.map(rto::nanos);
        self.rto.on_handshake(rtt, syn_resent);
        // The minimum needs this sample: later ones may all contain a delayed ACK.
        if let Some(rtt) = rtt {
            self.min_rtt.on_sample(now, rtt);
        }
    }

    /// The sender has its turn: it polls now, or has just polled. ACKs of one batch come between two turns, and nothing can
    /// replace what they acknowledge. So a loss among them reduces the flight that there would be with a turn after each ACK.
    pub fn on_turn(&mut self, controller: &dyn Controller) {
        let flight = self.board.totals().outstanding;
        self.turn = Turn { flight, cwnd: controller.cwnd(), delivered: self.rate.delivered() };
    }

    /// The application has nothing to send while the window has room: rate samples must say so (draft-ietf-ccwg-bbr,
    /// 4.1.2.4).
    pub fn on_app_limited(&mut self, controller: &dyn Controller) {
        // "The congestion window is not fully utilized" and "all packets considered lost have been retransmitted".
        if self.board.totals().waiting_units == 0 && self.pipe() < self.window(controller) {
            self.rate.mark_app_limited(self.board.totals().pipe);
        }
    }

    /// The MSS has changed. With `cut`, segments in flight that are larger will never arrive (RFC 1191, section 6.5):
    /// they are cut and sent again, which is no sign of congestion.
    pub fn on_mss(&mut self, mss: u32, cut: bool, controller: &mut dyn Controller) {
        self.mss = mss.max(1);
        controller.set_mss(u64::from(self.mss));
        for index in 0..self.board.units().len() {
            if cut && self.board.units().get(index).is_some_and(|unit| unit.len > self.mss) {
                self.board.mark_lost(index, Reason::PathMtu);
            }
        }
        self.forced |= cut && self.board.totals().waiting_units > 0;
    }

    /// True if [`Recovery::shrink`] would give memory back.
    pub fn has_spare_memory(&self) -> bool {
        self.board.has_spare_memory()
    }

    /// Gives back the memory that an idle connection does not need.
    pub fn shrink(&mut self) {
        self.board.shrink();
    }

    /// SND.UNA.
    pub const fn snd_una(&self) -> Seq {
        self.board.snd_una()
    }

    /// SND.NXT.
    pub const fn snd_nxt(&self) -> Seq {
        self.board.snd_nxt()
    }

    /// The scoreboard, for traces and `TCP_INFO`.
    pub const fn board(&self) -> &Scoreboard {
        &self.board
    }

    /// `pipe` of RFC 6675, in charged bytes.
    pub const fn pipe(&self) -> u64 {
        self.board.totals().pipe
    }

    /// `FlightSize` of RFC 5681: SND.NXT - SND.UNA.
    pub fn flight_size(&self) -> u32 {
        self.snd_nxt() - self.snd_una()
    }

    /// The peer sends SACK.
    pub const fn has_sack(&self) -> bool {
        self.config.sack
    }

    /// The phase.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// SRTT of RFC 6298; `None` before the first sample.
    pub fn srtt(&self) -> Option<Duration> {
        self.rto.srtt().map(Duration::from_nanos)
    }

    /// RTTVAR of RFC 6298.
    pub const fn rttvar(&self) -> Duration {
        Duration::from_nanos(self.rto.rttvar())
    }

    /// The retransmission timeout, back-off included.
    pub fn rto(&self) -> Duration {
        Duration::from_nanos(self.rto.rto())
    }

    /// SRTT and RTO in nanoseconds.
    pub(crate) fn nanos(&self) -> (Option<u64>, u64) {
        (self.rto.srtt(), self.rto.rto())
    }

    /// How often the RTO was doubled since the last RTT sample.
    pub const fn backoff(&self) -> u32 {
        self.rto.backoff()
    }

    /// The smallest RTT of the last minutes.
    pub fn min_rtt(&self) -> Option<Duration> {
        self.min_rtt.get().map(Duration::from_nanos)
    }

    /// A segment has overtaken another one on this connection.
    pub const fn reordering_seen(&self) -> bool {
        self.rack.reordering_seen()
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.trouble.counters
    }

    /// Charged bytes delivered so far.
    pub const fn delivered(&self) -> u64 {
        self.rate.delivered()
    }

    /// `pipe` may be so large now, in charged bytes: cwnd, or what fast recovery allows.
    pub fn window(&self, controller: &dyn Controller) -> u64 {
        match self.phase {
            Phase::Recovery if controller.governs_recovery() => controller.cwnd(),
            Phase::Recovery if !self.config.sack => self.trouble.newreno.cwnd(),
            Phase::Recovery => self.trouble.prr.map_or_else(|| controller.cwnd(), |prr| prr.window()),
            Phase::Disorder if !self.config.sack && self.config.limited_transmit => {
                controller.cwnd() + limited_transmit::extra_window(self.trouble.newreno.dup_acks(), u64::from(self.mss))
            }
            Phase::Open | Phase::Disorder | Phase::Loss => controller.cwnd(),
        }
    }

    const fn is_recovering(&self) -> bool {
        matches!(self.phase, Phase::Recovery | Phase::Loss)
    }
}
