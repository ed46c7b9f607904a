//! Decides which nodes of a pool take keys now.

use crate::config::{self, OnNodeDown};
use crate::node::Node;

/// Returns the nodes of a pool that take keys now, as indices into `nodes`, all of the pool's.
///
/// A node that left the ring stays out until it is admitted. One that goes down leaves it under
/// `on_node_down: rehash`, unless more than `max_down` would be out then. A ring is never empty.
pub(super) fn active<N: AsRef<Node>>(settings: &config::Pool, nodes: &[N]) -> Vec<usize> {
    let nodes: Vec<&Node> = nodes.iter().map(AsRef::as_ref).collect();
    let is_failing = |node: &Node| node.membership.may_stand() && !node.state().takes_requests();
    let has_left = |node: &Node| !node.membership.is_drained() && node.membership.left_at().is_some();
    let out = nodes
        .iter()
        .filter(|node| is_failing(node) || has_left(node))
        .count();
    let ejects = settings.on_node_down == OnNodeDown::Rehash && out <= most_down(settings);
    let stands = |node: &Node| node.membership.may_stand() && !(ejects && is_failing(node));
    let indices = |wanted: &dyn Fn(&Node) -> bool| {
        (0..nodes.len())
            .filter(|&index| wanted(nodes[index]))
            .collect::<Vec<usize>>()
    };
    [indices(&stands), indices(&|node| !node.membership.is_drained())]
        .into_iter()
        .find(|active| !active.is_empty())
        .unwrap_or_else(|| indices(&|_| true))
}

/// The maximum number of nodes of a pool that may be out of its ring because they fail.
pub(super) fn most_down(settings: &config::Pool) -> usize {
    settings.nodes.len() * settings.max_down as usize / 100
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::*;
    use crate::route::Pool;

    fn pool(count: usize, more: &str) -> (config::Pool, Vec<Arc<Node>>) {
        let nodes: Vec<String> = (1..=count).map(|n| format!("'127.0.0.1:{n}'")).collect();
        let text = format!("pools: {{main: {{nodes: [{}], {more}}}}}", nodes.join(", "));
        let settings = config::parse(&text, "test").expect("good").pools["main"].clone();
        let nodes = settings
            .nodes
            .iter()
            .map(|node| Arc::new(Node::new("main", node, &settings.health, 1, &Arc::default())))
            .collect();
        (settings, nodes)
    }

    fn take_down(node: &Node) {
        (0..3).for_each(|_| node.failed("test"));
    }

    fn bring_up(node: &Node) {
        (0..2).for_each(|_| node.probed());
    }

    #[test]
    fn a_node_that_is_down_leaves_the_ring_and_comes_back_when_it_is_admitted() {
        let (settings, nodes) = pool(4, "on_node_down: rehash");
        take_down(&nodes[1]);
        assert_eq!(active(&settings, &nodes), [0, 2, 3]);
        nodes[1].membership.leave(Instant::now());
        bring_up(&nodes[1]);
        assert_eq!(
            active(&settings, &nodes),
            [0, 2, 3],
            "up, but not let in again yet"
        );
        nodes[1].membership.admit();
        assert_eq!(active(&settings, &nodes), [0, 1, 2, 3]);
    }

    #[test]
    fn with_too_many_nodes_down_no_further_one_leaves_and_those_that_left_stay_out() {
        let (settings, nodes) = pool(4, "on_node_down: rehash");
        for index in [0, 1] {
            take_down(&nodes[index]);
            assert_eq!(active(&settings, &nodes).len(), 3 - index);
            nodes[index].membership.leave(Instant::now());
        }
        take_down(&nodes[2]);
        assert_eq!(active(&settings, &nodes), [2, 3]);
        take_down(&nodes[3]);
        assert_eq!(active(&settings, &nodes), [2, 3]);
        bring_up(&nodes[0]);
        nodes[0].membership.admit();
        assert_eq!(
            active(&settings, &nodes),
            [0, 2, 3],
            "three of four are still down"
        );
    }

    #[test]
    fn if_all_fail_at_once_the_ring_stays_whole() {
        for more in ["on_node_down: rehash", "on_node_down: fail"] {
            let (settings, nodes) = pool(3, more);
            nodes.iter().for_each(|node| take_down(node));
            assert_eq!(active(&settings, &nodes), [0, 1, 2], "{more}");
            assert!(Pool::compile("main", &settings, 0, &nodes, None).fails_open(&nodes));
        }
    }

    #[test]
    fn max_down_is_a_share_of_all_nodes() {
        for (share, most) in [("0%", 0), ("33%", 0), ("34%", 1), ("50%", 1), ("100%", 3)] {
            let (settings, _) = pool(3, &format!("max_down: {share}"));
            assert_eq!(most_down(&settings), most, "{share}");
        }
    }

    #[test]
    fn a_drained_node_takes_no_keys_in_any_pool_and_counts_as_no_failure() {
        for more in ["on_node_down: rehash", "on_node_down: fail"] {
            let (settings, nodes) = pool(4, more);
            nodes[0].membership.set_drained(true);
            nodes[1].membership.set_drained(true);
            nodes[1].membership.leave(Instant::now());
            let pool = Pool::compile("main", &settings, 0, &nodes, None);
            assert_eq!(pool.targets, [2, 3], "{more}");
            assert!(!pool.fails_open(&nodes) && !pool.is_stale(&nodes));
            nodes[0].membership.set_drained(false);
            assert!(pool.is_stale(&nodes));
        }
    }
}
