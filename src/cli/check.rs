//! `ringway check`: validates a configuration, and with `--live` asks its sources and nodes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use anyhow::bail;

use super::{discover, note};
use crate::config::{self, Address, Config, Discover, Node, Pool};
use crate::control::node_version::{self, Version};
use crate::control::sources::{self, Named};

/// Prints the warnings about the configuration in `file` and what it holds; if `is_live`, also what its sources and
/// nodes answer.
///
/// # Errors
/// Every mistake in the file, one per line; sources and nodes that cannot be used.
pub fn run(file: &Path, is_live: bool) -> anyhow::Result<()> {
    let checked = config::check(file).map_err(anyhow::Error::msg)?;
    for warning in &checked.warnings {
        note(warning);
    }
    let name = match config::is_stdin(file) {
        true => "stdin".into(),
        false => file.display().to_string(),
    };
    let mut out = io::stdout().lock();
    let printed = writeln!(out, "{}: ok: {}", name.escape_debug(), content(&checked.config));
    if !is_live {
        return Ok(printed?);
    }
    let mut answers = Vec::new();
    let asked = ask(&checked.config, &mut answers);
    let printed = printed.and_then(|()| out.write_all(&answers));
    asked?;
    Ok(printed?)
}

/// What `config` has, such as `2 pools, 5 nodes, 1 listener`.
fn content(config: &Config) -> String {
    let pools = config.pools.values();
    let discovering = pools.clone().filter(|pool| pool.discover.is_some()).count();
    let nodes = pools.flat_map(|pool| &pool.nodes).filter(|node| node.is_listed());
    let mut content = counted(config.pools.len(), "pool");
    if discovering > 0 {
        content += &format!(" ({discovering} with discovery)");
    }
    let nodes = counted(nodes.count(), "node");
    let listeners = counted(config.listeners.len(), "listener");
    format!("{content}, {nodes}, {listeners}")
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Prints what each source of `config` names and what each node answers.
fn ask(config: &Config, out: &mut impl Write) -> anyhow::Result<()> {
    let runtime = discover::runtime()?;
    let named = runtime.block_on(sources::ask_once(config));
    let pools: Vec<LivePool<'_>> = config
        .pools
        .iter()
        .map(|(name, pool)| LivePool::new(name, pool, &named))
        .collect();
    let asked: Vec<(Node, &Pool)> = pools.iter().flat_map(LivePool::asked).collect();
    let versions = runtime.block_on(node_version::ask_all(&asked));
    let failed = versions.iter().filter(|version| version.is_err()).count();
    let mut versions = versions.iter();
    for pool in &pools {
        pool.print(&mut versions, out)?;
    }
    let mut problems: Vec<String> = pools.iter().filter_map(LivePool::problem).collect();
    match (failed, asked.len()) {
        (0, 0) if problems.is_empty() => writeln!(out, "no nodes to ask")?,
        (0, 0) => {}
        (0, count) => writeln!(out, "{} answered", counted(count, "node"))?,
        (failed, count) => problems.push(format!("{failed} of {} cannot be used", counted(count, "node"))),
    }
    match problems.is_empty() {
        true => Ok(()),
        false => bail!(problems.join("\n")),
    }
}

/// A pool with the nodes that it would have now.
struct LivePool<'a> {
    name: &'a str,
    settings: &'a Pool,
    /// Listed ones first.
    nodes: Vec<&'a Node>,
    source: Option<(&'a Discover, &'a Named)>,
}

impl<'a> LivePool<'a> {
    fn new(name: &'a str, settings: &'a Pool, named: &'a BTreeMap<String, Named>) -> LivePool<'a> {
        let source = settings.discover.as_ref().zip(named.get(name));
        let discovered = source.iter().filter_map(|(_, named)| named.as_ref().ok());
        let listed = settings.nodes.iter().filter(|node| node.is_listed());
        LivePool {
            name,
            settings,
            nodes: listed.chain(discovered.flatten()).collect(),
            source,
        }
    }

    /// The nodes that can be asked, in order.
    fn asked(&self) -> impl Iterator<Item = (Node, &'a Pool)> {
        let remote = self.nodes.iter().filter(|node| is_remote(node));
        remote.map(|node| ((*node).clone(), self.settings))
    }

    /// Prints it with its nodes, and takes their versions.
    fn print<'v>(
        &self,
        versions: &mut impl Iterator<Item = &'v Version>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let mut line = format!("{}: {}", self.name, counted(self.nodes.len(), "node"));
        if let Some((discover, Ok(named))) = &self.source {
            line += &format!(", {} of them from {}", named.len(), discover.from);
        }
        writeln!(out, "{}", line.escape_debug())?;
        for node in &self.nodes {
            let answer = match is_remote(node) {
                true => versions.next().map(answer).unwrap_or_default(),
                false => "embedded".to_owned(),
            };
            writeln!(out, "  {}: {}", described(node).escape_debug(), answer)?;
        }
        Ok(())
    }

    /// What is wrong with its source.
    fn problem(&self) -> Option<String> {
        let (discover, named) = self.source?;
        let (name, from, least) = (self.name, &discover.from, discover.min_nodes);
        match named {
            Ok(nodes) if nodes.len() < least => Some(format!("{name}: min_nodes is {least}")),
            Ok(_) => None,
            Err(reason) => Some(format!("{name}: no list of nodes from {from}: {reason}")),
        }
    }
}

fn is_remote(node: &Node) -> bool {
    !matches!(node.address, Address::Embedded(_))
}

fn described(node: &Node) -> String {
    let mut text = node.label();
    if node.name.is_some() && is_remote(node) {
        text += &format!(" at {}", node.address);
    }
    if node.weight != 1 {
        text += &format!(", weight {}", node.weight);
    }
    if let Some(zone) = node.origin.as_ref().and_then(|origin| origin.zone.as_ref()) {
        text += &format!(", zone {zone}");
    }
    text
}

/// The answer of a node. What the node itself said is escaped already.
fn answer(version: &Version) -> String {
    match version {
        Ok(version) => format!("version {}", version.escape_debug()),
        Err(error) => format!("cannot be used: {error}"),
    }
}
