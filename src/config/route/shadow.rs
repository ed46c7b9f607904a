//! The settings of `shadow`.

use serde_json::{Value, json};

use super::super::choices::{choose, word};
use super::super::error::{Flaw, Mistakes};
use super::super::keys::Typed;
use super::super::units::percent;
use super::{FLAG, Policy, Reader, Route};

/// Copies of requests, whose replies nobody gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Shadow {
    /// What answers.
    pub of: Route,
    /// What gets copies.
    pub to: Route,
    /// Percent of the requests that are copied.
    pub share: u32,
    /// What decides which those are.
    pub by: By,
    /// Which are copied at all.
    pub commands: Copied,
    /// The replies to reads are compared.
    pub compare: bool,
}

/// What decides whether a request is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The key: all requests for it are, or none.
    Key,
    /// Chance.
    Request,
}

/// Which requests are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// Reads.
    Reads,
    /// All that have a key.
    All,
}

/// The words for `by`.
const BY: &[(&str, By)] = &[("key", By::Key), ("request", By::Request)];

/// The words for `commands`.
const COMMANDS: &[(&str, Copied)] = &[("reads", Copied::Reads), ("all", Copied::All)];

/// Reads `of`, `to` and the options.
pub fn read(reader: &mut Reader<'_>, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Policy> {
    let mut keys = value.keys(mistakes);
    let of = keys.get("of", |value, mistakes| reader.route(value, mistakes));
    let to = keys.get("to", |value, mistakes| reader.route(value, mistakes));
    let share = keys.value("share", percent).unwrap_or(100);
    let by = keys.value("by", choose(BY)).unwrap_or(By::Key);
    let commands = keys.value("commands", choose(COMMANDS)).unwrap_or(Copied::All);
    let compare = keys.value("compare", choose(FLAG)).unwrap_or(false);
    keys.require(
        "of",
        Flaw::new("it is not said what answers").hint("add `of:` with a pool or a route"),
    );
    keys.require(
        "to",
        Flaw::new("it is not said what gets the copies").hint("add `to:` with a pool or a route"),
    );
    keys.finish();
    Some(Policy::Shadow(Shadow {
        of: of?,
        to: to?,
        share,
        by,
        commands,
        compare,
    }))
}

impl Shadow {
    /// As it is typed.
    pub fn show(&self) -> Value {
        json!({
            "of": self.of.show(),
            "to": self.to.show(),
            "share": format!("{}%", self.share),
            "by": word(BY, &self.by),
            "commands": word(COMMANDS, &self.commands),
            "compare": self.compare,
        })
    }
}
