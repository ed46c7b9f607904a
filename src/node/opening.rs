//! How a link opens: the node is dialled, asked for its version, and so the link learns what to speak.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{Kind, Node};
use crate::config::{self, Address, Protocol};
use crate::net::dial;
use crate::net::stream::Stream;
use crate::protocol::dialect::Dialect;

/// The longest answer to `version` that is read, in bytes.
const MAX_LINE: usize = 256;

/// Connects to `node` and chooses what to speak. The node's version is noted where it was asked.
///
/// # Errors
/// What went wrong, for the log.
pub async fn open(node: &Node, settings: &config::Pool) -> Result<(Stream, Dialect), String> {
    let Kind::Remote(remote) = &node.kind else {
        return Err("an embedded node has no links".to_owned());
    };
    let limit = settings.connect_timeout;
    let dialled = match &node.address {
        Address::Unix(path) => dial::unix(path, limit).await,
        _ => dial::tcp(&remote.resolved.load(), limit).await,
    };
    let mut stream = dialled.map_err(|error| format!("cannot connect: {error}"))?;
    match settings.protocol {
        Protocol::Meta => return Ok((stream, Dialect::Meta)),
        Protocol::Classic => return Ok((stream, Dialect::Classic)),
        Protocol::Auto => {}
    }
    let version = timeout(settings.request_timeout, ask_version(&mut stream))
        .await
        .map_err(|_| "no answer to version in time".to_owned())??;
    let dialect = Dialect::of_version(&version);
    remote.version.store(Arc::new(version));
    Ok((stream, dialect))
}

async fn ask_version(stream: &mut Stream) -> Result<String, String> {
    let failed = |error| format!("no answer to version: {error}");
    stream.write_all(b"version\r\n").await.map_err(failed)?;
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") && line.len() < MAX_LINE {
        line.push(stream.read_u8().await.map_err(failed)?);
    }
    let line = String::from_utf8_lossy(&line);
    match line.trim_end().strip_prefix("VERSION ") {
        Some(version) => Ok(version.to_owned()),
        None => Err(format!("no version, but {:?}", line.trim_end())),
    }
}
