//! SYN cookies (RFC 4987, section 3.6). A listener whose SYN queue is full keeps no record of a SYN. Its sequence number
//! holds the MSS, and its timestamp holds window scale, SACK and ECN, as on Linux; the final ACK brings both back. Without
//! timestamps the connection has no window scale and no SACK. `half_open` calls it.

use crate::event::{Cause, CookieStep, DropReason, HostEvent, State};
use crate::recovery::TsClock;
use crate::segment::{Flags, Options, Segment, Seq, Timestamps};
use crate::time::{Duration, Instant};

use super::Stack;
use super::address::FourTuple;
use super::config::SynCookies;
use super::connect::TS_TICK;
use super::half_open::SynAck;
use super::isn::Secret;
use super::listener::{HalfOpen, HalfOpenId, ListenerId};
use super::tcp::{Offer, Terms};
use super::timers::Deadline;

/// How long the counter in a cookie stays the same: 64 s as in RFC 4987. Linux has 60 s.
const PERIOD: Duration = Duration::from_secs(64);
/// A cookie is valid in the period in which it was sent and in the next one.
const PERIODS: u32 = 2;
/// A listener takes cookies for so long after it has sent one.
const TAKEN_FOR: Duration = Duration::from_secs(PERIOD.as_secs() * PERIODS as u64);

/// The MSS values that a cookie tells: those of Linux and two smaller ones. The largest that the peer takes is chosen. Linux
/// sends 536 bytes also to a peer that takes less.
const MSS_V4: [u16; 6] = [48, 216, 536, 1300, 1440, 1460];
const MSS_V6: [u16; 6] = [48, 536, 1220, 1420, 1440, 8940];

/// A cookie has the counter in the upper 8 bits, then 3 bits for the MSS. Both are hidden by hashes. The 21 bits below are a
/// hash alone, so that a number beside a cookie is none.
const COUNTER_AT: u32 = 24;
const MSS_AT: u32 = 21;
const BELOW_COUNTER: u32 = (1 << COUNTER_AT) - 1;
const BELOW_MSS: u32 = (1 << MSS_AT) - 1;

/// The low bits of the timestamp: window scale (15: none), SACK, ECN.
const OPTION_BITS: u32 = 0x3f;
const SCALE: u32 = 0xf;
const SACK: u32 = 0x10;
const ECN: u32 = 0x20;

fn mss_values(tuple: &FourTuple) -> &'static [u16; 6] {
    if tuple.local.ip().is_ipv4() { &MSS_V4 } else { &MSS_V6 }
}

fn period(now: Instant) -> u32 {
    (now.as_nanos() / PERIOD.as_nanos() as u64) as u32
}

/// The sequence number of a SYN|ACK that answers the SYN `irs` of a peer with this MSS.
fn sequence_number(secret: &Secret, tuple: &FourTuple, irs: Seq, mss: u16, now: Instant) -> Seq {
    let index = mss_values(tuple).iter().rposition(|value| *value <= mss).unwrap_or(0) as u32;
    let period = period(now);
    let low = secret.cookie_of_period(tuple, period).wrapping_add(index << MSS_AT) & BELOW_COUNTER;
    Seq(secret.cookie_base(tuple, irs)) + (period << COUNTER_AT) + low
}

/// The MSS that a cookie tells, if this host has sent it lately.
fn mss_of(secret: &Secret, tuple: &FourTuple, irs: Seq, cookie: Seq, now: Instant) -> Option<u16> {
    let bare = cookie - Seq(secret.cookie_base(tuple, irs));
    let period = period(now);
    let age = period.wrapping_sub(bare >> COUNTER_AT) & (u32::MAX >> COUNTER_AT);
    if age >= PERIODS {
        return None;
    }
    let low = bare.wrapping_sub(secret.cookie_of_period(tuple, period.wrapping_sub(age))) & BELOW_COUNTER;
    let index = (low & BELOW_MSS == 0).then_some(low >> MSS_AT)?;
    mss_values(tuple).get(index as usize).copied()
}

/// `TSval` of a SYN|ACK that tells the options: at most `clock`, and less than 128 ticks before it.
fn timestamp(clock: u32, wscale: Option<u8>, sack: bool, ecn: bool) -> u32 {
    let bits = wscale.map_or(SCALE, u32::from) | if sack { SACK } else { 0 } | if ecn { ECN } else { 0 };
    let told = (clock & !OPTION_BITS) | bits;
    if bits > clock & OPTION_BITS { told.wrapping_sub(OPTION_BITS + 1) } else { told }
}

impl Stack {
    /// Answers a SYN with a cookie. Nothing is kept of it.
    pub(super) fn send_cookie(&mut self, id: ListenerId, tuple: &FourTuple, syn: &Segment<'_>) {
        let listener = &mut self.tables.listeners[id];
        listener.cookie_at = Some(self.now);
        let ttl = listener.options.ttl;
        let ts = syn.options.ts.filter(|_| self.config.timestamps);
        let kept = if ts.is_some() {
            *syn
        } else {
            let options = Options { mss: syn.options.mss, ..Options::default() };
            Segment { options, flags: Flags::SYN, ..*syn }
        };
        let offer = Offer::new(&self.config, &listener.options, tuple).answer(&kept.options, kept.flags);
        let terms = Terms::new(&offer, &kept);
        let offset = self.secret.timestamp_offset(tuple);
        let clock = TsClock::new(0, TS_TICK).at(self.now);
        let peer_shift = terms.shifts.map(|(_, theirs)| theirs);
        let ts_val = timestamp(clock, peer_shift, terms.sack, terms.ecn).wrapping_add(offset);
        self.queue_syn_ack(&SynAck {
            tuple,
            iss: sequence_number(&self.secret, tuple, syn.seq, terms.peer_mss, self.now),
            irs: syn.seq,
            offer: &offer,
            ecn: terms.ecn,
            ts: Timestamps { ts_val, ts_ecr: ts.map_or(0, |ts| ts.ts_val) },
            ttl,
        });
        self.counters.syn_cookies_sent += 1;
        self.report_cookie(tuple, CookieStep::Sent);
    }

    /// An ACK without a record, for a listener. `None` if it cannot be of a cookie. A valid cookie makes a connection.
    pub(super) fn cookie_ingress(
        &mut self,
        id: ListenerId,
        tuple: &FourTuple,
        segment: &Segment<'_>,
    ) -> Option<Result<(), DropReason>> {
        let listener = &self.tables.listeners[id];
        let lately = listener.cookie_at.is_some_and(|at| self.now - at <= TAKEN_FOR);
        if segment.is_syn() || !lately || self.config.syn_cookies == SynCookies::Off {
            return None;
        }
        let (irs, iss) = (segment.seq - 1, segment.ack - 1);
        let Some(mss) = mss_of(&self.secret, tuple, irs, iss, self.now) else {
            self.counters.syn_cookies_failed += 1;
            self.report_cookie(tuple, CookieStep::Failed);
            return None;
        };
        let half_open = self.half_open_of_cookie(id, tuple, segment, mss);
        if self.pool.is_under_pressure() {
            return Some(Err(DropReason::NoMemory));
        }
        let listener = &self.tables.listeners[id];
        if !listener.takes_connection() {
            // Linux forgets this client. One that waits for the server to send first would wait for ever, so a record is
            // kept. Its SYN|ACK asks for another ACK when accept has made room.
            if listener.takes_verified() {
                let record = self.keep_half_open(half_open, segment);
                self.keep_waiting(id, record);
            }
            return Some(Err(DropReason::AcceptQueueFull));
        }
        self.counters.syn_cookies_received += 1;
        self.report_cookie(tuple, CookieStep::Received);
        self.hold_connection_port(tuple, id);
        self.events.state(tuple, State::Listen, State::SynReceived, Cause::Received(segment.flags));
        Some(self.establish(&half_open, segment))
    }

    /// Puts a record into the queue of those that wait for accept. Some in it may have gone.
    fn keep_waiting(&mut self, id: ListenerId, record: HalfOpenId) {
        let Self { tables, .. } = self;
        let waiting = &mut tables.listeners[id].waiting;
        if waiting.len() > tables.half_open.len() {
            waiting.retain(|record| tables.half_open.contains_key(*record));
        }
        waiting.push_back(record);
    }

    /// Accept has made room: asks the next client that has returned its cookie for its ACK.
    pub(super) fn ask_waiting(&mut self, id: ListenerId) {
        while let Some(record) = self.tables.listeners[id].waiting.pop_front() {
            if self.tables.half_open.contains_key(record) {
                self.tables.listeners[id].waiting.push_back(record);
                self.send_syn_ack(record);
                return;
            }
        }
    }

    /// The record that the SYN would have made. When the SYN|ACK left is not known, so it is no sample of the RTT. Our window
    /// scale follows from the settings: it is another one if they were changed in the meantime, as on Linux.
    fn half_open_of_cookie(&self, id: ListenerId, tuple: &FourTuple, ack: &Segment<'_>, mss: u16) -> HalfOpen {
        let listener = &self.tables.listeners[id];
        let ts = ack.options.ts.filter(|_| self.config.timestamps);
        let told = ts.map(|ts| ts.ts_ecr.wrapping_sub(self.secret.timestamp_offset(tuple)) & OPTION_BITS);
        let told = told.unwrap_or(SCALE);
        let scale = (told & SCALE) as u8;
        let options = Options {
            mss: Some(mss),
            wscale: Some(scale).filter(|scale| u32::from(*scale) != SCALE),
            sack_permitted: told & SACK != 0,
            ts,
            ..Options::default()
        };
        let ecn = if told & ECN != 0 { Flags::ECE | Flags::CWR } else { Flags::default() };
        let (seq, flags) = (ack.seq - 1, Flags::SYN | ecn);
        let offer = Offer::new(&self.config, &listener.options, tuple).answer(&options, flags);
        let terms = Terms::new(&offer, &Segment { seq, flags, options, ..*ack });
        HalfOpen {
            tuple: *tuple,
            listener: id,
            iss: ack.ack - 1,
            offer,
            terms,
            rcv_buf: listener.options.rcv_buf,
            ts_recent: ts.map(|ts| (ts.ts_val, self.now)),
            sent_at: None,
            sends: 1,
            retries: 0,
            held: false,
            deadline: Deadline::default(),
            challenge_at: Instant::EPOCH,
            clock: self.ts_clock(tuple),
        }
    }

    fn report_cookie(&mut self, tuple: &FourTuple, step: CookieStep) {
        self.events.push(HostEvent::SynCookie { local: tuple.local_addr(), remote: tuple.remote_addr(), step });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::SocketAddr;

    fn tuple(remote: &str) -> FourTuple {
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let local = if remote.starts_with('[') { "[2001:db8::1]:80" } else { "192.0.2.1:80" };
        FourTuple::new(at(local), at(remote))
    }

    #[test]
    fn a_cookie_tells_the_largest_mss_of_its_table_that_the_peer_takes() {
        let (secret, irs, now) = (Secret::new(3), Seq(77), Instant::from_secs(1_000_000));
        let v4 = [(48, 48), (215, 48), (216, 216), (535, 216), (536, 536), (1299, 536), (1300, 1300), (1459, 1440)];
        let v6 = [(48, 48), (536, 536), (1219, 536), (1220, 1220), (1440, 1440), (8939, 1440), (8940, 8940)];
        for (remote, pairs) in [("192.0.2.2:4000", &v4[..]), ("[2001:db8::2]:4000", &v6[..])] {
            for (mss, told) in pairs {
                let cookie = sequence_number(&secret, &tuple(remote), irs, *mss, now);
                assert_eq!(mss_of(&secret, &tuple(remote), irs, cookie, now), Some(*told), "{remote}, MSS {mss}");
            }
        }
    }

    #[test]
    fn a_cookie_is_valid_in_its_period_and_the_next_one_for_its_ends_and_its_number_only() {
        let (secret, tuple, irs) = (Secret::new(3), tuple("192.0.2.2:4000"), Seq(u32::MAX));
        // The counter in the cookie has eight bits: it wraps around with period 256.
        for first in [0, 64 * 255, 64 * 256, 64 * 1000] {
            let sent = Instant::from_secs(first);
            let cookie = sequence_number(&secret, &tuple, irs, 1460, sent);
            let at = |secret: &Secret, tuple, irs, cookie, after| mss_of(secret, tuple, irs, cookie, sent + after);
            let last = Duration::from_nanos(128_000_000_000 - 1);
            assert_eq!(at(&secret, &tuple, irs, cookie, last), Some(1460));
            assert_eq!(at(&secret, &tuple, irs, cookie, 2 * PERIOD), None);
            assert_eq!(at(&secret, &tuple, irs + 1, cookie, Duration::ZERO), None);
            assert_eq!(at(&secret, &tuple, irs, cookie + 1, Duration::ZERO), None);
            assert_eq!(at(&secret, &tuple, irs, cookie - 1, Duration::ZERO), None);
            assert_eq!(at(&Secret::new(4), &tuple, irs, cookie, Duration::ZERO), None);
            let other = FourTuple { remote_port: 4001, ..tuple };
            assert_eq!(at(&secret, &other, irs, cookie, Duration::ZERO), None);
            if first >= 64 {
                let before = Instant::from_nanos(sent.as_nanos() - 1);
                assert_eq!(mss_of(&secret, &tuple, irs, cookie, before), None, "not sent yet");
            }
        }
    }

    #[test]
    fn of_a_million_guessed_numbers_at_most_one_is_a_cookie() {
        let (secret, tuple, now) = (Secret::new(3), tuple("192.0.2.2:4000"), Instant::from_secs(70));
        // 2 periods with 6 values each are 12 of 2^32 numbers.
        let hits = (0..1_000_000_u32).filter(|n| mss_of(&secret, &tuple, Seq(5), Seq(n * 4_294), now).is_some());
        assert!(hits.count() <= 1);
    }

    #[test]
    fn the_timestamp_tells_the_options_and_is_never_ahead_of_the_clock() {
        for clock in [0, 1, 63, 64, 1_000, 12_345, u32::MAX] {
            for (wscale, sack, ecn) in [(None, false, false), (Some(0), true, false), (Some(14), false, true)] {
                let told = timestamp(clock, wscale, sack, ecn);
                assert_eq!((told & SCALE) as u8, wscale.unwrap_or(15));
                assert_eq!((told & SACK != 0, told & ECN != 0), (sack, ecn));
                assert!(clock.wrapping_sub(told) < 128, "{clock} {told}");
            }
        }
    }
}
