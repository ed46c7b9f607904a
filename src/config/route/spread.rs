//! The settings of `spread`.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use super::super::error::Diagnostics;
use super::super::kind::{duration_within, number};
use super::super::map_reader::YamlNode;
use super::super::rows::section;
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under, hot, schema};

/// The shortest and the longest life of a copy.
const EXPIRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3600)];

section! {
    /// Copies of hot keys on several nodes.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Spread {
        (
            /// The route that has the values and the copies.
            to: Route,
        )
        /// How often a hot key is there, under its own name and under others.
        copies: u8 = 3, number(2..=16);
        /// The longest that a copy lives.
        expiry: Duration = Duration::from_secs(10), duration_within(EXPIRY[0]..=EXPIRY[1]);
        /// Beginnings of the keys that may be copied; without any, all keys may.
        prefixes: Vec<String> = Vec::new(), hot::prefixes();
        /// Reads a second, in all workers together, from which a key is hot; 0: every key is.
        min_rate: u32 = hot::MIN_RATE, hot::min_rate();
    }
}

impl Settings for Spread {
    const NAME: &'static str = "spread";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Spread> {
        let (to, settings) = hot::read(reader, value, diagnostics, Reader::meta_at)?;
        Some(Spread { to, ..settings })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::One(&self.to))]
    }

    fn schema() -> Value {
        schema::mapping::<Spread>(&["to"], &["to"])
    }
}
