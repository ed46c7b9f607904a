//! Keeps the discovered nodes in `state_dir`, so that a restart begins with them while a source does not answer.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::config::{self, Config, Discover, Node, Origin};

/// The file in `state_dir`.
const FILE: &str = "discovered.json";

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
}

/// Gives the pools of `config` the nodes that the last run discovered from the same source. Ignores a file that makes no
/// sense.
pub fn recall(config: &mut Config) {
    let Some(dir) = &config.state_dir else {
        return;
    };
    let path = dir.join(FILE);
    let remembered: Remembered = match config::read_regular(&path).map(|bytes| serde_json::from_slice(&bytes))
    {
        Ok(Ok(remembered)) => remembered,
        Ok(Err(error)) => return warn!(path = %path.display(), %error, "what was discovered cannot be read"),
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

/// Returns what `config` has discovered, as the file holds it.
pub fn text(config: &Config) -> String {
    let pools = config.pools.iter().filter_map(|(name, pool)| {
        let node = |node: &Node| RememberedNode {
            target: node.address.to_string(),
            name: node.name.clone(),
            weight: node.weight,
            zone: node.origin.as_ref().and_then(|origin| origin.zone.clone()),
        };
        let nodes: Vec<RememberedNode> = pool.discovered().map(node).collect();
        let from = pool.discovered().next()?.origin.as_ref()?.from.clone();
        Some((name.clone(), RememberedPool { from, nodes }))
    });
    let remembered = Remembered {
        pools: pools.collect(),
    };
    serde_json::to_string_pretty(&remembered).expect("names and numbers are JSON")
}

/// Writes `text` to the file in `dir`, as a whole or not at all.
///
/// # Errors
/// As the system gives them.
pub fn keep(dir: &Path, text: &str) -> io::Result<()> {
    let draft = dir.join(format!("{FILE}.new"));
    let mut file = fs::File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, dir.join(FILE))
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
        keep(dir.path(), &text(&config)).unwrap();
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
}
