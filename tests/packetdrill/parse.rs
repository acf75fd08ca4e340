//! The parser of packetdrill's language: each construct with its result, each error with its rendering, the limits at n
//! and at n + 1, and the whole shared corpus.

mod limits;

use std::env;
use std::fs;
use std::path::Path;

use crate::common;
use crate::scripts::{corpus, defined, scripts_below};
use tcplab::drill::parse::{Definitions, ParseError, ParseErrorKind, parse};
use tcplab::drill::script::{
    Action, Body, Call, CallResult, Direction, Ecn, Event, Flags, Icmp, IpInfo, Options, Packet, Quoted, Script, Tcp,
    TcpOption, Time, Udp, Value, Word,
};
use tcplab::time::Duration;

#[track_caller]
fn parsed(source: &str) -> Script {
    parse(source, &Definitions::new()).unwrap_or_else(|error| panic!("{}", error.render("script", source)))
}

#[track_caller]
fn refused(source: &str) -> ParseError {
    parse(source, &Definitions::new()).expect_err("an error")
}

/// The event of a script with one.
#[track_caller]
fn event(source: &str) -> Event {
    let script = parsed(source);
    assert_eq!(script.events.len(), 1, "{source}");
    script.events.into_iter().next().expect("an event")
}

#[track_caller]
fn packet(text: &str) -> Packet {
    match event(&format!("0 {text}")).action {
        Action::Packet(packet) => *packet,
        other => panic!("{text} is {other:?}"),
    }
}

#[track_caller]
fn tcp(text: &str) -> Tcp {
    match packet(text).body {
        Body::Tcp(tcp) => tcp,
        other => panic!("{text} is {other:?}"),
    }
}

#[track_caller]
fn icmp(text: &str) -> Icmp {
    match packet(text).body {
        Body::Icmp(icmp) => icmp,
        other => panic!("{text} is {other:?}"),
    }
}

#[track_caller]
fn call(text: &str) -> Call {
    match event(&format!("0 {text}")).action {
        Action::Call(call) => *call,
        other => panic!("{text} is {other:?}"),
    }
}

/// The only argument of a call.
#[track_caller]
fn value(text: &str) -> Value {
    let call = call(&format!("f({text}) = 0"));
    assert_eq!(call.args.len(), 1, "{text}");
    call.args[0].value.clone()
}

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

#[test]
fn every_script_of_the_corpus_parses_but_the_one_with_a_stray_letter() {
    let Some(all) = corpus() else { return };
    assert_eq!(all.len(), 551);
    for words in [&[][..], &["FreeBSD"], &["STANDARD"], &["FreeBSD", "STANDARD"]] {
        let mut wrong = Vec::new();
        for (path, source) in &all {
            match parse(source, &defined(words)) {
                Ok(script) => assert!(script.events.len() > 3, "{}", path.display()),
                Err(error) => wrong.push((path.file_name().expect("a name"), error.kind.clone(), error.to_string())),
            }
        }
        // Its first line is `s//`. No rule of the language begins with a letter there.
        let [(name, kind, text)] = &wrong[..] else { panic!("{wrong:?}") };
        assert_eq!(*name, "client-handle-cookie-update-of-length-17.pkt");
        assert_eq!(*kind, ParseErrorKind::Syntax);
        assert!(text.ends_with("found `s`"), "{text}");
    }
}

#[test]
fn every_error_names_the_place_what_was_found_and_what_was_expected() {
    let bless = env::var("TCPLAB_BLESS").is_ok_and(|value| value == "1");
    let all = scripts_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drill_parse/errors"));
    assert!(all.len() > 90, "the scripts are found");
    let mut wrong = Vec::new();
    for path in all {
        let source = fs::read_to_string(&path).expect("a text");
        let name = path.file_name().expect("a name").to_string_lossy();
        let Err(error) = parse(&source, &Definitions::new()) else {
            wrong.push(format!("{name} parses"));
            continue;
        };
        let text = error.render(&name, &source) + "\n";
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.contains(&format!("{name}:{}:{}\n", error.line, error.column)), "{text}");
        wrong.extend(common::compare_golden(&path.with_extension("txt"), &text, bless).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_event_has_one_of_seven_forms_of_time() {
    let table = [
        ("0", Time::Absolute(micros(0))),
        ("0.0000019", Time::Absolute(micros(1))),
        ("+.1", Time::Relative(micros(100_000))),
        ("+ 2.", Time::Relative(micros(2_000_000))),
        ("+0.000001", Time::Relative(micros(1))),
        ("*", Time::Any),
        ("0~0.2", Time::AbsoluteRange(micros(0), micros(200_000))),
        ("+.1~+.2", Time::RelativeRange(micros(100_000), micros(200_000))),
        ("+0 ~ +1", Time::RelativeRange(micros(0), micros(1_000_000))),
    ];
    for (text, time) in table {
        let open = matches!(time, Time::Any | Time::AbsoluteRange(..) | Time::RelativeRange(..));
        for action in ["> S 0:0(0)", "`true`", "close(3) = 0", "< S 0:0(0) win 1", "%{ x }%"] {
            if open && !action.starts_with('>') {
                let error = parse(&format!("+0 `first`\n{text} {action}"), &Definitions::new()).expect_err("a time");
                assert_eq!((error.line, error.column), (2, 1), "{text} {action}");
                assert!(error.to_string().starts_with("only a packet that is expected"), "{error}");
                continue;
            }
            assert_eq!(parsed(&format!("+0 `first`\n{text} {action}")).events[1].time, time, "{text}");
        }
    }
    let blocking = [
        ("0...0.1", Time::AbsoluteBlocking(micros(0), micros(100_000))),
        ("0 ...1", Time::AbsoluteBlocking(micros(0), micros(1_000_000))),
        ("+0.25...0.5", Time::RelativeBlocking(micros(250_000), micros(500_000))),
        ("+.1....2", Time::RelativeBlocking(micros(100_000), micros(200_000))),
    ];
    for (text, time) in blocking {
        assert_eq!(event(&format!("{text} read(3, ..., 1) = 1")).time, time, "{text}");
    }
}

#[test]
fn only_the_first_absolute_time_has_to_be_0() {
    parsed("+0.5 `true`\n1 `true`\n1 `true`\n+0 `true`\n0.5 `true`");
    parsed("* > S 0:0(0)\n0.5 `true`");
    assert!(matches!(refused("0.1~0.2 > S 0:0(0)").kind, ParseErrorKind::Invalid(_)));
}

#[test]
fn option_lines_and_the_two_commands_stand_around_the_events() {
    let script = parsed(
        "--ip_version=ipv4\n--strict_segments --local_ip=192.0.2.1\n--define=A=\"a b\"\n-D B=`b`\n-DC --x=\n`init`\n0 `x`\n`end`",
    );
    let options: Vec<_> =
        script.options.iter().map(|option| (option.value.name.as_str(), option.value.value.as_deref())).collect();
    let expected = [
        ("ip_version", Some("ipv4")),
        ("strict_segments", None),
        ("local_ip", Some("192.0.2.1")),
        ("define", Some("A=\"a b\"")),
        ("define", Some("B=`b`")),
        ("define", Some("C")),
        ("x", Some("")),
    ];
    assert_eq!(options, expected);
    assert_eq!(script.init.expect("a command").value, "init");
    assert_eq!(script.cleanup.expect("a command").value, "end");
    assert_eq!(script.events[0].action, Action::Command("x".to_owned()));

    let script = parsed("`init`\n0 `x\ny`");
    assert_eq!((script.cleanup, &script.events[0].action), (None, &Action::Command("x\ny".to_owned())));
}

#[test]
fn comments_are_white_space_but_not_inside_of_quotes_and_code() {
    let source = "/* a\n * b */0/**/`echo http://x /* */`// c\n+0 f(\"// /* %{ `\") = 0//d\n+0 %{ a // b\n`\"}%//";
    let script = parsed(source);
    assert_eq!(script.events[0].action, Action::Command("echo http://x /* */".to_owned()));
    let Action::Call(call) = &script.events[1].action else { panic!("a call") };
    assert_eq!(call.args[0].value, Value::String("// /* %{ `".to_owned()));
    assert_eq!(script.events[2].action, Action::Code(" a // b\n`\"".to_owned()));
    assert_eq!(parsed("\u{feff}0 `x`").events.len(), 1);
}

#[test]
fn an_event_has_its_line_and_its_place() {
    let source = "// one\n0 `a` // two\n\n +0 > S 0:0(0) /* x */\n  <mss 1,\n nop>\n+0 close(3) = 0\n";
    let script = parsed(source);
    let places: Vec<_> =
        script.events.iter().map(|event| (event.line, &source[event.span.start..event.span.end])).collect();
    let expected = [(2, "0 `a`"), (4, "+0 > S 0:0(0) /* x */\n  <mss 1,\n nop>"), (7, "+0 close(3) = 0")];
    assert_eq!(places, expected);
    let Action::Call(call) = &script.events[2].action else { panic!("a call") };
    assert_eq!(&source[call.name.span.start..call.name.span.end], "close");
    assert_eq!(&source[call.args[0].span.start..call.args[0].span.end], "3");
}

#[test]
fn conditionals_ask_for_definitions_and_nest() {
    let source = "0 `0`\n#ifdef A // x\n+0 `a`\n  #ifndef B\n+0 `a and not b`\n#else\n+0 `a and b`\n#endif\n #else /* y */\n\
                  +0 `not a`\n#ifdef B\n+0 `b and not a` ` \" %{\n#endif\n/*\n#endif\n*/\n#endif\n+0 `1`";
    let commands = |words: &[&str]| {
        let script = parse(source, &defined(words)).map_err(|error| error.render("script", source));
        let commands = script.map(|script| script.events.iter().map(|event| event.action.to_string()).collect());
        commands.map(|commands: Vec<_>| commands.join(" "))
    };
    assert_eq!(commands(&["A"]).unwrap(), "`0` `a` `a and not b` `1`");
    assert_eq!(commands(&["A", "B=1"]).unwrap(), "`0` `a` `a and b` `1`");
    assert_eq!(commands(&[]).unwrap(), "`0` `not a` `1`");
    // The quotes that have no end are read only here.
    assert!(commands(&["B"]).is_err());
}

#[test]
fn a_defined_word_is_replaced_by_one_token_and_places_are_those_of_the_source() {
    let definitions =
        defined(&["NAME=\"reno\"", "RUN=`true`", "LEN=1000", "COOKIE=0a0b", "CALL=write", "F", "WHO=192.0.2.9"]);
    let source = "--remote_ip=WHO\n0 RUN\n+0 CALL(3, NAME, LEN) = LEN\n+0 > . 1:1001(LEN) ack 1 <FO COOKIE>\n\
                  +0 f(\"LEN\", LENGTH, F, 0xLEN_) = 0";
    let error = parse(source, &definitions).expect_err("0xLEN_ is one word");
    assert_eq!(&source[error.span.start..error.span.end], "0xLEN_");
    let source = source.replace(", 0xLEN_", "");
    let script = parse(&source, &definitions).expect("a script");
    assert_eq!(script.options[0].value.value.as_deref(), Some("192.0.2.9"));
    let events: Vec<_> = script.events.iter().map(ToString::to_string).collect();
    let expected = [
        "0 `true`",
        "+0 write(3, \"reno\", 1000) = 1000",
        "+0 > . 1:1001(1000) ack 1 <FO 0a0b>",
        "+0 f(\"LEN\", LENGTH, F) = 0",
    ];
    assert_eq!(events, expected);
    let Action::Call(call) = &script.events[1].action else { panic!("a call") };
    let texts: Vec<_> = call.args.iter().map(|arg| &source[arg.span.start..arg.span.end]).collect();
    assert_eq!(texts, ["3", "NAME", "LEN"]);
    assert_eq!(script.events[3].line, 5);
}

#[test]
fn a_definition_of_the_caller_wins_over_one_of_the_script() {
    let source = "--define=A=1\n--define=A=2\n-D B=A\n0 f(A, B) = 0";
    let text = |definitions| parse(source, &definitions).expect("a script").events[0].to_string();
    assert_eq!(text(defined(&[])), "0 f(1, A) = 0");
    assert_eq!(text(defined(&["A=7", "A=8"])), "0 f(8, A) = 0");
}

#[test]
fn a_definition_is_a_name_or_a_name_with_one_token() {
    let mut definitions = Definitions::new();
    for good in ["A", "_a1=x", "A=\"x y\"", "A=`x y`", "A=0x1F", "A=-1", "A=\"\\\"\"", "A=a=b"] {
        assert_eq!(definitions.define(good), Ok(()), "{good}");
    }
    assert!(definitions.is_defined("_a1") && !definitions.is_defined("a1"));
    for bad in ["", "=1", "1a=1", "a b=1", "A=", "A=x y", "A=\"x", "A=\"x\"y", "A=`", "A=`x`y`", "A=a//b", "A=\u{e4}"] {
        assert!(definitions.define(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_tcp_segment_has_all_parts_or_the_least() {
    let least = Tcp {
        ports: None,
        flags: Flags { syn: true, ..Flags::default() },
        seq: Some(0),
        absolute: false,
        len: 0,
        ack: None,
        win: None,
        urg: None,
        options: Options::List(Vec::new()),
    };
    assert_eq!(tcp("> S 0:0(0)"), least);
    assert_eq!(packet(">S 0:0(0)").direction, Direction::Outbound);
    assert_eq!(packet("<S 0:0(0) win 7").direction, Direction::Inbound);
    let all = Tcp {
        ports: Some((80, 4000)),
        flags: Flags { psh: true, ack: true, ..Flags::default() },
        seq: Some(u32::MAX),
        absolute: true,
        len: 2,
        ack: Some(3),
        win: Some(65535),
        urg: Some(5),
        options: Options::List(vec![TcpOption::Nop]),
    };
    let text = "< 80 > 4000 P. 4294967295:1(2)! ack 3 win 65535 urg 5 <nop>/udp(1 > 9811)";
    assert_eq!(tcp(text), all);
    assert_eq!(packet(text).udp_encapsulation, Some((1, 9811)));
    let swapped = packet("> . 0:0(0) ack 1 win 3/udp(9811 > 1) <nop>");
    assert_eq!(swapped.udp_encapsulation, Some((9811, 1)));
    assert_eq!(tcp("> S. ...(10) ack 1").seq, None);
    assert_eq!(tcp("> S. 0:0(0) ack 1 <...>").options, Options::Any);
}

#[test]
fn flags_are_letters_a_dot_a_digit_or_a_dash() {
    let none = Flags::default();
    let table = [
        ("-", none),
        (".", Flags { ack: true, ..none }),
        ("SF", Flags { syn: true, fin: true, ..none }),
        ("FP.", Flags { fin: true, psh: true, ack: true, ..none }),
        ("R.", Flags { rst: true, ack: true, ..none }),
        ("SEWA", Flags { syn: true, ece: true, cwr: true, ae: true, ..none }),
        ("SEC", Flags { syn: true, ece: true, cwr: true, ..none }),
        ("U.", Flags { urg: true, ack: true, ..none }),
        (".5", Flags { ack: true, ae: true, ece: true, ..none }),
        ("P.2", Flags { psh: true, ack: true, cwr: true, ..none }),
        ("7", Flags { ae: true, cwr: true, ece: true, ..none }),
        (".0", Flags { ack: true, ..none }),
    ];
    for (text, flags) in table {
        assert_eq!(tcp(&format!("> {text} 0:0(0)")).flags, flags, "{text}");
    }
}

#[test]
fn tcp_options_are_those_of_the_specification() {
    let table = [
        ("", vec![]),
        ("mss 1460", vec![TcpOption::Mss(1460)]),
        ("nop, nop,eol", vec![TcpOption::Nop, TcpOption::Nop, TcpOption::Eol]),
        ("sackOK,wscale 14", vec![TcpOption::SackOk, TcpOption::Wscale(14)]),
        ("sack 1:2 4294967295:0", vec![TcpOption::Sack(vec![(1, 2), (u32::MAX, 0)])]),
        ("TS val 1 ecr 2", vec![TcpOption::Timestamp { val: Some(1), ecr: Some(2) }]),
        ("TS val ... ecr ...", vec![TcpOption::Timestamp { val: None, ecr: None }]),
        ("FO", vec![TcpOption::FastOpen(vec![])]),
        ("FO 01aBff,nop", vec![TcpOption::FastOpen(vec![1, 0xab, 0xff]), TcpOption::Nop]),
        ("FOEXP", vec![TcpOption::FastOpenExperimental(vec![])]),
        ("FOEXP 00", vec![TcpOption::FastOpenExperimental(vec![0])]),
        ("md5 valid", vec![TcpOption::Md5(None)]),
        ("md5 0102", vec![TcpOption::Md5(Some(vec![1, 2]))]),
        ("md5", vec![TcpOption::Md5(Some(vec![]))]),
        (
            "ECN e1b 1 ceb 2 e0b 16777215",
            vec![TcpOption::AccEcn(vec![("e1b".to_owned(), 1), ("ceb".to_owned(), 2), ("e0b".to_owned(), 16_777_215)])],
        ),
        ("ECN", vec![TcpOption::AccEcn(vec![])]),
        ("kind 254 0102", vec![TcpOption::Unknown { kind: 254, data: vec![1, 2] }]),
        ("kind 30", vec![TcpOption::Unknown { kind: 30, data: vec![] }]),
    ];
    for (text, options) in table {
        assert_eq!(tcp(&format!("> S 0:0(0) <{text}>")).options, Options::List(options), "{text}");
    }
}

#[test]
fn the_ip_header_is_described_in_parentheses_or_brackets() {
    let none = IpInfo::default();
    let table = [
        ("[ect0]", IpInfo { ecn: Some(Ecn::Ect0), ..none }),
        ("[ect1]", IpInfo { ecn: Some(Ecn::Ect1), ..none }),
        ("[ect01]", IpInfo { ecn: Some(Ecn::Ect01), ..none }),
        ("[ce]", IpInfo { ecn: Some(Ecn::Ce), ..none }),
        ("[noecn]", IpInfo { ecn: Some(Ecn::NotEct), ..none }),
        ("(tos 0x28)", IpInfo { tos: Some(0x28), ..none }),
        ("(class 0x20)", IpInfo { tos: Some(0x20), ..none }),
        ("(ttl 3)", IpInfo { ttl: Some(3), ..none }),
        ("(hlim 255)", IpInfo { ttl: Some(255), ..none }),
        ("(flowlabel 0xfffff)", IpInfo { flow_label: Some(0xf_ffff), ..none }),
        ("[ect0, ttl 64]", IpInfo { ecn: Some(Ecn::Ect0), ttl: Some(64), ..none }),
    ];
    for (text, ip) in table {
        assert_eq!(packet(&format!("> {text} S 0:0(0)")).ip, ip, "{text}");
        assert_eq!(packet(&format!("> {text} udp (1)")).ip, ip, "{text}");
    }
}

#[test]
fn outer_headers_are_kept_as_text() {
    let texts = |text: &str| packet(text).outer.into_iter().map(|outer| outer.value).collect::<Vec<_>>();
    let text = "> (ttl 3) ipv4 192.0.2.1 > 192.0.2.2: gre:  mpls (label 1,  tc 0): S 0:0(0)";
    assert_eq!(texts(text), ["ipv4 192.0.2.1 > 192.0.2.2", "gre", "mpls (label 1, tc 0)"]);
    assert_eq!(packet(text).ip.ttl, Some(3));
    assert_eq!(texts("< ipv6 a::1 > b::2: [ce] udp (3)"), ["ipv6 a::1 > b::2"]);
    assert_eq!(texts("< encap psp: . 1:1(0) win 5"), ["encap psp"]);
}

#[test]
fn udp_datagrams_have_a_length_and_perhaps_ports() {
    assert_eq!(packet("> udp (1000)").body, Body::Udp(Udp { ports: None, len: 1000 }));
    assert_eq!(packet("< udp(0)").body, Body::Udp(Udp { ports: None, len: 0 }));
    assert_eq!(packet("< udp 53 > 4000 (8)").body, Body::Udp(Udp { ports: Some((53, 4000)), len: 8 }));
}

#[test]
fn icmp_messages_quote_a_packet() {
    let name = |name: &str| Word::Name(name.to_owned());
    let message = icmp("<icmp unreachable frag_needed mtu 1200 [1:1461(1460)]");
    assert_eq!(
        (message.kind.value, message.code.map(|code| code.value)),
        (name("unreachable"), Some(name("frag_needed")))
    );
    assert_eq!(message.mtu, Some(1200));
    assert_eq!(message.quoted, Some(Quoted::Tcp { seq: 1, len: 1460, udp_encapsulation: None }));
    let message = icmp("< icmp packet_too_big mtu 1280 [0:0(0)/udp(9811 > 1)]");
    assert_eq!((message.code, message.mtu), (None, Some(1280)));
    assert_eq!(message.quoted, Some(Quoted::Tcp { seq: 0, len: 0, udp_encapsulation: Some((9811, 1)) }));
    let message = icmp("> icmp 3 4 [udp (9)]");
    assert_eq!((message.kind.value, message.code.map(|code| code.value)), (Word::Number(3), Some(Word::Number(4))));
    assert_eq!(message.quoted, Some(Quoted::Udp(9)));
    assert_eq!(icmp("> icmp source_quench [raw (1)]").quoted, Some(Quoted::Raw(1)));
    let message = icmp("< icmp echo_request id 7");
    assert_eq!((message.code, message.id, message.quoted), (None, Some(7), None));
    // A number on the next line is a time.
    assert_eq!(parsed("0 < icmp redirect\n1 < icmp redirect\n+0 `x`").events.len(), 3);
}

#[test]
fn arguments_are_numbers_constants_strings_arrays_and_structs() {
    let word = |word: &str| Value::Word(word.to_owned());
    let table = [
        ("...", Value::Any),
        ("0x1F", Value::Integer(31)),
        ("-1", Value::Integer(-1)),
        ("9223372036854775807", Value::Integer(i64::MAX)),
        ("-9223372036854775808", Value::Integer(i64::MIN)),
        ("18446744073709551615", Value::Integer(-1)),
        ("0xffffffffffffffff", Value::Integer(-1)),
        ("O_RDWR", word("O_RDWR")),
        ("O_RDWR|0x4 | A", Value::Or(vec![word("O_RDWR"), Value::Integer(4), word("A")])),
        ("\"a\" \"b\"\n\"c\"", Value::String("abc".to_owned())),
        (r#""\"\\\n\r\t\0""#, Value::String("\"\\\n\r\t\0".to_owned())),
        (r#""\x41\xf7x\x0A""#, Value::String("A\u{f7}x\n".to_owned())),
        ("[]", Value::Array(vec![])),
        ("{}", Value::Struct(vec![])),
        ("htons(80)", Value::Htons(80)),
        ("inet_addr(\"192.0.2.1\")", Value::InetAddr("192.0.2.1".parse().unwrap())),
        ("inet_pton(AF_INET, \"192.0.2.1\")", Value::InetAddr("192.0.2.1".parse().unwrap())),
        ("inet_pton(AF_INET6, \"fd3d::1\")", Value::Inet6Addr("fd3d::1".parse().unwrap())),
        ("inet6_addr(\"::\")", Value::Inet6Addr("::".parse().unwrap())),
    ];
    for (text, expected) in table {
        assert_eq!(value(text), expected, "{text}");
    }
    assert!(call("f() = 0").args.is_empty());
    let Value::Array(parts) = value("[ECONNREFUSED, ..., [1]]") else { panic!("an array") };
    assert_eq!((parts.len(), &parts[0].value), (3, &word("ECONNREFUSED")));
}

#[test]
fn structs_have_names_lengths_and_values() {
    let fields = |text: &str| match value(text) {
        Value::Struct(fields) => {
            let flat = fields.into_iter().map(|field| (field.name, field.length, field.value.value.to_string()));
            flat.map(|(name, length, value)| (name.unwrap_or_default(), length, value)).collect::<Vec<_>>()
        }
        other => panic!("{text} is {other:?}"),
    };
    let field = |name: &str, length, value: &str| (name.to_owned(), length, value.to_owned());
    assert_eq!(
        fields("{sa_family = AF_INET, sin_port = htons(80), sin_addr=inet_addr(\"192.0.2.1\")}"),
        [
            field("sa_family", None, "AF_INET"),
            field("sin_port", None, "htons(80)"),
            field("sin_addr", None, "inet_addr(\"192.0.2.1\")"),
        ]
    );
    assert_eq!(
        fields("{..., 1000, htons(1)}"),
        [field("", None, "..."), field("", None, "1000"), field("", None, "htons(1)")]
    );
    assert_eq!(
        fields(
            "{msg_name(...)=..., msg_iov(2)=[{..., 1000}, {...,2}], msg_flags=MSG_ERRQUEUE|MSG_TRUNC,
              msg_control=[{cmsg_level=SOL_IP, cmsg_type=IP_RECVERR, cmsg_data={ee_errno=0, ee_info=-1}}]}"
        ),
        [
            field("msg_name", None, "..."),
            field("msg_iov", Some(2), "[{..., 1000}, {..., 2}]"),
            field("msg_flags", None, "MSG_ERRQUEUE | MSG_TRUNC"),
            field(
                "msg_control",
                None,
                "[{cmsg_level = SOL_IP, cmsg_type = IP_RECVERR, cmsg_data = {ee_errno = 0, ee_info = -1}}]"
            ),
        ]
    );
    assert_eq!(fields("{events=EPOLLIN|EPOLLET, fd=3}").len(), 2);
    assert_eq!(fields("{onoff=1, linger=0}").len(), 2);
    assert_eq!(fields("{scm_sec=0,scm_nsec=250000000}").len(), 2);
}

#[test]
fn a_call_returns_a_number_anything_or_an_error() {
    let result = |value, errno: Option<&str>, note: Option<&str>| CallResult {
        value,
        errno: errno.map(str::to_owned),
        note: note.map(str::to_owned),
    };
    let table = [
        ("3", result(Some(3), None, None)),
        ("...", result(None, None, None)),
        ("0x02 (flags O_RDWR)", result(Some(2), None, Some("flags O_RDWR"))),
        ("-1 EAGAIN", result(Some(-1), Some("EAGAIN"), None)),
        (
            "-1 EINVAL (Invalid (or wrong) argument)",
            result(Some(-1), Some("EINVAL"), Some("Invalid (or wrong) argument")),
        ),
        ("-1", result(Some(-1), None, None)),
        ("... (anything)", result(None, None, Some("anything"))),
    ];
    for (text, expected) in table {
        assert_eq!(call(&format!("close(3) = {text}")).result.value, expected, "{text}");
    }
    // What follows a number is the next event.
    assert_eq!(parsed("0 close(3) = 3\n4 close(3) = -1\n* > S 0:0(0)\n.5 `x`").events.len(), 4);
}

#[test]
fn what_the_language_has_and_this_program_does_not_is_unsupported_by_name() {
    let table = [
        ("0 > S 0:0(0) <mp_capable a>", "mp_capable"),
        ("0 > S 0:0(0) <nop,dss dack4>", "dss"),
        ("0 > S 0:0(0) <add_address 1>", "add_address"),
        ("0 > sctp: DATA[]", "sctp"),
        ("0 > udplite (1)", "udplite"),
        ("0 > encap psp spi 23 . 1:1(0) ack 1", "encap"),
        ("0 f(htonl(1)) = 0", "htonl"),
        ("#include \"x\"\n", "#include"),
        ("#if 1\n", "#if"),
    ];
    for (text, name) in table {
        let error = refused(text);
        assert_eq!(error.kind, ParseErrorKind::Unsupported(name.to_owned()), "{text}");
        assert_eq!(error.to_string(), format!("`{name}` is not supported"));
    }
    // Not known at all.
    assert_eq!(refused("0 > S 0:0(0) <window 5>").kind, ParseErrorKind::Syntax);
    let text = refused("0 > S 0:0(0) <mss 5;>").to_string();
    assert_eq!(text, "expected `,` or `>`; found `;`");
}
