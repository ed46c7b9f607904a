//! The settings of `replicate`.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::super::choices::{choose, word};
use super::super::error::{Diagnostics, Problem};
use super::super::map_reader::YamlNode;
use super::super::units::percent;
use super::reader::{Beside, Reader};
use super::{FLAG, Route, Settings, Under};

/// Keeps the same values in several routes.
#[derive(Debug, Clone, PartialEq)]
pub struct Replicate {
    /// At least two routes; the first decides whatever only one can decide.
    pub to: Vec<Route>,
    /// When a write is done.
    pub write: Writes,
    /// Which replicas a read asks.
    pub read: Reads,
    /// Whether reads that miss go on to the next replica.
    pub on_miss: bool,
    /// The share of the reads that may be sent twice if `read` is hedged, in percent; 100 is no bound.
    pub budget: u32,
}

/// When a write is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// When all replicas did it.
    All,
    /// When more than half of the replicas did it.
    Majority,
    /// When any replica did it.
    First,
    /// When the first replica in the list did it; the others go on in the background.
    Async,
}

/// Which replicas a read asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// The first in the list; the next if it fails.
    First,
    /// All at once; the first hit is the reply.
    Fastest,
    /// The first in the zone of this process; the next if it fails.
    Local,
    /// As with `local`; if it is slow, a second one is asked too.
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

/// The default budget of hedged reads, in percent.
const BUDGET: u32 = 10;

impl Settings for Replicate {
    const NAME: &'static str = "replicate";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Replicate> {
        let mut replicate = Replicate {
            to: Vec::new(),
            write: Writes::All,
            read: Reads::First,
            on_miss: false,
            budget: BUDGET,
        };
        let mut read = None;
        replicate.to = reader.list(value, diagnostics, |keys| {
            replicate.write = keys.value("write", choose(WRITES)).unwrap_or(Writes::All);
            read = keys.at("read", choose(READS));
            replicate.on_miss = keys.value("on_miss", choose(FLAG)).unwrap_or(false);
            replicate.read = read.as_ref().map_or(Reads::First, |read| read.value);
            if let Some(budget) = keys.value("budget", percent) {
                replicate.budget = budget;
                if replicate.read != Reads::Hedged {
                    let problem = Problem::new("only hedged reads have a budget");
                    keys.reject(
                        "budget",
                        problem.hint("add `read: hedged`, or take the budget out"),
                    );
                }
            }
        })?;
        let local = read.filter(|read| read.value == Reads::Local);
        reader.zones.extend(local.map(|read| read.location));
        Some(replicate)
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::List(&self.to))]
    }

    fn options(&self) -> Value {
        let mut options = json!({
            "write": word(WRITES, &self.write),
            "read": word(READS, &self.read),
            "on_miss": self.on_miss,
        });
        if self.read == Reads::Hedged {
            options["budget"] = json!(format!("{}%", self.budget));
        }
        options
    }
}
