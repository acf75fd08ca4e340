//! The names of what is not looked into: link types (tcpdump.org/linktypes.html), `EtherTypes` and others (IANA). Summaries
//! and ladders show them.

use core::fmt;

/// What a frame carries in place of an IP packet that could be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Unread {
    /// A link layer, by its number in tcpdump.org/linktypes.html.
    LinkType(u32),
    /// An `EtherType`.
    EtherType(u16),
    /// A protocol of PPP (RFC 1661).
    PppProtocol(u16),
    /// A service access point of LLC (IEEE 802.2).
    Llc(u8),
    /// An organization and its protocol in a SNAP header (IEEE 802).
    Snap(u32, u16),
    /// An address family of BSD.
    AddressFamily(u32),
    /// Something that has no number, by its name.
    Other(&'static str),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::LinkType(number) => {
                write!(f, "link type {number}")?;
                link_type(number)
            }
            Self::EtherType(number) => {
                write!(f, "EtherType {number:#06x}")?;
                ethertype(number)
            }
            Self::PppProtocol(number) => {
                write!(f, "PPP protocol {number:#06x}")?;
                ppp_protocol(number)
            }
            Self::Llc(number) => {
                write!(f, "LLC service access point {number:#04x}")?;
                service_access_point(number)
            }
            Self::Snap(organization, protocol) => {
                write!(f, "SNAP protocol {organization:06x}:{protocol:04x}")?;
                snap(organization, protocol)
            }
            Self::AddressFamily(number) => return write!(f, "address family {number}"),
            Self::Other(name) => return f.write_str(name),
        };
        name.map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

fn link_type(number: u32) -> Option<&'static str> {
    Some(match number {
        2 => "experimental Ethernet",
        3 => "AX.25",
        7 => "ARCNET",
        8 => "SLIP",
        106 => "ATM CLIP",
        114 => "LocalTalk",
        118 => "Cisco IOS",
        122 => "IP over Fibre Channel",
        123 => "SunATM",
        129 => "ARCNET Linux",
        130..=137 | 178..=183 | 194 | 200 | 222 => "Juniper",
        140 => "MTP2 with pseudo-header",
        141 => "MTP2",
        142 => "MTP3",
        143 => "DOCSIS",
        144 => "Linux IrDA",
        147..=162 => "private use",
        165 => "BACnet MS/TP",
        169 => "GPRS LLC",
        177 => "Linux LAPD",
        187 => "Bluetooth HCI",
        189 => "USB, Linux",
        190 => "CAN 2.0B",
        191 | 195 | 215 | 230 => "IEEE 802.15.4",
        197 => "ERF",
        201 => "Bluetooth HCI with pseudo-header",
        203 => "LAPD",
        204 => "PPP with direction",
        205 => "Cisco HDLC with direction",
        206 => "frame relay with direction",
        209 => "IPMB, Linux",
        210 => "FlexRay",
        212 => "LIN",
        220 => "USB, Linux, memory-mapped",
        224 => "Fibre Channel",
        226 => "Solaris ipnet",
        227 => "SocketCAN",
        231 => "D-Bus",
        235 => "DVB-CI",
        239 => "netfilter log",
        243 => "MPEG-2 transport stream",
        245 => "NFC LLCP",
        247 => "InfiniBand",
        248 => "SCTP",
        249 => "USBPcap",
        251 => "Bluetooth LE",
        252 => "Wireshark upper PDU",
        253 => "Linux netlink",
        254 => "Bluetooth, Linux monitor",
        256 => "Bluetooth LE with radio header",
        266 => "macOS USB",
        272 => "Nordic Bluetooth LE",
        281 => "Broadcom DSA tag",
        283 => "IEEE 802.15.4 with TAP header",
        284 | 285 => "Marvell DSA tag",
        _ => return None,
    })
}

fn ethertype(number: u16) -> Option<&'static str> {
    Some(match number {
        0x0600 => "XNS",
        0x0800 => "IPv4",
        0x0806 => "ARP",
        0x0842 => "Wake-on-LAN",
        0x22f0 => "AVTP",
        0x22f3 => "TRILL",
        0x6000..=0x6009 => "DEC",
        0x8035 => "RARP",
        0x809b => "AppleTalk",
        0x80f3 => "AppleTalk ARP",
        0x8137 => "IPX",
        0x86dd => "IPv6",
        0x8808 => "flow control",
        0x8809 => "slow protocols, LACP",
        0x8847 | 0x8848 => "MPLS",
        0x8863 => "PPPoE discovery",
        0x8864 => "PPPoE session",
        0x8870 => "jumbo frames",
        0x887b => "HomePlug",
        0x888e => "EAPOL",
        0x8892 => "PROFINET",
        0x88a2 => "ATA over Ethernet",
        0x88a4 => "EtherCAT",
        0x88b8 => "GOOSE",
        0x88ba => "sampled values",
        0x88cc => "LLDP",
        0x88cd => "SERCOS III",
        0x88e1 => "HomePlug AV",
        0x88e5 => "MACsec",
        0x88f7 => "PTP",
        0x8902 => "CFM",
        0x8906 => "FCoE",
        0x8914 => "FCoE initialization",
        0x8915 => "RoCE",
        0x891d => "TTEthernet",
        0x892f => "HSR",
        0x9000 => "loopback",
        0x90f0 => "ESL",
        _ => return None,
    })
}

fn ppp_protocol(number: u16) -> Option<&'static str> {
    Some(match number {
        0x0021 => "IPv4",
        0x002b => "IPX",
        0x002d => "TCP with compressed header",
        0x002f => "TCP with uncompressed header",
        0x0031 => "bridging",
        0x003d => "multilink",
        0x0053 => "encryption",
        0x0057 => "IPv6",
        0x0061 | 0x0063 | 0x0065 | 0x0067 => "IP with compressed header",
        0x00fb | 0x00fd => "compression",
        0x0281 | 0x0283 => "MPLS",
        0x8021 => "IPCP",
        0x8053 => "ECP",
        0x8057 => "IPV6CP",
        0x80fd => "CCP",
        0x8281 => "MPLSCP",
        0xc021 => "LCP",
        0xc023 => "PAP",
        0xc025 => "link quality",
        0xc223 => "CHAP",
        0xc227 => "EAP",
        _ => return None,
    })
}

fn service_access_point(number: u8) -> Option<&'static str> {
    Some(match number {
        0x00 => "null",
        0x06 => "IP",
        0x42 => "spanning tree",
        0xaa => "SNAP",
        0xe0 => "IPX",
        0xf0 => "NetBIOS",
        0xf4 | 0xf8 | 0xfc => "remote program load",
        0xfe => "OSI, such as IS-IS",
        0xff => "IPX, raw",
        _ => return None,
    })
}

fn snap(organization: u32, protocol: u16) -> Option<&'static str> {
    Some(match (organization, protocol) {
        (0x00_000c, 0x010b) => "PVST+",
        (0x00_000c, 0x010c) => "VLAN bridge",
        (0x00_000c, 0x0111) => "UDLD",
        (0x00_000c, 0x2000) => "CDP",
        (0x00_000c, 0x2003) => "VTP",
        (0x00_000c, 0x2004) => "DTP",
        (0x08_0007, 0x809b) => "AppleTalk",
        _ => return None,
    })
}
