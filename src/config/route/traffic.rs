//! The settings of the policies that let less through, or change it on its way: `limit`, `expiry`, `key`,
//! `read_only`, `deny`.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::error::{Flaw, Mistakes};
use super::super::keys::Typed;
use super::super::units::{count, percent, show_duration, timeout};
use super::choosers::beginning;
use super::{Policy, Reader, Route};
use crate::protocol::operation::Operation;

const MOST_A_SECOND: u64 = 100_000_000;

const MOST_IN_FLIGHT: u64 = 10_000_000;

/// No more than so much.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// Where it leads.
    pub to: Route,
    /// Requests a second.
    pub rate: Option<u64>,
    /// Requests that may come at once, above the rate.
    pub burst: u64,
    /// Requests that may await their reply in each worker.
    pub in_flight: Option<u64>,
}

/// With other expiries.
#[derive(Debug, Clone, PartialEq)]
pub struct Expiry {
    /// Where it leads.
    pub to: Route,
    /// Nothing lives shorter.
    pub min: Option<Duration>,
    /// Nothing lives longer, not even what was to live for ever.
    pub max: Option<Duration>,
    /// Up to so many percent are taken off, by chance.
    pub jitter: u32,
}

/// With another key.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Where it leads.
    pub to: Route,
    /// Taken off the key, where it begins so.
    pub strip_prefix: String,
    /// Then put before it.
    pub add_prefix: String,
}

/// All but some operations.
#[derive(Debug, Clone, PartialEq)]
pub struct Deny {
    /// Where it leads.
    pub to: Route,
    /// What is refused.
    pub commands: Vec<Operation>,
}

/// Reads `limit`.
pub fn limit(reader: &mut Reader<'_>, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Policy> {
    let (to, (rate, burst, in_flight)) = reader.to(value, mistakes, |keys| {
        let rate = keys.value("rate", count(1..=MOST_A_SECOND));
        let burst = keys.value("burst", count(1..=MOST_A_SECOND));
        let in_flight = keys.value("in_flight", count(1..=MOST_IN_FLIGHT));
        if !keys.has("rate") && !keys.has("in_flight") {
            keys.mistake(
                Flaw::new("there is no limit").hint("add `rate:`, requests a second, or `in_flight:`"),
            );
        }
        if keys.has("burst") && !keys.has("rate") {
            keys.mistake(Flaw::new("`burst` without a rate means nothing").hint("add `rate:`"));
        }
        (rate, burst, in_flight)
    })?;
    Some(Policy::Limit(Limit {
        to,
        rate,
        // What comes in a tenth of a second.
        burst: burst.unwrap_or(rate.unwrap_or(0).div_ceil(10)),
        in_flight,
    }))
}

/// Reads `expiry`.
pub fn expiry(reader: &mut Reader<'_>, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Policy> {
    let (to, (min, max, jitter)) = reader.to(value, mistakes, |keys| {
        let min = keys.value("min", timeout);
        let max = keys.value("max", timeout);
        let jitter = keys.value("jitter", percent);
        if min.is_some() && max.is_some() && min > max {
            keys.mistake(Flaw::new("`min` is longer than `max`").hint("exchange them"));
        }
        (min, max, jitter)
    })?;
    Some(Policy::Expiry(Expiry {
        to,
        min,
        max,
        jitter: jitter.unwrap_or(0),
    }))
}

/// Reads `key`.
pub fn key(reader: &mut Reader<'_>, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Policy> {
    let (to, (strip_prefix, add_prefix)) = reader.to(value, mistakes, |keys| {
        let typed = ["strip_prefix", "add_prefix"].map(|key| keys.value(key, beginning));
        if !keys.has("strip_prefix") && !keys.has("add_prefix") {
            keys.mistake(Flaw::new("the key stays as it is").hint("add `add_prefix:` or `strip_prefix:`"));
        }
        let [strip, add] = typed.map(Option::unwrap_or_default);
        (strip, add)
    })?;
    Some(Policy::Key(Key {
        to,
        strip_prefix,
        add_prefix,
    }))
}

/// Reads `read_only`: a route, or `to:` with one.
pub fn read_only(reader: &mut Reader<'_>, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Policy> {
    if value.has_key("to") {
        let (to, ()) = reader.to(value, mistakes, |_| ())?;
        return Some(Policy::ReadOnly(to));
    }
    Some(Policy::ReadOnly(reader.route(value, mistakes)?))
}

/// Reads `deny`.
pub fn deny(reader: &mut Reader<'_>, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Policy> {
    let (to, commands) = reader.to(value, mistakes, |keys| {
        keys.require(
            "commands",
            Flaw::new("nothing is refused").hint("add `commands:`, such as [flush_all]"),
        );
        keys.get("commands", |value, mistakes| {
            let items = value.items(mistakes)?;
            let read = super::super::choices::choose(Operation::WORDS);
            let commands: Vec<_> = items.iter().map(|item| item.read(mistakes, &read)).collect();
            commands.into_iter().collect::<Option<Vec<_>>>()
        })
    })?;
    Some(Policy::Deny(Deny {
        to,
        commands: commands?,
    }))
}

impl Limit {
    /// As it is typed.
    pub fn show(&self) -> Value {
        let mut shown = json!({ "to": self.to.show() });
        if let Some(rate) = self.rate {
            shown["rate"] = json!(rate);
            shown["burst"] = json!(self.burst);
        }
        if let Some(in_flight) = self.in_flight {
            shown["in_flight"] = json!(in_flight);
        }
        shown
    }
}

impl Expiry {
    /// As it is typed.
    pub fn show(&self) -> Value {
        let mut shown = json!({ "to": self.to.show(), "jitter": format!("{}%", self.jitter) });
        for (key, bound) in [("min", self.min), ("max", self.max)] {
            if let Some(bound) = bound {
                shown[key] = json!(show_duration(bound));
            }
        }
        shown
    }
}

impl Key {
    /// As it is typed.
    pub fn show(&self) -> Value {
        let mut shown = json!({ "to": self.to.show() });
        for (key, prefix) in [
            ("strip_prefix", &self.strip_prefix),
            ("add_prefix", &self.add_prefix),
        ] {
            if !prefix.is_empty() {
                shown[key] = json!(prefix);
            }
        }
        shown
    }
}

impl Deny {
    /// As it is typed.
    pub fn show(&self) -> Value {
        let word = |operation| super::super::choices::word(Operation::WORDS, operation);
        json!({
            "to": self.to.show(),
            "commands": self.commands.iter().map(word).collect::<Vec<_>>(),
        })
    }
}
