//! The wall clock of the live loop. `wire` also has its waits end on time.

#![allow(unsafe_code)]

pub(super) use crate::drive::Clock;

/// Has the waits of this thread end at their deadline. By default the kernel may delay them by 50 us, to serve several with
/// one interrupt (prctl(2), `PR_SET_TIMERSLACK`). With `false` it is as it was before. Processes inherit it.
pub(super) fn wait_exactly(exactly: bool) {
    // Nanoseconds; 0 is the value that this thread began with.
    let slack: libc::c_ulong = exactly.into();
    // SAFETY: no memory is handed over.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, slack, 0, 0, 0) };
}
