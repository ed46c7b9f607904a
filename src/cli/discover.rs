//! `--live`: asks the sources of discovered nodes what they name now.

use std::io::Write;

use anyhow::{Context, bail};

use crate::config::{Config, Node};
use crate::control::sources::{self, Asked};
use crate::discovery::members::Probe;

/// Prints what each source of `config` names, and what answers there.
///
/// # Errors
/// A source names nothing.
pub fn tell(config: &Config) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let mut failed = Vec::new();
    for (pool, asked) in ask(config)? {
        let discover = config.pools[&pool].discover.as_ref();
        let discover = discover.context("it was asked")?;
        let from = &discover.from;
        match asked {
            Ok(nodes) => {
                writeln!(out, "{pool}: {} nodes from {from}", nodes.len())?;
                nodes
                    .iter()
                    .try_for_each(|(node, probe)| writeln!(out, "  {}", line(node, *probe)))?;
                if nodes.len() < discover.min_nodes {
                    failed.push(format!("{pool}: min_nodes is {}", discover.min_nodes));
                }
            }
            Err(reason) => failed.push(format!("{pool}: no list of nodes from {from}: {reason}")),
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => bail!(failed.join("\n")),
    }
}

/// Gives the pools of `config` the nodes that their sources name now, and reports sources that name none.
///
/// # Errors
/// There is no event loop to be had.
pub fn fill(config: &mut Config) -> anyhow::Result<()> {
    for (pool, asked) in ask(config)? {
        match asked {
            Ok(nodes) => {
                let nodes = nodes.into_iter().filter(|(_, probe)| *probe != Probe::Foreign);
                let nodes = nodes.map(|(node, _)| node).collect();
                if let Some(settings) = config.pools.get_mut(&pool) {
                    settings.set_discovered(nodes);
                }
            }
            Err(reason) => eprintln!("{pool}: no list of nodes: {reason}"),
        }
    }
    Ok(())
}

fn ask(config: &Config) -> anyhow::Result<Vec<(String, Asked)>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(sources::ask_once(config)))
}

fn line(node: &Node, probe: Probe) -> String {
    let mut line = node.label();
    if node.name.is_some() {
        line += &format!(" at {}", node.address);
    }
    if node.weight != 1 {
        line += &format!(", weight {}", node.weight);
    }
    if let Some(zone) = node.origin.as_ref().and_then(|origin| origin.zone.as_ref()) {
        line += &format!(", zone {zone}");
    }
    line += match probe {
        Probe::Good => ": memcached answers",
        Probe::Silent => ": nothing answers",
        Probe::Foreign => ": something else than memcached answers, it does not join",
    };
    line.escape_debug().to_string()
}
