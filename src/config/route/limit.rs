//! The settings of `limit`.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::super::error::{Diagnostics, Problem};
use super::super::kind::{Kind, number};
use super::super::map_reader::YamlNode;
use super::super::rows::{Section, section};
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under, schema};

const MAX_RATE: u64 = 100_000_000;

const MAX_IN_FLIGHT: u64 = 10_000_000;

section! {
    /// Bounds requests per second and requests in flight.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Limit {
        (
            /// The route under it.
            to: Route,
        )
        /// Requests per second.
        rate: Option<u64> = None, number(1..=MAX_RATE).optional();
        /// Requests that may come at once, above the rate; by default a tenth of it.
        burst: u64 = 0, burst();
        /// Requests that may await their reply, in all workers together.
        in_flight: Option<u64> = None, number(1..=MAX_IN_FLIGHT).optional();
    }
}

/// A number that is not rendered if there is no rate.
fn burst() -> Kind<u64> {
    Kind {
        show: Box::new(|burst| {
            if *burst == 0 {
                Value::Null
            } else {
                Value::from(*burst)
            }
        }),
        ..number(1..=MAX_RATE)
    }
}

impl Settings for Limit {
    const NAME: &'static str = "limit";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Limit> {
        let mut settings = Limit::default();
        let mut keys = value.keys(diagnostics);
        let to = reader.at("to", &mut keys);
        settings.read_rows(&mut keys);
        if !keys.has("rate") && !keys.has("in_flight") {
            keys.diagnostic(
                Problem::new("there is no limit").hint("add `rate:`, requests a second, or `in_flight:`"),
            );
        }
        match (keys.has("burst"), settings.rate) {
            (true, _) if !keys.has("rate") => {
                keys.diagnostic(Problem::new("`burst` without a rate means nothing").hint("add `rate:`"));
            }
            (false, Some(rate)) => settings.burst = rate.div_ceil(10),
            _ => {}
        }
        keys.finish();
        Some(Limit { to: to?, ..settings })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::One(&self.to))]
    }

    fn schema() -> Value {
        let mut limit = schema::mapping::<Limit>(&["to"], &["to"]);
        limit["anyOf"] = json!([{ "required": ["rate"] }, { "required": ["in_flight"] }]);
        limit["dependentRequired"] = json!({ "burst": ["rate"] });
        limit
    }
}
