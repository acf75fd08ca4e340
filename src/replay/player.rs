//! Plays a program that was derived from a recording to the segment ([`Exact`]). `run` starts it on our host.

use std::io;

use super::program::FOR_EVER;
use crate::net::{Net, TcpListener, TcpStream};
use crate::recording::exact::{Action, Exact};
use crate::socket::{Shutdown, SocketOption};
use crate::time::Instant;

/// Plays it. `on_read` gets the bytes that are read.
pub(super) async fn play(net: Net, exact: Exact, start: Instant, mut on_read: impl FnMut(&[u8])) -> io::Result<()> {
    let Some((connects, addr)) = exact.opens else { return Ok(()) };
    let mut listener = None;
    let stream = if connects {
        TcpStream::connect(&net, addr).await?
    } else {
        let listener = listener.insert(TcpListener::bind_with_backlog(&net, addr, 8)?);
        listener.accept().await?.0
    };
    if exact.nodelay {
        net.setsockopt(stream.fd()?, SocketOption::NoDelay(true))?;
    }
    if let Some((idle, between, in_vain)) = exact.keep_alive {
        let options = [SocketOption::KeepIdle(idle), SocketOption::KeepIntvl(between), SocketOption::KeepAlive(true)];
        for option in in_vain.map(SocketOption::KeepCnt).into_iter().chain(options) {
            net.setsockopt(stream.fd()?, option)?;
        }
    }
    let mut stream = Some(stream);
    let mut buf = vec![0; 16 * 1024];
    for step in exact.steps {
        let Some(open) = &stream else { break };
        match step {
            Action::Until(at) => net.sleep_until(start + at).await,
            Action::Read(count) => {
                let mut wanted = count as usize;
                while wanted > 0 {
                    let most = wanted.min(buf.len());
                    let count = open.read(&mut buf[..most]).await?;
                    if count == 0 {
                        break;
                    }
                    on_read(&buf[..count]);
                    wanted -= count;
                }
            }
            Action::ReadEof => while open.read(&mut buf).await? > 0 {},
            Action::Write(bytes) => open.write_all(&bytes).await?,
            Action::QuickAck => net.setsockopt(open.fd()?, SocketOption::QuickAck(true))?,
            Action::ShutdownWrite => open.shutdown(Shutdown::Write)?,
            Action::Close => stream = None,
            Action::Abort => {
                open.abort();
                stream = None;
            }
        }
    }
    // What the recording does not end stays open, and so does the listener.
    net.sleep(FOR_EVER).await;
    drop((stream, listener));
    Ok(())
}
