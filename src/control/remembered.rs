//! Keeps the discovered nodes in `state_dir`, so that a restart begins with them while a source does not answer.
//!
//! With each node are kept the addresses that its name led to: the name servers that do not answer for the source do not
//! answer for the nodes either. They are used only while the name cannot be looked up.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{info, warn};

use super::per_node_tasks::remote;
use crate::config::{self, Config, Discover, Node, Origin};
use crate::snapshot::Snapshot;

/// The file in `state_dir`.
const FILE: &str = "discovered.json";
/// The maximum time to wait for the file system.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    pools: BTreeMap<String, RememberedPool>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RememberedPool {
    from: String,
    nodes: Vec<RememberedNode>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RememberedNode {
    target: String,
    name: Option<String>,
    weight: u32,
    zone: Option<String>,
    /// What its name led to.
    #[serde(default)]
    addresses: Vec<SocketAddr>,
}

/// Gives the pools of `config` the nodes that the last run discovered from the same source. Ignores a file that makes no
/// sense.
pub fn recall(config: &mut Config) {
    let Some(path) = config.state_dir.as_ref().map(|dir| dir.join(FILE)) else {
        return;
    };
    let remembered = match read(&path) {
        Ok(remembered) => remembered,
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        Err(error) => return warn!(path = %path.display(), %error, "what was discovered cannot be read"),
    };
    for (name, pool) in remembered.pools {
        let settings = config.pools.get(&name);
        let Some(discover) = settings.and_then(|settings| settings.discover.clone()) else {
            continue;
        };
        match nodes(&pool, &discover, config, &name) {
            Ok(nodes) if !nodes.is_empty() => {
                let (from, nodes_count) = (&pool.from, nodes.len());
                info!(
                    pool = name,
                    from,
                    nodes = nodes_count,
                    "begins with the nodes that the last run discovered"
                );
                let settings = config.pools.get_mut(&name).expect("looked up above");
                settings.set_discovered(nodes);
            }
            Ok(_) => {}
            Err(reason) => warn!(pool = name, reason, "what was discovered cannot be used"),
        }
    }
}

/// Gives the nodes whose names could not be looked up the addresses that the last run knew.
pub fn recall_addresses(snapshot: &Snapshot) {
    let path = snapshot.config.state_dir.as_ref().map(|dir| dir.join(FILE));
    let Some(mut remembered) = path.and_then(|path| read(&path).ok()) else {
        return;
    };
    for node in &snapshot.nodes {
        let unknown = remote(node).filter(|remote| remote.resolved.load().is_empty());
        let (Some(unknown), Some(pool)) = (unknown, remembered.pools.get_mut(&node.pool)) else {
            continue;
        };
        let target = node.address.to_string();
        let known = pool.nodes.iter_mut().find(|known| known.target == target);
        let addresses = known.map(|known| std::mem::take(&mut known.addresses));
        if let Some(addresses) = addresses.filter(|addresses| !addresses.is_empty()) {
            warn!(
                pool = node.pool,
                node = node.label,
                ?addresses,
                "the node's name cannot be looked up: begins with the addresses of the last run"
            );
            unknown.lead_to(addresses);
        }
    }
}

fn read(path: &Path) -> io::Result<Remembered> {
    Ok(serde_json::from_slice(&config::read_regular(path)?)?)
}

/// Returns the nodes of `pool`; none if they came from another source than `discover` names.
fn nodes(
    pool: &RememberedPool,
    discover: &Discover,
    config: &Config,
    name: &str,
) -> Result<Vec<Node>, String> {
    if pool.from != discover.from.to_string() {
        return Ok(Vec::new());
    }
    let node = |node: &RememberedNode| {
        let origin = Arc::new(Origin {
            from: pool.from.clone(),
            zone: node.zone.clone(),
            resolver: discover.resolver,
        });
        let weight = node.weight.to_string();
        config::discovered(&node.target, node.name.as_deref(), Some(&weight), &origin)
            .map_err(|problem| problem.reason)
    };
    let nodes: Result<Vec<Node>, String> = pool.nodes.iter().map(node).collect();
    let is_free = |node: &Node| !config.pools[name].lists(node) && !config.is_own_listener(node);
    Ok(nodes?.into_iter().filter(is_free).collect())
}

/// Returns what was discovered, as the file holds it.
fn text(snapshot: &Snapshot) -> String {
    let pools = snapshot.config.pools.iter().filter_map(|(name, pool)| {
        let indices = &snapshot.pools[name].nodes;
        let node = |(index, node): (&usize, &Node)| {
            let remote = remote(&snapshot.nodes[*index])?;
            Some(RememberedNode {
                target: node.address.to_string(),
                name: node.name.clone(),
                weight: node.weight,
                zone: node.origin.as_ref()?.zone.clone(),
                addresses: remote.resolved.load().to_vec(),
            })
        };
        let nodes: Vec<RememberedNode> = indices.iter().zip(&pool.nodes).filter_map(node).collect();
        let from = pool.discovered().next()?.origin.as_ref()?.from.clone();
        Some((name.clone(), RememberedPool { from, nodes }))
    });
    let remembered = Remembered {
        pools: pools.collect(),
    };
    serde_json::to_string_pretty(&remembered).expect("names and numbers are JSON")
}

/// Writes the file when what it must hold has changed.
#[derive(Debug, Default)]
pub struct Keeping(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    dir: PathBuf,
    text: String,
    /// Why it could not be written.
    error: Option<String>,
}

impl Keeping {
    /// Writes what `snapshot` has discovered to its `state_dir`, if there is one.
    pub async fn keep(&self, snapshot: &Snapshot) {
        let Some(dir) = &snapshot.config.state_dir else {
            return;
        };
        let mut last = self.0.lock().await;
        let text = text(snapshot);
        let is_same = (&last.dir, &last.text) == (dir, &text);
        if is_same && last.error.is_none() {
            return;
        }
        let (folder, written) = (dir.clone(), text.clone());
        let writing = tokio::task::spawn_blocking(move || write(&folder, &written));
        let outcome = timeout(PATIENCE, writing).await.map_err(io::Error::from);
        let error = outcome.and_then(|outcome| outcome?).err();
        let error = error.map(|error| error.to_string());
        if let Some(error) = error.as_ref().filter(|_| error != last.error) {
            warn!(state_dir = %dir.display(), error, "what was discovered cannot be kept");
        }
        *last = Kept {
            dir: dir.clone(),
            text,
            error,
        };
    }
}

/// Writes `text` to the file in `dir`, as a whole or not at all.
///
/// # Errors
/// As the system gives them.
fn write(dir: &Path, text: &str) -> io::Result<()> {
    write_whole(dir, FILE, text)
}

/// Writes `text` to the file called `name` in `dir`, as a whole or not at all.
///
/// # Errors
/// As the system gives them.
pub fn write_whole(dir: &Path, name: &str, text: &str) -> io::Result<()> {
    let draft = dir.join(format!("{name}.new"));
    let mut file = fs::File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, dir.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing;

    fn discovering(dir: &Path) -> Config {
        testing::config(&format!(
            "{{state_dir: '{}', pools: {{main: {{nodes: ['10.0.0.9:1'], discover: {{from: file+/nodes}}}}}}}}",
            dir.display()
        ))
    }

    fn labels(config: &Config) -> Vec<String> {
        config.pools["main"].nodes.iter().map(Node::label).collect()
    }

    #[test]
    fn what_was_discovered_from_the_same_source_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = discovering(dir.path());
        recall(&mut config);
        assert_eq!(labels(&config), ["10.0.0.9:1"], "there is no file");
        let origin = Arc::new(Origin {
            from: "file+/nodes".to_owned(),
            zone: Some("z".to_owned()),
            resolver: None,
        });
        let named = config::discovered("b.example:2", Some("b"), Some("3"), &origin).unwrap();
        let plain = config::discovered("[fd00::1]:2", None, None, &origin).unwrap();
        config
            .pools
            .get_mut("main")
            .unwrap()
            .set_discovered(vec![named, plain]);
        let snapshot = Snapshot::build(config.clone(), None);
        write(dir.path(), &text(&snapshot)).unwrap();
        let mut again = discovering(dir.path());
        recall(&mut again);
        assert_eq!(again, config);
        let other = fs::read_to_string(dir.path().join(FILE))
            .unwrap()
            .replace("/nodes", "/other");
        fs::write(dir.path().join(FILE), other).unwrap();
        let mut other = discovering(dir.path());
        recall(&mut other);
        assert_eq!(labels(&other), ["10.0.0.9:1"], "it came from another source");
        for broken in [
            "",
            "{",
            "{\"pools\": {\"main\": {\"from\": \"file+/nodes\", \"nodes\": [{\"target\": \"x\", \"weight\": 1}]}}}",
        ] {
            fs::write(dir.path().join(FILE), broken).unwrap();
            let mut config = discovering(dir.path());
            recall(&mut config);
            assert_eq!(labels(&config), ["10.0.0.9:1"], "{broken}");
        }
    }

    fn resolved(snapshot: &Snapshot) -> Vec<SocketAddr> {
        let node = snapshot.nodes.iter().find(|node| node.label == "b").unwrap();
        remote(node).unwrap().resolved.load().to_vec()
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_looked_up_leads_to_the_addresses_of_the_last_run() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = discovering(dir.path());
        let origin = Arc::new(Origin {
            from: "file+/nodes".to_owned(),
            zone: None,
            resolver: None,
        });
        let named = config::discovered("b.example:2", Some("b"), None, &origin).unwrap();
        let pool = config.pools.get_mut("main").unwrap();
        pool.set_discovered(vec![named]);
        let address: SocketAddr = "10.0.0.7:2".parse().unwrap();
        let last = Snapshot::build(config.clone(), None);
        remote(&last.nodes[1]).unwrap().lead_to(vec![address]);
        let keeping = Keeping::default();
        keeping.keep(&last).await;
        let next = Snapshot::build(config.clone(), None);
        recall_addresses(&next);
        assert_eq!(resolved(&next), [address]);
        let known: SocketAddr = "10.0.0.8:2".parse().unwrap();
        remote(&next.nodes[1]).unwrap().lead_to(vec![known]);
        recall_addresses(&next);
        assert_eq!(resolved(&next), [known], "what was looked up counts");
        // Written again only if it changed.
        fs::remove_file(dir.path().join(FILE)).unwrap();
        keeping.keep(&last).await;
        assert!(!dir.path().join(FILE).exists());
        keeping.keep(&next).await;
        assert!(dir.path().join(FILE).exists());
    }
}
