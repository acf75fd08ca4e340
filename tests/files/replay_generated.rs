//! Replay of conversations that are made for it: two programs of this crate over a bad link in the simulator, captured at
//! either host, and each side played again from either capture. What was recorded far away must come out the same too.
#![cfg(feature = "replay")]

use std::net::SocketAddr;
use std::time::Duration;

use crate::programs;
use tcplab::app::calls::{self, Call};
use tcplab::capture::{Settings, WhenBehind};
use tcplab::replay::{Mode, Replay, Role, Verdict};
use tcplab::rng::Rng;
use tcplab::sim::Sim;
use tcplab::socket::Shutdown;

/// Turns of two programs that talk to each other: each reads what the other has written before it answers.
fn programs_of(rng: &mut Rng, server: SocketAddr) -> [Vec<Call>; 2] {
    let listen = Call::Listen(server, 5);
    let mut calls = [vec![Call::Connect(server)], vec![listen, Call::Accept]];
    let mut speaker = rng.below(2) as usize;
    for _ in 0..rng.below(6) {
        let len = [1, 20, 500, 1460, 1461, 5_000, 40_000, 150_000][rng.below(8) as usize];
        if rng.chance(0.3) {
            calls[speaker].push(Call::Sleep(Duration::from_millis(rng.below(400))));
        }
        // One write, or several.
        let parts = 1 + rng.below(3);
        for part in 0..parts {
            let share = if part == 0 { len - (parts - 1) * (len / parts) } else { len / parts };
            calls[speaker].push(Call::SendPattern(share));
            if rng.chance(0.2) {
                calls[speaker].push(Call::Sleep(Duration::from_millis(rng.below(50))));
            }
        }
        calls[1 - speaker].push(Call::Recv(len));
        speaker = 1 - speaker;
    }
    let first = rng.below(2) as usize;
    match rng.below(5) {
        0 => calls.iter_mut().for_each(|calls| calls.push(Call::Close)),
        1 => {
            calls[first].push(Call::Abort);
            calls[1 - first].push(Call::RecvEof);
        }
        2 => {
            let late = 1 + rng.below(9_000);
            calls[first].extend([Call::Shutdown(Shutdown::Write), Call::Recv(late), Call::RecvEof, Call::Close]);
            calls[1 - first].extend([Call::RecvEof, Call::SendPattern(late), Call::Close]);
        }
        _ => {
            calls[first].push(Call::Close);
            calls[1 - first].extend([Call::RecvEof, Call::Close]);
        }
    }
    calls
}

fn link(rng: &mut Rng) -> String {
    let delay = ["0ms", "1ms", "20ms", "150ms"][rng.below(4) as usize];
    let rate = ["", ",rate=1Mbit", ",rate=100Mbit"][rng.below(3) as usize];
    let luck = ["", "", ",loss=2%", ",loss=8%", ",reorder=5%", ",duplicate=3%", ",limit=8"][rng.below(7) as usize];
    format!("delay={delay}{rate}{luck}")
}

/// Runs one conversation, and gives the captures of client and server.
fn record(case: u64, name: &str) -> ([std::path::PathBuf; 2], String) {
    let mut rng = Rng::new(case, "generated conversations");
    let sim = Sim::seeded(case);
    let rcv_buf = [2_000, 16_000, 65_536, 300_000][rng.below(4) as usize];
    let hosts = [("client", "192.0.2.2/24"), ("server", "192.0.2.1/24")]
        .map(|(name, addresses)| sim.host_with(name, addresses, |config| config.rcv_buf = Some(rcv_buf)));
    let spec = link(&mut rng);
    sim.link(&hosts[0], &hosts[1], &spec);
    let files = ["client", "server"].map(|host| programs::scratch(&format!("{name}-{case}-{host}.pcapng")));
    let captures = [0, 1].map(|host| {
        let settings = Settings::default().at(hosts[host].id()).own_thread(false).when_behind(WhenBehind::Wait);
        sim.observe(settings.create(&files[host]).expect("a place for it"))
    });
    let calls = programs_of(&mut rng, SocketAddr::new(hosts[1].address(), 80));
    let text = format!("case {case}: {spec}, rcv_buf {rcv_buf}\n  {:?}\n  {:?}", brief(&calls[0]), brief(&calls[1]));
    for (host, calls) in hosts.iter().zip(calls) {
        host.spawn_daemon(async move |net| calls::run(net, &calls, |_, _| {}).await);
    }
    sim.run_for(Duration::from_mins(5));
    for capture in captures {
        capture.borrow_mut().close().expect("written");
    }
    (files, text)
}

fn brief(calls: &[Call]) -> Vec<String> {
    calls.iter().map(ToString::to_string).collect()
}

fn cases() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let from = number("TCPLAB_REPLAY_FROM").unwrap_or(0);
    from..from + number("TCPLAB_REPLAY_CASES").unwrap_or(150)
}

/// Without a recipe some of what a program did is not told by its packets: when a write was made that Nagle's algorithm
/// held back, whether a close was called before or after a pause, and, since the window moves in steps of a segment (RFC
/// 9293, section 3.8.6.2.2), when less than a segment was read. So a few of these may differ; all of them are looked at
/// closely enough to say in which field.
#[test]
fn what_a_host_of_the_simulator_captured_comes_out_packet_by_packet() {
    let mut wrong = Vec::new();
    for case in cases() {
        let (files, text) = record(case, "strict");
        let before = wrong.len();
        for file in &files {
            let report = Replay::open(file).expect("a capture").mode(Mode::Strict).run();
            for outcome in report.expect("nothing is written").outcomes {
                if outcome.verdict != Verdict::Pass {
                    wrong.push(format!("{text}\n  {outcome}"));
                }
            }
        }
        // What went wrong stays, to be looked at.
        for file in files.iter().filter(|_| wrong.len() == before) {
            std::fs::remove_file(file).expect("it was there");
        }
    }
    let all = cases().count() * 2;
    assert!(wrong.len() * 18 <= all, "{} of {all}\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn conversations_over_bad_links_come_out_the_same_from_either_side_wherever_they_were_captured() {
    let mut wrong = Vec::new();
    for case in cases() {
        let (files, text) = record(case, "generated");
        let before = wrong.len();
        for file in &files {
            let report = Replay::open(file).expect("a capture").role(Role::Both).mode(Mode::Semantic).run();
            for outcome in report.expect("nothing is written").outcomes {
                if outcome.verdict != Verdict::Pass {
                    wrong.push(format!("{text}\n  {outcome}\n  {:?}", outcome.notes));
                }
            }
        }
        // What went wrong stays, to be looked at.
        for file in files.iter().filter(|_| wrong.len() == before) {
            std::fs::remove_file(file).expect("it was there");
        }
    }
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), cases().count() * 4, wrong.join("\n"));
}
