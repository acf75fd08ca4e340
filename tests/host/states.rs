//! Every pair of TCP states and segment kinds, held against RFC 9293, section 3.10.7 ("SEGMENT ARRIVES"), with RFC 5961
//! and RFC 7323 (`states/table.txt`); then the rules that one segment cannot show (`states/rules.rs`).
//!
//! A state is always reached by real segments and calls. Then one segment comes, and what the host sends at that instant
//! has to be exactly what the table says. Each row is run over IPv4 and IPv6, with and without timestamps, on a
//! connection made by accept and on one made by connect, and with sequence numbers that wrap around.

mod rules;
mod table;

use std::collections::BTreeSet;

use crate::bare::{Setting, Wire};
use table::{ROWS, Row, rows};
use tcplab::event::State;
use tcplab::segment::{Flags, Seq};
use tcplab::socket::Shutdown;

use core::time::Duration;

/// Reaches the state of a row by real segments. Where data can be sent, 200 bytes are in flight, and 100 bytes before
/// them are acknowledged, so that there are old, duplicate, partial and full acknowledgments.
#[track_caller]
fn reach(state: &str, setting: Setting) -> Wire {
    if matches!(state, "CLOSED" | "LISTEN" | "SYN-SENT" | "SYN-RECEIVED") {
        return reach_unsynchronized(state, setting);
    }
    let mut wire = Wire::established(setting, |_| {});
    wire.write(&[1; 100]);
    let flags = Flags::ACK;
    let fin = Flags::FIN | Flags::ACK;
    let (rcv, nxt) = (wire.rcv_nxt, wire.snd_nxt);
    assert_eq!(wire.peer_says(flags, rcv, nxt, b""), []);
    let fd = wire.fd();
    let shut = |wire: &mut Wire| {
        wire.host.shutdown(fd, Shutdown::Write).expect("shutdown");
        assert_eq!(wire.one().flags, Flags::FIN | Flags::ACK);
    };
    match state {
        "ESTABLISHED" => {
            wire.write(&[2; 200]);
        }
        "CLOSE-WAIT" => {
            wire.write(&[2; 200]);
            wire.peer_says(fin, rcv, nxt, b"");
        }
        "LAST-ACK" => {
            wire.peer_says(fin, rcv, nxt, b"");
            shut(&mut wire);
        }
        "FIN-WAIT-1" => shut(&mut wire),
        "CLOSING" => {
            shut(&mut wire);
            wire.peer_says(fin, rcv, nxt, b"");
        }
        "FIN-WAIT-2" | "TIME-WAIT" => {
            shut(&mut wire);
            wire.peer_says(flags, rcv, nxt + 1, b"");
            if state == "TIME-WAIT" {
                wire.peer_says(fin, rcv, nxt + 1, b"");
            }
        }
        _ => panic!("no such state: {state}"),
    }
    wire
}

#[track_caller]
fn reach_unsynchronized(state: &str, setting: Setting) -> Wire {
    let mut wire = Wire::new(setting, |_| {});
    match (state, setting.active) {
        ("CLOSED", _) => {}
        ("SYN-SENT", true) => wire.connect(),
        ("LISTEN", false) => wire.listen(),
        // By a simultaneous open, and as a half-open connection of a listener.
        ("SYN-RECEIVED", active) => {
            if active {
                wire.connect();
            } else {
                wire.listen();
            }
            let syn_ack = wire.peer_says(Flags::SYN, Seq(setting.irs), Seq(0), b"");
            assert_eq!(syn_ack.first().map(|seen| seen.flags), Some(Flags::SYN | Flags::ACK));
        }
        _ => panic!("{state} is not reached this way"),
    }
    wire
}

/// The one function that every row goes through.
fn try_row(row: &Row, setting: Setting) -> Result<(), String> {
    let mut wire = reach(row.state, setting);
    if wire.state.to_string() != row.state {
        return Err(format!("the state reached is {}", wire.state));
    }
    // No timer is due, but a rate limit that the way here could have begun is over.
    wire.pass(Duration::from_millis(600));
    let number = |name: &str| row.number(name, &wire);
    let payload = vec![9; row.len];
    let segment = wire.segment(row.flags, number(row.seq), number(row.ack), &payload);
    let mut expected: Vec<_> =
        row.answers.iter().map(|answer| (answer.flags, number(answer.seq), number(answer.ack))).collect();
    let sent = wire.deliver(&segment);
    if let Some(new) = row.answers.iter().position(|answer| answer.seq == "new") {
        expected[new].1 = wire.iss;
    }
    let got: Vec<_> = sent.iter().map(|seen| (seen.flags, seen.seq, seen.ack)).collect();
    if got != expected || sent.iter().any(|seen| !seen.payload.is_empty()) {
        return Err(format!("answered {}, expected {}", table::show(&got), table::show(&expected)));
    }
    if wire.timestamps && sent.iter().any(|seen| seen.options.ts.is_none() && seen.flags.0 & Flags::RST.0 == 0) {
        return Err("a segment without timestamp (RFC 7323, section 3.2)".to_owned());
    }
    if wire.state.to_string() != row.next {
        return Err(format!("the state afterwards is {}", wire.state));
    }
    // A half-open connection has no descriptor yet, and a new connection that takes the place of one in TIME-WAIT not that
    // of the old one.
    let shown = if row.state == "TIME-WAIT" && wire.state == State::SynReceived { State::Closed } else { wire.state };
    match wire.descriptor_state() {
        Some(state) if state != shown => Err(format!("the descriptor shows {state}")),
        _ => Ok(()),
    }
}

#[test]
fn every_row_of_the_table_is_answered_as_it_says() {
    let mut wrong = Vec::new();
    for row in rows() {
        let settings = Setting::all().filter(|setting| row.applies(*setting));
        let before = wrong.len();
        for setting in settings {
            if let Err(why) = try_row(&row, setting)
                && wrong.len() == before
            {
                wrong.push(format!("{row}\n        {why}  ({setting:?})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} rows are wrong:\n{}\n", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_row_is_run_in_some_setting() {
    for row in rows() {
        assert!(Setting::all().any(|setting| row.applies(setting)), "{row}");
    }
}

#[test]
fn every_state_meets_every_kind_of_segment_inside_and_outside_of_its_window() {
    const STATES: [&str; 11] = [
        "CLOSED",
        "LISTEN",
        "SYN-SENT",
        "SYN-RECEIVED",
        "ESTABLISHED",
        "FIN-WAIT-1",
        "FIN-WAIT-2",
        "CLOSE-WAIT",
        "CLOSING",
        "LAST-ACK",
        "TIME-WAIT",
    ];
    let seen: BTreeSet<_> = rows().iter().map(|row| (row.state, row.kind(), row.place())).collect();
    for state in STATES {
        for kind in ["SYN", "SYN|ACK", "ACK", "data", "FIN", "RST"] {
            // Before the peer's SYN there is no window.
            let places = match state {
                "CLOSED" | "LISTEN" | "SYN-SENT" => &["none"][..],
                _ => &["left", "in", "right"][..],
            };
            for place in places {
                assert!(seen.contains(&(state, kind, *place)), "no row: {kind} {place} of the window in {state}");
            }
        }
    }
    assert!(ROWS.lines().all(|line| line.len() <= 240), "the table is to be read");
}
