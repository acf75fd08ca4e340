//! The handles of a host and of a link of a simulation, for tests.

use core::net::IpAddr;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::network::{Network, RunningProgram};
use super::{BUSY, SimError};
use crate::device::CableEnd;
use crate::event::HostId;
use crate::link::{Counters, Fault, LinkSpec};
use crate::net::{JoinHandle, Net, Runtime};
use crate::socket::Host;
use crate::time::Instant;

/// A host of a [`Sim`](super::Sim). Clones are the same host. It can be used wherever a name is expected.
#[derive(Clone)]
pub struct HostHandle {
    pub(super) network: Weak<RefCell<Network<Runtime>>>,
    pub(super) id: HostId,
    pub(super) name: Rc<str>,
    pub(super) addresses: Rc<[(IpAddr, u8)]>,
}

impl HostHandle {
    /// Starts a program on this host. It begins when the simulation runs next.
    /// [`Sim::run_until_idle`](super::Sim::run_until_idle) waits for its end. The handle gives its value.
    #[track_caller]
    pub fn spawn<F, T>(&self, program: F) -> JoinHandle<T>
    where
        F: AsyncFnOnce(Net) -> T + 'static,
        T: 'static,
    {
        let name = self.with(|network| format!("{} program {}", self.name, network.spawned + 1));
        self.spawn_named(name, false, program)
    }

    /// Starts a program under a name for messages. The simulation does not wait for the end of a daemon.
    #[track_caller]
    pub(crate) fn spawn_named<F, T>(&self, name: String, daemon: bool, program: F) -> JoinHandle<T>
    where
        F: AsyncFnOnce(Net) -> T + 'static,
        T: 'static,
    {
        let ended = Rc::new(Cell::new(false));
        let flag = Rc::clone(&ended);
        self.with(|network| {
            network.spawned += 1;
            if !daemon {
                network.programs.push(RunningProgram { name: name.clone(), ended });
            }
        });
        self.start(name, async move |net| {
            let value = program(net).await;
            flag.set(true);
            value
        })
    }

    /// Starts a program that serves without end. The simulation does not wait for its end.
    #[track_caller]
    pub fn spawn_daemon<F, T>(&self, program: F) -> JoinHandle<T>
    where
        F: AsyncFnOnce(Net) -> T + 'static,
        T: 'static,
    {
        let name = self.with(|network| format!("{} daemon {}", self.name, network.spawned + 1));
        self.spawn_named(name, true, program)
    }

    #[track_caller]
    fn start<F, T>(&self, name: String, program: F) -> JoinHandle<T>
    where
        F: AsyncFnOnce(Net) -> T + 'static,
        T: 'static,
    {
        let net = self.with(|network| {
            network.wake(self.id);
            network.host(self.id).endpoint.net()
        });
        let own = net.clone();
        net.spawn_named(name, async move { program(own).await })
    }

    /// Makes BSD calls directly, between two runs, at the present instant of the simulation. The packets that they
    /// cause are sent when the simulation runs next.
    #[track_caller]
    pub fn sys<R>(&self, calls: impl FnOnce(&mut Host) -> R) -> R {
        self.with(|network| {
            network.wake(self.id);
            let now = network.now();
            let mut host = network.host(self.id).endpoint.host_mut();
            host.set_now(now);
            calls(&mut host)
        })
    }

    /// Runs its programs until each of them waits. What they send leaves when the simulation runs next.
    #[track_caller]
    #[cfg(feature = "drill")]
    pub(crate) fn run_programs(&self) {
        self.with(|network| {
            network.wake(self.id);
            let now = network.now();
            network.host(self.id).endpoint.run(now);
        });
    }

    /// When the first sleep of its programs ends, if one sleeps.
    pub fn next_wake_up(&self) -> Option<Instant> {
        self.with(|network| network.host(self.id).endpoint.next_wake_up())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number in events.
    pub fn id(&self) -> HostId {
        self.id
    }

    /// Its first address.
    pub fn address(&self) -> IpAddr {
        self.addresses[0].0
    }

    /// All its addresses, with the lengths of their prefixes.
    pub fn addresses(&self) -> &[(IpAddr, u8)] {
        &self.addresses
    }

    #[track_caller]
    fn with<R>(&self, act: impl FnOnce(&mut Network<Runtime>) -> R) -> R {
        with(&self.network, act)
    }
}

impl AsRef<str> for HostHandle {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl core::fmt::Debug for HostHandle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "HostHandle({})", self.name)
    }
}

/// Both directions of a link of a [`Sim`](super::Sim). A direction is named by the host that sends into it.
#[derive(Clone)]
pub struct LinkHandle {
    pub(super) network: Weak<RefCell<Network<Runtime>>>,
    pub(super) cable: usize,
    /// The hosts at its ends.
    pub(super) names: [Rc<str>; 2],
}

impl LinkHandle {
    /// Adds a scripted fault to the direction that `from` sends into.
    ///
    /// # Panics
    /// If `from` is at neither end.
    #[track_caller]
    pub fn fault(&self, from: impl AsRef<str>, fault: impl Fault + 'static) {
        let end = self.end(from.as_ref());
        with(&self.network, |network| network.fabric.cables[self.cable][end].add_fault(fault));
    }

    /// The counters of the packets that `from` sent into the link.
    ///
    /// # Panics
    /// If `from` is at neither end.
    #[track_caller]
    pub fn counters(&self, from: impl AsRef<str>) -> Counters {
        let end = self.end(from.as_ref());
        with(&self.network, |network| network.fabric.cables[self.cable][end].counters())
    }

    /// The spec of the direction that `from` sends into.
    ///
    /// # Panics
    /// If `from` is at neither end.
    #[track_caller]
    pub fn spec(&self, from: impl AsRef<str>) -> LinkSpec {
        let end = self.end(from.as_ref());
        with(&self.network, |network| network.fabric.cables[self.cable][end].spec().clone())
    }

    /// The names of the hosts and routers at its ends, in the order in which they were joined.
    pub fn ends(&self) -> [&str; 2] {
        [&self.names[0], &self.names[1]]
    }

    #[track_caller]
    fn end(&self, from: &str) -> CableEnd {
        let [a, b] = &self.names;
        match from {
            name if name == &**a => CableEnd::A,
            name if name == &**b => CableEnd::B,
            other => panic!("{}", SimError::NotAtThisLink { host: other.to_owned(), link: format!("{a}-{b}") }),
        }
    }
}

impl core::fmt::Debug for LinkHandle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "LinkHandle({}-{})", self.names[0], self.names[1])
    }
}

#[track_caller]
pub(super) fn with<R>(network: &Weak<RefCell<Network<Runtime>>>, act: impl FnOnce(&mut Network<Runtime>) -> R) -> R {
    let network = network.upgrade().expect("the simulation that this handle belongs to is gone");
    let mut network = network.try_borrow_mut().expect(BUSY);
    act(&mut network)
}
