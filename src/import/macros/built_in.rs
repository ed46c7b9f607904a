//! mcrouter's built-in macros, as far as public configurations use them: those that make lists of servers
//! from others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::super::macros::{Context, Expander, Worked, get, like, scalar, text, weight};
use crate::config::tree::{SpannedValue, Value};

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
pub fn refusal(name: &str) -> Option<String> {
    NOT_EXPANDED
        .contains(&name)
        .then(|| format!("the macro {name} is not expanded here: write down what it makes"))
}

impl Expander<'_> {
    /// Expands one of the macros of [`parameters`] with the arguments `given`.
    pub(super) fn built_in(
        &mut self,
        name: &str,
        given: &[SpannedValue],
        tree: &SpannedValue,
        context: &Context,
    ) -> Worked {
        let names = parameters(name).unwrap_or_default();
        let min = names.len() - usize::from(name == "select");
        if given.len() < min || given.len() > names.len() {
            return Err(format!("the macro {name} takes {}", names.join(", ")));
        }
        let given: Vec<SpannedValue> = given.iter().map(|value| self.value(value, context)).collect();
        // The output consists of the inputs, except for a range, which is short.
        let size: usize = given.iter().map(|value| weight(value, self.left)).sum();
        self.spend(size);
        if self.left == 0 {
            return Err("the macros make too much".to_owned());
        }
        let value = expand(name, &given).map_err(|why| format!("the macro {name}: {why}"))?;
        Ok(like(tree, value))
    }
}

fn expand(name: &str, given: &[SpannedValue]) -> Result<Value, String> {
    let first = &given[0];
    match name {
        "int" => Ok(whole(integer(first)?)),
        "merge" => merge(items(first)?),
        "select" => {
            let found = find(first, &given[1]).or(given.get(2));
            Ok(found.ok_or("there is no such key, and no default")?.value.clone())
        }
        "slice" => {
            let all = items(first)?;
            let bound = |tree: &SpannedValue| {
                Ok::<usize, String>(usize::try_from(integer(tree)?.max(0)).unwrap_or(usize::MAX))
            };
            let (from, to) = (bound(&given[1])?, bound(&given[2])?);
            let to = to.saturating_add(1).min(all.len());
            Ok(Value::List(all.get(from..to).unwrap_or_default().to_vec()))
        }
        _ => range(first, integer(first)?, integer(&given[1])?),
    }
}

fn range(tree: &SpannedValue, from: i64, to: i64) -> Result<Value, String> {
    if to.saturating_sub(from) > 10_000 {
        return Err("the range is too long".to_owned());
    }
    Ok(Value::List(
        (from..=to).map(|number| like(tree, whole(number))).collect(),
    ))
}

/// Concatenates lists, and texts too; merges objects, of which the later ones win.
fn merge(parts: &[SpannedValue]) -> Result<Value, String> {
    let first = parts.first().ok_or("there is nothing to merge")?;
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
            let texts = parts
                .iter()
                .map(|part| text(part).ok_or("not all are of one kind"));
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

fn integer(tree: &SpannedValue) -> Result<i64, String> {
    text(tree)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| "not a whole number".to_owned())
}

fn items(tree: &SpannedValue) -> Result<&[SpannedValue], String> {
    match &tree.value {
        Value::List(items) => Ok(items),
        _ => Err("no list".to_owned()),
    }
}

fn entries(tree: &SpannedValue) -> Result<&[(SpannedValue, SpannedValue)], String> {
    match &tree.value {
        Value::Map(entries) => Ok(entries),
        _ => Err("no object".to_owned()),
    }
}

fn whole(number: i64) -> Value {
    scalar(&number.to_string(), true)
}
