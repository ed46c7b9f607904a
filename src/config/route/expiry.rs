//! The settings of `expiry`.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::error::{Diagnostics, Problem};
use super::super::map_reader::YamlNode;
use super::super::units::{percent, show_duration, timeout};
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under};

/// Bounds expiries.
#[derive(Debug, Clone, PartialEq)]
pub struct Expiry {
    /// The route under it.
    pub to: Route,
    /// The shortest that an item lives.
    pub min: Option<Duration>,
    /// The longest that an item lives, even one without an expiry.
    pub max: Option<Duration>,
    /// The largest share that is taken off at random, in percent.
    pub jitter: u32,
}

impl Settings for Expiry {
    const NAME: &'static str = "expiry";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Expiry> {
        let (to, (min, max, jitter)) = reader.to(value, diagnostics, |keys| {
            let min = keys.value("min", timeout);
            let max = keys.value("max", timeout);
            let jitter = keys.value("jitter", percent);
            if min.is_some() && max.is_some() && min > max {
                keys.diagnostic(Problem::new("`min` is longer than `max`").hint("exchange them"));
            }
            (min, max, jitter)
        })?;
        Some(Expiry {
            to,
            min,
            max,
            jitter: jitter.unwrap_or(0),
        })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::One(&self.to))]
    }

    fn options(&self) -> Value {
        let mut options = json!({ "jitter": format!("{}%", self.jitter) });
        for (key, bound) in [("min", self.min), ("max", self.max)] {
            if let Some(bound) = bound {
                options[key] = json!(show_duration(bound));
            }
        }
        options
    }
}
