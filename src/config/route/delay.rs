//! The settings of `delay`.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use super::super::error::Diagnostics;
use super::super::kind::{percent, timeout};
use super::super::map_reader::YamlNode;
use super::super::rows::{Section, section};
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under, schema};

section! {
    /// Forwards requests later.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Delay {
        (
            /// The route under it.
            to: Route,
        )
        /// How much later.
        by: Duration = Duration::ZERO, timeout();
        /// The share of the requests that waits, at random.
        share: u32 = 100, percent();
    }
}

impl Settings for Delay {
    const NAME: &'static str = "delay";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Delay> {
        let mut settings = Delay::default();
        let mut keys = value.keys(diagnostics);
        let to = reader.at("to", &mut keys);
        settings.read_rows(&mut keys);
        keys.need("by", ", such as 10ms");
        keys.finish();
        Some(Delay { to: to?, ..settings })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::One(&self.to))]
    }

    fn schema() -> Value {
        schema::mapping::<Delay>(&["to"], &["to", "by"])
    }
}
