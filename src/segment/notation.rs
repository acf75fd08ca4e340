//! One packet on one line, as tcpdump(1) writes it: flags in brackets, `seq from:to`, `ack`, `win`, options, length.

use core::fmt;

use super::{Flags, IpView, Protocol, Segment};

impl fmt::Display for Flags {
    /// `S` SYN, `F` FIN, `R` RST, `P` PSH, `U` URG, `.` ACK, `E` ECE, `W` CWR; `none` without any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: [(Flags, &str); 8] = [
            (Flags::SYN, "S"),
            (Flags::FIN, "F"),
            (Flags::RST, "R"),
            (Flags::PSH, "P"),
            (Flags::URG, "U"),
            (Flags::ACK, "."),
            (Flags::ECE, "E"),
            (Flags::CWR, "W"),
        ];
        if !LETTERS.iter().any(|(flag, _)| self.contains(*flag)) {
            return f.write_str("none");
        }
        LETTERS.iter().filter(|(flag, _)| self.contains(*flag)).try_for_each(|(_, letter)| f.write_str(letter))
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Segment<'_> {
    /// `192.0.2.1:80 > 192.0.2.2:4000 Flags [S.], seq 7, ack 9, win 65535, <mss 1460,wscale 1,sackOK>, length 0`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {} Flags [{}], seq {}", self.src, self.dst, self.flags, self.seq)?;
        if !self.is_empty() {
            write!(f, ":{}", self.end())?;
        }
        if self.is_ack() {
            write!(f, ", ack {}", self.ack)?;
        }
        write!(f, ", win {}", self.window)?;
        self.options.fmt(f)?;
        write!(f, ", length {}", self.payload.len())
    }
}

impl fmt::Display for super::Options {
    /// `, <mss 1460,sackOK>`, or nothing when there are none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = ", <";
        let mut item = |f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>| {
            f.write_str(separator)?;
            separator = ",";
            f.write_fmt(text)
        };
        if let Some(mss) = self.mss {
            item(f, format_args!("mss {mss}"))?;
        }
        if let Some(shift) = self.wscale {
            item(f, format_args!("wscale {shift}"))?;
        }
        if self.sack_permitted {
            item(f, format_args!("sackOK"))?;
        }
        if let Some(ts) = self.ts {
            item(f, format_args!("TS val {} ecr {}", ts.ts_val, ts.ts_ecr))?;
        }
        for block in self.sack_blocks() {
            item(f, format_args!("sack {}:{}", block.left, block.right))?;
        }
        if separator == "," { f.write_str(">") } else { Ok(()) }
    }
}

impl fmt::Display for IpView<'_> {
    /// TCP as a segment; anything else as `src > dst UDP, length n`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Ok(segment) = Segment::parse(self) {
            return segment.fmt(f);
        }
        let (src, dst, len) = (self.src, self.dst, self.payload.len());
        match self.protocol {
            Protocol::Udp if len >= 8 && !self.fragment => {
                let port = |at: usize| u16::from_be_bytes([self.payload[at], self.payload[at + 1]]);
                let src = core::net::SocketAddr::new(src, port(0));
                let dst = core::net::SocketAddr::new(dst, port(2));
                write!(f, "{src} > {dst} UDP, length {}", len - 8)
            }
            Protocol::Icmp | Protocol::Icmpv6 if len >= 4 => {
                write!(f, "{src} > {dst} ICMP type {} code {}, length {len}", self.payload[0], self.payload[1])
            }
            other => write!(f, "{src} > {dst} protocol {}, length {len}", other.number()),
        }
    }
}
