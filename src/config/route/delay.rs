//! The settings of `delay`.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::error::{Diagnostics, Problem};
use super::super::map_reader::YamlNode;
use super::super::units::{percent, show_duration, timeout};
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under};

/// Forwards requests later.
#[derive(Debug, Clone, PartialEq)]
pub struct Delay {
    /// The route under it.
    pub to: Route,
    /// How much later.
    pub by: Duration,
    /// The share of the requests that waits, at random, in percent.
    pub share: u32,
}

impl Settings for Delay {
    const NAME: &'static str = "delay";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Delay> {
        let (to, (by, share)) = reader.to(value, diagnostics, |keys| {
            keys.require(
                "by",
                Problem::new("it is not said how long").hint("add `by:`, such as 10ms"),
            );
            (keys.value("by", timeout), keys.value("share", percent))
        })?;
        Some(Delay {
            to,
            by: by?,
            share: share.unwrap_or(100),
        })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::One(&self.to))]
    }

    fn options(&self) -> Value {
        json!({ "by": show_duration(self.by), "share": format!("{}%", self.share) })
    }
}
