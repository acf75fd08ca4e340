//! The receiver of one connection: reassembly, the receive buffer, the ACK policy, SACK and DSACK blocks, the window and
//! its growth (RFC 9293, sections 3.8.6.2.2 and 3.8.6.3; RFC 2018; RFC 2883; RFC 5681, section 4.2). It owns RCV.NXT and
//! RCV.WND. [`Tcp`](super::Tcp) calls it. A position counts bytes of text from IRS + 1.

mod ack;
mod grow;
mod reassembly;
mod window;

use crate::recovery::seldom::Seldom;
use crate::segment::{SackBlock, Seq};
use crate::stack::config::{HostConfig, TcpOptions};
use crate::time::Instant;

use super::memory::{BlockPool, Buffer};
use super::terms::Terms;

pub(super) use ack::AckPolicy;
use grow::Growth;
use reassembly::Reassembly;
use window::AdvertisedWindow;

/// The receiver of one connection, from the peer's SYN on.
#[derive(Debug)]
pub(in crate::stack) struct Receiver {
    /// IRS + 1: the sequence number of position 0.
    start: Seq,
    text: Buffer,
    /// The positions behind the last byte that was read, and of the first that is missing.
    read: u64,
    nxt: u64,
    /// The position of the peer's FIN, once it is known; it may lie beyond a hole.
    fin_at: Option<u64>,
    /// RCV.NXT is behind the FIN.
    fin_received: bool,
    reassembly: Seldom<Reassembly>,
    /// What was received twice, for the next ACK.
    dsack: Option<SackBlock>,
    with_sack: bool,
    with_dsack: bool,
    window: AdvertisedWindow,
    growth: Growth,
    pub(super) ack: AckPolicy,
}

/// What became of the text and the FIN of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Taken {
    /// There is more to read.
    pub(super) readable: bool,
    /// RCV.NXT has passed the FIN with this segment.
    pub(super) fin: bool,
    /// An ACK must go at once (RFC 5681, section 4.2).
    pub(super) ack_now: bool,
    /// Text was left because memory is short.
    pub(super) no_memory: bool,
    /// Text or FIN beyond the window was cut off.
    pub(super) cut: bool,
}

impl Receiver {
    pub(super) fn new(config: &HostConfig, options: &TcpOptions, terms: &Terms, now: Instant) -> Self {
        let mut size = options.rcv_buf.unwrap_or(config.rcv_buf_initial);
        if config.whole_segment_buffers {
            size = size.next_multiple_of(terms.whole_segment(config.mtu) as usize);
        }
        let max = if options.rcv_buf.is_some() { size } else { config.rcv_buf_max };
        let peer_mss = u32::from(terms.peer_mss).min(terms.send_mss(config.mtu));
        Self {
            start: terms.irs + 1,
            text: Buffer::default(),
            read: 0,
            nxt: 0,
            fin_at: None,
            fin_received: false,
            reassembly: Seldom::default(),
            dsack: None,
            with_sack: terms.sack,
            with_dsack: terms.sack && config.dsack,
            window: AdvertisedWindow::new(size, terms.our_shift(), config.window_update),
            growth: Growth::new(size, max, peer_mss, now),
            ack: AckPolicy::new(config, options, peer_mss),
        }
    }

    /// RCV.NXT.
    pub(in crate::stack) fn rcv_nxt(&self) -> Seq {
        self.start + self.nxt as u32 + u32::from(self.fin_received)
    }

    /// The right edge of the window that was advertised.
    pub(super) fn right_edge(&self) -> Seq {
        self.start + self.window.limit() as u32 + u32::from(self.fin_received)
    }

    /// The right edge that the free space of the buffer would permit.
    pub(super) fn buffer_edge(&self) -> Seq {
        self.rcv_nxt() + self.window.buffer().saturating_sub(self.unread()) as u32
    }

    /// RCV.NXT as the last ACK said it (`Last.ACK.sent` of RFC 7323, section 4.3).
    pub(super) fn last_ack_sent(&self) -> Seq {
        let fin = self.fin_received && self.window.last_ack() == self.nxt && !self.ack.is_pending();
        self.seq_at(self.window.last_ack()) + u32::from(fin)
    }

    /// The rules refused text: if it came before, the next ACK says so (RFC 2883, section 4).
    pub(super) fn note_refused(&mut self, seq: Seq, len: u32) {
        let begin = self.position(seq);
        let end = begin + i64::from(len);
        if end <= self.nxt as i64 {
            self.note_duplicate(begin, end);
        }
    }

    /// RCV.WND as advertised, in bytes.
    pub(in crate::stack) fn rcv_wnd(&self) -> u32 {
        self.window.advertised().saturating_sub(self.nxt) as u32
    }

    /// The size of the buffer, in bytes (`SO_RCVBUF`).
    pub(in crate::stack) const fn buffer_size(&self) -> usize {
        self.window.buffer()
    }

    /// Bytes that wait to be read.
    pub(in crate::stack) const fn unread(&self) -> usize {
        (self.nxt - self.read) as usize
    }

    /// The peer has ended its direction, and all before its FIN has come.
    pub(in crate::stack) const fn fin_received(&self) -> bool {
        self.fin_received
    }

    /// The largest segment of the peer, as estimated (Linux's `rcv_mss`).
    pub(in crate::stack) const fn peer_mss(&self) -> u32 {
        self.ack.peer_mss()
    }

    /// How far `seq` lies behind the begin of the stream.
    fn position(&self, seq: Seq) -> i64 {
        self.nxt as i64 + i64::from(seq.distance(self.start + self.nxt as u32))
    }

    fn seq_at(&self, position: u64) -> Seq {
        self.start + position as u32
    }

    /// Takes text and FIN of a segment that the rules let through.
    pub(super) fn on_text(&mut self, now: Instant, seq: Seq, text: &[u8], fin: bool, pool: &mut BlockPool) -> Taken {
        let mut taken = Taken::default();
        if text.is_empty() && !fin {
            return taken;
        }
        let begin = self.position(seq);
        let end = begin + text.len() as i64;
        let nxt = self.nxt as i64;
        if self.fin_received && begin > nxt {
            // RFC 9293, section 3.10.7.4: "This should not occur since a FIN has been received from the remote side. Ignore
            // the segment text."
            return taken;
        }
        if self.fin_received || (end < nxt) || (end == nxt && !(fin && self.fin_at.is_none_or(|at| at == self.nxt))) {
            // Nothing new. RFC 2883, section 4: report the duplicate; RFC 5681, section 4.2: at once.
            self.note_duplicate(begin, end);
            taken.ack_now = true;
            return taken;
        }
        if begin < nxt && end > begin {
            self.note_duplicate(begin, nxt.min(end));
        }
        let skip = (nxt - begin).clamp(0, text.len() as i64) as usize;
        let (from, mut text, mut fin) = ((begin + skip as i64) as u64, &text[skip..], fin);
        // RFC 9293, section 3.4: text beyond the right edge is not taken, and neither is a FIN behind it. A FIN right at the
        // edge is taken, as on Linux: it needs no room.
        let room = self.window.limit().saturating_sub(from) as usize;
        if text.len() > room {
            (text, fin, taken.cut, taken.ack_now) = (&text[..room], false, true, true);
        }
        if let Some(fin_at) = self.fin_at {
            // RFC 9293, section 3.10.7.4: nothing comes after a FIN.
            let room = fin_at.saturating_sub(from) as usize;
            text = &text[..text.len().min(room)];
        }
        if text.len() > pool.room() {
            (taken.no_memory, taken.ack_now) = (true, false);
            return taken;
        }
        let to = from + text.len() as u64;
        if fin && self.fin_at.is_none() {
            self.fin_at = Some(to);
        }
        if from == self.nxt {
            if fin {
                self.ack.expect_fin();
            }
            self.take_in_order(now, from, text, &mut taken, pool);
        } else {
            let fin = fin && self.fin_at == Some(to);
            self.take_out_of_order(from, to, text, fin, pool);
            taken.ack_now = true;
        }
        if !self.fin_received && self.fin_at == Some(self.nxt) {
            // RFC 9293, section 3.10.7.4, eighth: "advance RCV.NXT over the FIN".
            (self.fin_received, taken.fin) = (true, true);
        }
        taken
    }

    fn take_in_order(&mut self, now: Instant, from: u64, text: &[u8], taken: &mut Taken, pool: &mut BlockPool) {
        if !text.is_empty() {
            self.text.write(from, text, pool);
            taken.readable = true;
        }
        self.nxt += text.len() as u64;
        if !self.reassembly.is_empty() {
            // RFC 5681, section 4.2: at once for a segment "that fills in all or part of a gap".
            taken.ack_now = true;
            if let Some(block) = self.reassembly.overlap(from, self.nxt) {
                self.dsack = self.dsack.or_else(|| self.block(block.0, block.1));
            }
            self.nxt = self.reassembly.advance(self.nxt).min(self.fin_at.unwrap_or(u64::MAX));
        }
        if !text.is_empty() {
            self.ack.on_text(now, text.len() as u32);
            let full = self.nxt - self.window.last_ack() > u64::from(self.ack.peer_mss());
            if full && self.window.can_keep(self.nxt, self.unread(), pool.is_under_pressure()) {
                self.ack.set_now();
            }
        }
    }

    /// Text from `from` to `to` lies beyond a hole. A FIN behind it takes a position too: a SACK block covers its sequence
    /// number, as on Linux, so that the peer does not send it again needlessly (RFC 2018, section 3).
    fn take_out_of_order(&mut self, from: u64, to: u64, text: &[u8], fin: bool, pool: &mut BlockPool) {
        let to = to + u64::from(fin);
        if from == to {
            return;
        }
        if let Some(block) = self.reassembly.overlap(from, to) {
            self.dsack = self.dsack.or_else(|| self.block(block.0, block.1));
        }
        if self.reassembly.insert(from, to) {
            self.text.write(from, text, pool);
        }
    }

    /// Text from `begin` to `end` came again.
    fn note_duplicate(&mut self, begin: i64, end: i64) {
        if let (Ok(begin), Ok(end)) = (u64::try_from(begin), u64::try_from(end)) {
            self.dsack = self.dsack.or_else(|| self.block(begin, end));
        }
    }

    fn block(&self, begin: u64, end: u64) -> Option<SackBlock> {
        (self.with_dsack && begin < end).then(|| SackBlock { left: self.seq_at(begin), right: self.seq_at(end) })
    }

    /// The SACK blocks of the next ACK: a DSACK first (RFC 2883, section 4), then the range of the segment that came last
    /// (RFC 2018, section 4), at most `room`. Unused places are empty blocks.
    pub(super) fn sack_blocks(&self, room: usize) -> [SackBlock; 4] {
        let mut blocks = [SackBlock::default(); 4];
        if !self.with_sack || (self.dsack.is_none() && self.reassembly.is_empty()) {
            return blocks;
        }
        let ranges = self.reassembly.recent().map(|(from, to)| self.block_of(from, to));
        for (place, block) in blocks.iter_mut().take(room).zip(self.dsack.into_iter().chain(ranges)) {
            *place = block;
        }
        blocks
    }

    fn block_of(&self, from: u64, to: u64) -> SackBlock {
        SackBlock { left: self.seq_at(from), right: self.seq_at(to) }
    }

    /// How many SACK blocks the next ACK has, at most `room`.
    pub(super) fn sack_count(&self, room: usize) -> usize {
        if !self.with_sack {
            return 0;
        }
        (usize::from(self.dsack.is_some()) + self.reassembly.recent_len()).min(room)
    }

    /// The window field of a segment that leaves now.
    pub(super) fn window_field(&mut self, pressure: bool) -> u16 {
        let step = u64::from(self.ack.peer_mss());
        self.window.offer(self.nxt, self.unread(), step, pressure)
    }

    /// A segment with an ACK left. `sack`: it carried the SACK blocks.
    pub(super) fn on_ack_sent(&mut self, sack: bool) {
        self.window.acked(self.nxt);
        self.ack.on_ack_sent();
        if sack {
            self.dsack = None;
        }
    }

    /// Copies bytes to `out`. Returns how many. With `peek` they stay.
    pub(in crate::stack) fn read(&mut self, now: Instant, out: &mut [u8], peek: bool, pool: &mut BlockPool) -> usize {
        let len = out.len().min(self.unread());
        self.text.read(self.read, &mut out[..len]);
        if !peek && len > 0 {
            self.read += len as u64;
            // Blocks that out-of-order text lies in are kept.
            let end = if self.reassembly.is_empty() { self.nxt } else { u64::MAX };
            self.text.free_before(self.read, end, pool);
            if let Some(size) = self.growth.on_read(now, self.read) {
                self.window.set_buffer(size);
            }
            let (unread, pressure) = (self.unread(), pool.is_under_pressure());
            // After the peer's FIN no text comes for which a window could open. As Linux's `tcp_cleanup_rbuf`.
            if !self.fin_received && self.window.update_is_due(self.nxt, unread, self.ack.peer_mss(), pressure) {
                self.ack.set_now();
            }
            self.ack.on_read(self.nxt - self.window.last_ack(), unread == 0);
        }
        len
    }

    /// A round-trip time as the receiver sees it, in nanoseconds, for the growth of the buffer.
    pub(super) fn on_rtt(&mut self, rtt: u64) {
        self.growth.on_rtt(rtt);
    }

    /// Without timestamps: a round trip is the time in which one window arrives.
    pub(super) fn measure_rtt(&mut self, now: Instant) {
        self.growth.on_received(now, self.nxt, self.window.limit());
    }

    /// `SO_RCVBUF`: the size is fixed from now on.
    pub(in crate::stack) fn set_buffer(&mut self, size: usize) {
        self.growth.fix();
        self.window.set_buffer(size);
    }

    /// Takes what waits to be read out, when the connection is over.
    pub(in crate::stack) fn take_unread(&mut self, pool: &mut BlockPool) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.text.append_to(self.read, self.unread(), &mut bytes);
        self.read = self.nxt;
        self.release(pool);
        bytes
    }

    pub(super) fn has_spare_memory(&self) -> bool {
        self.text.has_spare_places() || (self.reassembly.memory() > 0 && self.reassembly.is_empty())
    }

    /// Gives back the memory that an idle connection does not need.
    pub(super) fn shrink(&mut self) {
        self.text.shrink();
        self.reassembly.shrink(Reassembly::is_empty);
    }

    /// Gives the memory back.
    pub(super) fn release(&mut self, pool: &mut BlockPool) {
        self.text.clear(pool);
    }
}
