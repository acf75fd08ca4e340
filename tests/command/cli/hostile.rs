//! Text from outside does not command a terminal: every command, with hostile names and hostile content.
//!
//! A name has escape sequences, control characters, characters that change the direction of text, and a line end that would
//! begin a line of its own. What is printed may have line ends and tabs, and with `--color always` colours.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tcplab::segment::{Flags, SegmentTemplate};

/// A name with one character of each class.
const NAME: &str = "a\u{1b}[2Jb\u{1b}]0;t\u{7}c\u{9b}5nd\u{7f}e\u{202e}f\u{2066}g\u{2028}h\rj\nforged: k\u{61c}";

fn is_unsafe(c: char) -> bool {
    let direction =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && !matches!(c, '\n' | '\t')) || direction || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Runs the command and adds to `wrong` what it must not print.
fn run(dir: &Path, arguments: &[&OsStr], color: bool, wrong: &mut Vec<String>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcplab"));
    command.args(arguments).current_dir(dir).stdin(Stdio::null()).env("COLUMNS", "100");
    if color {
        command.args(["--color", "always"]);
    }
    let output = command.output().expect("it starts");
    assert!(output.status.code().is_some_and(|code| code != 101), "{arguments:?}: {output:?}");
    for (bytes, stream) in [(&output.stdout, "standard output"), (&output.stderr, "standard error")] {
        let mut text = String::from_utf8(bytes.clone()).unwrap_or_else(|_| panic!("{arguments:?}: {stream} is UTF-8"));
        if color {
            for code in ["0", "1", "2", "4", "1;31", "31", "32", "33", "34", "35", "36"] {
                text = text.replace(&format!("\u{1b}[{code}m"), "");
            }
        }
        let found: BTreeSet<_> = text.chars().filter(|c| is_unsafe(*c)).collect();
        let forged = text.lines().any(|line| line.trim_start().starts_with("forged: k"));
        if forged || !found.is_empty() {
            wrong.push(format!("{arguments:?}, {stream}: {found:?}, a forged line: {forged}\n{text}"));
        }
    }
}

/// A pcapng file whose comments, names and text are hostile.
fn capture(section_comment: &str) -> Vec<u8> {
    let mut file = Vec::new();
    let option = |code: u16, value: &[u8]| {
        let mut bytes = [&code.to_le_bytes()[..], &(value.len() as u16).to_le_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let mut block = |kind: u32, body: &[u8]| {
        let len = (body.len().next_multiple_of(4) + 12) as u32;
        file.extend([kind, len].map(u32::to_le_bytes).concat());
        file.extend_from_slice(body);
        file.resize(file.len().next_multiple_of(4), 0);
        file.extend(len.to_le_bytes());
    };
    let magic = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    block(0x0a0d_0d0a, &[magic, option(1, section_comment.as_bytes()), option(4, NAME.as_bytes())].concat());
    block(1, &[&[101, 0, 0, 0, 0, 0, 0, 0][..], &option(2, NAME.as_bytes())].concat());
    let ends = ["192.0.2.1:4000", "192.0.2.2:80"].map(|end| end.parse().expect("an address"));
    for (nth, (from, to, flags, payload)) in [
        (0, 1, Flags::SYN, &b""[..]),
        (1, 0, Flags::SYN | Flags::ACK, b""),
        (0, 1, Flags::ACK, b""),
        (0, 1, Flags::ACK, NAME.as_bytes()),
        (1, 0, Flags::ACK | Flags::FIN, NAME.as_bytes()),
    ]
    .into_iter()
    .enumerate()
    {
        let mut template = SegmentTemplate { flags, payload, ..SegmentTemplate::new(ends[from], ends[to]) };
        template.seq = tcplab::segment::Seq(u32::from(nth >= 2));
        template.ack = tcplab::segment::Seq(1);
        let mut packet = template.to_bytes();
        if nth == 3 {
            packet[36] ^= 0xff; // a wrong checksum
        }
        let len = packet.len() as u32;
        packet.resize(packet.len().next_multiple_of(4), 0);
        let fixed = [0, 0, nth as u32 * 1_000, len, len].map(u32::to_le_bytes).concat();
        block(6, &[fixed, packet, option(1, NAME.as_bytes()), option(1, b"\xff\x1b[2J")].concat());
    }
    file
}

/// A place with hostile files in it.
struct Place {
    dir: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join(NAME)).expect("a directory");
        let place = Self { dir };
        place.file("pcapng", &capture("nobody's"));
        place.file("recipe.pcapng", &capture(&format!("{{\"tcplab\":\"0.1.0\",\"scenario\":\"{NAME}\"}}")));
        place.file("ours.pcapng", &capture("{\"tcplab\":\"0.1.0\",\"live\":true}"));
        let mut torn = capture(NAME);
        torn.truncate(torn.len() - 7);
        place.file("torn.pcapng", &torn);
        place.file("junk", format!("GET / {NAME}").as_bytes());
        place.file("verdicts", b"{\"script\": \"b.pkt\", \"verdict\": \"pass\"}\n");
        place.file("json", format!("{{\"script\": \"{NAME}\"}}").as_bytes());
        for (nth, text) in
            ["0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 ", "", "`", "--", "// ", "0 < S "].iter().enumerate()
        {
            place.file(&format!("{nth}.pkt"), format!("{text}{NAME}\n").as_bytes());
        }
        let scenarios = [
            format!("summary = '''{NAME}'''\n"),
            format!("{NAME} = 1\n"),
            format!("[hosts.\"{}\"]\n", NAME.replace('\n', "\\n").escape_default()),
            "summary = \"a\\u001b[2J\\u009b\\u202e\\nforged: k\"\nstory = \"a\\u001b[2J\\nforged: k\"\n\
             look = [\"a\\u001b[2J\\u202e\"]\n[hosts.a]\n[hosts.b]\n[links]\na-b = \"\"\n[[programs]]\nhost = \"a\"\n\
             do = [\"connect b:80\\u001b[2J\"]\n"
                .to_owned(),
            "summary = \"a\\u001b[2J\\u009b\\u202e\"\nstory = \"a\\u001b[2J\\u202e\"\nlook = [\"a\\u001b[2J\\u202e\"]\n\
             [hosts.a]\n[hosts.b]\n[links]\na-b = \"\"\n[[programs]]\nhost = \"a\"\ndo = [\"connect b:80\"]\n"
                .to_owned(),
            "[hosts.a]\n\"\\u001b[2J\\nforged: k\" = 1\n".to_owned(),
            "[hosts.a]\ncc = \"\\u001b[2J\\nforged: k\\u202e\"\n".to_owned(),
        ];
        for (nth, text) in scenarios.iter().enumerate() {
            place.file(&format!("{nth}.toml"), text.as_bytes());
        }
        place
    }

    fn file(&self, end: &str, bytes: &[u8]) {
        fs::write(self.dir.join(format!("{NAME}.{end}")), bytes).expect("a file");
    }
}

/// Command lines, one on each line. `@` is the hostile name, and `@.x` the hostile file that ends so.
const LINES: &str = "
show @
show @.pcapng
show --json @.pcapng
show --flows --fds @.pcapng
show --flows --fds --json @.pcapng
show --all --ascii @.ours.pcapng
show --json @.ours.pcapng
show @.torn.pcapng
show @.junk
show @.missing
show --count @ @.pcapng
step @
step @.junk
step @.toml
step @.pcapng
replay @
replay @.pcapng
replay -v @.pcapng
replay --json -v @.pcapng
replay @.recipe.pcapng
replay --json @.recipe.pcapng
replay @.ours.pcapng
replay @.torn.pcapng
replay @.junk @.missing
replay --json @.junk
replay --app @ @.pcapng
replay --app http --dir @.missing @.pcapng
replay --app http --dir @ @.pcapng
replay --role @ @.pcapng
replay --stream 9 @.pcapng
replay -w @.junk @.pcapng
replay -w @.pcapng @.pcapng
replay -w @.out.pcapng @.pcapng
drill @
drill @.0.pkt @.1.pkt @.2.pkt @.3.pkt @.4.pkt @.5.pkt
drill -v --json @.0.pkt @.1.pkt @.2.pkt @.3.pkt @.4.pkt @.5.pkt
drill @.missing
drill --json @.missing
drill --set @ @.0.pkt
drill --set @=1 @.0.pkt
drill --set cc=@ @.0.pkt
drill -D @ @.0.pkt
drill -D A=@ @.0.pkt
drill --relax @ @.0.pkt
drill --as @ @.0.pkt
drill --expect @.json @.0.pkt
drill --expect @.missing @.0.pkt
drill --expect @.verdicts @.0.pkt
drill -w @.junk @.0.pkt
drill -w @.drilled @.0.pkt
drill --from @.pcapng
drill --from @.recipe.pcapng
drill --from @.torn.pcapng
drill --from @.junk
drill --from @.missing
drill --from @.pcapng --stream 9
lessons @
lessons --show @
run @
run @.missing
run @.0.toml
run @.1.toml
run @.2.toml
run @.3.toml
run @.4.toml
run --json @.4.toml
run @.5.toml
run @.6.toml
run @.4.toml -w @.run.pcapng
run @.4.toml -w @.junk
run @.4.toml -w @/x/y.pcapng
run @.4.toml -w @.4.toml
run handshake --set @
run handshake --set @=1
run handshake --set host.cc=@
run handshake --set hosts.@.cc=reno
run handshake --link @
run handshake --cc @
run handshake --seed @
run handshake --at @ -w @.at.pcapng
run handshake --comments @ -w @.at.pcapng
sweep @
sweep @.1.toml
sweep @.2.toml
sweep handshake --set @=1,2
sweep handshake --set host.cc=@
sweep handshake --set link.delay=1ms,@
sweep handshake --json --set link.delay=1ms,@
sweep handshake --seed @
sweep handshake --shard @
bench @
bench bulk --count @
demo @
demo --simulated -w @.demo.pcapng
demo --simulated -w @.junk
demo --simulated --comments @
diff @ @.junk
diff @.junk @.missing
diff @.junk @.junk --time @
extcap @
extcap --extcap-interface @ --extcap-config
extcap --extcap-interface tcplab --extcap-capture-filter @
extcap --extcap-interface tcplab --lesson @ --capture --fifo @.fifo.pcapng
extcap --extcap-interface tcplab-handshake --at @ --capture --fifo @.fifo.pcapng
extcap --extcap-interface tcplab-handshake --link @ --capture --fifo @.fifo.pcapng
extcap --extcap-interface tcplab-handshake --capture --fifo @.junk
extcap --install=@.plugins --scenarios @.missing
extcap --install=@.plugins
extcap --uninstall=@.plugins
extcap --profile @.profile
extcap --profile @.junk
completions @
man @
doctor @
help @
@
--color @ show
--@
proxy --listen @ --to 127.0.0.1:1
proxy --listen 127.0.0.1:0 --to @
proxy --listen 127.0.0.1:0 --to unix:@ --udp
proxy --listen unix:@/@ --to unix:@ -- true
proxy --listen 127.0.0.1:0 --to 127.0.0.1:1 --link @
proxy --listen 127.0.0.1:0 --to 127.0.0.1:1 -- @
";

/// The same for commands that use devices.
#[cfg(target_os = "linux")]
const DEVICE_LINES: &str = "
serve @
serve http --dir @.missing
serve http --dir @.junk
serve http --size @
serve echo --listen @
serve echo --tun @
serve echo --sandbox --tun @
serve echo --address @
serve echo --kernel-address @
serve echo --link @
serve echo --cc @
serve echo --rcvbuf @
serve echo -w @.junk -- true
serve echo -w @/x/y.pcapng -- true
serve echo -- @
serve echo -w @.served.pcapng -- true
serve http --dir @ -- true
connect @
connect @:80
connect [@]:80
connect 192.168.69.2:@
connect 192.168.69.2:9 --link @
connect 192.168.69.2:9 -- @
wire @
wire --link @
wire --hop @
wire --wait @
wire --at @
wire -w @.junk --right true
wire -w @.wire.pcapng --right true
wire --control unix:@/@ --right true
";

#[test]
fn no_text_from_outside_commands_a_terminal_whatever_the_command() {
    let place = Place::new("hostile");
    let mut wrong = Vec::new();
    let mut covered = BTreeSet::new();
    let lines = LINES.lines();
    #[cfg(target_os = "linux")]
    let lines = lines.chain(DEVICE_LINES.lines());
    for line in lines.filter(|line| !line.is_empty()) {
        let arguments: Vec<String> = line.split(' ').map(|word| word.replace('@', NAME)).collect();
        covered.insert(line.split(' ').next().unwrap_or_default().to_owned());
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        run(&place.dir, &arguments, false, &mut wrong);
        let colored = ["show", "replay", "drill", "run"].iter().any(|name| line.starts_with(name));
        // COMMAND ends the options.
        if colored && !line.contains(" -- ") {
            run(&place.dir, &arguments, true, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let help = Command::new(env!("CARGO_BIN_EXE_tcplab")).arg("--help").output().expect("it starts");
    let help = String::from_utf8(help.stdout).expect("text");
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A line that goes on has more blanks before it.
    let names = commands.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    let names = names.filter_map(|line| line.split_whitespace().next());
    let missing: Vec<_> = names.filter(|name| !covered.contains(*name)).collect();
    assert!(missing.is_empty(), "commands without a hostile line: {missing:?}");
}

#[test]
fn a_name_that_is_no_text_is_shown_without_what_commands_a_terminal() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new("hostile-bytes");
    let mut wrong = Vec::new();
    let name = OsStr::from_bytes(b"a\xff\x1b[2J\x9b\nforged: k.pcapng");
    for arguments in [["show"], ["replay"], ["drill"], ["run"], ["sweep"], ["lessons"]] {
        let arguments: Vec<_> = arguments.iter().map(OsStr::new).chain([name]).collect();
        run(&place.dir, &arguments, false, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
