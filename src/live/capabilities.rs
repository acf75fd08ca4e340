//! The capabilities of a program that we start (capabilities(7)). `supervisor` calls [`Privileges::apply`] in the child,
//! between fork(2) and exec(3): only system calls, and no allocation.

#![allow(unsafe_code)]

use core::ffi::{c_int, c_ulong};

// From linux/capability.h.
const CHOWN: u32 = 0;
const DAC_OVERRIDE: u32 = 1;
const FOWNER: u32 = 3;
const FSETID: u32 = 4;
const KILL: u32 = 5;
const SETGID: u32 = 6;
const SETUID: u32 = 7;
const SETPCAP: u32 = 8;
const NET_BIND_SERVICE: u32 = 10;
const NET_ADMIN: u32 = 12;
const NET_RAW: u32 = 13;
const SYS_CHROOT: u32 = 18;
const MKNOD: u32 = 27;
const AUDIT_WRITE: u32 = 29;
const SETFCAP: u32 = 31;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
/// The kernel has 41 now; a capability above the last one gives EINVAL.
const MOST_CAPABILITIES: u32 = 64;

/// Programs set up addresses and routes, send raw packets (ping) and listen on low ports.
const NETWORK: [u32; 3] = [NET_BIND_SERVICE, NET_ADMIN, NET_RAW];
/// What Docker gives root in a container by default, and [`NET_ADMIN`]: sshd and runuser work with these.
const CONTAINER: [u32; 15] = [
    CHOWN,
    DAC_OVERRIDE,
    FOWNER,
    FSETID,
    KILL,
    SETGID,
    SETUID,
    SETPCAP,
    NET_BIND_SERVICE,
    NET_ADMIN,
    NET_RAW,
    SYS_CHROOT,
    MKNOD,
    AUDIT_WRITE,
    SETFCAP,
];

/// What a program may do that we start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privileges {
    /// What its caller may do.
    Unchanged,
    /// For a program beside our host: root keeps `CAP_NET_ADMIN`, `CAP_NET_RAW` and `CAP_NET_BIND_SERVICE`.
    Beside,
    /// For a program in a namespace of its own. Root keeps those of a container. Everybody else gets `CAP_NET_ADMIN`,
    /// `CAP_NET_RAW` and `CAP_NET_BIND_SERVICE` in the user namespace as ambient capabilities, which exec(3) keeps.
    Apart,
}

impl Privileges {
    /// Sets the capabilities of this process and of the program that it becomes.
    pub(super) fn apply(self) {
        // SAFETY: the call takes no memory and cannot fail.
        let root = unsafe { libc::geteuid() } == 0;
        match self {
            Self::Beside if root => keep(&NETWORK, false),
            Self::Beside | Self::Unchanged => {}
            Self::Apart if root => keep(&CONTAINER, false),
            Self::Apart => keep(&NETWORK, true),
        }
    }
}

/// `struct __user_cap_data_struct` of capset(2).
#[repr(C)]
#[derive(Clone, Copy)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Removes all other capabilities from all sets, the bounding set included: without that, exec(3) would give root all of
/// them again. `ambient` has exec(3) keep those of a process that is not root.
fn keep(kept: &[u32], ambient: bool) {
    let mut header = [CAPABILITY_VERSION_3, 0];
    let mut sets = [CapabilityData { effective: 0, permitted: 0, inheritable: 0 }; 2];
    let mask = kept.iter().fold(0, |all, capability| all | 1 << capability);
    // SAFETY: header and sets have the layout of capset(2), version 3, and are valid for the calls.
    unsafe {
        for capability in (0..MOST_CAPABILITIES).filter(|capability| !kept.contains(capability)) {
            libc::prctl(libc::PR_CAPBSET_DROP, c_ulong::from(capability), 0, 0, 0);
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        if libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) < 0 {
            return;
        }
        for (set, mask) in sets.iter_mut().zip([mask, 0]) {
            set.effective &= mask;
            set.permitted &= mask;
            set.inheritable = if ambient { set.permitted } else { set.inheritable & mask };
        }
        libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_mut_ptr());
        for capability in kept.iter().filter(|_| ambient) {
            let raise: c_int = libc::PR_CAP_AMBIENT_RAISE;
            libc::prctl(libc::PR_CAP_AMBIENT, raise, c_ulong::from(*capability), 0, 0);
        }
    }
}
