//! `pools.NAME.distribution`: the name of a preset, a preset with parts changed, or a kind with its parts.

use serde_json::{Value, json};

use super::error::{Diagnostics, Location, Problem, quote};
use super::kind::{Kind, number};
use super::map_reader::{MapReader, YamlNode};
use super::rows::{Section, render, section};
use super::{Node, schema, suggest};
use crate::ring::{Distribution, Hash, Naming, Part};

/// A thousand nodes with this many have some 30 MiB of points.
const MAX_POINTS: u64 = 4096;

/// The longest text that is hashed with a key, in bytes.
const MAX_TEXT: usize = 250;

section! {
    /// The keys of a distribution that is written as a mapping.
    #[derive(Debug)]
    struct DistributionKeys {
        /// The preset whose parts are changed.
        preset: Option<Distribution> = None, named(preset, Distribution::name, Distribution::PRESETS).optional();
        /// `ketama`, `consistent`, `jump`, `rendezvous`, `maglev` or `modula`, if there is no preset.
        kind: Option<Distribution> = None, named(parse_kind, Distribution::name, Distribution::KINDS).optional();
        /// What keys are hashed with.
        hash: Option<Hash> = None, named(hash, |hash| hash.name(), Hash::NAMES).optional();
        /// Points on the ring for a node of mean weight.
        points: Option<u32> = None, number(1..=MAX_POINTS).optional();
        /// What a node without a name is called in the ring: `libmemcached`, `twemproxy`, `address`,
        /// `libmemcached-spy`, `evcache` or `mcrouter`.
        names: Option<Naming> = None, named(names, |names| names.name(), Naming::NAMES).optional();
        /// Only the part of a key before this text is hashed.
        hash_stop: Option<String> = None, text().optional();
        /// Text that is appended to each key before it is hashed.
        salt: Option<String> = None, text().optional();
        /// The seed of the hash `xxh3`.
        seed: Option<String> = None, text().optional();
        /// The weight that mcrouter writes as 1.0.
        full_weight: Option<u32> = None, number(1..=u64::from(u32::MAX)).optional();
    }
}

/// The keys that not every distribution has a use for.
const PARTS: [(&str, Part); 5] = [
    ("hash", Part::Hash),
    ("points", Part::Points),
    ("names", Part::Names),
    ("seed", Part::Seed),
    ("full_weight", Part::FullWeight),
];

/// The key `distribution`: the name of a preset, or a mapping.
pub fn kind() -> Kind<Distribution> {
    let read = |value: &YamlNode<'_>, diagnostics: &mut Diagnostics| match value.is_scalar() {
        true => value.read(diagnostics, preset),
        false => changed(value, diagnostics),
    };
    Kind::new(read, show, || {
        let rules = json!({ "not": { "required": ["preset", "kind"] }, "allOf": useless_parts() });
        json!({ "anyOf": [{ "enum": Distribution::PRESETS }, schema::mapping(DistributionKeys::rows(), rules)] })
    })
}

/// The rules of the schema that exclude keys that a preset or a kind does not use, whatever its hash is.
fn useless_parts() -> Vec<Value> {
    let mut rules = Vec::new();
    for (word, names, make) in [
        (
            "preset",
            Distribution::PRESETS,
            Distribution::preset as fn(&str) -> Option<Distribution>,
        ),
        ("kind", Distribution::KINDS, Distribution::kind),
    ] {
        for (key, part) in PARTS.into_iter().filter(|(key, _)| *key != "seed") {
            let lacks = |name: &&&str| make(name).is_some_and(|distribution| !distribution.has(part));
            let names: Vec<&&str> = names.iter().filter(lacks).collect();
            rules.push(json!({
                "if": { "properties": { word: { "enum": names } }, "required": [word] },
                "then": { "properties": { key: false } },
            }));
        }
    }
    rules
}

/// Values with names of a closed set.
fn named<T: 'static>(
    parse: fn(&str) -> Result<T, Problem>,
    name: fn(&T) -> &'static str,
    names: &'static [&'static str],
) -> Kind<T> {
    Kind::text(
        parse,
        move |value| json!(name(value)),
        move || json!({ "enum": names }),
    )
}

fn text() -> Kind<String> {
    let parse = |text: &str| match text.len() {
        0..=MAX_TEXT => Ok(text.to_owned()),
        _ => Err(Problem::new(format!("{} is too long", quote(text)))
            .hint(format!("the maximum is {MAX_TEXT} bytes"))),
    };
    Kind::text(
        parse,
        |text| json!(text),
        || json!({ "type": "string", "maxLength": MAX_TEXT }),
    )
}

/// Reports weights of nodes if `distribution`, written at `location`, does not support them.
pub fn check_weights(
    distribution: &Distribution,
    nodes: &[Node],
    location: &Location,
    keys: &mut MapReader<'_, '_>,
) {
    if !distribution.weighs() && nodes.iter().any(|node| node.weight != 1) {
        let problem = Problem::new(format!("{} knows no weights", distribution.name()));
        let hint = "leave out `weight` of its nodes: it would count for nothing";
        keys.diagnostic_at(location, problem.hint(hint));
    }
}

fn changed(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Distribution> {
    let mut read = DistributionKeys::default();
    let mut keys = value.keys(diagnostics);
    read.read_rows(&mut keys);
    if keys.has("preset") && keys.has("kind") {
        let problem = Problem::new("a distribution has a preset or a kind");
        keys.diagnostic(problem.hint("leave out `preset` or `kind`"));
    }
    let is_named = keys.has("preset") || keys.has("kind");
    let is_known = read.preset.is_some() || read.kind.is_some() || !is_named;
    let mut chosen = read.preset.or(read.kind).unwrap_or_default();
    if let Some(hash) = read.hash.filter(|_| !is_known || chosen.has(Part::Hash)) {
        chosen = chosen.with_hash(hash);
    }
    for (key, part) in PARTS {
        if is_known && !chosen.has(part) {
            keys.reject(key, useless(key, &chosen));
        }
    }
    if let Some(points) = read.points {
        chosen = chosen.with_points(points);
    }
    if let Some(names) = read.names {
        chosen = chosen.with_names(names);
    }
    if let Some(stop) = read.hash_stop {
        chosen = chosen.with_hash_stop(&stop);
    }
    if let Some(salt) = read.salt {
        chosen = chosen.with_salt(&salt);
    }
    if let Some(seed) = read.seed {
        chosen = chosen.with_seed(&seed);
    }
    if let Some(full_weight) = read.full_weight {
        chosen = chosen.with_full_weight(full_weight);
    }
    keys.finish();
    is_known.then_some(chosen)
}

/// The problem of a `key` that `chosen` does not use.
fn useless(key: &str, chosen: &Distribution) -> Problem {
    let reason = match key {
        "seed" if chosen.has(Part::Hash) => "only the hash xxh3 takes a seed".to_owned(),
        "hash" => format!("{} hashes keys only in its own way", chosen.name()),
        _ => format!("{} does not use it", chosen.name()),
    };
    Problem::new(reason).hint("leave it out")
}

fn preset(text: &str) -> Result<Distribution, Problem> {
    let found = Distribution::preset(text);
    found.ok_or_else(|| match Distribution::kind(text) {
        Some(_) if text == "modula" => Problem::new(format!("{} is a kind, not a preset", quote(text)))
            .hint("write twemproxy-modula for twemproxy's, or {kind: modula}"),
        Some(_) => Problem::new(format!("{} is a kind, not a preset", quote(text)))
            .hint(format!("write {{kind: {text}}}")),
        None if text == "random" => Problem::new("no preset has the name \"random\"")
            .hint("Ringway sends a key to the same node always: leave it out"),
        None => unknown("preset", text, Distribution::PRESETS),
    })
}

fn parse_kind(text: &str) -> Result<Distribution, Problem> {
    let found = Distribution::kind(text);
    found.ok_or_else(|| match Distribution::preset(text) {
        Some(_) => Problem::new(format!("{} is a preset, not a kind", quote(text)))
            .hint(format!("write {{preset: {text}}}")),
        None => unknown("kind", text, Distribution::KINDS),
    })
}

fn hash(text: &str) -> Result<Hash, Problem> {
    Hash::from_name(text).ok_or_else(|| unknown("hash", text, Hash::NAMES))
}

fn names(text: &str) -> Result<Naming, Problem> {
    Naming::from_name(text).ok_or_else(|| unknown("way to name nodes", text, Naming::NAMES))
}

fn unknown(what: &str, text: &str, known: &[&str]) -> Problem {
    let hint = suggest::hint(text, "choose one of", known.iter().copied());
    Problem::new(format!("no {what} has the name {}", quote(text))).hint(hint)
}

/// Renders `distribution` as shortly as possible: a name, or a mapping with what differs from that name's parts.
fn show(distribution: &Distribution) -> Value {
    let d = distribution;
    let is_preset = d.is_preset();
    let plain = match is_preset {
        true => Distribution::preset(d.name()),
        false => Distribution::kind(d.name()),
    };
    let plain = plain.expect("every distribution was made from its name");
    if plain == *d && is_preset {
        return json!(d.name());
    }
    let text = |plain: &str, text: &str| (plain != text).then(|| text.to_owned());
    render(&DistributionKeys {
        preset: is_preset.then(|| plain.clone()),
        kind: (!is_preset).then(|| plain.clone()),
        hash: Some(d.hash()).filter(|hash| *hash != plain.hash()),
        points: Some(d.points()).filter(|points| *points != plain.points()),
        names: Some(d.names()).filter(|names| *names != plain.names()),
        hash_stop: text(plain.hash_stop(), d.hash_stop()),
        salt: text(plain.salt(), d.salt()),
        seed: text(plain.seed(), d.seed()),
        full_weight: d.full_weight().filter(|_| d.full_weight() != plain.full_weight()),
    })
}
