//! The settings of `failover`.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::choices::choose;
use super::super::error::{At, Flaw, Mistakes};
use super::super::keys::{Keys, Typed};
use super::super::units::{percent, show_duration, timeout};
use super::{FLAG, Policy, Reader, Route};

/// A budget that was typed: of what goes on from `first`.
#[derive(Debug)]
pub struct Budget {
    /// The route that is asked first.
    pub first: Route,
    /// Percent of the requests that may go on.
    pub percent: u32,
}

/// One after the other, until one answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Failover {
    /// At least two, in the order in which they are asked.
    pub to: Vec<Route>,
    /// Reads that miss go on to the next, too.
    pub on_miss: bool,
    /// What is written to any but the first lives no longer.
    pub expiry: Option<Duration>,
    /// incr and decr go on to the next, too.
    pub arithmetic: bool,
    /// Percent of the requests that may go on; with 100 all may.
    pub budget: u32,
}

/// Reads a list of routes, or the options with a list behind `to:`.
pub fn read(reader: &mut Reader<'_>, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Policy> {
    let mut failover = Failover {
        to: Vec::new(),
        on_miss: false,
        expiry: None,
        arithmetic: false,
        budget: 100,
    };
    let mut budget = None;
    failover.to = reader.list(value, mistakes, |keys| {
        failover.on_miss = keys.value("on_miss", choose(FLAG)).unwrap_or(false);
        failover.expiry = keys.value("expiry", timeout);
        failover.arithmetic = keys.value("arithmetic", choose(FLAG)).unwrap_or(false);
        budget = keys.at("budget", percent);
    })?;
    if let Some(At {
        value: percent,
        place,
    }) = budget
    {
        failover.budget = percent;
        let first = failover.to[0].clone();
        let value = Budget { first, percent };
        reader.budgets.push(At { value, place });
    }
    Some(Policy::Failover(failover))
}

impl Failover {
    /// As it is typed.
    pub fn show(&self) -> Value {
        let mut shown = json!({
            "to": self.to.iter().map(Route::show).collect::<Vec<_>>(),
            "on_miss": self.on_miss,
            "arithmetic": self.arithmetic,
            "budget": format!("{}%", self.budget),
        });
        if let Some(expiry) = self.expiry {
            shown["expiry"] = json!(show_duration(expiry));
        }
        shown
    }
}

impl Reader<'_> {
    /// Reads what stands behind a policy that leads to several routes: a list of them, or its options with a list
    /// behind `to:`, which `options` reads.
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
