//! `tcplab drill`: runs packetdrill scripts. It prints one line for each script, the reason and the ladder of one that does
//! not pass, and a table by directory. The verdicts come from `crate::drill`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use clap::{Args as ClapArgs, ValueEnum};
use serde_json::json;

use super::args::View;
use super::kind::{self, Kind};
use super::output::{Output, json_line};
use super::output_file::Destination;
use super::{CliError, values};
use crate::capture::{Reader, Settings};
use crate::drill::{Drill, FromError, FromRole, Outcome, Relax, SCRIPTS, System, Verdict, from_reader};
use crate::escape::{self, Name};
use crate::event::{HostId, Observer};
use crate::view::{Ladder, Style, printable};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Scripts, or directories whose files `*.pkt` are run in the order of their paths
    #[arg(required_unless_present = "from", value_name = "FILE|DIR")]
    scripts: Vec<PathBuf>,
    /// What comparisons leave out; a pass names what it needed [default: nothing]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    relax: Vec<RelaxName>,
    /// Set a field of the host, such as `window_scale=8`; docs/scenarios.md lists the keys. It wins over the script
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Whose defaults the host has [default: freebsd or linux by the sysctls of the script, else rfc]
    #[arg(long = "as", value_name = "SYSTEM")]
    system: Option<SystemName>,
    /// IP version, instead of that of the script [default: as the script has it, else ipv4]
    #[arg(long, alias = "ip_version", value_name = "V")]
    ip_version: Option<VersionName>,
    /// Fail if packets are left that the script does not mention [default: they are ignored]
    #[arg(long, alias = "no_extra")]
    no_extra: bool,
    /// Compare segment by segment [default: segments are joined until they are as long as in the script]
    #[arg(long, alias = "strict_segments")]
    strict_segments: bool,
    /// Tolerance of times in microseconds, instead of that of the script [default: 4000]
    #[arg(long, alias = "tolerance_usecs", value_name = "N", value_parser = values::microseconds)]
    tolerance_usecs: Option<u64>,
    /// Define a name for `#ifdef`, or replace a word
    #[arg(short = 'D', long = "define", value_name = "NAME[=VALUE]")]
    define: Vec<String>,
    /// Verdicts that are expected: the output of an earlier run with --json. Scripts are found by their paths; one that is
    /// not in it must pass
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// Number of scripts that run at once [default: one for each core]
    #[arg(short, long, value_name = "N", value_parser = values::jobs)]
    jobs: Option<u16>,
    /// Write a capture of each script into this directory: of a/b.pkt it is a-b.pcapng [default: no capture]
    #[arg(short, long = "write", value_name = "DIR")]
    write: Option<PathBuf>,
    /// Overwrite existing files that are no captures [default: such a file is kept, exit code 2]
    #[arg(long, requires = "write")]
    force: bool,
    /// Write a script from a recorded conversation to standard output, instead of running scripts
    #[arg(long, value_name = "CAPTURE", conflicts_with_all = [
        "scripts", "relax", "set", "system", "ip_version", "no_extra", "strict_segments", "tolerance_usecs", "define",
        "expect", "jobs", "write",
    ])]
    from: Option<PathBuf>,
    /// Conversation of --from, from 0 [default: the first]
    #[arg(long, value_name = "N", value_parser = values::stream)]
    stream: Option<usize>,
    /// Side of --from that is the host under test [default: the one on which the capture was taken]
    #[arg(long, value_name = "ROLE")]
    role: Option<RoleName>,
    #[command(flatten)]
    view: View,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RoleName {
    /// The side that opened the connection
    Client,
    /// The side that accepted it
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RelaxName {
    /// The window, unless one of both is zero
    Window,
    /// Order and padding of options; the values of MSS, window scale and timestamps
    Options,
    /// The PSH bit
    Push,
    /// Times
    Timing,
    /// SACK blocks behind the first one
    Sack,
}

impl From<RelaxName> for Relax {
    fn from(name: RelaxName) -> Self {
        match name {
            RelaxName::Window => Self::Window,
            RelaxName::Options => Self::Options,
            RelaxName::Push => Self::Push,
            RelaxName::Timing => Self::Timing,
            RelaxName::Sack => Self::Sack,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SystemName {
    /// FreeBSD
    Freebsd,
    /// Linux
    Linux,
    /// What the RFCs have
    Rfc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum VersionName {
    /// IPv4
    Ipv4,
    /// IPv6
    Ipv6,
    /// IPv6 sockets, IPv4 packets
    #[value(name = "ipv4-mapped-ipv6")]
    Mapped,
}

/// One script that is to be run.
struct Job {
    path: PathBuf,
    /// The directory that the table counts it under.
    group: String,
}

/// Gives the exit code: 2 if a script cannot be read or makes no sense, 1 if one does not come out as expected, else 0.
pub(super) fn run(args: &Args, output: Output) -> Result<u8, CliError> {
    if args.from.is_none() && (args.stream.is_some() || args.role.is_some()) {
        return Err(CliError::Usage("--stream and --role choose a conversation of --from CAPTURE".to_owned()));
    }
    if let Some(capture) = &args.from {
        let role = args.role.map(|role| match role {
            RoleName::Client => FromRole::Client,
            RoleName::Server => FromRole::Server,
        });
        output.refuse_json("drill --from", "it prints a script")?;
        kind::refuse_stdin("drill --from", capture)?;
        let name = capture.display().to_string();
        let read = Reader::open(capture).map_err(FromError::from);
        let script = read.and_then(|mut reader| from_reader(&mut reader, &name, args.stream, role));
        let (script, warnings) =
            script.map_err(|error| CliError::Usage(format!("{error}{}", Kind::Capture.hint(capture))))?;
        output.warnings(&warnings);
        output.result(script)?;
        return Ok(0);
    }
    super::scenario::once(args.set.iter().map(|setting| setting.split_once('=').map_or("", |(key, _)| key)))?;
    let drill = drill(args)?;
    let expected = args.expect.as_deref().map(read_expected).transpose()?;
    let mut code = 0;
    let mut jobs = Vec::new();
    for path in &args.scripts {
        kind::refuse_stdin("drill", path)?;
        let before = jobs.len();
        if let Err(error) = gather(path, &mut jobs) {
            code = 2;
            output.error(&format!("drill: read {}: {error}; check the name", escape::path(path)));
        } else if jobs.len() == before && args.scripts.len() > 1 {
            output.warnings(&[format!("{}: there is no file *.pkt below this directory", path.display())]);
        }
    }
    if let Some(dir) = &args.write {
        check_captures(dir, &jobs)?;
        let shown = escape::path(dir);
        let wrong =
            |error| CliError::Usage(format!("-w {shown}: make the directory: {error}; name another one: -w DIR"));
        std::fs::create_dir_all(dir).map_err(wrong)?;
    }
    let threads = args.jobs.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let mut table: BTreeMap<String, [usize; 5]> = BTreeMap::new();
    let mut failure = None;
    let (mut run_of_expected, mut unexpected) = (0, 0);
    in_order(
        &jobs,
        threads,
        |job| one(args, &drill, job),
        |job, ((outcome, wall), written)| {
            let row = table.entry(job.group.clone()).or_default();
            let at = Verdict::ALL.iter().position(|verdict| *verdict == outcome.verdict).unwrap_or(0);
            row[if outcome.verdict == Verdict::Pass && !outcome.is_whole_pass() { 4 } else { at }] += 1;
            let named = expected.as_ref().and_then(|expected| expected.get(&outcome.script).copied());
            let wanted = named.unwrap_or(Verdict::Pass);
            let as_expected = wanted == outcome.verdict;
            run_of_expected += usize::from(named.is_some());
            unexpected += usize::from(!as_expected);
            let bad = match outcome.verdict {
                Verdict::Error => 2,
                _ => 1,
            };
            code = code.max(if as_expected { 0 } else { bad });
            if let Err(error) = written {
                code = code.max(2);
                output.error(&format!("tcplab drill: {error}"));
            }
            let expectation = expected.as_ref().map(|_| Expectation { verdict: wanted, named: named.is_some() });
            if let Err(error) = report(args, &drill, job, (&outcome, wall), expectation, output) {
                failure.get_or_insert(error);
            }
        },
    );
    if let Some(error) = failure {
        return Err(error.into());
    }
    if jobs.is_empty() && code == 0 {
        let paths: Vec<_> = args.scripts.iter().map(|path| path.display().to_string()).collect();
        return Err(CliError::Usage(format!(
            "run the scripts of {}: there is none; a script is a file, or a file *.pkt below a directory, such as \
             {}/accept.pkt",
            paths.join(", "),
            paths.first().map_or(".", String::as_str)
        )));
    }
    summary(&table, output);
    if let (Some(expected), Some(file)) = (&expected, &args.expect) {
        let (file, left) = (escape::path(file), expected.len().saturating_sub(run_of_expected));
        output.note(format_args!("{unexpected} of {} verdicts are not those of {file}", jobs.len()));
        if left > 0 {
            output.note(format_args!("{left} scripts of {file} were not run; scripts are compared by their paths"));
        }
    }
    Ok(code)
}

fn drill(args: &Args) -> Result<Drill, CliError> {
    let mut drill = Drill::new().relax(args.relax.iter().map(|relax| (*relax).into()));
    if let Some(system) = args.system {
        drill = drill.system(match system {
            SystemName::Freebsd => System::FreeBsd,
            SystemName::Linux => System::Linux,
            SystemName::Rfc => System::Rfc,
        });
    }
    for setting in &args.set {
        let Some((key, value)) = setting.split_once('=') else {
            return Err(CliError::Usage(format!(
                "--set {setting}: expected KEY=VALUE, such as cc=reno or rcv_buf=64KiB"
            )));
        };
        drill = drill
            .set(key, value)
            .map_err(|what| CliError::Usage(format!("--set {}: expected {what}", Name(setting))))?;
    }
    for definition in &args.define {
        let wrong = |error| CliError::Usage(format!("-D {definition}: {error}; example: -D NAME=VALUE"));
        drill = drill.define(definition).map_err(wrong)?;
    }
    if let Some(version) = args.ip_version {
        let name = match version {
            VersionName::Ipv4 => "ipv4",
            VersionName::Ipv6 => "ipv6",
            VersionName::Mapped => "ipv4-mapped-ipv6",
        };
        drill = drill.option("ip_version", Some(name));
    }
    if args.no_extra {
        drill = drill.option("no_extra", None);
    }
    if args.strict_segments {
        drill = drill.option("strict_segments", None);
    }
    if let Some(tolerance) = args.tolerance_usecs {
        drill = drill.option("tolerance_usecs", Some(&tolerance.to_string()));
    }
    Ok(drill)
}

/// Adds the scripts of a path.
fn gather(path: &Path, jobs: &mut Vec<Job>) -> io::Result<()> {
    if !path.is_dir() {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let group = parent.unwrap_or(Path::new(".")).display().to_string();
        jobs.push(Job { path: path.to_owned(), group });
        return Ok(());
    }
    let root = path;
    let (files, found) = SCRIPTS.below(root);
    found?;
    jobs.extend(files.into_iter().map(|path| {
        let parent = path.parent().unwrap_or(root);
        let inner = parent.strip_prefix(root).unwrap_or(parent);
        let group = if inner.as_os_str().is_empty() { root } else { inner };
        Job { group: group.display().to_string(), path }
    }));
    Ok(())
}

/// Runs jobs on threads and takes their results in the order of the jobs.
fn in_order<T: Send>(jobs: &[Job], threads: usize, work: impl Fn(&Job) -> T + Sync, mut take: impl FnMut(&Job, T)) {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::sync_channel(1_024);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(at) else { break };
                    if sender.send((at, work(job))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut due = 0;
        for (at, result) in receiver {
            early.insert(at, result);
            while let Some(result) = early.remove(&due) {
                take(&jobs[due], result);
                due += 1;
            }
        }
    });
}

/// Runs a script, and writes its capture. The second value says whether that could be written.
fn one(args: &Args, drill: &Drill, job: &Job) -> ((Outcome, std::time::Duration), Result<(), String>) {
    let began = std::time::Instant::now();
    let Some(dir) = &args.write else {
        return ((drill.run_file(&job.path), began.elapsed()), Ok(()));
    };
    let file = dir.join(capture_name(&job.path));
    let opened = Destination::check(&file, &[&job.path], args.force)
        .and_then(|destination| destination.capture(Settings::default()));
    match opened {
        Ok(capture) => {
            let capture = Rc::new(RefCell::new(capture));
            let outcome = drill.run_file_observed(&job.path, &[Rc::clone(&capture) as Rc<RefCell<dyn Observer>>]);
            let closed = capture.borrow_mut().close().map(|_| ()).map_err(|error| error.to_string());
            ((outcome, began.elapsed()), closed)
        }
        Err(error) => ((drill.run_file(&job.path), began.elapsed()), Err(error.to_string())),
    }
}

/// The name of the capture of a script: of a/b.pkt it is a-b.pcapng.
fn capture_name(script: &Path) -> String {
    let name = script.with_extension("pcapng");
    let parts = name.components().filter_map(|part| match part {
        std::path::Component::Normal(part) => Some(part.to_string_lossy()),
        _ => None,
    });
    parts.collect::<Vec<_>>().join("-")
}

/// Refuses two scripts whose captures would be one file.
fn check_captures(dir: &Path, jobs: &[Job]) -> Result<(), CliError> {
    let mut scripts: BTreeMap<String, &Path> = BTreeMap::new();
    for job in jobs {
        let name = capture_name(&job.path);
        let file = dir.join(&name);
        if let Some(other) = scripts.insert(name, &job.path) {
            let [one, other, file] = [&job.path, other, &file].map(escape::path);
            return Err(CliError::Usage(format!(
                "-w {}: {other} and {one} would both be captured in {file}; run them one after the other, each with a \
                 directory of its own",
                escape::path(dir)
            )));
        }
    }
    Ok(())
}

/// What `--expect` has for a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Expectation {
    verdict: Verdict,
    /// The script is in the file. Else it must pass.
    named: bool,
}

/// Prints the verdict as one line, and the ladder and the reason of a script that does not pass. Of a verdict that is
/// expected only the line is printed, unless `-v` is given.
fn report(
    args: &Args,
    drill: &Drill,
    job: &Job,
    (outcome, wall): (&Outcome, std::time::Duration),
    expectation: Option<Expectation>,
    output: Output,
) -> io::Result<()> {
    let Outcome { script, verdict, system, relaxed, skipped_asserts, line, reason, notes, virtual_time, .. } = outcome;
    let relaxed: Vec<_> = relaxed.iter().map(|relax| relax.name()).collect();
    if output.json {
        if *verdict == Verdict::Error {
            output.error(&error_of(job, outcome));
        }
        let object = json!({
            "script": script,
            "verdict": verdict.to_string(),
            "as": system.name(),
            "relaxed": relaxed,
            "skipped_asserts": skipped_asserts,
            "line": line,
            "reason": reason,
            "notes": notes,
            "virtual_s": virtual_time.as_secs_f64(),
            "wall_ms": wall.as_secs_f64() * 1_000.0,
        });
        return output.result(json_line(&object));
    }
    let needed = if relaxed.is_empty() { String::new() } else { format!(" (relaxed: {})", relaxed.join(", ")) };
    let skipped = match skipped_asserts {
        0 => String::new(),
        1 => " (1 assertion skipped)".to_owned(),
        count => format!(" ({count} assertions skipped)"),
    };
    let as_expected = expectation.is_some_and(|expectation| expectation.verdict == *verdict);
    let wanted = match expectation {
        None => String::new(),
        Some(_) if as_expected && *verdict == Verdict::Pass => String::new(),
        Some(_) if as_expected => " (as expected)".to_owned(),
        Some(Expectation { verdict, named: true }) => format!(" (expected: {verdict})"),
        Some(Expectation { verdict, named: false }) => format!(" (expected: {verdict}, as --expect does not name it)"),
    };
    output.result(format_args!("{verdict:<11} {}{needed}{skipped}{wanted}\n", printable(script, false)))?;
    if as_expected && !output.is_verbose() {
        return Ok(());
    }
    let failed = *verdict == Verdict::Fail;
    if (output.is_verbose() || failed) && !args.view.no_ladder && !output.is_quiet() {
        draw(drill, job, &args.view.style(output), output)?;
    }
    if *verdict == Verdict::Error {
        output.error(&error_of(job, outcome));
    } else if *verdict != Verdict::Pass {
        let at = line.map_or_else(String::new, |line| format!("{}:{line}: ", printable(script, false)));
        for (nth, text) in reason.lines().enumerate() {
            output.result(format_args!("  {}{}\n", if nth == 0 { at.as_str() } else { "" }, printable(text, false)))?;
        }
    }
    // What was not executed or not understood can be the cause.
    for note in notes {
        let note = printable(note, false);
        if failed {
            output.result(format_args!("  note: {note}\n"))?;
        } else {
            output.detail(format_args!("  {note}"));
        }
    }
    if failed && args.system.is_none() && *system == System::Rfc {
        output.result("  note: the host has the defaults of rfc; --as linux or --as freebsd chooses others\n")?;
    }
    Ok(())
}

/// What is wrong with a script that cannot be run, with its place.
fn error_of(job: &Job, outcome: &Outcome) -> String {
    let line = outcome.line.map_or_else(String::new, |line| format!(":{line}"));
    let hint = match Kind::Script.hint(&job.path) {
        hint if hint.is_empty() => "; docs/drill.md has the language".to_owned(),
        hint => hint,
    };
    let (script, reason) = (Name(&outcome.script), &outcome.reason);
    if outcome.line.is_none() && reason.contains(&script.to_string()) {
        return format!("tcplab drill: {reason}{hint}");
    }
    format!("tcplab drill: {script}{line}: {reason}{hint}")
}

/// Prints the ladder of a script. It runs the script again, which gives the same packets.
fn draw(drill: &Drill, job: &Job, style: &Style, output: Output) -> io::Result<()> {
    let mut ladder = Ladder::new();
    ladder.name_hosts([(HostId(0), "host".to_owned()), (HostId(1), "script".to_owned())]);
    ladder.count_from_first();
    let ladder = Rc::new(RefCell::new(ladder));
    drill.run_file_observed(&job.path, &[Rc::clone(&ladder) as Rc<RefCell<dyn Observer>>]);
    let drawn = ladder.borrow().draw(style);
    output.result(drawn)
}

/// Verdicts by script, from lines that --json has printed.
fn read_expected(path: &Path) -> Result<BTreeMap<String, Verdict>, CliError> {
    const HOW: &str = "`tcplab drill --json SCRIPTS > FILE` writes such a file";
    /// Room for some hundred thousand scripts.
    const LONGEST: u64 = 64 << 20;
    let shown = escape::path(path);
    let wrong = |error: io::Error| CliError::Usage(format!("--expect {shown}: read the file: {error}; {HOW}"));
    let mut text = String::new();
    std::fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text)).map_err(wrong)?;
    if text.len() as u64 > LONGEST {
        return Err(CliError::Usage(format!("--expect {shown}: the file has more than {LONGEST} bytes; {HOW}")));
    }
    let mut expected = BTreeMap::new();
    for (nth, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong =
            || CliError::Usage(format!("--expect {shown}:{}: expected a line of JSON with a verdict; {HOW}", nth + 1));
        let value: serde_json::Value = serde_json::from_str(line).map_err(|_| wrong())?;
        let (script, verdict) = (value["script"].as_str(), value["verdict"].as_str());
        let verdict = Verdict::ALL.into_iter().find(|known| Some(known.to_string().as_str()) == verdict);
        let (Some(script), Some(verdict)) = (script, verdict) else { return Err(wrong()) };
        expected.insert(script.to_owned(), verdict);
    }
    Ok(expected)
}

/// Prints the number of scripts by directory and verdict.
fn summary(table: &BTreeMap<String, [usize; 5]>, output: Output) {
    let width = table.keys().map(|group| group.chars().count()).max().unwrap_or(0).max("directory".len());
    output.note(format_args!("{:width$}  pass  skipped  fail  unsupported  error", "directory"));
    let line = |name: &str, [pass, fail, unsupported, error, skipped]: [usize; 5]| {
        let name = printable(name, false);
        output.note(format_args!("{name:width$}  {pass:>4}  {skipped:>7}  {fail:>4}  {unsupported:>11}  {error:>5}"));
    };
    let mut total = [0; 5];
    for (name, row) in table {
        line(name, *row);
        for (sum, count) in total.iter_mut().zip(row) {
            *sum += count;
        }
    }
    if table.len() > 1 {
        line("total", total);
    }
    if total[4] > 0 {
        output.note(
            "skipped: passed, but with assertions that were not evaluated (-v names them); they count in no share",
        );
    }
}
