//! Differences between two configurations other than keys: settings by path, nodes by name, listeners by
//! bind address.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::{self, Config};

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingChange {
    /// Its path, such as `pools.main.nodes.cache-b.weight`.
    pub path: String,
    /// The old value; `None` if it is added.
    pub old: Option<Value>,
    /// The new value; `None` if it is removed.
    pub new: Option<Value>,
}

impl fmt::Display for SettingChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, path) = (self.sign(), &self.path);
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "{sign} {path}: {} → {}", Shown(old), Shown(new)),
            (Some(only), None) | (None, Some(only)) => write!(f, "{sign} {path}: {}", Shown(only)),
            (None, None) => write!(f, "{sign} {path}"),
        }
    }
}

impl SettingChange {
    fn sign(&self) -> char {
        match (&self.old, &self.new) {
            (None, _) => '+',
            (_, None) => '-',
            _ => '~',
        }
    }
}

/// A value as displayed in a line: text without quotes.
pub struct Shown<'a>(pub &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::String(text) if text.is_empty() => f.write_str("\"\""),
            Value::String(text) => f.write_str(text),
            other => write!(f, "{other}"),
        }
    }
}

/// Returns every setting that differs, in the order of paths.
pub fn changes(old: &Config, new: &Config) -> Vec<SettingChange> {
    let mut changes = Vec::new();
    compare("", &config::show(old), &config::show(new), &mut changes);
    changes
}

fn compare(path: &str, old: &Value, new: &Value, changes: &mut Vec<SettingChange>) {
    if old == new {
        return;
    }
    let (Some(before), Some(after)) = (entries(path, old), entries(path, new)) else {
        changes.push(SettingChange {
            path: path.to_owned(),
            old: Some(old.clone()),
            new: Some(new.clone()),
        });
        return;
    };
    if before == after {
        changes.push(SettingChange {
            path: path.to_owned(),
            old: Some(Value::from("one order")),
            new: Some(Value::from("another order")),
        });
    }
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        match (before.get(name), after.get(name)) {
            (Some(old), Some(new)) => compare(&path, old, new, changes),
            (old, new) => changes.push(SettingChange {
                path,
                old: old.cloned(),
                new: new.cloned(),
            }),
        }
    }
}

/// Returns the parts of a value that are compared separately: the entries of a mapping, nodes by name,
/// listeners by bind address. `None` if the value is compared as a whole.
fn entries(path: &str, value: &Value) -> Option<Map<String, Value>> {
    let under = |key: fn(&Value) -> Option<&str>| {
        let items = value.as_array()?;
        items
            .iter()
            .map(|item| Some((key(item)?.to_owned(), item.clone())))
            .collect()
    };
    match value {
        Value::Object(entries) => Some(entries.clone()),
        _ if path == "listeners" => under(|listener| listener["bind"].as_str()),
        _ if path.starts_with("pools.") && path.ends_with(".nodes") => {
            under(|node| node["name"].as_str().or(node["address"].as_str()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_a_line_with_its_path() {
        let parse = |text: &str| config::parse(text, "f").expect("good");
        let old = parse(
            "{pools: {main: {nodes: [a:1, b:1, {address: c:1, name: c}], hash_tag: '{}'}, gone: {nodes: [z:1]}}, \
             listeners: [{bind: 127.0.0.1:1, route: main}]}",
        );
        let new = parse(
            "{pools: {main: {nodes: [a:1, d:1, {address: c:2, name: c, weight: 2}], request_timeout: 1s}}, \
             listeners: [{bind: 127.0.0.1:1, route: main, max_connections: 5}, {bind: 127.0.0.1:2, route: main}]}",
        );
        let lines: Vec<String> = changes(&old, &new).iter().map(ToString::to_string).collect();
        let starts = [
            "~ listeners.127.0.0.1:1.max_connections: 10000 → 5",
            "+ listeners.127.0.0.1:2: {",
            "- pools.gone: {",
            "~ pools.main.hash_tag: {} → \"\"",
            "- pools.main.nodes.b:1: {",
            "~ pools.main.nodes.c.address: c:1 → c:2",
            "~ pools.main.nodes.c.weight: 1 → 2",
            "+ pools.main.nodes.d:1: {",
            "~ pools.main.request_timeout: 500ms → 1s",
        ];
        assert_eq!(lines.len(), starts.len(), "{lines:#?}");
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.starts_with(start), "{line} is not {start}");
        }
        assert!(changes(&old, &old).is_empty());
    }

    #[test]
    fn nodes_in_another_order_are_told_as_the_order() {
        let parse = |text: &str| config::parse(text, "f").expect("good");
        let old = parse("pools: {main: {nodes: [a:1, b:1]}}");
        let new = parse("pools: {main: {nodes: [b:1, a:1]}}");
        let lines: Vec<String> = changes(&old, &new).iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["~ pools.main.nodes: one order → another order"]);
    }
}
