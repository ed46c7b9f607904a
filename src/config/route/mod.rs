//! Routes: names, or policies with routes under them, as they are typed and as they are shown.
//!
//! Wherever a name may stand, a route may stand: a mapping whose one key is a policy's name. What stands behind
//! it is the route that the policy leads to, a list of them, or a mapping of its options with `to:`. Each policy
//! has a struct with its settings, one that reads them and one that shows them.

mod choosers;
pub(super) mod failover;
pub mod graph;
mod layers;
mod lazy_fill;
mod replicate;
mod shadow;
mod stand_ins;
mod traffic;

use std::collections::BTreeSet;

use serde_json::{Value, json};

pub use choosers::{ByCommand, ByListener, Prefix, Which};
use failover::Budget;
pub use failover::Failover;
pub use layers::Layers;
pub use lazy_fill::LazyFill;
pub use replicate::{Reads, Replicate, Writes};
pub use shadow::{By, Copied, Shadow};
pub use stand_ins::{Delay, StandIn};
pub use traffic::{Deny, Expiry, Key, Limit};

use super::error::{At, Flaw, Mistakes, Place};
use super::keys::Typed;
use super::{Config, nodes, suggest};

/// Where requests go.
#[derive(Debug, Clone, PartialEq)]
pub enum Route {
    /// A pool's name, or another route's.
    Name(String),
    /// A policy, which decides.
    Policy(Box<Policy>),
}

/// What a policy does, and the routes under it.
#[derive(Debug, Clone, PartialEq)]
pub enum Policy {
    /// By the beginning of the key.
    Prefix(Prefix),
    /// By mcrouter's `/region/cluster/` before the key.
    RoutingPrefix(Prefix),
    /// By what is asked.
    ByCommand(ByCommand),
    /// By the listener that the client came in through.
    ByListener(ByListener),
    /// One after the other, until one answers.
    Failover(Failover),
    /// The same values in several.
    Replicate(Replicate),
    /// Filled from another as keys are asked for.
    LazyFill(LazyFill),
    /// A near cache of a far one.
    Layers(Layers),
    /// Copied to another, whose replies nobody gets.
    Shadow(Shadow),
    /// No more than so much.
    Limit(Limit),
    /// With other expiries.
    Expiry(Expiry),
    /// With another key.
    Key(Key),
    /// Reads only.
    ReadOnly(Route),
    /// All but some operations.
    Deny(Deny),
    /// To nobody.
    StandIn(StandIn),
    /// Later.
    Delay(Delay),
}

/// A route that was read, with the names in it.
#[derive(Debug)]
pub struct Read {
    /// The route.
    pub route: Route,
    /// All names of pools and routes in it, where they stand.
    pub names: Vec<At<String>>,
    /// Where it takes for granted that the zone of this process is known.
    pub zones: Vec<Place>,
    /// Routes in it whose pools must speak meta.
    pub meta: Vec<At<Route>>,
    /// Budgets of the failovers in it.
    pub budgets: Vec<At<Budget>>,
}

/// What reading a route hands down, to note what is found on the way.
pub struct Reader<'n> {
    names: &'n mut Vec<At<String>>,
    zones: &'n mut Vec<Place>,
    meta: &'n mut Vec<At<Route>>,
    budgets: &'n mut Vec<At<Budget>>,
}

/// Reads a route; `None` where it holds a mistake.
pub fn read(value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Read> {
    let (mut names, mut zones, mut meta, mut budgets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut reader = Reader {
        names: &mut names,
        zones: &mut zones,
        meta: &mut meta,
        budgets: &mut budgets,
    };
    let route = reader.route(value, mistakes)?;
    Some(Read {
        route,
        names,
        zones,
        meta,
        budgets,
    })
}

impl Route {
    /// The name, or else the policy's.
    pub fn label(&self) -> &str {
        match self {
            Route::Name(name) => name,
            Route::Policy(policy) => policy.name(),
        }
    }

    /// As it is typed.
    pub fn show(&self) -> Value {
        match self {
            Route::Name(name) => json!(name),
            Route::Policy(policy) => policy.show(),
        }
    }
}

impl Config {
    /// The names of the pools that `route` leads to, once each.
    pub fn pools_of<'a>(&'a self, route: &'a Route) -> Vec<&'a str> {
        let mut seen = BTreeSet::new();
        let mut pools = Vec::new();
        let mut left = vec![route];
        while let Some(route) = left.pop() {
            match route {
                Route::Policy(policy) => left.extend(policy.children()),
                Route::Name(name) if !seen.insert(name.as_str()) => {}
                Route::Name(name) => match self.routes.get(name) {
                    Some(route) => left.push(route),
                    None => pools.push(name.as_str()),
                },
            }
        }
        pools
    }
}

impl Policy {
    /// Its name in the file and in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Policy::Prefix(_) => "prefix",
            Policy::RoutingPrefix(_) => "routing_prefix",
            Policy::ByCommand(_) => "by_command",
            Policy::ByListener(_) => "by_listener",
            Policy::Failover(_) => "failover",
            Policy::Replicate(_) => "replicate",
            Policy::LazyFill(_) => "lazy_fill",
            Policy::Layers(_) => "layers",
            Policy::Shadow(_) => "shadow",
            Policy::Limit(_) => "limit",
            Policy::Expiry(_) => "expiry",
            Policy::Key(_) => "key",
            Policy::ReadOnly(_) => "read_only",
            Policy::Deny(_) => "deny",
            Policy::StandIn(stand_in) => stand_in.name(),
            Policy::Delay(_) => "delay",
        }
    }

    /// The routes under it.
    pub fn children(&self) -> Vec<&Route> {
        match self {
            Policy::Prefix(prefix) | Policy::RoutingPrefix(prefix) => prefix.children(),
            Policy::ByCommand(by_command) => by_command.children(),
            Policy::ByListener(by_listener) => by_listener.children(),
            Policy::Failover(failover) => failover.to.iter().collect(),
            Policy::Replicate(replicate) => replicate.to.iter().collect(),
            Policy::LazyFill(fill) => vec![&fill.to, &fill.from],
            Policy::Layers(layers) => vec![&layers.near, &layers.far],
            Policy::Shadow(shadow) => vec![&shadow.of, &shadow.to],
            Policy::Limit(limit) => vec![&limit.to],
            Policy::Expiry(expiry) => vec![&expiry.to],
            Policy::Key(key) => vec![&key.to],
            Policy::ReadOnly(to) => vec![to],
            Policy::Deny(deny) => vec![&deny.to],
            Policy::StandIn(_) => Vec::new(),
            Policy::Delay(delay) => vec![&delay.to],
        }
    }

    /// As it is typed.
    pub fn show(&self) -> Value {
        match self {
            Policy::Prefix(prefix) => prefix.show(self.name()),
            Policy::RoutingPrefix(prefix) => prefix.show(self.name()),
            Policy::ByCommand(by_command) => by_command.show(),
            Policy::ByListener(by_listener) => by_listener.show(),
            Policy::Failover(failover) => json!({ self.name(): failover.show() }),
            Policy::Replicate(replicate) => json!({ self.name(): replicate.show() }),
            Policy::LazyFill(fill) => json!({ self.name(): fill.show() }),
            Policy::Layers(layers) => json!({ self.name(): layers.show() }),
            Policy::Shadow(shadow) => json!({ self.name(): shadow.show() }),
            Policy::Limit(limit) => json!({ self.name(): limit.show() }),
            Policy::Expiry(expiry) => json!({ self.name(): expiry.show() }),
            Policy::Key(key) => json!({ self.name(): key.show() }),
            Policy::ReadOnly(to) => json!({ self.name(): { "to": to.show() } }),
            Policy::Deny(deny) => json!({ self.name(): deny.show() }),
            Policy::StandIn(stand_in) => json!({ self.name(): stand_in.show() }),
            Policy::Delay(delay) => json!({ self.name(): delay.show() }),
        }
    }
}

impl Reader<'_> {
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
    fn meta_route(&mut self, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Route> {
        let route = self.route(value, mistakes)?;
        self.meta.push(At {
            value: route.clone(),
            place: value.place(),
        });
        Some(route)
    }

    fn policy(&mut self, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Policy> {
        let mut keys = value.keys(mistakes);
        let choosers = choosers::read(self, &mut keys);
        let mut found = vec![
            choosers,
            keys.get("failover", |value, mistakes| {
                failover::read(self, value, mistakes)
            }),
            keys.get("replicate", |value, mistakes| {
                replicate::read(self, value, mistakes)
            }),
            keys.get("lazy_fill", |value, mistakes| {
                lazy_fill::read(self, value, mistakes)
            }),
            keys.get("layers", |value, mistakes| layers::read(self, value, mistakes)),
            keys.get("shadow", |value, mistakes| shadow::read(self, value, mistakes)),
            keys.get("limit", |value, mistakes| traffic::limit(self, value, mistakes)),
            keys.get("expiry", |value, mistakes| traffic::expiry(self, value, mistakes)),
            keys.get("key", |value, mistakes| traffic::key(self, value, mistakes)),
            keys.get("read_only", |value, mistakes| {
                traffic::read_only(self, value, mistakes)
            }),
            keys.get("deny", |value, mistakes| traffic::deny(self, value, mistakes)),
            keys.get("miss", stand_ins::miss),
            keys.get("error", stand_ins::error),
            keys.get("blackhole", stand_ins::blackhole),
            keys.get("delay", |value, mistakes| stand_ins::delay(self, value, mistakes)),
        ];
        let typed: Vec<&str> = NAMES.iter().copied().filter(|name| keys.has(name)).collect();
        if typed.len() > 1 {
            let flaw = Flaw::new(format!("a route has one policy, not {}", typed.join(" and ")));
            keys.mistake(flaw.hint("put one of them under the other, behind its `to:`"));
        }
        let meant = keys.finish();
        if typed.is_empty() && meant.is_empty() {
            let hint = suggest::list("choose one of", NAMES.iter().copied());
            mistakes.add(&value.place(), Flaw::new("there is no policy").hint(hint));
        }
        found.retain(Option::is_some);
        found.pop().flatten().filter(|_| typed.len() == 1)
    }

    /// Reads what stands behind a policy that leads to one route: that route, or its options with `to:`. What
    /// `options` makes of them is returned with the route; of a route alone, what it makes of none.
    fn to<T>(
        &mut self,
        value: &Typed<'_>,
        mistakes: &mut Mistakes,
        options: impl FnOnce(&mut super::keys::Keys<'_, '_>) -> T,
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
}

/// The names of all policies.
pub const NAMES: &[&str] = &[
    "prefix",
    "routing_prefix",
    "by_command",
    "by_listener",
    "failover",
    "replicate",
    "lazy_fill",
    "layers",
    "shadow",
    "limit",
    "expiry",
    "key",
    "read_only",
    "deny",
    "miss",
    "error",
    "blackhole",
    "delay",
];

const FLAG: &[(&str, bool)] = &[("true", true), ("false", false)];
