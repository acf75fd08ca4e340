//! Hops as the kernel and its tools see them.

use super::{installed, possible, wire};

#[test]
fn traceroute_shows_each_hop() {
    if !(possible() && installed(&["traceroute"])) {
        return;
    }
    let links = ["--link", "delay=1ms", "--hop", "delay=2ms", "--hop", "delay=3ms"];
    let right = "for ip in '-4 10.77.0.1' '-6 fd77::1'; do traceroute -n -q 1 -w 2 $ip | tail -n +2; done";
    let ran = wire(&[&links[..], &["--right", right]].concat());
    let seen: Vec<_> = ran.printed.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let expected = ["10.77.2.1", "10.77.1.1", "10.77.0.1", "fd77:2::1", "fd77:1::1", "fd77::1"];
    assert_eq!((ran.code, seen.as_slice()), (Some(0), &expected[..]), "{}{}", ran.printed, ran.said);
}

#[test]
fn a_small_mtu_behind_a_hop_is_found_by_path_mtu_discovery_and_nothing_is_fragmented() {
    if !(possible() && installed(&["curl", "python3", "ping"])) {
        return;
    }
    let links = ["--link", "delay=1ms", "--hop", "mtu=1300,delay=1ms", "--hop", "delay=1ms", "-v"];
    let place = super::Place::new("mtu");
    std::fs::write(place.join("file"), vec![b'x'; 100_000]).expect("written");
    let left = format!("python3 -m http.server -d {} --bind :: 80 2> /dev/null", place.path());
    let right = "for ip in 10.77.0.1 '[fd77::1]'; do curl -sS --max-time 10 http://$ip/file | wc -c; done; \
                 ping -c 1 -M do -s 1400 10.77.0.1 | grep -o 'From 10.77.2.1 .*'; \
                 ping -c 1 -s 1272 -M do 10.77.0.1 | grep -o ' 0% packet loss'";
    let ran = wire(&[&links[..], &["--left", &left, "--right", right]].concat());
    let expected = "100000\n100000\nFrom 10.77.2.1 icmp_seq=1 Frag needed and DF set (mtu = 1300)\n 0% packet loss\n";
    assert_eq!((ran.code, ran.printed.as_str()), (Some(0), expected), "{}", ran.said);
}

#[test]
fn a_hop_answers_a_ping() {
    if !(possible() && installed(&["ping"])) {
        return;
    }
    let right = "for ip in 10.77.1.1 fd77:1::1; do ping -q -c 1 $ip | grep -o ' 0% packet loss'; done; \
                 ping -c 1 -t 1 10.77.0.1 | grep -o 'From 10.77.1.1 .*'";
    let ran = wire(&["--hop", "", "--right", right]);
    let expected = " 0% packet loss\n 0% packet loss\nFrom 10.77.1.1 icmp_seq=1 Time to live exceeded\n";
    assert_eq!(ran.printed, expected, "{}", ran.said);
}

#[test]
fn the_mtu_of_a_device_is_that_of_its_link() {
    if !(possible() && installed(&["ip"])) {
        return;
    }
    let show = "ip -o link show tcplab0 | grep -o 'mtu [0-9]*'; ip -6 -o a show tcplab0 | grep -c fd77; true";
    for (link, shown) in [
        (vec!["--link", "mtu=1280"], "mtu 1280\n1\n"),
        (vec!["--link", "mtu=1279"], "mtu 1279\n0\n"),
        (vec!["--link", "mtu=9000"], "mtu 9000\n1\n"),
        (vec!["--link", "right>left:mtu=1400"], "mtu 1400\n1\n"),
        (vec!["--link", "left>right:mtu=1400"], "mtu 1500\n1\n"),
        (vec!["--hop", "mtu=1350"], "mtu 1350\n1\n"),
        (vec!["--link", "mtu=1350", "--hop", ""], "mtu 1500\n1\n"),
    ] {
        let ran = wire(&[&link[..], &["--right", show]].concat());
        assert_eq!(ran.printed, shown, "{link:?}: {}", ran.said);
    }
}

#[test]
fn at_most_64_links_can_be_joined() {
    if !possible() {
        return;
    }
    let hops = |count: usize| ["--hop", ""].repeat(count);
    let ran = wire(
        &[&hops(63)[..], &["-q", "--right", "ping -q -c 1 -t 255 10.77.0.1 | grep -o ' 0% packet loss'"]].concat(),
    );
    assert_eq!((ran.code, ran.printed.as_str()), (Some(0), " 0% packet loss\n"), "{}", ran.said);
    let ran = wire(&[&hops(64)[..], &["--right", "echo started"]].concat());
    assert_eq!((ran.code, ran.printed.as_str()), (Some(2), ""));
    assert!(ran.said.contains("--hop: there are 65 links; at most 64"), "{}", ran.said);
}
