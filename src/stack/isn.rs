//! What follows from the secret of a host: initial sequence numbers by RFC 6528, SYN cookies, timestamp offsets, ports.
//! `ISN = M + F(localip, localport, remoteip, remoteport, secret)`: M counts 4 microseconds, F is a keyed hash. smoltcp
//! draws numbers of its own, which never reach the wire.

use core::hash::Hasher;

use crate::rng::Rng;
use crate::segment::Seq;
use crate::time::Instant;
use siphasher::sip::SipHasher13;

use super::address::FourTuple;

/// The secret of a host, from which everything unpredictable about a connection follows.
#[derive(Debug)]
pub(super) struct Secret {
    keys: (u64, u64),
}

impl Secret {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, "connection secrets");
        Self { keys: (rng.next_u64(), rng.next_u64()) }
    }

    fn hash(&self, tuple: &FourTuple, purpose: u8) -> u64 {
        self.hash_with(tuple, purpose, &[])
    }

    fn hash_with(&self, tuple: &FourTuple, purpose: u8, more: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        let mut bytes = [0; 37];
        bytes[..16].copy_from_slice(&tuple.local.0);
        bytes[16..32].copy_from_slice(&tuple.remote.0);
        bytes[32..34].copy_from_slice(&tuple.local_port.to_le_bytes());
        bytes[34..36].copy_from_slice(&tuple.remote_port.to_le_bytes());
        bytes[36] = purpose;
        hasher.write(&bytes);
        hasher.write(more);
        hasher.finish()
    }

    /// RFC 6528, section 3.
    pub(super) fn initial_sequence_number(&self, tuple: &FourTuple, now: Instant) -> Seq {
        Seq((now.as_nanos() / 4_000) as u32) + self.hash(tuple, 0) as u32
    }

    /// Where the timestamp clock of a connection begins (RFC 7323, section 5.4, and its appendix on offsets).
    pub(super) fn timestamp_offset(&self, tuple: &FourTuple) -> u32 {
        self.hash(tuple, 1) as u32
    }

    /// The seed of the random draws of a congestion controller.
    pub(super) fn controller_seed(&self, tuple: &FourTuple) -> u64 {
        self.hash(tuple, 3)
    }

    /// The hash of a SYN cookie that is the same in every period (RFC 4987, section 3.6). `irs`: of the peer.
    pub(super) fn cookie_base(&self, tuple: &FourTuple, irs: Seq) -> u32 {
        self.hash_with(tuple, 4, &irs.0.to_le_bytes()) as u32
    }

    /// The hash of a SYN cookie of this period.
    pub(super) fn cookie_of_period(&self, tuple: &FourTuple, period: u32) -> u32 {
        self.hash_with(tuple, 5, &period.to_le_bytes()) as u32
    }

    /// Where the search for an ephemeral port begins (RFC 6056, section 3.3.3).
    pub(super) fn port_offset(&self, tuple: &FourTuple) -> u32 {
        self.hash(tuple, 2) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::SocketAddr;

    #[test]
    fn isns_of_one_tuple_grow_by_250_000_a_second_and_differ_between_tuples() {
        let secret = Secret::new(9);
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let tuple = FourTuple::new(at("192.0.2.1:80"), at("192.0.2.2:4000"));
        let other = FourTuple::new(at("192.0.2.1:80"), at("192.0.2.2:4001"));
        let isn = secret.initial_sequence_number(&tuple, Instant::EPOCH);
        assert_eq!(secret.initial_sequence_number(&tuple, Instant::from_secs(1)) - isn, 250_000);
        assert_ne!(secret.initial_sequence_number(&other, Instant::EPOCH), isn);
        assert_ne!(Secret::new(10).initial_sequence_number(&tuple, Instant::EPOCH), isn);
    }
}
