//! Asks nodes of a configuration for their version, each on a connection of its own: whether they can be used.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::discovery::LOOKUP;
use super::probe_client::ProbeConnection;
use crate::config::{Address, Node, Pool, Protection};
use crate::resolver;

/// The maximum number of nodes that are asked at once.
const AT_ONCE: usize = 256;

/// Why a node did not give its version.
#[derive(Debug, thiserror::Error)]
pub enum NoVersion {
    /// Its name leads nowhere.
    #[error("cannot look up its name: {0}")]
    Name(#[from] resolver::Error),
    /// There is no connection, or it could not be encrypted, or the node refused the user.
    #[error("{0}")]
    Connection(#[source] io::Error),
    /// There is no answer, or that is not a version.
    #[error("{0}")]
    Answer(#[source] io::Error),
}

impl NoVersion {
    /// Whether something other than memcached answered.
    pub fn is_foreign(&self) -> bool {
        matches!(self, NoVersion::Answer(error) if error.kind() == ErrorKind::InvalidData)
    }
}

/// The version of a node, such as `1.6.18`, or why there is none.
pub type Version = Result<String, NoVersion>;

/// Asks each of `nodes`, which belong to pools with these settings, and returns the answers in their order.
pub async fn ask_all(nodes: &[(Node, &Pool)]) -> Vec<Version> {
    let mut versions = Vec::with_capacity(nodes.len());
    for part in nodes.chunks(AT_ONCE) {
        let mut asked = JoinSet::new();
        for (index, (node, pool)) in part.iter().enumerate() {
            let (node, settings) = (node.clone(), ProbeSettings::of(pool));
            asked.spawn(async move { (index, ask(&node, &settings).await) });
        }
        let mut answers = asked.join_all().await;
        answers.sort_by_key(|(index, _)| *index);
        versions.extend(answers.into_iter().map(|(_, version)| version));
    }
    versions
}

/// What a probe of a node needs to know of its pool.
struct ProbeSettings {
    protection: Protection,
    connect: Duration,
    answer: Duration,
}

impl ProbeSettings {
    fn of(pool: &Pool) -> ProbeSettings {
        ProbeSettings {
            protection: pool.protection.clone(),
            connect: pool.connect_timeout,
            answer: pool.health.probe_timeout,
        }
    }
}

async fn ask(node: &Node, settings: &ProbeSettings) -> Version {
    let resolved = resolve(node).await?;
    let connection =
        ProbeConnection::dial(&node.address, &resolved, &settings.protection, settings.connect).await;
    let mut connection = connection.map_err(NoVersion::Connection)?;
    connection
        .version(settings.answer)
        .await
        .map_err(NoVersion::Answer)
}

/// The socket addresses of a node; none for one without a host.
async fn resolve(node: &Node) -> Result<Vec<SocketAddr>, resolver::Error> {
    let Address::Tcp { host, port, .. } = &node.address else {
        return Ok(Vec::new());
    };
    let resolver = resolver::of(node.resolver());
    let found = timeout(LOOKUP, resolver.sockets(host, *port)).await;
    Ok(found.map_err(|_| resolver::Error::Timeout)??.records)
}
