//! STUB, to be dropped: the shape of `net` that `sim` is compiled against.
#![allow(missing_docs, missing_debug_implementations, unused_variables, clippy::all, clippy::pedantic, dead_code)]

use std::borrow::Cow;
use std::cell::{Ref, RefMut};
use std::future::Future;
use std::marker::PhantomData;

use crate::event::StackEvent;
use crate::segment::Packet;
use crate::socket::{Errno, Fd, Host};
use crate::time::{Duration, Instant};

pub struct Runtime;
#[derive(Clone)]
pub struct Net;
pub struct JoinHandle<T>(PhantomData<T>);
pub struct Call {
    pub fd: Fd,
    pub call: &'static str,
    pub result: Result<i64, Errno>,
}

#[rustfmt::skip]
impl Runtime {
    pub fn new(host: Host) -> Self { todo!() }
    pub fn net(&self) -> Net { todo!() }
    pub fn handle_packet(&mut self, now: Instant, packet: &mut Packet) { todo!() }
    pub fn handle_timeout(&mut self, now: Instant) { todo!() }
    pub fn run(&mut self, now: Instant) { todo!() }
    pub fn poll_transmit(&mut self, now: Instant, packet: &mut Packet) -> bool { todo!() }
    pub fn next_at(&mut self) -> Option<Instant> { todo!() }
    pub fn observe_events(&mut self, on: bool) { todo!() }
    pub fn poll_event(&mut self) -> Option<StackEvent> { todo!() }
    pub fn poll_call(&mut self) -> Option<Call> { todo!() }
    pub fn host(&self) -> Ref<'_, Host> { todo!() }
    pub fn host_mut(&mut self) -> RefMut<'_, Host> { todo!() }
    pub fn waiting(&self) -> Vec<String> { todo!() }
    pub fn tasks(&self) -> usize { todo!() }
}

#[rustfmt::skip]
impl Net {
    pub async fn sleep(&self, duration: Duration) { todo!() }
    pub fn spawn_named<T: 'static>(&self, name: impl Into<Cow<'static, str>>, future: impl Future<Output = T> + 'static) -> JoinHandle<T> { todo!() }
}

#[rustfmt::skip]
impl<T> JoinHandle<T> {
    pub fn is_finished(&self) -> bool { todo!() }
    pub fn try_take(&mut self) -> Option<T> { todo!() }
}
