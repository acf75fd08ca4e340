//! The command `tcplab proxy`: COMMAND beside it, its capture and table, signals, and what it refuses.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::{Ending, PATIENCE, read_all};

fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn proxy(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcplab"));
    command.arg("proxy").args(arguments);
    command
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A target that answers each connection with a greeting and closes.
fn greeter() -> (String, thread::JoinHandle<()>) {
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = target.local_addr().expect("it is bound").to_string();
    let server = thread::spawn(move || {
        let (mut stream, _) = target.accept().expect("the proxy connects");
        stream.write_all(b"hello from the target\n").expect("write");
    });
    (to, server)
}

#[test]
fn command_finds_the_proxy_in_its_environment_and_its_exit_code_is_ours() {
    let (to, server) = greeter();
    let port = to.rsplit(':').next().expect("a port").to_owned();
    let capture = scratch("proxy.pcapng");
    let script = "exec 3<>/dev/tcp/${TCPLAB_PROXY%:*}/${TCPLAB_PROXY#*:}; cat <&3; exit 7";
    let arguments =
        ["--listen", "127.0.0.1:0", "--to", &to, "--link", "delay=10ms", "--seed", "1", "--flows", "--force", "-v"];
    let output = proxy(&arguments)
        .args(["-w", capture.to_str().expect("a path"), "--", "bash", "-c", script])
        .output()
        .expect("the command");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), errors(&output));
    assert_eq!(output.status.code(), Some(7), "{err}");
    assert!(out.starts_with("hello from the target\n"), "{out}");
    // The table of connections, and the server at the port of --to.
    assert!(out.contains("10.78.0.1:") && out.contains(&format!("10.78.1.1:{port}")), "{out}");
    assert!(out.contains("TIME-WAIT") && out.contains("22"), "{out}");
    assert!(err.contains("1 connection: 1 closed, 0 reset, 0 refused by the target"), "{err}");
    assert!(err.contains(" packets captured, 0 not written"), "{err}");
    for link in ["client>server", "server>client"] {
        let line = err.lines().find(|line| line.starts_with(&format!("link {link}: sent "))).expect(link);
        assert!(line.contains("dropped 0"), "{line}");
    }
    server.join().expect("a server");
    let shown =
        Command::new(env!("CARGO_BIN_EXE_tcplab")).args(["-q", "show"]).arg(&capture).output().expect("the command");
    let ladder = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(ladder.contains("SYN|ACK 0:1 ack 1") && ladder.contains(&format!("10.78.1.1:{port}")), "{ladder}");
}

#[test]
fn a_lost_answer_is_in_the_capture_of_the_server_and_not_in_that_of_the_client() {
    let (to, server) = greeter();
    let capture = scratch("proxy-both.pcapng");
    let script = "exec 3<>/dev/tcp/${TCPLAB_PROXY%:*}/${TCPLAB_PROXY#*:}; cat <&3";
    let output = proxy(&["--listen", "127.0.0.1:0", "--to", &to, "--link", "delay=10ms", "--force", "--at", "all"])
        .args([
            "--link",
            "server>client:drop=data:1",
            "-w",
            capture.to_str().expect("a path"),
            "--",
            "bash",
            "-c",
            script,
        ])
        .output()
        .expect("the command");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello from the target\n", "{}", errors(&output));
    server.join().expect("a server");
    let packets_lost = |host: &str| {
        let shown = Command::new(env!("CARGO_BIN_EXE_tcplab"))
            .args(["-q", "show", "--all"])
            .arg(scratch(&format!("proxy-both.{host}.pcapng")))
            .output()
            .expect("the command");
        assert_eq!(shown.status.code(), Some(0), "{}", errors(&shown));
        String::from_utf8_lossy(&shown.stdout).matches("[lost:").count()
    };
    assert_eq!((packets_lost("client"), packets_lost("server")), (0, 1));
    assert!(!capture.exists(), "each host has a file of its own");
}

/// What a proxy says on standard error, behind its first line, and the address at which it listens.
#[track_caller]
fn listening(running: &mut Child) -> (BufReader<ChildStderr>, String) {
    let mut err = BufReader::new(running.stderr.take().expect("it is piped"));
    let mut line = String::new();
    err.read_line(&mut line).expect("a line");
    let address = line.split([' ', ',']).find(|word| word.starts_with("127.")).expect("the address").to_owned();
    (err, address)
}

#[test]
fn a_signal_ends_the_proxy_in_order_with_a_whole_capture_and_resets_what_is_open() {
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = target.local_addr().expect("it is bound").to_string();
    let capture = scratch("proxy-signal.pcapng");
    let mut running =
        proxy(&["--listen", "127.0.0.1:0", "--to", &to, "--force", "-w", capture.to_str().expect("a path")])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command");
    let (mut err, address) = listening(&mut running);
    let mut client = TcpStream::connect(&address).expect("the proxy listens");
    let (mut server, _) = target.accept().expect("the proxy connects");
    client.write_all(b"open").expect("write");
    server.read_exact(&mut [0; 4]).expect("it arrives");
    let killed = Command::new("sh").args(["-c", &format!("kill {}", running.id())]).status().expect("kill");
    assert!(killed.success());
    let mut rest = String::new();
    err.read_to_string(&mut rest).expect("text");
    assert_eq!(running.wait().expect("it ends").code(), Some(143), "{rest}");
    assert_eq!(read_all(&client).1, Ending::Reset);
    assert_eq!(read_all(&server).1, Ending::Reset);
    assert!(rest.contains("1 connection: 0 closed, 1 reset"), "{rest}");
    let shown =
        Command::new(env!("CARGO_BIN_EXE_tcplab")).args(["-q", "show"]).arg(&capture).output().expect("the command");
    assert!(shown.status.success() && shown.stderr.is_empty(), "{}", errors(&shown));
    assert!(String::from_utf8_lossy(&shown.stdout).contains("RST"), "the reset is in the capture");
    assert!(fs::metadata(&capture).expect("a file").len() > 500);
    TcpStream::connect(&address).expect_err("nobody listens");
}

/// The processes whose command line has this word.
fn processes_with(word: &str) -> Vec<String> {
    let pids = fs::read_dir("/proc").expect("proc").flatten();
    let pids = pids.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let has = |pid: &String| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|one| one == word.as_bytes())
    };
    pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit())).filter(has).collect()
}

#[test]
fn what_command_has_started_ends_with_the_proxy_also_after_kill_9() {
    for (name, code) in [("KILL", None), ("TERM", Some(143))] {
        // A process in a session of its own, one whose parent has ended, and COMMAND. They wait for this many seconds.
        let time = format!("30{}", std::process::id());
        let script = format!("setsid sleep {time} & (sleep {time} &); echo started; exec sleep {time}");
        let mut running = proxy(&["--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the command");
        let mut line = String::new();
        BufReader::new(running.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
        assert_eq!(line, "started\n");
        wait_for(|| processes_with(&time).len() == 3, "all run");
        let sent = Command::new("kill").args(["-s", name, &running.id().to_string()]).status().expect("kill");
        assert!(sent.success());
        assert_eq!(running.wait().expect("it ends").code(), code, "{name}");
        wait_for(|| processes_with(&time).is_empty(), "nothing is left");
    }
}

#[test]
fn command_sees_the_processes_of_the_machine_and_finds_the_control_interface() {
    let script = "kill -0 $0 && echo ${TCPLAB_PROXY%:*} ${TCPLAB_CONTROL%:*}";
    let output = proxy(&["--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--control", "127.0.0.1:0"])
        .args(["--", "sh", "-c", script, &std::process::id().to_string()])
        .output()
        .expect("the command");
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()),
        (Some(0), "127.0.0.1 127.0.0.1\n"),
        "{}",
        errors(&output)
    );
}

#[test]
fn without_free_descriptors_clients_wait_and_afterwards_all_are_served() {
    const CLIENTS: usize = 40;
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = target.local_addr().expect("it is bound").to_string();
    let script = format!("ulimit -n 48; exec \"$0\" proxy --listen 127.0.0.1:0 --to {to}");
    let mut running = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_tcplab")])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command");
    let (mut err, address) = listening(&mut running);
    // The kernel accepts each of them.
    let clients: Vec<_> = (0..CLIENTS).map(|_| TcpStream::connect(&address).expect("the kernel accepts")).collect();
    for (n, mut client) in clients.iter().enumerate() {
        crate::lab::patient(client);
        client.write_all(&[n as u8]).expect("it is connected");
    }
    target.set_nonblocking(true).expect("an option");
    let (mut served, mut most, mut at_once) = (Vec::new(), 0, Vec::new());
    let began = Instant::now();
    while served.len() < CLIENTS {
        assert!(began.elapsed() < PATIENCE, "{} of {CLIENTS} were served", served.len());
        match target.accept() {
            Ok((stream, _)) => at_once.push(stream),
            // Those that have come are served when no more come, so that descriptors become free.
            Err(_) if at_once.is_empty() => thread::sleep(Duration::from_millis(1)),
            Err(_) => {
                thread::sleep(Duration::from_millis(20));
                most = most.max(at_once.len());
                for mut server in at_once.drain(..) {
                    server.set_nonblocking(false).expect("an option");
                    let mut byte = [0];
                    server.read_exact(&mut byte).expect("it arrives");
                    server.write_all(&byte).expect("it is open");
                    served.push(byte[0]);
                }
            }
        }
        // A client that has its answer leaves.
        for n in served.iter().copied().map(usize::from) {
            let _ = clients[n].shutdown(std::net::Shutdown::Both);
        }
    }
    assert!(most < CLIENTS, "{most} at once with 48 descriptors");
    served.sort_unstable();
    assert_eq!(served, (0..CLIENTS as u8).collect::<Vec<_>>());
    let killed = Command::new("kill").arg(running.id().to_string()).status().expect("kill");
    assert!(killed.success());
    let mut rest = String::new();
    err.read_to_string(&mut rest).expect("text");
    assert_eq!(running.wait().expect("it ends").code(), Some(143), "{rest}");
    assert!(
        rest.contains(&format!("{CLIENTS} connections: ")) && rest.contains("for want of file descriptors"),
        "{rest}"
    );
}

#[track_caller]
fn wait_for(mut holds: impl FnMut() -> bool, what: &str) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_is_wrong_on_the_command_line_is_named_with_exit_code_2() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("it is bound").to_string();
    let (at, to) = ("127.0.0.1:0", "127.0.0.1:80");
    let cases: [(&[&str], &str); 9] = [
        (&["--listen", at], "--to"),
        (&["--listen", at, "--listen", at, "--to", to], "give each --listen its --to"),
        (&["--listen", at, "--to", "127.0.0.1:0"], "a port from 1 to 65535"),
        (&["--listen", at, "--to", "http://127.0.0.1/"], "not a URL"),
        (&["--listen", &taken, "--to", to], &taken),
        (&["--listen", at, "--to", "unix:/x", "--udp"], "unix:/x has no UDP"),
        (&["--listen", at, "--to", to, "--link", "host>kernel:loss=1%"], "`client>server:` and `server>client:`"),
        (&["--listen", at, "--to", to, "--link", "loss=101%"], "loss"),
        (&["--listen", at, "--to", to, "--", "/no/such/program"], "cannot run `/no/such/program`"),
    ];
    for (arguments, text) in cases {
        let output = proxy(arguments).output().expect("the command");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", errors(&output));
        assert!(errors(&output).contains(text), "{arguments:?}: {}", errors(&output));
    }
}
