//! What stands below the options in `--help`: what the output means, and examples that can be typed as they are. A test
//! has each example parsed.

pub(super) const TCPLAB: &str = "\
Examples:
  tcplab demo                                           # a connection from handshake to close, explained
  tcplab show tcplab-demo.pcapng                        # the same of any capture
  tcplab serve http -- curl http://192.168.69.1:8080/   # our server, a real client
  tcplab help serve                                     # the options of a command

Results go to standard output, everything else to standard error. Exit codes: 0 good; 1 the run failed; 2 usage, or a \
file that cannot be read; with -- COMMAND that of COMMAND; 128 + n after signal n.";

pub(super) const DEMO: &str = "\
A server on the userspace stack greets a client: one of the real kernel over a TUN device where this machine allows it \
(`tcplab doctor` says whether), else one on a simulated link. Nothing outside of a private network namespace is touched.

Examples:
  tcplab demo
  tcplab demo --simulated -w /tmp/demo.pcapng --comments full";

#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) const SERVE: &str = "\
The userspace host is 192.168.69.1 and fd69::1, the kernel's side 192.168.69.2 and fd69::2, in a private network \
namespace: COMMAND runs inside of it, and without COMMAND the line for a second terminal is printed.

Examples:
  tcplab serve http --dir . -- curl -sS http://192.168.69.1:8080/README.md
  tcplab serve http --size 1000000 --link delay=50ms,loss=1% -w bad.pcapng --flows -- curl -so /dev/null http://192.168.69.1:8080/
  tcplab serve echo -w - -- nc -N 192.168.69.1 7 | wireshark -k -i -
  tcplab serve chat";

#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) const CONNECT: &str = "\
Standard input goes to the server over the userspace stack, and what it says comes back on standard output. COMMAND is \
started first, on the kernel's side (192.168.69.2 and fd69::2).

Examples:
  echo hello | tcplab connect 192.168.69.2:9000 -- nc -N -l 9000
  tcplab connect 192.168.69.2:9000 -w connect.pcapng --comments full";

#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) const DOCTOR: &str = "\
One line for each thing that is needed: ok, or what to do about it. Exit code 1 if there is no TUN device to be had.

Examples:
  tcplab doctor";

pub(super) const SHOW: &str = "\
The ladder: seconds since the first packet, the number of the connection, states where they begin (inferred from the \
packets, ? is unknown), flags, relative start:end and ack, bytes of data; below it the comment in the file, or what \
there is to say. ✗ is lost on the link, ↠ arrives twice, ⇢ is held back, ⇉ is sent ahead, ≁ is changed: captures of tcplab tell that.
--json: number, at, len, comment; of a segment stream, from (0 is the left end), flags, seq, ack, window, payload, states.
A file that is damaged is shown up to there; then the error names the packet, and the exit code is 2.

Examples:
  tcplab show tcplab-demo.pcapng
  tcplab show --flows --fds bad.pcapng
  tcpdump -i eth0 -U -w - tcp port 80 | tcplab show -";

pub(super) const REPLAY: &str = "\
Nothing is sent anywhere: the packets meet our stack in virtual time. Exit codes: 0 every verdict is pass or skipped; 1 \
one differs or is stalled; 2 a file cannot be read.

Examples:
  tcplab replay tcplab-demo.pcapng
  tcplab replay --json captures/one.pcap captures/two.pcap";

pub(super) const BENCH: &str = "\
Each bench runs tcplab's simulator and bare smoltcp on the same work, and prints both with their ratio.

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
Each lesson is a scenario file with a story, what to look at, and what tshark has to find in its capture.

Examples:
  tcplab lessons
  tcplab lessons --show handshake > mine.toml";

pub(super) const RUN: &str = "\
Prints the story, the ladder, what the programs did and what to look at; a capture is written with -w only. The same \
scenario, seed and settings give the same bytes everywhere, and the capture has them in the comment on its section. Exit \
code 0 if every program went as it is written, also where that is a refusal. --json: one event on each line, \
docs/events.md has the fields.

Keys of --set: link.ITEM is an item of every link line (link.loss, link.delay; 0 takes it away), links.A-B.ITEM of one \
link, links.A>B.ITEM of one direction; host.KEY is a key of every host (host.cc, host.mtu), hosts.NAME.KEY of one; \
programs.NAME.KEY is size, port, backlog, start, count or every of a program, by its name or number from 1; until is when \
the run ends. docs/scenarios.md has every key.

Examples:
  tcplab run handshake
  tcplab run fast-retransmit -w fast.pcapng --comments full
  tcplab run bufferbloat --set 'links.router>client.limit=16' --at all -w short-queue.pcapng
  tcplab run mine.toml --seed 7 --link delay=50ms,loss=2% --cc cubic
  tcplab run keep-alive --realtime -w - | wireshark -k -i -";

pub(super) const SWEEP: &str = "\
The runs are the product of all values of all --set, each with every seed; seeds turn fastest. Columns: the settings, \
seed, result (ok, failed, error), goodput_mbit and bytes of application data, completion_s (when the last program ended), \
connections, packets, retransmissions, drops, fairness (Jain's index over the connections). The rows and their order do not \
depend on -j. Exit code 1 if a program of some run did not go as it is written.

Keys of --set: link.ITEM is an item of every link line (link.loss, link.delay; 0 takes it away), links.A-B.ITEM of one \
link, links.A>B.ITEM of one direction; host.KEY is a key of every host (host.cc, host.mtu), hosts.NAME.KEY of one; \
programs.NAME.KEY is size, port, backlog, start, count or every of a program, by its name or number from 1; until is when \
the run ends. docs/scenarios.md has every key.

Examples:
  tcplab sweep fairness --set hosts.server.cc=reno,cubic --set links.left-right.limit=10,20,40
  tcplab sweep mine.toml --seed 1..100 --set link.loss=0,1%,2% --set host.cc=reno,cubic > sweep.csv
  tcplab sweep mine.toml --seed 1..1000 --shard 3/8 -j 4 > part3.csv";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use crate::cli::args::Args;

    /// The words of tcplab's part of a line, without redirections and comments.
    fn words(line: &str) -> Vec<&str> {
        let ours = line.split(" | ").find(|part| part.trim().starts_with("tcplab ")).expect("a command of ours");
        let ours = ours.split(" > ").next().unwrap_or(ours).trim();
        ours.split(" #").next().unwrap_or(ours).split_whitespace().collect()
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
