//! From a configured route to one that carries: names become what they stand for, settings become policies.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::counters::Counters;
use super::{Policy, Pool, Route, What};
use crate::config::{self, Bind};
use crate::protocol::OnError;
use crate::protocol::operation::Operation;
use crate::route::policy::{
    delay, deny, expiry, failover, key, layers, lazy_fill, limit, prefix, replicate, shadow,
};

/// What is counted, by route and policy.
pub type AllCounters = BTreeMap<(String, &'static str), Arc<Counters>>;

/// Compiles the routes of one configuration.
#[derive(Debug)]
pub struct Compiler<'a> {
    /// The routes by name.
    pub routes: &'a BTreeMap<String, config::Route>,
    /// The pools by name, compiled.
    pub pools: &'a BTreeMap<String, Arc<Pool>>,
    /// What was counted before.
    pub previous: Option<&'a AllCounters>,
    /// What is counted for the policies that were compiled.
    pub counters: AllCounters,
    /// Where this process runs.
    pub zone: Option<&'a str>,
    /// How many workers count.
    pub workers: usize,
}

/// What a route is compiled for.
struct Place<'p> {
    bind: &'p Bind,
    /// Named routes that were met before: they are shared.
    known: HashMap<String, Route>,
}

impl Compiler<'_> {
    /// `route` as the listener bound to `bind` takes it; `None` where it names what is not there.
    pub fn compile(&mut self, route: &config::Route, bind: &Bind) -> Option<Route> {
        let mut place = Place {
            bind,
            known: HashMap::new(),
        };
        self.route(route, &bind.to_string(), &mut place)
    }

    /// Compiles `route`, whose policies are counted under `name`.
    fn route(&mut self, route: &config::Route, name: &str, place: &mut Place<'_>) -> Option<Route> {
        let target = match route {
            config::Route::Policy(policy) => return self.policy(policy, name, place),
            config::Route::Name(target) => target,
        };
        if let Some(pool) = self.pools.get(target) {
            return Some(Route::Pool(pool.clone()));
        }
        if let Some(known) = place.known.get(target) {
            return Some(known.clone());
        }
        let route = self.route(self.routes.get(target)?, target, place)?;
        place.known.insert(target.clone(), route.clone());
        Some(route)
    }

    fn policy(&mut self, policy: &config::Policy, name: &str, place: &mut Place<'_>) -> Option<Route> {
        use config::Policy as Typed;
        let settings = policy.clone();
        let what = match policy {
            // Which listener it is is known by now.
            Typed::ByListener(by_listener) => return self.route(by_listener.of(place.bind), name, place),
            Typed::Prefix(typed) | Typed::RoutingPrefix(typed) => {
                let mut branches = Vec::new();
                for (beginning, route) in &typed.routes {
                    let mut to = self.route(route, name, place)?;
                    if typed.strip {
                        let key = config::Key {
                            to: route.clone(),
                            strip_prefix: beginning.clone(),
                            add_prefix: String::new(),
                        };
                        let what = What::Key(key::Key::new(&key), to);
                        to = self.finish(what, &Typed::Key(key), name);
                    }
                    branches.push((beginning.as_bytes().to_vec(), to));
                }
                What::Prefix(prefix::Prefix::new(
                    branches,
                    self.route(&typed.otherwise, name, place)?,
                ))
            }
            Typed::ByCommand(typed) => {
                let routes = typed.routes.iter();
                let routes: Option<Vec<_>> = routes
                    .map(|(which, route)| Some((*which, self.route(route, name, place)?)))
                    .collect();
                What::ByCommand(routes?, self.route(&typed.otherwise, name, place)?)
            }
            Typed::Failover(typed) => {
                let to: Option<Vec<_>> = typed.to.iter().map(|to| self.route(to, name, place)).collect();
                What::Failover(failover::Failover::new(typed, to?))
            }
            Typed::Replicate(typed) => {
                let to: Option<Vec<_>> = typed.to.iter().map(|to| self.route(to, name, place)).collect();
                What::Replicate(replicate::Replicate::new(typed, to?, self.zone))
            }
            Typed::LazyFill(typed) => What::LazyFill(lazy_fill::LazyFill {
                to: self.route(&typed.to, name, place)?,
                from: self.route(&typed.from, name, place)?,
            }),
            Typed::Layers(typed) => What::Layers(layers::Layers {
                near: self.route(&typed.near, name, place)?,
                far: self.route(&typed.far, name, place)?,
                near_expiry: expiry::seconds(typed.near_expiry),
            }),
            Typed::Shadow(typed) => What::Shadow(shadow::Shadow::new(
                typed,
                self.route(&typed.of, name, place)?,
                self.route(&typed.to, name, place)?,
            )),
            Typed::Limit(typed) => What::Limit(limit::Limit::new(typed), self.route(&typed.to, name, place)?),
            Typed::Expiry(typed) => {
                What::Expiry(expiry::Expiry::new(typed), self.route(&typed.to, name, place)?)
            }
            Typed::Key(typed) => What::Key(key::Key::new(typed), self.route(&typed.to, name, place)?),
            Typed::ReadOnly(to) => What::Gate(deny::Gate::ReadOnly, self.route(to, name, place)?),
            Typed::Deny(typed) => What::Gate(
                deny::Gate::Deny(typed.commands.clone()),
                self.route(&typed.to, name, place)?,
            ),
            Typed::StandIn(stand_in) => What::StandIn(stand_in.clone()),
            Typed::Delay(typed) => What::Delay(delay::Delay::new(typed), self.route(&typed.to, name, place)?),
        };
        Some(self.finish(what, &settings, name))
    }

    fn finish(&mut self, what: What, settings: &config::Policy, name: &str) -> Route {
        let mut pools: Vec<Arc<Pool>> = Vec::new();
        for pool in what.children().iter().flat_map(|child| child.pools()) {
            if !pools.iter().any(|known| Arc::ptr_eq(known, pool)) {
                pools.push(pool.clone());
            }
        }
        let denies = match &what {
            What::Gate(deny::Gate::ReadOnly, _) => true,
            What::Gate(deny::Gate::Deny(commands), _) => commands.contains(&Operation::FlushAll),
            _ => false,
        };
        Route::Policy(Arc::new(Policy {
            name: settings.name(),
            on_error: (what.children().iter()).fold(OnError::HIDE, |all, child| all.and(child.on_error())),
            denies_flush: denies || what.children().iter().any(|child| child.denies_flush()),
            what,
            pools,
            counters: self.count(name, settings.name()),
            settings: settings.clone(),
        }))
    }

    fn count(&mut self, route: &str, policy: &'static str) -> Arc<Counters> {
        let key = (route.to_owned(), policy);
        let kept = self.previous.and_then(|previous| previous.get(&key));
        let fresh = || Arc::new(Counters::new(route, policy, self.workers));
        let counters = self.counters.entry(key.clone());
        counters
            .or_insert_with(|| kept.cloned().unwrap_or_else(fresh))
            .clone()
    }
}

impl What {
    /// The routes under it that requests depend on.
    pub fn children(&self) -> Vec<&Route> {
        match self {
            What::Prefix(prefix) => prefix.children(),
            What::ByCommand(routes, otherwise) => {
                routes.iter().map(|(_, route)| route).chain([otherwise]).collect()
            }
            What::Failover(failover) => failover.to.iter().collect(),
            What::Replicate(replicate) => replicate.to.iter().collect(),
            What::LazyFill(fill) => vec![&fill.to, &fill.from],
            What::Layers(layers) => vec![&layers.near, &layers.far],
            What::Shadow(shadow) => vec![&shadow.of],
            What::Expiry(_, to)
            | What::Gate(_, to)
            | What::Limit(_, to)
            | What::Key(_, to)
            | What::Delay(_, to) => vec![to],
            What::StandIn(_) => Vec::new(),
        }
    }
}
