//! The text below the options in `--help`: what the output means, and examples that run as they stand. The option
//! structures of each command name these constants. A test parses each example.

pub(super) const TCPLAB: &str = "\
Examples:
  tcplab demo                                           # one connection, explained
  tcplab show tcplab-demo.pcapng                        # the ladder of a capture
  tcplab serve http -- curl http://192.168.69.1:8080/   # a built-in server and a kernel client
  tcplab help serve                                     # the options of a command

Results go to standard output. Everything else goes to standard error.
Exit codes: 0 success. 1 the run failed. 2 wrong usage, or a file that cannot be read. With -- COMMAND: the exit code of \
COMMAND. After signal N: 128 + N.";

pub(super) const DEMO: &str = "\
A server on the userspace stack greets a client. Where this machine has TUN devices (see `tcplab doctor`), the client uses \
the kernel's TCP. Elsewhere the client is a second userspace host on a simulated link. The demo changes nothing outside a \
private network namespace. --json prints one event on each line; docs/events.md lists the fields.

Examples:
  tcplab demo
  tcplab demo --simulated -w /tmp/demo.pcapng --comments full";

#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) const SERVE: &str = "\
The userspace host has the addresses 192.168.69.1 and fd69::1. The kernel's side has 192.168.69.2 and fd69::2. \
Both are in a private network namespace, and COMMAND runs there. \
Without COMMAND, a line is printed that starts a client from a second terminal. \
With -v, http prints a line for each request: client, method, target, status, bytes. \
--json prints the results of --fds, --flows and --stats as objects; docs/views.md lists the fields.
Everything that COMMAND has started ends with tcplab. As root it keeps only CAP_NET_ADMIN, CAP_NET_RAW and \
CAP_NET_BIND_SERVICE. SIGINT, SIGTERM and SIGHUP end the run in order; a second SIGINT or SIGTERM ends it at once.

Examples:
  tcplab serve http --dir . -- curl -sS http://192.168.69.1:8080/README.md
  tcplab serve http --size 1000000 --link delay=50ms,loss=1% -w bad.pcapng --flows -- curl -so /dev/null http://192.168.69.1:8080/
  tcplab serve http --size 1000000 --cc bbr --rcvbuf 1MiB --link rate=20Mbit,loss=1% --seed 7 -- curl -so /dev/null http://192.168.69.1:8080/
  tcplab serve http --size 1000000 --link delay=20ms --link @2s:loss=5% -- curl -so /dev/null http://192.168.69.1:8080/
  tcplab serve http --link rate=20Mbit --control 127.0.0.1:8555
  tcplab serve echo -w - -- nc -N 192.168.69.1 7 | wireshark -k -i -
  tcplab serve chat";

#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) const CONNECT: &str = "\
Standard input is sent to the server over the userspace stack. Data from the server goes to standard output. \
COMMAND starts first, on the kernel's side (192.168.69.2 and fd69::2).

Examples:
  echo hello | tcplab connect 192.168.69.2:9000 -- nc -N -l 9000
  tcplab connect 192.168.69.2:9000 -w connect.pcapng --comments full";

pub(super) const PROXY: &str = "\
A client connects to --listen. Its bytes travel over a TCP connection between two userspace hosts, over the link, in real \
time. At the far end a connection goes to --to. Loss costs what it costs in TCP: a retransmission, a smaller window, a \
timeout. A target that refuses costs a round trip of the link, and then the client sees a reset. \
It needs no privileges. docs/bad-network.md has a command for each kind of bad network. \
In the capture the client is 10.78.0.1, and the server is 10.78.1.1 at the port of --to; with IPv6 fd78::1 and fd78::1:1. \
--json prints the results of --flows as objects.
SIGINT, SIGTERM and SIGHUP end the run in order, and connections that are open then are reset. \
On Linux, everything that COMMAND has started ends with tcplab.

Examples:
  tcplab proxy --listen 127.0.0.1:9000 --to 127.0.0.1:8080 --link delay=50ms,loss=1%
  tcplab proxy --listen 127.0.0.1:9000 --to 127.0.0.1:8080 --link rate=1Mbit,delay=300ms -w bad.pcapng --flows -- curl -so /dev/null http://127.0.0.1:9000/
  tcplab proxy --listen 127.0.0.1:9000 --to 127.0.0.1:8080 --link delay=20ms --control 127.0.0.1:8555
  tcplab proxy --listen 127.0.0.1:9000 --to 127.0.0.1:8080 --listen 127.0.0.1:9432 --to unix:/run/postgresql/.s.PGSQL.5432 --link 'server>client:loss=5%'";

#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) const WIRE: &str = "\
Each side is a private network namespace with a TUN device: the real kernel, and any protocol. The left side has the \
addresses 10.77.0.1 and fd77::1, the right side 10.77.0.2 and fd77::2. The links begin when the right command starts; \
times such as `down=1s..2s` count from there. The hop between links N and N + 1 is 10.77.N.1 and fd77:N::1. It never \
fragments. The MTU of a device is that of its link, or 1500.
The commands run as the caller. Root keeps the capabilities of a container. Everybody else gets CAP_NET_ADMIN, CAP_NET_RAW \
and CAP_NET_BIND_SERVICE in the namespaces. \
Everything that the commands have started ends with tcplab. SIGINT, SIGTERM and SIGHUP end the run in order; a second \
SIGINT or SIGTERM ends it at once. -v prints what each link did, and how late packets were.

Examples:
  tcplab wire --link delay=50ms,loss=1% --left 'python3 -m http.server 80' --right 'curl -sS http://10.77.0.1/'
  tcplab wire --link delay=20ms --right 'ping -c 3 10.77.0.1'
  tcplab wire --link rate=20Mbit,delay=10ms --left 'iperf3 -s' --right 'iperf3 -c 10.77.0.1' --flows -w iperf3.pcapng
  tcplab wire --link delay=1ms --hop rate=1Mbit,delay=5ms,limit=20 --hop delay=1ms --right 'traceroute -n 10.77.0.1'
  tcplab wire --link 'left>right:rate=1Mbit' --link 'right>left:rate=100kbit' --left 'nc -l 9000' --right 'nc -N 10.77.0.1 9000'
  tcplab wire --link delay=300ms --left 'python3 -m http.server 80'";

#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) const DOCTOR: &str = "\
Each requirement has one line: ok, or what to do. --json prints an object for each: check, ok, advice. \
The exit code is 1 if no TUN device can be opened.

Examples:
  tcplab doctor";

pub(super) const SHOW: &str = "\
The ladder has these columns: seconds since the first packet, the connection, flags, relative start:end and ack, bytes of \
data. A state stands at the packet where it begins. States are inferred from the packets; ? is an unknown state. \
The line below a packet is its comment in the file, or the description that tcplab derives.
Arrows of captures made by tcplab show what the link did: ✗ lost, ↠ delivered twice, ⇢ held back, ⇉ sent ahead, ≁ corrupted. \
A shaft of ═ is a retransmission. docs/views.md explains every mark, column and field.
--json prints one object for each packet: number, at, len, comment, words, tag. A segment also has stream, from (0 is the \
left end), flags, seq, ack, window, payload, sack, kinds, states.
A file that ends in the middle of a record is shown up to there, with a warning. A damaged file is shown up to the damage. \
Then the error names the packet, and the exit code is 2.

Examples:
  tcplab show tcplab-demo.pcapng
  tcplab show --flows --fds bad.pcapng
  tcplab show --flows=long --stats bad.pcapng
  tcplab show bad.pcapng --html bad.html
  tcplab show bad.pcapng --plot sequence --svg bad.svg
  tcpdump -i eth0 -U -w - tcp port 80 | tcplab show -";

pub(super) const STEP: &str = "\
The ladder has a cursor. Beside it stand both ends: state, SND.* and RCV.*, cwnd, ssthresh, rto, timers, and the sequence \
space of what each end sends. ~ stands before a value that is inferred. A lesson opens with its story. ? lists the keys, q \
quits. Of a capture, the first 200,000 packets are read. The terminal needs 60 columns and 16 rows.

Examples:
  tcplab step lost-data
  tcplab step captures/sack.pcapng
  tcplab step --ascii --color never handshake";

pub(super) const REPLAY: &str = "\
The replay runs in virtual time and sends nothing to a network. docs/replay.md explains each verdict. \
A conversation that differs or stalls prints its ladder.
Exit codes: 0 every conversation passed, or was skipped beside one of its file that passed. 1 a conversation differs or \
stalled, or a file has none that passed. 2 a file cannot be read, or has no stream of that number.

Examples:
  tcplab replay tcplab-demo.pcapng
  tcplab replay --json captures/one.pcap captures/two.pcap";

pub(super) const BENCH: &str = "\
Most benches do the same work on tcplab's simulator and on bare smoltcp. They print the results of both and the ratio.

Examples:
  tcplab bench connections --count 1000
  tcplab bench churn --json";

pub(super) const COMPLETIONS: &str = "\
Examples:
  tcplab completions bash > ~/.local/share/bash-completion/completions/tcplab
  tcplab completions fish > ~/.config/fish/completions/tcplab.fish";

pub(super) const MAN: &str = "\
Examples:
  tcplab man | man -l -";

pub(super) const LESSONS: &str = "\
A lesson is a built-in scenario file. It has a story, a list of what to look at, and what tshark must find in its capture.

Examples:
  tcplab lessons
  tcplab lessons --show handshake > mine.toml
  tcplab lessons --pages course";

pub(super) const RUN: &str = "\
The output is the story, the ladder, what to look at, and a summary of the programs. The same scenario, seed and settings \
give the same bytes on every machine. The section comment of a capture holds them. The exit code is 0 if every call had \
the result that the scenario expects, an expected error included. --json prints one event on each line; docs/events.md \
lists the fields. With --flows or --stats it prints the objects of docs/views.md instead.

Keys of --set:
  link.ITEM             an item of every link line (link.loss, link.delay); 0 removes it
  links.A-B.ITEM        an item of one link
  links.A>B.ITEM        an item of one direction
  host.KEY              a key of every host (host.cc, host.mtu)
  hosts.NAME.KEY        a key of one host
  programs.NAME.KEY     size, port, backlog, start, count or every, by name or number from 1
  until                 the end of the run
docs/scenarios.md lists every key, and `tcplab lessons --show NAME` those of a host.

Examples:
  tcplab run handshake
  tcplab run fast-retransmit -w fast.pcapng --comments full
  tcplab run bufferbloat --set 'links.router>client.limit=16' --at all -w short-queue.pcapng
  tcplab run mine.toml --seed 7 --link delay=50ms,loss=2% --cc bbr
  tcplab run fairness --flows=long --stats
  tcplab run bufferbloat --plot queue --svg queue.svg --series queue.csv
  tcplab run keep-alive --realtime -w - | wireshark -k -i -";

pub(super) const DIFF: &str = "\
Conversations are matched by protocol, addresses and the port of the server, in the order in which they begin. Initial \
sequence numbers, ports of clients, timestamps, the IP identification and checksums are not compared. docs/replay.md says \
more. -v prints the conversations that are the same too. --json prints an object for each conversation: protocol, a, b, \
packets, compared, verdict; packet and fields if it differs.
Exit codes: 0 the same. 1 a conversation differs, or only one capture has it. 2 a file cannot be read, or is too large.

Examples:
  tcplab diff before.pcapng after.pcapng
  tcplab diff --time 5ms before.pcapng after.pcapng
  tcplab diff --semantic here.pcapng there.pcap
  tcplab run handshake --seed 7 -w - -q | tcplab diff captures/handshake.pcapng -";

pub(super) const EXTCAP: &str = "\
With --install, Wireshark lists each lesson and each scenario file as an interface. A double click runs it; the gear beside \
it opens a dialog for seed, links, vantage point and pace. The interface `tcplab` lets the dialog choose the lesson. \
docs/wireshark.md says more.

Examples:
  tcplab extcap --install
  tcplab extcap --install --scenarios . --force
  tcplab extcap --profile ~/.config/wireshark/profiles/tcplab
  tcplab extcap --extcap-interface tcplab-handshake --capture --fifo handshake.pcapng --seed 7
  tcplab extcap --uninstall";

pub(super) const SWEEP: &str = "\
A sweep runs every combination of the values of all --set, with each seed. Seeds vary fastest. The order of the rows does \
not depend on -j. The exit code is 1 if a program failed in one of the runs.

Columns:
  the settings, seed
  result                ok, unfinished (a program has not ended), failed or error
  goodput_mbit, bytes   of application data; over completion_s, or over the whole run if a program has not ended
  completion_s          when the last program ended; empty if one has not ended
  connections, packets, retransmissions, drops
  fairness              Jain's index over the connections
With --flows a row is a TCP connection: flow (its number), client, server, begin_s, end_s, goodput_mbit, bytes, packets,
retransmissions.

Keys of --set:
  link.ITEM             an item of every link line (link.loss, link.delay); 0 removes it
  links.A-B.ITEM        an item of one link
  links.A>B.ITEM        an item of one direction
  host.KEY              a key of every host (host.cc, host.mtu)
  hosts.NAME.KEY        a key of one host
  programs.NAME.KEY     size, port, backlog, start, count or every, by name or number from 1
  until                 the end of the run
docs/scenarios.md lists every key.

Examples:
  tcplab sweep fairness --set hosts.server.cc=reno,cubic --set links.left-right.limit=10,20,40
  tcplab sweep mine.toml --seed 1..100 --set link.loss=0,1%,2% --set host.cc=cubic,reno,bbr > sweep.csv
  tcplab sweep reno-vs-cubic --seed 1..5 --warmup 2s --flows
  tcplab sweep mine.toml --seed 1..1000 --shard 3/8 -j 4 > part3.csv";

pub(super) const DRILL: &str = "\
A script runs against the sockets of a host in virtual time; nothing is sent to a network, and shell commands in scripts \
are not executed. docs/drill.md describes the language and what is compared.

Exit codes: 0 every script passed, or came out as --expect has it; 1 one did not; 2 a script cannot be read.

Examples:
  tcplab drill tests/drill
  tcplab drill -v accept.pkt
  tcplab drill --relax window,options --as linux scripts/
  tcplab drill --json scripts/ > expected.json; tcplab drill --expect expected.json scripts/";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use crate::cli::args::Args;

    /// The words of tcplab's part of a line as a shell hands them over, without redirections and comments.
    fn words(line: &str) -> Vec<String> {
        let ours = line.split(" | ").find(|part| part.trim().starts_with("tcplab ")).expect("a command of ours");
        let ours = ours.split(" > ").next().unwrap_or(ours).trim();
        let ours = ours.split(" #").next().unwrap_or(ours);
        let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
        for character in ours.chars().chain([' ']) {
            match character {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(std::mem::take(&mut word)),
                other => word.push(other),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn every_command_has_examples_and_each_can_be_typed() {
        let mut root = Args::command();
        root.build();
        let hidden = |command: &&clap::Command| !command.is_hide_set() && command.get_name() != "help";
        for command in root.get_subcommands().filter(hidden).chain([&root]) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{}", command.get_name()));
            let lines: Vec<_> = examples.lines().filter(|line| line.starts_with("  ")).collect();
            assert!(!lines.is_empty(), "{}", command.get_name());
            for line in lines {
                if let Err(error) = Args::try_parse_from(words(line)) {
                    assert!(!error.use_stderr(), "{line}: {error}");
                }
            }
        }
    }
}
