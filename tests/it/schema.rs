//! The JSON schema of configurations: good files pass, and of bad ones each that a schema can see fails.
//!
//! Needs check-jsonschema, which is among the Python packages that `tests/run` installs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ringway::config;
use serde_json::Value;

use crate::config::bad_files;
use crate::docs::markdown::{page, pages, root};
use crate::support::program;

/// Mistakes that no schema can see, by a part of their message, and why.
const UNSEEN: &[(&str, &str)] = &[
    ("a tag has no meaning here", "parsers of YAML apply tags"),
    (
        "memory_limit: 1MiB is out of range",
        "a pattern does not know how much a size with a unit is",
    ),
    ("is too little for values of", "it depends on other keys"),
    ("there is no group", "it depends on the machine"),
    ("is taken: ", "addresses are equal in many spellings"),
    (
        "nodes[0] has the address",
        "addresses are equal in many spellings",
    ),
    ("nodes[0] has the name", "the names of several nodes are compared"),
    (
        "only the hash xxh3 takes a seed",
        "it depends on the hash, which the preset or kind may bring",
    ),
    ("knows no weights", "it depends on other keys"),
    (
        "no route or pool has the name",
        "names are compared with those of pools and routes",
    ),
    (
        "a pool on line 1 has this name",
        "the names of pools and routes are compared",
    ),
    ("the route goes in a circle", "routes are followed"),
    ("`min` is longer than `max`", "two durations are compared"),
    ("is this very listener", "routes are followed to nodes"),
];

#[test]
fn the_schema_in_the_repository_is_the_one_that_is_printed() {
    let output = program::output(&mut program::ringway(&["schema"]));
    let (code, printed, _) = program::said(&output);
    assert_eq!(code, Some(0));
    let kept = fs::read_to_string(root("config/schema.json")).expect("it is readable");
    assert!(
        kept == printed,
        "write it anew: cargo run -- schema > config/schema.json"
    );
}

#[test]
fn every_example_passes() {
    let mut examples: Vec<(String, String)> = Vec::new();
    for page in pages() {
        for block in page.blocks().iter().filter(|block| block.info == "yaml") {
            examples.push((format!("{}:{}", page.path, block.line), block.text.clone()));
        }
    }
    for file in fs::read_dir(root("config")).expect("it is readable") {
        let path = file.expect("it is readable").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path).expect("it is readable");
            assert!(
                text.starts_with("# yaml-language-server: $schema=schema.json\n"),
                "{}",
                path.display()
            );
            examples.push((path.display().to_string(), text));
        }
    }
    let pod = fs::read_to_string(root("deploy/kubernetes/pod.yaml")).expect("it is readable");
    let (_, map) = pod
        .split_once("  ringway.yaml: |\n")
        .expect("the pod has a configuration");
    let lines = map
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("    "));
    examples.push((
        "pod.yaml".to_owned(),
        lines.map(|line| format!("{line}\n")).collect(),
    ));
    for file in ["deploy/demo/ringway.yaml", "deploy/kustomize/base/ringway.yaml"] {
        examples.push((
            file.to_owned(),
            fs::read_to_string(root(file)).expect("it is readable"),
        ));
    }
    // What is rendered is a configuration, too.
    examples.push((
        "quickstart".to_owned(),
        config::show(&config::quickstart()).to_string(),
    ));
    assert!(examples.len() > 40);
    let texts: Vec<&str> = examples.iter().map(|(_, text)| text.as_str()).collect();
    let failed = failures(&texts);
    if let Some((index, errors)) = failed.first_key_value() {
        panic!("{}: {errors}", examples[*index].0);
    }
}

#[test]
fn every_mistake_that_a_schema_can_see_fails() {
    let bad = bad_files();
    let texts: Vec<&str> = bad.iter().map(|(text, _)| text.as_str()).collect();
    let failed = failures(&texts);
    let mut wrong = Vec::new();
    for (index, (text, message)) in bad.iter().enumerate() {
        let unseen = UNSEEN.iter().find(|(part, _)| message.contains(part));
        match (failed.contains_key(&index), unseen) {
            (true, None) | (false, Some(_)) => {}
            (true, Some((_, reason))) => {
                wrong.push(format!("the schema sees it although {reason}: {message}: {text}"))
            }
            (false, None) => wrong.push(format!("the schema does not see: {message}: {text}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_schema_the_reference_and_the_full_file_agree_on_each_key() {
    let reference = page("docs/configuration.md");
    let full = fs::read_to_string(root("config/full.yaml")).expect("it is readable");
    let schema = config::json_schema();
    let mut count = 0;
    for row in reference.text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row
            .split(" | ")
            .map(|cell| cell.trim_matches(['|', ' ']))
            .collect();
        let (key, default) = (cells[0].trim_matches('`'), cells[1]);
        let found = find(&schema, key).unwrap_or_else(|| panic!("the schema has no {key}"));
        let meaning = found["description"].as_str().expect("each key has a description");
        assert_eq!(
            plain(cells[2]),
            plain(&lower(meaning)),
            "docs/configuration.md: {key}"
        );
        count += 1;
        let Some(value) = found.get("default").filter(|value| !value.is_array()) else {
            continue;
        };
        let written = match value {
            Value::String(text) if !text.is_empty() => text.clone(),
            other => other.to_string(),
        };
        assert_eq!(default, format!("`{written}`"), "docs/configuration.md: {key}");
        let key = key.rsplit('.').next().expect("a key");
        let lines = [
            format!("{key}: {written} # default"),
            format!("{key}: \"{written}\" # default"),
        ];
        let is_one = |line: &str| lines.iter().any(|expected| line.contains(expected));
        let is_shown = key == "weight" || full.lines().any(is_one);
        assert!(is_shown, "config/full.yaml has none of {lines:?}");
    }
    assert!(count > 60);
}

/// The schema of the key at `path`, as the reference writes it: `NAME` is any name, `[]` an item of a list.
fn find<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let name = first.trim_end_matches("[]");
    let mut kinds = schema["anyOf"].as_array().into_iter().flatten().chain([schema]);
    let property = kinds.find_map(|kind| match name {
        // A pool has no row, its keys have; a route has that of all.
        "NAME" if rest.is_empty() => Some(schema),
        "NAME" => kind.get("additionalProperties"),
        name => kind["properties"].get(name),
    })?;
    match rest {
        "" => Some(property),
        rest if name != first => find(&property["items"], rest),
        rest => find(property, rest),
    }
}

/// A meaning without its links, which only the page has, and without what ends a sentence.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((link, after)) = rest.split_once("](") {
        let (before, words) = link.rsplit_once('[').expect("a link begins");
        let (_, after) = after.split_once(')').expect("a link ends");
        match before.strip_suffix(" (") {
            Some(before) => {
                plain += before;
                rest = after.strip_prefix(')').unwrap_or(after);
            }
            None => {
                plain += before;
                plain += words;
                rest = after;
            }
        }
    }
    plain += rest;
    plain.trim_end_matches('.').to_owned()
}

/// A sentence as it begins in a cell of a table.
fn lower(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

/// What check-jsonschema finds in each of these files that does not pass, by their numbers.
fn failures(texts: &[&str]) -> BTreeMap<usize, String> {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = |index: usize| -> PathBuf { folder.path().join(format!("{index}.yaml")) };
    for (index, text) in texts.iter().enumerate() {
        fs::write(path(index), text).expect("it is writable");
    }
    let python = std::env::var("RINGWAY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/schema.json");
    let output = program::output(
        Command::new(&python)
            .args([
                "-m",
                "check_jsonschema",
                "--output-format",
                "json",
                "--schemafile",
            ])
            .arg(schema)
            .args((0..texts.len()).map(path)),
    );
    let said = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&said).unwrap_or_else(|_| {
        let error = String::from_utf8_lossy(&output.stderr);
        panic!("{python} -m check_jsonschema (tests/run installs it and sets RINGWAY_PYTHON): {said}{error}")
    });
    let mut failures = BTreeMap::new();
    for kind in ["errors", "parse_errors"] {
        for error in report[kind].as_array().into_iter().flatten() {
            let file = Path::new(error["filename"].as_str().expect("the file is named"));
            let index = file
                .file_stem()
                .and_then(|stem| stem.to_str())
                .and_then(|stem| stem.parse().ok());
            failures.insert(index.expect("a file of this test"), error.to_string());
        }
    }
    failures
}
