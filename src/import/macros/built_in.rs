//! The macros that mcrouter has itself: those that make lists of servers and numbers out of others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::super::macros::{Context, Expander, Worked, get, like, scalar, text, weight};
use crate::config::tree::{SpannedValue, Value};

/// The names of the parameters of the macro `name`; `None` if mcrouter has none of that name, or it cannot be
/// worked out here.
pub fn parameters(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "int" | "str" | "bool" | "isArray" | "isBool" | "isInt" | "isObject" | "isString" => &["value"],
        "keys" | "values" | "empty" | "size" | "sort" => &["dictionary"],
        "merge" => &["params"],
        "select" => &["dictionary", "key", "default"],
        "slice" => &["dictionary", "from", "to"],
        "split" => &["dictionary", "delim"],
        "range" => &["from", "to"],
        "contains" => &["dictionary", "key"],
        "set" => &["dictionary", "key", "value"],
        "equals" | "less" | "and" | "or" | "add" | "sub" | "mul" | "div" | "mod" => &["A", "B"],
        "not" => &["A"],
        "if" => &["condition", "is_true", "is_false"],
        "shuffle" | "hash" | "fail" => &["value"],
        _ => return None,
    })
}

impl Expander<'_> {
    /// Works out an object whose type is a call that mcrouter has itself; `None` if it is no such type.
    pub(super) fn built_in_call(
        &mut self,
        kind: &str,
        tree: &SpannedValue,
        context: &Context,
    ) -> Option<Worked> {
        match kind {
            "define" => Some(self.define_call(tree, context)),
            "transform" | "foreach" | "process" => Some(Err(format!(
                "the macro {kind} cannot be worked out here: write down what it makes"
            ))),
            _ => None,
        }
    }

    fn define_call(&mut self, tree: &SpannedValue, context: &Context) -> Worked {
        let vars = get(tree, "vars").ok_or("define needs vars")?;
        let result = get(tree, "result").ok_or("define needs a result")?;
        let Value::Map(entries) = self.value(vars, context).value else {
            return Err("vars is no object".to_owned());
        };
        let held: usize = context.values().map(|value| weight(value, self.left)).sum();
        self.spend(held);
        if self.left == 0 {
            return Err("the macros make too much".to_owned());
        }
        let mut inner = context.clone();
        inner.extend(
            entries
                .into_iter()
                .map(|(name, value)| (text(&name).unwrap_or_default().to_owned(), value)),
        );
        Ok(self.value(result, &inner))
    }

    /// Works out one of [`parameters`] with what it was given.
    pub(super) fn built_in(
        &mut self,
        name: &str,
        given: &[SpannedValue],
        tree: &SpannedValue,
        context: &Context,
    ) -> Worked {
        let names = parameters(name).unwrap_or_default();
        let least = names.len() - usize::from(name == "select");
        if given.len() < least || given.len() > names.len() {
            return Err(format!("the macro {name} takes {}", names.join(", ")));
        }
        if name == "if" {
            let condition = self.value(&given[0], context);
            let chosen = if is_true(&condition)? {
                &given[1]
            } else {
                &given[2]
            };
            return Ok(self.value(chosen, context));
        }
        let given: Vec<SpannedValue> = given.iter().map(|value| self.value(value, context)).collect();
        // What comes out is made of what goes in, but for a range, which is short.
        let taken: usize = given.iter().map(|value| weight(value, self.left)).sum();
        self.spend(taken);
        if self.left == 0 {
            return Err("the macros make too much".to_owned());
        }
        let value = work_out(name, &given).map_err(|why| format!("the macro {name}: {why}"))?;
        Ok(like(tree, value))
    }
}

fn work_out(name: &str, given: &[SpannedValue]) -> Result<Value, String> {
    let first = &given[0];
    Ok(match name {
        "int" => whole(integer(first)?),
        "str" => scalar(text(first).ok_or("no scalar")?, false),
        "bool" => truth(is_true(first)?),
        "isArray" => truth(matches!(first.value, Value::List(_))),
        "isObject" => truth(matches!(first.value, Value::Map(_))),
        "isString" => truth(matches!(first.value, Value::Scalar { plain: false, .. })),
        "isInt" => truth(is_plain(first) && integer(first).is_ok()),
        "isBool" => truth(is_plain(first) && is_true(first).is_ok() && integer(first).is_err()),
        "keys" => Value::List(entries(first)?.iter().map(|(key, _)| key.clone()).collect()),
        "values" => Value::List(entries(first)?.iter().map(|(_, value)| value.clone()).collect()),
        "size" => whole(length(first) as i64),
        "empty" => truth(length(first) == 0),
        "merge" => merge(items(first)?)?,
        "select" => {
            let found = find(first, &given[1]);
            found
                .or(given.get(2))
                .ok_or("there is no such key, and no default")?
                .value
                .clone()
        }
        "contains" => truth(match &first.value {
            Value::List(items) => items.iter().any(|item| is_same(item, &given[1])),
            _ => find(first, &given[1]).is_some(),
        }),
        "slice" => {
            let all = items(first)?;
            let bound = |tree: &SpannedValue| {
                Ok::<usize, String>(usize::try_from(integer(tree)?.max(0)).unwrap_or(usize::MAX))
            };
            let (from, to) = (bound(&given[1])?, bound(&given[2])?);
            let to = to.saturating_add(1).min(all.len());
            Value::List(all.get(from..to).unwrap_or_default().to_vec())
        }
        "split" => {
            let (whole, part) = (
                text(first).ok_or("no string")?,
                text(&given[1]).ok_or("no string")?,
            );
            let parts = whole.split(part).map(|part| like(first, scalar(part, false)));
            Value::List(parts.collect())
        }
        "range" => {
            let (from, to) = (integer(first)?, integer(&given[1])?);
            if to.saturating_sub(from) > 10_000 {
                return Err("the range is too long".to_owned());
            }
            Value::List((from..=to).map(|number| like(first, whole(number))).collect())
        }
        "set" => set(first, &given[1], &given[2])?,
        "sort" => {
            let mut all = items(first)?.to_vec();
            all.sort_by(|one, other| text(one).cmp(&text(other)));
            Value::List(all)
        }
        "equals" => truth(is_same(first, &given[1])),
        "less" => truth(match (integer(first), integer(&given[1])) {
            (Ok(one), Ok(other)) if is_plain(first) => one < other,
            _ => text(first) < text(&given[1]),
        }),
        "not" => truth(!is_true(first)?),
        "and" => truth(is_true(first)? && is_true(&given[1])?),
        "or" => truth(is_true(first)? || is_true(&given[1])?),
        "add" => whole(checked(first, &given[1], i64::checked_add)?),
        "sub" => whole(checked(first, &given[1], i64::checked_sub)?),
        "mul" => whole(checked(first, &given[1], i64::checked_mul)?),
        "div" => whole(checked(first, &given[1], i64::checked_div)?),
        "mod" => whole(checked(first, &given[1], i64::checked_rem)?),
        _ => return Err("it cannot be worked out here".to_owned()),
    })
}

/// Lists are put one behind the other, texts too; of objects the later ones win.
fn merge(parts: &[SpannedValue]) -> Result<Value, String> {
    let first = parts.first().ok_or("there is nothing to merge")?;
    match &first.value {
        Value::List(_) => {
            let lists = parts.iter().map(items).collect::<Result<Vec<_>, _>>()?;
            Ok(Value::List(lists.concat()))
        }
        Value::Map(_) => {
            let mut merged: Vec<(SpannedValue, SpannedValue)> = Vec::new();
            let mut places: HashMap<&str, usize> = HashMap::new();
            for part in parts {
                for (key, value) in entries(part)? {
                    match places.entry(text(key).unwrap_or_default()) {
                        Entry::Occupied(location) => merged[*location.get()].1 = value.clone(),
                        Entry::Vacant(location) => {
                            location.insert(merged.len());
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

fn set(tree: &SpannedValue, key: &SpannedValue, value: &SpannedValue) -> Result<Value, String> {
    let mut changed = tree.value.clone();
    match &mut changed {
        Value::Map(entries) => match entries.iter_mut().find(|(known, _)| text(known) == text(key)) {
            Some((_, old)) => *old = value.clone(),
            None => entries.push((key.clone(), value.clone())),
        },
        Value::List(items) => {
            let at = usize::try_from(integer(key)?).map_err(|_| "no such place")?;
            *items.get_mut(at).ok_or("no such place")? = value.clone();
        }
        Value::Scalar { .. } => return Err("neither a list nor an object".to_owned()),
    }
    Ok(changed)
}

fn find<'a>(tree: &'a SpannedValue, key: &SpannedValue) -> Option<&'a SpannedValue> {
    match &tree.value {
        Value::List(items) => items.get(usize::try_from(integer(key).ok()?).ok()?),
        _ => get(tree, text(key)?),
    }
}

fn is_same(one: &SpannedValue, other: &SpannedValue) -> bool {
    match (&one.value, &other.value) {
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Map(one), Value::Map(entries)) => {
            let has = |(key, value): &(SpannedValue, SpannedValue)| {
                get(other, text(key).unwrap_or_default()).is_some_and(|found| is_same(found, value))
            };
            one.len() == entries.len() && one.iter().all(has)
        }
        (
            Value::Scalar { text: one, plain: a },
            Value::Scalar {
                text: other,
                plain: b,
            },
        ) => one == other && a == b,
        _ => false,
    }
}

fn checked(
    one: &SpannedValue,
    other: &SpannedValue,
    work: impl Fn(i64, i64) -> Option<i64>,
) -> Result<i64, String> {
    work(integer(one)?, integer(other)?).ok_or_else(|| "no number comes out".to_owned())
}

fn integer(tree: &SpannedValue) -> Result<i64, String> {
    match text(tree) {
        Some("true") if is_plain(tree) => Ok(1),
        Some("false") if is_plain(tree) => Ok(0),
        found => found
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| "no whole number".to_owned()),
    }
}

fn is_true(tree: &SpannedValue) -> Result<bool, String> {
    match text(tree) {
        Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        _ => Err("neither true nor false".to_owned()),
    }
}

fn is_plain(tree: &SpannedValue) -> bool {
    matches!(tree.value, Value::Scalar { plain: true, .. })
}

fn length(tree: &SpannedValue) -> usize {
    match &tree.value {
        Value::List(items) => items.len(),
        Value::Map(entries) => entries.len(),
        Value::Scalar { text, .. } => text.len(),
    }
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

fn truth(is: bool) -> Value {
    scalar(if is { "true" } else { "false" }, true)
}
