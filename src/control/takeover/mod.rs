//! Another process takes this one's place, without a refused connection or a lost reply.
//!
//! ```text
//!  this process                          takeover socket                     the next process
//!  accepts the connection  ◀───────────────────────────────────────────────  starts, reads its configuration
//!  ── each listening socket ──────────────────────────────────────────────▶  resolves names, meets the nodes
//!  stops accepting  ◀──────────────────────────────────────────────── take ─ is ready, and accepts clients
//!  ── each client's connection, once nothing is outstanding on it ────────▶  serves it
//!  ends ── the connection closes ─────────────────────────────────────────▶  is alone
//! ```
//!
//! Until `take` this process serves as before, so a next process that fails to start changes nothing. What clients send
//! while their connection is on its way waits in its socket. Encrypted connections cannot be passed on, and are closed
//! when nothing is outstanding, as at any other end. A client that has not authenticated is closed if the next process
//! asks for it, and so is one that is not encrypted if the next process encrypts: it connects again.
//!
//! Only processes of the same user, and root, may take over. If a journal of missed writes is kept on disk, the next
//! process takes over before it reads that, because only one process may have it: then clients wait while it starts.

pub mod offer;
pub mod predecessor;
pub mod successor;

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The version of the protocol. A process with another one is not taken over, and goes on.
const PROTOCOL: u32 = 1;

/// The maximum time to wait for the other process while sockets are passed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the two processes tell each other: one line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Message {
    /// The first line.
    Hello { protocol: u32, version: String },
    /// A listening socket, and whether the file of a unix socket goes with it.
    Listener { owns_file: bool },
    /// That were all.
    Offered,
    /// The next process is ready.
    Take,
    /// A client's connection, the address of its listener, in base64 what was read of its next request, and whether the
    /// client has authenticated.
    Session {
        bind: String,
        unread: String,
        is_authenticated: bool,
    },
}

impl Message {
    fn line(&self) -> String {
        serde_json::to_string(self).expect("a message is JSON")
    }

    fn read(line: Option<String>) -> std::io::Result<Message> {
        let line = line.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        Ok(serde_json::from_str(&line)?)
    }
}
