//! The TUN device: packets to and from the kernel of this machine, one for each read and write.
//!
//! tun-tap opens the device. This file checks the name, which tun-tap would cut silently, and uses buffers that never
//! truncate. Errors name the step that failed and what to do. The kernel's counters give the packets that it dropped
//! because its queue was full. `live` calls it.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use tun_tap::{Iface, Mode};

use super::netif;
use crate::escape::Name;
use crate::segment::Packet;

/// The longest name of an interface, without the NUL (`IFNAMSIZ` less one).
const LONGEST_NAME: usize = 15;

/// Larger than any packet, because a read into a shorter buffer cuts the packet silently.
const ROOM: usize = 65_536 + 256;

/// An open TUN device.
pub struct Tun {
    iface: Iface,
    name: String,
    /// The kernel writes each packet here, and it is copied into a buffer of its size.
    scratch: Box<[u8]>,
}

/// Why a TUN device could not be opened or used: the step, the device, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} `{}`: {cause}{}", Name(.name), hint(*.reason))]
pub struct TunError {
    step: &'static str,
    name: String,
    cause: io::Error,
    reason: TunReason,
}

/// The reason of a failure, from the error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunReason {
    /// The name is not one that an interface can have.
    Name,
    /// /dev/net/tun is missing, or has no driver.
    NoDriver,
    /// /dev/net/tun may not be opened.
    NotAllowedToOpen,
    /// Making a device needs a capability.
    NoCapability,
    /// Another process has it.
    Busy,
    /// It is no TUN device, or one of another kind.
    OtherKind,
    /// The device was deleted.
    Gone,
    /// It is down.
    Down,
    /// Anything else.
    Other,
}

fn hint(reason: TunReason) -> &'static str {
    match reason {
        TunReason::Name => "; a name has 1 to 15 characters, no spaces and no `/`",
        TunReason::NoDriver => {
            "; there is no TUN support here: try `modprobe tun`, or in a container `--device /dev/net/tun`"
        }
        TunReason::NotAllowedToOpen => {
            "; you may not open /dev/net/tun: ask for `chmod 0666 /dev/net/tun` (the usual mode), or run as root"
        }
        TunReason::NoCapability => {
            "; making a device needs CAP_NET_ADMIN: use --sandbox, run as root, or have an administrator run \
             `ip tuntap add dev tcplab0 mode tun user $USER`"
        }
        TunReason::Busy => "; another process uses it: choose another name with --tun",
        TunReason::OtherKind => "; an interface of that name is there and is no TUN device with one queue",
        TunReason::Gone => "; the device was deleted: start tcplab again, which makes a new one",
        TunReason::Down => "; the device is down: `ip link set up` brings it up",
        TunReason::Other => "",
    }
}

impl TunError {
    pub(super) fn new(step: &'static str, name: &str, cause: io::Error) -> Self {
        // Linux's numbers, because ErrorKind does not distinguish EACCES from EPERM.
        let reason = match cause.raw_os_error() {
            Some(2 | 6 | 19 | 25) => TunReason::NoDriver,
            Some(13) => TunReason::NotAllowedToOpen,
            Some(1) => TunReason::NoCapability,
            Some(16) => TunReason::Busy,
            Some(22) => TunReason::OtherKind,
            Some(77) => TunReason::Gone,
            Some(5) => TunReason::Down,
            _ => TunReason::Other,
        };
        Self { step, name: name.to_owned(), cause, reason }
    }

    /// The reason.
    pub fn reason(&self) -> TunReason {
        self.reason
    }
}

impl Tun {
    /// Opens the device of that name, or makes it; a `%d` in the name becomes a free number.
    ///
    /// # Errors
    /// [`TunError`]; its text contains what to do.
    pub fn open(name: &str) -> Result<Self, TunError> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':');
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains(odd) {
            let cause = io::Error::new(ErrorKind::InvalidInput, "not the name of an interface");
            return Err(TunError {
                step: "open the TUN device",
                name: name.to_owned(),
                cause,
                reason: TunReason::Name,
            });
        }
        let step = "open the TUN device";
        let iface = Iface::without_packet_info(name, Mode::Tun).map_err(|cause| TunError::new(step, name, cause))?;
        iface.set_non_blocking().map_err(|cause| TunError::new("make non-blocking the TUN device", name, cause))?;
        Ok(Self { name: iface.name().to_owned(), iface, scratch: vec![0; ROOM].into_boxed_slice() })
    }

    /// The name that the kernel assigned.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads one packet that the kernel has sent, of any length. False if there is none now (also while the device is
    /// down). The buffer of `packet` grows to the length of the packet, if it is shorter.
    ///
    /// # Errors
    /// [`TunError`], for example when the device was deleted.
    pub fn receive(&mut self, packet: &mut Packet) -> Result<bool, TunError> {
        packet.bytes.clear();
        match rustix::io::read(netif::borrow(&self.iface), &mut self.scratch[..]) {
            Ok(len) => {
                packet.bytes.extend_from_slice(&self.scratch[..len]);
                Ok(true)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(errno) => Err(TunError::new("read a packet from", &self.name, errno.into())),
        }
    }

    /// As [`Tun::receive`], into a buffer: the length of the packet. What is longer than the buffer is cut.
    ///
    /// # Errors
    /// [`TunError`].
    pub fn read(&self, buffer: &mut [u8]) -> Result<Option<usize>, TunError> {
        match self.iface.recv(buffer) {
            Ok(len) => Ok(Some(len)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
            Err(cause) => Err(TunError::new("read a packet from", &self.name, cause)),
        }
    }

    /// Writes one packet to the kernel; false if the kernel has no room for it. Then the packet is lost, as on a wire.
    ///
    /// # Errors
    /// [`TunError`], for example when the device is down or was deleted.
    pub fn send(&self, packet: &[u8]) -> Result<bool, TunError> {
        match self.iface.send(packet) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(false),
            Err(error) if error.raw_os_error() == Some(105) => Ok(false),
            Err(cause) => Err(TunError::new("write a packet to", &self.name, cause)),
        }
    }

    /// Packets for the device that the kernel dropped because its queue was full. From /proc/net/dev, which shows the
    /// network namespace of this process.
    pub fn tx_dropped(&self) -> Option<u64> {
        let table = fs::read_to_string("/proc/thread-self/net/dev").ok()?;
        let row = table.lines().find_map(|line| line.trim_start().strip_prefix(&self.name)?.strip_prefix(':'))?;
        // Eight columns for what was received, then bytes, packets, errors, drops of what was sent.
        row.split_whitespace().nth(11)?.parse().ok()
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        netif::borrow(&self.iface)
    }
}
