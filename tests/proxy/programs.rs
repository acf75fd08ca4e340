//! Programs that people have, behind the proxy with a delay and losses: curl, Redis, `PostgreSQL`, TLS, a WebSocket. Each runs in
//! a private network namespace, so that its port is free.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::left_out;

/// The programs that a script needs; false, and a line on the list of what was left out, if one is missing.
fn has(programs: &[&str]) -> bool {
    let there = |program: &&str| {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    };
    let missing: Vec<_> = programs.iter().filter(|program| !there(program)).collect();
    if !missing.is_empty() {
        left_out(&format!("{missing:?} behind the proxy"), "make deps");
    }
    missing.is_empty()
}

/// Runs a script in a namespace of its own, in a directory that everybody may use. `$PROXY` is the proxy with a bad link.
/// Gives what it prints.
fn behind_the_proxy(name: &str, script: &str) -> String {
    let dir: PathBuf = std::env::temp_dir().join(format!("tcplab-{name}-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a directory");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("it is ours");
    let proxy = format!("{} proxy -q --link delay=5ms,loss=1% --seed 1", env!("CARGO_BIN_EXE_tcplab"));
    let whole = format!("set -eu; ip link set lo up; cd {}\n{script}", Path::new(&dir).display());
    let root = fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0);
    let user: &[&str] = if root { &[] } else { &["--user", "--map-root-user"] };
    // The process namespace ends what the script has started.
    let output = Command::new("unshare")
        .args(user)
        .args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", &whole])
        .env("PROXY", proxy)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .expect("unshare");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    fs::remove_dir_all(&dir).expect("it was ours");
    assert!(output.status.success(), "{}\n{out}{err}", output.status);
    out.into_owned()
}

/// Waits until somebody listens at a port.
const AWAIT: &str =
    "await() { for i in $(seq 500); do (: </dev/tcp/127.0.0.1/$1) 2>/dev/null && return; sleep 0.02; done; exit 9; }\n";

#[test]
fn curl_gets_a_file_from_pythons_http_server() {
    if !has(&["unshare", "ip", "curl", "python3"]) {
        return;
    }
    let script = AWAIT.to_owned()
        + "head -c 300000 /dev/urandom >file; python3 -m http.server --bind 127.0.0.1 8080 2>/dev/null >&2 &
await 8080
$PROXY --listen 127.0.0.1:9000 --to 127.0.0.1:8080 -- sh -c 'curl -sS http://$TCPLAB_PROXY/file | cmp - file'
echo same";
    assert_eq!(behind_the_proxy("curl", &script), "same\n");
}

#[test]
fn curl_gets_a_file_from_nginx_twice_over_one_connection() {
    if !has(&["unshare", "ip", "curl", "/usr/sbin/nginx"]) {
        return;
    }
    let script = AWAIT.to_owned()
        + "head -c 300000 /dev/urandom >file; chmod 644 file; mkdir t
cat >nginx.conf <<'END'
daemon off;
user root;
pid nginx.pid;
error_log stderr crit;
events {}
http {
  access_log off;
  client_body_temp_path t/1; proxy_temp_path t/2; fastcgi_temp_path t/3; uwsgi_temp_path t/4; scgi_temp_path t/5;
  server { listen 127.0.0.1:8080; root .; }
}
END
sed -i \"s|root [.];|root $PWD;|\" nginx.conf
/usr/sbin/nginx -p \"$PWD\" -c \"$PWD/nginx.conf\" &
await 8080
$PROXY --listen 127.0.0.1:9000 --to 127.0.0.1:8080 -- sh -c '
curl -sS http://$TCPLAB_PROXY/file -o one http://$TCPLAB_PROXY/file -o two -w \"%{num_connects}\n\"'
cmp one file && cmp two file && echo same";
    assert_eq!(behind_the_proxy("nginx", &script), "1\n0\nsame\n");
}

#[test]
fn redis_answers_its_client() {
    if !has(&["unshare", "ip", "redis-server", "redis-cli"]) {
        return;
    }
    let script = AWAIT.to_owned()
        + "redis-server --port 6379 --save '' >/dev/null &
await 6379
$PROXY --listen 127.0.0.1:9000 --to 127.0.0.1:6379 -- bash -c '
redis-cli -p 9000 set key value; redis-cli -p 9000 get key; redis-cli -p 9000 eval \"return string.rep(ARGV[1], 100000)\" 0 x | wc -c'";
    assert_eq!(behind_the_proxy("redis", &script), "OK\nvalue\n100001\n");
}

#[test]
fn postgresql_answers_psql_over_tcp_and_over_a_unix_socket() {
    let bin = fs::read_dir("/usr/lib/postgresql").ok().and_then(|mut dir| dir.next()).and_then(Result::ok);
    let Some(bin) = bin.map(|dir| dir.path().join("bin")).filter(|_| has(&["unshare", "ip", "psql", "runuser"])) else {
        left_out("PostgreSQL behind the proxy", "make deps");
        return;
    };
    let root = fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0);
    if !root {
        left_out("PostgreSQL behind the proxy", "run as root, which gives it a user of its own");
        return;
    }
    let script = AWAIT.to_owned()
        + &format!("as() {{ runuser -u postgres -- \"$@\"; }}; export PATH=$PATH:{}\n", bin.display())
        + "as initdb -D data -A trust --no-sync >/dev/null
as postgres -D data -k $PWD -c fsync=off -c listen_addresses=127.0.0.1 >log 2>&1 &
await 5432
$PROXY --listen 127.0.0.1:9000 --to 127.0.0.1:5432 --listen 127.0.0.1:9001 --to unix:$PWD/.s.PGSQL.5432 -- bash -c '
for port in 9000 9001; do
psql -h 127.0.0.1 -p $port -U postgres -Atc \"select sum(n), length(string_agg(n::text, $$,$$)) from generate_series(1, 20000) n\"
done'";
    let script = script.replace("$$,$$", "chr(44)");
    assert_eq!(behind_the_proxy("postgresql", &script), "200010000|108893\n200010000|108893\n");
}

#[test]
fn a_tls_connection_is_made_and_closed() {
    if !has(&["unshare", "ip", "openssl"]) {
        return;
    }
    let script = AWAIT.to_owned()
        + "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out cert -days 2 -subj /CN=localhost 2>/dev/null
openssl s_server -key key -cert cert -accept 127.0.0.1:4433 -www >/dev/null &
await 4433
$PROXY --listen 127.0.0.1:9000 --to 127.0.0.1:4433 -- bash -c '
printf \"GET / HTTP/1.0\\r\\n\\r\\n\" | openssl s_client -connect 127.0.0.1:9000 -CAfile cert -verify_return_error -servername localhost -ign_eof 2>&1' >out || true
grep -o 'Verify return code: 0 (ok)' out | head -1; grep -o 'HTTP/1.0 200 ok' out";
    assert_eq!(behind_the_proxy("tls", &script), "Verify return code: 0 (ok)\nHTTP/1.0 200 ok\n");
}

#[test]
fn a_websocket_echoes_and_closes() {
    let module = Command::new("/usr/bin/python3").args(["-c", "import websockets"]).stderr(Stdio::null()).status();
    if !has(&["unshare", "ip", "python3"]) || !module.is_ok_and(|status| status.success()) {
        return left_out("a WebSocket behind the proxy", "make deps");
    }
    let script = AWAIT.to_owned()
        + r#"cat >server.py <<'END'
import asyncio, websockets
async def echo(socket, path=None):
    async for message in socket:
        await socket.send(message)
async def main():
    async with websockets.serve(echo, "127.0.0.1", 8765):
        await asyncio.Future()
asyncio.run(main())
END
cat >client.py <<'END'
import asyncio, os, websockets
async def main():
    async with websockets.connect("ws://" + os.environ["TCPLAB_PROXY"]) as socket:
        for message in ["hello", "x" * 100000]:
            await socket.send(message)
            assert await socket.recv() == message
        await socket.close(1000, "done")
        print("echoed", socket.close_code)
asyncio.run(main())
END
/usr/bin/python3 server.py 2>/dev/null &
await 8765
$PROXY --listen 127.0.0.1:9000 --to 127.0.0.1:8765 -- /usr/bin/python3 client.py"#;
    assert_eq!(behind_the_proxy("websocket", &script), "echoed 1000\n");
}
