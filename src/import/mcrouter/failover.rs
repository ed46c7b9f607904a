//! Route handles that try several routes in order.

use super::super::macros::{get, text};
use super::super::yaml::Value;
use super::routes::policy;
use super::{Comes, McrouterReader, items_of, location, map};
use crate::config::tree::{self, SpannedValue};

/// Settings of these handles that have no effect in Ringway.
const SAME: [(&str, &str); 2] = [("failover_tag", "false"), ("failover_tag", "true")];

/// mcrouter's names for an unreachable node.
const UNREACHABLE: [&str; 3] = ["tko", "connect_error", "timeout"];

impl<'a> McrouterReader<'a> {
    /// Converts a handle of the kind `kind` that is written as an object.
    pub fn failover_handle(&mut self, kind: &str, tree: &'a SpannedValue, comes: Comes) -> Option<Value> {
        let known = [
            "children",
            "normal",
            "failover",
            "failover_exptime",
            "failover_errors",
            "failover_limit",
            "failover_policy",
            "settings",
            "failover_count",
            "thread_local_failover",
            "weights",
            "salt",
        ];
        self.check(tree, &known, &SAME);
        let children = if kind == "FailoverWithExptime" {
            let normal = get(tree, "normal").and_then(|normal| self.route(normal, comes));
            let others = get(tree, "failover").map(|others| self.many(others, comes));
            normal.into_iter().chain(others.unwrap_or_default()).collect()
        } else {
            self.children(tree, comes)
        };
        self.in_turn(kind, children, Some(tree), tree)
    }

    /// Returns a route that tries `children` in order, as the handle of the kind `kind` does with
    /// `settings`.
    pub fn in_turn(
        &mut self,
        kind: &str,
        mut children: Vec<Value>,
        settings: Option<&SpannedValue>,
        tree: &SpannedValue,
    ) -> Option<Value> {
        if children.len() < 2 {
            return children.pop();
        }
        match kind {
            "Latest" => self.note(
                tree,
                "a LatestRoute has another order on each host; here all hosts ask in the order of the file",
            ),
            "Random" => self.lose(
                tree,
                "route",
                "a RandomRoute spreads reads; here all ask the first, and the next if it fails: \
                 replicate with `read: local` or `hedged` spreads them",
            ),
            _ => {}
        }
        let first = children[0].clone();
        let mut options = vec![("to", Value::list(children, location(tree)))];
        let setting = |key: &str| settings.and_then(|settings| get(settings, key));
        let seconds = match setting("failover_exptime").map(|tree| text(tree).unwrap_or_default()) {
            None if kind == "FailoverWithExptime" => "60",
            None => "0",
            Some(seconds) => seconds,
        };
        if seconds != "0" {
            options.push(("expiry", Value::text(format!("{seconds}s"), location(tree))));
        }
        if kind == "MissFailover" {
            options.push(("on_miss", Value::text("true", location(tree))));
        }
        if let Some(limit) = setting("failover_limit") {
            match budget(limit) {
                Some(percent) => options.push(("budget", Value::text(format!("{percent}%"), location(limit)))),
                None => self.lose(
                    limit,
                    "failover_limit",
                    "only a rate from 0.01 to 1 can be said: without it all failing requests go on to the next",
                ),
            }
        }
        if let Some(policy) = setting("failover_policy") {
            self.lose(
                policy,
                "failover_policy",
                "the order cannot depend on the key or on failures: they are asked in the order of the file",
            );
        }
        let route = policy("failover", options, tree);
        Some(match setting("failover_errors").or(setting("settings")) {
            Some(errors) => self.only_on(errors, first, route),
            None => route,
        })
    }

    /// Applies `failover_errors` to a failover: a kind of request with an empty list only uses `first`.
    fn only_on(&mut self, errors: &SpannedValue, first: Value, failover: Value) -> Value {
        let lists: Vec<(&str, &SpannedValue)> = match &errors.value {
            tree::Value::List(_) => vec![("all", errors)],
            _ => map(errors)
                .iter()
                .filter_map(|(key, list)| Some((text(key)?, list)))
                .collect(),
        };
        let mut alone = Vec::new();
        for (kind, list) in lists {
            let names: Vec<&str> = items_of(list).iter().filter_map(text).collect();
            let words = match kind {
                "gets" => &["reads"][..],
                "updates" => &["writes"],
                "deletes" => &["deletes"],
                "all" => &["reads", "writes", "deletes"],
                other => {
                    self.lose(
                        list,
                        "failover_errors",
                        format!("{other} is not a kind of request"),
                    );
                    continue;
                }
            };
            if matches!(&list.value, tree::Value::List(items) if items.is_empty()) {
                alone.extend(words.iter().map(|word| (*word, first.clone())));
            } else if UNREACHABLE.iter().any(|error| !names.contains(error)) {
                let why = format!(
                    "Ringway goes on after every failure, not only after {}",
                    names.join(", ")
                );
                self.lose(list, "failover_errors", why);
            }
        }
        if alone.is_empty() {
            return failover;
        }
        let commands = Value::map(alone, location(errors));
        Value::map(
            vec![("by_command", commands), ("else", failover)],
            location(errors),
        )
    }
}

/// Returns the percentage of requests that may fail over, for a limit such as `{"rate": 0.1}`.
fn budget(limit: &SpannedValue) -> Option<u32> {
    let rate: f64 = get(limit, "rate").and_then(text)?.parse().ok()?;
    let percent = (rate * 100.0).round();
    (1.0..=100.0).contains(&percent).then_some(percent as u32)
}
