//! `pools.NAME.handover`: how long the phases of a change of the ring last.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::error::{Diagnostics, Location, Problem, quote};
use super::kind::{Kind, duration, timeout};
use super::map_reader::{MapReader, YamlNode};
use super::rows::{Section, render, section};
use super::{Address, HandoverFrom, Node, handover_from, schema, show_duration};

section! {
    /// How long the phases of a handover last.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Handover {
        /// How long only the old nodes serve: 15s longer than all processes need to take a change, or `0s` if there is
        /// one process; it lasts for `request_timeout` if that is longer.
        prepare: Duration = Duration::from_secs(120), duration();
        /// How long the new nodes get what they lack from the old ones.
        serve: Duration = Duration::from_secs(600), timeout();
        /// The ring before the last change, for processes that start in the middle of its handover.
        from: Option<Arc<HandoverFrom>> = None, handover_from::kind().optional();
    }
}

/// `off` or a mapping.
pub fn kind() -> Kind<Option<Handover>> {
    let show = |handover: &Option<Handover>| handover.as_ref().map_or(json!("off"), render);
    Kind::new(read, show, || {
        let phases = schema::mapping(Handover::rows(), serde_json::Value::Null);
        json!({ "anyOf": [phases, { "enum": ["off", false] }] })
    })
}

fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Option<Handover>> {
    if value.is_scalar() {
        return value.read(diagnostics, off);
    }
    let mut handover = Handover::default();
    let mut keys = value.keys(diagnostics);
    handover.read_rows(&mut keys);
    keys.finish();
    Some(Some(handover))
}

fn off(text: &str) -> Result<Option<Handover>, Problem> {
    match text {
        "off" | "false" => Ok(None),
        _ => Err(Problem::new(format!("{} is not a handover", quote(text)))
            .hint("write {prepare: 2m, serve: 10m}, or off")),
    }
}

/// Notes what makes `handover`, at `location`, impossible for a pool of `nodes`, whose links may be told to speak
/// classic text.
pub fn check(
    handover: &Handover,
    nodes: &[Node],
    is_classic: bool,
    location: &Location,
    keys: &mut MapReader<'_, '_>,
) {
    if is_classic {
        let problem = Problem::new("a handover needs leases, which `protocol: classic` lacks");
        keys.diagnostic_at(
            location,
            problem.hint("leave out `protocol`, or write `handover: off`"),
        );
    }
    let is_embedded = |node: &&Node| matches!(node.address, Address::Embedded(_));
    let before = handover.from.iter().flat_map(|from| &from.nodes);
    if let Some(node) = nodes.iter().chain(before).find(is_embedded) {
        let problem = Problem::new(format!("the node {} is embedded", node.label()));
        keys.diagnostic_at(
            location,
            problem.hint("a handover is between servers: move it to another pool"),
        );
    }
}

/// Returns what a pool is told that has `from` and discovers its nodes, so that its ring is not known yet when the process
/// starts.
pub fn unused_from() -> Problem {
    Problem::new("`from` does nothing in a pool that discovers its nodes")
        .hint("take it out; with `state_dir` a restarted process goes on with the handover")
}

/// Returns what a pool is told whose processes may be two phases apart; `None` if they may not.
pub fn short_serve(Handover { prepare, serve, .. }: &Handover) -> Option<Problem> {
    let is_short = serve < prepare;
    is_short.then(|| {
        let prepare = show_duration(*prepare);
        Problem::new(format!(
            "`serve` is shorter than `prepare`, which is {prepare}: processes may be two phases apart"
        ))
        .hint(format!("write `serve: {prepare}` or more"))
    })
}

/// Returns, for each old node, the index of the new node that is the same: its address is, or otherwise its
/// name.
pub fn twins(old: &[Node], new: &[Node]) -> Vec<Option<usize>> {
    let address = |node: &Node| match &node.address {
        Address::Embedded(_) | Address::Undiscovered => None,
        address => Some(address.to_string()),
    };
    let addresses: HashMap<_, _> = (0..new.len())
        .filter_map(|at| Some((address(&new[at])?, at)))
        .collect();
    let labels: HashMap<_, _> = (0..new.len()).map(|at| (new[at].label(), at)).collect();
    let twin = |node: &Node| {
        let by_address = address(node).and_then(|address| addresses.get(&address));
        by_address.or_else(|| labels.get(&node.label())).copied()
    };
    old.iter().map(twin).collect()
}
