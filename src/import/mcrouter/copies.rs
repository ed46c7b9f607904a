//! Route handles that copy values or change their expiry: WarmUpRoute, ModifyExptimeRoute, the shadows of a
//! PoolRoute; and HostIdRoute, which many files use beside them.

use super::super::macros::{get, text};
use super::super::yaml::Value;
use super::routes::policy;
use super::{Comes, McrouterReader, items_of, location};
use crate::config::tree::{self, SpannedValue};

impl<'a> McrouterReader<'a> {
    /// Returns the one of `children` to which a HostIdRoute sends all requests of this host. mcrouter
    /// computes it from the host's address.
    pub fn by_host(&mut self, children: Vec<Value>, tree: &SpannedValue) -> Option<Value> {
        if children.len() > 1 {
            self.lose(
                tree,
                "route",
                "a HostIdRoute leads each host to a child of its own: here all hosts go to the first, so name \
                 another one in the files of other hosts",
            );
        }
        children.into_iter().next()
    }

    pub fn warm_up(&mut self, tree: &'a SpannedValue, comes: Comes) -> Option<Value> {
        let same = [("enable_metaget", "true"), ("enable_metaget", "false")];
        self.check(tree, &["cold", "warm", "exptime"], &same);
        let cold = get(tree, "cold").and_then(|cold| self.route(cold, Comes::All))?;
        let warm = get(tree, "warm").and_then(|warm| self.route(warm, Comes::All))?;
        let cold = match get(tree, "exptime") {
            None => cold,
            // Only copies are written to the cold pool.
            Some(exptime) if comes == Comes::Reads => self.expiry(exptime, "set", cold, tree)?,
            Some(exptime) => {
                self.lose(
                    exptime,
                    "exptime",
                    "copies live as long as what they are copies of: what clients write would get this expiry, too",
                );
                cold
            }
        };
        Some(policy("lazy_fill", vec![("to", cold), ("from", warm)], tree))
    }

    pub fn modify_expiry(&mut self, tree: &'a SpannedValue, comes: Comes) -> Option<Value> {
        self.check(tree, &["target", "exptime", "action"], &[]);
        let target = get(tree, "target").and_then(|target| self.route(target, comes))?;
        let action = get(tree, "action").and_then(text).unwrap_or("set");
        self.expiry(get(tree, "exptime")?, action, target, tree)
    }

    /// Wraps `target` so that values expire after `exptime` seconds, or, with the action `min`, then at the
    /// latest.
    fn expiry(
        &mut self,
        exptime: &SpannedValue,
        action: &str,
        target: Value,
        tree: &SpannedValue,
    ) -> Option<Value> {
        let seconds = text(exptime).and_then(|raw| raw.parse::<u32>().ok());
        let (Some(seconds @ 1..), "set" | "min") = (seconds, action) else {
            let why = "only an expiry of a second or more can be said, as the only one or as the longest";
            self.lose(exptime, "exptime", why);
            return Some(target);
        };
        let bound = Value::text(format!("{seconds}s"), location(exptime));
        let mut options = vec![("to", target)];
        if action == "set" {
            options.push(("min", bound.clone()));
        }
        options.push(("max", bound));
        Some(policy("expiry", options, tree))
    }

    /// Adds the copies that a PoolRoute's `shadows` define to `route`, which leads to `pool`.
    pub fn shadows(&mut self, shadows: &'a SpannedValue, pool: Option<&SpannedValue>, route: Value) -> Value {
        let servers = pool.and_then(|pool| match text(pool) {
            Some(name) => self.pools.get(name).copied(),
            None => Some(pool),
        });
        let servers = servers
            .and_then(|pool| get(pool, "servers"))
            .map(|list| items_of(list).len());
        let mut route = route;
        for shadow in items_of(shadows) {
            self.check(shadow, &["target", "index_range", "key_fraction_range"], &[]);
            let Some(target) = get(shadow, "target").and_then(|target| self.route(target, Comes::All)) else {
                self.lose(
                    shadow,
                    "shadows",
                    "a shadow without a target that can be said: nothing is copied",
                );
                continue;
            };
            let is_whole = match get(shadow, "index_range").map(numbers).as_deref() {
                Some([from, to]) => *from == 0.0 && servers.is_some_and(|servers| *to >= servers as f64),
                _ => false,
            };
            if !is_whole {
                self.lose(
                    shadow,
                    "index_range",
                    "only requests to all servers of the pool can be copied: the index_range of a shadow must hold \
                     them all",
                );
                continue;
            }
            let share = match get(shadow, "key_fraction_range").map(numbers).as_deref() {
                Some([from, to]) => (to - from) * 100.0,
                _ => 0.0,
            };
            if !(1.0..=100.0).contains(&share.round()) || (share - share.round()).abs() > 1e-6 {
                self.lose(
                    shadow,
                    "key_fraction_range",
                    "the share of keys must be a whole percent",
                );
                continue;
            }
            let mut options = vec![("of", route), ("to", target)];
            if share < 100.0 {
                options.push((
                    "share",
                    Value::text(format!("{}%", share.round()), location(shadow)),
                ));
                self.note(
                    shadow,
                    "a shadow copies as large a share of keys as in mcrouter, but other ones",
                );
            }
            route = policy("shadow", options, shadow);
        }
        route
    }
}

/// The numbers in a list.
fn numbers(tree: &SpannedValue) -> Vec<f64> {
    match &tree.value {
        tree::Value::List(items) => items.iter().filter_map(|item| text(item)?.parse().ok()).collect(),
        _ => Vec::new(),
    }
}
