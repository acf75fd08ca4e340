//! 100,000 packets: the file is at most 30 MB, and at most 3,000 nodes are in the document wherever one looks. The times of
//! loading and scrolling are printed (`--nocapture`) and not asserted; docs/performance.md has them.

use std::fs;
use std::net::SocketAddr;

use tcplab::segment::{Flags, SegmentTemplate, Seq};

use crate::browser::Browser;
use crate::driver::Lent;
use crate::pages::{page, place};

const PACKETS: u32 = 100_000;
const CONNECTIONS: u32 = 20;
/// Bytes of a file, and nodes of a document (issue 12, point 3).
const MOST_BYTES: u64 = 30_000_000;
const MOST_NODES: u64 = 3_000;
const MSS: u32 = 1000;

/// A classic pcap file: each connection sends two segments for each ACK. Every 50th segment is sent again.
fn capture_of_many() -> Vec<u8> {
    let mut file = Vec::new();
    // Version 2.4, whole packets, raw IP.
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    // Bytes that do not compress.
    let mut payload = [0; MSS as usize];
    let mut noise = 1_u64;
    let mut sent = [0_u32; CONNECTIONS as usize];
    for number in 0..PACKETS {
        let connection = number / 3 % CONNECTIONS;
        let [left, right]: [SocketAddr; 2] =
            [(1, 33_000 + connection), (2, 80)].map(|(host, port)| SocketAddr::from(([192, 0, 2, host], port as u16)));
        let next = &mut sent[connection as usize];
        let mut packet = if number % 3 == 2 {
            let ack = SegmentTemplate {
                flags: Flags::ACK,
                seq: Seq(1),
                ack: Seq(1 + *next),
                window: 60_000,
                ..SegmentTemplate::new(right, left)
            };
            ack.to_bytes()
        } else {
            let seq = if number % 50 == 49 { next.saturating_sub(MSS) } else { *next };
            *next = seq + MSS;
            payload[..128].fill_with(|| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (noise >> 56) as u8
            });
            let data = SegmentTemplate {
                flags: Flags::ACK,
                seq: Seq(1 + seq),
                ack: Seq(1),
                window: 60_000,
                payload: &payload,
                ..SegmentTemplate::new(left, right)
            };
            data.to_bytes()
        };
        let whole = packet.len() as u32;
        // Headers and a little data, as with `tcpdump -s 128`.
        packet.truncate(128);
        for word in [number / 1000, number % 1000 * 1000, packet.len() as u32, whole] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

/// The nodes of the document: elements, texts, comments.
const NODES: &str = "(() => {
    const walker = document.createTreeWalker(document, NodeFilter.SHOW_ALL);
    let count = 1;
    while (walker.nextNode()) count += 1;
    return count;
})()";

#[track_caller]
fn assert_few_nodes(browser: &Browser, at: &str) -> u64 {
    let nodes = browser.eval(NODES).as_u64().expect("a number");
    assert!(nodes <= MOST_NODES, "{nodes} nodes {at}");
    nodes
}

#[test]
fn a_hundred_thousand_packets_make_a_small_document() {
    let Some(browser) = Lent::new() else { return };
    let place = place("large");
    let capture = place.join("large.pcap");
    fs::write(&capture, capture_of_many()).expect("the capture");
    let file = page(&capture, &place);
    let bytes = fs::metadata(&file).expect("the page").len();
    assert!(bytes <= MOST_BYTES, "{bytes} bytes");

    browser.resize(1600, 1000);
    browser.open_page(&file, "");
    // Since the browser began to read the file, until a row was chosen.
    let loaded = browser.eval("Math.round(performance.now())");
    let mut most = assert_few_nodes(&browser, "at the start");
    let height = browser.eval("document.querySelector('#ladder').scrollHeight").as_f64().expect("a number");
    let mut slowest = 0_f64;
    let mut total = 0_f64;
    let steps = 20;
    for step in 0..=steps {
        let share = f64::from(step) / f64::from(steps);
        // One frame draws what the scrolling has changed.
        let frame = browser.run_async(&format!(
            "const list = document.querySelector('#ladder');
             const start = performance.now();
             list.scrollTop = {share} * (list.scrollHeight - list.clientHeight);
             await new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));
             return performance.now() - start;"
        ));
        let frame = frame.as_f64().expect("milliseconds");
        (slowest, total) = (slowest.max(frame), total + frame);
        let rows = browser.run(
            "const list = document.querySelector('#ladder').getBoundingClientRect();
             return [...document.querySelectorAll('#ladder [data-packet]')].filter((row) => {
                 const box = row.getBoundingClientRect();
                 return box.bottom > list.top && box.top < list.bottom;
             }).length;",
        );
        assert!(rows.as_u64() > Some(3), "rows are seen at {share} of the ladder");
        most = most.max(assert_few_nodes(&browser, &format!("at {share} of the ladder")));
    }
    let jump = browser.run_async(
        "const start = performance.now();
         document.querySelector('#last').click();
         await new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));
         return performance.now() - start;",
    );
    browser.until(&format!(r##"location.hash === "#p={PACKETS}""##));
    most = most.max(assert_few_nodes(&browser, "at the end"));
    browser.press("\u{e011}");
    browser.press("r");
    browser.until(r"/^#p=\d{2,}$/.test(location.hash)");
    browser.choose("#filter", "7");
    for kind in ["sequence", "window", "rtt", "throughput"] {
        browser.choose("#plot-kind", kind);
        most = most.max(assert_few_nodes(&browser, kind));
    }
    println!(
        "{PACKETS} packets: {bytes} bytes, loaded in {loaded} ms, {height} pixels high; a scroll {:.1} ms, the slowest \
         {slowest:.1} ms; to the last packet {:.1} ms; at most {most} nodes",
        total / f64::from(steps + 1),
        jump.as_f64().expect("milliseconds")
    );
    assert_eq!(browser.log(), Vec::<String>::new());
}
