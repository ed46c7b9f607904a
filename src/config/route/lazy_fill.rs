//! The settings of `lazy_fill`.

use serde_json::{Value, json};

use super::super::error::{Flaw, Mistakes};
use super::super::keys::Typed;
use super::{Policy, Reader, Route};

/// Filled as keys are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct LazyFill {
    /// Where values are to be.
    pub to: Route,
    /// Where they were.
    pub from: Route,
}

/// Reads `to` and `from`.
pub fn read(reader: &mut Reader<'_>, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Policy> {
    let mut keys = value.keys(mistakes);
    let to = keys.get("to", |value, mistakes| reader.meta_route(value, mistakes));
    let from = keys.get("from", |value, mistakes| reader.meta_route(value, mistakes));
    keys.require(
        "to",
        Flaw::new("it is not said what is to be filled").hint("add `to:` with a pool or a route"),
    );
    keys.require(
        "from",
        Flaw::new("it is not said what it is filled from").hint("add `from:` with a pool or a route"),
    );
    keys.finish();
    Some(Policy::LazyFill(LazyFill { to: to?, from: from? }))
}

impl LazyFill {
    /// As it is typed.
    pub fn show(&self) -> Value {
        json!({ "to": self.to.show(), "from": self.from.show() })
    }
}
