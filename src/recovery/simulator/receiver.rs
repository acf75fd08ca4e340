//! The receiver of the simulator: reassembly, SACK in RFC 2018's order, DSACK, delayed ACKs, timestamps and PAWS.

use super::{AckSegment, DataSegment};
use crate::segment::{SackBlock, Seq};
use crate::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub(crate) rcv_nxt: Seq,
    /// What arrived beyond a hole, most recent first.
    blocks: Vec<SackBlock>,
    pub(crate) sack: bool,
    pub(crate) timestamps: bool,
    pub(crate) delay: Duration,
    mss: u32,
    pub(crate) ts_recent: u32,
    last_ack_sent: Seq,
    unacked: u32,
    pub(crate) ack_at: Option<Instant>,
    /// Segments that brought nothing new.
    pub(crate) duplicates: u64,
    /// The FIN has arrived in order.
    pub(crate) finished: bool,
    fin_at: Option<Seq>,
}

impl Receiver {
    pub(crate) fn new(rcv_nxt: Seq, mss: u32) -> Self {
        Self {
            rcv_nxt,
            blocks: Vec::new(),
            sack: true,
            timestamps: true,
            delay: Duration::from_millis(40),
            mss,
            ts_recent: 0,
            last_ack_sent: rcv_nxt,
            unacked: 0,
            ack_at: None,
            duplicates: 0,
            finished: false,
            fin_at: None,
        }
    }

    /// Drops all that is beyond the first hole, as RFC 2018, section 8 allows.
    pub(crate) fn renege(&mut self) {
        self.blocks.clear();
    }

    /// Takes a segment and answers if an ACK is due at once.
    pub(crate) fn handle_data(&mut self, now: Instant, data: &DataSegment) -> Option<AckSegment> {
        let end = data.seq + (data.text + u32::from(data.fin));
        let dsack = self.known(data.seq, end);
        // RFC 7323, section 5.3 (PAWS): an old segment is dropped; what it repeats still owes a DSACK.
        let old = self.timestamps && (data.ts_val.wrapping_sub(self.ts_recent) as i32) < 0;
        if self.timestamps && !old && data.seq <= self.last_ack_sent {
            self.ts_recent = data.ts_val;
        }
        if dsack.is_some() || old {
            self.duplicates += 1;
            return Some(self.ack(now, dsack));
        }
        if data.fin {
            self.fin_at = Some(end);
        }
        let in_order = data.seq <= self.rcv_nxt && self.blocks.is_empty();
        self.store(data.seq, end);
        self.finished |= self.fin_at == Some(self.rcv_nxt);
        if !in_order || data.fin {
            return Some(self.ack(now, None));
        }
        // RFC 9293, section 3.8.6.3: an ACK for each second full-sized segment, and within the delay.
        self.unacked += u32::from(data.text >= self.mss);
        if self.unacked >= 2 || self.delay.is_zero() {
            return Some(self.ack(now, None));
        }
        if self.ack_at.is_none() {
            self.ack_at = Some(now + self.delay);
        }
        None
    }

    /// The part of the segment's range that is here already, if it is all of it.
    fn known(&self, left: Seq, right: Seq) -> Option<SackBlock> {
        let block = SackBlock { left, right };
        (right <= self.rcv_nxt || self.blocks.iter().any(|known| known.left <= left && right <= known.right))
            .then_some(block)
    }

    fn store(&mut self, left: Seq, right: Seq) {
        let mut merged = SackBlock { left: left.max(self.rcv_nxt), right };
        self.blocks.retain(|known| {
            let apart = known.right < merged.left || known.left > merged.right;
            if !apart {
                merged.left = merged.left.min(known.left);
                merged.right = merged.right.max(known.right);
            }
            apart
        });
        if merged.left <= self.rcv_nxt {
            self.rcv_nxt = self.rcv_nxt.max(merged.right);
        } else {
            self.blocks.insert(0, merged);
        }
    }

    /// An ACK of now.
    pub(crate) fn ack(&mut self, _now: Instant, dsack: Option<SackBlock>) -> AckSegment {
        self.unacked = 0;
        self.ack_at = None;
        self.last_ack_sent = self.rcv_nxt;
        let mut sack = Vec::new();
        if self.sack {
            sack.extend(dsack);
            sack.extend(self.blocks.iter().take(if self.timestamps { 3 } else { 4 } - sack.len()));
        }
        AckSegment { ack: self.rcv_nxt, sack, ts_ecr: self.timestamps.then_some(self.ts_recent) }
    }
}
