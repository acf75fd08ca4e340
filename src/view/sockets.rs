//! The sockets that the host at the vantage point of a capture must have had: a listener where it was asked for a
//! connection and gave it, and one socket for each connection. Descriptors are not on the wire: they are numbered from 3
//! on in the order in which the sockets showed themselves.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeSet;

use super::trace::Trace;
use crate::event::State;
use crate::socket::{DescriptorRow, Fd};

impl Trace {
    /// The addresses of the host at the vantage point: those that the directions in the file tell, else the one that most
    /// packets have in common, and of two the one that was asked for a connection.
    pub fn vantage_point(&self) -> Vec<IpAddr> {
        if !self.own.is_empty() {
            return self.own.iter().copied().collect();
        }
        let most = self.addresses.values().max();
        let busiest: Vec<_> =
            self.addresses.iter().filter(|(_, count)| Some(*count) == most).map(|(address, _)| *address).collect();
        let asked = |stream: &super::Stream| stream.opener.map(|opener| stream.ends[1 - opener].ip());
        let asked = self.streams().iter().filter_map(asked).find(|address| busiest.contains(address));
        asked.or(busiest.first().copied()).into_iter().collect()
    }

    /// The descriptor table of that host, reconstructed.
    pub fn descriptors(&self) -> Vec<DescriptorRow> {
        let own = self.vantage_point();
        let is_own = |end: &SocketAddr| own.contains(&end.ip());
        let mut rows: Vec<DescriptorRow> = Vec::new();
        let mut push = |kind, state, local, remote| {
            let fd = Fd(3 + rows.len() as u32);
            rows.push(DescriptorRow { fd, state, kind, local: Some(local), remote, recv_q: 0 });
        };
        let mut listening = BTreeSet::new();
        let mut bound = BTreeSet::new();
        let mut datagrams: Vec<_> = self.datagrams.iter().collect();
        datagrams.sort_by_key(|(_, behind)| **behind);
        let mut datagrams = datagrams.into_iter().peekable();
        for number in 0..=self.streams().len() {
            while let Some((ends, _)) = datagrams.next_if(|(_, behind)| **behind <= number) {
                for local in ends.iter().filter(|end| is_own(end)) {
                    if bound.insert(*local) {
                        push("UDP", None, *local, None);
                    }
                }
            }
            let Some(stream) = self.streams().get(number) else { break };
            let Some(side) = stream.ends.iter().position(is_own) else { continue };
            let (local, remote) = (stream.ends[side], stream.ends[1 - side]);
            let answered = stream.packets[side] > 0 && !matches!(stream.close, super::Close::Refused(_));
            if stream.opener == Some(1 - side) {
                if !answered {
                    continue;
                }
                if listening.insert(local) {
                    push("TCP", Some(State::Listen), local, None);
                }
            }
            push("TCP", stream.states()[side], local, Some(remote));
        }
        rows
    }
}
