//! For tests of users: one test under many seeds. The first seed that fails is named, can be run again alone, and leaves its
//! ladder and its captures.
//!
//! ```
//! use std::net::SocketAddr;
//! use tcplab::app::{Listen, echo};
//! use tcplab::testing;
//!
//! // In a test: #[test] fn an_echo_comes_back_over_a_bad_link() { ... }
//! testing::seeds(0..20, |sim| {
//!     let server = sim.host("server", "192.0.2.1/24");
//!     let client = sim.host("client", "192.0.2.2/24");
//!     sim.link(&client, &server, "delay=20ms,loss=5%");
//!     let addr = SocketAddr::new(server.address(), 7);
//!     server.spawn_daemon(move |net| echo::server(net, Listen::new(addr)));
//!     let mut answer = client.spawn(move |net| echo::client(net, addr, b"hello".to_vec()));
//!     sim.run_until_idle();
//!     assert_eq!(answer.try_take().unwrap().unwrap(), b"hello");
//! });
//! ```
//!
//! | variable | what it does |
//! |---|---|
//! | `TCPLAB_SEED=7` | runs this seed and no other |
//! | `TCPLAB_TRACE=DIR` | a test that fails leaves `TEST-seed-7.txt`, its ladder, in DIR; with feature `capture` also `TEST-seed-7.HOST.pcapng` for each host |

#[cfg(any(feature = "replay", feature = "drill"))]
pub(crate) mod files;
mod record;

use std::any::Any;
use std::env;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::path::PathBuf;

use crate::sim::Sim;
use record::Recorder;

/// The variable that names one seed.
const SEED: &str = "TCPLAB_SEED";
/// The variable that names the directory for what a failing test leaves.
const TRACE: &str = "TCPLAB_TRACE";

/// Runs a test under each of these seeds, in order, on a new [`Sim`] each time.
///
/// # Panics
/// The test has panicked under a seed, which is named. The seeds after it are not run. Also if `TCPLAB_SEED` is not a number.
#[track_caller]
pub fn seeds(seeds: impl IntoIterator<Item = u64>, test: impl Fn(&Sim)) {
    let only = env::var(SEED).ok().map(|text| match text.trim().parse::<u64>() {
        Ok(seed) => seed,
        Err(error) => panic!("{SEED}={text}: expected a number from 0 to 18446744073709551615 ({error})"),
    });
    let directory = env::var_os(TRACE).map(PathBuf::from);
    let name = test_name(Location::caller());
    let run = |seed| run(seed, &test, directory.as_ref().map(|directory| (directory.as_path(), name.as_str())));
    let failed = match only {
        Some(seed) => run(seed).err(),
        None => seeds.into_iter().find_map(|seed| run(seed).err()),
    };
    if let Some(failed) = failed {
        panic!("{failed}");
    }
}

/// Runs a test under one seed. The error is the text for the user.
fn run(seed: u64, test: &impl Fn(&Sim), keep: Option<(&std::path::Path, &str)>) -> Result<(), String> {
    let sim = Sim::seeded(seed);
    let recorder = keep.map(|_| sim.observe(Recorder::default()));
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(&sim))) else { return Ok(()) };
    let rest = match (keep, recorder) {
        (Some((directory, name)), Some(recorder)) => {
            let kept = recorder.borrow_mut().keep(&sim, directory, &format!("{name}-seed-{seed}"));
            match kept {
                Ok(path) => format!("its ladder is {}", path.display()),
                Err(error) => format!("its ladder cannot be kept in {}: {error}", directory.display()),
            }
        }
        _ => format!("{TRACE}=DIR keeps its ladder in DIR"),
    };
    let message = message(panic.as_ref());
    Err(format!("the test failed with seed {seed}: {message}\n{SEED}={seed} runs it again; {rest}"))
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a text")
}

/// The name of the test as a part of a file name. cargo's harness names the thread of each test, unless there is only one.
fn test_name(caller: &Location<'_>) -> String {
    let thread = std::thread::current();
    let name = match thread.name() {
        Some(name) if name != "main" => name.replace("::", "."),
        _ => format!("{}-{}", caller.file(), caller.line()),
    };
    name.chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}
