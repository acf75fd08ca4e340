//! The terminal of a shell that runs beside us. While it is the foreground process group of the terminal, Ctrl-C and Ctrl-Z
//! go to it and its jobs, and not to us. At its end we take the terminal back, with its settings.

#![allow(unsafe_code)]

use core::mem::zeroed;
use core::ptr;

/// The terminal as it was when we were in the foreground. Dropping it takes the terminal back.
pub struct Foreground {
    group: libc::pid_t,
    settings: libc::termios,
}

impl Foreground {
    /// What is to be restored; `None` if standard input is no terminal, or we are not in its foreground.
    pub fn keep() -> Option<Self> {
        // SAFETY: zero is a valid value of the structure, which is written by the call and valid for it.
        unsafe {
            let mut settings: libc::termios = zeroed();
            if libc::isatty(0) == 0 || libc::tcgetattr(0, &raw mut settings) < 0 {
                return None;
            }
            let group = libc::getpgrp();
            (libc::tcgetpgrp(0) == group).then_some(Self { group, settings })
        }
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        // A process in the background that sets the foreground gets SIGTTOU, which stops it unless it is blocked.
        // SAFETY: sets and settings are valid for the calls.
        unsafe {
            let (mut blocked, mut before) = (zeroed(), zeroed());
            libc::sigemptyset(&raw mut blocked);
            libc::sigaddset(&raw mut blocked, libc::SIGTTOU);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const blocked, &raw mut before);
            libc::tcsetpgrp(0, self.group);
            libc::tcsetattr(0, libc::TCSADRAIN, &raw const self.settings);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
        }
    }
}
