//! The settings of `limit`.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::super::error::{Diagnostics, Problem};
use super::super::map_reader::YamlNode;
use super::super::units::count;
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under};

const MAX_RATE: u64 = 100_000_000;

const MAX_IN_FLIGHT: u64 = 10_000_000;

/// Bounds requests per second and requests in flight.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// The route under it.
    pub to: Route,
    /// Requests per second.
    pub rate: Option<u64>,
    /// Requests that may come at once, above the rate.
    pub burst: u64,
    /// Requests that may await their reply, in all workers together.
    pub in_flight: Option<u64>,
}

impl Settings for Limit {
    const NAME: &'static str = "limit";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Limit> {
        let (to, (rate, burst, in_flight)) = reader.to(value, diagnostics, |keys| {
            let rate = keys.value("rate", count(1..=MAX_RATE));
            let burst = keys.value("burst", count(1..=MAX_RATE));
            let in_flight = keys.value("in_flight", count(1..=MAX_IN_FLIGHT));
            if !keys.has("rate") && !keys.has("in_flight") {
                keys.diagnostic(
                    Problem::new("there is no limit").hint("add `rate:`, requests a second, or `in_flight:`"),
                );
            }
            if keys.has("burst") && !keys.has("rate") {
                keys.diagnostic(Problem::new("`burst` without a rate means nothing").hint("add `rate:`"));
            }
            (rate, burst, in_flight)
        })?;
        Some(Limit {
            to,
            rate,
            // By default what comes in a tenth of a second.
            burst: burst.unwrap_or(rate.unwrap_or(0).div_ceil(10)),
            in_flight,
        })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::One(&self.to))]
    }

    fn options(&self) -> Value {
        let mut options = json!({});
        if let Some(rate) = self.rate {
            options["rate"] = json!(rate);
            options["burst"] = json!(self.burst);
        }
        if let Some(in_flight) = self.in_flight {
            options["in_flight"] = json!(in_flight);
        }
        options
    }
}
