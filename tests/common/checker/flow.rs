//! One connection as its host's end of the wire shows it. A position of ours counts from our initial sequence number, a
//! position of the peer from its own: the SYN is at 0, text begins at 1. `arrivals` and `departures` change the state.

use std::collections::VecDeque;
use std::net::SocketAddr;

use tcplab::segment::{Options, Seq};
use tcplab::time::{Duration, Instant};

use super::ranges::Ranges;
use super::{Arrival, Findings, LONGEST_DELAY, Moments};

/// The shortest time in which a segment that draws nothing but an ACK must be answered once (RFC 5961, section 7).
pub(super) const CHALLENGE_INTERVAL: Duration = Duration::from_millis(500);

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) ends: (SocketAddr, SocketAddr),
    pub(super) ours: Ours,
    pub(super) peer: Peers,
    pub(super) owed: Owed,
    /// An RST passed: nothing is owed any more.
    pub(super) reset: bool,
    /// The program reads at once: every second full segment is acknowledged at once (RFC 5681, section 4.2). When a program
    /// reads late, the window cannot stay as large as it is, and the ACK is delayed (Linux's `__tcp_ack_snd_check`).
    pub(super) reads_at_once: bool,
    /// What arrived, and may not have been processed yet.
    pub(super) waiting: VecDeque<Arrival>,
}

/// What we sent, and what came back about it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ours {
    pub(super) iss: Option<Seq>,
    pub(super) syn: Options,
    /// SND.UNA and SND.NXT.
    pub(super) una: i64,
    pub(super) nxt: i64,
    /// The right edges of the peer's window that were announced lately; the rightmost one.
    pub(super) edges: Vec<i64>,
    pub(super) edge: i64,
    pub(super) sacked: Ranges,
    /// The text, to compare what is sent again.
    pub(super) text: Vec<u8>,
    pub(super) fin: Option<i64>,
    pub(super) ts_val: Option<u32>,
}

/// What came from the peer, and what we said about it.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers {
    pub(super) irs: Option<Seq>,
    pub(super) syn: Options,
    /// RCV.NXT, and the text beyond a hole.
    pub(super) nxt: i64,
    pub(super) beyond: Ranges,
    pub(super) fin: Option<i64>,
    /// All text so far, for DSACK.
    pub(super) received: Ranges,
    pub(super) twice: Ranges,
    /// The last range that arrived out of order or filled a part of a hole.
    pub(super) newest: Option<(i64, i64)>,
    /// The largest ACK that left (`Last.ACK.sent` of RFC 7323, section 4.3), and when one left last.
    pub(super) acked: i64,
    pub(super) answered_at: Option<Instant>,
    /// The rightmost edge that we announced.
    pub(super) promised: i64,
    /// `TS.Recent` lies between these. In a batch the wire does not tell which ACK was made before a segment came.
    pub(super) ts_recent: Option<(u32, u32)>,
    pub(super) largest: i64,
}

/// The ACKs that are owed.
#[derive(Clone, Debug, Default)]
pub(super) struct Owed {
    /// Text in order came at this time and is not acknowledged: a delayed ACK.
    pub(super) text: Option<Instant>,
    /// Two full segments are not acknowledged since then.
    pub(super) second: Option<Instant>,
    /// One ACK for each of these, at once, and why.
    pub(super) at_once: Vec<(Instant, &'static str)>,
}

impl Flow {
    pub(super) fn new(ends: (SocketAddr, SocketAddr), reads_at_once: bool) -> Self {
        let (ours, peer, owed) = (Ours::default(), Peers::default(), Owed::default());
        Self { ends, ours, peer, owed, reset: false, reads_at_once, waiting: VecDeque::new() }
    }

    pub(super) fn acked(&self) -> i64 {
        self.peer.acked
    }

    /// Both FINs were acknowledged.
    pub(super) fn is_closed(&self) -> bool {
        let sent = self.ours.fin.is_some_and(|fin| self.ours.una > fin);
        sent && self.peer.fin.is_some_and(|fin| self.peer.acked > fin)
    }

    /// The shift of the windows that we announce, and of those of the peer (RFC 7323, section 2.2).
    pub(super) fn shifts(&self) -> (u8, u8) {
        match (self.ours.syn.wscale, self.peer.syn.wscale) {
            (Some(ours), Some(peer)) => (ours.min(14), peer.min(14)),
            _ => (0, 0),
        }
    }

    pub(super) fn has_timestamps(&self) -> bool {
        self.ours.syn.ts.is_some() && self.peer.syn.ts.is_some()
    }

    pub(super) fn has_sack(&self) -> bool {
        self.ours.syn.sack_permitted && self.peer.syn.sack_permitted
    }

    /// The position of a sequence number of ours; connections here carry less than 2 GiB.
    pub(super) fn our_position(&self, seq: Seq) -> i64 {
        self.ours.iss.map_or(0, |iss| i64::from(seq.distance(iss)))
    }

    pub(super) fn peer_position(&self, seq: Seq) -> i64 {
        self.peer.irs.map_or(0, |irs| i64::from(seq.distance(irs)))
    }

    pub(super) fn breach(&self, at: Instant, findings: &mut Findings, what: &str) {
        findings.breaches.push(format!("{at} {} to {}: {what}", self.ends.0, self.ends.1));
    }

    /// Takes what must have been processed by now, and names the ACKs that should have left.
    pub(super) fn settle(&mut self, batch: u64, moments: &Moments, findings: &mut Findings) {
        while let Some(arrival) = self.waiting.front().copied()
            && (arrival.batch < batch || moments.is_late(arrival.at))
        {
            self.waiting.pop_front();
            self.on_arrival(&arrival, findings);
        }
        self.look_for_late_acks(moments, findings);
    }

    fn look_for_late_acks(&mut self, moments: &Moments, findings: &mut Findings) {
        if self.reset {
            self.owed = Owed::default();
            return;
        }
        if let Some((at, why)) = self.owed.at_once.first().copied()
            && moments.is_late(at)
        {
            self.breach(at, findings, &format!("no ACK at once for {why}"));
            self.owed.at_once.clear();
        }
        if let Some(at) = self.owed.text
            && moments.is_late(at + LONGEST_DELAY)
        {
            self.breach(at, findings, &format!("no ACK within {LONGEST_DELAY:?} for text in order"));
            self.owed.text = None;
        }
    }
}
