//! Each checker finds a violation that is planted for it, and lets its lawful twin pass.

use super::{
    Ban, HOMES, NO_CLOCK, NO_IO, NO_PRINTING, PORTABLE, SAME_BYTES, Source, Violation, banned, crates_abroad,
    hash_iterations, hash_maps, ignored, imports_from_below, map_differs, rooms_off_the_table, shapeless, unfinished,
    unsafe_files,
};

fn planted(files: &[(&str, &str)]) -> Vec<Source> {
    files.iter().map(|(path, text)| Source::new(path, text)).collect()
}

/// `file:line` of each violation.
fn places(violations: &[Violation]) -> Vec<String> {
    violations.iter().map(|violation| format!("{}:{}", violation.file, violation.line)).collect()
}

fn one(checker: impl Fn(&[Source]) -> Vec<Violation>, file: &str, text: &str) -> Vec<String> {
    places(&checker(&planted(&[(file, text)])))
}

#[test]
fn an_import_from_below_is_found() {
    let check = |file, text| one(imports_from_below, file, text);
    assert_eq!(check("stack/demux.rs", "//! x\nuse crate::socket::Fd;"), ["stack/demux.rs:2"]);
    assert_eq!(check("stack/demux.rs", "use crate::{\n    segment::Seq,\n    net,\n};"), ["stack/demux.rs:3"]);
    assert_eq!(check("link.rs", "fn f() {\n    crate::sim::run();\n}"), ["link.rs:2"]);
    assert_eq!(check("link.rs", "use super::sim;"), ["link.rs:1"]);
    assert_eq!(check("time.rs", "use crate::rng;"), ["time.rs:1"], "the same row");
    assert_eq!(check("replay.rs", "use crate::drill;"), ["replay.rs:1"], "the same row");
    assert_eq!(check("bench.rs", "use tcplab::cli;"), ["bench.rs:1"]);
    assert_eq!(check("stack/mod.rs", "use crate::Fd;"), ["stack/mod.rs:1"], "a name at the root hides its room");
    assert_eq!(check("stack/mod.rs", "use crate::*;"), ["stack/mod.rs:1"]);
}

#[test]
fn an_import_from_above_is_lawful() {
    let check = |file, text| one(imports_from_below, file, text);
    assert!(check("stack/demux.rs", "use crate::{segment::Seq, stack::guard, time};\nuse super::listener;").is_empty());
    assert!(check("stack/demux.rs", "// use crate::net;\nconst S: &str = \"crate::net\";").is_empty());
    assert!(check("stack/demux.rs", "#[cfg(test)]\nmod tests {\n    use crate::sim;\n}").is_empty());
    assert!(check("stack/guard/tests.rs", "use crate::sim;").is_empty());
    assert!(check("main.rs", "use tcplab::{Host, bench, cli};").is_empty());
    assert!(check("cli/mod.rs", "use crate::bench;").is_empty());
    assert!(check("lib.rs", "pub use crate::net::TcpStream;").is_empty());
}

#[test]
fn a_module_without_a_row_is_found() {
    let check = |file, text| one(rooms_off_the_table, file, text);
    assert_eq!(check("helper.rs", ""), ["helper.rs:1"]);
    assert_eq!(check("lib.rs", "pub mod stack;\nmod util;"), ["lib.rs:2"]);
    assert_eq!(check("stack/mod.rs", "mod tests;"), ["stack/mod.rs:1"], "tests are exempt, so they must be tests");
    assert!(check("stack/mod.rs", "mod demux;\n#[cfg(test)]\nmod tests;").is_empty());
}

#[test]
fn a_map_that_tells_of_other_rooms_is_found() {
    let rows: Vec<_> = super::ROOMS.iter().map(|row| format!("| `{}` | x |\n", row.join("`, `"))).collect();
    let rows = rows.concat();
    let all = super::ROOMS.iter().flat_map(|row| row.iter().copied()).collect();
    assert_eq!(map_differs(&rows, &all), [""; 0]);
    assert_eq!(map_differs(&rows.replace("`rng`", "`rng` (to come)"), &all).len(), 1, "it exists");
    assert_eq!(map_differs(&rows.replace("| `net` | x |\n", ""), &all).len(), 1, "a room is missing");
    let but_net = all.iter().copied().filter(|room| *room != "net").collect();
    assert_eq!(map_differs(&rows, &but_net).len(), 1, "it is yet to come");
    assert_eq!(map_differs(&rows.replace("`net`", "`net` (to come)"), &but_net), [""; 0]);
}

#[test]
fn a_foreign_crate_away_from_home_is_found() {
    let check = |file: &str, text: &str| one(crates_abroad, file, text);
    for (name, _) in HOMES {
        assert_eq!(check("view/ladder.rs", &format!("\nuse {name}::Thing;")), ["view/ladder.rs:2"]);
        assert_eq!(check("view/ladder.rs", &format!("use {name} as other;")), ["view/ladder.rs:1"]);
    }
    assert_eq!(check("segment/ip.rs", "use smoltcp::{wire::Ipv4Packet, phy};"), ["segment/ip.rs:1"], "only wire");
    assert_eq!(check("time.rs", "fn f() { smoltcp::iface::poll() }"), ["time.rs:1"], "only time");
    assert!(check("segment/ip.rs", "use smoltcp::wire::Ipv4Packet;").is_empty());
    assert!(check("stack/mod.rs", "use smoltcp::iface::Interface;\nlet smoltcp = 1;").is_empty());
    assert!(check("net/mod.rs", "use crate::stack::smoltcp; let smoltcp = x.to_smoltcp();").is_empty());
}

#[test]
fn what_is_banned_in_a_room_is_found() {
    let check = |ban: &'static Ban, text: &str| one(|sources| banned(ban, sources), "stack/mod.rs", text).len();
    for text in [
        "use std::time::{Duration, Instant};",
        "use std::time::SystemTime;",
        "use std::time;",
        "let now = Instant::now();",
        "std::thread::sleep(delay);",
        "use std::{thread::sleep, fmt};",
    ] {
        assert_eq!(check(&NO_CLOCK, text), 1, "{text}");
    }
    assert_eq!(check(&NO_CLOCK, "use crate::time::Instant; use core::time::Duration; let now = at.now();"), 0);

    for text in [
        "x.ln()",
        "f64::exp(x)",
        "x\n.powf(2.0)",
        "select! { }",
        "futures_util::select! {}",
        "rand::random()",
        "RandomState::new()",
    ] {
        assert_eq!(check(&SAME_BYTES, text), 1, "{text}");
    }
    assert_eq!(check(&SAME_BYTES, "libm::log(x); x.exp; let sin = 1; select_biased! {}; x.ilog2(); x.sqrt()"), 0);

    for text in [
        "use std::{fmt, fs};",
        "use std::net::{IpAddr, TcpStream};",
        "use std::io::{self, stdin};",
        "io::stdout().flush()",
        "std::env::var(x)",
        "libc::read(fd)",
    ] {
        assert_eq!(check(&NO_IO, text), 1, "{text}");
    }
    assert_eq!(check(&NO_IO, "use std::io::{self, Read}; use std::net::IpAddr; use core::fmt;"), 0);

    for text in ["println!()", "eprintln!()", "dbg!(x)", "std::print!()"] {
        assert_eq!(check(&NO_PRINTING, text), 1, "{text}");
    }
    assert_eq!(check(&NO_PRINTING, "writeln!(f, s)?; let print = 1; if print != 2 {}"), 0);
}

#[test]
fn a_ban_holds_in_its_rooms_only() {
    let check = |ban: &'static Ban, file, text| one(|sources| banned(ban, sources), file, text).len();
    assert_eq!(check(&NO_CLOCK, "live/mod.rs", "let now = Instant::now();"), 0);
    assert_eq!(check(&NO_CLOCK, "app/echo.rs", "let now = Instant::now();"), 1);
    assert_eq!(check(&NO_IO, "app/http.rs", "use std::fs;"), 0);
    assert_eq!(check(&PORTABLE, "app/http.rs", "use std::os::fd::OwnedFd;"), 1);
    assert_eq!(check(&PORTABLE, "device/tun.rs", "use std::os::fd::OwnedFd;"), 0);
    assert_eq!(check(&NO_PRINTING, "cli/demo.rs", "println!()"), 0);
    assert_eq!(check(&NO_PRINTING, "cli.rs", "println!()"), 0);
}

#[test]
fn a_hash_map_without_a_reason_is_found_and_so_is_a_reason_without_a_hash_map() {
    let map = planted(&[("stack/demux.rs", "\nuse std::collections::HashMap;"), ("link/mod.rs", "// HashMap")]);
    assert_eq!(places(&hash_maps(&map, &[])), ["stack/demux.rs:2"]);
    assert_eq!(places(&hash_maps(&map, &[("stack/demux.rs", "")])), ["stack/demux.rs:2"]);
    assert!(hash_maps(&map, &[("stack/demux.rs", "looked up only")]).is_empty());
    assert_eq!(
        places(&hash_maps(&map, &[("stack/demux.rs", "looked up only"), ("link/mod.rs", "x")])),
        ["link/mod.rs:1"]
    );
    assert_eq!(places(&hash_maps(&map, &[("stack/demux.rs", "looked up only"), ("gone.rs", "x")])), ["gone.rs:0"]);
}

#[test]
fn an_iteration_over_a_hash_map_is_found() {
    let check = |text| one(hash_iterations, "stack/demux.rs", text);
    assert_eq!(
        check("struct D { by_tuple: HashMap<Tuple, Key> }\nfn f() {\n    for x in &self.by_tuple {}\n}"),
        ["stack/demux.rs:3"]
    );
    assert_eq!(check("let mut seen = HashSet::new();\nseen\n    .iter()"), ["stack/demux.rs:2"]);
    assert_eq!(
        check("type Table<K> = std::collections::HashMap<K, u8>;\nstruct D { t: Table<u8> }\nd.t.retain(f)"),
        ["stack/demux.rs:3"]
    );
    assert_eq!(check("x: RefCell<HashMap<K, V>>,\nx.borrow().values()"), ["stack/demux.rs:2"]);
    assert_eq!(check("for x in m.values_mut() {}\nfn f(m: &mut HashMap<K, V>) {}"), ["stack/demux.rs:1"]);
    let lawful = "struct D { a: HashMap<K, V>, b: Vec<V> }\nd.a.get(&k); d.a.insert(k, v); d.b.iter(); for x in d.b {}";
    assert!(check(lawful).is_empty());
}

#[test]
fn a_long_file_and_a_file_without_a_heading_are_found() {
    let long = |lines: usize| format!("//! x\n{}", "\n".repeat(lines - 1));
    assert_eq!(one(shapeless, "app/http.rs", &long(601)), ["app/http.rs:601"]);
    assert!(one(shapeless, "app/http.rs", &long(600)).is_empty());
    assert_eq!(one(shapeless, "app/http.rs", "use x;"), ["app/http.rs:1"]);
}

#[test]
fn unsafe_without_a_reason_is_found() {
    let files = planted(&[("device/tun.rs", "//! x\nfn f() { unsafe { g() } }"), ("time.rs", "// unsafe")]);
    assert_eq!(places(&unsafe_files(&files, &[])), ["device/tun.rs:2"]);
    assert!(unsafe_files(&files, &[("device/tun.rs", "the ioctl that names the device")]).is_empty());
    let in_a_test = planted(&[("time.rs", "#[cfg(test)]\nmod tests { #![allow(unsafe_code)] }")]);
    assert_eq!(places(&unsafe_files(&in_a_test, &[])), ["time.rs:2"]);
}

#[test]
fn unfinished_work_is_found_also_in_tests() {
    let check = |text| one(unfinished, "app/http.rs", text);
    assert_eq!(check("fn f() { todo!() }"), ["app/http.rs:1"]);
    assert_eq!(check("#[cfg(test)]\nmod tests { fn f() { unimplemented!() } }"), ["app/http.rs:2"]);
    assert_eq!(check("#[expect(dead_code)]"), ["app/http.rs:1"]);
    assert_eq!(check("#![allow(clippy::all, dead_code)]"), ["app/http.rs:1"]);
    assert_eq!(check("#[allow(unused)]"), ["app/http.rs:1"]);
    assert!(check("// todo!()\nlet todo = 1; if todo != 2 {}").is_empty());
}

#[test]
fn an_ignored_test_is_found() {
    assert_eq!(one(ignored, "app/tests.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}"), ["app/tests.rs:2"]);
    assert!(one(ignored, "app/tests.rs", "// #[ignore]\nconst S: &str = \"#[ignore]\";").is_empty());
}
