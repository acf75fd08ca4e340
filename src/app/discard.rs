//! The discard service of RFC 863: it reads and discards. The registry lists it.

use std::io;

use super::{Listen, serve_each};
use crate::net::Net;

/// The port of RFC 863.
pub const PORT: u16 = 9;

/// Bytes read at once.
const BUFFER: usize = 16 * 1024;

/// Reads what a client sends until its FIN. Each client has a task of its own.
pub async fn server(net: Net, listen: Listen) -> io::Result<()> {
    serve_each(net, listen, "discard", |stream, _| async move {
        while let Ok(1..) = stream.read_shared(BUFFER, <[u8]>::len).await {}
    })
    .await
}
