//! The settings of `hot_cache`.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use super::super::error::Diagnostics;
use super::super::kind::{duration_within, flag, size};
use super::super::map_reader::YamlNode;
use super::super::rows::section;
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under, hot, schema};

/// The shortest and the longest time that a value is kept.
const EXPIRY: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(10)];

section! {
    /// Values of hot keys are kept in the process for a moment.
    #[derive(Debug, Clone, PartialEq)]
    pub struct HotCache {
        (
            /// The route that has the values.
            to: Route,
        )
        /// The most memory for values that are kept, of all workers together.
        size: usize = 32 << 20, size(1 << 16..=1 << 40);
        /// The longest that a value is kept.
        expiry: Duration = Duration::from_secs(1), duration_within(EXPIRY[0]..=EXPIRY[1]);
        /// Beginnings of the keys that may be kept; without any, all keys may.
        prefixes: Vec<String> = Vec::new(), hot::prefixes();
        /// Reads a second, in all workers together, from which a key is hot; 0: every key is.
        min_rate: u32 = hot::MIN_RATE, hot::min_rate();
        /// Whether misses are kept too.
        misses: bool = false, flag();
    }
}

impl Settings for HotCache {
    const NAME: &'static str = "hot_cache";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<HotCache> {
        let (to, settings) = hot::read(reader, value, diagnostics, Reader::at)?;
        Some(HotCache { to, ..settings })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::One(&self.to))]
    }

    fn schema() -> Value {
        schema::mapping::<HotCache>(&["to"], &["to"])
    }
}
