//! Shared by the policies that choose one of several routes: branches behind the name, and `else` beside
//! it.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::super::error::{Diagnostics, Problem, Spanned};
use super::super::map_reader::YamlNode;
use super::reader::Reader;
use super::{Route, Settings, Under};

/// The routes of a chooser, before their selectors are parsed.
pub type Branches = Vec<(Spanned<String>, Route)>;

/// Reads the branches behind the name of a chooser: at least one.
pub fn branches(
    reader: &mut Reader,
    value: &YamlNode<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Branches> {
    let entries = value.entries(diagnostics, |_| Ok(()))?;
    if entries.is_empty() {
        let problem = Problem::new("there is nothing to choose from");
        diagnostics.add(
            &value.location(),
            problem.hint("add at least one, with its route"),
        );
        return None;
    }
    let routes = entries
        .into_iter()
        .map(|(key, value)| Some((key, reader.route(&value, diagnostics)?)));
    // All branches are read before the first bad one ends this, so that every error is reported.
    let routes: Vec<_> = routes.collect();
    routes.into_iter().collect()
}

/// Parses the selector of each branch.
pub fn parse_each<T>(
    mut branches: Branches,
    diagnostics: &mut Diagnostics,
    parse: impl Fn(&str) -> Result<T, Problem>,
) -> Option<Vec<(T, Route)>> {
    let mut parsed = Vec::new();
    let mut is_good = true;
    // Their order has no meaning; sorted, equal choices are always rendered in the same way.
    branches.sort_by(|(one, _), (other, _)| one.value.cmp(&other.value));
    for (written, route) in branches {
        match parse(&written.value) {
            Ok(value) => parsed.push((value, route)),
            Err(problem) => {
                diagnostics.add(&written.location, problem);
                is_good = false;
            }
        }
    }
    is_good.then_some(parsed)
}

/// The routes under a chooser, by the words that choose them, and `else` last.
pub fn routes<'a, T>(
    routes: &'a [(T, Route)],
    word: impl Fn(&'a T) -> Cow<'a, str>,
    otherwise: &'a Route,
) -> Vec<(Cow<'a, str>, Under<'a>)> {
    let branches = routes.iter().map(|(key, route)| (word(key), Under::One(route)));
    branches.chain([("else".into(), Under::One(otherwise))]).collect()
}

/// Renders a chooser: its branches behind its name, and `else` beside it.
pub fn to_json<S: Settings>(settings: &S) -> Value {
    let mut routes = settings.routes();
    let otherwise = routes.pop().map(|(_, otherwise)| otherwise.to_json());
    let branches: Map<String, Value> = routes
        .into_iter()
        .map(|(word, route)| (word.into_owned(), route.to_json()))
        .collect();
    json!({ S::NAME: branches, "else": otherwise })
}
