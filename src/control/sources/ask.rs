//! Queries a source for its list of nodes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::dns;
use crate::config::{self, Address, Discover, Node, Origin, Protection, Source};
use crate::control::discovery::{LONGEST, SHORTEST};
use crate::control::watch::Folders;
use crate::discovery::elasticache::{self, Cluster, OLD_QUESTION, QUESTION, Read};
use crate::discovery::file_sd;
use crate::discovery::status::Outcome;
use crate::net::dial::dial;
use crate::net::stream::Stream;
use crate::resolver::{self, Answer};

/// The maximum time for a source to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The maximum time for name servers, which are asked one after the other, as `/etc/resolv.conf` says.
const DNS_PATIENCE: Duration = Duration::from_secs(20);

/// Why there is no list.
#[derive(Debug)]
pub struct NoList {
    /// The outcome, for the metrics.
    pub outcome: Outcome,
    /// The reason, for people.
    pub reason: String,
}

impl NoList {
    fn failed(reason: impl ToString) -> NoList {
        NoList {
            outcome: Outcome::Failed,
            reason: reason.to_string(),
        }
    }

    fn late(reason: String) -> NoList {
        NoList {
            outcome: Outcome::Timeout,
            reason,
        }
    }
}

/// A source that is queried again and again.
pub struct Asked {
    source: Source,
    origin: Arc<Origin>,
    /// Notified when the list may have changed.
    touched: Arc<Notify>,
    folders: Option<Folders>,
    /// The version of the last list.
    version: u64,
}

/// A list of nodes.
#[derive(Debug)]
pub struct List {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// How long it is valid, if the source says so.
    pub holds: Option<Duration>,
}

impl Asked {
    /// Returns a source that was not queried yet.
    pub fn new(discover: &Discover) -> Asked {
        let source = &discover.from;
        let touched = Arc::new(Notify::new());
        Asked {
            folders: matches!(source, Source::File(_)).then(|| Folders::new(touched.clone())),
            source: source.clone(),
            origin: Arc::new(Origin {
                from: source.to_string(),
                zone: None,
                resolver: discover.resolver,
            }),
            touched,
            version: 0,
        }
    }

    /// Waits until the list may have changed, if the source signals that.
    pub async fn touched(&self) {
        self.touched.notified().await;
    }

    /// Queries the list. An endpoint is asked the way the nodes are, as `protection` says.
    ///
    /// # Errors
    /// There is no list, or it did not arrive in time.
    pub async fn ask(&mut self, protection: &Protection) -> Result<List, NoList> {
        let patience = match self.source {
            Source::File(_) | Source::Elasticache { .. } => PATIENCE,
            Source::Dns { .. } | Source::DnsSrv { .. } => DNS_PATIENCE,
        };
        let answer = timeout(patience, self.answer(protection)).await;
        answer.unwrap_or_else(|_| Err(NoList::late(format!("no answer within {patience:?}"))))
    }

    async fn answer(&mut self, protection: &Protection) -> Result<List, NoList> {
        let list = |nodes| List { nodes, holds: None };
        match self.source.clone() {
            Source::File(path) => {
                self.watch(&path).await;
                file(path, &self.origin).await.map(list)
            }
            Source::Elasticache { host, port } => {
                let cluster = cluster(host, port, protection, &self.origin).await?;
                self.take(cluster).map(list)
            }
            Source::Dns { host, port, server } => {
                held(dns::addresses(&host, port, server, &self.origin).await)
            }
            Source::DnsSrv {
                name,
                port,
                is_resolved,
                server,
            } => held(dns::services(&name, port, is_resolved, server, &self.origin).await),
        }
    }

    /// Watches the folders on the way to the file. Called before it is read, or a change between the two
    /// would be missed.
    async fn watch(&mut self, path: &Path) {
        if let Some(mut folders) = self.folders.take() {
            let paths = [path.to_owned()];
            let follow = move || {
                folders.follow(&paths);
                folders
            };
            // Without a watch a change is noticed by the next query.
            self.folders = tokio::task::spawn_blocking(follow).await.ok();
        }
    }

    /// The version of a cluster's list only grows: an older list comes from a node that was not updated
    /// yet.
    fn take(&mut self, cluster: Cluster) -> Result<Vec<Node>, NoList> {
        let Cluster { version, nodes } = cluster;
        if version < self.version {
            let newest = self.version;
            return Err(NoList::failed(format!(
                "its list has version {version}, after {newest}"
            )));
        }
        self.version = version;
        Ok(nodes)
    }
}

/// Returns a list from name servers, valid for their TTL, within bounds.
fn held(answer: Result<Answer<Node>, resolver::Error>) -> Result<List, NoList> {
    match answer {
        Ok(Answer { records, ttl }) => Ok(List {
            nodes: records,
            holds: Some(ttl.clamp(SHORTEST, LONGEST)),
        }),
        Err(error @ resolver::Error::Timeout) => Err(NoList::late(error.to_string())),
        Err(error) => Err(NoList::failed(error)),
    }
}

async fn file(path: PathBuf, origin: &Origin) -> Result<Vec<Node>, NoList> {
    let read = tokio::task::spawn_blocking(move || config::read_regular(&path)).await;
    let bytes = read.map_err(io::Error::other).flatten().map_err(NoList::failed)?;
    let text = String::from_utf8(bytes).map_err(|_| NoList::failed("it is not valid UTF-8"))?;
    file_sd::read(&text, origin).map_err(NoList::failed)
}

async fn cluster(
    host: String,
    port: u16,
    protection: &Protection,
    origin: &Arc<Origin>,
) -> Result<Cluster, NoList> {
    let resolver = resolver::of(origin.resolver);
    let found = resolver.sockets(&host, port).await.map_err(NoList::failed)?;
    let stream = dial(
        &Address::memcached(host, port),
        &found.records,
        protection,
        PATIENCE,
    )
    .await;
    let mut stream = stream.map_err(NoList::failed)?;
    for question in [QUESTION, OLD_QUESTION] {
        if let Some(cluster) = exchange(&mut stream, question, origin).await? {
            return Ok(cluster);
        }
    }
    Err(NoList::failed(
        "it is no configuration endpoint: it knows no `config get cluster`",
    ))
}

/// Sends `question` and reads the answer; `None` if the endpoint does not know the command.
async fn exchange(
    stream: &mut Stream,
    question: &[u8],
    origin: &Arc<Origin>,
) -> Result<Option<Cluster>, NoList> {
    stream.write_all(question).await.map_err(NoList::failed)?;
    stream.flush().await.map_err(NoList::failed)?;
    let mut bytes = Vec::new();
    loop {
        match elasticache::read(&bytes, origin).map_err(NoList::failed)? {
            Read::Whole(cluster) => return Ok(Some(cluster)),
            Read::Unknown => return Ok(None),
            Read::Incomplete => {}
        }
        if stream.read_buf(&mut bytes).await.map_err(NoList::failed)? == 0 {
            return Err(NoList::failed("it closed the connection"));
        }
    }
}
