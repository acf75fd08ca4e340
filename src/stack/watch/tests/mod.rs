//! The mirror against smoltcp itself ([`world`], [`compare`]), and what single segments mean to it ([`causes`]).

mod causes;
mod compare;
mod world;

use super::Watch;
use world::{CONTROLS, Scenario, Seen, World};

/// Runs every seed with every controller; `shape` makes the link bad.
fn run(seeds: core::ops::Range<u64>, shape: impl Fn(&mut Scenario)) -> Seen {
    let mut all = Seen::default();
    for (seed, control) in seeds.flat_map(|seed| CONTROLS.map(|control| (seed, control))) {
        let mut scenario = Scenario::new(seed, control);
        shape(&mut scenario);
        let seen = World::new(scenario).run();
        all.compared += seen.compared;
        all.new += seen.new;
        all.fast += seen.fast;
        all.timeouts += seen.timeouts;
        all.go_back_n += seen.go_back_n;
        all.probes += seen.probes;
        all.keep_alives += seen.keep_alives;
        all.replies += seen.replies;
        all.duplicate_acks += seen.duplicate_acks;
        all.ignored += seen.ignored;
        all.resets += seen.resets;
        all.aborts += seen.aborts;
        all.finished += seen.finished;
        all.on_the_curve += seen.on_the_curve;
    }
    all
}

#[test]
fn a_mirror_fits_in_160_octets() {
    assert!(size_of::<Watch>() <= 160, "{}", size_of::<Watch>());
}

#[test]
fn on_a_clean_link_the_mirror_equals_smoltcp_after_every_packet() {
    let seen = run(0..3, |_| {});
    assert!(seen.new > 100 && seen.fast == 0 && seen.finished == 9, "{seen:?}");
}

#[test]
fn with_one_percent_loss_the_mirror_equals_smoltcp_after_every_packet() {
    let seen = run(0..5, |scenario| {
        scenario.loss = 0.01;
        scenario.tick_us = 10_000;
    });
    assert!(seen.fast > 0 && seen.timeouts > 0, "{seen:?}");
}

#[test]
fn with_ten_percent_loss_the_mirror_equals_smoltcp_after_every_packet() {
    let seen = run(0..8, |scenario| scenario.loss = 0.1);
    assert!(seen.fast > 0 && seen.timeouts > 0 && seen.go_back_n > 0, "{seen:?}");
}

#[test]
fn with_duplicates_and_reordering_the_mirror_equals_smoltcp_after_every_packet() {
    let seen = run(0..8, |scenario| {
        scenario.loss = 0.02;
        scenario.duplicate = 0.1;
        scenario.late = 0.1;
        scenario.jitter_us = 15_000;
        scenario.octets = [10_000, 10_000];
    });
    assert!(seen.fast > 0 && seen.duplicate_acks > 100 && seen.ignored > 0, "{seen:?}");
}

#[test]
fn with_closed_windows_and_probes_the_mirror_equals_smoltcp_after_every_packet() {
    let seen = run(0..8, |scenario| {
        scenario.loss = 0.05;
        scenario.lazy = 0.97;
        scenario.octets = [10_000, 3_000];
    });
    assert!(seen.probes > 50, "{seen:?}");
}

#[test]
fn with_keep_alives_and_without_nagle_or_delayed_acks_the_mirror_equals_smoltcp_after_every_packet() {
    let seen = run(0..4, |scenario| {
        scenario.loss = 0.05;
        scenario.lazy = 0.9;
        scenario.delay_us = 400_000;
        scenario.jitter_us = 900_000;
        scenario.keep_alive = true;
        scenario.nagle = false;
        scenario.ack_delay = false;
        scenario.octets = [10_000, 5_000];
    });
    assert!(seen.keep_alives > 0, "{seen:?}");
}

#[test]
fn with_any_mss_option_the_mirror_equals_smoltcp_after_every_packet() {
    for mss in [0, 1, 100, 536, 65_535] {
        run(0..1, |scenario| {
            scenario.loss = 0.05;
            scenario.mtu = 1_500;
            scenario.mss = Some(mss);
            scenario.octets = [5_000, 2_000];
        });
    }
}

#[test]
fn with_garbled_headers_the_mirror_equals_smoltcp_after_every_packet() {
    let seen = run(0..12, |scenario| {
        scenario.loss = 0.02;
        scenario.duplicate = 0.05;
        scenario.garble = 0.05;
        scenario.octets = [10_000, 10_000];
    });
    assert!(seen.ignored > 100 && seen.replies > 100, "{seen:?}");
}

#[test]
fn over_many_segments_of_congestion_avoidance_the_mirror_equals_smoltcp_after_every_packet() {
    let seen = run(0..2, |scenario| {
        scenario.loss = 0.01;
        scenario.delay_us = [10_000, 300][scenario.seed as usize % 2];
        scenario.mtu = 88;
        scenario.buffers = [[64, 8_192], [8_192, 64]];
        scenario.tick_us = 2_000;
        scenario.octets = [60_000, 0];
    });
    assert!(seen.fast > 0 && seen.on_the_curve > 100, "{seen:?}");
}

#[test]
fn with_a_window_that_is_scaled_the_mirror_equals_smoltcp_after_every_packet() {
    run(0..2, |scenario| {
        scenario.loss = 0.02;
        scenario.mtu = 1_500;
        scenario.buffers = [[2_048, 60_000], [132_000, 2_048]];
        scenario.tick_us = 2_000;
        scenario.jitter_us = 2_000;
        scenario.octets = [150_000, 40_000];
    });
}

#[test]
fn with_aborts_timeouts_and_changes_of_controller_the_mirror_equals_smoltcp_after_every_packet() {
    let seen = run(0..20, |scenario| {
        scenario.loss = 0.1;
        scenario.abort = 0.01;
        scenario.switch = 0.05;
        // The shorter one runs out together with the first RTO.
        scenario.timeout = Some([1_000, 1_500][scenario.seed as usize % 2]);
    });
    assert!(seen.resets > 0 && seen.aborts > 0, "{seen:?}");
}

/// Every kind of trouble at once. After touching the mirror: `TCPLAB_FUZZ_CASES=300 cargo test --release --lib watch`.
#[test]
fn over_mixed_runs_the_mirror_equals_smoltcp_after_every_packet() {
    let cases = std::env::var("TCPLAB_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(12);
    let seen = run(1_000..1_000 + cases, |scenario| {
        let mut luck = crate::rng::Rng::new(scenario.seed, "mixed runs");
        let mut one_of = |values: &[u64]| values[luck.below(values.len() as u64) as usize];
        scenario.loss = one_of(&[0, 0, 5, 20, 100, 300]) as f64 / 1e3;
        scenario.duplicate = one_of(&[0, 0, 50, 200]) as f64 / 1e3;
        scenario.late = one_of(&[0, 0, 50, 300]) as f64 / 1e3;
        scenario.garble = one_of(&[0, 0, 0, 30, 100]) as f64 / 1e3;
        scenario.delay_us = one_of(&[5, 500, 20_000, 300_000]);
        scenario.jitter_us = one_of(&[0, 1_000, 50_000, 2_000_000]);
        scenario.mtu = one_of(&[80, 120, 300, 576, 1_500]) as usize;
        scenario.mss = Some(one_of(&[0, 48, 60, 536, 1_460]) as u16).filter(|_| scenario.seed % 3 == 0);
        scenario.buffers = [0; 2].map(|_| [0; 2].map(|_| one_of(&[64, 700, 2_048, 8_192]) as usize));
        scenario.octets = [one_of(&[0, 5_000, 40_000]) as usize, one_of(&[0, 5_000, 40_000]) as usize];
        scenario.lazy = one_of(&[0, 0, 500, 970]) as f64 / 1e3;
        scenario.tick_us = one_of(&[1_000, 20_000, 200_000]);
        scenario.switch = one_of(&[0, 0, 0, 5]) as f64 / 1e3;
        scenario.timeout = Some(one_of(&[0, 1_000, 20_000])).filter(|&timeout| timeout != 0);
        scenario.keep_alive = one_of(&[0, 1]) == 1;
        scenario.nagle = one_of(&[0, 1]) == 1;
        scenario.ack_delay = one_of(&[0, 1]) == 1;
    });
    assert!(seen.on_the_curve > 1_000, "{seen:?}");
}
