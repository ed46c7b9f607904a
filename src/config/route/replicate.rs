//! The settings of `replicate`.

use serde_json::{Value, json};

use super::super::choices::{choose, word};
use super::super::error::{Flaw, Mistakes};
use super::super::keys::Typed;
use super::super::units::percent;
use super::{FLAG, Policy, Reader, Route};

/// The same values in several pools.
#[derive(Debug, Clone, PartialEq)]
pub struct Replicate {
    /// At least two; the first decides where only one can.
    pub to: Vec<Route>,
    /// When a write is done.
    pub write: Writes,
    /// Who is asked for a value.
    pub read: Reads,
    /// Reads that miss go on to the next, too.
    pub on_miss: bool,
    /// Percent of the reads that may be asked twice where `read` is hedged; with 100 all may.
    pub budget: u32,
}

/// When a write is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// When all did it.
    All,
    /// When more than half did it.
    Majority,
    /// When any did it.
    First,
    /// When the first in the list did it; the others go on by themselves.
    Async,
}

/// Who is asked for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// The first in the list; the next where it fails.
    First,
    /// All at once; the first hit is the answer.
    Fastest,
    /// The first in the zone of this process; the next where it fails.
    Local,
    /// As with `local`; where it is slow a second one is asked besides.
    Hedged,
}

/// The words for `write`.
const WRITES: &[(&str, Writes)] = &[
    ("all", Writes::All),
    ("majority", Writes::Majority),
    ("first", Writes::First),
    ("async", Writes::Async),
];

/// The words for `read`.
const READS: &[(&str, Reads)] = &[
    ("first", Reads::First),
    ("fastest", Reads::Fastest),
    ("local", Reads::Local),
    ("hedged", Reads::Hedged),
];

/// So many percent of the reads are asked twice at most, where nothing else was typed.
const BUDGET: u32 = 10;

/// Reads a list of routes, or the options with a list behind `to:`.
pub fn read(reader: &mut Reader<'_>, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Policy> {
    let mut replicate = Replicate {
        to: Vec::new(),
        write: Writes::All,
        read: Reads::First,
        on_miss: false,
        budget: BUDGET,
    };
    let mut read = None;
    replicate.to = reader.list(value, mistakes, |keys| {
        replicate.write = keys.value("write", choose(WRITES)).unwrap_or(Writes::All);
        read = keys.at("read", choose(READS));
        replicate.on_miss = keys.value("on_miss", choose(FLAG)).unwrap_or(false);
        replicate.read = read.as_ref().map_or(Reads::First, |read| read.value);
        if let Some(budget) = keys.value("budget", percent) {
            replicate.budget = budget;
            if replicate.read != Reads::Hedged {
                let flaw = Flaw::new("only hedged reads have a budget");
                keys.reject("budget", flaw.hint("add `read: hedged`, or take the budget out"));
            }
        }
    })?;
    let local = read.filter(|read| read.value == Reads::Local);
    reader.zones.extend(local.map(|read| read.place));
    Some(Policy::Replicate(replicate))
}

impl Replicate {
    /// As it is typed.
    pub fn show(&self) -> Value {
        let mut shown = json!({
            "to": self.to.iter().map(Route::show).collect::<Vec<_>>(),
            "write": word(WRITES, &self.write),
            "read": word(READS, &self.read),
            "on_miss": self.on_miss,
        });
        if self.read == Reads::Hedged {
            shown["budget"] = json!(format!("{}%", self.budget));
        }
        shown
    }
}
