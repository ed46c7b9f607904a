//! The JSON schema of the configuration, for editors and for tools that validate YAML.
//!
//! It is made of the rows of all sections. What several places must agree on it does not see: `ringway check` does.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

/// What the schema says of a key.
#[derive(Debug)]
pub struct Row {
    /// The key.
    pub key: &'static str,
    /// What it means.
    pub doc: String,
    /// What holds if it is left out, as it would be written; null if nothing does, or if it depends on other keys.
    pub default: Value,
    /// What its value may be.
    pub schema: Value,
}

/// A regular expression for a duration.
pub const DURATION: &str = "^[0-9]+(ms|s|m|h)$";

/// Text that matches the regular expression.
pub fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

/// A size: bytes, or text with a unit, whose range the schema cannot express.
pub fn size(range: &RangeInclusive<u64>) -> Value {
    let bytes = json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() });
    json!({ "anyOf": [bytes, pattern("^[0-9]+([KMGT]iB|[KMGT]B|kB|B)?$")] })
}

/// What `schema` allows, or `false`.
pub fn or_false(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "const": false }] })
}

/// A mapping whose keys `names` describes, and whose values `schema` describes.
pub fn named(names: Value, schema: Value) -> Value {
    json!({ "type": ["object", "null"], "propertyNames": names, "additionalProperties": schema })
}

/// A mapping with the keys of `rows` and no others, and what `rules` adds to it.
pub fn mapping(rows: Vec<Row>, rules: Value) -> Value {
    let mut properties = Map::new();
    for row in rows {
        let mut schema = row.schema;
        schema["description"] = json!(row.doc);
        // The default of a section is that of its keys.
        let is_required = |key: &str| {
            rules["required"]
                .as_array()
                .is_some_and(|keys| keys.contains(&json!(key)))
        };
        if !row.default.is_null() && !row.default.is_object() && !is_required(row.key) {
            schema["default"] = row.default;
        }
        properties.insert(row.key.to_owned(), schema);
    }
    // A section whose keys are all commented out is null.
    let kind = if rules.is_null() {
        json!(["object", "null"])
    } else {
        json!("object")
    };
    let mut schema = json!({ "type": kind, "properties": properties, "additionalProperties": false });
    for (rule, value) in rules.as_object().into_iter().flatten() {
        schema[rule] = value.clone();
    }
    schema
}
