//! What `GET /status` answers, and what happened between two of its answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One answer of `GET /status`: what of it is shown.
#[derive(Debug, Deserialize)]
pub struct Look {
    version: String,
    ready: bool,
    phase: String,
    reasons: Vec<String>,
    uptime_milliseconds: u64,
    sessions: u64,
    config: Config,
    memory: Memory,
    duration_bounds: Vec<f64>,
    pools: Vec<Pool>,
    nodes: Vec<Node>,
    hot_keys: Vec<HotKey>,
    hot_prefixes: Vec<HotKey>,
    routes: Vec<Route>,
}

#[derive(Debug, Deserialize)]
struct Route {
    route: String,
    policy: String,
    requests: u64,
    events: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
struct Config {
    mistakes: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Memory {
    buffers: u64,
    limit: u64,
}

#[derive(Debug, Deserialize)]
struct Pool {
    name: String,
    fails_open: bool,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Debug, Deserialize)]
struct Node {
    pool: String,
    node: String,
    state: String,
    in_ring: bool,
    drained: bool,
    share: f64,
    in_flight: u64,
    links: u64,
    last_error: Option<String>,
    #[serde(flatten)]
    counts: Counts,
}

/// A key with many requests.
#[derive(Debug, Deserialize, Serialize)]
pub struct HotKey {
    pub key: Option<String>,
    pub hash: Option<String>,
    pub pool: String,
    pub node: Option<String>,
    pub requests_per_second: f64,
    pub reads_per_second: f64,
    pub writes_per_second: f64,
    pub bytes_per_second: f64,
    pub share: f64,
}

#[derive(Debug, Default, Deserialize)]
struct Counts {
    requests: u64,
    errors: u64,
    reads: u64,
    read_hits: u64,
    read_durations: Vec<u64>,
    write_durations: Vec<u64>,
    delete_durations: Vec<u64>,
}

/// What is shown: the state now, and the figures since the look before.
#[derive(Debug, Serialize)]
pub struct View<'a> {
    pub version: &'a str,
    pub ready: bool,
    pub phase: &'a str,
    pub uptime_seconds: f64,
    pub sessions: u64,
    pub buffer_bytes: u64,
    pub memory_limit_bytes: u64,
    /// What an operator should know: why it is not ready, a refused file, pools that fail open.
    pub problems: Vec<String>,
    pub pools: Vec<PoolView<'a>>,
    pub nodes: Vec<NodeView<'a>>,
    pub hot_keys: Vec<&'a HotKey>,
    pub hot_prefixes: Vec<&'a HotKey>,
    pub routes: Vec<RouteView<'a>>,
}

/// One kind of policy in a route.
#[derive(Debug, Serialize)]
pub struct RouteView<'a> {
    pub route: &'a str,
    pub policy: &'a str,
    pub requests_per_second: f64,
    /// What it did with them, by the second: what happened between the looks.
    pub events_per_second: BTreeMap<&'a str, f64>,
}

/// A pool.
#[derive(Debug, Serialize)]
pub struct PoolView<'a> {
    pub pool: &'a str,
    pub nodes: usize,
    pub up: usize,
    #[serde(flatten)]
    pub figures: Figures,
}

/// A node.
#[derive(Debug, Serialize)]
pub struct NodeView<'a> {
    pub pool: &'a str,
    pub node: &'a str,
    pub state: &'a str,
    pub in_ring: bool,
    pub drained: bool,
    pub share: f64,
    pub in_flight: u64,
    pub links: u64,
    pub last_error: Option<&'a str>,
    #[serde(flatten)]
    pub figures: Figures,
}

/// What happened between two looks.
#[derive(Debug, PartialEq, Serialize)]
pub struct Figures {
    pub requests_per_second: f64,
    pub errors_per_second: f64,
    /// `None` if nothing was read.
    pub hit_ratio: Option<f64>,
    /// `None` if no request was sent and answered.
    pub p50_seconds: Option<f64>,
    pub p99_seconds: Option<f64>,
}

impl<'a> View<'a> {
    /// What happened from `before` to `now`; since its start, if Ringway was started between.
    pub fn between(before: &'a Look, now: &'a Look) -> View<'a> {
        let is_same = now.uptime_milliseconds >= before.uptime_milliseconds;
        let begin = if is_same { before.uptime_milliseconds } else { 0 };
        let seconds = (now.uptime_milliseconds - begin).max(1) as f64 / 1e3;
        let none = Counts::default();
        let figures = |now_counts, old: Option<&Counts>| {
            Figures::between(
                old.filter(|_| is_same).unwrap_or(&none),
                now_counts,
                seconds,
                &now.duration_bounds,
            )
        };
        let pools = now.pools.iter().map(|pool| {
            let own = || now.nodes.iter().filter(|node| node.pool == pool.name);
            let old = before.pools.iter().find(|old| old.name == pool.name);
            PoolView {
                pool: &pool.name,
                nodes: own().count(),
                up: own().filter(|node| takes_requests(&node.state)).count(),
                figures: figures(&pool.counts, old.map(|old| &old.counts)),
            }
        });
        let nodes = now.nodes.iter().map(|node| {
            let is_same = |old: &&Node| old.pool == node.pool && old.node == node.node;
            let old = before.nodes.iter().find(is_same);
            node.view(figures(&node.counts, old.map(|old| &old.counts)))
        });
        View {
            version: &now.version,
            ready: now.ready,
            phase: &now.phase,
            uptime_seconds: now.uptime_milliseconds as f64 / 1e3,
            sessions: now.sessions,
            buffer_bytes: now.memory.buffers,
            memory_limit_bytes: now.memory.limit,
            problems: problems(now),
            pools: pools.collect(),
            nodes: nodes.collect(),
            hot_keys: now.hot_keys.iter().collect(),
            hot_prefixes: now.hot_prefixes.iter().collect(),
            routes: now
                .routes
                .iter()
                .map(|route| route.view(before.routes.iter().filter(|_| is_same), seconds))
                .collect(),
        }
    }
}

fn problems(now: &Look) -> Vec<String> {
    let mut problems = now.reasons.clone();
    problems.extend(
        now.config
            .mistakes
            .iter()
            .map(|mistake| format!("refused file: {mistake}")),
    );
    let open = now.pools.iter().filter(|pool| pool.fails_open);
    problems
        .extend(open.map(|pool| format!("pool {} fails open: more nodes are down than max_down", pool.name)));
    problems
}

/// Whether requests go to a node in this state.
pub fn takes_requests(state: &str) -> bool {
    matches!(state, "up" | "suspect")
}

impl Route {
    fn view<'a>(&'a self, before: impl Iterator<Item = &'a Route>, seconds: f64) -> RouteView<'a> {
        let mut before = before.filter(|old| old.route == self.route && old.policy == self.policy);
        let before = before.next();
        let rate = |old: Option<u64>, now: u64| grown(old.unwrap_or(0), now) as f64 / seconds;
        let events = self.events.iter().map(|(event, &count)| {
            let old = before.and_then(|old| old.events.get(event).copied());
            (event.as_str(), rate(old, count))
        });
        RouteView {
            route: &self.route,
            policy: &self.policy,
            requests_per_second: rate(before.map(|old| old.requests), self.requests),
            events_per_second: events.filter(|(_, rate)| *rate > 0.0).collect(),
        }
    }
}

impl Node {
    fn view(&self, figures: Figures) -> NodeView<'_> {
        NodeView {
            pool: &self.pool,
            node: &self.node,
            state: &self.state,
            in_ring: self.in_ring,
            drained: self.drained,
            share: self.share,
            in_flight: self.in_flight,
            links: self.links,
            last_error: self.last_error.as_deref(),
            figures,
        }
    }
}

impl Figures {
    fn between(before: &Counts, now: &Counts, seconds: f64, bounds: &[f64]) -> Figures {
        let reads = grown(before.reads, now.reads);
        let hits = grown(before.read_hits, now.read_hits);
        let counts = durations(before, now);
        Figures {
            requests_per_second: grown(before.requests, now.requests) as f64 / seconds,
            errors_per_second: grown(before.errors, now.errors) as f64 / seconds,
            hit_ratio: (reads > 0).then(|| hits as f64 / reads as f64),
            p50_seconds: quantile(0.5, &counts, bounds),
            p99_seconds: quantile(0.99, &counts, bounds),
        }
    }
}

/// By how much a counter grew; one that is smaller than before began anew.
fn grown(before: u64, now: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

/// Counts of all durations between two looks, by bucket.
fn durations(before: &Counts, now: &Counts) -> Vec<u64> {
    let of = |counts: &Counts, bucket: usize| -> u64 {
        let classes = [
            &counts.read_durations,
            &counts.write_durations,
            &counts.delete_durations,
        ];
        classes.iter().filter_map(|class| class.get(bucket)).sum()
    };
    let buckets = 0..now.read_durations.len();
    buckets
        .map(|bucket| grown(of(before, bucket), of(now, bucket)))
        .collect()
}

/// The duration that this part of all did not exceed. Within a bucket durations count as spread evenly; what lies
/// above the last bound counts as it.
fn quantile(part: f64, counts: &[u64], bounds: &[f64]) -> Option<f64> {
    let mut left = part * counts.iter().sum::<u64>() as f64;
    if left == 0.0 {
        return None;
    }
    let mut low = 0.0;
    for (&count, &bound) in counts.iter().zip(bounds) {
        let count = count as f64;
        if left <= count {
            return Some(low + (bound - low) * left / count);
        }
        left -= count;
        low = bound;
    }
    bounds.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_time_between() {
        let counts = |requests: u64, hits: u64, durations: [u64; 3]| Counts {
            requests,
            reads: requests,
            read_hits: hits,
            read_durations: durations.to_vec(),
            write_durations: vec![0; 3],
            delete_durations: vec![0; 3],
            errors: 0,
        };
        let (before, now) = (
            counts(1000, 1000, [1000, 0, 0]),
            counts(1100, 1050, [1000, 100, 0]),
        );
        let expected = Figures {
            requests_per_second: 50.0,
            errors_per_second: 0.0,
            hit_ratio: Some(0.5),
            p50_seconds: Some(1.5),
            p99_seconds: Some(1.99),
        };
        assert_eq!(Figures::between(&before, &now, 2.0, &[1.0, 2.0]), expected);
        let idle = Figures::between(&now, &now, 2.0, &[1.0, 2.0]);
        assert_eq!(
            (idle.requests_per_second, idle.hit_ratio, idle.p99_seconds),
            (0.0, None, None)
        );
        let slow = quantile(0.99, &[0, 0, 5], &[1.0, 2.0]);
        assert_eq!(slow, Some(2.0), "above the last bound");
        assert_eq!(grown(10, 3), 3, "a counter that began anew");
    }
}
