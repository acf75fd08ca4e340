//! A transfer by our sender next to the same by Linux's, over the same link with the same seed. The suite only sees that
//! both arrive with each controller. `make figures` measures: the medians of 400 transfers each.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::peers::compiled;
use super::{figures, finish, installed, path, place, possible, tcplab, text};

/// Transfers of each kind. The two senders draw from different directions of the link, so their losses differ: with 100
/// transfers the ratio of the medians went from 1.1 to 1.9, by the seeds alone.
const TRANSFERS: u64 = 400;
/// Sandboxes at once.
const AT_ONCE: usize = 8;
/// Ours may take so much longer than Linux's.
const FACTOR: f64 = 1.3;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Ours,
    Linux,
}

/// The seconds of one transfer, from the begin of the connection to the last byte: received by curl, or acknowledged.
fn transfer(sender: Sender, controller: &str, link: &str, seed: u64, bytes: u64, upload: &Path) -> f64 {
    let (size, seed) = (bytes.to_string(), seed.to_string());
    let link = ["--link", link, "--seed", &seed];
    let (serve, line) = match sender {
        Sender::Ours => (
            vec!["-q", "serve", "http", "--size", &size, "--cc", controller],
            "curl -sS --max-time 55 -o /dev/null -w '%{size_download} %{time_total}' http://192.168.69.1:8080/"
                .to_owned(),
        ),
        Sender::Linux => (
            vec!["-q", "serve", "discard"],
            format!("printf '{size} '; {} 192.168.69.1 9 {size} {controller}", path(upload)),
        ),
    };
    let args = [&serve[..], &link, &["--", "sh", "-c", &line]].concat();
    let child = tcplab(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let output = finish(child);
    let (told, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{args:?}\n{told}{said}");
    let (count, seconds) = told.trim().split_once(' ').expect("two numbers");
    assert_eq!(count, size, "{args:?}: {told}");
    seconds.parse().unwrap_or_else(|_| panic!("{args:?}: {told}"))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    f64::midpoint(times[(times.len() - 1) / 2], times[times.len() / 2])
}

#[test]
fn a_transfer_works_with_each_controller_of_ours_and_of_linux() {
    if !(possible() && installed(&["curl"])) {
        return;
    }
    let Some(upload) = compiled("upload", &place("speed")) else { return };
    for controller in ["cubic", "bbr", "reno"] {
        for sender in [Sender::Ours, Sender::Linux] {
            transfer(sender, controller, "delay=5ms,loss=1%", 1, 200_000, &upload);
        }
    }
}

/// Issue 9: "1 MB from `serve http --link delay=50ms,loss=1%` to curl has a median of at most 1.3 x that of Linux sending to
/// `serve discard` over the same link, CUBIC against CUBIC and BBR against BBR".
#[test]
fn the_median_of_many_transfers_is_at_most_1_3_times_that_of_linux() {
    if !(figures() && possible() && installed(&["curl"])) {
        return;
    }
    let Some(upload) = compiled("upload", &place("medians")) else { return };
    let kinds: Vec<_> = ["cubic", "bbr", "reno"]
        .into_iter()
        .flat_map(|controller| [Sender::Ours, Sender::Linux].map(|sender| (controller, sender)))
        .collect();
    // Interleaved, each kind with the same seeds.
    let jobs: Vec<_> = (0..TRANSFERS).flat_map(|seed| kinds.iter().map(move |kind| (*kind, seed))).collect();
    let (next, times) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(((controller, sender), seed)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let time = transfer(*sender, controller, "delay=50ms,loss=1%", *seed, 1_000_000, &upload);
                    times.lock().unwrap_or_else(PoisonError::into_inner).push((*controller, *sender, time));
                }
            });
        }
    });
    let times = times.into_inner().expect("whole");
    let median_of = |controller: &str, sender: Sender| {
        let of = times.iter().filter(|(one, who, _)| *one == controller && *who == sender);
        median(of.map(|(_, _, time)| *time).collect())
    };
    let mut slow = Vec::new();
    for controller in ["cubic", "bbr", "reno"] {
        let (ours, linux) = (median_of(controller, Sender::Ours), median_of(controller, Sender::Linux));
        let line = format!("1 MB, {controller}: median {ours:.3} s, Linux {linux:.3} s, ratio {:.2}", ours / linux);
        println!("{line}");
        // The issue names a bound for two of them.
        if controller != "reno" && ours > FACTOR * linux {
            slow.push(line);
        }
    }
    assert!(slow.is_empty(), "at most {FACTOR} times Linux's: {slow:#?}");
}
