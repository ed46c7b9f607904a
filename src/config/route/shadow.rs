//! The settings of `shadow`.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::super::choices::{choose, word};
use super::super::error::{Diagnostics, Problem};
use super::super::map_reader::YamlNode;
use super::super::units::percent;
use super::reader::{Beside, Reader};
use super::{FLAG, Route, Settings, Under};

/// Copies requests to another route, whose replies are dropped.
#[derive(Debug, Clone, PartialEq)]
pub struct Shadow {
    /// The route that answers.
    pub of: Route,
    /// The route that gets copies.
    pub to: Route,
    /// The share of the requests that is copied, in percent.
    pub share: u32,
    /// What decides which requests those are.
    pub by: By,
    /// Which commands are copied at all.
    pub commands: Copied,
    /// Whether the replies to reads are compared.
    pub compare: bool,
}

/// What decides whether a request is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The key: either all requests for it are copied, or none.
    Key,
    /// Chance.
    Request,
}

/// Which requests are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// Reads.
    Reads,
    /// All commands that have a key.
    All,
}

/// The words for `by`.
const BY: &[(&str, By)] = &[("key", By::Key), ("request", By::Request)];

/// The words for `commands`.
const COMMANDS: &[(&str, Copied)] = &[("reads", Copied::Reads), ("all", Copied::All)];

impl Settings for Shadow {
    const NAME: &'static str = "shadow";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Shadow> {
        let mut keys = value.keys(diagnostics);
        let of = keys.get("of", |value, diagnostics| reader.route(value, diagnostics));
        let to = keys.get("to", |value, diagnostics| reader.route(value, diagnostics));
        let share = keys.value("share", percent).unwrap_or(100);
        let by = keys.value("by", choose(BY)).unwrap_or(By::Key);
        let commands = keys.value("commands", choose(COMMANDS)).unwrap_or(Copied::All);
        let compare = keys.value("compare", choose(FLAG)).unwrap_or(false);
        keys.require(
            "of",
            Problem::new("it is not said what answers").hint("add `of:` with a pool or a route"),
        );
        keys.require(
            "to",
            Problem::new("it is not said what gets the copies").hint("add `to:` with a pool or a route"),
        );
        keys.finish();
        Some(Shadow {
            of: of?,
            to: to?,
            share,
            by,
            commands,
            compare,
        })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![
            ("of".into(), Under::One(&self.of)),
            ("to".into(), Under::One(&self.to)),
        ]
    }

    fn options(&self) -> Value {
        json!({
            "share": format!("{}%", self.share),
            "by": word(BY, &self.by),
            "commands": word(COMMANDS, &self.commands),
            "compare": self.compare,
        })
    }
}
