//! The settings of `failover`.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use super::super::error::{Diagnostics, Spanned};
use super::super::kind::{flag, percent, timeout};
use super::super::map_reader::YamlNode;
use super::super::rows::{Section, section};
use super::reader::{Beside, Reader, SharedBudget};
use super::{Route, Settings, Under, schema};

section! {
    /// Asks one route after the other until one answers.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Failover {
        (
            /// At least two routes, in the order in which they are asked.
            to: Vec<Route>,
        )
        /// Whether reads that miss go on to the next route.
        on_miss: bool = false, flag();
        /// The longest that an item lives in any route but the first.
        expiry: Option<Duration> = None, timeout().optional();
        /// Whether incr and decr go on to the next route.
        arithmetic: bool = false, flag();
        /// Percent of the requests that may go on; with 100 all may.
        budget: u32 = 100, percent();
    }
}

impl Settings for Failover {
    const NAME: &'static str = "failover";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Failover> {
        let mut settings = Failover::default();
        settings.to = reader.list(value, diagnostics, |keys| settings.read_rows(keys))?;
        if let Some(budget) = value.find("budget") {
            let shared = SharedBudget {
                first: settings.to[0].clone(),
                percent: settings.budget,
            };
            reader.budgets.push(Spanned {
                value: shared,
                location: budget.location(),
            });
        }
        Some(settings)
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::List(&self.to))]
    }

    fn schema() -> Value {
        schema::list::<Failover>()
    }
}
