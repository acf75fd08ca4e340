//! A script that is printed parses to the same script, but for places: generated scripts, small ones, and the whole shared
//! corpus.

use proptest::prelude::*;
use proptest::{collection, option};

use crate::scripts::{SMALL, corpus, defined};
use tcplab::drill::parse::{Definitions, MAX_PAYLOAD, parse};
use tcplab::drill::script::{
    Action, Body, Call, CallResult, Direction, Ecn, Event, Field, Flags, Icmp, IpInfo, OptionLine, Options, Packet,
    Quoted, Script, Span, Spanned, Tcp, TcpOption, Time, Udp, Value, Word,
};
use tcplab::time::Duration;

/// A script without places.
fn placeless(mut script: Script) -> Script {
    fn clear<T>(spanned: &mut Spanned<T>) {
        spanned.span = Span::default();
    }
    fn value(of: &mut Spanned<Value>) {
        clear(of);
        match &mut of.value {
            Value::Array(parts) => parts.iter_mut().for_each(value),
            Value::Struct(fields) => fields.iter_mut().for_each(|field| value(&mut field.value)),
            _ => {}
        }
    }
    script.options.iter_mut().for_each(clear);
    script.init.iter_mut().chain(&mut script.cleanup).for_each(clear);
    for event in &mut script.events {
        (event.span, event.line) = (Span::default(), 0);
        match &mut event.action {
            Action::Call(call) => {
                clear(&mut call.name);
                clear(&mut call.result);
                call.args.iter_mut().for_each(value);
            }
            Action::Packet(packet) => {
                packet.outer.iter_mut().for_each(clear);
                if let Body::Icmp(icmp) = &mut packet.body {
                    clear(&mut icmp.kind);
                    icmp.code.iter_mut().for_each(clear);
                }
            }
            Action::Command(_) | Action::Code(_) => {}
        }
    }
    script
}

/// Prints a script and parses it again.
fn again(script: &Script) -> Script {
    let text = script.to_string();
    parse(&text, &Definitions::new()).unwrap_or_else(|error| panic!("{}\n{text}", error.render("printed", &text)))
}

#[test]
fn each_script_of_the_corpus_parses_to_itself_after_it_was_printed() {
    let Some(all) = corpus() else { return };
    for words in [&[][..], &["FreeBSD"]] {
        let mut compared = 0;
        for (path, source) in &all {
            let Ok(script) = parse(source, &defined(words)) else { continue };
            let printed = again(&script);
            assert_eq!(printed.to_string(), script.to_string(), "{}", path.display());
            assert_eq!(placeless(printed), placeless(script), "{}", path.display());
            compared += 1;
        }
        assert_eq!(compared, 550);
    }
}

#[test]
fn small_scripts_parse_to_themselves_after_they_were_printed() {
    for source in SMALL {
        let script = parse(source, &Definitions::new()).expect("a script");
        assert_eq!(placeless(again(&script)), placeless(script), "{source}");
    }
}

#[test]
fn a_packet_a_call_and_a_time_are_printed_as_people_write_them() {
    let table = [
        "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3",
        "+0.01 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>",
        "+0~+0.1 > S. 0:0(0) ack 1 win 65535 <...>",
        "+0...0.3 read(4, ..., 1000) = -1 EAGAIN (Resource temporarily unavailable)",
        "* > (ect0, tos 0x10, flowlabel 0x12345, ttl 64) FPEWA. ...(1000)! ack 1 urg 7 <TS val 5 ecr ...>/udp(1 > 9811)",
        "+0 > -  1:1(0)",
        "+0 < icmp unreachable frag_needed mtu 1200 id 7 [1:1001(1000)/udp(1 > 2)]",
        "+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0",
        "+0 recvmsg(3, {msg_iov(1) = [{..., 5}], msg_flags = A | 0x2}, 0) = ...",
        "1000000000 `true`",
    ];
    let printed: Vec<_> = {
        let script = parse(&table.join("\n"), &Definitions::new()).expect("a script");
        script.events.iter().map(ToString::to_string).collect()
    };
    let written = table.map(|text| text.replace("-  ", "- ").replace("0x2}", "2}"));
    assert_eq!(printed, written);
}

fn spanned<T>(value: T) -> Spanned<T> {
    Spanned { value, span: Span::default() }
}

fn word() -> impl Strategy<Value = String> {
    "[A-Za-z_][A-Za-z0-9_]{0,8}"
}

fn micros() -> impl Strategy<Value = Duration> {
    prop_oneof![0_u64..10, 0_u64..2_000_000, 0_u64..=1_000_000_000_000_000].prop_map(Duration::from_micros)
}

/// A time, and whether it is one at which a call returns.
fn time(blocking: bool) -> impl Strategy<Value = Time> {
    let kinds = if blocking { 5_u8..7 } else { 0..5 };
    (kinds, micros(), micros()).prop_map(|(kind, a, b)| match kind {
        0 => Time::Any,
        1 => Time::Absolute(a),
        2 => Time::Relative(a),
        3 => Time::AbsoluteRange(a.min(b), a.max(b)),
        4 => Time::RelativeRange(a.min(b), a.max(b)),
        5 => Time::AbsoluteBlocking(a.min(b), a.max(b)),
        _ => Time::RelativeBlocking(a.min(b), a.max(b)),
    })
}

fn ip_info(inbound: bool) -> impl Strategy<Value = IpInfo> {
    let ecns = [Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce, Ecn::Ect01];
    let ecns = prop::sample::select(ecns[..if inbound { 4 } else { 5 }].to_vec());
    (option::of(ecns), option::of(any::<u8>()), option::of(0_u32..1 << 20), option::of(any::<u8>()))
        .prop_map(|(ecn, tos, flow_label, ttl)| IpInfo { ecn, tos, flow_label, ttl })
}

fn flags() -> impl Strategy<Value = Flags> {
    any::<[bool; 9]>().prop_map(|[fin, syn, rst, psh, ack, urg, ece, cwr, ae]| Flags {
        fin,
        syn,
        rst,
        psh,
        ack,
        urg,
        ece,
        cwr,
        ae,
    })
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    collection::vec(any::<u8>(), 0..=most)
}

fn tcp_option() -> impl Strategy<Value = TcpOption> {
    let counters = prop::sample::subsequence(vec!["e0b", "ceb", "e1b"], 0..=3).prop_shuffle();
    let counters = counters.prop_flat_map(|names| {
        let counts = collection::vec(0_u32..1 << 24, names.len());
        counts.prop_map(move |counts| names.iter().map(|name| (*name).to_owned()).zip(counts).collect())
    });
    prop_oneof![
        Just(TcpOption::Eol),
        Just(TcpOption::Nop),
        Just(TcpOption::SackOk),
        any::<u16>().prop_map(TcpOption::Mss),
        any::<u8>().prop_map(TcpOption::Wscale),
        collection::vec(any::<(u32, u32)>(), 1..=2).prop_map(TcpOption::Sack),
        any::<(Option<u32>, Option<u32>)>().prop_map(|(val, ecr)| TcpOption::Timestamp { val, ecr }),
        bytes(16).prop_map(TcpOption::FastOpen),
        bytes(16).prop_map(TcpOption::FastOpenExperimental),
        option::of(bytes(16)).prop_map(TcpOption::Md5),
        counters.prop_map(TcpOption::AccEcn),
        (any::<u8>(), bytes(16)).prop_map(|(kind, data)| TcpOption::Unknown { kind, data }),
    ]
}

fn ports() -> impl Strategy<Value = Option<(u16, u16)>> {
    any::<Option<(u16, u16)>>()
}

fn tcp(inbound: bool) -> impl Strategy<Value = Tcp> {
    let numbers = (any::<Option<u32>>(), any::<bool>(), 0..=MAX_PAYLOAD, any::<Option<u32>>());
    let rest = (any::<Option<u16>>(), any::<Option<u16>>(), option::of(collection::vec(tcp_option(), 0..=2)));
    (ports(), flags(), numbers, rest).prop_map(move |(ports, flags, (seq, absolute, len, ack), (win, urg, options))| {
        Tcp {
            ports,
            flags,
            seq: if inbound { Some(seq.unwrap_or(0)) } else { seq },
            absolute,
            len,
            ack,
            win: if inbound { Some(win.unwrap_or(0)) } else { win },
            urg,
            options: match options {
                Some(options) => Options::List(options),
                None if inbound => Options::List(Vec::new()),
                None => Options::Any,
            },
        }
    })
}

fn icmp() -> impl Strategy<Value = Icmp> {
    let name = || prop_oneof![word().prop_map(Word::Name), (0_i64..256).prop_map(Word::Number)];
    let code =
        name().prop_filter("a keyword", |word| !matches!(word, Word::Name(name) if name == "mtu" || name == "id"));
    let quoted = prop_oneof![
        (any::<u32>(), any::<u32>(), ports()).prop_map(|(seq, len, udp_encapsulation)| Quoted::Tcp {
            seq,
            len,
            udp_encapsulation
        }),
        any::<u16>().prop_map(Quoted::Udp),
        any::<u16>().prop_map(Quoted::Raw),
    ];
    (name(), option::of(code), any::<Option<u32>>(), any::<Option<u16>>(), option::of(quoted)).prop_map(
        |(kind, code, mtu, id, quoted)| Icmp { kind: spanned(kind), code: code.map(spanned), mtu, id, quoted },
    )
}

fn packet() -> impl Strategy<Value = Packet> {
    let outer = prop::sample::select(vec!["gre", "ipv4 192.0.2.1 > 192.0.2.2", "ipv6 a::1 > b::2", "mpls (label 1)"]);
    let outer = collection::vec(outer.prop_map(|text| spanned(text.to_owned())), 0..2);
    any::<bool>().prop_flat_map(move |inbound| {
        let body = prop_oneof![
            4 => (tcp(inbound), ports()).prop_map(|(tcp, udp)| (Body::Tcp(tcp), udp)),
            1 => (ports(), any::<u16>()).prop_map(|(ports, len)| (Body::Udp(Udp { ports, len }), None)),
            1 => icmp().prop_map(|icmp| (Body::Icmp(icmp), None)),
        ];
        let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
        (ip_info(inbound), body, outer.clone()).prop_map(move |(ip, (body, udp_encapsulation), outer)| Packet {
            direction,
            ip,
            body,
            udp_encapsulation,
            outer,
        })
    })
}

fn value() -> impl Strategy<Value = Value> {
    let constant = || prop_oneof![any::<i64>().prop_map(Value::Integer), word().prop_map(Value::Word)];
    let leaf = prop_oneof![
        Just(Value::Any),
        constant(),
        collection::vec(constant(), 2..4).prop_map(Value::Or),
        "(\\PC|[\n\r\t\\\\\"/*`%#\u{0}\u{1b}]){0,8}".prop_map(Value::String),
        any::<u16>().prop_map(Value::Htons),
        any::<u32>().prop_map(|address| Value::InetAddr(address.into())),
        any::<u128>().prop_map(|address| Value::Inet6Addr(address.into())),
    ];
    leaf.prop_recursive(6, 20, 4, |inner| {
        let name = option::of((word(), any::<Option<i64>>()));
        let field = (name, inner.clone()).prop_map(|(name, value)| {
            let length = name.as_ref().and_then(|(_, length)| length.map(|length| length & i64::MAX));
            Field { name: name.map(|(name, _)| name), length, value: spanned(value) }
        });
        prop_oneof![
            collection::vec(inner.prop_map(spanned), 0..4).prop_map(Value::Array),
            collection::vec(field, 0..4).prop_map(Value::Struct),
        ]
    })
}

fn call() -> impl Strategy<Value = Call> {
    let note = option::of("([A-Za-z0-9,.]( [a-z]|\\([a-z]\\)){0,4})?");
    let result = (any::<Option<i64>>(), option::of(word()), note).prop_map(|(value, errno, note)| CallResult {
        value,
        errno: errno.filter(|_| value.is_some_and(|value| value < 0)),
        note,
    });
    (word(), collection::vec(value().prop_map(spanned), 0..4), result).prop_map(|(name, args, result)| Call {
        name: spanned(name),
        args,
        result: spanned(result),
    })
}

fn event() -> impl Strategy<Value = Event> {
    let command = "[^`]{0,12}";
    let code = "[a-z =\n#`\"/*(]{0,12}";
    let blocking = (time(true), call().prop_map(|call| Action::Call(Box::new(call))));
    let other = prop_oneof![
        4 => packet().prop_map(|packet| Action::Packet(Box::new(packet))),
        2 => call().prop_map(|call| Action::Call(Box::new(call))),
        1 => command.prop_map(Action::Command),
        1 => code.prop_map(Action::Code),
    ];
    prop_oneof![blocking, (time(false), other)].prop_map(|(time, action)| {
        let expected = matches!(&action, Action::Packet(packet) if packet.direction == Direction::Outbound);
        // Only what is expected has an open time.
        let time = match time {
            Time::Any if !expected => Time::Relative(Duration::ZERO),
            Time::AbsoluteRange(at, _) | Time::RelativeRange(at, _) if !expected => Time::Relative(at),
            time => time,
        };
        Event { time, action, span: Span::default(), line: 0 }
    })
}

/// Absolute times that would go back become relative.
fn in_order(mut events: Vec<Event>) -> Vec<Event> {
    let mut earliest = None;
    for (nth, event) in events.iter_mut().enumerate() {
        let begin = match event.time {
            Time::Absolute(at) | Time::AbsoluteRange(at, _) | Time::AbsoluteBlocking(at, _) => Some(at),
            _ => None,
        };
        let wrong = begin.is_some_and(|at| at < earliest.unwrap_or_default() || (nth == 0 && at > Duration::ZERO));
        if wrong {
            event.time = match event.time {
                Time::AbsoluteBlocking(a, b) => Time::RelativeBlocking(a, b),
                _ => Time::Relative(begin.unwrap_or_default()),
            };
        }
        earliest = begin.filter(|_| !wrong);
    }
    events
}

fn script() -> impl Strategy<Value = Script> {
    let option = ("[a-z_]{1,8}", option::of("[a-z0-9.,:-]{0,8}"));
    let option = option.prop_map(|(name, value)| spanned(OptionLine { name, value }));
    let command = || option::of("[^`]{0,12}".prop_map(spanned));
    (collection::vec(option, 0..3), command(), collection::vec(event(), 1..6), command())
        .prop_map(|(options, init, events, cleanup)| Script { options, init, events: in_order(events), cleanup })
}

proptest! {
    #[test]
    fn any_script_parses_to_itself_after_it_was_printed(script in script()) {
        let text = script.to_string();
        match parse(&text, &Definitions::new()) {
            Ok(again) => prop_assert_eq!(placeless(again), script, "{}", text),
            Err(error) => prop_assert!(false, "{}\n{}", error.render("printed", &text), text),
        }
    }
}
