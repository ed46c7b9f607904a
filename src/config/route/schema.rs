//! The JSON schema of routes.

use serde_json::{Map, Value, json};

use super::super::rows::Section;
use super::super::{nodes, schema};
use super::{kind, schemas};

/// A route: a name, or a mapping with one policy.
pub fn schema() -> Value {
    let mut properties = json!({ "else": one(), "strip": { "type": "boolean" } });
    let mut needs = Map::new();
    let mut beside = Map::new();
    let mut policies = Vec::new();
    for (name, schema, keys) in schemas() {
        properties[name] = schema;
        policies.push(json!({ "required": [name] }));
        for key in keys {
            let allowed = beside.entry(*key).or_insert(json!({ "anyOf": [] }));
            allowed["anyOf"]
                .as_array_mut()
                .expect("it is a list")
                .push(json!({ "required": [name] }));
        }
        if keys.contains(&"else") {
            needs.insert(name.to_owned(), json!(["else"]));
        }
    }
    let policy = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "oneOf": policies,
        "dependentRequired": needs,
        "dependentSchemas": beside,
    });
    json!({ "anyOf": [(nodes::name_kind().schema)(), policy] })
}

/// One route.
pub fn one() -> Value {
    (kind().schema)()
}

/// A list of at least two routes.
pub fn several() -> Value {
    json!({ "type": "array", "items": one(), "minItems": 2 })
}

/// A policy whose value is one route, bare or behind `to`.
pub fn only() -> Value {
    let to = json!({ "type": "object", "properties": { "to": one() }, "required": ["to"], "additionalProperties": false });
    json!({ "anyOf": [one(), to] })
}

/// A policy that chooses one of several routes by what `selectors` describes.
pub fn branches(selectors: Value) -> Value {
    let mut branches = schema::named(selectors, one());
    branches["type"] = json!("object");
    branches["minProperties"] = json!(1);
    branches
}

/// A policy whose value is a mapping with the options of `S`, a route at each of `routes`, and all keys of `required`.
pub fn mapping<S: Section>(routes: &[&str], required: &[&str]) -> Value {
    let mut mapping = schema::mapping(S::rows(), json!({ "required": required }));
    for key in routes {
        mapping["properties"][*key] = one();
    }
    mapping
}

/// A policy whose value is a list of routes, or a mapping with the options of `S` and the list behind `to`.
pub fn list<S: Section>() -> Value {
    let mut mapping = mapping::<S>(&[], &["to"]);
    mapping["properties"]["to"] = several();
    json!({ "anyOf": [several(), mapping] })
}
