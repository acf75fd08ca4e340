//! The place of the host: the sandbox, the device in it, the addresses of both sides. `Session::open` calls it.

use std::net::IpAddr;

use super::args::{Device, Tcp};
use crate::app::Registry;
use crate::cli::{CliError, links, named, values};
use crate::device::{self, Tun, TunReason};
use crate::link::LinkSchedule;
use crate::live;
use crate::socket::HostConfig;
use crate::view::printable;

/// The name of the device in a sandbox.
const NAME: &str = "tcplab0";
/// Packets that the kernel queues for the device: the windows of a few dozen connections.
const QUEUE_LEN: u32 = 10_000;

pub(super) struct Place {
    pub(super) tun: Tun,
    pub(super) host: HostConfig,
    /// From the host to the kernel, and back.
    pub(super) links: [LinkSchedule; 2],
}

impl Device {
    /// The addresses of the kernel's side.
    pub(super) fn kernel_addresses(&self) -> Vec<IpAddr> {
        or_default(&self.kernel_address, 2).into_iter().map(|(ip, _)| ip).collect()
    }
}

impl Place {
    pub(super) fn open(wanted: &Device, tcp: &Tcp, registry: &Registry) -> Result<Self, CliError> {
        let links = links::schedules(&wanted.link, ["host", "kernel"])?;
        let congestion = named::controller(registry, &tcp.cc)?;
        check_networks(&or_default(&wanted.address, 1), &or_default(&wanted.kernel_address, 2))?;
        let in_sandbox = wanted.tun.is_none();
        if in_sandbox && wanted.address.is_empty() != wanted.kernel_address.is_empty() {
            let text = "--address, --kernel-address: in a sandbox, --address needs --kernel-address and the reverse, because \
                        each side must reach the other: --address 10.0.0.1/24 --kernel-address 10.0.0.2/24";
            return Err(CliError::Usage(text.to_owned()));
        }
        if in_sandbox {
            check_reach(&or_default(&wanted.address, 1), &or_default(&wanted.kernel_address, 2))?;
            live::enter().map_err(|error| CliError::Run(error.to_string()))?;
        }
        let name = wanted.tun.as_deref().unwrap_or(NAME);
        if name.starts_with('-') {
            let text = format!(
                "--tun {}: a name does not begin with a hyphen; example: --tun tcplab0",
                printable(name, false)
            );
            return Err(CliError::Usage(text));
        }
        let was_there = !in_sandbox && device::exists(name);
        // A name that cannot be, or that another kind of device has, is a mistake of the command line.
        let failed = |error: device::TunError| match error.reason() {
            TunReason::Name | TunReason::OtherKind if !in_sandbox => {
                CliError::Usage(format!("--tun {}: {error}; example: --tun tcplab0", printable(name, false)))
            }
            _ => CliError::Run(error.to_string()),
        };
        let tun = Tun::open(name).map_err(failed)?;
        let given = !wanted.kernel_address.is_empty();
        // A device that existed keeps its settings.
        if !was_there || given {
            let addresses = or_default(&wanted.kernel_address, 2);
            let settings =
                device::InterfaceSettings { addresses, mtu: usize::from(wanted.mtu), queue_len: Some(QUEUE_LEN) };
            match live::set_up(tun.name(), &settings) {
                Err(error) if was_there && error.reason() == TunReason::NoCapability => {}
                result => result.map_err(failed)?,
            }
        }
        let host = HostConfig {
            seed: wanted.seed.unwrap_or_else(values::fresh_seed),
            addresses: or_default(&wanted.address, 1),
            mtu: usize::from(wanted.mtu),
            rcv_buf: tcp.rcvbuf,
            snd_buf: tcp.sndbuf,
            congestion,
            algorithms: registry.algorithms().clone(),
            min_rto: tcp.min_rto,
            ..HostConfig::default()
        };
        Ok(Self { tun, host, links })
    }
}

/// The addresses of the userspace host.
pub(super) fn own_addresses(wanted: &Device) -> Vec<(IpAddr, u8)> {
    or_default(&wanted.address, 1)
}

/// Refuses an address that both sides have.
fn check_networks(own: &[(IpAddr, u8)], kernel: &[(IpAddr, u8)]) -> Result<(), CliError> {
    match own.iter().find(|(address, _)| kernel.iter().any(|(other, _)| other == address)) {
        Some((address, prefix)) => Err(CliError::Usage(format!(
            "--address {address}/{prefix}: the kernel's side has this address too; give each side its own, such as \
             --address 10.0.0.1/24 --kernel-address 10.0.0.2/24"
        ))),
        None => Ok(()),
    }
}

/// Refuses sides that do not reach each other: no address of one lies in a network of the other.
fn check_reach(own: &[(IpAddr, u8)], kernel: &[(IpAddr, u8)]) -> Result<(), CliError> {
    let shares = |(a, prefix): &(IpAddr, u8), (b, other): &(IpAddr, u8)| {
        network(*a, *prefix) == network(*b, *prefix) && network(*a, *other) == network(*b, *other)
    };
    if own.iter().any(|a| kernel.iter().any(|b| shares(a, b))) {
        return Ok(());
    }
    let shown =
        |all: &[(IpAddr, u8)]| all.iter().map(|(ip, prefix)| format!("{ip}/{prefix}")).collect::<Vec<_>>().join(",");
    Err(CliError::Usage(format!(
        "--address {}: no address of the kernel's side, {}, lies in the same network, so the sides cannot reach each other; \
         example: --address 10.0.0.1/24 --kernel-address 10.0.0.2/24",
        shown(own),
        shown(kernel)
    )))
}

/// The version and the first bits of an address.
fn network(ip: IpAddr, prefix: u8) -> (bool, u128) {
    let (bits, width) = match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()), 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    (ip.is_ipv4(), bits.checked_shr(width - u32::from(prefix).min(width)).unwrap_or(0))
}

/// The given addresses, else `192.168.69.x/24` and `fd69::x/64`.
fn or_default(given: &[(IpAddr, u8)], last: u8) -> Vec<(IpAddr, u8)> {
    if given.is_empty() {
        let v6 = [0xfd69, 0, 0, 0, 0, 0, 0, u16::from(last)];
        vec![(IpAddr::from([192, 168, 69, last]), 24), (IpAddr::from(v6), 64)]
    } else {
        given.to_vec()
    }
}
