//! Validates what several places of the file must agree on.
//!
//! Every route and listener names something that exists, no name means two things, no routes form a
//! circle, no two listeners bind one address, and no listener is a node of its own pool.

use std::collections::{BTreeSet, HashMap};

use super::error::{Diagnostics, Location, Problem, Spanned, quote};
use super::file::File;
use super::listeners::{Listener, RawListener};
use super::route::ReadRoute;
use super::route::graph::Graph;
use super::units::show_size;
use super::{Bind, Config, Pool, Protocol, Route, defaults, overlap, suggest, warnings};

/// Values of the largest size that the buffers of one worker have room for at least: one arrives, is held
/// and is written, and that takes no more than three quarters.
const LARGEST_VALUES: u64 = 4;

/// Returns the validated configuration; `None` only if there are mistakes.
pub fn resolve(file: File, diagnostics: &mut Diagnostics) -> Option<Config> {
    check_binds(&file, diagnostics);
    let memory_limit = memory_limit(&file, diagnostics);
    let names = KnownNames::of(&file)?;
    names.check_twins(diagnostics);
    names.check_targets(diagnostics);
    let listeners = file.listeners();
    let chosen: Vec<Option<Route>> = listeners
        .map(|listener| names.choose(listener, diagnostics))
        .collect();
    names.check_graph(&file, &chosen, diagnostics);
    check_zones(&file, diagnostics);
    let keys = file.keys;
    let routes = keys.routes.into_iter().flatten();
    let routes = routes.filter_map(|(name, read)| Some((name.value, read?.route)));
    let listeners = keys.listeners.into_iter().flatten().zip(chosen);
    let listeners = listeners.map(|(raw, route)| {
        Some(Listener {
            route: route?,
            ..raw.settings
        })
    });
    Some(Config {
        workers: keys.workers,
        batching: keys.batching,
        memory_limit,
        missed_writes: keys.missed_writes,
        state_dir: keys.state_dir,
        takeover: keys.takeover,
        zone: keys.zone,
        listeners: listeners.collect::<Option<_>>()?,
        admin: keys.admin,
        metrics: keys.metrics,
        shutdown: keys.shutdown,
        pools: keys
            .pools?
            .into_iter()
            .map(|(name, pool)| (name.value, pool))
            .collect(),
        routes: routes.collect(),
    })
}

/// Reports routes that prefer pools of this process's zone if the zone is unknown.
fn check_zones(file: &File, diagnostics: &mut Diagnostics) {
    if file.keys.zone.is_some() {
        return;
    }
    for location in file.reads().flat_map(|read| &read.zones) {
        let problem = Problem::new("the zone of this process is unknown");
        let hint = "add `zone:` at the top of the file, with a name, or with $VARIABLE of the environment";
        diagnostics.add(location, problem.hint(hint));
    }
}

/// Returns the limit in the file, or a default that is enough for the largest values.
fn memory_limit(file: &File, diagnostics: &mut Diagnostics) -> u64 {
    let largest = file
        .pools()
        .map(|(_, pool)| pool.max_value_size as u64)
        .max()
        .unwrap_or(0);
    let min = LARGEST_VALUES * largest * file.keys.workers as u64;
    let Some(limit) = file.keys.memory_limit else {
        return defaults::MEMORY_LIMIT.max(min);
    };
    if limit < min
        && let Some(location) = &file.memory_limit
    {
        let (limit, min, largest) = (show_size(limit), show_size(min), show_size(largest));
        let problem = Problem::new(format!("{limit} is too little for values of {largest}"));
        let hint = format!("the minimum for this number of workers is {min}, or make max_value_size smaller");
        diagnostics.add(location, problem.hint(hint));
    }
    limit
}

/// Compares each address that is bound with those before it, in the order of the file; defaults come first.
fn check_binds(file: &File, diagnostics: &mut Diagnostics) {
    let listeners = file.listeners().enumerate();
    let mut binds: Vec<(String, Spanned<Bind>)> = listeners
        .filter_map(|(index, listener)| Some((format!("listeners[{index}]"), listener.bind.clone()?)))
        .collect();
    if let Some(bind) = &file.admin {
        binds.push(("admin".to_owned(), bind.clone()));
    }
    if let (Some(path), Some(location)) = (&file.keys.takeover, &file.takeover) {
        binds.push((
            "takeover".to_owned(),
            Spanned {
                value: Bind::Unix(path.clone()),
                location: location.clone(),
            },
        ));
    }
    binds.sort_by(|(_, one), (_, other)| one.location.cmp(&other.location));
    for (index, (_, bind)) in binds.iter().enumerate() {
        let taken = binds[..index]
            .iter()
            .find(|(_, other)| overlap::collide(&other.value, &bind.value));
        if let Some((who, other)) = taken {
            let problem = Problem::new(format!("{} is taken: {who} binds {}", bind.value, other.value));
            diagnostics.add(&bind.location, problem.hint("choose another port"));
        }
    }
}

/// The pools and routes of a file.
struct KnownNames<'a> {
    pools: HashMap<&'a str, (&'a Location, &'a Pool)>,
    routes: HashMap<&'a str, &'a Location>,
    /// All of them, sorted, for hints.
    all: BTreeSet<&'a str>,
    /// The routes as the file has them.
    in_order: &'a [(Spanned<String>, Option<ReadRoute>)],
}

impl<'a> KnownNames<'a> {
    /// `None` if it is not known which names there are.
    fn of(file: &'a File) -> Option<KnownNames<'a>> {
        let (pools, routes) = (file.keys.pools.as_ref()?, file.keys.routes.as_ref()?);
        let pools: HashMap<_, _> = pools
            .iter()
            .map(|(name, pool)| (name.value.as_str(), (&name.location, pool)))
            .collect();
        let in_order = routes.as_slice();
        let routes: HashMap<_, _> = routes
            .iter()
            .map(|(name, _)| (name.value.as_str(), &name.location))
            .collect();
        let all = pools.keys().chain(routes.keys()).copied().collect();
        Some(KnownNames {
            pools,
            routes,
            all,
            in_order,
        })
    }

    /// Reports each name that a pool and a route share, at the second of them.
    fn check_twins(&self, diagnostics: &mut Diagnostics) {
        for (name, &route) in &self.routes {
            let Some(&(pool, _)) = self.pools.get(name) else {
                continue;
            };
            let (first, second, kind) = if route < pool {
                (route, pool, "a route")
            } else {
                (pool, route, "a pool")
            };
            let problem = Problem::new(format!("{kind} on line {} has this name", first.line));
            diagnostics.add(second, problem.hint("a pool and a route must differ in name"));
        }
    }

    /// Reports each name in a route that does not exist.
    fn check_targets(&self, diagnostics: &mut Diagnostics) {
        for read in self.in_order.iter().filter_map(|(_, read)| read.as_ref()) {
            self.check_names(read, diagnostics);
        }
    }

    /// Whether all names in a route exist.
    fn check_names(&self, read: &ReadRoute, diagnostics: &mut Diagnostics) -> bool {
        let unknown = read
            .names
            .iter()
            .filter(|name| !self.check_name(&name.value, &name.location, diagnostics));
        unknown.count() == 0
    }

    fn check_name(&self, name: &str, location: &Location, diagnostics: &mut Diagnostics) -> bool {
        let known = self.all.contains(name);
        if !known {
            let problem = Problem::new(format!("no route or pool has the name {}", quote(name)));
            diagnostics.add(
                location,
                problem.hint(suggest::hint(name, "there are", self.all.iter().copied())),
            );
        }
        known
    }

    /// Returns the route or pool that a listener names or, if it names none, the only one that can be meant.
    fn choose(&self, listener: &RawListener, diagnostics: &mut Diagnostics) -> Option<Route> {
        let Spanned { value, location } = listener.route.as_ref()?;
        if let Some(read) = value {
            return self.check_names(read, diagnostics).then(|| read.route.clone());
        }
        let default = self.routes.get_key_value("default").map(|(name, _)| *name);
        let only_route = self.routes.keys().next().filter(|_| self.routes.len() == 1);
        let only_pool = self.pools.keys().next().filter(|_| self.pools.len() == 1);
        let meant = default.or(only_route.copied()).or(only_pool.copied());
        if meant.is_none() {
            let problem = Problem::new("the route is left out, and more than one could be meant");
            diagnostics.add(
                location,
                problem.hint(suggest::list("choose one of", self.all.iter().copied())),
            );
        }
        meant.map(|name| Route::Name(name.to_owned()))
    }

    /// Checks how routes lead to one another, and from listeners to nodes.
    fn check_graph(&self, file: &File, chosen: &[Option<Route>], diagnostics: &mut Diagnostics) {
        let graph = Graph::new(self.in_order, |name| self.pools.contains_key(name));
        let raw = file.listeners().filter_map(|listener| listener.route.as_ref());
        let inline: Vec<_> = raw
            .filter_map(|route| Some((&route.location, route.value.as_ref()?)))
            .collect();
        graph.check(&inline, diagnostics);
        for read in file.reads() {
            self.check_meta(read, &graph, diagnostics);
            for budget in &read.budgets {
                let pool = |name: &str| self.pools.get(name).map(|(_, pool)| *pool);
                warnings::small_budget(budget, &graph, pool, diagnostics);
            }
        }
        let pools = file
            .pools()
            .map(|(name, _)| (name.value.as_str(), &name.location));
        warnings::unreached(pools, file.reads(), chosen, &graph, diagnostics);
        for (listener, route) in file.listeners().zip(chosen) {
            if let Some(route) = route {
                self.check_loop(listener, &graph.ends(route), diagnostics);
            }
        }
    }

    /// Reports pools that speak classic text under policies that need meta commands.
    fn check_meta(&self, read: &ReadRoute, graph: &Graph<'_>, diagnostics: &mut Diagnostics) {
        for Spanned { value, location } in &read.meta {
            let is_classic = |name: &&str| {
                let pool = self.pools.get(name);
                pool.is_some_and(|(_, pool)| pool.protocol == Protocol::Classic)
            };
            if let Some(name) = graph.ends(value).into_iter().find(is_classic) {
                let problem = Problem::new(format!("the pool {} speaks classic text only", quote(name)));
                let hint =
                    "this policy needs memcached's meta commands: take `protocol: classic` out of the pool";
                diagnostics.add(location, problem.hint(hint));
            }
        }
    }

    /// Reports a listener that is a node of one of its own pools: it would send every request to itself.
    fn check_loop(&self, listener: &RawListener, ends: &[&str], diagnostics: &mut Diagnostics) {
        let Some(bind) = &listener.bind else { return };
        let pools = ends
            .iter()
            .filter_map(|name| Some((name, self.pools.get(name)?.1)));
        for (name, pool) in pools {
            if let Some(node) = pool
                .nodes
                .iter()
                .find(|node| overlap::reaches(&node.address, &bind.value))
            {
                let problem = Problem::new(format!(
                    "the node {} of the pool {} is this very listener",
                    node.address,
                    quote(name)
                ));
                diagnostics.add(
                    &bind.location,
                    problem.hint("its requests would return forever: bind another port"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Error, parse};

    fn read(text: &str) -> Result<Config, Error> {
        parse(text, "f")
    }

    #[test]
    fn a_listener_without_a_route_takes_the_one_that_must_be_meant() {
        let pool = "{nodes: [a:1]}";
        let cases = [
            (format!("pools: {{p: {pool}}}"), Ok("p")),
            (
                format!("pools: {{p: {pool}, q: {pool}}}\nroutes: {{r: p}}"),
                Ok("r"),
            ),
            (
                format!("pools: {{p: {pool}, q: {pool}}}\nroutes: {{r: p, default: q}}"),
                Ok("default"),
            ),
            (format!("pools: {{p: {pool}}}\nroutes: {{r: p, s: p}}"), Ok("p")),
            (
                format!("pools: {{p: {pool}, q: {pool}}}"),
                Err(
                    "f:1:1: listeners: the route is left out, and more than one could be meant, choose one of: p, q",
                ),
            ),
            (
                format!("listeners: [{{}}]\npools: {{p: {pool}, q: {pool}}}\nroutes: {{r: p, s: p}}"),
                Err(
                    "f:1:13: listeners[0].route: the route is left out, and more than one could be meant, \
                     choose one of: p, q, r, s",
                ),
            ),
        ];
        for (text, expected) in cases {
            let label = match read(&text) {
                Ok(config) => Ok(config.listeners[0].route.label().to_owned()),
                Err(error) => Err(error.to_string()),
            };
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(label, expected, "{text}");
        }
    }

    #[test]
    fn each_circle_of_routes_is_told_once_at_its_first_route() {
        let routes = "{in: b, a: c, b: a, c: b, me: me, out: p}";
        let text = format!("pools: {{p: {{nodes: [a:1]}}}}\nlisteners: [{{route: out}}]\nroutes: {routes}");
        let expected = "f:3:20: routes.a: the route goes in a circle: a → c → b → a, end it in a pool\n\
                        f:3:39: routes.me: the route goes in a circle: me → me, end it in a pool";
        assert_eq!(read(&text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_listener_that_is_a_node_of_its_own_pool_is_a_mistake() {
        let cases = [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "localhost:1", true),
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("unix:/r", "unix:/r", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:1", "10.0.0.1:1", false),
        ];
        for (bind, node, expected) in cases {
            let text = format!(
                "listeners: [{{bind: \"{bind}\"}}]\npools: {{p: {{nodes: [\"{node}\"]}}}}\nroutes: {{r: p}}"
            );
            let told = read(&text).is_err_and(|error| error.to_string().contains("is this very listener"));
            assert_eq!(told, expected, "{text}");
        }
    }
}
