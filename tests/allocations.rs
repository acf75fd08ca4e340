//! In the steady state no packet costs an allocation: an allocator that counts watches an async echo program and its
//! client over 100,000 packets, in the simulator, with links, guard and watch.

#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; this one counts and hands on to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use tcplab::net::{TcpListener, TcpStream};
use tcplab::sim::Sim;
use tcplab::time::Duration;

struct Counting;

thread_local! {
    /// Allocations of this thread, growing a block included; other threads of the test runner do not count.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Bytes allocated and not given back.
    static IN_USE: Cell<i64> = const { Cell::new(0) };
    /// Panic at the next allocation, to see where it is made.
    static TRAP: Cell<bool> = const { Cell::new(false) };
}

fn count(allocations: u64, octets: i64) {
    let _ = ALLOCATIONS.try_with(|cell| cell.set(cell.get() + allocations));
    let _ = IN_USE.try_with(|cell| cell.set(cell.get() + octets));
    if allocations > 0 && TRAP.try_with(Cell::take).unwrap_or(false) {
        let _ = TRAP.try_with(|trap| trap.set(false));
        panic!("an allocation in the steady state: RUST_BACKTRACE=1 shows where");
    }
}

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PACKETS: u64 = 100_000;

async fn echo(stream: TcpStream) -> std::io::Result<()> {
    let mut buf = [0; 4096];
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(()),
            count => stream.write_all(&buf[..count]).await?,
        }
    }
}

/// Messages of `size` bytes for ever, each echoed, with a rest after it; then what was counted over 100,000 packets.
fn steady_state(link: &str, size: usize, rest: Duration) {
    let sim = Sim::seeded(1);
    let (client, server) = (sim.host("client", "192.0.2.2/24"), sim.host("server", "192.0.2.1/24"));
    let link = sim.link(&client, &server, link);
    let addr = SocketAddr::new(server.address(), 7);
    server.spawn_daemon(async move |net| {
        let listener = TcpListener::bind(&net, addr)?;
        let (stream, _) = listener.accept().await?;
        echo(stream).await
    });
    let messages = Rc::new(Cell::new(0_u64));
    let counted = Rc::clone(&messages);
    client.spawn_daemon(async move |net| {
        let stream = TcpStream::connect(&net, addr).await?;
        let (message, mut buf) = (vec![1; size], vec![0; size]);
        loop {
            stream.write_all(&message).await?;
            stream.read_exact(&mut buf).await?;
            counted.set(counted.get() + 1);
            if !rest.is_zero() {
                net.sleep(rest).await;
            }
        }
        #[allow(unreachable_code)]
        Ok::<_, std::io::Error>(())
    });
    let sent = || link.counters(&client).sent + link.counters(&server).sent;
    let wait_for = |packets: u64| sim.run_until(|| sent() >= packets);
    // Warm: every pool has its packets, every heap its room.
    wait_for(400_000);
    let (packets, allocations, in_use) = (sent(), ALLOCATIONS.get(), IN_USE.get());
    TRAP.set(std::env::var("TCPLAB_TRAP").is_ok());
    wait_for(packets + PACKETS);
    TRAP.set(false);
    let made = ALLOCATIONS.get() - allocations;
    assert_eq!(made, 0, "allocations over {PACKETS} packets, {} messages", messages.get());
    assert_eq!(IN_USE.get() - in_use, 0, "bytes more in use");
}

#[test]
fn small_messages_one_after_the_other() {
    steady_state("delay=1ms", 64, Duration::ZERO);
}

#[test]
fn messages_with_a_rest_between_them_so_that_acks_are_delayed_and_timers_run() {
    steady_state("delay=1ms", 64, Duration::from_millis(30));
}

#[test]
fn messages_of_many_segments_through_a_link_with_a_rate_and_a_queue() {
    steady_state("rate=100Mbit,delay=2ms,limit=1000", 30_000, Duration::ZERO);
}

#[test]
fn messages_through_a_link_that_does_everything_that_a_line_can_say() {
    let line = "rate=100Mbit,delay=2ms,jitter=500us:normal,loss=gemodel:0.1%:50%,reorder=0.1%,duplicate=0.1%,\
        corrupt=0.1%,limit=1000,down=1ms..2ms,drop=data:100-102,drop=rst,hold=ack:7:3ms";
    steady_state(line, 3_000, Duration::ZERO);
}

#[test]
fn the_allocator_counts() {
    let (allocations, in_use) = (ALLOCATIONS.get(), IN_USE.get());
    let block = std::hint::black_box(vec![0_u8; 100]);
    assert_eq!((ALLOCATIONS.get() - allocations, IN_USE.get() - in_use), (1, 100));
    drop(block);
    assert_eq!((ALLOCATIONS.get() - allocations, IN_USE.get() - in_use), (1, 0));
}
