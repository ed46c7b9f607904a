//! Asks a node for its version, which every new connection begins with.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::protocol::version;

/// The maximum length of the answer in bytes.
const MAX_LINE: usize = 256;

/// Asks for the node's version, such as `1.6.18`. Nothing else may be outstanding on `stream`.
///
/// # Errors
/// [`ErrorKind::TimedOut`] after `limit`, [`ErrorKind::InvalidData`] if the answer is not a version or has
/// bytes behind it, [`ErrorKind::UnexpectedEof`] if the node closes the connection, and the errors of
/// reading and writing.
pub async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), limit: Duration) -> io::Result<String> {
    let late = |_| {
        let reason = format!("no answer to version within {limit:?}");
        io::Error::new(ErrorKind::TimedOut, reason)
    };
    timeout(limit, exchange(stream)).await.map_err(late)?
}

async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<String> {
    stream.write_all(b"version\r\n").await?;
    stream.flush().await?;
    let mut answer = [0; MAX_LINE];
    let mut length = 0;
    while length < MAX_LINE && !answer[..length].ends_with(b"\n") {
        match stream.read(&mut answer[length..]).await? {
            0 => {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "closed the connection"));
            }
            n => length += n,
        }
    }
    let answer = &answer[..length];
    let version = answer.strip_suffix(b"\r\n").and_then(version::of_line);
    version.map(str::to_owned).ok_or_else(|| {
        let reason = format!("unexpected answer to version: {}", answer.escape_ascii());
        io::Error::new(ErrorKind::InvalidData, reason)
    })
}
