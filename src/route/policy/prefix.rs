//! `prefix`, `routing_prefix`: the beginning of the key chooses the route; the longest match wins.
//!
//! | command | what happens |
//! |---|---|
//! | any with a key | goes to the route of its prefix; for `strip: true` see `key` |
//! | flush_all, version, stats | all pools |

use std::borrow::Cow;

use crate::config;
use crate::protocol::Request;
use crate::route::Route;
use crate::route::call::Forwarder;
use crate::route::counters::PolicyShard;
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::key::Key;
use crate::route::policy::{Branch, Decision, Policy, PolicyKind};

/// Prefixes of keys with their routes.
#[derive(Debug)]
pub struct Prefix {
    /// Sorted by prefix.
    entries: Vec<PrefixEntry>,
    otherwise: Route,
}

#[derive(Debug)]
struct PrefixEntry {
    beginning: Vec<u8>,
    route: Route,
    /// The index of the longest other prefix that this one begins with.
    shorter: Option<usize>,
}

impl Compile for config::Prefix {
    type Policy = Prefix;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<Prefix> {
        let mut entries = Vec::new();
        for (beginning, route) in &self.routes {
            let to = match self.strip {
                true => strip(beginning, route, scope)?,
                false => scope.route(route)?,
            };
            entries.push((beginning.clone().into_bytes(), to));
        }
        Some(Prefix::new(entries, scope.route(&self.otherwise)?))
    }
}

impl Compile for config::RoutingPrefix {
    type Policy = Prefix;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<Prefix> {
        let mut entries = Vec::new();
        for (beginning, route) in &self.routes {
            entries.push((beginning.clone().into_bytes(), strip(beginning, route, scope)?));
        }
        Some(Prefix::new(entries, scope.route(&self.otherwise)?))
    }
}

/// Puts a `key` policy in front of `route` that strips the prefix `beginning`.
fn strip(beginning: &str, route: &config::Route, scope: &mut Scope<'_, '_>) -> Option<Route> {
    let settings = config::Key {
        to: route.clone(),
        strip_prefix: beginning.to_owned(),
        ..config::Key::default()
    };
    let key: Key = settings.compile(scope)?;
    Some(scope.finish(PolicyKind::Key(key), &config::Policy::Key(settings)))
}

impl Prefix {
    /// Routes keys by `entries`, all others to `otherwise`.
    pub fn new(mut entries: Vec<(Vec<u8>, Route)>, otherwise: Route) -> Prefix {
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        let beginnings: Vec<Vec<u8>> = entries.iter().map(|(beginning, _)| beginning.clone()).collect();
        // A prefix of another prefix is sorted before it, the longest last.
        let shorter = |index: usize| {
            let before = beginnings[..index].iter();
            before
                .enumerate()
                .filter(|(_, other)| beginnings[index].starts_with(other))
                .map(|(at, _)| at)
                .next_back()
        };
        let entry = |(index, (beginning, route))| PrefixEntry {
            beginning,
            route,
            shorter: shorter(index),
        };
        Prefix {
            entries: entries.into_iter().enumerate().map(entry).collect(),
            otherwise,
        }
    }

    /// Returns the route of `key`.
    pub fn choose(&self, key: &[u8]) -> &Route {
        self.find(key).map_or(&self.otherwise, |entry| &entry.route)
    }

    /// Returns the entry with the longest matching prefix. It is the last one sorted before the key, or one
    /// that that one begins with: whatever is sorted between a prefix and its keys has the same prefix.
    fn find(&self, key: &[u8]) -> Option<&PrefixEntry> {
        let end = self
            .entries
            .partition_point(|entry| entry.beginning.as_slice() <= key);
        let mut next = end.checked_sub(1);
        loop {
            let entry = &self.entries[next?];
            if key.starts_with(&entry.beginning) {
                return Some(entry);
            }
            next = entry.shorter;
        }
    }
}

impl Policy for Prefix {
    fn decide(
        &self,
        request: &Request<'_>,
        _counters: &PolicyShard,
        _forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        Decision::Forward(self.choose(request.key))
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        let routes = self.entries.iter().map(|entry| &entry.route);
        routes.chain([&self.otherwise]).map(Branch::new).collect()
    }

    fn branches_of<'k>(&self, key: &'k [u8]) -> Vec<(Branch<'_>, Cow<'k, [u8]>)> {
        vec![(Branch::new(self.choose(key)), Cow::Borrowed(key))]
    }

    fn only_route(&self, request: &Request<'_>) -> Option<&Route> {
        Some(self.choose(request.key))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::protocol::{Command, Reply};
    use crate::route::testing::{Fake, ask, run};

    #[test]
    fn the_longest_beginning_wins() {
        let route = "{prefix: {\"u\": a, \"user:\": b, \"user:x:\": c, \"v\": {miss: {}}, \"users\": {error: no}}, else: {miss: {}}}";
        let cases = [
            ("u", "a"),
            ("user", "a"),
            ("user:", "b"),
            ("user:x", "b"),
            ("user:x:", "c"),
            ("user:x:y:z", "c"),
            ("user:y", "b"),
            ("userz", "a"),
            ("users", ""),
            ("", ""),
            ("t", ""),
            ("z", ""),
        ];
        run(async move {
            let fake = Fake::new(route, |_, _| Some(Reply::Done));
            for (key, expected) in cases {
                fake.ask(&ask(Command::Get, key)).await;
                let seen = fake.seen();
                let pool = seen.first().map_or("", |line| &line[..1]);
                assert_eq!(pool, expected, "{key}");
            }
        });
    }

    #[test]
    fn each_of_many_beginnings_is_found() {
        let fake = Fake::new("a", |_, _| None);
        let texts: BTreeSet<String> = (0..400).map(|n| format!("{:b}", n * 37 % 1021)).collect();
        let entry = |text: &String| (text.clone().into_bytes(), fake.route.clone());
        let prefix = Prefix::new(texts.iter().map(entry).collect(), fake.route.clone());
        for number in 0..2000 {
            let key = format!("{:b}", number * 101 % 4093);
            let fitting = texts.iter().filter(|text| key.starts_with(*text));
            let longest = fitting.max_by_key(|text| text.len());
            let found = prefix.find(key.as_bytes()).map(|entry| &*entry.beginning);
            assert_eq!(found, longest.map(String::as_bytes), "{key}");
        }
    }
}
