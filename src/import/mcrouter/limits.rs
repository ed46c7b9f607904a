//! Rates, and limits of requests in flight.

use super::super::macros::{get, text};
use super::super::yaml::Value;
use super::routes::policy;
use super::{McrouterReader, location, map};
use crate::config::tree::SpannedValue;

/// mcrouter's names for a rate and its burst, with the requests that they apply to.
const RATES: [(&str, &str, &str); 3] = [
    ("gets_rate", "gets_burst", "reads"),
    ("sets_rate", "sets_burst", "writes"),
    ("deletes_rate", "deletes_burst", "deletes"),
];

impl<'a> McrouterReader<'a> {
    /// Wraps `target` in the limits of the handle `tree`.
    pub fn limits(&mut self, tree: &'a SpannedValue, target: Value) -> Value {
        if let Some(setting) = get(tree, "slow_warmup") {
            let why = "a node that comes back gets all its requests at once";
            self.lose(setting, "slow_warmup", why);
        }
        let target = match get(tree, "shadows") {
            Some(shadows) => self.shadows(shadows, get(tree, "pool"), target),
            None => target,
        };
        let target = match get(tree, "rates") {
            Some(rates) => self.rates(rates, target),
            None => target,
        };
        let Some(outstanding) = get(tree, "max_outstanding") else {
            return target;
        };
        self.lose(
            outstanding,
            "max_outstanding",
            "in mcrouter further requests wait; here they are answered as those of a busy node",
        );
        let most = Value::text(text(outstanding).unwrap_or_default(), location(outstanding));
        policy("limit", vec![("to", target), ("in_flight", most)], tree)
    }

    fn rates(&mut self, rates: &'a SpannedValue, target: Value) -> Value {
        let mut commands = Vec::new();
        for (key, value) in map(rates) {
            let key = text(key).unwrap_or_default();
            if !RATES.iter().any(|(rate, burst, _)| key == *rate || key == *burst) {
                self.lose(value, key, "no such rate is known");
            }
        }
        for (rate, burst, word) in RATES {
            let Some(raw) = get(rates, rate) else {
                continue;
            };
            let Some(number) = whole(raw) else {
                self.lose(raw, rate, "no rate: these requests are not limited");
                continue;
            };
            let mut options = vec![
                ("to", target.clone()),
                ("rate", Value::text(number.to_string(), location(raw))),
            ];
            let burst = get(rates, burst);
            let most = burst.and_then(whole).unwrap_or(number);
            options.push((
                "burst",
                Value::text(most.to_string(), burst.map_or(location(raw), location)),
            ));
            commands.push((word, policy("limit", options, raw)));
        }
        if commands.is_empty() {
            return target;
        }
        self.note(
            rates,
            "mcrouter counts rates for each of its threads, Ringway for the whole process",
        );
        let commands = Value::map(commands, location(rates));
        Value::map(vec![("by_command", commands), ("else", target)], location(rates))
    }
}

/// Returns a positive number, rounded up.
fn whole(tree: &SpannedValue) -> Option<u64> {
    let number: f64 = text(tree)?.parse().ok()?;
    (number > 0.0 && number <= 1e8).then(|| number.ceil() as u64)
}
