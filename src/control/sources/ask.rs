//! Asks a source for its list of nodes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::lookup_host;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::config::{self, Address, Node, Origin, Source};
use crate::control::watch::Folders;
use crate::discovery::elasticache::{self, Cluster, OLD_QUESTION, QUESTION, Read};
use crate::discovery::file_sd;
use crate::discovery::status::Outcome;
use crate::net::dial::dial;
use crate::net::stream::Stream;

/// How long a source may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why there is no list.
#[derive(Debug)]
pub struct NoList {
    /// As it is counted.
    pub outcome: Outcome,
    /// For people.
    pub reason: String,
}

impl NoList {
    fn failed(reason: impl ToString) -> NoList {
        NoList {
            outcome: Outcome::Failed,
            reason: reason.to_string(),
        }
    }
}

/// A source that is asked again and again.
pub struct Asked {
    source: Source,
    origin: Arc<Origin>,
    /// Says that the list may be another.
    touched: Arc<Notify>,
    folders: Option<Folders>,
    /// The version of the last list.
    version: u64,
}

impl Asked {
    /// A source that was not asked yet.
    pub fn new(source: &Source) -> Asked {
        let touched = Arc::new(Notify::new());
        Asked {
            folders: matches!(source, Source::File(_)).then(|| Folders::new(touched.clone())),
            source: source.clone(),
            origin: Arc::new(Origin {
                from: source.to_string(),
                zone: None,
            }),
            touched,
            version: 0,
        }
    }

    /// Waits until the list may be another, as far as the source tells by itself.
    pub async fn touched(&self) {
        self.touched.notified().await;
    }

    /// The list as it is now.
    ///
    /// # Errors
    /// There is none, or it is not to be had in time.
    pub async fn ask(&mut self) -> Result<Vec<Node>, NoList> {
        let answer = match self.source.clone() {
            Source::File(path) => {
                self.watch(&path).await;
                timeout(PATIENCE, file(path, &self.origin.from)).await
            }
            Source::Elasticache { host, port } => {
                let asked = async { self.take(cluster(host, port, &self.origin).await?) };
                timeout(PATIENCE, asked).await
            }
        };
        answer.unwrap_or_else(|_| {
            Err(NoList {
                outcome: Outcome::Timeout,
                reason: format!("no answer within {PATIENCE:?}"),
            })
        })
    }

    /// Watches the folders on the way to the file. Set before it is read, or a change between the two would be missed.
    async fn watch(&mut self, path: &Path) {
        if let Some(mut folders) = self.folders.take() {
            let path = path.to_owned();
            let follow = move || {
                folders.follow(&path);
                folders
            };
            // Without it a change is seen at the next question.
            self.folders = tokio::task::spawn_blocking(follow).await.ok();
        }
    }

    /// The version of a cluster's list only grows: an older list is that of a node that has not heard yet.
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

async fn file(path: PathBuf, from: &str) -> Result<Vec<Node>, NoList> {
    let read = tokio::task::spawn_blocking(move || config::read_regular(&path)).await;
    let bytes = read.map_err(io::Error::other).flatten().map_err(NoList::failed)?;
    let text = String::from_utf8(bytes).map_err(|_| NoList::failed("it is no UTF-8 text"))?;
    file_sd::read(&text, from).map_err(NoList::failed)
}

async fn cluster(host: String, port: u16, origin: &Arc<Origin>) -> Result<Cluster, NoList> {
    let resolved = lookup_host((host.as_str(), port)).await;
    let resolved: Vec<_> = resolved.map_err(NoList::failed)?.collect();
    let stream = dial(&Address::Tcp { host, port }, &resolved, PATIENCE).await;
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

/// Asks `question`; `None` if the endpoint does not know it.
async fn exchange(
    stream: &mut Stream,
    question: &[u8],
    origin: &Arc<Origin>,
) -> Result<Option<Cluster>, NoList> {
    stream.write_all(question).await.map_err(NoList::failed)?;
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
