//! Async programs over real traffic: the executor, the blocking-style calls, the async sockets and their traits, each
//! wait with its end. Every time is exact: the clock is virtual.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;

use crate::lab::{Lab, Log, lab, octets};
use futures_util::future::{Either, select};
use tcplab::app::errno;
use tcplab::net::{Elapsed, Net, TcpListener, TcpStream, UdpSocket};
use tcplab::socket::{Domain, Errno, Type, descriptor_table};
use tcplab::time::{Duration, Instant};

const PORT: u16 = 5000;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// A round trip of 20 ms.
const LINK: &str = "delay=10ms";

/// Accepts one connection and hands it, with its host, to `serve`.
fn serve<T: 'static>(
    lab: &Lab,
    serve: impl AsyncFnOnce(TcpStream) -> io::Result<T> + 'static,
) -> tcplab::net::JoinHandle<io::Result<T>> {
    let address = lab.at(PORT);
    lab.server.spawn_daemon(async move |net| {
        let (stream, _) = TcpListener::bind(&net, address)?.accept().await?;
        serve(stream).await
    })
}

async fn connect(net: &Net, address: SocketAddr) -> TcpStream {
    TcpStream::connect(net, address).await.expect("somebody listens")
}

// ---- tasks and time

#[test]
fn tasks_run_in_the_order_in_which_they_were_spawned_and_ties_in_time_too() {
    let lab = lab(1, LINK);
    let log = Log::default();
    let noted = log.clone();
    lab.run(async move |net| {
        let tasks: Vec<_> = [3, 1, 2, 1, 3]
            .into_iter()
            .enumerate()
            .map(|(number, seconds)| {
                let (net, log) = (net.clone(), noted.clone());
                net.clone().spawn(async move {
                    log.note(format!("task {number} begins"));
                    net.sleep(SECOND * seconds).await;
                    log.note(format!("task {number} at {}", net.now()));
                    number
                })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await, number, "joining gives what the task returned");
        }
    });
    let begun = (0..5).map(|number| format!("task {number} begins"));
    let slept = [(1, 1), (3, 1), (2, 2), (0, 3), (4, 3)].map(|(number, at)| format!("task {number} at {at}.000000000"));
    assert_eq!(log.lines(), begun.chain(slept).collect::<Vec<_>>());
}

#[test]
fn yielding_lets_the_others_go_first() {
    let lab = lab(1, LINK);
    let log = Log::default();
    let noted = log.clone();
    lab.run(async move |net| {
        let log = noted.clone();
        let other = net.spawn(async move { log.note("other") });
        net.yield_now().await;
        noted.note("this");
        other.await;
    });
    assert_eq!(log.lines(), ["other", "this"]);
}

#[test]
fn a_time_limit_ends_a_wait_to_the_nanosecond_and_loses_no_data() {
    let lab = lab(1, LINK);
    drop(serve(&lab, async |stream| {
        stream.net().sleep(SECOND * 5).await;
        stream.write_all(b"late").await
    }));
    let address = lab.at(PORT);
    lab.run(async move |net| {
        let stream = connect(&net, address).await;
        let begin = net.now();
        let mut buf = [0; 16];
        assert_eq!(net.timeout(SECOND, stream.read(&mut buf)).await.err(), Some(Elapsed));
        assert_eq!(net.now().since(begin), SECOND);
        let read = net.timeout(MINUTE, stream.read(&mut buf)).await.expect("in time").expect("no error");
        assert_eq!(&buf[..read], b"late");
        assert_eq!(net.timeout(Duration::ZERO, async { 7 }).await, Ok(7), "what is ready wins");
        net.sleep_until(Instant::EPOCH).await; // the past is over
    });
}

#[test]
fn a_program_need_not_be_send() {
    let lab = lab(1, LINK);
    let shared = Rc::new(RefCell::new(Vec::new()));
    let server = Rc::clone(&shared);
    drop(serve(&lab, async move |stream| {
        let mut buf = [0; 16];
        let count = stream.read(&mut buf).await?;
        server.borrow_mut().extend_from_slice(&buf[..count]);
        Ok(())
    }));
    let (address, client) = (lab.at(PORT), Rc::clone(&shared));
    lab.run(async move |net| {
        client.borrow_mut().push(b'>');
        connect(&net, address).await.write_all(b"hello").await.expect("written");
        client.borrow_mut().push(b'<');
    });
    lab.sim.run_for(SECOND);
    assert_eq!(*shared.borrow(), b"><hello");
}

// ---- several tasks on one descriptor

#[test]
fn tasks_that_accept_on_one_listener_are_served_in_the_order_in_which_they_came() {
    let lab = lab(1, LINK);
    let log = Log::default();
    let (address, noted) = (lab.at(PORT), log.clone());
    lab.server.spawn_daemon(async move |net| {
        let listener = Rc::new(TcpListener::bind(&net, address).expect("bound"));
        for name in ["first", "second", "third"] {
            let (listener, log) = (Rc::clone(&listener), noted.clone());
            drop(net.spawn(async move {
                loop {
                    let (_, peer) = listener.accept().await.expect("accepted");
                    log.note(format!("{name} took {}", peer.port()));
                }
            }));
        }
    });
    let ports = lab.run(async move |net| {
        let mut ports = Vec::new();
        for _ in 0..4 {
            ports.push(connect(&net, address).await.local_addr().expect("bound").port());
            net.sleep(SECOND).await;
        }
        ports
    });
    let takers = ["first", "second", "third", "first"];
    let expected: Vec<_> = takers.iter().zip(ports).map(|(name, port)| format!("{name} took {port}")).collect();
    assert_eq!(log.lines(), expected);
}

#[test]
fn readers_of_one_stream_take_turns_while_another_task_writes_to_it() {
    let lab = lab(1, LINK);
    drop(serve(&lab, async |stream| {
        for piece in ["one", "two", "six"] {
            stream.net().sleep(SECOND).await;
            stream.write_all(piece.as_bytes()).await?;
        }
        let mut question = [0; 8];
        stream.read_exact(&mut question).await?;
        stream.net().sleep(SECOND).await;
        stream.write_all(&question).await
    }));
    let (log, address) = (Log::default(), lab.at(PORT));
    let noted = log.clone();
    lab.run(async move |net| {
        let stream = connect(&net, address).await;
        let read = |name: &'static str| {
            let (stream, log) = (stream.clone(), noted.clone());
            net.spawn(async move {
                let mut buf = [0; 64];
                let count = stream.read(&mut buf).await.expect("no error");
                log.note(format!("{name} {}", String::from_utf8_lossy(&buf[..count])));
            })
        };
        let [first, second, third] = ["first", "second", "third"].map(read);
        stream.write_all(b"question").await.expect("written");
        first.await;
        second.await;
        third.await;
        let mut echoed = [0; 8];
        stream.read_exact(&mut echoed).await.expect("echoed");
        assert_eq!(&echoed, b"question");
    });
    assert_eq!(log.lines(), ["first one", "second two", "third six"]);
}

#[test]
fn closing_a_descriptor_ends_the_calls_that_wait_on_it() {
    let lab = lab(1, LINK);
    drop(serve(&lab, async |stream| {
        stream.read(&mut [0; 1]).await?;
        Ok(())
    }));
    let address = lab.at(PORT);
    lab.run(async move |net| {
        let fd = net.socket(Domain::Inet, Type::Stream).unwrap();
        net.connect(fd, address).await.unwrap();
        let reader = net.clone();
        let reading = net.spawn(async move { reader.read(fd, &mut [0; 1]).await });
        net.sleep(SECOND).await;
        net.close(fd).unwrap();
        assert_eq!(reading.await, Err(Errno::EBADF));
        assert_eq!(net.read(fd, &mut [0; 1]).await, Err(Errno::EBADF));
    });
}

// ---- cancellation

#[test]
fn a_dropped_read_takes_nothing_and_a_dropped_accept_no_connection() {
    let lab = lab(1, LINK);
    let address = lab.at(PORT);
    let mut served = lab.server.spawn(async move |net| {
        let listener = TcpListener::bind(&net, address)?;
        assert!(net.timeout(SECOND, listener.accept()).await.is_err(), "nobody came yet");
        net.sleep(SECOND * 2).await; // one comes meanwhile and waits
        let (stream, _) = listener.accept().await?;
        let mut buf = [0; 16];
        assert!(net.timeout(SECOND, stream.read(&mut buf)).await.is_err(), "nothing was written yet");
        let count = stream.read(&mut buf).await?;
        io::Result::Ok(buf[..count].to_vec())
    });
    lab.run(async move |net| {
        net.sleep(SECOND * 2).await;
        let stream = connect(&net, address).await;
        net.sleep(SECOND * 3).await;
        stream.write_all(b"whole").await.expect("written");
    });
    lab.sim.run_until_idle();
    assert_eq!(served.try_take().expect("ended").expect("no error"), b"whole");
}

#[test]
fn a_dropped_read_to_end_leaves_what_came_and_nothing_else() {
    let lab = lab(1, LINK);
    drop(serve(&lab, async |stream| {
        stream.write_all(b"some").await?;
        stream.net().sleep(MINUTE).await;
        Ok(())
    }));
    let address = lab.at(PORT);
    lab.run(async move |net| {
        let stream = connect(&net, address).await;
        let mut all = b"before ".to_vec();
        assert!(net.timeout(SECOND, stream.read_to_end(&mut all)).await.is_err(), "no end yet");
        assert_eq!(all, b"before some");
    });
}

#[test]
fn a_dropped_connect_gives_the_attempt_and_the_descriptor_up() {
    let lab = lab(1, "loss=100%");
    let address = lab.at(PORT);
    lab.run(async move |net| {
        let attempt = net.timeout(SECOND * 10, TcpStream::connect(&net, address)).await;
        assert_eq!(attempt.err(), Some(Elapsed));
        assert_eq!(descriptor_table(&net.host()), "");
    });
    let sent = lab.link.counters("client").sent;
    assert_eq!(sent, 4, "SYNs at 0, 1, 3 and 7 s (RFC 6298)");
    lab.sim.run_until_idle();
    assert_eq!(lab.link.counters("client").sent, sent, "and none later");
}

#[test]
fn the_slower_of_two_futures_can_be_dropped_at_any_point() {
    let lab = lab(1, LINK);
    drop(serve(&lab, async |stream| {
        for at in 0..50_u8 {
            stream.net().sleep(Duration::from_millis(37)).await;
            stream.write_all(&[at]).await?;
        }
        Ok(())
    }));
    let address = lab.at(PORT);
    lab.run(async move |net| {
        let stream = connect(&net, address).await;
        let mut all = Vec::new();
        let mut dropped = 0;
        loop {
            let mut buf = [0; 3];
            let first = match select(pin!(stream.read(&mut buf)), net.sleep(Duration::from_millis(13))).await {
                Either::Left((count, _)) => Some(count.expect("no error")),
                Either::Right(_) => None,
            };
            match first {
                Some(0) => break,
                Some(count) => all.extend_from_slice(&buf[..count]),
                None => dropped += 1,
            }
        }
        assert_eq!(all, (0..50).collect::<Vec<u8>>());
        assert!(dropped > 50, "{dropped}");
    });
}

// ---- who waits for what

#[test]
fn every_kind_of_wait_is_named_when_a_run_is_given_up() {
    let lab = lab(1, LINK);
    let address = lab.at(PORT);
    lab.server.spawn_daemon(async move |net| {
        let listener = TcpListener::bind(&net, address).expect("bound");
        let (_stream, _) = listener.accept().await.expect("accepted");
        listener.accept().await.map(drop).expect("nobody comes");
    });
    drop(lab.client.spawn(async move |net| {
        let stream = connect(&net, address).await;
        let (reader, writer, poller) = (stream.clone(), stream.clone(), net.clone());
        drop(net.spawn_named("reader", async move { reader.read(&mut [0; 1]).await.map(drop) }));
        drop(net.spawn_named("writer", async move { writer.write_all(&octets(1_000_000)).await }));
        drop(net.spawn_named("poller", async move { poller.poll(&mut [], None).await }));
        let never = net.spawn_named("waits for nothing", std::future::pending::<()>());
        let datagrams = UdpSocket::bind(&net, "0.0.0.0:99".parse().unwrap()).expect("bound");
        let receive = pin!(datagrams.recv_from(&mut []));
        drop(select(receive, never).await);
    }));
    lab.sim.limit_time(MINUTE);
    let gave_up = lab.sim.try_run_until_idle().expect_err("nobody comes, reads or writes").to_string();
    for line in [
        "(Sim::limit_time)",
        "    task 1 \"server daemon 1\": accept on 3 since 0.030000000",
        "    task 1 \"client program 2\": recvfrom on 4 since 0.020000000",
        "    task 2 \"reader\": read on 3 since 0.020000000",
        "    task 3 \"writer\": write on 3 since 0.",
        "    task 4 \"poller\": poll since 0.020000000",
        "    task 5 \"waits for nothing\": a wake-up from another task; a timer of tokio never wakes it, also in a paused runtime: `net.sleep` does",
    ] {
        assert!(gave_up.contains(line), "{line} is missing:\n{gave_up}");
    }
}

// ---- errors

#[test]
fn errors_come_as_io_errors_with_the_errno_inside() {
    let lab = lab(1, LINK);
    let address = lab.at(PORT);
    let refused = lab.run(async move |net| TcpStream::connect(&net, address).await.expect_err("nobody listens"));
    assert_eq!((refused.kind(), errno(&refused)), (io::ErrorKind::ConnectionRefused, Some(Errno::ECONNREFUSED)));
    let in_use = lab.run(async move |net| {
        let _first = TcpListener::bind(&net, "0.0.0.0:80".parse().unwrap()).expect("free");
        TcpListener::bind(&net, "0.0.0.0:80".parse().unwrap()).expect_err("taken")
    });
    assert_eq!((in_use.kind(), errno(&in_use)), (io::ErrorKind::AddrInUse, Some(Errno::EADDRINUSE)));

    drop(serve(&lab, async |stream| {
        stream.abort();
        Ok(())
    }));
    let reset = lab.run(async move |net| connect(&net, address).await.read(&mut [0; 1]).await.expect_err("aborted"));
    assert_eq!((reset.kind(), errno(&reset)), (io::ErrorKind::ConnectionReset, Some(Errno::ECONNRESET)));
}

#[test]
fn a_datagram_that_nobody_wants_is_refused_at_the_next_call() {
    let lab = lab(1, LINK);
    let address = lab.at(PORT);
    let refused = lab.run(async move |net| {
        let socket = UdpSocket::bind(&net, "0.0.0.0:0".parse().unwrap()).expect("bound");
        socket.connect(address).expect("a peer is fixed");
        socket.send(b"anybody?").await.expect("sent");
        socket.recv(&mut [0; 8]).await.expect_err("port unreachable")
    });
    assert_eq!(errno(&refused), Some(Errno::ECONNREFUSED));
}

// ---- the traits

#[test]
fn futures_io_copies_and_splits() {
    use futures_util::io::{AsyncReadExt, AsyncWriteExt, copy};

    let lab = lab(1, "delay=10ms,loss=2%");
    drop(serve(&lab, async |stream| {
        let (reader, mut writer) = AsyncReadExt::split(stream);
        copy(reader, &mut writer).await?;
        writer.close().await
    }));
    let address = lab.at(PORT);
    let sent = octets(300_000);
    let expected = sent.clone();
    let received = lab.run(async move |net| {
        let (mut reader, mut writer) = AsyncReadExt::split(connect(&net, address).await);
        let writing = net.spawn(async move {
            writer.write_all(&sent).await?;
            writer.flush().await?;
            writer.close().await
        });
        let mut received = Vec::new();
        reader.read_to_end(&mut received).await.expect("no error");
        writing.await.expect("no error");
        received
    });
    assert!(received == expected);
}

#[cfg(feature = "tokio")]
#[test]
fn tokios_traits_copy_and_split() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};

    let lab = lab(1, "delay=10ms,loss=2%");
    drop(serve(&lab, async |stream| {
        let (mut reader, mut writer) = split(stream);
        copy(&mut reader, &mut writer).await?;
        writer.shutdown().await
    }));
    let address = lab.at(PORT);
    let sent = octets(300_000);
    let expected = sent.clone();
    let received = lab.run(async move |net| {
        let (mut reader, mut writer) = split(connect(&net, address).await);
        let writing = net.spawn(async move {
            writer.write_all(&sent).await?;
            writer.flush().await?;
            writer.shutdown().await
        });
        let mut received = Vec::new();
        reader.read_to_end(&mut received).await.expect("no error");
        writing.await.expect("no error");
        received
    });
    assert!(received == expected);
}

// ---- a protocol of the user's own

/// Messages with their length in front, as the user of this library would write them.
struct Messages(TcpStream);

impl Messages {
    async fn send(&self, text: &str) -> io::Result<()> {
        let len = u32::try_from(text.len()).expect("a short message");
        self.0.write_all(&len.to_be_bytes()).await?;
        self.0.write_all(text.as_bytes()).await
    }

    async fn receive(&self) -> io::Result<String> {
        let mut len = [0; 4];
        self.0.read_exact(&mut len).await?;
        let mut text = vec![0; u32::from_be_bytes(len) as usize];
        self.0.read_exact(&mut text).await?;
        String::from_utf8(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// Writes a message a second and notes when the answer to each comes.
async fn ask_every_second(net: Net, address: SocketAddr, log: Log) -> io::Result<()> {
    let messages = Messages(TcpStream::connect(&net, address).await?);
    for number in 1..=60 {
        let begin = net.now();
        messages.send(&format!("question {number}")).await?;
        let answer = messages.receive().await?;
        log.note(format!("{answer} after {} s", net.now().since(begin).as_secs()));
        net.sleep(SECOND).await;
    }
    Ok(())
}

#[test]
fn a_protocol_of_ones_own_survives_a_partition() {
    let lab = lab(1, LINK);
    drop(serve(&lab, async |stream| {
        let messages = Messages(stream);
        loop {
            let question = messages.receive().await?;
            messages.send(&question.replace("question", "answer")).await?;
        }
        #[allow(unreachable_code, reason = "it gives the block its type")]
        Ok(())
    }));
    let (log, address) = (Log::default(), lab.at(PORT));
    let noted = log.clone();
    let mut asked = lab.client.spawn(move |net| ask_every_second(net, address, noted));

    lab.sim.run_for(SECOND * 10);
    let before = log.lines().len();
    lab.sim.link("client", "server", "loss=100%");
    lab.sim.run_for(SECOND * 30);
    assert!(log.lines().len() <= before + 1, "nothing comes through");
    lab.sim.link("client", "server", LINK);
    lab.sim.run_until_idle();

    asked.try_take().expect("ended").expect("the connection lives on");
    let lines = log.lines();
    assert_eq!(lines.len(), 60);
    for (at, line) in lines.iter().enumerate() {
        assert!(line.starts_with(&format!("answer {} after ", at + 1)), "{line}");
    }
    let waited: Vec<_> = lines.iter().filter(|line| !line.ends_with("after 0 s")).collect();
    assert_eq!(waited.len(), 1, "one question waited for the link: {waited:?}");
}

#[test]
fn a_partition_that_lasts_ends_in_etimedout() {
    let lab = lab(1, LINK);
    drop(serve(&lab, async |stream| stream.read(&mut [0; 1]).await));
    let address = lab.at(PORT);
    let stream = lab.run(async move |net| connect(&net, address).await);
    lab.sim.link("client", "server", "loss=100%");
    let (error, took) = lab.timed(async move |_| {
        stream.write_all(b"anybody?").await.expect("into the buffer");
        stream.read(&mut [0; 1]).await.expect_err("nobody")
    });
    assert_eq!(errno(&error), Some(Errno::ETIMEDOUT));
    // A probe and 15 retransmissions (tcp_retries2): the RTO grows from 0.22 s to 120 s.
    assert_eq!(took.as_secs(), 945);
}
