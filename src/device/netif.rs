//! Sets addresses, MTU, queue length and "up" of a network interface, as `ip address add` and `ip link set` would do.
//! It uses ioctl(2) (netdevice(7), and `in6_ifreq` for IPv6). The queue length is set by rtnetlink(7), because its
//! ioctl requires a capability in the initial user namespace. `live` calls it.
//!
//! This file has the unsafe code of the TUN device. Each call passes the kernel a structure that is valid for the call.

#![allow(unsafe_code)]

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::tun::TunError;

/// The settings of the kernel's side of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceSettings {
    /// Addresses with their prefix lengths.
    pub addresses: Vec<(IpAddr, u8)>,
    /// The largest packet, 68 to 65,535 bytes.
    pub mtu: usize,
    /// The queue length of the device in packets; `None` does not change it.
    pub queue_len: Option<u32>,
}

/// `struct ifreq`, for the requests in use here.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    data: RequestData,
}

#[repr(C)]
union RequestData {
    address: libc::sockaddr_in,
    flags: libc::c_short,
    number: libc::c_int,
    _room: [u8; 24],
}

impl Request {
    fn new(name: &str, data: RequestData) -> Self {
        let mut request = Self { name: [0; libc::IFNAMSIZ], data };
        for (value, byte) in request.name.iter_mut().zip(name.bytes()).take(libc::IFNAMSIZ - 1) {
            *value = byte;
        }
        request
    }
}

/// `struct in6_ifreq`.
#[repr(C)]
struct Request6 {
    address: libc::in6_addr,
    prefix: u32,
    index: libc::c_int,
}

/// Applies the settings to the interface and brings it up.
///
/// # Errors
/// [`TunError`] that names the step.
pub fn configure(name: &str, settings: &InterfaceSettings) -> Result<(), TunError> {
    let step = |step| move |cause| TunError::new(step, name, cause);
    let v4 = socket(libc::AF_INET, 0).map_err(step("open a socket to set up"))?;
    ioctl(&v4, libc::SIOCSIFMTU, name, RequestData { number: settings.mtu as libc::c_int })
        .map_err(step("set the MTU of"))?;
    if let Some(queue_len) = settings.queue_len {
        set_queue_len(name, queue_len).map_err(step("set the queue length of"))?;
    }
    for (address, prefix) in &settings.addresses {
        if let IpAddr::V4(address) = address {
            ioctl(&v4, libc::SIOCSIFADDR, name, in4(*address)).map_err(step("set the address of"))?;
            let mask = Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0));
            ioctl(&v4, libc::SIOCSIFNETMASK, name, in4(mask)).map_err(step("set the netmask of"))?;
        }
    }
    keep_addresses(name);
    bring_up(&v4, name).map_err(step("bring up"))?;
    for (address, prefix) in &settings.addresses {
        if let IpAddr::V6(address) = address {
            add_v6(name, *address, *prefix).map_err(step("add the IPv6 address of"))?;
        }
    }
    Ok(())
}

/// Has the kernel keep the IPv6 addresses of this interface while it is down, as it keeps those of IPv4. Where that is not
/// allowed, they have to be given again when it is up.
fn keep_addresses(name: &str) {
    let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/keep_addr_on_down"), "1");
}

/// The address from which the kernel would send to `to`; `None` if it has no route. A destination of its own is its own
/// source. Nothing is sent.
pub fn source_to(to: IpAddr) -> Option<IpAddr> {
    let any = if to.is_ipv4() { IpAddr::from([0; 4]) } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    // The discard port: connect(2) of a datagram socket only looks the route up.
    socket.connect((to, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Whether there is an interface of that name in the network namespace of this process (/sys shows another's).
pub fn exists(name: &str) -> bool {
    index_of(name).is_ok()
}

/// Whether an IPv6 address of the interface is still tentative (RFC 4862, section 5.4). On a TUN the kernel ends that
/// state soon after. Until then it does not use the address as a source. A connection that begins in that time keeps
/// another source, such as `::1`.
///
/// # Errors
/// [`TunError`].
pub fn is_tentative(name: &str) -> Result<bool, TunError> {
    /// `IFA_F_TENTATIVE` of `linux/if_addr.h`.
    const TENTATIVE: u32 = 0x40;
    let table = match std::fs::read_to_string("/proc/net/if_inet6") {
        // A kernel without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        table => table.map_err(|cause| TunError::new("read the addresses of", name, cause))?,
    };
    Ok(table.lines().any(|line| {
        // Address, index, prefix length, scope, flags, name.
        let mut words = line.split_whitespace().skip(4);
        let flags = words.next().and_then(|flags| u32::from_str_radix(flags, 16).ok()).unwrap_or(0);
        words.next() == Some(name) && flags & TENTATIVE != 0
    }))
}

/// Brings an interface up that needs nothing else: the loopback of a new namespace.
///
/// # Errors
/// [`TunError`].
pub fn up(name: &str) -> Result<(), TunError> {
    let socket = socket(libc::AF_INET, 0).map_err(|cause| TunError::new("open a socket to set up", name, cause))?;
    bring_up(&socket, name).map_err(|cause| TunError::new("bring up", name, cause))
}

/// The descriptor of an open device, valid as long as the device is.
pub(super) fn borrow(device: &tun_tap::Iface) -> BorrowedFd<'_> {
    // SAFETY: the descriptor belongs to `device`, which outlives the borrow.
    unsafe { BorrowedFd::borrow_raw(device.as_raw_fd()) }
}

/// Keeps the flags that are there: without `IFF_NOARP` the kernel looks for duplicates of its IPv6 addresses for a second.
fn bring_up(socket: &OwnedFd, name: &str) -> io::Result<()> {
    let mut request = Request::new(name, RequestData { flags: 0 });
    // SAFETY: SIOCGIFFLAGS writes the flags into an ifreq, which `request` is; it is valid for the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) })?;
    // SAFETY: every bit pattern is a number, and the kernel has just written this one.
    let flags = unsafe { request.data.flags } | (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    ioctl(socket, libc::SIOCSIFFLAGS, name, RequestData { flags })
}

fn add_v6(name: &str, address: Ipv6Addr, prefix: u8) -> io::Result<()> {
    let socket = socket(libc::AF_INET6, 0)?;
    let request = Request6 {
        address: libc::in6_addr { s6_addr: address.to_bits().to_be_bytes() },
        prefix: u32::from(prefix),
        index: index_of(name)?,
    };
    // SAFETY: SIOCSIFADDR on an IPv6 socket reads an in6_ifreq, which `request` is; it is valid for the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFADDR as _, &raw const request) })
}

fn in4(address: Ipv4Addr) -> RequestData {
    RequestData {
        address: libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: 0,
            sin_addr: libc::in_addr { s_addr: address.to_bits().to_be() },
            sin_zero: [0; 8],
        },
    }
}

fn index_of(name: &str) -> io::Result<libc::c_int> {
    let name = CString::new(name)?;
    // SAFETY: the name is NUL-terminated and valid for the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 { Err(io::Error::last_os_error()) } else { Ok(index as libc::c_int) }
}

/// `RTM_SETLINK` with one attribute, and the answer to it.
fn set_queue_len(name: &str, queue_len: u32) -> io::Result<()> {
    const LEN: u32 = 16 + 16 + 8;
    let mut request = Vec::with_capacity(LEN as usize);
    // struct nlmsghdr: length, type, flags, sequence number, sender.
    request.extend_from_slice(&LEN.to_ne_bytes());
    request.extend_from_slice(&libc::RTM_SETLINK.to_ne_bytes());
    request.extend_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16).to_ne_bytes());
    request.extend_from_slice(&[0; 8]);
    // struct ifinfomsg: family and type of device, index, flags and which of them to change: none.
    request.extend_from_slice(&[0; 4]);
    request.extend_from_slice(&index_of(name)?.to_ne_bytes());
    request.extend_from_slice(&[0; 8]);
    // struct rtattr: length, type, value.
    request.extend_from_slice(&8_u16.to_ne_bytes());
    request.extend_from_slice(&libc::IFLA_TXQLEN.to_ne_bytes());
    request.extend_from_slice(&queue_len.to_ne_bytes());
    let mut netlink = File::from(socket(libc::AF_NETLINK, libc::NETLINK_ROUTE)?);
    netlink.write_all(&request)?;
    let mut answer = [0; 256];
    let len = netlink.read(&mut answer)?;
    // The header, then the error number with its sign turned: zero is good.
    let code = answer[..len].get(16..20).and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes);
    match code {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is too short")),
    }
}

fn socket(family: libc::c_int, protocol: libc::c_int) -> io::Result<OwnedFd> {
    let kind = if family == libc::AF_NETLINK { libc::SOCK_RAW } else { libc::SOCK_DGRAM };
    // SAFETY: no memory is passed to the kernel.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    check(fd)?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn ioctl(socket: &OwnedFd, number: libc::c_ulong, name: &str, data: RequestData) -> io::Result<()> {
    let request = Request::new(name, data);
    // SAFETY: the requests in use here read an ifreq, which `request` is; it is valid for the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), number as _, &raw const request) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
