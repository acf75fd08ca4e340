//! Each lesson is run, captured, and held against what it says: what tshark has to find in the capture and nothing else,
//! what the programs wrote and read against the streams in the capture, and the capture itself against the one that is
//! kept in `captures`. One test for each lesson, by its name.

mod common;
#[path = "common/programs.rs"]
mod programs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use libtest_mimic::{Arguments, Failed, Trial};
use programs::{printed, scratch};
use tcplab::capture::Reader;
use tcplab::scenario::{Frames, Recipe, RunOutcome, Scenario, lessons};
use tcplab::segment::{IpView, Segment};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials: Vec<_> = lessons().map(|name| Trial::test(name, move || lesson(name))).collect();
    trials.push(Trial::test("every_capture_belongs_to_a_lesson", every_capture_belongs_to_a_lesson));
    libtest_mimic::run(&arguments, trials).exit();
}

fn lesson(name: &str) -> Result<(), Failed> {
    let scenario = Scenario::lesson(name).ok_or("it is on the list")?;
    for (what, text) in [("topic", scenario.topic()), ("summary", scenario.summary()), ("story", scenario.story())] {
        check(!text.is_empty(), || format!("the lesson has no {what}"))?;
    }
    check(!scenario.look().is_empty(), || "the lesson does not say what to look at".to_owned())?;
    check(scenario.story().lines().all(|line| line.chars().count() <= 120), || {
        "a line of the story is long".to_owned()
    })?;

    let recipe = Recipe::new(&scenario, scenario.seed());
    let world = scenario.build(scenario.seed())?;
    world.keep_transcripts();
    let path = scratch(&format!("{name}.pcapng"));
    let capture = world.observe(recipe.settings(&world)?.create(&path)?);
    let outcome = world.run();
    capture.borrow_mut().close()?;
    check(outcome.failures.is_empty(), || outcome.failures.join("\n"))?;

    let bytes = fs::read(&path)?;
    // A comment in the file is a recipe for the file.
    check(Recipe::parse(&recipe.to_json())? == recipe, || "the recipe is not read back".to_owned())?;
    check(recipe.rerun_to_bytes()? == bytes, || "the same recipe gives another capture".to_owned())?;
    streams(&scenario, &outcome, &path)?;
    expert_items(&scenario, &path)?;
    kept(name, &bytes)
}

fn check(holds: bool, why: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(why().into()) }
}

/// Compares a capture with the one that is kept; `TCPLAB_BLESS=1` keeps this one.
fn kept(name: &str, bytes: &[u8]) -> Result<(), Failed> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(format!("{name}.pcapng"));
    if std::env::var("TCPLAB_BLESS").is_ok_and(|value| value == "1") {
        return Ok(fs::write(path, bytes)?);
    }
    let kept = fs::read(&path).map_err(|error| format!("{}: {error}; `make captures` writes it", path.display()))?;
    let first = kept.iter().zip(bytes).position(|(kept, made)| kept != made).unwrap_or(kept.len().min(bytes.len()));
    check(kept == bytes, || {
        format!("captures/{name}.pcapng differs from byte {first} on; `make captures` writes it, then see what changed")
    })
}

fn every_capture_belongs_to_a_lesson() -> Result<(), Failed> {
    let known: Vec<_> = lessons().map(|name| format!("{name}.pcapng")).chain(["README.md".to_owned()]).collect();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("captures"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        check(known.contains(&name), || format!("captures/{name} belongs to no lesson"))?;
    }
    Ok(())
}

/// Runs tshark as nobody's settings have it, with every checksum verified.
fn tshark(path: &Path, arguments: &[&str]) -> Option<String> {
    let file = path.to_str().expect("a plain path");
    let sums = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"];
    printed("tshark", &[&["-n", "-2"], &sums[..], &["-r", file], arguments].concat())
}

/// Every expert item but comments, by name, with the packets that show it, against the list of the lesson.
fn expert_items(scenario: &Scenario, path: &Path) -> Result<(), Failed> {
    let shown = ["-Y", "_ws.expert.severity >= 2097152 || tcp.analysis.flags || _ws.malformed", "-T", "pdml"];
    let Some(pdml) = tshark(path, &shown) else { return Ok(()) };
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let (mut frame, mut is_expert) = (0, false);
    for line in pdml.lines() {
        let attribute = |name: &str| Some(line.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0);
        if attribute("name") == Some("num") {
            frame = attribute("show").ok_or("a number")?.parse()?;
        } else if is_expert {
            found.entry(attribute("name").ok_or("a name")?.to_owned()).or_default().push(frame);
        } else if line.contains("<proto name=\"_ws.malformed\"") {
            found.entry("_ws.malformed".to_owned()).or_default().push(frame);
        }
        is_expert = line.contains("name=\"_ws.expert\"") && !line.contains("(Comment/Comment)");
    }
    let expected = scenario.tshark();
    let same = expected.len() == found.len()
        && found.iter().all(|(name, frames)| expected.get(name).is_some_and(|expected| expected.is(frames)));
    check(same, || {
        let mut text = "what tshark finds is not what the lesson lists.\n\nthe lesson lists\n".to_owned();
        for (name, frames) in expected {
            let _ = writeln!(text, "\"{name}\" = {frames}");
        }
        text += "\ntshark finds\n";
        for (name, frames) in found {
            let count = frames.len() as u64;
            let frames = if frames.len() <= 12 { Frames::Numbers(frames) } else { Frames::Count(count) };
            let _ = writeln!(text, "\"{name}\" = {frames}");
        }
        text
    })
}

/// A direction of a connection.
type Direction = (SocketAddr, SocketAddr);

/// What programs wrote at one end is what programs read at the other, or the beginning of it where the connection was
/// cut; and what tshark puts together from the capture is between the two.
fn streams(scenario: &Scenario, outcome: &RunOutcome, path: &Path) -> Result<(), Failed> {
    let mut written: BTreeMap<Direction, Vec<Vec<u8>>> = BTreeMap::new();
    let mut read: BTreeMap<Direction, Vec<Vec<u8>>> = BTreeMap::new();
    for (_, transcripts) in &outcome.transcripts {
        for one in transcripts {
            written.entry((one.local, one.remote)).or_default().push(one.written.clone());
            read.entry((one.remote, one.local)).or_default().push(one.read.clone());
        }
    }
    let cut = ["abort", "ECONNRESET", "EPIPE", "ETIMEDOUT"].iter().any(|word| scenario.text().contains(word));
    for (direction, all) in &read {
        for (at, got) in all.iter().enumerate() {
            let sent = written.get(direction).and_then(|all| all.get(at)).map_or(&[][..], Vec::as_slice);
            check(sent.starts_with(got), || format!("{direction:?}: what was read was never written"))?;
            check(cut || sent.len() == got.len(), || {
                format!("{direction:?}: {} bytes written, {} read", sent.len(), got.len())
            })?;
        }
    }
    let at_vantage = |direction: &Direction| {
        outcome.transcripts.iter().any(|(host, all)| {
            host == scenario.at()
                && all.iter().any(|one| [(one.local, one.remote), (one.remote, one.local)].contains(direction))
        })
    };
    let here: Vec<_> = written.keys().filter(|direction| at_vantage(direction)).collect();
    if here.is_empty() {
        return Ok(());
    }
    let count = outcome.transcripts.iter().map(|(_, all)| all.len()).sum::<usize>().max(pairs(path)?);
    let follow: Vec<_> = (0..count).map(|stream| format!("follow,tcp,raw,{stream}")).collect();
    // What a link has damaged, the receiver's TCP never sees; nor does tshark's here.
    let sound = "!(tcp.checksum.status == \"Bad\") && !(ip.checksum.status == \"Bad\")";
    let arguments: Vec<_> =
        ["-q", "-R", sound].into_iter().chain(follow.iter().flat_map(|follow| ["-z", follow])).collect();
    let Some(text) = tshark(path, &arguments) else { return Ok(()) };
    let mut seen = followed(&text)?;
    for direction in here {
        let reads = read.get(direction).cloned().unwrap_or_default();
        for (at, sent) in written[direction].iter().enumerate() {
            let got = reads.get(at).map_or(&[][..], Vec::as_slice);
            let shown = seen.get_mut(direction).filter(|all| !all.is_empty()).map(|all| all.remove(0));
            let shown = shown.unwrap_or_default();
            check(sent.starts_with(&shown) && shown.starts_with(got), || {
                format!(
                    "{direction:?}: {} bytes written, {} read, but tshark puts together {}",
                    sent.len(),
                    got.len(),
                    shown.len()
                )
            })?;
        }
    }
    Ok(())
}

/// How many pairs of ends have a segment in the capture. A connection that was never established has no transcript.
fn pairs(path: &Path) -> Result<usize, Failed> {
    let mut reader = Reader::open(path)?;
    let mut pairs = BTreeSet::new();
    while let Some(record) = reader.next_record() {
        let Some(packet) = record?.packet else { continue };
        if let Ok(segment) = IpView::parse(packet).and_then(|ip| Segment::parse(&ip)) {
            pairs.insert((segment.src.min(segment.dst), segment.src.max(segment.dst)));
        }
    }
    Ok(pairs.len())
}

/// The streams that `-z follow,tcp,raw` prints.
fn followed(text: &str) -> Result<BTreeMap<Direction, Vec<Vec<u8>>>, Failed> {
    // In the order of their numbers, which is not that in which they are printed.
    let mut streams: BTreeMap<u32, [(Direction, Vec<u8>); 2]> = BTreeMap::new();
    let mut number = 0;
    let mut nodes: [Option<SocketAddr>; 2] = [None, None];
    let mut octets = [Vec::new(), Vec::new()];
    for line in text.lines() {
        if let Some(stream) = line.strip_prefix("Filter: tcp.stream eq ") {
            number = stream.parse()?;
        } else if let Some(node) = line.strip_prefix("Node 0: ") {
            nodes[0] = node.parse().ok();
        } else if let Some(node) = line.strip_prefix("Node 1: ") {
            nodes[1] = node.parse().ok();
        } else if line.starts_with("=====") {
            if let [Some(a), Some(b)] = nodes {
                let [from_a, from_b] = core::mem::take(&mut octets);
                streams.insert(number, [((a, b), from_a), ((b, a), from_b)]);
            }
            nodes = [None, None];
        } else if nodes[1].is_some() {
            let side = usize::from(line.starts_with('\t'));
            let hex = line.trim();
            check(hex.bytes().all(|digit| digit.is_ascii_hexdigit()), || format!("tshark has a hole: {hex}"))?;
            for pair in hex.as_bytes().chunks(2) {
                octets[side].push(u8::from_str_radix(core::str::from_utf8(pair)?, 16)?);
            }
        }
    }
    let mut by_direction: BTreeMap<Direction, Vec<Vec<u8>>> = BTreeMap::new();
    for (direction, octets) in streams.into_values().flatten() {
        by_direction.entry(direction).or_default().push(octets);
    }
    Ok(by_direction)
}
