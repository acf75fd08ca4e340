//! What a host sends to strangers, and how often: ICMP errors (RFC 4443, section 2.4 (f); Linux's `icmp_ratelimit` and
//! `icmp_msgs_per_sec`) and RSTs for segments of no connection. `ingress` and `half_open` call it. Linux does not limit these
//! RSTs; the limit here is our own, after the one of FreeBSD. Replies to the host itself have no limit.

use crate::event::{HostEvent, LimitedReply};
use crate::segment::{Flags, IpView, Segment, SegmentTemplate};
use crate::time::{Duration, Instant};

use super::Stack;
use super::address::Addr;
use super::config::HostConfig;
use super::destinations::Destinations;
use super::one_packet::OnePacket;

/// ICMP errors to one destination at once; one more each [`HostConfig::icmp_interval`]. Linux: `XRLIM_BURST_FACTOR`.
const BURST_PER_DESTINATION: u32 = 6;

/// A token bucket, as the instant at which it is full again.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// Whether there is a token, if one comes each `interval` and there are `burst` at most.
    fn has_token(self, now: Instant, interval: Duration, burst: u32) -> bool {
        self.full_at <= now || self.full_at - now <= interval.saturating_mul(burst.max(1) - 1)
    }

    fn take(&mut self, now: Instant, interval: Duration) {
        self.full_at = self.full_at.max(now) + interval;
    }
}

/// The buckets of a host.
#[derive(Debug, Default)]
pub(super) struct ReplyLimits {
    icmp: Bucket,
    resets: Bucket,
    /// For a destination that was forgotten the limit for all still holds.
    icmp_to: Destinations<Bucket>,
}

/// From one token to the next; `None` if there is no limit.
fn interval(rate: u32) -> Option<Duration> {
    Duration::from_secs(1).checked_div(rate)
}

impl ReplyLimits {
    fn takes_reset(&mut self, now: Instant, config: &HostConfig) -> bool {
        let Some(interval) = interval(config.reset_rate) else { return true };
        let allowed = self.resets.has_token(now, interval, config.reset_burst);
        if allowed {
            self.resets.take(now, interval);
        }
        allowed
    }

    fn takes_icmp_error(&mut self, now: Instant, to: Addr, config: &HostConfig) -> bool {
        let all = interval(config.icmp_rate);
        if all.is_some_and(|interval| !self.icmp.has_token(now, interval, config.icmp_burst)) {
            return false;
        }
        let each = config.icmp_interval;
        if !each.is_zero() {
            let bucket = self.icmp_to.get_or_insert(to, Bucket::default());
            if !bucket.has_token(now, each, BURST_PER_DESTINATION) {
                return false;
            }
            bucket.take(now, each);
        }
        if let Some(interval) = all {
            self.icmp.take(now, interval);
        }
        true
    }
}

impl Stack {
    /// Answers a segment of no connection with an RST, if the limit permits it.
    pub(super) fn send_reset(&mut self, segment: &Segment<'_>) {
        let permitted =
            self.addresses.is_own(segment.src.ip()) || self.reply_limits.takes_reset(self.now, &self.config);
        if permitted {
            self.queues.send(&reset_for(segment));
        } else {
            self.counters.resets_limited += 1;
            self.events.push(HostEvent::Limited { reply: LimitedReply::Reset });
        }
    }

    /// Lets smoltcp send an ICMP error about a packet that nobody takes: port or protocol unreachable. RFC 1122, section
    /// 3.2.2, and RFC 4443, section 2.4 (e), name the packets about which there is none.
    pub(super) fn send_icmp_error(&mut self, ip: &IpView<'_>, bytes: &[u8]) {
        let own = self.addresses.is_own(ip.src);
        if !own && !ip.allows_icmp_error() {
            return;
        }
        if own || self.reply_limits.takes_icmp_error(self.now, Addr::new(ip.src), &self.config) {
            self.give_to_nobody(bytes);
        } else {
            self.counters.icmp_errors_limited += 1;
            self.events.push(HostEvent::Limited { reply: LimitedReply::IcmpError });
        }
    }

    /// Lets smoltcp answer a packet that has no socket: echo reply, port or protocol unreachable.
    pub(super) fn give_to_nobody(&mut self, bytes: &[u8]) {
        let mut reply = self.queues.take_spare();
        let mut device = OnePacket::receiving(self.config.mtu, bytes, &mut reply.bytes);
        self.interface.poll_ingress_single(self.now.to_smoltcp(), &mut device, &mut self.nobody);
        // smoltcp leaves the checksums to us.
        if reply.bytes.is_empty() {
            self.queues.give_back(reply);
        } else {
            crate::segment::fill_checksums(&mut reply.bytes);
            self.queues.out.push_back(reply);
        }
    }
}

/// RFC 9293, section 3.10.7.1: `<SEQ=SEG.ACK><CTL=RST>`, or `<SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>` where there is no
/// ACK.
pub(super) fn reset_for(segment: &Segment<'_>) -> SegmentTemplate<'static> {
    let reset = SegmentTemplate { flags: Flags::RST, ..SegmentTemplate::new(segment.dst, segment.src) };
    if segment.is_ack() {
        SegmentTemplate { seq: segment.ack, ..reset }
    } else {
        SegmentTemplate { ack: segment.end(), flags: Flags::RST | Flags::ACK, ..reset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(n: u32) -> Addr {
        Addr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::from_bits(n)))
    }

    #[test]
    fn a_destination_gets_six_errors_at_once_and_one_more_each_second() {
        let (mut limits, config) = (ReplyLimits::default(), HostConfig::default());
        let mut sent_at = |now, to| (0..20).filter(|_| limits.takes_icmp_error(now, addr(to), &config)).count();
        assert_eq!(sent_at(Instant::EPOCH, 1), 6);
        assert_eq!(sent_at(Instant::EPOCH, 2), 6, "another destination has its own");
        assert_eq!(sent_at(Instant::from_nanos(999_999_999), 1), 0);
        assert_eq!(sent_at(Instant::from_secs(1), 1), 1);
        assert_eq!(sent_at(Instant::from_secs(4), 1), 3);
        assert_eq!(sent_at(Instant::from_secs(100), 1), 6);
    }

    #[test]
    fn all_destinations_together_get_fifty_errors_at_once_and_a_thousand_in_a_second() {
        let (mut limits, config) = (ReplyLimits::default(), HostConfig::default());
        let sent = (0..3000).filter(|n| limits.takes_icmp_error(Instant::EPOCH, addr(*n), &config)).count();
        assert_eq!(sent, 50);
        let at = |n: u32| Instant::from_micros(u64::from(n) * 100 + 100);
        let sent = (0..10_000).filter(|n| limits.takes_icmp_error(at(*n), addr(9_000 + *n), &config)).count();
        assert_eq!(sent, 1_000);
    }

    #[test]
    fn at_most_1024_destinations_are_kept() {
        let (mut limits, config) = (ReplyLimits::default(), HostConfig { icmp_rate: 0, ..HostConfig::default() });
        for n in 0..1024 {
            assert!(limits.takes_icmp_error(Instant::EPOCH, addr(n), &config));
        }
        assert_eq!(limits.icmp_to.len(), (1024, 1024));
        for n in 1024..5000 {
            assert!(limits.takes_icmp_error(Instant::EPOCH, addr(n), &config));
            assert_eq!(limits.icmp_to.len(), (1024, 1024));
        }
    }

    #[test]
    fn resets_have_a_limit_of_their_own_and_zero_is_none() {
        let (mut limits, config) = (ReplyLimits::default(), HostConfig::default());
        let mut sent_at = |now, config: &_| (0..5000).filter(|_| limits.takes_reset(now, config)).count();
        assert_eq!(sent_at(Instant::EPOCH, &config), 200);
        assert_eq!(sent_at(Instant::from_millis(100), &config), 100);
        assert_eq!(sent_at(Instant::from_secs(100), &config), 200);
        assert_eq!(sent_at(Instant::from_secs(100), &HostConfig { reset_rate: 0, ..config }), 5000);
    }
}
