//! The process between us and COMMAND. It ends everything that COMMAND has started when this process ends, for whatever
//! reason: a pipe of which only this process holds the writing end, the lifeline, is hung up then.
//!
//! ```text
//!   tcplab -- supervisor -- init (process 1 of a PID namespace) -- COMMAND      where that is allowed
//!   tcplab -- supervisor (PR_SET_CHILD_SUBREAPER) ---------------- COMMAND      elsewhere, and beside `proxy`
//! ```
//!
//! When process 1 of a PID namespace ends, the kernel kills all others in it (`pid_namespaces(7)`). A subreaper becomes
//! the parent of every descendant whose parent has ended (prctl(2)), and kills them one by one. It needs the `children`
//! files of /proc for that; without them it kills COMMAND only. `command` forks and calls [`run`].
//!
//! All of this runs after fork(2) in a process that had threads. So only async-signal-safe functions are called, and
//! nothing is allocated.

#![allow(unsafe_code)]

use core::ffi::{c_char, c_int};
use core::mem::{MaybeUninit, zeroed};
use core::ptr;

use libc::pid_t;

use super::capabilities::Privileges;
use super::signals::is_ignored;

/// Descriptors that are closed one by one on a kernel without `close_range(2)`, before 5.9.
const MOST_DESCRIPTORS: c_int = 65_536;
/// Attempts to kill all descendants, one in a millisecond.
const ATTEMPTS: u32 = 2000;

/// What the child needs; made before the fork.
pub(super) struct Plan<'a> {
    /// The program and its arguments, and a null pointer.
    pub(super) argv: &'a [*const c_char],
    pub(super) to_stderr: bool,
    /// What becomes its standard input, if that is not ours.
    pub(super) null: Option<c_int>,
    /// It gets a process group of its own, and standard input is a terminal of which that becomes the foreground.
    pub(super) foreground: bool,
    pub(super) privileges: Privileges,
    /// It gets a PID namespace, where that is allowed.
    pub(super) own_processes: bool,
    /// Hung up when the process that started COMMAND has ended or wants its end.
    pub(super) lifeline: c_int,
    /// The wait status of COMMAND is written here.
    pub(super) status: c_int,
    /// The error of exec(3) is written here.
    pub(super) failure: c_int,
    /// The signals that were blocked before the fork.
    pub(super) mask: libc::sigset_t,
}

/// Blocks all signals and gives the mask before. Handlers of this process must not run in the child, which shares the
/// sockets that they write to.
pub(super) fn block_signals() -> libc::sigset_t {
    // SAFETY: both sets are initialized by the calls, and are valid for them.
    unsafe {
        let (mut all, mut before) = (zeroed(), zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        before
    }
}

/// Undoes [`block_signals`].
pub(super) fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: the set is valid for the call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, ptr::null_mut()) };
}

/// The child: starts COMMAND, and keeps watch over it until the lifeline is hung up.
pub(super) fn run(plan: &Plan<'_>) -> ! {
    // SAFETY: the name is NUL-terminated and valid for the call. It tells `ps` and pgrep(1) that this is another process.
    // A process that ignores SIGCHLD, as some that start us do, does not see the status of its children.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"watch-command".as_ptr());
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
    }
    // SAFETY: no memory is handed over.
    if plan.own_processes && unsafe { libc::unshare(libc::CLONE_NEWPID) } == 0 {
        match fork() {
            0 => init(plan),
            child if child > 0 => {
                close_all_but([-1, -1]);
                await_end(child);
                exit(0);
            }
            // No more children can be made in a namespace without process 1.
            _ => fail(plan),
        }
    }
    // SAFETY: no memory is handed over.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    match fork() {
        0 => command(plan),
        child if child > 0 => {
            watch(plan, child);
            kill_descendants(child);
            exit(0);
        }
        _ => fail(plan),
    }
}

/// Process 1 of the namespace. Its end is the end of all others.
fn init(plan: &Plan<'_>) -> ! {
    show_own_processes();
    match fork() {
        0 => command(plan),
        child if child > 0 => {
            watch(plan, child);
            exit(0);
        }
        _ => fail(plan),
    }
}

/// Gives the namespace a /proc of its own, in a mount namespace of its own, so that `ps` and `pkill` of COMMAND find the
/// processes that they can reach. In some containers this is not allowed; then /proc stays as it is.
fn show_own_processes() {
    // SAFETY: every string is NUL-terminated and valid for the call.
    unsafe {
        if libc::unshare(libc::CLONE_NEWNS) < 0 {
            return;
        }
        // Without this the mount would show outside.
        let private = libc::MS_REC | libc::MS_SLAVE;
        if libc::mount(c"none".as_ptr(), c"/".as_ptr(), ptr::null(), private, ptr::null()) < 0 {
            return;
        }
        let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        libc::mount(c"proc".as_ptr(), c"/proc".as_ptr(), c"proc".as_ptr(), flags, ptr::null());
    }
}

/// Becomes COMMAND.
fn command(plan: &Plan<'_>) -> ! {
    // SAFETY: descriptors and strings are valid for the calls; the sets are initialized by them.
    unsafe {
        // If the supervisor is killed, COMMAND ends at least.
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if let Some(null) = plan.null {
            libc::dup2(null, 0);
        }
        if plan.foreground {
            // SIGTTOU is blocked, so that a process in the background may do this.
            libc::setpgid(0, 0);
            libc::tcsetpgrp(0, libc::getpid());
        }
        if plan.to_stderr {
            libc::dup2(2, 1);
        }
        close_on_exec();
        plan.privileges.apply();
        for signal in 1..=libc::SIGRTMAX() {
            // What is ignored stays ignored, as with nohup(1). Only SIGPIPE was ignored by us.
            if signal == libc::SIGPIPE || !is_ignored(signal) {
                let default: libc::sigaction = zeroed();
                libc::sigaction(signal, &raw const default, ptr::null_mut());
            }
        }
        restore_signals(&plan.mask);
        libc::execvp(plan.argv[0], plan.argv.as_ptr());
    }
    fail(plan)
}

/// Reports the error of the last call to the process that wants to start COMMAND.
fn fail(plan: &Plan<'_>) -> ! {
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    write_number(plan.failure, errno);
    exit(127)
}

/// Reaps children and reports the end of COMMAND, until the lifeline is hung up.
fn watch(plan: &Plan<'_>, command: pid_t) {
    close_all_but([plan.lifeline, plan.status]);
    // SAFETY: the set is initialized by the calls, and is valid for them.
    let children = unsafe {
        let mut set = zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC)
    };
    loop {
        while let Some((pid, status)) = reap() {
            if pid == command {
                write_number(plan.status, status);
            }
        }
        let mut fds = [plan.lifeline, children].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        let mut signal = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        // SAFETY: array and buffer are valid for the calls and as long as they are told.
        unsafe {
            libc::poll(fds.as_mut_ptr(), 2, -1);
            if fds[0].revents != 0 {
                return;
            }
            libc::read(children, signal.as_mut_ptr().cast(), size_of_val(&signal));
        }
    }
}

/// A child that has ended, with its status; `None` if there is none now.
fn reap() -> Option<(pid_t, c_int)> {
    let mut status = 0;
    // SAFETY: the status is valid for the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    (pid > 0).then_some((pid, status))
}

fn await_end(child: pid_t) {
    let mut status = 0;
    // SAFETY: the status is valid for the call. Every signal is blocked, so that it is not interrupted.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
}

/// Kills the children of this process until there are none. When one ends, its own children become ours.
fn kill_descendants(command: pid_t) {
    for _ in 0..ATTEMPTS {
        if !kill_children() {
            kill(command);
        }
        let pause = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        // SAFETY: the time is valid for the call.
        unsafe { libc::nanosleep(&raw const pause, ptr::null_mut()) };
        while reap().is_some() {}
        let mut status = 0;
        // SAFETY: the status is valid for the call.
        if unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) } < 0 {
            return; // no children are left
        }
    }
}

/// Kills those in the list of our children. False if there is no such list.
fn kill_children() -> bool {
    let mut text = [0_u8; 4096];
    // SAFETY: the path is NUL-terminated; the buffer is as long as it is told.
    let len = unsafe {
        let file = libc::open(c"/proc/thread-self/children".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return false;
        }
        let len = libc::read(file, text.as_mut_ptr().cast(), text.len());
        libc::close(file);
        len
    };
    let text = &text[..usize::try_from(len).unwrap_or(0)];
    // The last number may be cut off, so that only those with a space behind them count.
    let mut pid: pid_t = 0;
    for byte in text {
        if byte.is_ascii_digit() {
            pid = pid.wrapping_mul(10).wrapping_add(pid_t::from(byte - b'0'));
        } else {
            kill(pid);
            pid = 0;
        }
    }
    true
}

fn kill(pid: pid_t) {
    if pid > 0 {
        // SAFETY: no memory is handed over.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
}

/// Has every descriptor but 0 to 2 closed by exec(3).
fn close_on_exec() {
    // SAFETY: no memory is handed over.
    unsafe {
        if libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) == 0 {
            return;
        }
        for fd in 3..most_descriptors() {
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}

/// Closes every descriptor but these, standard output included: a reader of it must see its end when we end.
fn close_all_but(kept: [c_int; 2]) {
    let [low, high] = if kept[0] < kept[1] { kept } else { [kept[1], kept[0]] };
    close_range(0, low - 1);
    close_range((low + 1).max(0), high - 1);
    close_range(high + 1, c_int::MAX);
}

fn close_range(first: c_int, last: c_int) {
    if first > last {
        return;
    }
    // SAFETY: nothing of this process uses the descriptors any more.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, last, 0) == 0 {
            return;
        }
        for fd in first..=last.min(most_descriptors()) {
            libc::close(fd);
        }
    }
}

fn most_descriptors() -> c_int {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is valid for the call.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    c_int::try_from(limit.rlim_cur).unwrap_or(MOST_DESCRIPTORS).min(MOST_DESCRIPTORS)
}

fn write_number(to: c_int, number: c_int) {
    let bytes = number.to_ne_bytes();
    // SAFETY: the bytes are valid for the call.
    unsafe { libc::write(to, bytes.as_ptr().cast(), bytes.len()) };
}

pub(super) fn fork() -> pid_t {
    // SAFETY: parent and child call only async-signal-safe functions from here on.
    unsafe { libc::fork() }
}

fn exit(code: c_int) -> ! {
    // SAFETY: no memory is handed over.
    unsafe { libc::_exit(code) }
}
