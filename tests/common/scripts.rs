//! packetdrill scripts for tests: those of the shared corpus, and small ones that use each part of the language.

#![allow(dead_code, reason = "each test binary compiles this module anew and uses its own part of it")]

use std::fs;
use std::path::{Path, PathBuf};

use tcplab::drill::parse::Definitions;

/// Every script below a directory, in order.
pub(crate) fn scripts_below(directory: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a directory of scripts") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "pkt") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The scripts of the shared corpus with their texts. `None` if it is not there.
#[track_caller]
pub(crate) fn corpus() -> Option<Vec<(PathBuf, String)>> {
    let all = scripts_below(&crate::programs::shared("corpus/packetdrill/freebsd-tcp-testsuite")?);
    Some(all.into_iter().map(|path| (path.clone(), fs::read_to_string(path).expect("a text"))).collect())
}

/// Definitions as behind `-D`.
pub(crate) fn defined(words: &[&str]) -> Definitions {
    let mut definitions = Definitions::new();
    for word in words {
        definitions.define(word).expect("a definition");
    }
    definitions
}

/// Small scripts that together use each part of the language.
pub(crate) const SMALL: [&str; 3] = [
    "--ip_version=ipv4\n--tolerance_usecs=50000\n--define=LEN=1000\n-D NAME=\"reno\"\n`../common/defaults.sh`\n\
     // a server\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n\
     +0 fcntl(3, F_SETFL, O_RDWR | O_NONBLOCK) = 0\n\
     +0 bind(3, {sa_family = AF_INET, sin_port = htons(8080), sin_addr = inet_addr(\"192.168.0.1\")}, ...) = 0\n\
     +0 listen(3, 1) = 0\n\
     +0 < [ect0] S 0:0(0) win 32792 <mss LEN,sackOK,nop,nop,nop,wscale 7>\n\
     +0~+0.1 > S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 8>\n\
     #ifdef FreeBSD\n+.1 < . 1:1(0) ack 1 win 257\n#else\n+.2 < . 1:1(0) ack 1 win 257\n#endif\n\
     +0 accept(3, ..., ...) = 4\n\
     +0...0.3 read(4, ..., 1000) = 1000\n\
     +.1 < P. 1:1001(LEN) ack 1 win 257 <nop,nop,TS val 100 ecr 0>\n\
     * > . 1:1(0) ack 1001 <...>\n\
     +0 %{ assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd }%\n\
     +0 close(4) = -1 EBADF (Bad file descriptor)\n`true`\n",
    "0 `sysctl -w net.inet.tcp.rfc1323=1`\n\
     +0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)\n\
     +0 > (ttl 64, tos 0x10) SEW 0:0(0) <mss 1460,sackOK,TS val 1 ecr 0,FO 01020304,eol,eol>/udp(9811 > 1)\n\
     +0 < icmp unreachable frag_needed mtu 1200 [0:0(0)/udp(9811 > 1)]\n\
     +0 > 80 > 4000 R. ...(0)! ack 1 win 0 urg 7 <nop,nop,sack 1:2,md5 valid,FOEXP 00>\n\
     +0 < udp 1 > 2 (7)\n+0 > S 0:0(0) <kind 254 01,sack 1:2 3:4>\n+0 > ipv4 192.0.2.1 > 192.0.2.2: gre: .5 1:1(0) ack 1 <ECN e0b 1 ceb 0>\n",
    "0.0 poll([{fd=4, events=POLLIN|POLLOUT, revents=0}], 1, -1) = 0x1 (note)\n\
     0.1 setsockopt(4, SOL_TCP, TCP_CONGESTION, \"re\" \"no\\n\", 4) = 0\n\
     0.2 `x`\n0.4...0.5 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 1}], msg_flags=0,\n\
     msg_control=[{cmsg_level=SOL_IP, cmsg_type=1, cmsg_data={ee_errno=0, ee_info=-0x1}}]}, 0) = ...\n\
     0.6 bind(3, {sin6_addr=inet_pton(AF_INET6, \"fd3d::1\"), x=inet6_addr(\"::\")}, 28) = 0\n",
];
