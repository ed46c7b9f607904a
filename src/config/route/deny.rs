//! The settings of `read_only` and `deny`.

use std::borrow::Cow;

use serde_json::Value;

use super::super::error::Diagnostics;
use super::super::kind::{Words, list, word};
use super::super::map_reader::YamlNode;
use super::super::rows::{Section, section};
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under, schema};
use crate::protocol::operation::Operation;

/// Refuses whatever changes an item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadOnly {
    /// The route under it.
    pub to: Route,
}

section! {
    /// Refuses some operations.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Deny {
        (
            /// The route under it.
            to: Route,
        )
        /// What is refused.
        commands: Vec<Operation> = Vec::new(), list(word());
    }
}

impl Words for Operation {
    const WORDS: &'static [(&'static str, Operation)] = Operation::WORDS;
}

impl Section for ReadOnly {}

impl Settings for ReadOnly {
    const NAME: &'static str = "read_only";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<ReadOnly> {
        let to = reader.only(value, diagnostics)?;
        Some(ReadOnly { to })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::One(&self.to))]
    }

    fn schema() -> Value {
        schema::only()
    }
}

impl Settings for Deny {
    const NAME: &'static str = "deny";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Deny> {
        let mut settings = Deny::default();
        let mut keys = value.keys(diagnostics);
        let to = reader.at("to", &mut keys);
        settings.read_rows(&mut keys);
        keys.need("commands", ", such as [flush_all]");
        keys.finish();
        Some(Deny { to: to?, ..settings })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::One(&self.to))]
    }

    fn schema() -> Value {
        schema::mapping::<Deny>(&["to"], &["to", "commands"])
    }
}
