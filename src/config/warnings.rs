//! Warnings: settings that are valid but probably unintended, with their locations.
//!
//! `ringway check` reports them; at the start, and at each reload that applies the file, they are logged.

use std::collections::HashSet;

use super::error::{Diagnostics, Location, Problem, Spanned, quote};
use super::route::SharedBudget;
use super::route::graph::Graph;
use super::route::{ReadRoute, Route};
use super::{OnNodeDown, Pool};

/// Warns of each pool that no listener leads to. `chosen` are the listeners' routes, `reads` all that are written.
pub fn unreached<'a>(
    pools: impl Iterator<Item = (&'a str, &'a Location)>,
    reads: impl Iterator<Item = &'a ReadRoute>,
    chosen: &[Option<Route>],
    graph: &Graph<'_>,
    diagnostics: &mut Diagnostics,
) {
    let used: HashSet<&str> = chosen
        .iter()
        .flatten()
        .flat_map(|route| graph.ends(route))
        .collect();
    let named: HashSet<&str> = reads.flat_map(|read| graph.ends(&read.route)).collect();
    for (name, location) in pools.filter(|(name, _)| !used.contains(name)) {
        let (what, hint) = match named.contains(name) {
            true => (
                "only routes that no listener uses lead to the pool",
                "name such a route at a listener, or take the pool out",
            ),
            false => (
                "no route leads to the pool",
                "name it in a route or at a listener, or take it out",
            ),
        };
        diagnostics.warn(
            location,
            Problem::new(format!("{what} {}", quote(name))).hint(hint),
        );
    }
}

/// Warns of a failover whose budget is less than the keys of one node of the pools that are asked first.
pub fn small_budget<'a>(
    Spanned { value, location }: &Spanned<SharedBudget>,
    graph: &Graph<'_>,
    pool: impl Fn(&str) -> Option<&'a Pool>,
    diagnostics: &mut Diagnostics,
) {
    for name in graph.ends(&value.first) {
        let Some(share) = pool(name).and_then(largest_share) else {
            continue;
        };
        if value.percent < share {
            let problem = Problem::new(format!(
                "{}% is less than the share of one node of {}, which is {share}%",
                value.percent,
                quote(name)
            ));
            let hint = format!("write {share}% or more, or not all keys of a dead node are covered");
            diagnostics.warn(location, problem.hint(hint));
            return;
        }
    }
}

/// The keys of the heaviest node, in percent of all, rounded up; `None` if the other nodes take them when it is down, or
/// if nodes are discovered.
fn largest_share(pool: &Pool) -> Option<u32> {
    if pool.discover.is_some() {
        return None;
    }
    let weights = || pool.nodes.iter().map(|node| u64::from(node.weight));
    let (heaviest, sum) = (weights().max()?, weights().sum::<u64>());
    let share = (heaviest * 100).div_ceil(sum);
    (pool.on_node_down == OnNodeDown::Fail).then(|| u32::try_from(share).expect("at most a hundred"))
}

/// Warns if the missed writes of discovered nodes survive a restart and the nodes do not.
pub fn forgotten_nodes<'a>(
    dir: &Location,
    mut pools: impl Iterator<Item = (&'a str, &'a Pool)>,
    diagnostics: &mut Diagnostics,
) {
    let Some((name, _)) = pools.find(|(_, pool)| pool.discover.is_some()) else {
        return;
    };
    let problem = Problem::new(format!(
        "the nodes of {} are discovered, and a restart does not know which of them missed these writes",
        quote(name)
    ));
    diagnostics.warn(
        dir,
        problem.hint("add `state_dir:` at the top of the file, which keeps the nodes"),
    );
}
