//! What was typed of a distribution: the name of a preset, a preset with parts changed, or a kind with its parts.

use super::error::{Diagnostics, Problem, quote};
use super::map_reader::{MapReader, YamlNode};
use super::units::count;
use super::{Node, suggest};
use crate::ring::{Distribution, Hash, Naming, Part};

/// A thousand nodes with so many have some 30 MiB of points.
const MOST_POINTS: u64 = 4096;

/// What is hashed fits beside a key.
const LONGEST_TEXT: usize = 250;

/// Reads how keys are spread over `nodes`.
pub fn read(value: &YamlNode<'_>, nodes: &[Node], diagnostics: &mut Diagnostics) -> Option<Distribution> {
    let distribution = match value.is_scalar() {
        true => value.read(diagnostics, preset)?,
        false => changed(value, diagnostics)?,
    };
    if !distribution.weighs() && nodes.iter().any(|node| node.weight != 1) {
        let problem = Problem::new(format!("{} knows no weights", distribution.name()));
        diagnostics.add(
            &value.location(),
            problem.hint("leave out `weight` of its nodes: it would count for nothing"),
        );
    }
    Some(distribution)
}

fn changed(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Distribution> {
    let mut keys = value.keys(diagnostics);
    let presets = keys.value("preset", preset);
    let kinds = keys.value("kind", kind);
    if keys.has("preset") && keys.has("kind") {
        let problem = Problem::new("a distribution has a preset or a kind");
        keys.diagnostic(problem.hint("leave out `preset` or `kind`"));
    }
    let is_known = presets.is_some() || kinds.is_some() || !(keys.has("preset") || keys.has("kind"));
    let mut chosen = presets.or(kinds).unwrap_or_default();
    let parts = |distribution: &Distribution, part| !is_known || distribution.has(part);
    if takes(&mut keys, "hash", parts(&chosen, Part::Hash), &chosen)
        && let Some(hash) = keys.value("hash", hash)
    {
        chosen = chosen.with_hash(hash);
    }
    if takes(&mut keys, "points", parts(&chosen, Part::Points), &chosen)
        && let Some(points) = keys.value("points", count(1..=MOST_POINTS))
    {
        chosen = chosen.with_points(narrow(points));
    }
    if takes(&mut keys, "names", parts(&chosen, Part::Names), &chosen)
        && let Some(names) = keys.value("names", names)
    {
        chosen = chosen.with_names(names);
    }
    if let Some(stop) = keys.value("hash_stop", text) {
        chosen = chosen.with_hash_stop(&stop);
    }
    if let Some(salt) = keys.value("salt", text) {
        chosen = chosen.with_salt(&salt);
    }
    if takes(&mut keys, "seed", parts(&chosen, Part::Seed), &chosen)
        && let Some(seed) = keys.value("seed", text)
    {
        chosen = chosen.with_seed(&seed);
    }
    if takes(
        &mut keys,
        "full_weight",
        parts(&chosen, Part::FullWeight),
        &chosen,
    ) && let Some(full) = keys.value("full_weight", count(1..=u64::from(u32::MAX)))
    {
        chosen = chosen.with_full_weight(narrow(full));
    }
    keys.finish();
    is_known.then_some(chosen)
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).expect("every range ends below 2^32")
}

/// Whether `chosen` asks for `key`, as `is_part` says; where it does not, the key is a mistake.
fn takes(keys: &mut MapReader<'_, '_>, key: &'static str, is_part: bool, chosen: &Distribution) -> bool {
    if !is_part {
        let reason = match key {
            "seed" if chosen.has(Part::Hash) => "only the hash xxh3 takes a seed".to_owned(),
            "hash" => format!("{} hashes keys in its own way alone", chosen.name()),
            _ => format!("{} has no use for it", chosen.name()),
        };
        keys.reject(key, Problem::new(reason).hint("leave it out"));
    }
    is_part
}

fn preset(text: &str) -> Result<Distribution, Problem> {
    let found = Distribution::preset(text);
    found.ok_or_else(|| match Distribution::kind(text) {
        Some(_) if text == "modula" => Problem::new(format!("{} is a kind, and no preset", quote(text)))
            .hint("write twemproxy-modula for twemproxy's, or {kind: modula}"),
        Some(_) => Problem::new(format!("{} is a kind, and no preset", quote(text)))
            .hint(format!("write {{kind: {text}}}")),
        None if text == "random" => Problem::new("no preset has the name \"random\"")
            .hint("Ringway sends a key to the same node always: leave it out"),
        None => unknown("preset", text, Distribution::PRESETS),
    })
}

fn kind(text: &str) -> Result<Distribution, Problem> {
    let found = Distribution::kind(text);
    found.ok_or_else(|| match Distribution::preset(text) {
        Some(_) => Problem::new(format!("{} is a preset, and no kind", quote(text)))
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

fn text(text: &str) -> Result<String, Problem> {
    match text.len() {
        0..=LONGEST_TEXT => Ok(text.to_owned()),
        _ => Err(Problem::new(format!("{} is too long", quote(text)))
            .hint(format!("{LONGEST_TEXT} bytes are the most"))),
    }
}

/// The shortest words that mean `distribution`: a name, or a mapping with what is not as the name says.
pub fn show(distribution: &Distribution) -> serde_json::Value {
    let name = distribution.name();
    let (word, plain) = match distribution.is_preset() {
        true => ("preset", Distribution::preset(name)),
        false => ("kind", Distribution::kind(name)),
    };
    let plain = plain.expect("whatever is there was made from its name");
    if plain == *distribution && distribution.is_preset() {
        return serde_json::json!(name);
    }
    let mut shown = serde_json::json!({ word: name });
    let mut tell = |key: &str, same: bool, value: serde_json::Value| {
        if !same {
            shown[key] = value;
        }
    };
    let d = distribution;
    tell("hash", plain.hash() == d.hash(), d.hash().name().into());
    tell("points", plain.points() == d.points(), d.points().into());
    tell("names", plain.names() == d.names(), d.names().name().into());
    tell(
        "hash_stop",
        plain.hash_stop() == d.hash_stop(),
        d.hash_stop().into(),
    );
    tell("salt", plain.salt() == d.salt(), d.salt().into());
    tell("seed", plain.seed() == d.seed(), d.seed().into());
    tell(
        "full_weight",
        plain.full_weight() == d.full_weight(),
        d.full_weight().into(),
    );
    shown
}
