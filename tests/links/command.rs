//! `--link` and `--trace` of the command: files of lines, traces, messages.

use std::fs;

use super::{place, tcplab, text};

#[test]
fn a_file_of_lines_on_the_command_line_makes_a_run_that_is_repeated_from_its_capture() {
    let dir = place("lines");
    fs::write(
        dir.join("lines.txt"),
        "# a bad minute\ndelay=5ms\n\n@20ms:loss=20%\nclient>server:@60ms:loss=0,delay=9ms\n",
    )
    .expect("written");
    let run = |file: &str| {
        tcplab(&["run", "data", "--link", "@lines.txt", "--link", "@1s:mtu=1400", "-w", file, "--json"], &dir)
    };
    let first = run("one.pcapng");
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    let second = run("two.pcapng");
    assert_eq!(first.stdout, second.stdout);
    let [one, two] = ["one.pcapng", "two.pcapng"].map(|file| fs::read(dir.join(file)).expect("a capture"));
    assert!(one == two, "the same bytes");
    let changes: Vec<_> =
        text(&first.stdout).lines().filter(|line| line.contains("link-changed")).map(str::to_owned).collect();
    assert_eq!(
        changes[..3],
        [
            r#"{"at":"0.020000000","event":"link-changed","items":"loss=20%","link":0}"#,
            r#"{"at":"0.020000000","event":"link-changed","items":"loss=20%","link":1}"#,
            r#"{"at":"0.060000000","event":"link-changed","items":"delay=9ms,loss=0","link":0}"#,
        ],
        "{changes:?}"
    );
    let replayed = tcplab(&["replay", "one.pcapng"], &dir);
    assert_eq!(replayed.status.code(), Some(0), "{}", text(&replayed.stdout));
}

#[test]
fn an_error_in_a_file_names_the_file_and_the_line() {
    let dir = place("errors");
    fs::write(dir.join("bad.txt"), "delay=5ms\n@1s:los=1%\n").expect("written");
    fs::write(dir.join("bad.trace"), "1\n2\nx\n").expect("written");
    fs::write(dir.join("zero.trace"), "0\n").expect("written");
    fs::write(dir.join("none.trace"), "").expect("written");
    fs::create_dir(dir.join("other")).expect("a directory");
    fs::write(dir.join("lte"), "1\n").expect("written");
    fs::write(dir.join("other/lte"), "2\n").expect("written");
    let error = |link: &[&str]| {
        let mut args = vec!["run", "data"];
        args.extend(link.iter().flat_map(|link| ["--link", link]));
        let output = tcplab(&args, &dir);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    assert!(error(&["@bad.txt"]).contains("--link @bad.txt: line 2: link spec: unknown key `los`"));
    assert!(error(&["@missing.txt"]).contains("--link @missing.txt: No such file"));
    assert!(error(&["rate=trace:bad.trace"]).contains("--link rate=trace:bad.trace: line 3: expected a whole number"));
    assert!(error(&["rate=trace:zero.trace"]).contains("the last line is 0"));
    assert!(error(&["rate=trace:none.trace"]).contains("no packet could ever leave"));
    assert!(error(&["rate=trace:missing"]).contains("--link rate=trace:missing: No such file"));
    assert!(
        error(&["client>server:rate=trace:lte", "server>client:rate=trace:other/lte"])
            .contains("lte has the same file name")
    );
    assert!(error(&["@1s:loss=1%", "@1000ms:loss=2%"]).contains("--link: link spec: `@1s:`: `loss` changes twice"));
    assert!(error(&["delay=5ms,"]).contains("an item is missing beside a comma"));
    assert!(error(&["a>b:@1s:loss=1%"]).contains("links.a>b"));
    let both = tcplab(&["run", "data", "--link", "@1s:loss=1%", "--set", "link.@1s.loss=2%"], &dir);
    assert!(text(&both.stderr).contains("--link and --set link.@1s.loss set the same key"), "{}", text(&both.stderr));
}

#[test]
fn a_long_trace_is_given_to_replay_and_a_short_one_is_in_the_capture() {
    let dir = place("traces");
    let long = (1..9_000).fold(String::new(), |text, millis| text + &format!("{millis}\n"));
    fs::write(dir.join("long.trace"), &long).expect("written");
    fs::write(dir.join("short.trace"), "1\n3\n").expect("written");
    fs::write(dir.join("wrong.trace"), "7\n").expect("written");
    for name in ["long", "short"] {
        let (link, file) = (format!("rate=trace:{}/{name}.trace", dir.display()), format!("{name}.pcapng"));
        let output = tcplab(&["run", "data", "--link", &link, "-w", &file], &dir);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let bytes = fs::read(dir.join(&file)).expect("a capture");
        let has = |word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
        assert!(has(&format!("trace:{name}.trace")) && !has(&dir.display().to_string()), "the name without a path");
    }
    let code = |args: &[&str]| {
        let output = tcplab(&[&["replay"], args].concat(), &dir);
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (status, said) = code(&["short.pcapng"]);
    assert_eq!(status, Some(0), "{said}");
    let (status, said) = code(&["long.pcapng"]);
    assert!(
        status == Some(2) && said.contains("the recipe needs the trace `long.trace` of 43888 bytes, SHA-256"),
        "{status:?} {said}"
    );
    let (status, said) = code(&["long.pcapng", "short.pcapng", "--trace", "long.trace"]);
    assert_eq!(status, Some(0), "{said}");
    let (status, said) = code(&["long.pcapng", "--trace", "wrong.trace"]);
    assert!(
        status == Some(2) && said.contains("--trace wrong.trace: no capture needs this trace"),
        "{status:?} {said}"
    );
    let (status, said) = code(&["long.pcapng", "--trace", "long.pcapng"]);
    assert!(status == Some(2) && said.contains("--trace long.pcapng: line "), "{status:?} {said}");
}

#[test]
fn a_scenario_file_opens_no_trace_and_is_given_it_and_a_sweep_changes_a_link_at_a_time() {
    let dir = place("scenario");
    fs::create_dir(dir.join("in")).expect("a directory");
    fs::write(dir.join("in/cell.trace"), "1\n3\n").expect("written");
    let shown = text(&tcplab(&["lessons", "--show", "data"], &dir).stdout);
    let (head, rest) = shown.split_once("[links]\n").expect("a table");
    let (_, tail) = rest.split_once('\n').expect("a line");
    let file =
        |lines: &str| fs::write(dir.join("in/mine.toml"), format!("{head}[links]\nclient-server = {lines}\n{tail}"));
    file("[\"delay=5ms\", \"@50ms:rate=trace:cell.trace\"]").expect("written");
    let output = tcplab(&["run", "in/mine.toml"], &dir);
    let said = text(&output.stderr);
    assert!(
        output.status.code() == Some(2)
            && said.contains("rate=trace:cell.trace, and the file of this trace was not given; add --trace cell.trace"),
        "{said}"
    );
    let output = tcplab(&["run", "in/mine.toml", "--trace", "in/cell.trace", "-w", "x.pcapng"], &dir);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let replayed = tcplab(&["replay", "x.pcapng"], &dir);
    assert_eq!(replayed.status.code(), Some(0), "{}", text(&replayed.stdout));
    let given = ["--trace", "in/cell.trace"];
    let axes = ["--set", "link.@60ms.loss=0,100%", "--set", "until=2s", "--set", "link.rate=1Mbit,trace:cell.trace"];
    let swept = tcplab(&[&["sweep", "in/mine.toml"], &given[..], &axes].concat(), &dir);
    let rows: Vec<_> = text(&swept.stdout).lines().map(str::to_owned).collect();
    assert_eq!((rows.len(), swept.status.code()), (5, Some(0)), "{rows:?} {}", text(&swept.stderr));
    for (lines, expected) in [
        ("\"rate=trace:/etc/hostname\"", "rate=trace:/etc/hostname, and the file of this trace was not given"),
        ("\"@other.txt\"", "a file of lines is read for --link only"),
        ("[\"@1s:loss=1%\", \"@1s:loss=2%\"]", "`loss` changes twice at this time"),
    ] {
        file(lines).expect("written");
        let output = tcplab(&["run", "in/mine.toml"], &dir);
        assert!(output.status.code() == Some(2) && text(&output.stderr).contains(expected), "{}", text(&output.stderr));
    }
}
