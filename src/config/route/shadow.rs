//! The settings of `shadow`.

use std::borrow::Cow;

use serde_json::Value;

use super::super::error::Diagnostics;
use super::super::kind::{flag, percent, word, words};
use super::super::map_reader::YamlNode;
use super::super::rows::{Section, section};
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under, schema};

section! {
    /// Copies requests to another route, whose replies are dropped.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Shadow {
        (
            /// The route that answers.
            of: Route,
            /// The route that gets copies.
            to: Route,
        )
        /// The share of the requests that is copied.
        share: u32 = 100, percent();
        /// What decides which requests those are.
        by: By = By::Key, word();
        /// Which commands are copied at all.
        commands: Copied = Copied::All, word();
        /// Whether the replies to reads are compared.
        compare: bool = false, flag();
    }
}

words! {
    /// What decides whether a request is copied.
    pub enum By {
        /// The key: either all requests for it are copied, or none.
        Key = "key",
        /// Chance.
        Request = "request",
    }
}

words! {
    /// Which requests are copied.
    pub enum Copied {
        /// Reads.
        Reads = "reads",
        /// All commands that have a key.
        All = "all",
    }
}

impl Settings for Shadow {
    const NAME: &'static str = "shadow";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Shadow> {
        let mut settings = Shadow::default();
        let mut keys = value.keys(diagnostics);
        let [of, to] = ["of", "to"].map(|key| reader.at(key, &mut keys));
        settings.read_rows(&mut keys);
        keys.finish();
        Some(Shadow {
            of: of?,
            to: to?,
            ..settings
        })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![
            ("of".into(), Under::One(&self.of)),
            ("to".into(), Under::One(&self.to)),
        ]
    }

    fn schema() -> Value {
        schema::mapping::<Shadow>(&["of", "to"], &["of", "to"])
    }
}
