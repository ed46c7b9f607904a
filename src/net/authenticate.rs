//! Authenticates a connection to a node that requires it: the `set` of memcached's `-Y`.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::config::NodeAuth;

/// The maximum length of an answer in bytes.
const MAX_LINE: usize = 256;

/// Authenticates to the node at the other end of `stream`.
///
/// # Errors
/// [`ErrorKind::PermissionDenied`] if the node refuses, and the errors of reading and writing.
pub async fn authenticate(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    auth: &NodeAuth,
) -> io::Result<()> {
    let words = format!("{} {}", auth.user, auth.password.expose());
    // A node that requires no authentication takes it for a value, which expires at once.
    let request = format!("set auth 0 -1 {}\r\n{words}\r\n", words.len());
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = [0; MAX_LINE];
    let mut length = 0;
    while length < MAX_LINE && !answer[..length].ends_with(b"\n") {
        match stream.read(&mut answer[length..]).await? {
            0 => break,
            n => length += n,
        }
    }
    match answer[..length].trim_ascii_end() {
        b"STORED" => Ok(()),
        answer => {
            let (user, answer) = (&auth.user, answer.escape_ascii());
            let reason = format!(
                "authentication as {user} failed, see `auth` of the pool: the node said \"{answer}\""
            );
            Err(io::Error::new(ErrorKind::PermissionDenied, reason))
        }
    }
}
