//! One side of a wire: its addresses, its network namespace, and the TUN device in it. `Wire` opens both.

use std::fs;
use std::net::IpAddr;

use super::WireError;
use super::path::LEFT;
use crate::device::{CableEnd, InterfaceSettings, Tun};
use crate::event::HostId;
use crate::live::sandbox::NetNamespace;
use crate::live::set_up;

/// The name of the device in both namespaces.
const NAME: &str = "tcplab0";
/// Packets that the kernel queues for the device: the windows of a few dozen connections.
const QUEUE_LEN: u32 = 10_000;
/// The MTU of a device whose link has none.
const MTU: u16 = 1500;
/// The smallest MTU of a device with IPv6 (RFC 8200, section 5).
const SMALLEST_V6: u16 = 1280;

/// A side of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// 10.77.0.1 and `fd77::1`.
    Left,
    /// 10.77.0.2 and `fd77::2`.
    Right,
}

/// Packets that were lost between the link and the kernel of a side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideCounters {
    /// The kernel dropped them, because the queue of the device was full before the link could take them.
    pub dropped_by_queue: u64,
    /// The kernel did not take them, because it had no room.
    pub not_written: u64,
    /// The device was down.
    pub while_down: u64,
    /// The kernel did not take them, because a link had changed their IP version.
    pub no_ip: u64,
}

/// A namespace and its device.
pub(super) struct End {
    pub(super) namespace: NetNamespace,
    pub(super) tun: Tun,
    pub(super) counters: SideCounters,
}

impl Side {
    /// Left, then right.
    pub const BOTH: [Self; 2] = [Self::Left, Self::Right];

    /// The side in events.
    pub const fn host(self) -> HostId {
        match self {
            Self::Left => LEFT,
            Self::Right => HostId(LEFT.0 + 1),
        }
    }

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }

    /// The end of the first or last cable that it is at.
    pub(super) const fn end(self) -> CableEnd {
        match self {
            Self::Left => CableEnd::A,
            Self::Right => CableEnd::B,
        }
    }

    /// The addresses of its kernel. The prefixes have room for the hops, so that their ICMP errors come from an address
    /// with a route.
    pub fn addresses(self) -> [(IpAddr, u8); 2] {
        let last = self.host().0 as u8 + 1;
        [(IpAddr::from([10, 77, 0, last]), 16), (IpAddr::from([0xfd77, 0, 0, 0, 0, 0, 0, u16::from(last)]), 16)]
    }
}

impl End {
    /// Makes the namespace, enters it, and sets up its device. `mtu` is that of the link.
    pub(super) fn open(side: Side, mtu: Option<u16>) -> Result<Self, WireError> {
        let namespace = NetNamespace::make()?;
        let tun = Tun::open(NAME)?;
        let mtu = mtu.unwrap_or(MTU);
        let addresses = side.addresses().into_iter().filter(|(ip, _)| ip.is_ipv4() || mtu >= SMALLEST_V6).collect();
        // There is no router: its solicitations would be packets of nobody between those of the commands.
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{NAME}/router_solicitations"), "0");
        set_up(tun.name(), &InterfaceSettings { addresses, mtu: usize::from(mtu), queue_len: Some(QUEUE_LEN) })?;
        Ok(Self { namespace, tun, counters: SideCounters::default() })
    }
}
