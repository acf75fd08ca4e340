//! Compares a [`Watch`] with the text that smoltcp's `{:?}` prints for the socket, field by field. Numbers are compared
//! as text, so floating point too must agree to the last bit (`{:?}` prints the shortest text that reads back the
//! same).

use core::fmt::Write as _;

use smoltcp::socket::tcp;

use super::super::congestion::Law;
use super::super::{Micros, Seq, Timer, Watch};

/// Panics with every field that differs. `text` is a buffer to print into.
#[track_caller]
pub(super) fn assert_same(watch: &Watch, socket: &tcp::Socket<'_>, text: &mut String, context: &dyn Fn() -> String) {
    text.clear();
    write!(WithoutBuffers { text, inside: false }, "{socket:?}").expect("a string takes everything");
    let mut wrong = String::new();
    for (path, ours) in mirrored(watch) {
        let theirs = field(text, path);
        let same = theirs.is_some_and(|theirs| {
            theirs.strip_prefix(ours.as_str()).is_some_and(|rest| rest.starts_with([',', ' ', ')']))
        });
        if !same {
            let theirs = theirs.map_or("absent", |text| &text[..text.len().min(90)]);
            writeln!(wrong, "  {path}: mirror {ours}, smoltcp {theirs}").expect("a string takes everything");
        }
    }
    // RCV.NXT is the beginning of the receive buffer and what is in it.
    let begin = field(text, "remote_seq_no").and_then(|text| text.strip_prefix("SeqNumber(")?.split(')').next());
    let rcv_nxt =
        Seq(begin.map_or(0, |seq| seq.parse::<i32>().expect("it is a number")) as u32) + socket.recv_queue() as u32;
    if rcv_nxt != watch.rcv_nxt() {
        writeln!(wrong, "  RCV.NXT: mirror {}, smoltcp {rcv_nxt}", watch.rcv_nxt()).expect("a string takes everything");
    }
    assert!(wrong.is_empty(), "the mirror differs at {}:\n{wrong}", context());
}

/// The text from the value of a field on. Fields of nested structures are looked up behind the name of the structure.
fn field<'a>(text: &'a str, path: &str) -> Option<&'a str> {
    path.split('/').try_fold(text, |rest, name| {
        let at = rest.find(&format!("{name}: "))? + name.len() + 2;
        Some(&rest[at..])
    })
}

/// Keeps what is printed, except the octets of the two buffers.
struct WithoutBuffers<'a> {
    text: &'a mut String,
    inside: bool,
}

impl core::fmt::Write for WithoutBuffers<'_> {
    fn write_str(&mut self, piece: &str) -> core::fmt::Result {
        if self.inside {
            self.inside = piece != "]";
            return Ok(());
        }
        self.inside = piece == "[" && self.text.ends_with("Owned(");
        self.text.push_str(piece);
        Ok(())
    }
}

/// Each field of the mirror under smoltcp's name for it, in smoltcp's notation.
fn mirrored(watch: &Watch) -> Vec<(&'static str, String)> {
    let (rtt, flags, window) = (&watch.rtt, watch.flags, &watch.congestion.window);
    let mut fields = vec![
        ("timer", timer(watch.timer)),
        ("rtte/have_measurement", rtt.measured.to_string()),
        ("rtte/rto", rtt.rto.to_string()),
        ("rtte/timestamp", option(rtt.timing.then(|| format!("({}, {})", instant(rtt.timed_at), seq(rtt.timed_end))))),
        ("rtte/max_seq_sent", option(rtt.sent.then(|| seq(rtt.high)))),
        ("rtte/rto_count", rtt.rto_count.to_string()),
        ("tx_buffer/length", watch.send_queue.to_string()),
        ("remote_last_ack", option(flags.rcv_ack.then(|| seq(watch.rcv_ack)))),
        ("remote_last_win", watch.rcv_wnd.to_string()),
        ("remote_win_len", watch.snd_wnd.to_string()),
        ("remote_mss", watch.mss.to_string()),
        ("local_rx_last_ack", option(flags.last_ack.then(|| seq(watch.last_ack)))),
        ("local_rx_dup_acks", watch.dup_acks.to_string()),
        ("pending_fast_retransmit", flags.fast_retransmit.to_string()),
    ];
    if rtt.measured {
        fields.push(("rtte/srtt", rtt.srtt.to_string()));
        fields.push(("rtte/rttvar", rtt.rttvar.to_string()));
    }
    if flags.synchronized {
        fields.push(("local_seq_no", seq(watch.snd_una)));
        fields.push(("remote_last_seq", seq(watch.snd_nxt)));
        fields.push(("remote_win_shift", watch.rcv_shift.to_string()));
    }
    let law = match &watch.congestion.law {
        Law::None => return [fields, vec![("congestion_controller", "None(NoControl)".to_owned())]].concat(),
        Law::Reno => "Reno(Reno {",
        Law::Cubic(cubic) => {
            fields.extend([
                ("congestion_controller/w_max", cubic.w_max.to_string()),
                ("congestion_controller/k", format!("{:?}", cubic.k)),
                ("congestion_controller/w_est", format!("{:?}", cubic.w_est)),
                ("congestion_controller/cwnd_prior", cubic.cwnd_prior.to_string()),
                ("congestion_controller/recovery_start", option(cubic.epoch().map(instant))),
                ("congestion_controller/idle_start", option(cubic.idle_since().map(instant))),
            ]);
            "Cubic(Cubic {"
        }
    };
    fields.extend([
        ("congestion_controller", law.to_owned()),
        ("congestion_controller/cwnd", watch.cwnd().to_string()),
        ("congestion_controller/mss", window.mss.to_string()),
        ("congestion_controller/ssthresh", watch.ssthresh().to_string()),
        ("congestion_controller/rwnd", window.rwnd.to_string()),
        ("congestion_controller/in_fast_recovery", window.in_fast_recovery.to_string()),
        ("congestion_controller/in_rto_recovery", window.in_loss.to_string()),
    ]);
    fields
}

fn timer(timer: Timer) -> String {
    match timer {
        Timer::Idle => "Idle {".to_owned(),
        Timer::Retransmit { at } => format!("Retransmit {{ expires_at: {} }}", instant(at)),
        Timer::FastRetransmit => "FastRetransmit".to_owned(),
        Timer::Probe { at, delay } => {
            let delay = format!("Duration {{ micros: {} }}", u64::from(delay) * 1_000);
            format!("ZeroWindowProbe {{ expires_at: {}, delay: {delay} }}", instant(at))
        }
        Timer::Close => "Close {".to_owned(),
    }
}

fn option(value: Option<String>) -> String {
    value.map_or_else(|| "None".to_owned(), |value| format!("Some({value})"))
}

fn instant(at: Micros) -> String {
    format!("Instant {{ micros: {at} }}")
}

fn seq(seq: Seq) -> String {
    format!("SeqNumber({})", seq.0 as i32)
}
