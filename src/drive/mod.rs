//! One turn of a host, and the one place that publishes its events. `sim`, `live` and `proxy` call it; no
//! other loop moves a host.
//!
//! ```text
//!   handle_packet  --+
//!   handle_timeout --+--> run: programs --> poll_transmit until nothing is due --> the next deadline
//! ```
//!
//! A loop implements [`Medium`]: it holds hosts and takes the packets that they send. It calls [`handle_packet`] and
//! [`handle_timeout`] for a batch of input, and then [`run`] once. So each connection that the batch touched is given its
//! egress once. After each step the events of the host go to the observers, in the order in which they happened.

#[cfg(any(feature = "proxy", all(feature = "live", target_os = "linux")))]
mod clock;
mod endpoint;

#[cfg(any(feature = "proxy", all(feature = "live", target_os = "linux")))]
pub(crate) use clock::Clock;
pub(crate) use endpoint::Endpoint;

use crate::event::{Event, HostEvent, HostId, Observer, Observers};
use crate::segment::Packet;
use crate::time::Instant;

/// More packets than a host can have to send at one instant. A host that sends more has a bug.
const MOST_PACKETS_AT_ONCE: u32 = 10_000_000;

/// What hosts are attached to. It has the hosts by number and the observers, and takes the packets of the hosts.
pub(crate) trait Medium {
    /// The type of the hosts.
    type Endpoint: Endpoint;
    /// Why a packet cannot be taken: the medium is broken. Lost packets are no error.
    type Error;

    /// The host of that number.
    fn endpoint(&mut self, host: HostId) -> &mut Self::Endpoint;

    /// The host of that number, and the buffer into which it writes the next packet.
    fn endpoint_and_buffer(&mut self, host: HostId) -> (&mut Self::Endpoint, &mut Packet);

    /// Takes the packet in the buffer from the host, and leaves an empty one there.
    fn transmit(&mut self, now: Instant, host: HostId) -> Result<(), Self::Error>;

    /// The observers of the events.
    fn observers(&mut self) -> &mut Observers;
}

/// Sets which events a host queues. Call it for each new host, and for all hosts after each new observer.
pub(crate) fn observe<M: Medium>(medium: &mut M, host: HostId) {
    let (events, numbers) = (!medium.observers().is_empty(), medium.observers().wants_numbers());
    let endpoint = medium.endpoint(host);
    endpoint.observe_events(events);
    endpoint.observe_numbers(numbers);
}

/// Gives a host a packet that has arrived. [`run`] follows after the last packet of a batch.
#[inline]
pub(crate) fn handle_packet<M: Medium>(medium: &mut M, now: Instant, host: HostId, packet: &mut Packet) {
    medium.endpoint(host).handle_packet(now, packet);
    publish(medium, now, host, Some(packet));
}

/// Fires the timers of a host that are due. [`run`] follows.
#[inline]
pub(crate) fn handle_timeout<M: Medium>(medium: &mut M, now: Instant, host: HostId) {
    medium.endpoint(host).handle_timeout(now);
    publish(medium, now, host, None);
}

/// Runs the programs of a host until each of them waits, and sends every packet that is due. Returns the next deadline
/// of the host.
///
/// # Errors
/// The medium did not take a packet.
#[inline]
pub(crate) fn run<M: Medium>(medium: &mut M, now: Instant, host: HostId) -> Result<Option<Instant>, M::Error> {
    medium.endpoint(host).run(now);
    publish(medium, now, host, None);
    let mut sent = 0;
    loop {
        let (endpoint, packet) = medium.endpoint_and_buffer(host);
        if !endpoint.poll_transmit(now, packet) {
            break;
        }
        medium.transmit(now, host)?;
        publish(medium, now, host, None);
        sent += 1;
        assert!(sent < MOST_PACKETS_AT_ONCE, "host {} sends without end", host.0);
    }
    publish(medium, now, host, None);
    Ok(medium.endpoint(host).next_at())
}

/// Publishes the events of a host to the observers. `packet` is the one just handled, if any.
#[inline]
fn publish<M: Medium>(medium: &mut M, now: Instant, host: HostId, packet: Option<&Packet>) {
    if !medium.observers().is_empty() {
        publish_all(medium, now, host, packet);
    }
}

#[cold]
fn publish_all<M: Medium>(medium: &mut M, now: Instant, host: HostId, packet: Option<&Packet>) {
    while let Some(event) = medium.endpoint(host).poll_event() {
        let event = match (event, packet) {
            (HostEvent::Dropped { why }, Some(packet)) => Event::StackDropped { host, packet, why },
            (event, _) => Event::Host { host, event },
        };
        medium.observers().on_event(now, &event);
    }
}
