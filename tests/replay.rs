//! Every file of `captures/` packet by packet, and every capture of the shared corpus against a recorded table of
//! verdicts, one named test for each file.
//!
//! `tests/replay/verdicts.csv` has a line for each file of the corpus: what it comes to as the near side, as the client and
//! as the server. A verdict that is another one fails, also a better one: it must be recorded (`make bless`), and what
//! does not pass has its cause in docs/replay.md.

mod common;
#[path = "common/programs.rs"]
mod programs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};
use tcplab::app::{Listen, echo};
use tcplab::capture::Settings;
use tcplab::replay::{Mode, Replay, Report, Role, TestDir, Verdict};
use tcplab::sim::Sim;

const ROLES: [Role; 3] = [Role::Near, Role::Client, Role::Server];

fn main() -> ExitCode {
    let mut trials = own_captures();
    trials.push(Trial::test("the_recording_of_the_first_example", first_example));
    let verdicts = Arc::new(Mutex::new(BTreeMap::new()));
    let bless = std::env::var("TCPLAB_BLESS").is_ok_and(|value| value == "1");
    match programs::shared("corpus/captures") {
        Some(corpus) => trials.extend(of_corpus(&corpus, &verdicts, bless)),
        None => eprintln!("without the shared corpus: its captures are left out"),
    }
    if let Some(cases) = programs::shared("corpus/cases") {
        trials.extend(of_cases(&cases));
    }
    let mut arguments = Arguments::from_args();
    if bless {
        arguments.test_threads = Some(1);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let verdicts = verdicts.lock().expect("no test panicked with it");
    if bless && !verdicts.is_empty() && arguments.filter.is_none() {
        let lines: Vec<_> = verdicts.iter().map(|(file, verdicts)| format!("{file},{verdicts}\n")).collect();
        fs::write(table(), format!("file,near,client,server\n{}", lines.concat())).expect("the table can be written");
    }
    conclusion.exit_code()
}

/// A SYN|ACK with a cookie is not sent again, and a packet does not tell that it has one. So the host that plays the server
/// sends it again where the recording ends.
const NOT_STRICTLY: &str = "syn-flood.pcapng";

/// Strictly, with and without their recipes, but for [`NOT_STRICTLY`].
fn own_captures() -> Vec<Trial> {
    let own = |name: &'static str, adjust: fn(Replay) -> Replay| {
        let mode = |path: &Path| if path.ends_with(NOT_STRICTLY) { Mode::Semantic } else { Mode::Strict };
        let tests =
            TestDir::new("captures").at_least(0).each(move |path, replay| adjust(replay).mode(mode(path))).trials();
        tests.into_iter().map(move |test| test.with_kind(name))
    };
    own("recipe", |replay| replay).chain(own("packets", Replay::ignore_recipe)).collect()
}

fn table() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replay/verdicts.csv")
}

fn of_corpus(corpus: &Path, verdicts: &Arc<Mutex<BTreeMap<String, String>>>, bless: bool) -> Vec<Trial> {
    let recorded = fs::read_to_string(table()).unwrap_or_default();
    let recorded: BTreeMap<String, String> = recorded
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(','))
        .map(|(file, verdicts)| (file.to_owned(), verdicts.to_owned()))
        .collect();
    let entries = fs::read_dir(corpus).expect("the corpus can be read").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "pcap" || end == "pcapng")).collect();
    files.sort();
    let missing: Vec<_> =
        recorded.keys().filter(|name| !files.iter().any(|path| path.ends_with(name))).cloned().collect();
    let mut trials: Vec<_> = files
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (expected, verdicts) = (recorded.get(&name).cloned(), Arc::clone(verdicts));
            let test = name.clone();
            Trial::test(test, move || {
                let (got, told) = replay_thrice(&path)?;
                verdicts.lock().expect("no test panicked with it").insert(name.clone(), got.clone());
                match expected {
                    _ if bless => Ok(()),
                    Some(expected) if expected == got => Ok(()),
                    Some(expected) => {
                        Err(format!("recorded {expected}, got {got} (near, client, server)\n{told}").into())
                    }
                    None => Err(format!("no verdict is recorded; got {got}\n{told}").into()),
                }
            })
            .with_kind("corpus")
        })
        .collect();
    trials.push(Trial::test("every_recorded_file_is_in_the_corpus", move || {
        if missing.is_empty() { Ok(()) } else { Err(format!("recorded, but not there: {missing:?}").into()) }
    }));
    trials
}

/// A test for each row of `expected.csv` that is due: the near side passes where the table says so. As every side each
/// conversation comes to a verdict.
fn of_cases(cases: &Path) -> Vec<Trial> {
    let table = fs::read_to_string(cases.join("expected.csv")).expect("the table can be read");
    let rows = table.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    rows.filter(|row| row[6] == "first")
        .map(|row| {
            let path = cases.join(&row[0]);
            Trial::test(row[0].clone(), move || {
                let streams: usize = row[1].parse()?;
                for role in ROLES {
                    let report = Replay::open(&path)?.role(role).mode(Mode::Semantic).run()?;
                    check_bounds(&report)?;
                    let told: Vec<_> = report.outcomes.iter().map(ToString::to_string).collect();
                    let told = told.join("\n");
                    if report.outcomes.len() != streams {
                        return Err(format!("{streams} streams were expected:\n{told}").into());
                    }
                    let stalled = report.count(Verdict::Stalled) + report.count(Verdict::Error);
                    let passed = report.count(Verdict::Pass) == streams;
                    if stalled > 0 || (role == Role::Near && row[5] == "pass" && !passed) {
                        return Err(told.into());
                    }
                }
                Ok(())
            })
            .with_kind("case")
        })
        .collect()
}

/// No packet is fed twice, and the steps are bounded by the length of the recording.
fn check_bounds(report: &Report) -> Result<(), Failed> {
    for outcome in &report.outcomes {
        let once: BTreeSet<_> = outcome.fed.iter().collect();
        if once.len() != outcome.fed.len() {
            return Err(format!("{outcome}: a packet was fed twice: {:?}", outcome.fed).into());
        }
        let most = 200 + 20 * outcome.packets + outcome.recorded.len() / 100;
        if outcome.fed.len() > outcome.packets || outcome.steps > most {
            return Err(format!("{outcome}: {} steps for {} packets", outcome.steps, outcome.packets).into());
        }
    }
    Ok(())
}

/// The verdicts with commas between, and what was said.
fn replay_thrice(path: &Path) -> Result<(String, String), Failed> {
    let (mut verdicts, mut told) = (Vec::new(), String::new());
    for role in ROLES {
        let begun = Instant::now();
        let report = Replay::open(path)?.role(role).mode(Mode::Semantic).run()?;
        // Not a measurement: a hang.
        if begun.elapsed().as_secs() > 60 {
            return Err(format!("as {role} it took {:?}", begun.elapsed()).into());
        }
        check_bounds(&report)?;
        let all: Vec<_> = report.outcomes.iter().map(|outcome| outcome.verdict.to_string()).collect();
        verdicts.push(all.join("+"));
        for outcome in report.outcomes {
            told.push_str(&outcome.to_string());
            told.push('\n');
        }
    }
    Ok((verdicts.join(","), told))
}

/// `tests/replay/echo-client.pcapng`, which the documentation replays, is what the simulator gives.
fn first_example() -> Result<(), Failed> {
    let sim = Sim::seeded(11);
    let (client, server) = (sim.host("client", "192.0.2.2/24"), sim.host("server", "192.0.2.1/24"));
    sim.link(&client, &server, "rate=10Mbit,delay=10ms");
    let made = programs::scratch("echo-client.pcapng");
    let capture = sim.observe(Settings::default().at(client.id()).interface("client").create(&made)?);
    let addr = SocketAddr::new(server.address(), 7);
    server.spawn_daemon(async move |net| echo::server(net, Listen::new(addr)).await);
    client.spawn(async move |net| echo::client(net, addr, b"Do you hear me?".to_vec()).await);
    sim.run_until_idle();
    capture.borrow_mut().close()?;
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replay/echo-client.pcapng");
    let bytes = fs::read(made)?;
    if std::env::var("TCPLAB_BLESS").is_ok_and(|value| value == "1") {
        fs::write(&kept, &bytes)?;
    }
    if fs::read(&kept)? == bytes { Ok(()) } else { Err("echo-client.pcapng: the run gives other bytes".into()) }
}
