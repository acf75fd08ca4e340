//! Keep-alive and the user timeout: when a host asks whether its peer is there, and when it stops believing it.

use std::time::Duration;

use crate::common::calls::{DELAY, Pair, poll, read};
use tcplab::event::State;
use tcplab::socket::{Errno, Readiness, SocketOption};

const SECOND: Duration = Duration::from_secs(1);

/// Probes after 10 s, then every 5 s, 3 of them.
const KEEP_ALIVE: [SocketOption; 4] = [
    SocketOption::KeepAlive(true),
    SocketOption::KeepIdle(Duration::from_secs(10)),
    SocketOption::KeepIntvl(Duration::from_secs(5)),
    SocketOption::KeepCnt(3),
];

#[test]
fn a_silent_peer_is_probed_at_the_set_instants_then_reset() {
    let net = Pair::new();
    let (client, _) = net.established_with(&KEEP_ALIVE, &[]);
    net.cut();
    // The last word of the peer was its SYN|ACK, 20 ms after the epoch.
    let heard = tcplab::time::Instant::EPOCH + 2 * DELAY;
    net.sim.run_until(heard + Duration::from_nanos(24_999_999_999));
    assert_eq!(net.client.sys(|host| read(host, client)), Err(Errno::EAGAIN), "not given up yet");
    net.sim.run_for(SECOND);
    let shots = net.take();
    assert_eq!(shots.iter().map(|shot| shot.at - heard).collect::<Vec<_>>(), [10, 15, 20, 25].map(|n| n * SECOND));
    let [probe, .., reset] = &shots[..] else { panic!("{shots:?}") };
    assert!(!probe.segment().is_syn() && !probe.segment().is_rst());
    assert!(probe.segment().payload.is_empty());
    assert_eq!(probe.segment().seq + 1, reset.segment().seq, "RFC 9293, section 3.8.4: SEG.SEQ = SND.NXT - 1");
    assert!(reset.segment().is_rst());
    net.client.sys(|host| {
        assert!(poll(host, client).contains(Readiness::ERROR | Readiness::HANG_UP));
        assert_eq!(read(host, client), Err(Errno::ETIMEDOUT));
    });
    net.sim.run_until_idle();
    net.assert_silence();
}

#[test]
fn a_living_peer_that_says_nothing_stays_connected_for_hours() {
    let net = Pair::new();
    let (client, server) = net.established_with(&KEEP_ALIVE, &[]);
    net.sim.run_for(Duration::from_hours(3));
    let shots = net.take();
    let probes = shots.iter().filter(|shot| shot.host == net.client.id()).count();
    assert_eq!(shots.len(), 2 * probes, "every probe is answered");
    // One every 10 s and the round trip that the answer takes.
    let expected = (10_800.0_f64 / 10.02) as usize;
    assert!(probes.abs_diff(expected) <= 1, "{probes} probes");
    for (host, fd) in [(&net.client, client), (&net.server, server)] {
        assert_eq!(host.sys(|host| host.tcp_info(fd)).expect("connected").state, State::Established);
    }
    net.client.sys(|host| host.write(client, b"still there")).expect("taken");
    net.settle();
    assert_eq!(net.server_reads(server), b"still there");
}

#[test]
fn without_keep_alive_nothing_is_asked_and_nothing_ends() {
    let net = Pair::new();
    let (client, server) = net.established();
    net.cut();
    net.sim.run_for(Duration::from_hours(20));
    net.assert_silence();
    for (host, fd) in [(&net.client, client), (&net.server, server)] {
        assert_eq!(host.sys(|host| read(host, fd)), Err(Errno::EAGAIN));
    }
}

#[test]
fn keep_alive_may_be_set_on_a_connection_that_stands() {
    let net = Pair::new();
    let (client, _) = net.established();
    net.cut();
    net.client.sys(|host| {
        for option in KEEP_ALIVE {
            host.setsockopt(client, option).expect("in range");
        }
    });
    net.sim.run_for(30 * SECOND);
    assert_eq!(net.take().len(), 4, "three probes and the reset");
}

#[test]
fn user_timeout_ends_a_connection_whose_data_stays_unacknowledged_so_long() {
    let net = Pair::new();
    let (client, _) = net.established_with(&[SocketOption::UserTimeout(5 * SECOND)], &[]);
    net.cut();
    net.sim.run_for(20 * SECOND);
    assert_eq!(net.client.sys(|host| read(host, client)), Err(Errno::EAGAIN), "nothing is unacknowledged");
    net.client.sys(|host| host.write(client, b"hello")).expect("taken");
    net.sim.run_for(Duration::from_nanos(4_999_999_999));
    assert_eq!(net.client.sys(|host| read(host, client)), Err(Errno::EAGAIN), "a nanosecond is left");
    net.sim.run_for(Duration::from_nanos(1));
    assert_eq!(net.client.sys(|host| read(host, client)), Err(Errno::ETIMEDOUT));
    assert!(net.take().iter().all(|shot| !shot.segment().is_rst()));
    net.sim.run_until_idle();
    net.assert_silence();
}

#[test]
fn user_timeout_counts_from_the_last_progress() {
    let net = Pair::new();
    let (client, server) = net.established_with(&[SocketOption::UserTimeout(5 * SECOND)], &[]);
    for _ in 0..4 {
        net.client.sys(|host| host.write(client, b"hello")).expect("taken");
        net.sim.run_for(4 * SECOND);
    }
    assert_eq!(net.server_reads(server).len(), 20);
    assert_eq!(net.client.sys(|host| read(host, client)), Err(Errno::EAGAIN));
}

#[test]
fn user_timeout_stands_for_the_number_of_keep_alive_probes() {
    let net = Pair::new();
    let options = [&KEEP_ALIVE[..], &[SocketOption::UserTimeout(12 * SECOND)]].concat();
    let (client, _) = net.established_with(&options, &[]);
    net.cut();
    net.sim.run_until_idle();
    let heard = tcplab::time::Instant::EPOCH + 2 * DELAY;
    let shots = net.take();
    assert_eq!(shots.iter().map(|shot| shot.at - heard).collect::<Vec<_>>(), [10 * SECOND, 15 * SECOND]);
    assert!(shots[1].segment().is_rst());
    assert_eq!(net.client.sys(|host| read(host, client)), Err(Errno::ETIMEDOUT));
}
