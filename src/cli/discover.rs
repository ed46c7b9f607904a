//! Asks the sources of discovered nodes what they name now.

use tokio::runtime::Runtime;

use super::note;
use crate::config::{Config, Node};
use crate::control::node_version::{self, Version};
use crate::control::sources;

/// Gives the pools of `config` the nodes that their sources name now, and reports sources that name none.
///
/// # Errors
/// There is no event loop to be had.
pub fn fill(config: &mut Config) -> anyhow::Result<()> {
    let runtime = runtime()?;
    for (pool, named) in runtime.block_on(sources::ask_once(config)) {
        let nodes = match named {
            Ok(nodes) => nodes,
            Err(reason) => {
                note(format_args!("{pool}: no list of nodes: {reason}"));
                continue;
            }
        };
        if let Some(settings) = config.pools.get_mut(&pool) {
            let nodes: Vec<(Node, _)> = nodes.into_iter().map(|node| (node, &*settings)).collect();
            let versions = runtime.block_on(node_version::ask_all(&nodes));
            let answered = nodes.into_iter().map(|(node, _)| node).zip(versions);
            let joins = |version: &Version| !matches!(version, Err(error) if error.is_foreign());
            let joining = answered.filter(|(_, version)| joins(version));
            let joining: Vec<Node> = joining.map(|(node, _)| node).collect();
            settings.set_discovered(joining);
        }
    }
    Ok(())
}

/// An event loop for the questions of one command.
///
/// # Errors
/// As the system gives them.
pub fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
