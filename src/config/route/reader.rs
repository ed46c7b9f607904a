//! Reads routes: a name, or a mapping with one policy, whose routes are read in turn.

use super::super::error::{Diagnostics, Location, Problem, Spanned};
use super::super::kind::choose;
use super::super::map_reader::{MapReader, YamlNode};
use super::super::{nodes, suggest};
use super::{NAMES, Policy, Route};

/// A route that was read, with the names in it.
#[derive(Debug)]
pub struct ReadRoute {
    /// The route.
    pub route: Route,
    /// All names of pools and routes in it with their places, in the order of the file.
    pub names: Vec<Spanned<String>>,
    /// Places at which the zone of this process must be known.
    pub zones: Vec<Location>,
    /// Routes in it whose pools must speak meta.
    pub meta: Vec<Spanned<Route>>,
    /// Budgets of the failovers in it.
    pub budgets: Vec<Spanned<SharedBudget>>,
}

/// A budget that was written, of what goes on from `first`.
#[derive(Debug)]
pub struct SharedBudget {
    /// The route that is asked first.
    pub first: Route,
    /// The share of the requests that may go on, in percent.
    pub percent: u32,
}

/// The keys beside a policy's name.
#[derive(Debug)]
pub struct Beside {
    /// The route behind `else`.
    pub otherwise: Option<Route>,
    /// The value of `strip`.
    pub strip: Option<bool>,
}

impl Beside {
    /// Reads the keys beside the name of a policy in `keys`. One that may not be there is a mistake, and so is an
    /// `else` that is missing.
    pub fn read(reader: &mut Reader, keys: &mut MapReader<'_, '_>) -> Beside {
        let allowed = Policy::may_stand_beside(keys);
        let beside = Beside {
            otherwise: keys.get("else", |value, diagnostics| reader.route(value, diagnostics)),
            strip: keys.value("strip", choose::<bool>),
        };
        if allowed.contains(&"else") {
            keys.need("else", " with a pool or a route");
        } else if keys.has("else") {
            keys.diagnostic(
                Problem::new("`else` is beside a policy that does not choose").hint("leave it out"),
            );
        }
        if beside.strip.is_some() && !allowed.contains(&"strip") {
            keys.diagnostic(
                Problem::new("`strip` is beside a policy that knows no prefix").hint("leave it out"),
            );
        }
        beside
    }
}

/// Reads a route and those under it, and notes what is found on the way.
#[derive(Debug, Default)]
pub struct Reader {
    names: Vec<Spanned<String>>,
    /// Places at which the zone of this process must be known.
    pub zones: Vec<Location>,
    meta: Vec<Spanned<Route>>,
    /// Budgets of failovers.
    pub budgets: Vec<Spanned<SharedBudget>>,
}

/// Reads a route. Returns `None` if it holds a mistake.
pub fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<ReadRoute> {
    let mut reader = Reader::default();
    let route = reader.route(value, diagnostics)?;
    // `else` is read before the routes beside it; circles are reported along the order of the file.
    reader
        .names
        .sort_by(|one, other| one.location.cmp(&other.location));
    Some(ReadRoute {
        route,
        names: reader.names,
        zones: reader.zones,
        meta: reader.meta,
        budgets: reader.budgets,
    })
}

impl Reader {
    /// Reads a route: a name, or a mapping with a policy.
    pub fn route(&mut self, value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Route> {
        if value.is_scalar() {
            let name = value.read(diagnostics, nodes::name)?;
            self.names.push(Spanned {
                value: name.clone(),
                location: value.location(),
            });
            return Some(Route::Name(name));
        }
        if value.is_list() {
            let problem = Problem::new("a route is expected here, not a list");
            diagnostics.add(
                &value.location(),
                problem.hint("write a name or a policy, such as {failover: [a, b]}"),
            );
            return None;
        }
        let policy = self.policy(value, diagnostics)?;
        Some(Route::Policy(Box::new(policy)))
    }

    fn policy(&mut self, value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Policy> {
        let mut keys = value.keys(diagnostics);
        let beside = Beside::read(self, &mut keys);
        let mut found = Policy::read_all(self, &mut keys, &beside);
        let written: Vec<&str> = NAMES.iter().copied().filter(|name| keys.has(name)).collect();
        if written.len() > 1 {
            let problem = Problem::new(format!("a route has one policy, not {}", written.join(" and ")));
            keys.diagnostic(problem.hint("put one of them under the other, behind its `to:`"));
        }
        let meant = keys.finish();
        if written.is_empty() && meant.is_empty() {
            let hint = suggest::list("choose one of", NAMES.iter().copied());
            diagnostics.add(&value.location(), Problem::new("there is no policy").hint(hint));
        }
        found.pop().filter(|_| written.len() == 1)
    }

    /// Reads the route behind `key`, which must be there.
    pub fn at(&mut self, key: &'static str, keys: &mut MapReader<'_, '_>) -> Option<Route> {
        keys.need(key, " with a pool or a route");
        keys.get(key, |value, diagnostics| self.route(value, diagnostics))
    }

    /// Reads the route behind `key`, which must be there and whose pools must speak meta.
    pub fn meta_at(&mut self, key: &'static str, keys: &mut MapReader<'_, '_>) -> Option<Route> {
        keys.need(key, " with a pool or a route");
        keys.get(key, |value, diagnostics| {
            let route = self.route(value, diagnostics)?;
            self.meta.push(Spanned {
                value: route.clone(),
                location: value.location(),
            });
            Some(route)
        })
    }

    /// Reads the value of a policy without options that leads to one route: that route, bare or behind `to:`.
    pub fn only(&mut self, value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Route> {
        if value.has_key("to") {
            let mut keys = value.keys(diagnostics);
            let to = self.at("to", &mut keys);
            keys.finish();
            to
        } else {
            self.route(value, diagnostics)
        }
    }

    /// Reads the value of a policy that leads to several routes: a list of them, or its options, which `options`
    /// reads, with a list behind `to:`.
    pub fn list(
        &mut self,
        value: &YamlNode<'_>,
        diagnostics: &mut Diagnostics,
        options: impl FnOnce(&mut MapReader<'_, '_>),
    ) -> Option<Vec<Route>> {
        if value.is_list() {
            return self.several(value, diagnostics);
        }
        let mut keys = value.keys(diagnostics);
        let to = keys.get("to", |value, diagnostics| self.several(value, diagnostics));
        options(&mut keys);
        keys.need("to", " with a list of routes");
        keys.finish();
        to
    }

    /// Reads a list of at least two routes.
    fn several(&mut self, value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Vec<Route>> {
        let items = value.items(diagnostics)?;
        if items.len() < 2 {
            let problem = Problem::new(format!("at least two routes are needed, not {}", items.len()));
            diagnostics.add(
                &value.location(),
                problem.hint("name them in the order in which they are asked"),
            );
            return None;
        }
        let routes: Vec<_> = items.iter().map(|item| self.route(item, diagnostics)).collect();
        routes.into_iter().collect()
    }
}
