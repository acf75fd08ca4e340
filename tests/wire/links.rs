//! The links do what their lines say: delay, loss, rate, queue, reordering, duplication, as two kernels see it. Numbers of
//! random impairments lie within four standard deviations.

use std::fs;

use super::{Place, installed, possible, str, wire};

/// Sends datagrams of 1,000 bytes of IP, each with its number and the time of the begin, and a pause between two.
const SEND: &str = "import socket, struct, sys, time\n\
                    count, pause = int(sys.argv[1]), float(sys.argv[2])\n\
                    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                    s.connect(('10.77.0.1', 9))\n\
                    begin = time.perf_counter()\n\
                    for n in range(count):\n    s.send(struct.pack('>Id', n, begin) + bytes(960))\n    \
                    while pause and time.perf_counter() < begin + (n + 1) * pause: time.sleep(pause / 4)\n";
/// Receives until nothing has come for a while, then writes the numbers and the time from the begin of the sender to the last
/// one. Both programs have one clock. A receiver that wakes up late at the first datagram cannot make the time shorter.
const RECEIVE: &str = "import socket, struct, sys, time\n\
                       s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                       s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)\n\
                       s.bind(('10.77.0.1', 9))\n\
                       got, at = [], []\n\
                       try:\n    while True:\n        n, begin = struct.unpack('>Id', s.recv(2000)[:12])\n        \
                       got.append(n)\n        at.append(time.perf_counter())\n        s.settimeout(0.4)\n\
                       except TimeoutError: pass\n\
                       open(sys.argv[1], 'w').write(' '.join(map(str, [at[-1] - begin] + got)))\n";

/// What came of so many datagrams: the seconds from the begin of the sender to the last one, their numbers in order, and what
/// tcplab said.
fn datagrams(name: &str, link: &str, count: u64, pause: f64) -> Option<(f64, Vec<u64>, String)> {
    if !(possible() && installed(&["python3"])) {
        return None;
    }
    let place = Place::new(name);
    for (file, text) in [("send.py", SEND), ("receive.py", RECEIVE)] {
        fs::write(place.join(file), text).expect("written");
    }
    let result = place.join("result");
    let left = format!("python3 {}/receive.py {}", place.path(), str(&result));
    // The right command ends when the left one has seen everything.
    let right = format!(
        "python3 {}/send.py {count} {pause}; while [ ! -s {} ]; do sleep 0.05; done; sleep 0.05",
        place.path(),
        str(&result)
    );
    let ran = wire(&["-v", "--seed", "7", "--link", link, "--left", &left, "--right", &right]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.printed, ran.said);
    let text = fs::read_to_string(&result).expect("written");
    let mut words = text.split(' ');
    let seconds = words.next().and_then(|word| word.parse().ok()).expect("seconds");
    Some((seconds, words.map(|word| word.parse().expect("a number")).collect(), ran.said))
}

/// Whether a count of `n` with probability `p` lies within four standard deviations.
#[track_caller]
fn about(count: usize, n: u64, p: f64) {
    let (mean, deviation) = (n as f64 * p, (n as f64 * p * (1.0 - p)).sqrt());
    assert!((count as f64 - mean).abs() < 4.0 * deviation, "{count} of {n}; expected {mean} ± {}", 4.0 * deviation);
}

/// The counters of the direction from right to left: sent, duplicated, delivered, dropped.
fn counters(said: &str) -> Vec<u64> {
    let line = said.lines().find_map(|line| line.strip_prefix("link right>left: ")).expect("a line");
    line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn loss_is_that_of_the_line_and_the_counters_agree() {
    let Some((_, got, said)) = datagrams("loss", "right>left:loss=10%", 4000, 0.0) else { return };
    about(4000 - got.len(), 4000, 0.1);
    assert!(got.is_sorted() && got.windows(2).all(|pair| pair[0] < pair[1]), "in order, and each once");
    let counted = counters(&said);
    let other = counted[0] - 4000; // what the kernels send of themselves
    assert!(other < 20, "{said}");
    assert!(counted[3] >= 4000 - got.len() as u64 && counted[3] <= 4000 - got.len() as u64 + other, "{said}");
}

#[test]
fn rate_and_queue_are_those_of_the_line() {
    // 1,000 bytes take 1 ms. 300 of them come at once, and 100 have room.
    let Some((seconds, got, _)) = datagrams("rate", "rate=8Mbit,limit=100", 300, 0.0) else { return };
    // The sender takes some milliseconds, in which so many leave.
    assert!((100..200).contains(&got.len()), "{} datagrams", got.len());
    assert_eq!(got[..100], (0..100).collect::<Vec<_>>(), "the queue drops at its tail");
    let expected = got.len() as f64 * 1e-3;
    assert!((expected..expected * 1.1 + 0.02).contains(&seconds), "{seconds} s for {expected} s");
}

#[test]
fn reordering_and_duplication_are_those_of_the_line() {
    let link = "right>left:delay=20ms,reorder=10%,duplicate=5%";
    let Some((_, got, said)) = datagrams("reorder", link, 1500, 0.0004) else { return };
    let mut once = got.clone();
    once.sort_unstable();
    let all = once.len();
    once.dedup();
    assert_eq!(once, (0..1500).collect::<Vec<_>>(), "every datagram, {said}");
    about(all - once.len(), 1500, 0.05);
    // One that is sent ahead comes before those of the 20 ms before it.
    let ahead = got.windows(2).filter(|pair| pair[1] < pair[0]).count();
    about(ahead, 1500, 0.1 * 0.9);
}

#[test]
fn a_ping_takes_the_delay_of_both_directions() {
    if !(possible() && installed(&["ping"])) {
        return;
    }
    for (links, least) in [
        (vec!["--link", "delay=20ms"], 40.0),
        (vec!["--link", "left>right:delay=30ms", "--link", "right>left:delay=5ms"], 35.0),
        (vec!["--link", "delay=5ms", "--hop", "delay=10ms", "--link", "left>right:delay=1ms"], 21.0),
    ] {
        let right = "ping -q -i 0.01 -c 20 10.77.0.1";
        let ran = wire(&[&links[..], &["--right", right]].concat());
        let rtt = ran.printed.lines().last().and_then(|line| line.split_whitespace().nth(3)).expect("a line");
        let numbers: Vec<f64> = rtt.split('/').map(|number| number.parse().expect("a number")).collect();
        // The machine may be busy; `figures` has the exact claim.
        assert!(numbers[0] >= least && numbers[0] < least + 3.0, "{links:?}: {rtt}");
    }
}

#[test]
fn the_times_of_a_line_count_from_the_start_of_the_right_command() {
    if !(possible() && installed(&["ping", "nc"])) {
        return;
    }
    let right = "ping -q -c 1 -W 0.2 10.77.0.1 | grep -o '[0-9]*% packet loss'; sleep 0.5; \
                 ping -q -c 1 -W 0.5 10.77.0.1 | grep -o '[0-9]*% packet loss'";
    let ran = wire(&["--link", "down=0s..500ms", "--left", "sleep 0.8; nc -l 9000", "--right", right]);
    assert_eq!(ran.printed, "100% packet loss\n0% packet loss\n", "{}", ran.said);
}

#[test]
fn a_line_with_a_time_changes_a_link_and_the_control_interface_takes_it_down_and_up() {
    if !(possible() && installed(&["ping", "curl"])) {
        return;
    }
    let ping = "ping -q -c 1 -W 0.3 10.77.0.1 | grep -o '[0-9]*% packet loss'";
    let right = format!("{ping}; sleep 0.8; {ping}");
    let ran = wire(&["--link", "delay=1ms", "--link", "@800ms:loss=100%", "--right", &right]);
    assert_eq!(ran.printed, "0% packet loss\n100% packet loss\n", "{}", ran.said);
    let place = Place::new("control");
    let address = format!("unix:{}", str(&place.join("c")));
    let ask = |what: &str| {
        format!(
            "curl -s --unix-socket \"${{TCPLAB_CONTROL#unix:}}\" http://localhost/links/{what} -d '{{}}' > /dev/null"
        )
    };
    let right = format!("{ping}; {}; {ping}; {}; {ping}", ask("down"), ask("up"));
    let ran = wire(&["--control", &address, "--right", &right]);
    assert_eq!(ran.printed, "0% packet loss\n100% packet loss\n0% packet loss\n", "{}", ran.said);
    assert!(ran.said.contains("control: unix:/"), "{}", ran.said);
}

#[test]
fn packets_that_the_queue_of_a_device_drops_are_counted() {
    if !(possible() && installed(&["python3", "ip", "kill"])) {
        return;
    }
    let place = Place::new("queue");
    let (ready, sent) = (place.join("ready"), place.join("sent"));
    let right = format!(
        "ip link set tcplab0 txqueuelen 10; echo > {0}; sleep 0.5; python3 -c \"import socket; s = \
         socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('10.77.0.1', 9)); \
         [s.send(b'x') for n in range(60)]\"; echo > {1}; sleep 0.3",
        str(&ready),
        str(&sent)
    );
    let child = super::begin(&["--right", &right]);
    let wait_for = |file: &std::path::Path| {
        while !file.exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    let signal = |name: &str| {
        let sent = std::process::Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    };
    wait_for(&ready);
    signal("STOP");
    wait_for(&sent);
    signal("CONT");
    let output = super::finish(child);
    let said = super::text(&output.stderr);
    let line = said.lines().find(|line| line.starts_with("right: ")).unwrap_or_else(|| panic!("{said}"));
    let dropped: u64 = line.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a number");
    assert!((45..=55).contains(&dropped), "{said}");
    assert!(line.ends_with(" packets dropped by the device queue, which the link did not empty in time"), "{line}");
}
