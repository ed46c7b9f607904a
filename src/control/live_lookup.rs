//! Asks a node whether it has a key, so that where a key should be can be held against where it is.

use std::time::Duration;

use crate::config;
use crate::control::probe_client::Connection;
use crate::node::{Kind, Node};
use crate::protocol::{Command, Meta, Reply, Request};
use crate::route::explain::steps::Step;

/// What `node` says when it is asked for `key` within the times of its pool. The item keeps its place in the order
/// of use where the node knows the meta commands, and is read where it does not.
///
/// Of a node with a host name the address must be known already.
pub async fn ask(node: &Node, settings: &config::Pool, key: &[u8]) -> Step {
    let answer = match &node.kind {
        Kind::Embedded(cache) => {
            let request = Request {
                meta: Some(Meta {
                    key,
                    flags: b"",
                    is_binary: false,
                }),
                ..Request::new(Command::MetaDebug, key)
            };
            let is_miss = matches!(cache.execute(&request), Reply::Meta(reply) if reply.is_miss());
            Ok(!is_miss)
        }
        Kind::Remote(remote) => {
            let resolved = remote.resolved.load_full();
            let limits = (settings.connect_timeout, settings.request_timeout);
            dial(node, &resolved, limits, key).await
        }
    };
    Step::Live {
        answers: answer.is_ok(),
        holds: answer.as_ref().ok().copied(),
        reason: answer.err().map(|error| error.to_string()),
    }
}

async fn dial(
    node: &Node,
    resolved: &[std::net::SocketAddr],
    (connect, request): (Duration, Duration),
    key: &[u8],
) -> std::io::Result<bool> {
    let mut connection = Connection::dial(&node.address, resolved, connect).await?;
    connection.holds(key, request).await
}
