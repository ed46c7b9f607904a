//! Reads routes: a name, or a mapping with one policy, whose routes are read in turn.

use super::super::choices::choose;
use super::super::error::{At, Flaw, Mistakes, Place};
use super::super::keys::{Keys, Typed};
use super::super::{nodes, suggest};
use super::{FLAG, NAMES, Policy, Route};

/// A route that was read, with the names in it.
#[derive(Debug)]
pub struct Read {
    /// The route.
    pub route: Route,
    /// All names of pools and routes in it with their places, in the order of the file.
    pub names: Vec<At<String>>,
    /// Places at which the zone of this process must be known.
    pub zones: Vec<Place>,
    /// Routes in it whose pools must speak meta.
    pub meta: Vec<At<Route>>,
    /// Budgets of the failovers in it.
    pub budgets: Vec<At<Budget>>,
}

/// A budget that was written, of what goes on from `first`.
#[derive(Debug)]
pub struct Budget {
    /// The route that is asked first.
    pub first: Route,
    /// The share of the requests that may go on, in percent.
    pub percent: u32,
}

/// What stands beside a policy's name.
#[derive(Debug)]
pub struct Beside {
    /// The route behind `else`.
    pub otherwise: Option<Route>,
    /// The value of `strip`.
    pub strip: Option<bool>,
}

impl Beside {
    /// Reads what stands in `keys` beside the name of a policy. What may not stand there is a mistake, and so is an
    /// `else` that is missing.
    pub fn read(reader: &mut Reader, keys: &mut Keys<'_, '_>) -> Beside {
        let allowed = Policy::may_stand_beside(keys);
        let beside = Beside {
            otherwise: keys.get("else", |value, mistakes| reader.route(value, mistakes)),
            strip: keys.value("strip", choose(FLAG)),
        };
        if allowed.contains(&"else") {
            keys.require(
                "else",
                Flaw::new("it is not said where all others go").hint("add `else:` with a pool or a route"),
            );
        } else if keys.has("else") {
            keys.mistake(
                Flaw::new("`else` stands beside a policy that does not choose").hint("leave it out"),
            );
        }
        if beside.strip.is_some() && !allowed.contains(&"strip") {
            keys.mistake(
                Flaw::new("`strip` stands beside a policy that knows no prefix").hint("leave it out"),
            );
        }
        beside
    }
}

/// Reads a route and those under it, and notes what is found on the way.
#[derive(Debug, Default)]
pub struct Reader {
    names: Vec<At<String>>,
    /// Places at which the zone of this process must be known.
    pub zones: Vec<Place>,
    meta: Vec<At<Route>>,
    /// Budgets of failovers.
    pub budgets: Vec<At<Budget>>,
}

/// Reads a route. Returns `None` if it holds a mistake.
pub fn read(value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Read> {
    let mut reader = Reader::default();
    let route = reader.route(value, mistakes)?;
    // `else` is read before the routes beside which it stands; circles are reported along the order of the file.
    reader.names.sort_by(|one, other| one.place.cmp(&other.place));
    Some(Read {
        route,
        names: reader.names,
        zones: reader.zones,
        meta: reader.meta,
        budgets: reader.budgets,
    })
}

impl Reader {
    /// Reads a route: a name, or a mapping with a policy.
    pub fn route(&mut self, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Route> {
        if value.is_scalar() {
            let name = value.read(mistakes, nodes::name)?;
            self.names.push(At {
                value: name.clone(),
                place: value.place(),
            });
            return Some(Route::Name(name));
        }
        if value.is_list() {
            let flaw = Flaw::new("a route is expected here, not a list");
            mistakes.add(
                &value.place(),
                flaw.hint("write a name or a policy, such as {failover: [a, b]}"),
            );
            return None;
        }
        let policy = self.policy(value, mistakes)?;
        Some(Route::Policy(Box::new(policy)))
    }

    /// Reads a route whose pools must speak meta.
    pub fn meta_route(&mut self, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Route> {
        let route = self.route(value, mistakes)?;
        self.meta.push(At {
            value: route.clone(),
            place: value.place(),
        });
        Some(route)
    }

    fn policy(&mut self, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Policy> {
        let mut keys = value.keys(mistakes);
        let beside = Beside::read(self, &mut keys);
        let mut found = Policy::read_all(self, &mut keys, &beside);
        let written: Vec<&str> = NAMES.iter().copied().filter(|name| keys.has(name)).collect();
        if written.len() > 1 {
            let flaw = Flaw::new(format!("a route has one policy, not {}", written.join(" and ")));
            keys.mistake(flaw.hint("put one of them under the other, behind its `to:`"));
        }
        let meant = keys.finish();
        if written.is_empty() && meant.is_empty() {
            let hint = suggest::list("choose one of", NAMES.iter().copied());
            mistakes.add(&value.place(), Flaw::new("there is no policy").hint(hint));
        }
        found.pop().filter(|_| written.len() == 1)
    }

    /// Reads the value of a policy that leads to one route: that route, or its options with `to:`. Returns the route
    /// and what `options` read.
    pub fn to<T>(
        &mut self,
        value: &Typed<'_>,
        mistakes: &mut Mistakes,
        options: impl FnOnce(&mut Keys<'_, '_>) -> T,
    ) -> Option<(Route, T)> {
        let mut keys = value.keys(mistakes);
        let to = keys.get("to", |value, mistakes| self.route(value, mistakes));
        let options = options(&mut keys);
        keys.require(
            "to",
            Flaw::new("the policy leads nowhere").hint("add `to:` with a pool or a route"),
        );
        keys.finish();
        Some((to?, options))
    }

    /// Reads the value of a policy that leads to several routes: a list of them, or its options, which `options`
    /// reads, with a list behind `to:`.
    pub fn list(
        &mut self,
        value: &Typed<'_>,
        mistakes: &mut Mistakes,
        options: impl FnOnce(&mut Keys<'_, '_>),
    ) -> Option<Vec<Route>> {
        if value.is_list() {
            return self.several(value, mistakes);
        }
        let mut keys = value.keys(mistakes);
        let to = keys.get("to", |value, mistakes| self.several(value, mistakes));
        options(&mut keys);
        keys.require(
            "to",
            Flaw::new("the policy leads nowhere").hint("add `to:` with a list of routes"),
        );
        keys.finish();
        to
    }

    /// Reads a list of at least two routes.
    fn several(&mut self, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Vec<Route>> {
        let items = value.items(mistakes)?;
        if items.len() < 2 {
            let flaw = Flaw::new(format!("there must be two routes at least, not {}", items.len()));
            mistakes.add(
                &value.place(),
                flaw.hint("name them in the order in which they are asked"),
            );
            return None;
        }
        let routes: Vec<_> = items.iter().map(|item| self.route(item, mistakes)).collect();
        routes.into_iter().collect()
    }
}
