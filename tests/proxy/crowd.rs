//! Many connections with random sizes and endings over a bad link, and many slow readers. In full with
//! `TCPLAB_FIGURES=whole`.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tcplab::proxy::{HOST_BUFFERS, KERNEL_BUFFER};

use crate::lab::{Ending, Lab, PATIENCE, fill, patient, read_all, send_all, text};
use crate::plan::{Plan, Verdict, Way};

/// Connections at a time.
const AT_ONCE: usize = 48;

fn whole() -> bool {
    std::env::var_os("TCPLAB_FIGURES").is_some_and(|value| value == "whole")
}

#[test]
fn every_connection_of_a_crowd_ends_as_its_ends_have_ended_it_over_a_bad_link() {
    let (count, largest) = if whole() { (10_000, 200_000) } else { (300, 60_000) };
    let (lab, target) = Lab::with_target("delay=3ms,loss=1%,reorder=2%,duplicate=1%");
    target.set_nonblocking(true).expect("an option");
    let [next, ended, accepted, resets] = [const { AtomicU64::new(0) }; 4];
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let plan = Plan::new(number, largest);
                    let verdict = plan.play(0, lab.connect());
                    plan.check(0, verdict);
                    resets.fetch_add(u64::from(verdict == Verdict::Reset), Ordering::Relaxed);
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // A client that aborts before its SYN has arrived is never accepted.
        let mut quiet_since = Instant::now();
        while ended.load(Ordering::Relaxed) < count || quiet_since.elapsed() < Duration::from_millis(500) {
            let Ok((server, _)) = target.accept() else {
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            quiet_since = Instant::now();
            accepted.fetch_add(1, Ordering::Relaxed);
            let resets = &resets;
            scope.spawn(move || {
                server.set_nonblocking(false).expect("an option");
                server.set_read_timeout(Some(PATIENCE)).expect("an option");
                server.set_write_timeout(Some(PATIENCE)).expect("an option");
                let verdict = Plan::read(&server, largest).map_or(Verdict::Reset, |plan| {
                    let verdict = plan.play(1, server);
                    plan.check(1, verdict);
                    verdict
                });
                resets.fetch_add(u64::from(verdict == Verdict::Reset), Ordering::Relaxed);
            });
        }
    });
    let plans = (0..count).map(|number| Plan::new(number, largest));
    let aborts = plans.filter(|plan| matches!(plan.way, Way::ClientAborts | Way::ServerAborts)).count() as u64;
    let unseen = count - accepted.into_inner();
    assert_eq!(resets.into_inner() + unseen, aborts, "each abort is seen at the other end");
    assert!(unseen <= aborts / 10, "{unseen} of {aborts}");
    lab.await_end();
    let counts = lab.stop();
    assert_eq!((counts.opened, counts.closed, counts.reset), (count, count - aborts, aborts));
    assert_eq!((counts.refused, counts.paused), (0, 0));
}

/// Memory that the process has, and pages that its kernel has for TCP, in bytes.
fn memory(process: u32) -> (usize, usize) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("a line");
    let number = |text: &str| text.split_whitespace().find_map(|word| word.parse::<usize>().ok());
    let kernel = fs::read_to_string("/proc/net/sockstat").expect("a file of Linux");
    let tcp = kernel.lines().find(|line| line.starts_with("TCP:")).expect("a line");
    let pages = tcp.split_whitespace().next_back().and_then(|word| word.parse::<usize>().ok()).expect("a number");
    (number(line).expect("a number") << 10, pages * 4096)
}

/// Issue 13: "It reuses TIME-WAIT records (RFC 6191) and never runs out of ports". An address of the near host has 28,232
/// ports. The target closes first, so that each of them is in TIME-WAIT at the far host when it is used again.
#[test]
fn more_connections_than_there_are_ports_follow_one_another() {
    const CONNECTIONS: usize = 29_000;
    let (lab, target) = Lab::with_target("");
    let server = thread::spawn(move || {
        for _ in 0..CONNECTIONS {
            drop(target.accept().expect("the proxy connects"));
        }
    });
    let address = lab.addresses[0].clone();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let address = address.clone();
            thread::spawn(move || {
                for n in 0..CONNECTIONS / 4 {
                    let client = TcpStream::connect(&address).unwrap_or_else(|error| panic!("{n}: {error}"));
                    patient(&client);
                    assert_eq!(read_all(&client), (Vec::new(), Ending::Eof), "{n}");
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("each of its connections ends in order");
    }
    server.join().expect("it has seen them all");
    let counts = lab.stop();
    assert_eq!((counts.opened, counts.reset, counts.refused), (CONNECTIONS as u64, 0, 0), "{counts:?}");
}

#[test]
fn with_many_slow_readers_memory_stays_below_its_bound() {
    let count: usize = if whole() { 1000 } else { 60 };
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = target.local_addr().expect("it is bound").to_string();
    let before = memory(std::process::id()).1;
    let mut proxy = Command::new(env!("CARGO_BIN_EXE_tcplab"))
        .args(["proxy", "--listen", "127.0.0.1:0", "--to", &to, "--link", "delay=5ms"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command");
    let mut line = String::new();
    BufReader::new(proxy.stderr.take().expect("it is piped")).read_line(&mut line).expect("a line");
    let address = line.split([' ', ',']).find(|word| word.starts_with("127.")).expect("the address").to_owned();
    let bytes = text(4 << 20, 1);
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for _ in 0..count {
        clients.push(TcpStream::connect(&address).expect("the proxy listens"));
        let (server, _) = target.accept().expect("the proxy connects");
        SockRef::from(&server).set_send_buffer_size(KERNEL_BUFFER).expect("an option");
        servers.push(server);
    }
    thread::scope(|scope| {
        for part in servers.chunks(count.div_ceil(8)) {
            let bytes = &bytes;
            scope.spawn(move || {
                for server in part {
                    fill(server, &bytes[..2 << 20]);
                }
            });
        }
    });
    let (resident, kernel) = memory(proxy.id());
    // Linux counts twice what SO_SNDBUF and SO_RCVBUF say. Two sockets of a connection are the proxy's, two are ours.
    let bound = 2 * HOST_BUFFERS + (64 << 20);
    assert!(resident < bound, "{} MiB resident", resident >> 20);
    let of_kernel = kernel.saturating_sub(before);
    println!("{count} slow readers: {} MiB resident, {} MiB in sockets", resident >> 20, of_kernel >> 20);
    // What was stalled arrives when it is read.
    let mut one = vec![0; 100_000];
    (&clients[count / 2]).read_exact(&mut one).expect("it arrives");
    assert!(one == bytes[..one.len()]);
    let most = count * 8 * 2 * KERNEL_BUFFER;
    assert!(of_kernel < most, "{} MiB in sockets", of_kernel >> 20);
    proxy.kill().expect("it runs");
    proxy.wait().expect("it ends");
}

/// Issue 13: "1 MB through `proxy` over `delay=50ms,loss=1%` and through `wire` with Linux on both sides, CUBIC on all: the
/// ratio of the medians of 100 transfers each is 0.8 to 1.3". This is the half of the proxy. The other is in
/// `tests/wire/figures.rs`.
#[test]
fn the_median_of_100_transfers_over_a_lossy_link_is_printed() {
    const TRANSFERS: usize = 100;
    if !whole() {
        return;
    }
    let (lab, target) = Lab::with_target("delay=50ms,loss=1%");
    let bytes = text(1_000_000, 1);
    let (next, times) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..TRANSFERS {
                let (server, _) = target.accept().expect("the proxy connects");
                let bytes = &bytes;
                scope.spawn(move || send_all(&server, bytes));
            }
        });
        for _ in 0..10 {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < TRANSFERS as u64 {
                    let began = Instant::now();
                    let client = lab.connect();
                    let (got, ending) = read_all(&client);
                    assert_eq!((got == bytes, ending), (true, Ending::Eof));
                    times.lock().expect("one at a time").push(began.elapsed().as_secs_f64());
                }
            });
        }
    });
    let mut times = times.into_inner().expect("whole");
    times.sort_by(f64::total_cmp);
    let median = f64::midpoint(times[TRANSFERS / 2 - 1], times[TRANSFERS / 2]);
    println!("1 MB through proxy, delay=50ms,loss=1%, CUBIC: median {median:.3} s");
    assert!((1.0..10.0).contains(&median), "{median} s");
}
