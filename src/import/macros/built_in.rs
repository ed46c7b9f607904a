//! mcrouter's built-in macros, as far as public configurations use them: those that make lists of servers
//! from others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Expander, MacroError, ParameterValues, Worked, get, like, scalar, text, weight};
use crate::config::tree::{SpannedValue, Value};

/// What is wrong with an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// `select` finds nothing.
    #[error("there is no such key, and no default")]
    NoKey,
    /// `range` would make too many numbers.
    #[error("the range is too long")]
    LongRange,
    /// `merge` has an empty list.
    #[error("there is nothing to merge")]
    NothingToMerge,
    /// `merge` has texts and others.
    #[error("not all are of one kind")]
    Mixed,
    /// It must be a whole number.
    #[error("not a whole number")]
    NotWhole,
    /// It must be a list.
    #[error("no list")]
    NoList,
    /// It must be an object.
    #[error("no object")]
    NoObject,
}

/// mcrouter's other macros, with which a file could compute anything.
const NOT_EXPANDED: [&str; 33] = [
    "add",
    "and",
    "bool",
    "contains",
    "define",
    "div",
    "empty",
    "equals",
    "fail",
    "foreach",
    "hash",
    "if",
    "isArray",
    "isBool",
    "isInt",
    "isObject",
    "isString",
    "keys",
    "less",
    "mod",
    "mul",
    "not",
    "or",
    "process",
    "set",
    "shuffle",
    "size",
    "sort",
    "split",
    "str",
    "sub",
    "transform",
    "values",
];

/// Returns the names of the parameters of the built-in macro `name`; `None` if it is not expanded.
pub fn parameters(name: &str) -> Option<&'static [&'static str]> {
    match name {
        "int" => Some(&["value"]),
        "merge" => Some(&["params"]),
        "select" => Some(&["dictionary", "key", "default"]),
        "slice" => Some(&["dictionary", "from", "to"]),
        "range" => Some(&["from", "to"]),
        _ => None,
    }
}

/// Returns why `name` cannot be expanded, if it is one of mcrouter's macros.
pub fn refusal(name: &str) -> Option<MacroError> {
    NOT_EXPANDED
        .contains(&name)
        .then(|| MacroError::NotExpanded(name.to_owned()))
}

impl Expander<'_> {
    /// Expands one of the macros of [`parameters`] with the arguments `given`.
    pub(super) fn built_in(
        &mut self,
        name: &str,
        given: &[SpannedValue],
        tree: &SpannedValue,
        context: &ParameterValues,
    ) -> Worked {
        let names = parameters(name).unwrap_or_default();
        let min = names.len() - usize::from(name == "select");
        if given.len() < min || given.len() > names.len() {
            return Err(MacroError::Takes(name.to_owned(), names.join(", ")));
        }
        let given: Vec<SpannedValue> = given.iter().map(|value| self.value(value, context)).collect();
        // The output consists of the inputs, except for a range, which is short.
        let size: usize = given.iter().map(|value| weight(value, self.left)).sum();
        self.spend(size);
        if self.left == 0 {
            return Err(MacroError::TooMuch);
        }
        let value = expand(name, &given).map_err(|source| MacroError::Argument {
            name: name.to_owned(),
            source,
        })?;
        Ok(like(tree, value))
    }
}

fn expand(name: &str, given: &[SpannedValue]) -> Result<Value, ArgumentError> {
    let first = &given[0];
    match name {
        "int" => Ok(whole(integer(first)?)),
        "merge" => merge(items(first)?),
        "select" => {
            let found = find(first, &given[1]).or(given.get(2));
            Ok(found.ok_or(ArgumentError::NoKey)?.value.clone())
        }
        "slice" => {
            let all = items(first)?;
            let bound = |tree: &SpannedValue| {
                Ok::<usize, ArgumentError>(usize::try_from(integer(tree)?.max(0)).unwrap_or(usize::MAX))
            };
            let (from, to) = (bound(&given[1])?, bound(&given[2])?);
            let to = to.saturating_add(1).min(all.len());
            Ok(Value::List(all.get(from..to).unwrap_or_default().to_vec()))
        }
        _ => range(first, integer(first)?, integer(&given[1])?),
    }
}

fn range(tree: &SpannedValue, from: i64, to: i64) -> Result<Value, ArgumentError> {
    if to.saturating_sub(from) > 10_000 {
        return Err(ArgumentError::LongRange);
    }
    Ok(Value::List(
        (from..=to).map(|number| like(tree, whole(number))).collect(),
    ))
}

/// Concatenates lists, and texts too; merges objects, of which the later ones win.
fn merge(parts: &[SpannedValue]) -> Result<Value, ArgumentError> {
    let first = parts.first().ok_or(ArgumentError::NothingToMerge)?;
    match &first.value {
        Value::List(_) => {
            let lists = parts.iter().map(items).collect::<Result<Vec<_>, _>>()?;
            Ok(Value::List(lists.concat()))
        }
        Value::Map(_) => {
            let mut merged: Vec<(SpannedValue, SpannedValue)> = Vec::new();
            let mut positions: HashMap<&str, usize> = HashMap::new();
            for part in parts {
                for (key, value) in entries(part)? {
                    match positions.entry(text(key).unwrap_or_default()) {
                        Entry::Occupied(position) => merged[*position.get()].1 = value.clone(),
                        Entry::Vacant(position) => {
                            position.insert(merged.len());
                            merged.push((key.clone(), value.clone()));
                        }
                    }
                }
            }
            Ok(Value::Map(merged))
        }
        Value::Scalar { .. } => {
            let texts = parts.iter().map(|part| text(part).ok_or(ArgumentError::Mixed));
            Ok(scalar(&texts.collect::<Result<String, _>>()?, false))
        }
    }
}

fn find<'a>(tree: &'a SpannedValue, key: &SpannedValue) -> Option<&'a SpannedValue> {
    match &tree.value {
        Value::List(items) => items.get(usize::try_from(integer(key).ok()?).ok()?),
        _ => get(tree, text(key)?),
    }
}

fn integer(tree: &SpannedValue) -> Result<i64, ArgumentError> {
    text(tree)
        .and_then(|text| text.parse().ok())
        .ok_or(ArgumentError::NotWhole)
}

fn items(tree: &SpannedValue) -> Result<&[SpannedValue], ArgumentError> {
    match &tree.value {
        Value::List(items) => Ok(items),
        _ => Err(ArgumentError::NoList),
    }
}

fn entries(tree: &SpannedValue) -> Result<&[(SpannedValue, SpannedValue)], ArgumentError> {
    match &tree.value {
        Value::Map(entries) => Ok(entries),
        _ => Err(ArgumentError::NoObject),
    }
}

fn whole(number: i64) -> Value {
    scalar(&number.to_string(), true)
}
