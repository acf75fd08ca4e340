//! A directory of captures as a test binary: one named test for each file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};

use super::{Outcome, Replay, Verdict};

use crate::testing::files::{Check, Files, in_package};

/// Captures by the ends of their names.
const CAPTURES: Files = Files { what: "captures", extensions: &["pcap", "pcapng", "cap"] };

/// How each file is set up, if not as usual.
type Adjust = Arc<dyn Fn(&Path, Replay) -> Replay + Send + Sync>;

/// Every capture below `dir` as a test of its own: the whole of `main` in a test with `harness = false`.
///
/// ```toml
/// [[test]]
/// name = "captures"
/// harness = false
/// ```
///
/// ```no_run
/// // tests/captures.rs
/// fn main() -> std::process::ExitCode {
///     tcplab::replay::test_dir("tests/captures")
/// }
/// ```
///
/// A path that is not absolute begins at the package of the test. Files end in `.pcap`, `.pcapng` or `.cap`. A test
/// passes if something of its file was replayed and all of that passed; a directory without captures is a test that
/// fails. The arguments are those of every Rust test: a filter, `--list`, `--exact`.
pub fn test_dir(dir: impl AsRef<Path>) -> ExitCode {
    TestDir::new(dir).run()
}

/// As [`test_dir`], with settings.
pub struct TestDir {
    dir: PathBuf,
    adjust: Adjust,
    least: usize,
}

impl core::fmt::Debug for TestDir {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "TestDir({})", self.dir.display())
    }
}

impl TestDir {
    /// The captures below this directory.
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self { dir: in_package(dir.as_ref()), adjust: Arc::new(|_, replay| replay), least: 1 }
    }

    /// Changes the settings of each file: role, mode, program.
    ///
    /// ```no_run
    /// # use tcplab::replay::{Role, TestDir};
    /// TestDir::new("tests/captures")
    ///     .each(|path, replay| match path.file_stem() {
    ///         Some(name) if name.to_string_lossy().ends_with("-server") => replay.role(Role::Server),
    ///         _ => replay,
    ///     })
    ///     .run();
    /// ```
    #[must_use]
    pub fn each(self, adjust: impl Fn(&Path, Replay) -> Replay + Send + Sync + 'static) -> Self {
        Self { adjust: Arc::new(adjust), ..self }
    }

    /// Fewer captures than this are a failure; by default 1. With 0 an empty directory is fine.
    #[must_use]
    pub fn at_least(self, least: usize) -> Self {
        Self { least, ..self }
    }

    /// Runs the tests and gives the exit code.
    pub fn run(self) -> ExitCode {
        libtest_mimic::run(&Arguments::from_args(), self.trials()).exit_code()
    }

    /// The tests, to be run together with others.
    pub fn trials(&self) -> Vec<Trial> {
        let adjust = Arc::clone(&self.adjust);
        let check: Check = Arc::new(move |path| check(path, &adjust));
        CAPTURES.trials(&self.dir, self.least, &check)
    }
}

fn check(path: &Path, adjust: &Adjust) -> Result<(), Failed> {
    let replay = Replay::open(path)?;
    let report = adjust(path, replay).run()?;
    if report.passed() {
        return Ok(());
    }
    Err(story(&report.outcomes).into())
}

/// What went wrong, for one who reads it in the output of a test.
fn story(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.verdict != Verdict::Pass) {
        let _ = writeln!(text, "{outcome}");
        for note in &outcome.notes {
            let _ = writeln!(text, "    {note}");
        }
    }
    if outcomes.iter().all(|outcome| outcome.verdict == Verdict::Skipped) {
        text.push_str("nothing of the file was replayed: that is no pass\n");
    }
    if let Some(outcome) = outcomes.iter().find(|outcome| outcome.verdict != Verdict::Pass) {
        let role = outcome.role;
        let _ = write!(text, "see it: tcplab replay -v --role {role} -w replayed.pcapng {}", outcome.file);
    }
    text
}
