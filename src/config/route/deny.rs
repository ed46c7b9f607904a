//! The settings of `read_only` and `deny`.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::super::choices::{choose, word};
use super::super::error::{Diagnostics, Problem};
use super::super::map_reader::YamlNode;
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under};
use crate::protocol::operation::Operation;

/// Refuses whatever changes an item.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadOnly {
    /// The route under it.
    pub to: Route,
}

/// Refuses some operations.
#[derive(Debug, Clone, PartialEq)]
pub struct Deny {
    /// The route under it.
    pub to: Route,
    /// What is refused.
    pub commands: Vec<Operation>,
}

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
}

impl Settings for Deny {
    const NAME: &'static str = "deny";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Deny> {
        let (to, commands) = reader.to(value, diagnostics, |keys| {
            keys.require(
                "commands",
                Problem::new("nothing is refused").hint("add `commands:`, such as [flush_all]"),
            );
            keys.get("commands", |value, diagnostics| {
                let items = value.items(diagnostics)?;
                let read = choose(Operation::WORDS);
                let commands: Vec<_> = items.iter().map(|item| item.read(diagnostics, &read)).collect();
                commands.into_iter().collect::<Option<Vec<_>>>()
            })
        })?;
        Some(Deny {
            to,
            commands: commands?,
        })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::One(&self.to))]
    }

    fn options(&self) -> Value {
        let words = self.commands.iter();
        let words: Vec<_> = words.map(|operation| word(Operation::WORDS, operation)).collect();
        json!({ "commands": words })
    }
}
