//! Compiles configured routes: names become pools and other routes, settings become policies.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::Arc;

use crate::config::{self, Bind};
use crate::protocol::OnError;
use crate::route::counters::Counters;
use crate::route::policy::{Policy, PolicyKind};
use crate::route::toolkit::state::PolicyState;
use crate::route::toolkit::writes::Writes;
use crate::route::{PolicyRoute, Pool, Route};

/// Counters by route and policy.
pub type AllCounters = BTreeMap<(String, &'static str), Arc<Counters>>;

/// The states of policies, one for each.
pub type AllStates = Vec<Arc<PolicyState>>;

/// Settings that compile to a policy.
pub trait Compile {
    /// The policy's type.
    type Policy: Policy;

    /// Compiles the settings; `scope` compiles the routes under them. Returns `None` if they name an
    /// undefined route or pool.
    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<Self::Policy>;
}

/// Compiles the routes of one configuration.
#[derive(Debug)]
pub struct Compiler<'a> {
    /// The routes by name.
    pub routes: &'a BTreeMap<String, config::Route>,
    /// The compiled pools by name.
    pub pools: &'a BTreeMap<String, Arc<Pool>>,
    /// The counters from before a reload.
    pub previous: Option<&'a AllCounters>,
    /// The counters of the policies compiled so far.
    pub counters: AllCounters,
    /// The states from before a reload.
    pub previous_states: &'a [Arc<PolicyState>],
    /// The states of the policies compiled so far.
    pub states: AllStates,
    /// The zone in which this process runs.
    pub zone: Option<&'a str>,
    /// The number of workers, each with its own counters.
    pub workers: usize,
    /// The writes of the process, once a policy asks for them; kept across reloads.
    pub writes: Option<Arc<Writes>>,
}

/// Compiles the routes of one listener.
#[derive(Debug)]
pub struct Scope<'c, 'a> {
    compiler: &'c mut Compiler<'a>,
    bind: &'c Bind,
    /// The route under whose name policies are counted.
    name: String,
    /// Named routes that were already compiled: they are shared.
    known: HashMap<&'a str, Route>,
    /// The states of the policies compiled so far for this listener.
    taken: AllStates,
}

impl<'a> Compiler<'a> {
    /// Compiles `route` for the listener bound to `bind`. Returns `None` if it names an undefined route or
    /// pool.
    pub fn compile(&mut self, route: &config::Route, bind: &Bind) -> Option<Route> {
        let mut scope = Scope {
            compiler: self,
            bind,
            name: bind.to_string(),
            known: HashMap::new(),
            taken: AllStates::new(),
        };
        scope.route(route)
    }
}

impl<'a> Scope<'_, 'a> {
    /// Compiles `route`.
    pub fn route(&mut self, route: &config::Route) -> Option<Route> {
        match route {
            config::Route::Policy(policy) => self.policy(policy),
            config::Route::Name(name) => self.named(name),
        }
    }

    /// Compiles each of `routes`.
    pub fn routes(&mut self, routes: &[config::Route]) -> Option<Vec<Route>> {
        routes.iter().map(|route| self.route(route)).collect()
    }

    /// The zone in which this process runs.
    pub fn zone(&self) -> Option<&'a str> {
        self.compiler.zone
    }

    /// The number of workers.
    pub fn workers(&self) -> usize {
        self.compiler.workers
    }

    /// The writes of the process, which all policies that ask for them share.
    pub fn writes(&mut self) -> Arc<Writes> {
        self.compiler.writes.get_or_insert_default().clone()
    }

    /// Returns the state of the policy that has these `settings` in the current route. It is kept across reloads, and it
    /// is the same for all listeners that lead to the route. If the route has several such policies, each has its own.
    pub fn state(&mut self, settings: config::Policy) -> Arc<PolicyState> {
        let free = |known: &[Arc<PolicyState>], taken: &[Arc<PolicyState>]| {
            let mut same = known.iter().filter(|state| state.is_of(&self.name, &settings));
            let is_taken = |state: &Arc<PolicyState>| taken.iter().any(|other| Arc::ptr_eq(state, other));
            same.find(|state| !is_taken(state)).cloned()
        };
        let shared = free(&self.compiler.states, &self.taken);
        let is_shared = shared.is_some();
        let kept = || free(self.compiler.previous_states, &self.compiler.states);
        let fresh = || {
            Arc::new(PolicyState::new(
                &self.name,
                settings.clone(),
                self.compiler.workers,
            ))
        };
        let state = shared.or_else(kept).unwrap_or_else(fresh);
        if !is_shared {
            self.compiler.states.push(state.clone());
        }
        self.taken.push(state.clone());
        state
    }

    fn named(&mut self, name: &str) -> Option<Route> {
        if let Some(pool) = self.compiler.pools.get(name) {
            return Some(Route::Pool(pool.clone()));
        }
        if let Some(known) = self.known.get(name) {
            return Some(known.clone());
        }
        let (name, route) = self.compiler.routes.get_key_value(name)?;
        let outer = mem::replace(&mut self.name, name.clone());
        let compiled = self.route(route);
        self.name = outer;
        let compiled = compiled?;
        self.known.insert(name, compiled.clone());
        Some(compiled)
    }

    fn policy(&mut self, settings: &config::Policy) -> Option<Route> {
        if let Some(chosen) = settings.at_listener(self.bind) {
            return self.route(chosen);
        }
        let kind = PolicyKind::compile(settings, self)?;
        Some(self.finish(kind, settings))
    }

    /// Returns a route of `kind`, which was compiled from `settings`.
    pub fn finish(&mut self, kind: PolicyKind, settings: &config::Policy) -> Route {
        let branches = kind.branches();
        let answering = || branches.iter().filter(|branch| branch.answers);
        let mut pools: Vec<Arc<Pool>> = Vec::new();
        for pool in answering().flat_map(|branch| branch.route.pools()) {
            if !pools.iter().any(|known| Arc::ptr_eq(known, pool)) {
                pools.push(pool.clone());
            }
        }
        let on_error = answering().fold(OnError::HIDE, |all, branch| all.and(branch.route.on_error()));
        let denies_flush = kind.denies_flush() || answering().any(|branch| branch.route.denies_flush());
        Route::Policy(Arc::new(PolicyRoute {
            name: settings.name(),
            on_error,
            denies_flush,
            pools,
            counters: self.counters(settings.name(), &kind),
            kind,
            settings: settings.clone(),
        }))
    }

    /// Returns the counters for a policy of the current route, which are kept across reloads.
    fn counters(&mut self, policy: &'static str, kind: &PolicyKind) -> Arc<Counters> {
        let key = (self.name.clone(), policy);
        let kept = self.compiler.previous.and_then(|previous| previous.get(&key));
        let workers = self.compiler.workers;
        let fresh = || Arc::new(Counters::new(&self.name, policy, kind.events(), workers));
        let counters = self.compiler.counters.entry(key);
        counters
            .or_insert_with(|| kept.cloned().unwrap_or_else(fresh))
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::testing::Source;

    const LIMITED: &str = "{failover: {to: [a, b], budget: 10%}}";

    /// The states of a route with these two policies, compiled after `previous`.
    fn states(first: &str, second: &str, previous: &[Arc<PolicyState>]) -> AllStates {
        let route = format!("{{prefix: {{\"s:\": {first}}}, else: {second}}}");
        Source::new(&route).states(previous)
    }

    #[test]
    fn a_policy_keeps_its_state_in_a_reload_if_its_settings_stay() {
        let other = "{shadow: {of: a, to: b}}";
        let before = states(LIMITED, other, &[]);
        assert_eq!(before.len(), 2);
        let same = states(LIMITED, other, &before);
        assert!((0..2).all(|index| Arc::ptr_eq(&before[index], &same[index])));
        let changed = states("{failover: {to: [a, b], budget: 20%}}", other, &before);
        assert!(!before.iter().any(|state| Arc::ptr_eq(state, &changed[0])));
        assert!(Arc::ptr_eq(&before[1], &changed[1]));
    }

    #[test]
    fn two_policies_with_the_same_settings_have_two_states() {
        let before = states(LIMITED, LIMITED, &[]);
        assert!(!Arc::ptr_eq(&before[0], &before[1]));
        let same = states(LIMITED, LIMITED, &before);
        assert!((0..2).all(|index| Arc::ptr_eq(&before[index], &same[index])));
    }

    #[test]
    fn a_route_that_two_listeners_share_has_one_state() {
        let source = Source::new(LIMITED);
        let mut compiler = source.compiler(&[]);
        for port in [1, 2] {
            let bind = Bind::Tcp(([127, 0, 0, 1], port).into());
            let route = config::Route::Name("default".to_owned());
            compiler.compile(&route, &bind).expect("a route");
        }
        assert_eq!(compiler.states.len(), 1);
    }
}
