//! Parses lists of targets in the format of Prometheus' `file_sd_configs`, in JSON or YAML.
//!
//! ```yaml
//! - targets: ["10.0.0.1:11211"]
//!   labels: {name: cache-a, weight: "2", zone: eu-1a}
//! ```
//!
//! A file is accepted as a whole or not at all.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_yaml::Value;
use thiserror::Error;

use crate::config::error::Problem;
use crate::config::{self, Node, Origin};

#[derive(Debug, Deserialize)]
struct Group {
    targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, Value>,
}

/// Why a file is no list of nodes.
#[derive(Debug, Error)]
pub enum BadList {
    /// It is no JSON of this form.
    #[error("no list of targets: {0}")]
    Json(#[source] serde_json::Error),
    /// It is no YAML of this form.
    #[error("no list of targets: {0}")]
    Yaml(#[source] serde_yaml::Error),
    /// A group cannot be read.
    #[error("[{index}]: {source}")]
    Group {
        /// Which one, from 0.
        index: usize,
        /// What is wrong with it.
        source: BadGroup,
    },
}

/// What is wrong with a group.
#[derive(Debug, Error)]
pub enum BadGroup {
    /// One name for several targets, or for none.
    #[error("a name is that of one target: give each a group of its own")]
    Name,
    /// A label is a list, or the like.
    #[error("a label is text")]
    Label,
    /// A target is no node.
    #[error(transparent)]
    Node(#[from] Problem),
    /// Another node has this name or address.
    #[error("{0:?} is there twice")]
    Twice(String),
}

/// Returns the nodes in `text`, a list of `origin`.
///
/// # Errors
/// What is wrong with it, and where.
pub fn read(text: &str, origin: &Origin) -> Result<Vec<Node>, BadList> {
    // JSON is YAML, but for the tabs that it may be indented with.
    let groups: Vec<Group> = match text.trim_start().starts_with('[') {
        true => serde_json::from_str(text)
            .or_else(|error| serde_yaml::from_str(text).map_err(|_| BadList::Json(error)))?,
        false => serde_yaml::from_str(text).map_err(BadList::Yaml)?,
    };
    let mut nodes = Vec::new();
    let mut labels = HashSet::new();
    for (index, group) in groups.iter().enumerate() {
        let bad = |source| BadList::Group { index, source };
        for node in read_group(group, origin).map_err(bad)? {
            let label = node.label();
            if !labels.insert(label.clone()) {
                return Err(bad(BadGroup::Twice(label)));
            }
            nodes.push(node);
        }
    }
    Ok(nodes)
}

fn read_group(group: &Group, origin: &Origin) -> Result<Vec<Node>, BadGroup> {
    let label = |name: &str| group.labels.get(name).map(text).transpose();
    let (name, weight, zone) = (label("name")?, label("weight")?, label("zone")?);
    if name.is_some() && group.targets.len() != 1 {
        return Err(BadGroup::Name);
    }
    let origin = Arc::new(Origin {
        zone,
        ..origin.clone()
    });
    let node = |target: &String| config::discovered(target, name.as_deref(), weight.as_deref(), &origin);
    let nodes: Result<Vec<Node>, Problem> = group.targets.iter().map(node).collect();
    Ok(nodes?)
}

/// Returns the text of a label. Prometheus only takes text; a number without quotes is accepted too.
fn text(value: &Value) -> Result<String, BadGroup> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(BadGroup::Label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<Vec<String>, BadList> {
        let origin = Origin {
            from: "file+/nodes".to_owned(),
            zone: None,
            resolver: None,
        };
        let nodes = read(text, &origin)?;
        let shown = nodes.iter().map(|node| {
            let origin = node.origin.as_ref().unwrap();
            assert_eq!(origin.from, "file+/nodes");
            let zone = origin.zone.as_deref().unwrap_or("-");
            format!("{} {} {} {zone}", node.label(), node.address, node.weight)
        });
        Ok(shown.collect())
    }

    #[test]
    fn json_and_yaml_are_read_with_their_labels() {
        let json = "[\n\t{\"targets\": [\"10.0.0.1:11211\"], \"labels\": {\"name\": \"a\", \"weight\": \"2\", \"zone\": \"z\", \"job\": \"x\"}},\n\
                    \t{\"targets\": [\"b:1\", \"[fd00::1]:2\"]}]";
        let yaml = "- targets: ['10.0.0.1:11211']\n  labels: {name: a, weight: 2, zone: z, job: x}\n- targets: [b:1, '[fd00::1]:2']\n";
        let expected = [
            "a 10.0.0.1:11211 2 z",
            "b:1 b:1 1 -",
            "[fd00::1]:2 [fd00::1]:2 1 -",
        ];
        for text in [json, yaml] {
            assert_eq!(shown(text).unwrap(), expected);
        }
        for empty in ["[]", "", "# none yet\n"] {
            assert_eq!(shown(empty).unwrap(), [""; 0]);
        }
    }

    #[test]
    fn a_file_with_a_mistake_is_refused_as_a_whole() {
        let cases = [
            ("{targets: [a:1]}", "no list of targets"),
            ("[{\"targets\": [\"a:1\"]}", "no list of targets"),
            ("- {labels: {name: a}}", "missing field `targets`"),
            ("- targets: [a]", "[0]: \"a\" has no port"),
            (
                "- targets: [a:1]\n- targets: [b:1, a:1]",
                "[1]: \"a:1\" is there twice",
            ),
            (
                "- {targets: [a:1, b:1], labels: {name: x}}",
                "[0]: a name is that of one target",
            ),
            (
                "- {targets: [a:1], labels: {name: 'x y'}}",
                "[0]: \"x y\" is not a name",
            ),
            (
                "- {targets: [a:1], labels: {weight: 0}}",
                "[0]: 0 is out of range",
            ),
            ("- {targets: [a:1], labels: {zone: [z]}}", "[0]: a label is text"),
            ("- {targets: ['unix:/a']}", "[0]: \"unix:/a\" is not a host:port"),
        ];
        for (text, reason) in cases {
            let found = shown(text).unwrap_err().to_string();
            assert!(found.contains(reason), "{text}: {found} is not {reason}");
        }
    }
}
