//! Asks a node whether it has a key, to compare where a key should be with where it is.

use crate::config;
use crate::control::probe_client::ProbeConnection;
use crate::node::{Kind, Node};
use crate::protocol::{Command, Meta, Reply, Request};
use crate::route::explain::steps::Step;

/// Asks `node` for `key` within the timeouts of its pool. If the node knows the meta commands, the item
/// keeps its place in the order of use; otherwise the question counts as a read.
///
/// The address of a node with a host name must be known already.
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
            dial(node, &resolved, settings, key).await
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
    settings: &config::Pool,
    key: &[u8],
) -> std::io::Result<bool> {
    let mut connection = ProbeConnection::dial(
        &node.address,
        resolved,
        &settings.protection,
        settings.connect_timeout,
    )
    .await?;
    connection.holds(key, settings.request_timeout).await
}
