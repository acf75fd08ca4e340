//! The state machine of one connection: smoltcp's TCP socket, which no text passes through. It is shown the segments that
//! change the state, in sequence numbers of its own, and moves through the states of RFC 9293, section 3.3.2. What it
//! emits is read for its initial sequence number and dropped: every segment on the wire is built by `tcp` itself.
//! Without text and with a clock that stands still, the steps taken decide the state. So each sequence of steps is taken
//! by a socket once for each host, and its state is kept in [`Machines`]. A connection has the number of its sequence.
//! [`Tcp`](super::Tcp) calls it; nothing else of the stack knows smoltcp's socket.

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::tcp;
use smoltcp::time::Instant as SmoltcpInstant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpEndpoint, IpListenEndpoint};

use super::workarounds;
use crate::event::State;
use crate::stack::one_packet::OnePacket;

/// What a machine is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// The peer's SYN.
    Syn,
    /// The peer's SYN that acknowledges ours.
    SynAck,
    /// The acknowledgment of our SYN.
    AckOfSyn,
    /// The peer's FIN, in order: RCV.NXT has reached it.
    Fin,
    /// The acknowledgment of our FIN.
    AckOfFin,
    /// An RST that is valid.
    Rst,
}

/// What a machine goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Show(Shown),
    Close,
    Abort,
}

/// How many steps there are.
const STEPS: usize = 8;

impl Step {
    const fn index(self) -> usize {
        match self {
            Self::Show(shown) => shown as usize,
            Self::Close => 6,
            Self::Abort => 7,
        }
    }
}

/// How a machine opens: the sequence of steps that is still empty.
const ACTIVE: u16 = 0;
const PASSIVE: u16 = 1;

/// The sequences of steps that connections of a host went through, and the state after each.
pub(in crate::stack) struct Machines {
    wire: Wire,
    sequences: Vec<Sequence>,
}

/// A sequence of steps. None is in it twice, and none follows CLOSED, so there is a bound for their number.
#[derive(Debug)]
struct Sequence {
    /// The sequence without its last step, and that step.
    from: Option<(u16, Step)>,
    state: State,
    /// The sequence with one more step, if a socket has taken it.
    next: [Option<u16>; STEPS],
}

impl Machines {
    pub(in crate::stack) fn new() -> Self {
        let mut machines = Self { wire: Wire::new(), sequences: Vec::new() };
        for opening in [ACTIVE, PASSIVE] {
            let state = Socket::open(opening, &mut machines.wire).state();
            machines.sequences.push(Sequence { from: None, state, next: [None; STEPS] });
        }
        machines
    }

    fn sequence(&self, number: u16) -> &Sequence {
        &self.sequences[usize::from(number)]
    }

    /// The sequence `number` with one more step.
    fn after(&mut self, number: u16, step: Step) -> u16 {
        self.sequence(number).next[step.index()].unwrap_or_else(|| self.learn(number, step))
    }

    /// A socket takes all steps.
    #[cold]
    fn learn(&mut self, number: u16, step: Step) -> u16 {
        let mut steps = vec![step];
        let mut opening = number;
        while let Some((from, step)) = self.sequence(opening).from {
            steps.push(step);
            opening = from;
        }
        // A step that was taken before, and one after CLOSED, changes nothing.
        let next = if self.sequence(number).state == State::Closed || steps[1..].contains(&step) {
            number
        } else {
            let mut socket = Socket::open(opening, &mut self.wire);
            steps.iter().rev().for_each(|step| socket.take(*step, &mut self.wire));
            self.sequences.push(Sequence { from: Some((number, step)), state: socket.state(), next: [None; STEPS] });
            (self.sequences.len() - 1) as u16
        };
        self.sequences[usize::from(number)].next[step.index()] = Some(next);
        next
    }
}

/// The state machine of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    sequence: u16,
    state: State,
}

impl Machine {
    /// Open, active: SYN-SENT.
    pub(super) fn connect(machines: &Machines) -> Self {
        Self { sequence: ACTIVE, state: machines.sequence(ACTIVE).state }
    }

    /// Open, passive, and the peer's SYN: SYN-RECEIVED.
    pub(super) fn accept_syn(machines: &mut Machines) -> Self {
        let mut machine = Self { sequence: PASSIVE, state: State::Listen };
        machine.show(Shown::Syn, machines);
        machine
    }

    /// Shows a segment. Returns the state after it.
    pub(super) fn show(&mut self, what: Shown, machines: &mut Machines) -> State {
        self.take(Step::Show(what), machines)
    }

    /// Close (RFC 9293, section 3.10.4). In SYN-RECEIVED it is held back until ESTABLISHED. Returns the state after it.
    pub(super) fn close(&mut self, machines: &mut Machines) -> State {
        self.take(Step::Close, machines)
    }

    /// Abort (RFC 9293, section 3.10.5): CLOSED.
    pub(super) fn abort(&mut self, machines: &mut Machines) -> State {
        self.take(Step::Abort, machines)
    }

    /// The state.
    pub(super) const fn state(self) -> State {
        self.state
    }

    fn take(&mut self, step: Step, machines: &mut Machines) -> State {
        self.sequence = machines.after(self.sequence, step);
        self.state = machines.sequence(self.sequence).state;
        self.state
    }
}

/// What sockets share: smoltcp's interface, and room for what a socket says.
struct Wire {
    interface: Interface,
    said: Vec<u8>,
}

impl Wire {
    fn new() -> Self {
        let mut said = Vec::new();
        let device = &mut OnePacket::sending(MTU, &mut said);
        let mut interface = Interface::new(Config::new(HardwareAddress::Ip), device, NOW);
        interface.set_any_ip(true);
        Self { interface, said }
    }
}

/// smoltcp's socket in a set of its own. Its clock stands still: no timer of it ever expires.
struct Socket {
    set: SocketSet<'static>,
    handle: SocketHandle,
    /// What smoltcp has chosen as its initial sequence number.
    iss: u32,
    /// The peer's FIN was shown.
    fin_shown: bool,
    /// Our FIN is acknowledged.
    fin_acked: bool,
    /// Close was called in SYN-RECEIVED.
    close_held: bool,
}

const NOW: SmoltcpInstant = SmoltcpInstant::ZERO;
const MTU: usize = 576;
const LOCAL: IpAddress = IpAddress::v4(192, 0, 2, 1);
const REMOTE: IpAddress = IpAddress::v4(192, 0, 2, 2);
const PORT: u16 = 1;

impl Socket {
    fn new() -> Self {
        let empty = |len| tcp::SocketBuffer::new(vec![0; len]);
        let mut socket = tcp::Socket::new(empty(1), empty(0));
        socket.set_ack_delay(None);
        socket.set_nagle_enabled(false);
        let mut set = SocketSet::new(Vec::<SocketStorage<'static>>::with_capacity(1));
        let handle = set.add(socket);
        Self { set, handle, iss: 0, fin_shown: false, fin_acked: false, close_held: false }
    }

    /// A socket in SYN-SENT or in LISTEN.
    fn open(opening: u16, wire: &mut Wire) -> Self {
        let mut socket = Self::new();
        if opening == ACTIVE {
            let ends = (IpEndpoint::new(REMOTE, PORT), IpListenEndpoint::from((LOCAL, PORT)));
            let opened = socket.socket().connect(wire.interface.context(), ends.0, ends.1);
            debug_assert_eq!(opened, Ok(()), "the socket is new and both ends are valid");
            socket.settle(wire);
        } else {
            let opened = socket.socket().listen(PORT);
            debug_assert_eq!(opened, Ok(()), "the socket is new and the port is not zero");
        }
        socket
    }

    fn take(&mut self, step: Step, wire: &mut Wire) {
        match step {
            Step::Show(shown) => self.show(shown, wire),
            Step::Close => self.close(wire),
            Step::Abort => self.socket().abort(),
        }
    }

    fn show(&mut self, what: Shown, wire: &mut Wire) {
        match what {
            Shown::Fin => self.fin_shown = true,
            Shown::AckOfFin => self.fin_acked = true,
            _ => {}
        }
        let packet = self.packet(what);
        wire.said.clear();
        let mut device = OnePacket::receiving(MTU, &packet, &mut wire.said);
        wire.interface.poll_ingress_single(NOW, &mut device, &mut self.set);
        self.note_iss(&wire.said);
        self.settle(wire);
        if what == Shown::Rst {
            workarounds::end_after_rst(self.socket());
        }
        if self.close_held && self.state() == State::Established {
            self.close_held = false;
            self.close(wire);
        }
    }

    fn close(&mut self, wire: &mut Wire) {
        if workarounds::must_hold_close(self.state()) {
            self.close_held = true;
        } else {
            self.socket().close();
            self.settle(wire);
        }
    }

    fn state(&self) -> State {
        match self.set.get::<tcp::Socket<'static>>(self.handle).state() {
            tcp::State::Closed => State::Closed,
            tcp::State::Listen => State::Listen,
            tcp::State::SynSent => State::SynSent,
            tcp::State::SynReceived => State::SynReceived,
            tcp::State::Established => State::Established,
            tcp::State::FinWait1 => State::FinWait1,
            tcp::State::FinWait2 => State::FinWait2,
            tcp::State::CloseWait => State::CloseWait,
            tcp::State::Closing => State::Closing,
            tcp::State::LastAck => State::LastAck,
            tcp::State::TimeWait => State::TimeWait,
        }
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.set.get_mut(self.handle)
    }

    /// Polls until smoltcp has nothing more to emit.
    fn settle(&mut self, wire: &mut Wire) {
        let Wire { interface, said } = wire;
        let (set, mut iss) = (&mut self.set, None);
        workarounds::poll_until_silent(interface, set, NOW, MTU, said, |packet| iss = iss.or(iss_of(packet)));
        if let Some(iss) = iss {
            self.iss = iss;
        }
    }

    fn note_iss(&mut self, packet: &[u8]) {
        if let Some(iss) = iss_of(packet) {
            self.iss = iss;
        }
    }

    /// The segment that stands for `what`. The peer's initial sequence number is 0. Checksums are not looked at.
    fn packet(&self, what: Shown) -> [u8; HEADERS] {
        const FIN: u8 = 0x01;
        const SYN: u8 = 0x02;
        const RST: u8 = 0x04;
        const ACK: u8 = 0x10;
        let before_fin = 1 + u32::from(self.fin_shown && what != Shown::Fin);
        let (seq, flags) = match what {
            Shown::Syn => (0, SYN),
            Shown::SynAck => (0, SYN | ACK),
            Shown::AckOfSyn | Shown::AckOfFin => (before_fin, ACK),
            Shown::Fin => (1, FIN | ACK),
            Shown::Rst => (workarounds::seq_of_rst(self.fin_shown), RST | ACK),
        };
        let ack = self.iss.wrapping_add(1 + u32::from(self.fin_acked));
        let mut packet = HEADER;
        packet[24..28].copy_from_slice(&seq.to_be_bytes());
        if flags & ACK != 0 {
            packet[28..32].copy_from_slice(&ack.to_be_bytes());
        }
        packet[33] = flags;
        packet
    }
}

const HEADERS: usize = 40;

/// An IPv4 header from the peer's address to ours, and a TCP header with a window of 65,535.
const HEADER: [u8; HEADERS] = {
    let mut packet = [0; HEADERS];
    (packet[0], packet[3], packet[6], packet[8], packet[9]) = (0x45, HEADERS as u8, 0x40, 64, 6);
    (packet[12], packet[14], packet[15]) = (192, 2, 2);
    (packet[16], packet[18], packet[19]) = (192, 2, 1);
    (packet[21], packet[23]) = (PORT as u8, PORT as u8);
    (packet[32], packet[34], packet[35]) = (0x50, 0xff, 0xff);
    packet
};

/// The sequence number of a SYN that smoltcp emits.
fn iss_of(packet: &[u8]) -> Option<u32> {
    let header = packet.get(20..40)?;
    (header[13] & 0x02 != 0).then(|| u32::from_be_bytes([header[4], header[5], header[6], header[7]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active() -> (Machines, Machine) {
        let machines = Machines::new();
        let machine = Machine::connect(&machines);
        assert_eq!(machine.state(), State::SynSent);
        (machines, machine)
    }

    fn established() -> (Machines, Machine) {
        let (mut machines, mut machine) = active();
        assert_eq!(machine.show(Shown::SynAck, &mut machines), State::Established);
        (machines, machine)
    }

    #[test]
    fn a_passive_open_goes_through_syn_received() {
        let mut machines = Machines::new();
        let mut machine = Machine::accept_syn(&mut machines);
        assert_eq!(machine.state(), State::SynReceived);
        assert_eq!(machine.show(Shown::AckOfSyn, &mut machines), State::Established);
    }

    #[test]
    fn rfc_9293_figure_7_a_simultaneous_open_goes_through_syn_received() {
        let (mut machines, mut machine) = active();
        assert_eq!(machine.show(Shown::Syn, &mut machines), State::SynReceived);
        assert_eq!(machine.show(Shown::AckOfSyn, &mut machines), State::Established);
    }

    #[test]
    fn rfc_9293_figure_12_a_normal_close() {
        let (mut machines, mut machine) = established();
        assert_eq!(machine.close(&mut machines), State::FinWait1);
        assert_eq!(machine.show(Shown::AckOfFin, &mut machines), State::FinWait2);
        assert_eq!(machine.show(Shown::Fin, &mut machines), State::TimeWait);
        let (mut machines, mut machine) = established();
        assert_eq!(machine.show(Shown::Fin, &mut machines), State::CloseWait);
        assert_eq!(machine.close(&mut machines), State::LastAck);
        assert_eq!(machine.show(Shown::AckOfFin, &mut machines), State::Closed);
    }

    #[test]
    fn rfc_9293_figure_13_a_simultaneous_close() {
        let (mut machines, mut machine) = established();
        assert_eq!(machine.close(&mut machines), State::FinWait1);
        assert_eq!(machine.show(Shown::Fin, &mut machines), State::Closing);
        assert_eq!(machine.show(Shown::AckOfFin, &mut machines), State::TimeWait);
    }

    #[test]
    fn a_close_in_syn_received_waits_for_established() {
        let mut machines = Machines::new();
        let mut machine = Machine::accept_syn(&mut machines);
        assert_eq!(machine.close(&mut machines), State::SynReceived);
        assert_eq!(machine.show(Shown::AckOfSyn, &mut machines), State::FinWait1);
        assert_eq!(machine.show(Shown::AckOfFin, &mut machines), State::FinWait2);
    }

    #[test]
    fn an_rst_ends_every_state() {
        let (mut machines, mut machine) = active();
        assert_eq!(machine.show(Shown::Rst, &mut machines), State::Closed);
        let mut passive = Machine::accept_syn(&mut machines);
        assert_eq!(passive.show(Shown::Rst, &mut machines), State::Closed);
        let (mut machines, mut machine) = established();
        assert_eq!(machine.show(Shown::Rst, &mut machines), State::Closed);
        let (mut machines, mut machine) = established();
        machine.show(Shown::Fin, &mut machines);
        assert_eq!(machine.show(Shown::Rst, &mut machines), State::Closed, "after the peer's FIN");
        let (mut machines, mut machine) = established();
        machine.close(&mut machines);
        machine.show(Shown::AckOfFin, &mut machines);
        assert_eq!(machine.show(Shown::Rst, &mut machines), State::Closed, "in FIN-WAIT-2");
    }

    #[test]
    fn an_abort_closes_every_state() {
        let (mut machines, mut machine) = established();
        assert_eq!(machine.abort(&mut machines), State::Closed);
        assert_eq!(machine.state(), State::Closed);
    }

    /// Every order of steps up to this length, from both opens.
    fn all_sequences(len: usize) -> Vec<(u16, Vec<Step>)> {
        let shown = [Shown::Syn, Shown::SynAck, Shown::AckOfSyn, Shown::Fin, Shown::AckOfFin, Shown::Rst];
        let steps: Vec<_> = shown.map(Step::Show).into_iter().chain([Step::Close, Step::Abort]).collect();
        let mut all = vec![(ACTIVE, Vec::new()), (PASSIVE, Vec::new())];
        let mut last = all.clone();
        for _ in 0..len {
            let longer = |(opening, before): &(u16, Vec<Step>)| {
                let (opening, before) = (*opening, before.clone());
                steps.clone().into_iter().map(move |step| (opening, [before.clone(), vec![step]].concat()))
            };
            last = last.iter().flat_map(longer).collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    #[test]
    fn a_state_that_is_kept_is_that_of_a_socket_of_the_connections_own() {
        let mut machines = Machines::new();
        let mut wire = Wire::new();
        for (opening, steps) in all_sequences(4) {
            let mut socket = Socket::open(opening, &mut wire);
            let mut machine = Machine { sequence: opening, state: socket.state() };
            for (at, step) in steps.iter().enumerate() {
                socket.take(*step, &mut wire);
                machine.take(*step, &mut machines);
                // Tcp shows nothing twice.
                if steps[..at].contains(step) {
                    break;
                }
                assert_eq!(machine.state(), socket.state(), "{steps:?} up to {at}");
            }
        }
    }

    #[test]
    fn the_connections_of_a_host_share_the_sequences_of_steps() {
        let (mut machines, mut first) = established();
        first.close(&mut machines);
        let count = machines.sequences.len();
        for _ in 0..100 {
            let mut other = Machine::connect(&machines);
            other.show(Shown::SynAck, &mut machines);
            assert_eq!(other.close(&mut machines), State::FinWait1);
            // Again, and after CLOSED: no further sequence.
            other.close(&mut machines);
        }
        assert_eq!(machines.sequences.len(), count);
        first.abort(&mut machines);
        first.show(Shown::Rst, &mut machines);
        assert_eq!(machines.sequences.len(), count + 1);
    }
}
