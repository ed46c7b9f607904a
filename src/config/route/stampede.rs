//! The settings of `stampede`.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use super::super::error::Diagnostics;
use super::super::kind::duration_within;
use super::super::map_reader::YamlNode;
use super::super::rows::section;
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under, hot, schema};

/// The longest that a reader may wait.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The longest time before or after an expiry.
const MAX_AROUND: Duration = Duration::from_secs(3600);

section! {
    /// Of all readers of a missing key in the fleet one computes its value; the others wait for it.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Stampede {
        (
            /// The route that has the values.
            to: Route,
        )
        /// How long a reader waits for the value that another one computes.
        wait: Duration = Duration::from_millis(200), duration_within(Duration::from_millis(1)..=MAX_WAIT);
        /// How long before an expiry one reader is told to compute the value anew; 0s: not before.
        early: Duration = Duration::from_secs(3), duration_within(Duration::ZERO..=MAX_AROUND);
        /// How long after a delete or an expiry the old value may be read, while one reader computes the new one.
        stale: Duration = Duration::ZERO, duration_within(Duration::ZERO..=MAX_AROUND);
        /// Beginnings of the keys that it is for; without any, all keys.
        prefixes: Vec<String> = Vec::new(), hot::prefixes();
    }
}

impl Settings for Stampede {
    const NAME: &'static str = "stampede";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Stampede> {
        let (to, settings) = hot::read(reader, value, diagnostics, Reader::meta_at)?;
        Some(Stampede { to, ..settings })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::One(&self.to))]
    }

    fn schema() -> Value {
        schema::mapping::<Stampede>(&["to"], &["to"])
    }
}
