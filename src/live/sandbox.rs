//! A private network namespace. Nothing outside is changed, and it ends with the process.
//!
//! As root a network namespace is enough. Otherwise a user namespace comes first, in which we are root
//! (`user_namespaces(7)`). It is entered before any thread starts, because a process with threads cannot enter one.
//! [`SandboxError`] names the step that failed and its usual cause.

#![allow(unsafe_code)]

use std::fs;
use std::io;

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
    let step = |step| move |cause| SandboxError::Step { step, cause };
    // SAFETY: these calls take no memory and cannot fail.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    if uid == 0 {
        unshare(libc::CLONE_NEWNET).map_err(step("unshare the network"))?;
    } else {
        unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET).map_err(step("unshare user and network"))?;
        fs::write("/proc/self/setgroups", "deny").map_err(step("write setgroups"))?;
        fs::write("/proc/self/uid_map", format!("0 {uid} 1")).map_err(step("write uid_map"))?;
        fs::write("/proc/self/gid_map", format!("0 {gid} 1")).map_err(step("write gid_map"))?;
    }
    up("lo")?;
    Ok(())
}

/// The line for a second terminal that joins our namespace.
pub fn join_hint() -> String {
    // SAFETY: the call takes no memory and cannot fail.
    let root =
        unsafe { libc::geteuid() } == 0 && fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| is_whole(&map));
    let user = if root { "" } else { " -U --preserve-credentials" };
    format!("nsenter -t {}{user} -n", std::process::id())
}

/// True for the user namespace of the system, which maps every number to itself.
fn is_whole(map: &str) -> bool {
    map.split_whitespace().collect::<Vec<_>>() == ["0", "0", "4294967295"]
}

fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: no memory is handed over; the process has one thread, or the kernel refuses.
    if unsafe { libc::unshare(flags) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
