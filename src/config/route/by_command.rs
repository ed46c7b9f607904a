//! The settings of `by_command`.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::super::error::{Diagnostics, Problem, quote};
use super::super::map_reader::YamlNode;
use super::super::rows::Section;
use super::super::suggest;
use super::choosers::{self, branches, parse_each};
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under, schema};
use crate::protocol::operation::{Group, Operation};

/// The command chooses the route; a single operation wins over its group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ByCommand {
    /// Operations and groups with their routes.
    pub routes: Vec<(Which, Route)>,
    /// The route of all other requests.
    pub otherwise: Route,
}

/// What a branch is chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// One operation.
    One(Operation),
    /// A group of operations.
    All(Group),
}

impl Section for ByCommand {}

impl Settings for ByCommand {
    const NAME: &'static str = "by_command";
    const BESIDE: &'static [&'static str] = &["else"];

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<ByCommand> {
        let routes = branches(reader, value, diagnostics)?;
        Some(ByCommand {
            routes: parse_each(routes, diagnostics, which)?,
            otherwise: beside.otherwise.clone()?,
        })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        choosers::routes(&self.routes, |which| which.word().into(), &self.otherwise)
    }

    fn schema() -> Value {
        let groups = Group::WORDS.iter().map(|(word, _)| *word);
        let words = groups.chain(Operation::WORDS.iter().map(|(word, _)| *word));
        let words: Vec<&str> = words.filter(|word| *word != "flush_all").collect();
        schema::branches(json!({ "enum": words }))
    }

    fn to_json(&self) -> Value {
        choosers::to_json(self)
    }
}

impl Which {
    /// The word for it.
    pub fn word(self) -> &'static str {
        let one = Operation::WORDS
            .iter()
            .find(|(_, other)| Which::One(*other) == self);
        let all = Group::WORDS.iter().find(|(_, other)| Which::All(*other) == self);
        one.map(|(word, _)| *word)
            .or(all.map(|(word, _)| *word))
            .expect("each has its word")
    }
}

fn which(text: &str) -> Result<Which, Problem> {
    let one = Operation::WORDS.iter().find(|(word, _)| *word == text);
    let all = Group::WORDS.iter().find(|(word, _)| *word == text);
    match (one, all) {
        (Some((_, Operation::FlushAll)), _) => Err(Problem::new(
            "flush_all has no key, and goes to every pool of the route",
        )
        .hint("refuse it with `deny`, or with the pool's `flush_all: deny`")),
        (Some((_, operation)), _) => Ok(Which::One(*operation)),
        (None, Some((_, group))) => Ok(Which::All(*group)),
        (None, None) => {
            let groups = Group::WORDS.iter().map(|(word, _)| *word);
            let words = groups.chain(Operation::WORDS.iter().map(|(word, _)| *word));
            let words = words.filter(|word| *word != "flush_all");
            Err(
                Problem::new(format!("{} is not a command", quote(text))).hint(suggest::hint(
                    text,
                    "choose one of",
                    words,
                )),
            )
        }
    }
}
