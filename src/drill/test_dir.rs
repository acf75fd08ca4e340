//! A directory of scripts as a test binary: one named test for each script. Tests of a program call it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};

use super::{Drill, Outcome, Verdict};

use crate::escape::Name;
use crate::testing::files::{Check, Files, in_package};

/// Scripts by the ends of their names.
pub(crate) const SCRIPTS: Files = Files { what: "scripts", extensions: &["pkt"] };

/// How each script is run, if not as usual.
type Adjust = Arc<dyn Fn(&Path, Drill) -> Drill + Send + Sync>;

/// Every script below `dir` as a test of its own: the whole of `main` in a test with `harness = false`.
///
/// ```toml
/// [[test]]
/// name = "scripts"
/// harness = false
/// ```
///
/// ```no_run
/// // tests/scripts.rs
/// fn main() -> std::process::ExitCode {
///     tcplab::drill::test_dir("tests/drill")
/// }
/// ```
///
/// A path that is not absolute begins at the package of the test. Files end in `.pkt`. A test passes if its script passes
/// strictly and no assertion was skipped; a directory without scripts is a test that fails. The arguments are those of
/// every Rust test: a filter, `--list`, `--exact`.
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
    /// The scripts below this directory.
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self { dir: in_package(dir.as_ref()), adjust: Arc::new(|_, drill| drill), least: 1 }
    }

    /// Changes how each script is run: the system, settings of the host, what a comparison may leave out.
    ///
    /// ```no_run
    /// # use tcplab::drill::{System, TestDir};
    /// TestDir::new("tests/drill")
    ///     .each(|path, drill| match path.file_stem() {
    ///         Some(name) if name.to_string_lossy().ends_with("-linux") => drill.system(System::Linux),
    ///         _ => drill,
    ///     })
    ///     .run();
    /// ```
    #[must_use]
    pub fn each(self, adjust: impl Fn(&Path, Drill) -> Drill + Send + Sync + 'static) -> Self {
        Self { adjust: Arc::new(adjust), ..self }
    }

    /// Fewer scripts than this are a failure; by default 1. With 0 an empty directory is fine.
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
        SCRIPTS.trials(&self.dir, self.least, &check)
    }
}

fn check(path: &Path, adjust: &Adjust) -> Result<(), Failed> {
    let outcome = adjust(path, Drill::new()).run_file(path);
    if outcome.is_whole_pass() { Ok(()) } else { Err(story(&outcome).into()) }
}

/// What went wrong, for one who reads it in the output of a test.
fn story(outcome: &Outcome) -> String {
    let script = Name(&outcome.script);
    let line = outcome.line.map_or_else(String::new, |line| format!(":{line}"));
    let what = match outcome.verdict {
        Verdict::Pass => format!("{} assertions were skipped: that is no pass", outcome.skipped_asserts),
        verdict => format!("{verdict}: {}", outcome.reason),
    };
    format!("{script}{line}: {what}\nsee it: tcplab drill -v {script}")
}
