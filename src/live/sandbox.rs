//! Private network namespaces. Nothing outside is changed, and they end with the process.
//!
//! As root a network namespace is enough. Otherwise a user namespace comes first (`user_namespaces(7)`). In that of one host
//! we are root. In that of a wire we are who we are, because some servers refuse to run as root. It is
//! entered before any thread starts, because a process with threads cannot enter one. [`SandboxError`] names the step that
//! failed and its usual cause.

#![allow(unsafe_code)]

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;

use crate::device::{TunError, up};

/// Why no private namespace could be made: the step, the cause, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A system call or a write to /proc failed.
    #[error("cannot create a private network namespace (step: {step}: {cause}){}", hint(cause))]
    Step {
        /// The step that failed.
        step: &'static str,
        /// The error of the system.
        cause: io::Error,
    },
    /// The loopback interface of the new namespace.
    #[error(transparent)]
    Loopback(#[from] TunError),
}

/// The setting that forbids it, on the systems where that is known.
fn hint(cause: &io::Error) -> String {
    let setting = |path: &str| fs::read_to_string(path).ok().map(|value| value.trim().to_owned());
    let restricted =
        setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").is_some_and(|value| value == "1");
    let none_allowed = setting("/proc/sys/user/max_user_namespaces").is_some_and(|value| value == "0");
    let switched_off = setting("/proc/sys/kernel/unprivileged_userns_clone").is_some_and(|value| value == "0");
    let why = if none_allowed || cause.raw_os_error() == Some(28) {
        "; user.max_user_namespaces is 0 here"
    } else if restricted {
        "; AppArmor restricts unprivileged user namespaces here \
         (`sysctl kernel.apparmor_restrict_unprivileged_userns=0` lifts that)"
    } else if switched_off {
        "; kernel.unprivileged_userns_clone is 0 here"
    } else {
        "; this system, or the container around it, forbids it"
    };
    format!(
        "{why}. Ways out: run as root; or have an administrator make a device with \
         `ip tuntap add dev tcplab0 mode tun user $USER` and use --tun tcplab0; or use a simulated link"
    )
}

/// Enters a new network namespace, and a user namespace around it unless we are root, and brings its loopback up.
///
/// # Errors
/// [`SandboxError`]. Nothing is changed outside in any case.
pub fn enter() -> Result<(), SandboxError> {
    let ids = ids();
    if ids.0 == 0 {
        unshare(libc::CLONE_NEWNET).map_err(step("unshare the network"))?;
    } else {
        unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET).map_err(step("unshare user and network"))?;
        map((0, 0), ids)?;
    }
    up("lo")?;
    Ok(())
}

/// Enters a new user namespace, unless we are root. User and group keep their numbers in it.
///
/// # Errors
/// [`SandboxError`].
pub(super) fn enter_user_namespace() -> Result<(), SandboxError> {
    let ids = ids();
    if ids.0 == 0 {
        return Ok(());
    }
    unshare(libc::CLONE_NEWUSER).map_err(step("unshare user"))?;
    map(ids, ids)
}

/// A network namespace that this process has made. It ends when nothing refers to it any more.
pub(super) struct NetNamespace(File);

impl NetNamespace {
    /// Makes one, enters it, and brings its loopback up.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub(super) fn make() -> Result<Self, SandboxError> {
        unshare(libc::CLONE_NEWNET).map_err(step("unshare the network"))?;
        let file = File::open("/proc/thread-self/ns/net").map_err(step("open /proc/thread-self/ns/net"))?;
        up("lo")?;
        Ok(Self(file))
    }

    /// Enters it with this thread.
    ///
    /// # Errors
    /// The error of setns(2).
    pub(super) fn enter(&self) -> io::Result<()> {
        // SAFETY: no memory is handed over, and the descriptor is open.
        if unsafe { libc::setns(self.0.as_raw_fd(), libc::CLONE_NEWNET) } < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// The line for a second terminal that enters it.
    pub(super) fn join_hint(&self) -> String {
        let pid = std::process::id();
        let user = if is_real_root() { String::new() } else { format!(" -t {pid} -U --preserve-credentials") };
        format!("nsenter{user} --net=/proc/{pid}/fd/{}", self.0.as_raw_fd())
    }
}

/// Names the step of an error.
fn step(step: &'static str) -> impl Fn(io::Error) -> SandboxError {
    move |cause| SandboxError::Step { step, cause }
}

/// Our effective user and group.
fn ids() -> (libc::uid_t, libc::gid_t) {
    // SAFETY: these calls take no memory and cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Maps the user and group of this process to those that they are inside its new user namespace.
fn map(inside: (libc::uid_t, libc::gid_t), ids: (libc::uid_t, libc::gid_t)) -> Result<(), SandboxError> {
    fs::write("/proc/self/setgroups", "deny").map_err(step("write setgroups"))?;
    fs::write("/proc/self/uid_map", format!("{} {} 1", inside.0, ids.0)).map_err(step("write uid_map"))?;
    fs::write("/proc/self/gid_map", format!("{} {} 1", inside.1, ids.1)).map_err(step("write gid_map"))
}

/// The line for a second terminal that joins our namespace.
pub fn join_hint() -> String {
    let user = if is_real_root() { "" } else { " -U --preserve-credentials" };
    format!("nsenter -t {}{user} -n", std::process::id())
}

/// True for root outside of user namespaces.
fn is_real_root() -> bool {
    ids().0 == 0 && fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| is_whole(&map))
}

/// True for the user namespace of the system, which maps every number to itself.
fn is_whole(map: &str) -> bool {
    map.split_whitespace().collect::<Vec<_>>() == ["0", "0", "4294967295"]
}

fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: no memory is handed over; the process has one thread, or the kernel refuses.
    if unsafe { libc::unshare(flags) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
