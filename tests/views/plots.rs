//! `--plot`, `--svg` and `--series`: the numbers are those of tshark, the pictures are golden files, and files of a user are
//! safe.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tcplab::capture::Reader;
use tcplab::scenario::lessons;

use crate::common::golden;
use crate::programs::{printed, scratch, shared};

fn tcplab(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcplab"));
    command.args(args).stdin(Stdio::null()).env_remove("NO_COLOR").env_remove("COLUMNS");
    command.output().expect("it starts")
}

/// What a command that must succeed prints.
#[track_caller]
fn shown(args: &[&str]) -> String {
    let output = tcplab(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The message of a command that must end with this exit code.
#[track_caller]
fn refused(code: i32, args: &[&str]) -> String {
    let output = tcplab(args);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(code), true), "{args:?}: {message}");
    message
}

fn capture(lesson: &str) -> String {
    format!("{}/captures/{lesson}.pcapng", env!("CARGO_MANIFEST_DIR"))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Time in nanoseconds, sequence number and length of a segment, by the number of its packet.
type Row = (u64, i64, u32, u32);

/// `0.000000123` as nanoseconds.
fn nanos(text: &str) -> i64 {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    sign * (whole.parse::<i64>().expect("seconds") * 1_000_000_000
        + format!("{fraction:0<9}").parse::<i64>().expect("nanoseconds"))
}

/// The rows of `--plot sequence --series`, without the header.
fn series(file: &Path) -> Vec<Vec<String>> {
    let text = shown(&["show", path(file), "--plot", "sequence", "--series", "-"]);
    let (header, rows) = text.split_once('\n').expect("a header");
    assert_eq!(header, "time_s,seq,len,stream,from,packet,flags,ack,window,kind,analysis,link,sack");
    rows.lines().map(|row| row.split(',').map(str::to_owned).collect()).collect()
}

fn ours(file: &Path) -> Vec<Row> {
    let row = |row: &Vec<String>| {
        let number = |at: usize| row[at].parse().expect("a number");
        (row[5].parse().expect("a packet"), nanos(&row[0]), number(1), number(2))
    };
    series(file).iter().map(row).collect()
}

/// The same by tshark. `None` if it is not installed.
fn tsharks(file: &Path) -> Option<Vec<Row>> {
    let fields =
        ["frame.number", "frame.time_relative", "tcp.seq", "tcp.len"].into_iter().flat_map(|field| ["-e", field]);
    let arguments: Vec<_> =
        ["-n", "-r", path(file), "-Y", "tcp && !icmp && !icmpv6", "-T", "fields"].into_iter().chain(fields).collect();
    let row = |line: &str| {
        let fields: Vec<_> = line.split('\t').collect();
        let number = |at: usize| fields[at].parse().expect("a number");
        (fields[0].parse().expect("a frame"), nanos(fields[1]), number(2), number(3))
    };
    Some(printed("tshark", &arguments)?.lines().map(row).collect())
}

/// The parts of a pcap file: its header and its records.
fn records(file: &Path) -> (Vec<u8>, Vec<Vec<u8>>) {
    let bytes = fs::read(file).expect("a capture");
    let (header, mut rest) = bytes.split_at(24);
    assert_eq!(header[..4], 0xa1b2_3c4d_u32.to_le_bytes(), "pcap with nanoseconds");
    let mut records = Vec::new();
    while !rest.is_empty() {
        let len = 16 + u32::from_le_bytes(rest[8..12].try_into().expect("four bytes")) as usize;
        let (record, behind) = rest.split_at(len);
        records.push(record.to_vec());
        rest = behind;
    }
    (header.to_vec(), records)
}

/// Ten captures of other programs, each of another kind. Three of them are cut out of captures of the corpus, or put together
/// from them.
fn foreign(corpus: &Path) -> Vec<(&'static str, PathBuf)> {
    let file = |name: &str| corpus.join(name);
    let written = |name: &str, header: &[u8], records: &[Vec<u8>]| {
        let place = scratch(name);
        fs::write(&place, [header, &records.concat()].concat()).expect("written");
        place
    };
    let (header, long) = records(&file("C060_zeek_rdp-to-ssl_s1.pcap"));
    let middle = written("views-middle.pcap", &header, &long[40..]);
    let (header, both) = records(&file("B161_zeek_heartbleed-success_s0.pcap"));
    // The source address of IPv4 in Ethernet, behind the header of the record.
    let source = |record: &Vec<u8>| record[16 + 26..16 + 30].to_vec();
    let second = source(&both[1]);
    let one_side: Vec<_> = both.iter().filter(|record| source(record) == second).cloned().collect();
    let one_sided = written("views-one-sided.pcap", &header, &one_side);
    let mut many = Vec::new();
    let mut names: Vec<_> =
        fs::read_dir(corpus).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    names.sort();
    for name in names
        .iter()
        .filter(|name| name.to_string_lossy().contains("smtp") && name.extension().is_some_and(|end| end == "pcap"))
    {
        many.extend(records(name).1);
    }
    vec![
        ("handshake only", file("A482_zeek_nmap-vsn_s6.pcap")),
        ("data with losses", file("B046_arkime_http-post-upload_s0.pcap")),
        ("reset", file("C066_zeek_wstunnel-ssh_s1.pcap")),
        ("IPv6", file("B051_arkime_v6_s0.pcap")),
        ("long", file("C060_zeek_rdp-to-ssl_s1.pcap")),
        ("from the middle", middle),
        ("one side", one_sided),
        ("reordered", file("C059_zeek_rdp-proprietary-encryption_s1.pcap")),
        ("segments joined by the receiver", file("B161_zeek_heartbleed-success_s0.pcap")),
        ("many connections, out of the order of time", written("views-many.pcap", &header, &many)),
    ]
}

#[test]
fn the_series_of_ten_foreign_captures_is_what_tshark_prints() {
    let Some(corpus) = shared("corpus/captures") else { return };
    for (kind, file) in foreign(&corpus) {
        let Some(theirs) = tsharks(&file) else { return };
        let ours = ours(&file);
        let differs = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
        assert_eq!(differs, None, "{kind}: packet, nanoseconds, seq, len; ours and tshark's");
        assert_eq!(ours.len(), theirs.len(), "{kind}");
        assert!(ours.len() >= 4, "{kind}: there was something to compare");
    }
}

/// What is compared of a segment of a lesson: its packet, sequence number and length, sent again, out of order.
type Marked = (u64, u32, u32, bool, bool);

/// The captures of lessons as one file for one run of tshark. Each has addresses of its own: the second byte is its number.
/// Gives for each packet of the file its capture and its number there.
fn joined(files: &[PathBuf], place: &Path) -> Vec<(usize, u64)> {
    let header = [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 0x0004_0000, 101];
    let mut bytes: Vec<u8> = header.into_iter().flat_map(u32::to_le_bytes).collect();
    let mut packets = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let mut reader = Reader::open(file).expect("a capture");
        while let Some(record) = reader.next_record() {
            let record = record.expect("a record");
            let mut packet = record.packet.expect("an IP packet").to_vec();
            let places = if packet[0] >> 4 == 4 { [13, 17] } else { [9, 25] };
            for at in places {
                packet[at] = number as u8;
            }
            // tshark takes a SYN at the time 0 for one that it has not seen.
            let at = record.at.as_nanos() + 1_000_000_000;
            let head =
                [(at / 1_000_000_000) as u32, (at % 1_000_000_000) as u32, packet.len() as u32, record.original_len];
            bytes.extend(head.into_iter().flat_map(u32::to_le_bytes));
            bytes.extend(packet);
            packets.push((number, record.number));
        }
    }
    fs::write(place, bytes).expect("written");
    packets
}

/// Segments by tshark, for each capture. `None` if it is not installed.
fn marked(file: &Path, packets: &[(usize, u64)], more: &[&str]) -> Option<BTreeMap<usize, Vec<Marked>>> {
    let fields = ["frame.number", "tcp.seq", "tcp.len", "tcp.analysis.retransmission", "tcp.analysis.out_of_order"];
    let mut arguments = vec!["-n", "-2", "-r", path(file), "-T", "fields"];
    arguments.extend(more);
    arguments.extend(fields.iter().flat_map(|field| ["-e", *field]));
    let mut found: BTreeMap<usize, Vec<Marked>> = BTreeMap::new();
    for line in printed("tshark", &arguments)?.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let number = |at: usize| fields[at].parse().expect("a number");
        let is = |at: usize| fields.get(at).is_some_and(|field| !field.is_empty());
        let (capture, packet) = packets[fields[0].parse::<usize>().expect("a frame") - 1];
        found.entry(capture).or_default().push((packet, number(1), number(2), is(3), is(4)));
    }
    Some(found)
}

const SEGMENTS: [&str; 2] = ["-Y", "tcp && !icmp && !icmpv6"];

#[test]
fn the_sequence_plot_of_every_lesson_has_the_segments_that_tshark_finds_and_is_its_golden_file() {
    let names: Vec<_> = lessons().collect();
    let files: Vec<_> = names.iter().map(|lesson| PathBuf::from(capture(lesson))).collect();
    let place = scratch("views-lessons.pcap");
    let packets = joined(&files, &place);
    let Some(mut theirs) = marked(&place, &packets, &SEGMENTS) else { return };
    // In this one, segments arrive with wrong checksums, which neither takes.
    let corrupt = names.iter().position(|name| *name == "corrupt").expect("the lesson");
    let own: Vec<_> = packets.iter().filter(|(capture, _)| *capture == corrupt).copied().collect();
    let sound = [
        "-o",
        "tcp.check_checksum:TRUE",
        "-o",
        "ip.check_checksum:TRUE",
        "-R",
        "!(tcp.checksum.status == 0) && !(ip.checksum.status == 0)",
    ];
    let Some(of_corrupt) = marked(&files[corrupt], &own, &[&sound[..], &SEGMENTS].concat()) else { return };
    theirs.extend(of_corrupt);
    for (number, (lesson, file)) in names.iter().zip(&files).enumerate() {
        let rows = series(file);
        // Where some are left out, tshark numbers the others anew.
        let unnumbered =
            |marked: Marked| if number == corrupt { (0, marked.1, marked.2, marked.3, marked.4) } else { marked };
        let ours: Vec<_> = rows
            .iter()
            .map(|row| -> Marked {
                let number = |at: usize| row[at].parse().expect("a number");
                let (again, order) = (row[10].contains("retransmission"), row[10].contains("out-of-order"));
                (row[5].parse().expect("a packet"), number(1), number(2), again, order)
            })
            .map(unnumbered)
            .collect();
        let theirs: Vec<_> = theirs.remove(&number).unwrap_or_default().into_iter().map(unnumbered).collect();
        let differs = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
        assert_eq!(differs, None, "{lesson}: packet, seq, len, sent again, out of order; ours and tshark's");
        assert_eq!(ours.len(), theirs.len(), "{lesson}");
        let svg = shown(&["show", path(file), "--plot", "sequence", "--svg", "-"]);
        golden(&format!("views/sequence/{lesson}.svg"), &svg);
    }
}

#[test]
fn each_kind_of_plot_of_a_run_is_its_golden_file() {
    for (kind, lesson) in [
        ("sequence", "sack"),
        ("window", "slow-start"),
        ("rtt", "bufferbloat"),
        ("throughput", "fairness"),
        ("queue", "bufferbloat"),
    ] {
        let svg = shown(&["run", lesson, "--plot", kind, "--svg", "-"]);
        golden(&format!("views/{kind}.svg"), &svg);
    }
    let again = || shown(&["run", "sack", "--plot", "sequence", "--svg", "-"]);
    assert_eq!(again(), again(), "the same bytes again");
}

#[test]
fn a_ladder_is_a_picture_of_what_the_terminal_shows() {
    golden("views/ladder.svg", &shown(&["show", &capture("lost-data"), "--svg", "-"]));
    let svg = shown(&["run", "lost-data", "--svg", "-"]);
    assert!(svg.contains(">RTO ") && svg.contains("<title id=\"title\">lost-data</title>"), "{svg}");
    let replayed = shown(&["replay", &capture("handshake"), "--svg", "-"]);
    assert!(replayed.contains("replay of handshake.pcapng") && replayed.contains("SYN|ACK"), "{replayed}");
}

#[test]
fn a_picture_of_a_run_and_its_capture_have_the_same_segments() {
    let (file, rows) = (scratch("views-run.pcapng"), scratch("views-run.csv"));
    let args = ["run", "fast-retransmit", "-w", path(&file), "--plot", "sequence", "--series", path(&rows)];
    let _ = fs::remove_file(&rows);
    let text = shown(&args);
    assert!(text.contains("fast-retransmit:") && !text.contains("│──"), "the story and no ladder: {text}");
    let run = fs::read_to_string(&rows).expect("rows");
    let of_client = |text: &str| -> Vec<String> {
        let rows = text.lines().skip(1).map(|row| row.split(',').collect::<Vec<_>>());
        let own = rows.filter(|row| row[4] == "0");
        own.map(|row| [row[1], row[2], row[6], row[9], row[11]].join(",")).collect()
    };
    let captured = shown(&["show", path(&file), "--plot", "sequence", "--series", "-"]);
    let captured = of_client(&captured);
    assert_eq!(of_client(&run), captured, "seq, len, flags, kind and loss of what the client sends");
    assert!(captured.iter().any(|row| row.contains("retransmission")), "{captured:?}");
}

#[test]
fn what_a_host_tells_is_plotted_and_what_nobody_tells_is_said_to_be_unknown() {
    let rows = shown(&["run", "slow-start", "--plot", "window", "--series", "-"]);
    let cwnd = |row: &str| row.split(',').nth(5).is_some_and(|cwnd| !cwnd.is_empty());
    assert!(rows.lines().skip(1).any(cwnd), "{rows}");
    let brief = shown(&["show", &capture("slow-start"), "--plot", "window", "--svg", "-"]);
    assert!(brief.contains("are not known: only captures of tcplab"), "{brief}");
    assert!(brief.contains("flight size (inferred)") && !brief.contains(">cwnd<"), "{brief}");
    let full = scratch("views-full.pcapng");
    shown(&["run", "slow-start", "-q", "--comments", "full", "--force", "-w", path(&full)]);
    let told = shown(&["show", path(&full), "--plot", "window", "--svg", "-"]);
    assert!(told.contains(">cwnd<") && told.contains("those that the hosts told"), "{told}");
}

#[test]
fn text_from_names_cannot_become_markup() {
    let file = scratch("<script>alert(1)<.pcapng");
    fs::copy(capture("handshake"), &file).expect("copied");
    for args in [&["--plot", "sequence"][..], &[]] {
        let svg = shown(&[&["show", path(&file), "--svg", "-"], args].concat());
        assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;alert(1)"), "{svg}");
    }
}

#[test]
fn pictures_destroy_no_file_and_go_to_one_place() {
    let (input, svg, csv, other) =
        (scratch("views-in.pcapng"), scratch("views.svg"), scratch("views.csv"), scratch("views.txt"));
    fs::copy(capture("handshake"), &input).expect("copied");
    fs::write(&other, "mine").expect("written");
    let _ = (fs::remove_file(&svg), fs::remove_file(&csv));
    let plot = ["show", path(&input), "--plot", "sequence"];
    let message = |more: &[&str]| refused(2, &[&plot, more].concat());
    assert!(message(&[]).contains("add --svg FILE for a picture, or --series FILE for the numbers"));
    assert!(message(&["--svg", path(&input)]).contains("this is the input file"));
    assert!(message(&["--series", path(&other)]).contains("the file exists and is not a file of numbers"));
    assert!(message(&["--svg", path(&other)]).contains("the file exists and is not an SVG picture; name another file"));
    assert!(message(&["--svg", "-", "--series", "-"]).contains("--series -: --svg writes there too"));
    assert!(message(&["--svg", "/nowhere/x.svg"]).contains("there is no directory /nowhere"));
    let queue = refused(2, &["show", path(&input), "--plot", "queue", "--svg", path(&svg)]);
    assert!(queue.contains("a capture does not tell the queues of links"), "{queue}");
    assert!(refused(2, &["show", path(&input), "--series", path(&csv)]).contains("--plot"));
    let both = refused(2, &["run", "handshake", "--plot", "sequence", "--svg", "-", "-w", "-"]);
    assert!(both.contains("--svg -: -w writes there too"), "{both}");
    assert_eq!(
        (fs::read_to_string(&other).expect("kept"), svg.exists(), csv.exists()),
        ("mine".to_owned(), false, false)
    );
    assert_eq!(fs::read(&input).expect("kept"), fs::read(capture("handshake")).expect("a capture"));
    // A picture of ours is overwritten.
    for _ in 0..2 {
        assert_eq!(shown(&[&plot[..], &["--svg", path(&svg), "--series", path(&csv)]].concat()), "");
    }
    assert!(fs::read_to_string(&svg).expect("a picture").starts_with("<svg") && csv.exists());
    let same = message(&["--svg", path(&svg), "--series", path(&svg)]);
    assert!(same.contains("--svg writes there too"), "{same}");
    let same = refused(2, &["run", "handshake", "--svg", path(&svg), "--force", "-w", path(&svg)]);
    assert!(same.contains("-w writes there too"), "{same}");
}

#[test]
fn every_capture_of_the_corpus_has_every_plot() {
    let Some(corpus) = shared("corpus/captures") else { return };
    let mut files: Vec<_> =
        fs::read_dir(corpus).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "pcap"));
    files.sort();
    // The longest and one of each tier: each has packets, so each has something to draw.
    for file in files.iter().step_by(11) {
        for kind in ["sequence", "window", "rtt", "throughput"] {
            let svg = shown(&["show", path(file), "--plot", kind, "--svg", "-"]);
            assert!(svg.ends_with("</svg>\n") && svg.len() < 300_000, "{kind} of {}", file.display());
            assert!(kind != "sequence" || svg.contains("<path"), "{}: {svg}", file.display());
        }
    }
}
