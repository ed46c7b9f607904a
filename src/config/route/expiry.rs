//! The settings of `expiry`.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use super::super::error::{Diagnostics, Problem};
use super::super::kind::{percent, timeout};
use super::super::map_reader::YamlNode;
use super::super::rows::{Section, section};
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under, schema};

section! {
    /// Bounds expiries.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Expiry {
        (
            /// The route under it.
            to: Route,
        )
        /// The shortest that an item lives.
        min: Option<Duration> = None, timeout().optional();
        /// The longest that an item lives, even one without an expiry.
        max: Option<Duration> = None, timeout().optional();
        /// The largest share that is taken off at random.
        jitter: u32 = 0, percent();
    }
}

impl Settings for Expiry {
    const NAME: &'static str = "expiry";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Expiry> {
        let mut settings = Expiry::default();
        let mut keys = value.keys(diagnostics);
        let to = reader.at("to", &mut keys);
        settings.read_rows(&mut keys);
        if settings.min.is_some() && settings.max.is_some() && settings.min > settings.max {
            keys.diagnostic(Problem::new("`min` is longer than `max`").hint("exchange them"));
        }
        keys.finish();
        Some(Expiry { to: to?, ..settings })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::One(&self.to))]
    }

    fn schema() -> Value {
        schema::mapping::<Expiry>(&["to"], &["to"])
    }
}
