//! Samples of short histories, with the right values by hand.

use super::*;
use crate::capture::Record;
use crate::segment::{SackBlock, SegmentTemplate, Seq};
use crate::time::Instant;
use crate::trace::Trace;

const CLIENT: usize = 0;
const SERVER: usize = 1;

/// A capture that is written line by line.
#[derive(Default)]
struct History {
    trace: Trace,
    sampler: Sampler,
    samples: Vec<Sample>,
    series: Series,
    number: u64,
}

impl History {
    fn pass(&mut self, ms: u64, from: usize, template: &SegmentTemplate<'_>, comment: Option<&str>) {
        let ends = ["192.0.2.1:4000", "192.0.2.2:80"].map(|end| end.parse().expect("an address"));
        let bytes = SegmentTemplate { src: ends[from], dst: ends[1 - from], ..*template }.to_bytes();
        self.number += 1;
        let record = Record::of_packet(self.number, Instant::from_millis(1_000_000 + ms), &bytes, comment);
        self.trace.record(&record, true);
        while let Some(step) = self.trace.next_step() {
            self.sampler.step(&self.trace, &step, |sample| {
                self.series.take(&self.trace, &sample);
                self.samples.push(sample);
            });
        }
    }

    fn segment(&mut self, ms: u64, from: usize, flags: Flags, (seq, ack): (u32, u32), payload: &[u8]) {
        self.pass(ms, from, &template(flags, (seq, ack), payload), None);
    }

    /// SYN, SYN|ACK, ACK: the client's numbers begin at 1000, the server's at 5000; the round trip takes 20 ms.
    fn handshake() -> Self {
        let mut history = Self::default();
        history.segment(0, CLIENT, Flags::SYN, (1000, 0), b"");
        history.segment(20, SERVER, Flags::SYN | Flags::ACK, (5000, 1001), b"");
        history.segment(20, CLIENT, Flags::ACK, (1001, 5001), b"");
        history
    }

    fn marks(&self) -> Vec<(i64, i64, Mark)> {
        let segments = self.samples.iter().filter_map(|sample| match sample {
            Sample::Segment(point) => Some((point.seq, point.end(), point.mark)),
            _ => None,
        });
        segments.collect()
    }

    fn rtts(&self, side: Side) -> Vec<(i64, Option<u64>)> {
        let millis = |time: Option<Duration>| time.map(|time| time.as_millis() as u64);
        let points = self.series.flows().next().expect("a flow").side(side).rtts.iter();
        points.map(|point| (point.time / 1_000_000, millis(point.sample))).collect()
    }
}

fn template(flags: Flags, (seq, ack): (u32, u32), payload: &[u8]) -> SegmentTemplate<'_> {
    let any = "192.0.2.9:9".parse().expect("an address");
    let template = SegmentTemplate::new(any, any);
    SegmentTemplate { flags, seq: Seq(seq), ack: Seq(ack), payload, window: 1000, ..template }
}

#[test]
fn segments_stand_at_relative_numbers_with_what_they_are() {
    let mut history = History::handshake();
    history.segment(30, CLIENT, Flags::ACK, (1001, 5001), &[0; 100]);
    history.segment(31, CLIENT, Flags::ACK, (1101, 5001), &[0; 100]);
    history.segment(300, CLIENT, Flags::ACK, (1001, 5001), &[0; 100]);
    history.segment(320, SERVER, Flags::ACK, (5001, 1201), b"");
    history.segment(330, CLIENT, Flags::ACK, (1101, 5001), &[0; 100]);
    history.segment(340, CLIENT, Flags::FIN | Flags::ACK, (1201, 5001), b"");
    let expected = [
        (0, 1, Mark::New),
        (0, 1, Mark::New),
        (1, 1, Mark::None),
        (1, 101, Mark::New),
        (101, 201, Mark::New),
        (1, 101, Mark::Retransmission),
        (1, 1, Mark::None),
        (101, 201, Mark::Duplicate),
        (201, 202, Mark::New),
    ];
    assert_eq!(history.marks(), expected);
    let client = history.series.flows().next().expect("a flow").side(Side::Local);
    assert_eq!((client.segments.len(), client.acks.len(), client.bytes), (7, 2, 400));
    assert_eq!((client.sent, client.count(Mark::Retransmission), client.count(Mark::New)), (7, 1, 4));
}

#[test]
fn a_number_below_the_first_one_and_one_behind_4_gib_do_not_wrap() {
    let mut history = History::default();
    history.segment(0, CLIENT, Flags::ACK, (1000, 5000), b"x");
    history.segment(1, SERVER, Flags::ACK, (5000, 1001), b"");
    history.segment(2000, CLIENT, Flags::ACK, (999, 5000), b"");
    let (mut seq, mut ms) = (1001_u32, 3000);
    for _ in 0..5 {
        for _ in 0..16 {
            history.segment(ms, CLIENT, Flags::ACK, (seq, 5000), &[0; 1]);
            history.segment(ms + 1, SERVER, Flags::ACK, (5000, seq.wrapping_add(1 << 26)), b"");
            (seq, ms) = (seq.wrapping_add(1 << 26), ms + 10);
        }
    }
    let marks = history.marks();
    assert_eq!(marks[2].0, 0, "the first byte seen is byte 1");
    let sent: Vec<_> = marks.iter().filter(|(start, end, _)| end > start).map(|(start, ..)| *start).collect();
    let last = *sent.last().expect("data");
    assert_eq!(last, 2 + 79 * (1 << 26), "more than 2^32");
    assert!(sent.windows(2).all(|pair| pair[0] <= pair[1]), "{sent:?}");
}

#[test]
fn acks_windows_and_sack_blocks_are_of_the_other_side() {
    let mut history = History::handshake();
    history.segment(30, CLIENT, Flags::ACK, (1001, 5001), &[0; 100]);
    history.segment(31, CLIENT, Flags::ACK, (1201, 5001), &[0; 100]);
    let mut sack = template(Flags::ACK, (5001, 1101), b"");
    sack.options.sack[0] = SackBlock { left: Seq(1201), right: Seq(1301) };
    history.pass(50, SERVER, &sack, None);
    let flow = history.series.flows().next().expect("a flow");
    let client = flow.side(Side::Local);
    assert_eq!(client.segments.last().expect("data").missing, 100, "101:201 was not seen");
    let ack = client.acks.last().expect("an ACK");
    assert_eq!((ack.time, ack.ack, ack.window, ack.newly_acked), (50_000_000, 101, 1000, 200));
    assert_eq!(ack.sack, [Some((201, 301)), None, None, None]);
    assert_eq!(client.windows.last().map(|point| (point.flight_size, point.window)), Some((200, Some(1000))));
    assert_eq!(flow.side(Side::Remote).acks.len(), 3, "the client's segments acknowledge the server");
}

#[test]
fn a_round_trip_is_measured_without_retransmissions() {
    let mut history = History::handshake();
    history.segment(30, CLIENT, Flags::ACK, (1001, 5001), &[0; 100]);
    history.segment(40, CLIENT, Flags::ACK, (1101, 5001), &[0; 100]);
    history.segment(65, SERVER, Flags::ACK, (5001, 1201), b"");
    history.segment(70, CLIENT, Flags::ACK, (1201, 5001), &[0; 100]);
    history.segment(300, CLIENT, Flags::ACK, (1201, 5001), &[0; 100]);
    history.segment(320, SERVER, Flags::ACK, (5001, 1301), b"");
    assert_eq!(history.rtts(Side::Local), [(20, Some(20)), (65, Some(25))], "Karn's algorithm");
    assert_eq!(history.rtts(Side::Remote), [(20, Some(0))], "at the client no time passes");
}

#[test]
fn a_lost_ack_does_not_count_and_told_variables_do() {
    let mut history = History::handshake();
    let data = template(Flags::ACK, (1001, 5001), &[0; 100]);
    let full = "data 1:101 [flight_size=100 cwnd=14480 ssthresh=7000 srtt=20.5ms rto=220ms]";
    history.pass(30, CLIENT, &data, Some(full));
    history.pass(50, SERVER, &template(Flags::ACK, (5001, 1101), b""), Some("ACK up to 101 [lost: loss]"));
    let flow = history.series.flows().next().expect("a flow");
    let client = flow.side(Side::Local);
    assert_eq!(client.acks.len(), 1, "that of the handshake");
    assert!(flow.side(Side::Remote).segments.last().expect("the ACK").is_lost());
    let last = client.windows.last().expect("a point");
    assert_eq!((last.flight_size, last.cwnd, last.ssthresh), (100, Some(14_480), Some(7000)));
    let told = client.rtts.last().expect("a point");
    assert_eq!((told.srtt, told.rto), (Some(Duration::from_micros(20_500)), Some(Duration::from_millis(220))));
}

#[test]
fn bins_have_all_packets_and_acknowledged_data_once() {
    let mut history = History::handshake();
    for nth in 0..10 {
        history.segment(30 + u64::from(nth), CLIENT, Flags::ACK, (1001 + 100 * nth, 5001), &[0; 100]);
    }
    history.segment(50, CLIENT, Flags::FIN | Flags::ACK, (2001, 5001), b"");
    history.segment(60, SERVER, Flags::ACK, (5001, 2002), b"");
    let client = &history.series.flows().next().expect("a flow").sides[0];
    let sum = |of: fn(&Bin) -> u64| client.bins.values().map(of).sum::<u64>();
    assert_eq!(history.series.bin_width(), 1_000_000);
    assert_eq!(sum(|bin| bin.acked), 1000, "neither SYN nor FIN is data");
    assert_eq!(sum(|bin| bin.sent), 13 * 40 + 1000);
}

#[test]
fn series_stay_within_their_limit_and_keep_the_extremes() {
    let mut history = History { series: Series::with_limit(1000), ..History::handshake() };
    let mut seq = 1001_u32;
    for nth in 0..5000_u32 {
        history.segment(30 + u64::from(nth), CLIENT, Flags::ACK, (seq, 5001), &[0; 100]);
        if nth % 2 == 1 {
            history.segment(30 + u64::from(nth), SERVER, Flags::ACK, (5001, seq), b"");
        }
        seq += 100;
    }
    let series = &history.series;
    let client = &series.flows().next().expect("a flow").sides[0];
    let points = client.segments.len() + client.acks.len() + client.windows.len() + client.rtts.len();
    assert!(series.is_thinned() && series.left_out() == 0 && points <= 1000, "{points}");
    let ends =
        |points: &[SegmentPoint]| (points.iter().map(|p| p.seq).min(), points.iter().map(SegmentPoint::end).max());
    assert_eq!(ends(&client.segments), (Some(1), Some(500_001)));
    // Nothing of the line is missing: each joined segment begins where one before it ends.
    let mut covered = 1;
    for point in &client.segments {
        assert!(point.seq <= covered, "a hole before {}", point.seq);
        covered = covered.max(point.end());
    }
    assert_eq!(client.bytes, 500_000);
    assert_eq!(client.bins.values().map(|bin| bin.acked).sum::<u64>(), 499_900);
}

#[test]
fn rows_have_every_sample_of_their_kind() {
    let mut history = History::handshake();
    history.pass(30, CLIENT, &template(Flags::ACK, (1001, 5001), &[0; 100]), Some("data 1:101 [lost: loss]"));
    let mut sack = template(Flags::ACK, (5001, 1001), b"");
    sack.options.sack[0] = SackBlock { left: Seq(1201), right: Seq(1301) };
    history.pass(50, SERVER, &sack, None);
    let rows = |kind| {
        let writer = RowWriter::new(kind);
        let mut out = writer.header().to_owned();
        history.samples.iter().for_each(|sample| writer.row(sample, |_| "a,b".to_owned(), &mut out));
        writer.finish(&history.series, &mut out);
        out
    };
    let sequence = "time_s,seq,len,stream,from,packet,flags,ack,window,kind,analysis,link,sack\n\
        0.000000000,0,0,0,0,1,SYN,,1000,new,,,\n\
        0.020000000,0,0,0,1,2,SYN|ACK,1,1000,new,,,\n\
        0.020000000,1,0,0,0,3,ACK,1,1000,none,,,\n\
        0.030000000,1,100,0,0,4,ACK,1,1000,new,,lost: loss,\n\
        0.050000000,1,0,0,1,5,ACK,1,1000,none,duplicate-ack,,201:301\n";
    assert_eq!(rows(PlotKind::Sequence), sequence);
    let rtt = "time_s,stream,side,rtt_s,srtt_s,rto_s\n0.020000000,0,0,0.020000000,,\n0.020000000,0,1,0.000000000,,\n";
    assert_eq!(rows(PlotKind::Rtt), rtt);
    assert!(rows(PlotKind::Window).contains("\n0.030000000,0,0,100,1000,,\n"), "{}", rows(PlotKind::Window));
    let throughput = "time_s,width_s,stream,side,sent_bytes,acked_bytes\n\
        0.000000000,0.001000000,0,0,40,0\n0.020000000,0.001000000,0,0,40,0\n0.030000000,0.001000000,0,0,140,0\n\
        0.050000000,0.001000000,0,0,0,100\n\
        0.020000000,0.001000000,0,1,40,0\n0.050000000,0.001000000,0,1,52,0\n";
    assert_eq!(rows(PlotKind::Throughput), throughput);
    assert_eq!(rows(PlotKind::Queue), "time_s,link,packets,bytes\n", "a capture has no queues");
    let point = QueuePoint { time: 5, link: LinkId(0), packets: 2, bytes: 3000 };
    let mut out = String::new();
    RowWriter::new(PlotKind::Queue).row(&Sample::Queue(point), |_| "a,b".to_owned(), &mut out);
    assert_eq!(out, "0.000000005,\"a,b\",2,3000\n");
}

#[test]
fn data_that_is_sacked_and_then_acknowledged_counts_once() {
    let mut history = History::handshake();
    for nth in 0..10 {
        history.segment(30, CLIENT, Flags::ACK, (1001 + 100 * nth, 5001), &[0; 100]);
    }
    let mut newly = Vec::new();
    let acks: [(u32, &[(u32, u32)]); 6] = [
        (1001, &[(1201, 1301)]),
        (1001, &[(1401, 1501), (1201, 1301)]),
        (1001, &[(1301, 1401), (1401, 1501)]),
        // The receiver has 1001:1501 now.
        (1501, &[(1201, 1301)]),
        (1501, &[(1601, 1801)]),
        (1701, &[(1701, 1801)]),
    ];
    for (ms, (ack, blocks)) in (50..).zip(acks) {
        let mut template = template(Flags::ACK, (5001, ack), b"");
        for (place, (left, right)) in template.options.sack.iter_mut().zip(blocks) {
            *place = SackBlock { left: Seq(*left), right: Seq(*right) };
        }
        history.pass(ms, SERVER, &template, None);
        newly.push(history.series.flows().next().expect("a flow").sides[0].acks.last().expect("an ACK").newly_acked);
    }
    assert_eq!(newly, [100, 100, 100, 200, 200, 100]);
}
