//! Real programs over a link that delays and loses: web, Redis, `PostgreSQL`, TLS, WebSocket, ssh, iperf3, ping, DNS.

use std::fs;
use std::process::Command;

use super::{Place, begin, finish, installed, is_root, joined, possible, str, text, wire};

const LINK: &str = "delay=5ms,loss=1%";

#[test]
fn curl_downloads_a_file_from_the_http_server_of_python() {
    if !(possible() && installed(&["curl", "python3", "cksum"])) {
        return;
    }
    let place = Place::new("http");
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n * 7 + n / 251) as u8).collect();
    fs::write(place.join("file"), bytes).expect("written");
    let server = format!("python3 -m http.server -d {0} --bind {1} 80 2> /dev/null", place.path(), "::");
    let sum = format!(
        "cksum < {}; for ip in 10.77.0.1 '[fd77::1]'; do curl -sS http://$ip/file | cksum; done",
        str(&place.join("file"))
    );
    let printed = joined(LINK, &server, &sum);
    let sums: Vec<_> = printed.lines().collect();
    assert_eq!(sums.len(), 3, "{printed}");
    assert!(sums.iter().all(|sum| *sum == sums[0]) && sums[0].ends_with(" 300000"), "{printed}");
}

#[test]
fn curl_downloads_a_file_from_nginx_over_both_ip_versions() {
    if !(possible() && installed(&["curl", "nginx", "cksum"])) {
        return;
    }
    let place = Place::new("nginx");
    fs::write(place.join("file"), vec![7; 300_000]).expect("written");
    let dir = place.path();
    let user = if is_root() { "user root;" } else { "" };
    let names = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = names.map(|name| format!("{name}_temp_path {dir}/{name};")).join(" ");
    let settings = format!(
        "daemon off; {user} pid {dir}/pid; error_log stderr crit; events {{}} http {{ access_log off; {temporary} \
         server {{ listen 10.77.0.1:80; listen [fd77::1]:80; root {dir}; }} }}"
    );
    fs::write(place.join("nginx.conf"), settings).expect("written");
    let server = format!("exec $(PATH=$PATH:/usr/sbin command -v nginx) -p {dir} -c {dir}/nginx.conf");
    let client = "for ip in 10.77.0.1 '[fd77::1]'; do curl -sS -o /dev/null -w '%{http_code} %{size_download} ' \
                  http://$ip/file; done; curl -sS -o /dev/null -w '%{http_code}\n' http://10.77.0.1/none";
    assert_eq!(joined(LINK, &server, client), "200 300000 200 300000 404\n");
}

#[test]
fn redis_counts() {
    if !(possible() && installed(&["redis-server", "redis-cli"])) {
        return;
    }
    let place = Place::new("redis");
    let server =
        format!("redis-server --bind 10.77.0.1 --protected-mode no --save '' --dir {} > /dev/null", place.path());
    let client = "redis-cli -h 10.77.0.1 set n 5; redis-cli -h 10.77.0.1 incrby n 37";
    assert_eq!(joined(LINK, &server, client), "OK\n42\n");
}

/// Its server refuses to run as root. initdb takes seconds; beside it runs a wait that ends by its limit.
#[test]
fn psql_asks_postgresql_and_a_wait_ends_after_ten_seconds() {
    if !possible() {
        return;
    }
    let waiting = begin(&["--left", "sleep 300", "--right", "echo started"]);
    let bin = fs::read_dir("/usr/lib/postgresql").ok().and_then(|mut dir| Some(dir.next()?.ok()?.path().join("bin")));
    let bin = bin.filter(|bin| bin.join("postgres").is_file()).unwrap_or_else(|| "/usr/bin".into());
    let found = bin.join("postgres").is_file() || installed(&["postgres"]);
    if found && installed(&["psql", "runuser"]) {
        let place = Place::new("postgres");
        let (bin, dir) = (str(&bin), place.path());
        let serve = format!(
            "cd {dir} && {bin}/initdb -A trust -N -D db > /dev/null && echo 'host all all 10.77.0.0/16 trust' >> \
             db/pg_hba.conf && exec {bin}/postgres -D db -k '' -h 10.77.0.1 -F 2> /dev/null"
        );
        let server = if is_root() {
            format!("exec runuser -u nobody -- sh -c \"{serve}\"")
        } else {
            format!("exec sh -c \"{serve}\"")
        };
        let user = "-U nobody".repeat(usize::from(is_root()));
        let ask = "select sum(n), count(*) from generate_series(1, 20000) as n; select repeat('x', 100000);";
        let client = format!(
            "psql -h 10.77.0.1 {user} postgres -Atc \"{ask}\" | wc; psql -h 10.77.0.1 {user} postgres -Atc 'select 6 * 7'"
        );
        let printed = joined(LINK, &server, &client);
        let words: Vec<_> = printed.split_whitespace().collect();
        assert_eq!(words, ["2", "2", "100017", "42"], "{printed}");
    }
    let output = finish(waiting);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "started\n"));
    let said = text(&output.stderr);
    assert!(
        said.contains("no socket listens on the left side after 10 s; the right command starts all the same"),
        "{said}"
    );
}

#[test]
fn a_tls_connection_is_verified() {
    if !(possible() && installed(&["openssl", "curl"])) {
        return;
    }
    let place = Place::new("tls");
    fs::write(place.join("file"), "over TLS\n").expect("written");
    let key = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem"];
    let certificate = ["-out", "cert.pem", "-days", "2", "-subj", "/CN=left", "-addext", "subjectAltName=IP:10.77.0.1"];
    let made = Command::new("openssl").args(key).args(certificate).current_dir(&place.0).output().expect("openssl");
    assert!(made.status.success(), "{}", text(&made.stderr));
    let server = format!("cd {} && openssl s_server -quiet -accept 443 -cert cert.pem -key key.pem -WWW", place.path());
    let client = format!("curl -sS --cacert {}/cert.pem https://10.77.0.1/file", place.path());
    assert_eq!(joined(LINK, &server, &client), "over TLS\n");
}

#[test]
fn a_web_socket_echoes() {
    let python = "/usr/bin/python3";
    if !(possible() && installed(&["python3"])) {
        return;
    }
    let there =
        Command::new(python).args(["-c", "import websockets"]).output().is_ok_and(|output| output.status.success());
    if !there {
        return crate::common::left_out("two kernels joined by links, with python3-websockets", "make deps");
    }
    let server = "import asyncio, websockets\n\
                  async def echo(ws):\n    async for message in ws: await ws.send(message[::-1])\n\
                  async def main():\n    async with websockets.serve(echo, '10.77.0.1', 8765): await asyncio.Future()\n\
                  asyncio.run(main())";
    let client = "import asyncio, websockets\n\
                  async def main():\n    async with websockets.connect('ws://10.77.0.1:8765') as ws:\n        \
                  await ws.send('socket'); print(await ws.recv())\n        \
                  await ws.send('x' * 50000); print(len(await ws.recv()))\n\
                  asyncio.run(main())";
    let place = Place::new("websocket");
    fs::write(place.join("server.py"), server).expect("written");
    fs::write(place.join("client.py"), client).expect("written");
    let run = |file: &str| format!("{python} {}/{file}", place.path());
    assert_eq!(joined(LINK, &run("server.py"), &run("client.py")), "tekcos\n50000\n");
}

#[test]
fn ssh_runs_a_command_and_gives_its_exit_code() {
    if !(possible() && installed(&["sshd", "ssh", "ssh-keygen"])) {
        return;
    }
    let place = Place::new("ssh");
    for name in ["host", "user"] {
        let mut make = Command::new("ssh-keygen");
        make.args(["-q", "-t", "ed25519", "-N", "", "-f", str(&place.join(name))]);
        assert!(make.status().expect("ssh-keygen").success());
    }
    let (dir, port) = (place.path(), 2222);
    // Root's server wants a directory of the system, which a tmpfs of its own may lack.
    let server = format!(
        "mkdir -p /run/sshd; exec $(command -v sshd) -D -p {port} -f /dev/null -h {dir}/host \
         -o AuthorizedKeysFile={dir}/user.pub -o UsePAM=no -o StrictModes=no -o PidFile=none"
    );
    let client = format!(
        "ssh -F none -q -i {dir}/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -p {port} \
         $(id -un)@10.77.0.1 'echo from $SSH_CONNECTION; exit 3'"
    );
    let ran = wire(&["--link", LINK, "--left", &server, "--right", &client]);
    assert_eq!(ran.code, Some(3), "{}{}", ran.printed, ran.said);
    let words: Vec<_> = ran.printed.split_whitespace().collect();
    assert_eq!([words[0], words[1], words[3], words[4]], ["from", "10.77.0.2", "10.77.0.1", "2222"], "{}", ran.printed);
}

#[test]
fn iperf3_measures_tcp_in_both_directions_and_udp() {
    if !(possible() && installed(&["iperf3"])) {
        return;
    }
    let client = "for how in '-n 2M' '-n 2M -R' '-u -b 5M -l 1000 -n 200K'; do \
                  iperf3 -c 10.77.0.1 -f m $how | grep -c receiver; done";
    assert_eq!(joined("rate=50Mbit,delay=1ms", "iperf3 -s", client), "1\n1\n1\n");
}

#[test]
fn dig_asks_a_name_server_over_udp_and_tcp() {
    if !(possible() && installed(&["dnsmasq", "dig"])) {
        return;
    }
    let user = if is_root() { "--user=root" } else { "" };
    let server = format!(
        "dnsmasq -k -C /dev/null --no-resolv --no-hosts --address=/example.test/192.0.2.7 --listen-address=10.77.0.1 \
         --bind-interfaces --pid-file= {user}"
    );
    let client = "for how in +notcp +tcp; do dig +short +tries=5 +timeout=2 $how @10.77.0.1 example.test; done";
    assert_eq!(joined(LINK, &server, client), "192.0.2.7\n192.0.2.7\n");
}
