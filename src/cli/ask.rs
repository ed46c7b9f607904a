//! Asks a running Ringway over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;

/// How long an answer that waits for nobody may take.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// The status and the body of the answer to `GET path`.
///
/// # Errors
/// Nobody answers at `admin` within `patience`.
pub fn get(admin: SocketAddr, path: &str, patience: Duration) -> anyhow::Result<(String, String)> {
    let mut stream =
        TcpStream::connect_timeout(&admin, patience).with_context(|| format!("cannot reach {admin}"))?;
    stream.set_read_timeout(Some(patience))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(64 << 10).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    Ok((status.to_owned(), body.to_owned()))
}
