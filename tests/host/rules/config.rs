//! Every field of `HostConfig` has an effect that can be seen: a short story is told twice, with the field as it is and
//! changed, and the two differ. The list is complete: a new field does not compile without a line here.

use super::stories::{
    Change, Story, alone, asking_for_ecn, backlog, beside_the_window, bytes, calls, challenged, closing, connecting,
    contradicted, crossing, crowded, datagrams, flooded, growing, handshake, interrupted, large_segments, old_text,
    receiving, restart, sacks, sending, sending_without_sack, short_flights, silence, slow_start, small_segments,
    small_writes, strangers, tail, writes,
};
use tcplab::congestion::{Algorithm, Unlimited, by_name};
use tcplab::segment::OptionLayout;
use tcplab::socket::{HostConfig, SynCookies, WindowUpdate};
use tcplab::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// A line for each field: the story, and the change. The pattern has no `..`: a new field does not compile without a line.
macro_rules! fields {
    ($($field:ident: $story:ident, $change:expr;)*) => {{
        let HostConfig { $($field: _),* } = HostConfig::default();
        [$((stringify!($field), $story as Story, $change as Change)),*]
    }};
}

#[test]
fn every_field_of_host_config_has_an_effect() {
    let fields = fields! {
        seed: handshake, |host| host.seed = 12;
        addresses: calls, |host| host.addresses.push(("192.0.2.7".parse().expect("an address"), 24));
        default_route: calls, |host| host.default_route = false;
        mtu: handshake, |host| host.mtu = 1400;
        congestion: sending, |host| host.congestion = by_name("none").expect("a controller");
        algorithms: calls, |host| {
            host.algorithms.add(Algorithm::new("own", "", Unlimited::new).expect("a name")).expect("room");
        };
        initial_window: sending, |host| host.initial_window = 4;
        pacing: sending, |host| host.pacing = true;
        idle_restart: restart, |host| host.idle_restart = false;
        hystart: slow_start, |host| host.hystart = false;
        rcv_buf: handshake, |host| host.rcv_buf = Some(5000);
        rcv_buf_initial: handshake, |host| host.rcv_buf_initial = 5000;
        rcv_buf_max: growing, |host| host.rcv_buf_max = 100_000;
        snd_buf: writes, |host| host.snd_buf = Some(5000);
        snd_buf_initial: writes, |host| host.snd_buf_initial = 50_000;
        snd_buf_max: writes, |host| host.snd_buf_max = 25_000;
        judge_by_buffer: beside_the_window, |host| host.judge_by_buffer = true;
        whole_segment_buffers: receiving, |host| host.whole_segment_buffers = true;
        udp_buf: datagrams, |host| host.udp_buf = 5000;
        buffer_limit: crowded, |host| host.buffer_limit = 5 * 4096;
        option_layout: bytes, |host| host.option_layout = OptionLayout::Compact;
        mss_option: handshake, |host| host.mss_option = false;
        timestamps: handshake, |host| host.timestamps = false;
        window_scaling: handshake, |host| host.window_scaling = false;
        window_scale: handshake, |host| host.window_scale = Some(3);
        sack: handshake, |host| host.sack = false;
        dsack: receiving, |host| host.dsack = false;
        ecn: handshake, |host| host.ecn = true;
        ecn_syn_retries: asking_for_ecn, |host| host.ecn_syn_retries = 1;
        min_rto: alone, |host| host.min_rto = SECOND;
        initial_rto: connecting, |host| host.initial_rto = 3 * SECOND;
        max_rto: alone, |host| host.max_rto = SECOND;
        dup_thresh: sending, |host| host.dup_thresh = 2;
        rack: short_flights, |host| host.rack = false;
        tlp: tail, |host| host.tlp = false;
        prr: sacks, |host| host.prr = false;
        frto: tail, |host| host.frto = false;
        undo: short_flights, |host| host.undo = false;
        limited_transmit: sending_without_sack, |host| host.limited_transmit = false;
        ack_delay: receiving, |host| host.ack_delay = None;
        ack_delay_max: receiving, |host| host.ack_delay_max = 41 * MS;
        quick_acks: receiving, |host| host.quick_acks = 2;
        ack_second_segment: small_segments, |host| host.ack_second_segment = true;
        delay_fin_ack: closing, |host| host.delay_fin_ack = true;
        fin_with_acks: crossing, |host| host.fin_with_acks = true;
        window_update: receiving, |host| host.window_update = WindowUpdate::TwoSegments;
        nodelay: small_writes, |host| host.nodelay = true;
        cork_timeout: small_writes, |host| host.cork_timeout = SECOND;
        path_mtu_discovery: large_segments, |host| host.path_mtu_discovery = false;
        mtu_probing: large_segments, |host| host.mtu_probing = false;
        keep_alive: silence, |host| host.keep_alive = false;
        keep_alive_idle: silence, |host| host.keep_alive_idle = SECOND;
        keep_alive_interval: silence, |host| host.keep_alive_interval = SECOND;
        keep_alive_probes: silence, |host| host.keep_alive_probes = 2;
        backlog_limit: backlog, |host| host.backlog_limit = 1;
        backlog_plus_one: backlog, |host| host.backlog_plus_one = true;
        syn_cookies: flooded, |host| host.syn_cookies = SynCookies::Off;
        syn_retries: connecting, |host| host.syn_retries = 2;
        synack_retries: backlog, |host| host.synack_retries = 2;
        retries: alone, |host| host.retries = 2;
        orphan_retries: alone, |host| host.orphan_retries = 2;
        fin_timeout: closing, |host| host.fin_timeout = SECOND;
        time_wait: closing, |host| host.time_wait = SECOND;
        drop_syn_fin: contradicted, |host| host.drop_syn_fin = false;
        challenge_rst: challenged, |host| host.challenge_rst = false;
        challenge_syn: interrupted, |host| host.challenge_syn = false;
        time_wait_needs_ack: old_text, |host| host.time_wait_needs_ack = true;
        challenge_interval: challenged, |host| host.challenge_interval = 100 * MS;
        icmp_interval: strangers, |host| host.icmp_interval = Duration::ZERO;
        icmp_rate: strangers, |host| host.icmp_rate = 2;
        icmp_burst: strangers, |host| host.icmp_burst = 2;
        reset_rate: strangers, |host| host.reset_rate = 2;
        reset_burst: strangers, |host| host.reset_burst = 2;
        reset_on_unread_close: closing, |host| host.reset_on_unread_close = false;
        descriptor_limit: calls, |host| host.descriptor_limit = 2;
    };
    let without: Vec<_> = fields
        .into_iter()
        .filter(|(_, story, change)| story(|_| {}) == story(*change))
        .map(|(name, ..)| name)
        .collect();
    assert!(without.is_empty(), "fields without an effect: {without:?}");
}
