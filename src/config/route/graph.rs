//! Checks how routes lead to one another: without cycles, not too deep, not to too many pools.

use std::collections::{HashMap, HashSet};

use super::super::error::{Diagnostics, Location, Problem, Spanned};
use super::{ReadRoute, Route};

/// The maximum nesting of policies.
const MAX_DEPTH: usize = 16;

/// The maximum number of pools that one route may lead to, counted as often as they are named.
const MAX_POOLS: u64 = 256;

/// The routes of a file by name.
#[derive(Debug)]
pub struct Graph<'a> {
    routes: HashMap<&'a str, (&'a Location, &'a ReadRoute)>,
    in_order: Vec<&'a str>,
}

/// The depth of a route, and the number of pools that it leads to.
#[derive(Debug, Clone, Copy, Default)]
struct Measure {
    depth: usize,
    pools: u64,
}

/// One step of a walk.
struct Step<'a> {
    name: &'a str,
    /// The index of the next name in it to follow.
    next: usize,
}

impl<'a> Graph<'a> {
    /// Returns the graph of `routes`, without invalid ones and those with a pool's name.
    pub fn new(
        routes: &'a [(Spanned<String>, Option<ReadRoute>)],
        is_pool: impl Fn(&str) -> bool,
    ) -> Graph<'a> {
        let good: Vec<_> = routes
            .iter()
            .filter(|(name, _)| !is_pool(&name.value))
            .filter_map(|(name, read)| Some((name.value.as_str(), (&name.location, read.as_ref()?))))
            .collect();
        Graph {
            in_order: good.iter().map(|(name, _)| *name).collect(),
            routes: good.into_iter().collect(),
        }
    }

    /// Reports each cycle once, and each route that is too deep or too wide; then does so for `others`,
    /// which have no name.
    pub fn check(&self, others: &[(&Location, &ReadRoute)], diagnostics: &mut Diagnostics) {
        let mut known: HashMap<&str, Measure> = HashMap::new();
        let mut walked = HashSet::new();
        for start in &self.in_order {
            let mut path = Vec::new();
            let mut on_path: HashMap<&str, usize> = HashMap::new();
            let mut step = Some(*start);
            loop {
                if let Some(name) = step.filter(|name| walked.insert(*name)) {
                    on_path.insert(name, path.len());
                    path.push(Step { name, next: 0 });
                }
                let Some(last) = path.last_mut() else { break };
                let (location, read) = self.routes[last.name];
                step = read.names.get(last.next).map(|name| name.value.as_str());
                last.next += 1;
                match step {
                    Some(name) if on_path.contains_key(name) => {
                        self.report_circle(&path[on_path[name]..], diagnostics);
                        step = None;
                    }
                    Some(name) if self.routes.contains_key(name) => {}
                    Some(_) => step = None,
                    None => {
                        let name = last.name;
                        known.insert(name, judged(measure(&read.route, &known), location, diagnostics));
                        on_path.remove(name);
                        path.pop();
                    }
                }
            }
        }
        for (location, read) in others {
            judged(measure(&read.route, &known), location, diagnostics);
        }
    }

    /// Reports a cycle at the place at which its first route in the file names the next.
    fn report_circle(&self, circle: &[Step<'a>], diagnostics: &mut Diagnostics) {
        const SHOWN: usize = 8;
        let first = (0..circle.len())
            .min_by_key(|&index| self.routes[circle[index].name].0)
            .unwrap_or(0);
        let around = || circle.iter().cycle().skip(first).take(circle.len());
        let mut way: Vec<&str> = around().map(|step| step.name).take(SHOWN).collect();
        way.push(if circle.len() > SHOWN {
            "…"
        } else {
            circle[first].name
        });
        let (_, read) = self.routes[circle[first].name];
        let problem = Problem::new(format!("the route goes in a circle: {}", way.join(" → ")));
        diagnostics.add(
            &read.names[circle[first].next - 1].location,
            problem.hint("end it in a pool"),
        );
    }

    /// Returns the names of all pools that `route` leads to, and all undefined names.
    pub fn ends<'r>(&'r self, route: &'r Route) -> Vec<&'r str> {
        let mut seen = HashSet::new();
        let mut ends = Vec::new();
        let mut left = vec![route];
        while let Some(route) = left.pop() {
            match route {
                Route::Policy(policy) => left.extend(policy.children()),
                Route::Name(name) if !seen.insert(name.as_str()) => {}
                Route::Name(name) => match self.routes.get(name.as_str()) {
                    Some((_, read)) => left.push(&read.route),
                    None => ends.push(name.as_str()),
                },
            }
        }
        ends
    }
}

/// Measures `route`, given the measures of the routes that it names.
fn measure(route: &Route, known: &HashMap<&str, Measure>) -> Measure {
    match route {
        Route::Name(name) => known
            .get(name.as_str())
            .copied()
            .unwrap_or(Measure { depth: 0, pools: 1 }),
        Route::Policy(policy) => {
            let children = policy.children();
            let measures = children.iter().map(|child| measure(child, known));
            let sum = measures.fold(Measure::default(), |sum, child| Measure {
                depth: sum.depth.max(child.depth),
                pools: sum.pools.saturating_add(child.pools),
            });
            Measure {
                depth: sum.depth + 1,
                pools: sum.pools.max(1),
            }
        }
    }
}

/// Reports a route that is too deep or too wide. It then counts as a pool, so that routes that lead to it
/// are not reported too.
fn judged(measure: Measure, location: &Location, diagnostics: &mut Diagnostics) -> Measure {
    let Measure { depth, pools } = measure;
    if depth > MAX_DEPTH {
        let problem = Problem::new(format!("{depth} policies are nested"));
        diagnostics.add(location, problem.hint(format!("the maximum is {MAX_DEPTH}")));
    } else if pools > MAX_POOLS {
        let problem = Problem::new(format!("the route leads to {pools} pools"));
        diagnostics.add(
            location,
            problem.hint(format!(
                "the maximum is {MAX_POOLS}, each counted as often as it is named"
            )),
        );
    } else {
        return measure;
    }
    Measure { depth: 0, pools: 1 }
}
