//! Random histories: scripted ACKs of a hostile peer, and transfers over bad links.

use proptest::prelude::*;

use super::*;
use crate::congestion::charge;
use crate::recovery::simulator::link::{Link, Loss};
use crate::recovery::simulator::{Options, World};

#[derive(Clone, Debug)]
enum Step {
    Send(u8),
    Wait(u32),
    Ack { ahead: u32, sack: Vec<(u32, u32)>, echo: Option<u32>, text: bool },
    Expire,
    Mss(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let sack = prop::collection::vec((0..30_000_u32, 0..6_000_u32), 0..4);
    prop_oneof![
        4 => (0..20_u8).prop_map(Step::Send),
        2 => (0..500_000_u32).prop_map(Step::Wait),
        6 => (prop_oneof![Just(0_u32), 0..4_000_u32], sack, prop::option::of(any::<u32>()), any::<bool>())
            .prop_map(|(ahead, sack, echo, text)| Step::Ack { ahead, sack, echo, text }),
        2 => Just(Step::Expire),
        1 => (300..1_500_u32).prop_map(Step::Mss),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_hostile_peer_breaks_no_invariant(
        start in any::<u32>(),
        sack in any::<bool>(),
        rack in any::<bool>(),
        timestamps in any::<bool>(),
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut settings = RecoveryConfig::default();
        let mut f = Fixture::new(10, |config| {
            config.sack = sack;
            config.rack = rack;
            config.timestamps = timestamps.then(|| TsClock::new(5, Duration::from_millis(1)));
            settings = config.clone();
        });
        f.recovery = Recovery::new(settings, MSS, Seq(start), Instant::EPOCH);
        let mut mss = MSS;
        for step in steps {
            match step {
                Step::Send(count) => {
                    let mut bound = 0;
                    while let Some(Resend { range, reason }) = f.recovery.poll_resend(&f.controller) {
                        prop_assert!(range.seq >= f.recovery.snd_una());
                        prop_assert!(range.text <= mss);
                        f.leave(range, reason);
                        bound += 1;
                        prop_assert!(bound < 10_000, "retransmissions end");
                    }
                    for _ in 0..count {
                        let allowance = f.recovery.allowance(f.now, &mut f.controller);
                        if allowance < charge(u64::from(mss), u64::from(mss)) {
                            break;
                        }
                        let before = f.recovery.pipe();
                        let (seq, reason) = (f.recovery.snd_nxt(), f.recovery.new_text_reason());
                        f.leave(SentRange { seq, text: mss, syn: false, fin: false }, reason);
                        prop_assert!(f.recovery.pipe() <= before + allowance);
                    }
                }
                Step::Wait(micros) => f.now += Duration::from_micros(u64::from(micros)),
                Step::Ack { ahead, sack, echo, text } => {
                    let una = f.recovery.snd_una();
                    let sack: Vec<_> = sack
                        .iter()
                        .map(|&(from, len)| SackBlock { left: una + from - 2_000, right: una + from + len - 2_000 })
                        .collect();
                    let info = AckInfo {
                        ack: (una + ahead).min(f.recovery.snd_nxt() + 1),
                        sack: &sack,
                        ts_ecr: echo,
                        text,
                        window_changed: false,
                        unsent: true,
                        ece: ahead % 7 == 1,
                    };
                    f.recovery.on_ack(f.now, &info, &mut f.controller);
                }
                Step::Expire => {
                    if let Some((at, _)) = f.recovery.next_at() {
                        f.now = f.now.max(at);
                        let mut bound = 0;
                        while f.recovery.on_timeout(f.now, true, &mut f.controller).is_some() {
                            bound += 1;
                            prop_assert!(bound < 100, "timers end");
                        }
                    }
                }
                Step::Mss(new) => {
                    f.recovery.on_mss(new, new < mss, &mut f.controller);
                    mss = new;
                }
            }
            f.controller.cwnd = f.controller.cwnd.max(u64::from(mss));
            let board = f.recovery.board();
            prop_assert_eq!(*board.totals(), scoreboard::tests::recount(board));
            prop_assert!(board.snd_una() <= board.snd_nxt());
            prop_assert_eq!(f.recovery.next_at().is_some(), !board.is_empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// The simulator checks on each step: recount, SND.UNA <= SND.NXT, flight within what the controller allows, and
    /// nothing that was `SACKed` is sent again.
    #[test]
    fn every_transfer_over_a_bad_link_ends_with_all_bytes(
        seed in any::<u64>(),
        iss in any::<u32>(),
        loss in 0.0..0.15_f64,
        reorder in 0.0..0.2_f64,
        held_ms in 0..60_u64,
        duplicate in 0.0..0.1_f64,
        ack_loss in 0.0..0.15_f64,
        bytes in 1..300_000_u64,
        switches in any::<[bool; 6]>(),
        window in prop_oneof![Just(4_u32 << 20), 3_000..60_000_u32],
        write in prop_oneof![Just(u32::MAX), 1..3_000_u32],
        cubic in any::<bool>(),
        bursts in any::<bool>(),
    ) {
        let [sack, rack, tlp, prr, timestamps, frto] = switches;
        let config = RecoveryConfig { sack, rack, tlp, prr, frto, ..RecoveryConfig::default() };
        let controller = if cubic { "cubic" } else { "reno" };
        let bytes = if write < 100 { bytes.min(20_000) } else { bytes };
        let options =
            Options { controller, iss, timestamps, config, bytes: Some(bytes), window, write, ..Options::default() };
        let delay = Duration::from_millis(10);
        let mut forward = Link::new(20_000_000, delay, seed, "forward");
        forward.loss = if bursts { Loss::Bursts(loss / 8.0, 0.3) } else { Loss::Random(loss) };
        forward.reorder = (reorder, Duration::from_millis(held_ms));
        forward.duplicate = duplicate;
        let mut backward = Link::new(20_000_000, delay, seed, "backward");
        backward.loss = Loss::Random(ack_loss);
        let mut world = World::new(options, forward, backward);
        world.run_until(Instant::from_secs(20_000));
        prop_assert!(world.is_finished(), "{:?}", world.recovery);
        prop_assert_eq!(u64::from(world.received()), bytes + 1);
        prop_assert!(world.receiver.finished);
    }

    #[test]
    fn a_receiver_that_reneges_now_and_then_gets_all_bytes(seed in any::<u64>(), loss in 0.0..0.1_f64) {
        let delay = Duration::from_millis(10);
        let mut forward = Link::new(20_000_000, delay, seed, "forward");
        forward.loss = Loss::Random(loss);
        let options = Options { bytes: Some(200_000), ..Options::default() };
        let mut world = World::new(options, forward, Link::new(20_000_000, delay, seed, "backward"));
        for turn in 1..2_000 {
            world.run_until(Instant::from_millis(1_000 + turn * 50));
            world.receiver.renege();
        }
        prop_assert!(world.is_finished());
        prop_assert_eq!(world.received(), 200_001);
    }
}
