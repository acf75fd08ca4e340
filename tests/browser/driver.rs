//! The one chromedriver of this test program, and at most two browsers, which tests lend from each other.
//!
//! A shell starts chromedriver. The shell leads a process group and reads from a pipe. When this program ends, in whatever way,
//! the pipe closes. The shell then ends the group and removes the profiles of the browsers.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use crate::browser::Browser;
use crate::common::left_out;
use crate::programs::scratch;

/// A browser for each core of the machine on which the tests run.
const MOST_BROWSERS: usize = 2;

/// Starts chromedriver ($2) on a free port, waits for the end of the pipe, and ends what has been started. The profiles
/// ($1) are removed until nothing writes there any more.
const WATCH: &str = r#"
"$2" --port=0 </dev/null 2>&1 &
trap '' TERM
read -r nothing
kill -TERM 0
wait
for try in 1 2 3 4 5; do rm -rf "$1" && exit; sleep 0.2; done
"#;

struct Driver {
    url: String,
    chromium: PathBuf,
    profiles: PathBuf,
    /// Its standard input is the pipe.
    _watch: Child,
}

impl Driver {
    /// `None` if chromium or chromedriver is not installed.
    fn start() -> Option<Self> {
        let (chromium, chromedriver) = (installed("chromium")?, installed("chromedriver")?);
        let profiles = scratch("browser").join(format!("profiles-{}", std::process::id()));
        fs::create_dir_all(&profiles).expect("a place for profiles");
        let mut watch = Command::new("sh")
            .args(["-c", WATCH, "sh"])
            .args([&profiles, &chromedriver])
            .env("HOME", &profiles)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let mut lines = BufReader::new(watch.stdout.take().expect("it is piped")).lines();
        let mut said = String::new();
        let port = loop {
            let Some(Ok(line)) = lines.next() else { panic!("chromedriver does not start: {said}") };
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
            said.push_str(&line);
        };
        // What it says later is read, so that it never waits for a reader.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Some(Self { url: format!("http://127.0.0.1:{port}"), chromium, profiles, _watch: watch })
    }

    fn get() -> Option<&'static Self> {
        static DRIVER: OnceLock<Option<Driver>> = OnceLock::new();
        DRIVER.get_or_init(Self::start).as_ref()
    }
}

/// The path of a program.
fn installed(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// The browsers that no test uses, and the number of those in use.
#[derive(Default)]
struct Pool {
    idle: Vec<Browser>,
    lent: usize,
    made: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { idle: Vec::new(), lent: 0, made: 0 });
static RETURNED: Condvar = Condvar::new();

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A browser for one test. It goes back at the end, or ends with a test that fails.
pub(crate) struct Lent(Option<Browser>);

impl Lent {
    /// Waits for a browser. `None`, and a line on the list of what was left out, if Chromium is not installed.
    #[track_caller]
    pub(crate) fn new() -> Option<Self> {
        let Some(driver) = Driver::get() else {
            left_out("the page in a browser", "make deps");
            return None;
        };
        let mut pool =
            RETURNED.wait_while(pool(), |pool| pool.lent >= MOST_BROWSERS).unwrap_or_else(PoisonError::into_inner);
        pool.lent += 1;
        let browser = pool.idle.pop();
        pool.made += usize::from(browser.is_none());
        let profile = driver.profiles.join(pool.made.to_string());
        drop(pool);
        // From here on a panic gives the place back.
        let mut lent = Self(browser);
        let browser = lent.0.take().unwrap_or_else(|| start(driver, &profile));
        browser.forget();
        lent.0 = Some(browser);
        Some(lent)
    }
}

fn start(driver: &Driver, profile: &Path) -> Browser {
    Browser::start(&driver.url, &driver.chromium, profile)
}

impl Deref for Lent {
    type Target = Browser;

    fn deref(&self) -> &Browser {
        self.0.as_ref().expect("it is there until it is returned")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut browser = self.0.take();
        if thread::panicking()
            && let Some(used) = browser.take()
        {
            used.close();
        }
        let mut pool = pool();
        pool.lent -= 1;
        pool.idle.extend(browser);
        drop(pool);
        RETURNED.notify_one();
    }
}
