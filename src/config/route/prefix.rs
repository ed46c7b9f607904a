//! The settings of `prefix` and `routing_prefix`.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::super::error::{Diagnostics, Problem, quote};
use super::super::map_reader::YamlNode;
use super::super::rows::Section;
use super::choosers::{self, branches, parse_each};
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under, schema};
use crate::protocol::MAX_KEY;

/// The beginning of the key chooses the route; the longest beginning wins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prefix {
    /// Beginnings, with the routes of the keys that begin with them.
    pub routes: Vec<(String, Route)>,
    /// Whether the beginning is taken off the key.
    pub strip: bool,
    /// The route of all other keys.
    pub otherwise: Route,
}

/// mcrouter's `/region/cluster/` before the key chooses the route, and is taken off.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoutingPrefix {
    /// Prefixes with their routes.
    pub routes: Vec<(String, Route)>,
    /// The route of all other keys.
    pub otherwise: Route,
}

impl Section for Prefix {}

impl Settings for Prefix {
    const NAME: &'static str = "prefix";
    const BESIDE: &'static [&'static str] = &["else", "strip"];

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Prefix> {
        let routes = branches(reader, value, diagnostics)?;
        Some(Prefix {
            routes: parse_each(routes, diagnostics, beginning)?,
            strip: beside.strip.unwrap_or(false),
            otherwise: beside.otherwise.clone()?,
        })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        choosers::routes(&self.routes, |beginning| beginning.into(), &self.otherwise)
    }

    /// As `explain` shows them: without what is the default.
    fn options(&self) -> Value {
        match self.strip {
            true => json!({ "strip": true }),
            false => json!({}),
        }
    }

    fn schema() -> Value {
        schema::branches(beginning_schema())
    }

    fn to_json(&self) -> Value {
        let mut all = choosers::to_json(self);
        all["strip"] = json!(self.strip);
        all
    }
}

impl Section for RoutingPrefix {}

impl Settings for RoutingPrefix {
    const NAME: &'static str = "routing_prefix";
    const BESIDE: &'static [&'static str] = &["else"];

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<RoutingPrefix> {
        let routes = branches(reader, value, diagnostics)?;
        Some(RoutingPrefix {
            routes: parse_each(routes, diagnostics, routing_prefix)?,
            otherwise: beside.otherwise.clone()?,
        })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        choosers::routes(&self.routes, |prefix| prefix.into(), &self.otherwise)
    }

    fn schema() -> Value {
        schema::branches(json!({ "pattern": "^/[^/]+/[^/]+/$" }))
    }

    fn to_json(&self) -> Value {
        choosers::to_json(self)
    }
}

/// The schema of what keys may begin with.
pub fn beginning_schema() -> Value {
    json!({ "type": "string", "pattern": r"^[^\s\x00-\x1f\x7f]+$", "maxLength": MAX_KEY })
}

/// Checks that keys may begin with `text`.
pub fn beginning(text: &str) -> Result<String, Problem> {
    let is_good = !text.is_empty()
        && text.len() <= MAX_KEY
        && !text
            .chars()
            .any(|c| c.is_ascii_whitespace() || c.is_ascii_control());
    is_good.then(|| text.to_owned()).ok_or_else(|| {
        Problem::new(format!("no key begins with {}", quote(text))).hint(format!(
            "write 1 to {MAX_KEY} bytes without spaces and control characters"
        ))
    })
}

fn routing_prefix(text: &str) -> Result<String, Problem> {
    let parts: Vec<&str> = text.split('/').collect();
    match parts[..] {
        ["", region, cluster, ""] if !region.is_empty() && !cluster.is_empty() => beginning(text),
        _ => Err(Problem::new(format!("{} is not a routing prefix", quote(text)))
            .hint("write it as mcrouter does: /region/cluster/")),
    }
}
