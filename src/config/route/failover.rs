//! The settings of `failover`.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::choices::choose;
use super::super::error::{Diagnostics, Spanned};
use super::super::map_reader::YamlNode;
use super::super::units::{percent, show_duration, timeout};
use super::reader::{Beside, Reader, SharedBudget};
use super::{FLAG, Route, Settings, Under};

/// Asks one route after the other until one answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Failover {
    /// At least two routes, in the order in which they are asked.
    pub to: Vec<Route>,
    /// Whether reads that miss go on to the next route.
    pub on_miss: bool,
    /// The longest that an item lives in any route but the first.
    pub expiry: Option<Duration>,
    /// Whether incr and decr go on to the next route.
    pub arithmetic: bool,
    /// Percent of the requests that may go on; with 100 all may.
    pub budget: u32,
}

impl Settings for Failover {
    const NAME: &'static str = "failover";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Failover> {
        let mut failover = Failover {
            to: Vec::new(),
            on_miss: false,
            expiry: None,
            arithmetic: false,
            budget: 100,
        };
        let mut budget = None;
        failover.to = reader.list(value, diagnostics, |keys| {
            failover.on_miss = keys.value("on_miss", choose(FLAG)).unwrap_or(false);
            failover.expiry = keys.value("expiry", timeout);
            failover.arithmetic = keys.value("arithmetic", choose(FLAG)).unwrap_or(false);
            budget = keys.at("budget", percent);
        })?;
        if let Some(Spanned {
            value: percent,
            location,
        }) = budget
        {
            failover.budget = percent;
            let first = failover.to[0].clone();
            let value = SharedBudget { first, percent };
            reader.budgets.push(Spanned { value, location });
        }
        Some(failover)
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::List(&self.to))]
    }

    fn options(&self) -> Value {
        let mut options = json!({
            "on_miss": self.on_miss,
            "arithmetic": self.arithmetic,
            "budget": format!("{}%", self.budget),
        });
        if let Some(expiry) = self.expiry {
            options["expiry"] = json!(show_duration(expiry));
        }
        options
    }
}
