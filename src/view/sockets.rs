//! The sockets that the host at the vantage point of a capture must have had: a listener where it was asked for a
//! connection and gave it, and one socket for each connection. Descriptors are not on the wire: they are numbered from 3
//! on in the order in which the sockets showed themselves.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeSet;

use crate::conversation::{Close, Side};
use crate::event::State;
use crate::socket::{DescriptorRow, Fd};
use crate::trace::{Flow, Trace};

/// The addresses of the host at the vantage point of a capture: those that the directions in the file tell, else the one
/// that most packets have in common, and of two the one that was asked for a connection.
pub fn vantage_point(trace: &Trace) -> Vec<IpAddr> {
    let addresses = trace.addresses();
    if !addresses.own.is_empty() {
        return addresses.own.iter().copied().collect();
    }
    let most = addresses.packets.values().max();
    let busiest: Vec<_> =
        addresses.packets.iter().filter(|(_, count)| Some(*count) == most).map(|(address, _)| *address).collect();
    let asked = |flow: &Flow| flow.account.opener.map(|opener| flow.ends[opener.other() as usize].ip());
    let asked = trace.flows().iter().filter_map(asked).find(|address| busiest.contains(address));
    asked.or(busiest.first().copied()).into_iter().collect()
}

/// The descriptor table of that host, reconstructed.
pub fn descriptors(trace: &Trace) -> Vec<DescriptorRow> {
    let own = vantage_point(trace);
    let is_own = |end: &SocketAddr| own.contains(&end.ip());
    let mut rows: Vec<DescriptorRow> = Vec::new();
    let mut push = |kind, state, local, remote| {
        let fd = Fd(3 + rows.len() as u32);
        rows.push(DescriptorRow { fd, state, kind, local: Some(local), remote, recv_q: 0 });
    };
    let mut listening = BTreeSet::new();
    let mut bound = BTreeSet::new();
    let mut datagrams: Vec<_> = trace.addresses().datagrams.iter().collect();
    datagrams.sort_by_key(|(_, behind)| **behind);
    let mut datagrams = datagrams.into_iter().peekable();
    let flows = trace.flows();
    for place in 0..=flows.len() {
        let begun = flows.get(place).map_or(usize::MAX, |flow| flow.number);
        while let Some((ends, _)) = datagrams.next_if(|(_, behind)| **behind <= begun) {
            for local in ends.iter().filter(|end| is_own(end)) {
                if bound.insert(*local) {
                    push("UDP", None, *local, None);
                }
            }
        }
        let Some(flow) = flows.get(place) else { break };
        let Some(side) = Side::BOTH.into_iter().find(|side| is_own(&flow.ends[*side as usize])) else { continue };
        let (local, remote) = (flow.ends[side as usize], flow.ends[side.other() as usize]);
        let account = &flow.account;
        let answered = account.segments[side as usize] > 0 && !matches!(account.close, Close::Refused(_));
        if account.opener == Some(side.other()) {
            if !answered {
                continue;
            }
            if listening.insert(local) {
                push("TCP", Some(State::Listen), local, None);
            }
        }
        push("TCP", flow.states()[side as usize], local, Some(remote));
    }
    rows
}
