//! The limits of the parser: what is at a limit is read, and one more is refused.

use tcplab::drill::parse::{
    Definitions, MAX_BYTES, MAX_CONDITIONALS, MAX_DEFINITION, MAX_DEPTH, MAX_PAYLOAD, MAX_SECONDS, ParseErrorKind,
    parse,
};

use super::{parsed, refused};
use crate::scripts::defined;

#[test]
fn sizes_are_read_up_to_their_limit_and_refused_behind_it() {
    let limit = |source: &str, definitions: &Definitions| {
        let error = parse(source, definitions).expect_err("an error");
        assert!(matches!(error.kind, ParseErrorKind::Limit(_)), "{error}");
    };
    let long = |len: usize| format!("0 `x`{}", " ".repeat(len - 5));
    parsed(&long(MAX_BYTES));
    limit(&long(MAX_BYTES + 1), &Definitions::new());

    // Each word becomes as long as a definition may be.
    let value = |len: usize| format!("X={}", "y".repeat(len - 2));
    let replaced = defined(&[&value(MAX_DEFINITION)]);
    assert!(Definitions::new().define(&value(MAX_DEFINITION + 1)).is_err());
    let long = |len: usize| {
        let call = format!("0 f({}) = 0", ["X"; 1000].join(","));
        let grown = call.len() + 1000 * (MAX_DEFINITION - 3);
        call + &" ".repeat(len - grown)
    };
    parse(&long(MAX_BYTES), &replaced).expect("a script");
    limit(&long(MAX_BYTES + 1), &replaced);
    limit(&format!("0 f({}) = 0", vec!["X"; 2000].join(",")), &replaced);

    let nested = |depth: usize| format!("0 f({}{}) = 0", "[{".repeat(depth / 2), "}]".repeat(depth / 2));
    let arrays = |depth: usize| format!("0 f({}{}) = 0", "[".repeat(depth), "]".repeat(depth));
    parsed(&arrays(MAX_DEPTH));
    limit(&arrays(MAX_DEPTH + 1), &Definitions::new());
    limit(&nested(MAX_DEPTH + 2), &Definitions::new());
    parsed(&nested(MAX_DEPTH));
    parsed(&format!("0 f({}) = 0", ["[[]]"; 20].join(",")));

    let ifdefs = |depth: usize| "#ifdef X\n".repeat(depth) + &"#endif\n".repeat(depth) + "0 `x`";
    parsed(&ifdefs(MAX_CONDITIONALS));
    limit(&ifdefs(MAX_CONDITIONALS + 1), &Definitions::new());
}

#[test]
fn numbers_are_read_up_to_their_limit_and_refused_behind_it() {
    let payload = |len: u32| format!("0 > . 1:{}({len}) ack 1", len + 1);
    let table = [
        (payload(MAX_PAYLOAD), payload(MAX_PAYLOAD + 1)),
        (format!("+{MAX_SECONDS} `x`"), format!("+{MAX_SECONDS}.000001 `x`")),
        ("0 > S 0:0(0) win 65535".to_owned(), "0 > S 0:0(0) win 65536".to_owned()),
        ("0 > S 0:0(0) ack 4294967295".to_owned(), "0 > S 0:0(0) ack 4294967296".to_owned()),
        ("0 > S 0:0(0) <wscale 255>".to_owned(), "0 > S 0:0(0) <wscale 256>".to_owned()),
        ("0 > (flowlabel 1048575) S 0:0(0)".to_owned(), "0 > (flowlabel 1048576) S 0:0(0)".to_owned()),
        ("0 > (ttl 255) S 0:0(0)".to_owned(), "0 > (ttl 256) S 0:0(0)".to_owned()),
        ("0 < icmp 9223372036854775807".to_owned(), "0 < icmp 9223372036854775808".to_owned()),
        ("0 f(18446744073709551615) = 0".to_owned(), "0 f(18446744073709551616) = 0".to_owned()),
        ("0 f(-9223372036854775808) = 0".to_owned(), "0 f(-9223372036854775809) = 0".to_owned()),
        (format!("0 > S 0:0(0) <FO {}>", "00".repeat(38)), format!("0 > S 0:0(0) <FO {}>", "00".repeat(39))),
        (
            "0 > . 1:1(0) ack 1 <sack 1:2 3:4 5:6 7:8>".to_owned(),
            "0 > . 1:1(0) ack 1 <sack 1:2 3:4 5:6 7:8 9:10>".to_owned(),
        ),
    ];
    for (good, bad) in table {
        parsed(&good);
        let error = refused(&bad);
        assert!(matches!(error.kind, ParseErrorKind::Invalid(_)), "{bad}: {error}");
    }
}
