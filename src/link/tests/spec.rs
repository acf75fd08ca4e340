//! Tests of the link line: its values, and the errors of malformed lines.

use crate::link::{
    Distribution, GilbertElliott, Jitter, Limit, LinkLine, LinkSpec, Loss, Outage, PacketKind, Percent, Rate, Script,
};
use crate::time::Duration;

#[track_caller]
fn error(line: &str) -> String {
    line.parse::<LinkLine>().expect_err(line).to_string()
}

#[test]
fn a_whole_line() {
    let line: LinkLine = "client>server:rate=10Mbit,delay=20ms,jitter=2ms:normal,loss=gemodel:1%:10%:90%:0.1%,\
        reorder=0.5%:3ms,duplicate=0.1%,corrupt=0.01%,limit=64KiB,mtu=1400,down=1s..2s,down=5s..6s,drop=data:3,\
        drop=rst,hold=packet:7+9-11:300ms"
        .parse()
        .expect("a line");
    let outage = |from, until| Outage { from: Duration::from_secs(from), until: Duration::from_secs(until) };
    let percent = |percent| Percent::new(percent).expect("in range");
    let spec = LinkSpec {
        rate: Rate::from_bits_per_second(10_000_000),
        trace: None,
        delay: Duration::from_millis(20),
        jitter: Some(Jitter { deviation: Duration::from_millis(2), distribution: Distribution::Normal }),
        loss: Loss::GilbertElliott(GilbertElliott {
            p: percent(1.0),
            r: percent(10.0),
            bad_loss: percent(90.0),
            good_loss: percent(0.1),
        }),
        reorder: percent(0.5),
        hold: Some(Duration::from_millis(3)),
        duplicate: percent(0.1),
        corrupt: percent(0.01),
        limit: Some(Limit::Bytes(65_536)),
        mtu: Some(1400),
        down: [(1, 2), (5, 6)].map(|(from, until)| outage(from, until)).to_vec(),
        scripts: vec![
            Script { what: PacketKind::Data, which: vec![(3, 3)], hold: None },
            Script { what: PacketKind::Rst, which: Vec::new(), hold: None },
            Script { what: PacketKind::Packet, which: vec![(7, 7), (9, 11)], hold: Some(Duration::from_millis(300)) },
        ],
    };
    assert_eq!(line.direction, Some(("client".to_owned(), "server".to_owned())));
    assert_eq!((line.at, line.items.into_spec()), (None, spec));
}

#[test]
fn values_print_as_the_shortest_text_that_means_the_same() {
    for (written, printed) in [
        ("", ""),
        ("  ", ""),
        ("delay=0s,loss=0%", ""),
        ("a>b:", "a>b:"),
        (" a > b : mtu=68 ", "a>b:mtu=68"),
        ("loss=1%, rate=1000kbit", "rate=1Mbit,loss=1%"),
        ("rate=1.5mbit", "rate=1500kbit"),
        ("rate=2KIBIT", "rate=2048bit"),
        ("rate=0.0000000015gbit", "rate=1bit"),
        ("delay=0.1ms", "delay=100us"),
        ("delay=1.0000000019s", "delay=1000000001ns"),
        ("delay=2000ms", "delay=2s"),
        ("reorder=.5%", "reorder=0.5%"),
        ("delay=1min", "delay=60s"),
        ("delay=1.5h,jitter=2usec", "delay=5400s,jitter=2us"),
        ("delay=0", ""),
        ("limit=1MB", "limit=1000000B"),
        ("limit=2kb", "limit=2000B"),
        ("limit=1gib", "limit=1024MiB"),
        ("mtu=1.4kB", "mtu=1400"),
        ("limit=1024b", "limit=1KiB"),
        ("limit=1500B", "limit=1500B"),
        ("limit=1MiB", "limit=1MiB"),
        ("limit=1", "limit=1"),
        ("reorder=0%:1ms", "reorder=0%:1ms"),
        ("jitter=2ms:uniform", "jitter=2ms"),
        ("jitter=2ms:pareto", "jitter=2ms:pareto"),
        ("loss=gemodel:1%", "loss=gemodel:1%:99%"),
        ("loss=gemodel:1%:10%:100%:0%", "loss=gemodel:1%:10%"),
        ("loss=gemodel:1%:10%:50%", "loss=gemodel:1%:10%:50%"),
        ("loss=gemodel:1%:10%:100%:1%", "loss=gemodel:1%:10%:100%:1%"),
        ("drop=syn:1,down=1000ms..2s,drop=ack:2-2+5-6", "down=1s..2s,drop=syn:1,drop=ack:2+5-6"),
        ("hold=udp:10ms", "hold=udp:10ms"),
    ] {
        assert_eq!(written.parse::<LinkLine>().expect(written).to_string(), printed, "{written}");
    }
}

#[test]
fn an_error_names_the_key_and_what_is_known_or_expected() {
    let known = "known are rate, delay, jitter, loss, reorder, duplicate, corrupt, limit, mtu, down, drop, \
         hold";
    assert_eq!(error("rat=10Mbit"), format!("link spec: unknown key `rat`; {known}"));
    assert_eq!(
        error("delay"),
        "link spec: `delay` is not KEY=VALUE; known keys are rate, delay, jitter, loss, reorder, duplicate, corrupt, limit, mtu, down, drop, \
         hold"
    );
    assert_eq!(error("delay=1ms,delay=2ms"), "link spec: `delay` is given twice");
    assert_eq!(
        error("delay=20"),
        "link spec: `delay=20`: expected a time with its unit, such as 20ms or 1.5s (h, min, s, ms, us, ns)"
    );
    assert_eq!(
        error("loss=2"),
        "link spec: `loss=2`: expected a probability from 0% to 100% such as 0.5%, or bursts, \
         gemodel:P[:R[:1-H[:1-K]]] such as gemodel:1%:10%:100%:0% (P good to bad, R bad to good, loss when bad, loss \
         when good)"
    );
    assert_eq!(
        error("jitter=2ms:gauss"),
        "link spec: `jitter=2ms:gauss`: expected a time, and a distribution if it is not uniform: 2ms, 2ms:normal, \
         2ms:pareto"
    );
    assert_eq!(
        error("down=2s..1s"),
        "link spec: `down=2s..1s`: expected a time when the link is down, counted from the beginning, such as 1s..2s"
    );
    assert_eq!(
        error("drop=dat:3"),
        "link spec: `drop=dat:3`: expected packets to lose, WHAT[:WHICH] such as data:3, synack:1 or packet:1+4-6 \
         (packet, syn, synack, data, ack, fin, rst, udp, icmp)"
    );
    assert_eq!(
        error("hold=packet:7"),
        "link spec: `hold=packet:7`: expected packets to hold back, WHAT[:WHICH]:TIME such as packet:7:300ms \
         (packet, syn, synack, data, ack, fin, rst, udp, icmp)"
    );
    assert_eq!(
        error("rate=10Mbps"),
        "link spec: `rate=10Mbps`: expected a rate above zero such as 10Mbit (bit, kbit, Mbit, Gbit, Tbit; Kibit, \
         Mibit, Gibit, Tibit), or a trace, trace:FILE"
    );
    assert_eq!(
        error("limit=0"),
        "link spec: `limit=0`: expected a queue of at least one packet, or of bytes: 100, 1500B, 64KiB, 1MiB; \
         at most 1000000 packets or 1024MiB"
    );
    assert_eq!(
        error("reorder=1%:3"),
        "link spec: `reorder=1%:3`: expected a probability such as 0.5%, or with the time that a packet is held back, \
         0.5%:3ms"
    );
    assert_eq!(error("mtu=67"), "link spec: `mtu=67`: expected bytes from 68 (RFC 791) to 65535, such as 1400");
    assert_eq!(
        error("delay=1ms,a>b:loss=1%"),
        "link spec: `delay=1ms,a>b:loss=1%`: a direction is written `A>B:` and stands first"
    );
}

#[test]
fn what_is_no_value_is_refused() {
    for line in [
        "delay=1ms,",
        ",",
        "rate=0bit",
        "rate=10",
        "rate=",
        "rate=1e6bit",
        "rate=9999999999999999999bit",
        "delay=-1ms",
        "delay=1.ms",
        "delay=.5ms",
        "delay=1.2.3s",
        "delay=1week",
        "delay=99999999999s",
        "loss=101%",
        "loss=-1%",
        "loss=-0%",
        "loss=1e1%",
        "loss=NaN%",
        "loss=%",
        "limit=64kilo",
        "limit=0KiB",
        "mtu=65536",
        "jitter=",
        "jitter=normal",
        "jitter=2ms:normal:1",
        "loss=gemodel",
        "loss=gemodel:",
        "loss=gemodel:1",
        "loss=gemodel:1%:2%:3%:4%:5%",
        "loss=1%,loss=gemodel:1%",
        "down=1s",
        "down=1s..1s",
        "down=1..2",
        "drop=",
        "drop=data:",
        "drop=data:0",
        "drop=data:3-2",
        "drop=data:+3",
        "drop=data:1-2-3",
        "hold=1s",
        "hold=data:1",
        "hold=data:1:",
        "a>",
        "a>:loss=1%",
        ">b:loss=1%",
        "a>b",
        "a>b>c:loss=1%",
    ] {
        line.parse::<LinkLine>().expect_err(line);
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_line_that_prints_as_itself_or_an_error_that_says_what_is_wrong(
        text in "(([a-z]{1,2}>)?[a-z]:)?((rate|delay|jitter|loss|reorder|limit|down|drop|hold|mtu|x)=[0-9a-zA-Z%:.+-]{0,12},?){0,4}",
    ) {
        match text.parse::<LinkLine>() {
            Ok(line) => proptest::prop_assert_eq!(line.to_string().parse::<LinkLine>(), Ok(line), "{}", text),
            Err(error) => proptest::prop_assert!(error.to_string().starts_with("link spec: ")),
        }
    }
}

#[test]
fn every_item_of_the_how_to_is_one_and_every_key_is_in_it() {
    let page = include_str!("../../../docs/links.md");
    let items: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(item, _)| item))
        .filter(|item| item.contains('='))
        .collect();
    for item in &items {
        item.parse::<LinkLine>().unwrap_or_else(|error| panic!("docs/links.md: {error}"));
    }
    for key in super::super::spec::KEYS {
        assert!(items.iter().any(|item| item.starts_with(&format!("{key}="))), "docs/links.md does not show {key}");
    }
}

#[test]
fn a_limit_is_at_most_a_million_packets_or_a_gibibyte() {
    for (most, more) in [("1000000", "1000001"), ("1024MiB", "1025MiB"), ("1073741824B", "1073741825B")] {
        assert!(format!("rate=1bit,limit={most}").parse::<LinkSpec>().is_ok(), "{most}");
        let error = format!("rate=1bit,limit={more}").parse::<LinkSpec>().expect_err(more).to_string();
        assert!(
            error.starts_with(&format!("link spec: `limit={more}`: expected a queue of at least one packet")),
            "{error}"
        );
        assert!(error.ends_with("; at most 1000000 packets or 1024MiB"), "{error}");
    }
}
