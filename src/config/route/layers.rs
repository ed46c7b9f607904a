//! The settings of `layers`.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::error::{Flaw, Mistakes};
use super::super::keys::Typed;
use super::super::units::{show_duration, timeout};
use super::{Policy, Reader, Route};

/// A near cache of a far one.
#[derive(Debug, Clone, PartialEq)]
pub struct Layers {
    /// What is asked first, and holds copies.
    pub near: Route,
    /// What has the values.
    pub far: Route,
    /// A copy lives no longer.
    pub near_expiry: Duration,
}

/// Reads `near`, `far` and `near_expiry`.
pub fn read(reader: &mut Reader<'_>, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Policy> {
    let mut keys = value.keys(mistakes);
    let near = keys.get("near", |value, mistakes| reader.meta_route(value, mistakes));
    let far = keys.get("far", |value, mistakes| reader.meta_route(value, mistakes));
    let near_expiry = keys.value("near_expiry", timeout);
    for (key, what) in [
        ("near", "it is not said which pool is near"),
        ("far", "it is not said which pool is far"),
    ] {
        keys.require(
            key,
            Flaw::new(what).hint(format!("add `{key}:` with a pool or a route")),
        );
    }
    keys.require(
        "near_expiry",
        Flaw::new("it is not said how old a copy may be").hint("add `near_expiry:`, such as 10s"),
    );
    keys.finish();
    Some(Policy::Layers(Layers {
        near: near?,
        far: far?,
        near_expiry: near_expiry?,
    }))
}

impl Layers {
    /// As it is typed.
    pub fn show(&self) -> Value {
        json!({
            "near": self.near.show(),
            "far": self.far.show(),
            "near_expiry": show_duration(self.near_expiry),
        })
    }
}
