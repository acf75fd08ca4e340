//! Path MTU discovery: by ICMP with checks (RFC 1191, RFC 8201, RFC 5927), and by trying smaller segments when full ones
//! are lost in silence (RFC 4821). What is in flight and too large is cut and sent again; that is no sign of congestion.

use super::sender::Sender;
use super::terms::Terms;
use crate::stack::config::HostConfig;

/// Linux's `min_pmtu` for IPv4; RFC 8200, section 5, for IPv6.
const LEAST_V4: usize = 552;
const LEAST_V6: usize = 1_280;
/// What is tried when full segments vanish: RFC 8899, section 5.1.2 (`BASE_PLPMTU` 1,200), smaller ones after that.
const STEPS: [usize; 3] = [1_200, 1_024, 576];
/// Retransmission timeouts of the same segment after which a black hole is assumed.
const TIMEOUTS: u32 = 2;

/// The MTU of the path, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct PathMtu {
    mtu: usize,
    least: usize,
    by_icmp: bool,
    by_probing: bool,
}

impl PathMtu {
    pub(super) fn new(config: &HostConfig, headers: u16) -> Self {
        Self {
            mtu: config.mtu,
            least: if headers == 40 { LEAST_V4 } else { LEAST_V6 },
            by_icmp: config.path_mtu_discovery,
            by_probing: config.mtu_probing,
        }
    }

    /// An ICMP report about a packet in flight (RFC 5927, section 7.2; the caller has looked). True if it was believed.
    /// RFC 8201, section 4: a report never raises the MTU.
    pub(super) fn on_report(&mut self, sender: &mut Sender, terms: &Terms, mtu: usize) -> bool {
        let mtu = mtu.max(self.least);
        if !self.by_icmp || mtu >= self.mtu {
            return false;
        }
        self.lower(sender, terms, mtu);
        true
    }

    /// A retransmission timeout: has the same segment vanished more than once? It need not be full. A step that would not cut
    /// it changes nothing.
    pub(super) fn on_timeout(&mut self, sender: &mut Sender, terms: &Terms) {
        if !self.by_probing || sender.timeouts() < TIMEOUTS {
            return;
        }
        let waiting = sender.first_waiting();
        if let Some(step) = STEPS.into_iter().find(|step| *step < self.mtu && terms.send_mss(*step) < waiting) {
            self.lower(sender, terms, step);
        }
    }

    fn lower(&mut self, sender: &mut Sender, terms: &Terms, mtu: usize) {
        self.mtu = mtu;
        let mss = terms.send_mss(mtu);
        if mss < sender.mss() {
            sender.set_mss(mss, true);
        }
    }
}
