//! Initial sequence numbers by RFC 6528, and how smoltcp is made to use them.
//!
//! `ISN = M + F(localip, localport, remoteip, remoteport, secret)`: M counts 4 microseconds, F is a keyed hash. smoltcp
//! draws its initial sequence numbers from the generator of its `Interface`, seeded by `Config::random_seed`. The
//! generator is a linear congruence modulo 2^64 and can be run backwards, so there is a seed for every number that is
//! wanted; a throw-away `Interface` with that seed lends its context where the number is drawn. This rests on private
//! details of smoltcp 0.14.0, which is why the version is pinned and a test watches over it.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;
use smoltcp::iface::{Config, Interface};
use smoltcp::wire::HardwareAddress;

use crate::rng::Rng;
use crate::segment::Seq;
use crate::time::Instant;

use super::address::FourTuple;
use super::one_packet::OnePacket;

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
        let mut hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        hasher.write(&tuple.local.0);
        hasher.write(&tuple.remote.0);
        hasher.write(&tuple.local_port.to_le_bytes());
        hasher.write(&tuple.remote_port.to_le_bytes());
        hasher.write(&[purpose]);
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

    /// Where the search for an ephemeral port begins (RFC 6056, section 3.3.3).
    pub(super) fn port_offset(&self, tuple: &FourTuple) -> u32 {
        self.hash(tuple, 2) as u32
    }
}

/// A throw-away interface whose next initial sequence number is `isn`.
pub(super) fn interface_for(isn: Seq, now: Instant, mtu: usize) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed_for(isn);
    let mut nothing = Vec::new();
    let mut interface = Interface::new(config, &mut OnePacket::sending(mtu, &mut nothing), now.to_smoltcp());
    interface.set_any_ip(true);
    interface
}

/// The seed with which the second draw of smoltcp's generator gives `isn`. The first goes to the IPv4 identification,
/// which draws again when it is zero: then the other bits of the seed are changed.
fn seed_for(isn: Seq) -> u64 {
    // The output permutation shifts right by 29 less the top three bits. With those zero, the output is bits 29..61.
    (0..1 << 29)
        .map(|low| back(back(u64::from(isn.0) << 29 | low)))
        .find(|seed| output(forward(*seed)) as u16 != (output(forward(*seed)) >> 16) as u16)
        .expect("one of 2^29 low parts gives an identification that is not zero")
}

const MULTIPLIER: u64 = 0xbb2e_fcec_3c39_611d;
const INCREMENT: u64 = 0x7590_ef39;

const fn forward(state: u64) -> u64 {
    state.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT)
}

const fn back(state: u64) -> u64 {
    state.wrapping_sub(INCREMENT).wrapping_mul(inverse(MULTIPLIER))
}

const fn output(state: u64) -> u32 {
    (state >> (29 - (state >> 61))) as u32
}

/// The inverse of an odd number modulo 2^64, by Newton's method: each step doubles the bits that are right.
const fn inverse(odd: u64) -> u64 {
    let mut x = odd;
    let mut step = 0;
    while step < 6 {
        x = x.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(x)));
        step += 1;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::SocketAddr;
    use smoltcp::socket::tcp;
    use smoltcp::wire::IpAddress;

    #[test]
    fn smoltcp_draws_exactly_the_number_that_is_wanted() {
        let mut rng = Rng::new(1, "isn test");
        for isn in [0, 1, u32::MAX, 0xffff_fff0, 0x8000_0000].into_iter().chain((0..200).map(|_| rng.next_u32())) {
            let mut interface = interface_for(Seq(isn), Instant::EPOCH, 1500);
            let buffer = || tcp::SocketBuffer::new(vec![0; 64]);
            let mut socket = tcp::Socket::new(buffer(), buffer());
            let (local, remote) = (IpAddress::v4(192, 0, 2, 1), IpAddress::v4(192, 0, 2, 2));
            socket.connect(interface.context(), (remote, 80), (local, 4000)).expect("a fresh socket connects");
            let text = format!("{socket:?}");
            let expected = format!("local_seq_no: SeqNumber({})", isn as i32);
            assert!(text.contains(&expected), "wanted {expected} in {text}");
        }
    }

    #[test]
    fn the_generator_runs_backwards() {
        for state in [0, 1, u64::MAX, 0x1234_5678_9abc_def0] {
            assert_eq!(back(forward(state)), state);
        }
    }

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
