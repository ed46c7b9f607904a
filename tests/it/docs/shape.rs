//! What the documents must contain, and in which order: every configuration key, a page for each policy, the table of
//! floors, one recommended distribution, a short README.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use ringway::config;
use serde_json::Value;

use super::markdown::{page, pages, root};

/// The one recommendation for a new cluster is `ringway`; the default is for those who come with a warm cache. So an
/// example that leaves the distribution out recommends the wrong one.
#[test]
fn every_example_with_several_nodes_names_its_distribution() {
    let mut examples: Vec<(String, Value)> = Vec::new();
    let read = |text: &str| serde_yaml::from_str(text).expect("it is YAML");
    for page in pages() {
        for block in page.blocks().iter().filter(|block| block.info == "yaml") {
            examples.push((format!("{}:{}", page.path, block.line), read(&block.text)));
        }
    }
    for file in fs::read_dir(root("config")).expect("it is readable") {
        let path = file.expect("it is readable").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("it is readable");
        examples.push((path.display().to_string(), read(&text)));
    }
    assert!(examples.len() > 30);
    let is_unnamed = |pool: &Value| {
        let several = pool["nodes"].as_array().is_some_and(|nodes| nodes.len() > 1);
        several && pool["distribution"].is_null()
    };
    for (place, example) in examples {
        let pools = example["pools"].as_object().into_iter().flatten();
        for (name, pool) in pools {
            assert!(
                !is_unnamed(pool),
                "{place}: name the distribution of pool {name}: ringway"
            );
        }
    }
}

#[test]
fn the_readme_has_at_most_220_lines() {
    let lines = page("README.md").text.lines().count();
    assert!(lines <= 220, "{lines} lines: what explains belongs into docs/");
}

#[test]
fn the_reference_has_every_key_with_its_default() {
    let reference = page("docs/configuration.md");
    let mut rows: BTreeMap<&str, &str> = BTreeMap::new();
    for row in reference.text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row
            .split(" | ")
            .map(|cell| cell.trim_matches(['|', ' ']))
            .collect();
        rows.insert(cells[0].trim_matches('`'), cells[1]);
    }
    let full = fs::read_to_string(root("config/full.yaml")).expect("it is readable");
    let full: Value = serde_yaml::from_str(&full).expect("it is YAML");
    let known: BTreeSet<String> = leaves(&full).into_keys().collect();
    let shown: BTreeSet<String> = rows.keys().map(|key| (*key).to_owned()).collect();
    assert_eq!(
        shown, known,
        "left: docs/configuration.md, right: config/full.yaml"
    );

    let least = config::parse("pools: {main: {nodes: [a:1]}}", "least.yaml").expect("it loads");
    // What a route or a node is by default depends on the file.
    let defaults = leaves(&config::show(&least)).into_iter().filter(|(key, _)| {
        key != "listeners[].route" && !["address", "name"].iter().any(|last| key.ends_with(last))
    });
    for (key, value) in defaults {
        let default = match &value {
            Value::String(text) if text.is_empty() => "\"\"".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert_eq!(rows[key.as_str()], format!("`{default}`"), "{key}");
    }
}

/// The values of a configuration that are no mappings, by their keys: names of pools and routes are `NAME`, items of
/// lists `[]`.
fn leaves(configuration: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let mut open = vec![(String::new(), configuration)];
    while let Some((path, value)) = open.pop() {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    open.push(match path.as_str() {
                        "" => (key.clone(), value),
                        "pools" | "routes" => (format!("{path}.NAME"), value),
                        _ => (format!("{path}.{key}"), value),
                    });
                }
            }
            Value::Array(items) if !items.is_empty() => {
                open.extend(items.iter().map(|item| (format!("{path}[]"), item)));
            }
            leaf => {
                found.insert(path, leaf.clone());
            }
        }
    }
    found
}

#[test]
fn each_policy_has_a_page_that_begins_with_an_example() {
    let empty = config::parse(
        "{pools: {main: {nodes: [a:1]}}, routes: {default: {}}}",
        "empty.yaml",
    );
    let told = empty.expect_err("a route has a policy").to_string();
    let (_, names) = told.split_once("choose one of: ").expect("it lists the policies");
    let index = page("docs/routing/README.md");
    let examples = include_str!("../../../config/routes.yaml");
    let mut linked = BTreeSet::new();
    let mut count = 0;
    for name in names.trim().split(", ") {
        let row = index
            .text
            .lines()
            .find(|line| line.starts_with("| [") && line.contains(&format!("`{name}: ")))
            .unwrap_or_else(|| panic!("docs/routing/README.md has no row for {name}"));
        let (_, link) = row.split_once("](").expect("a link to its page");
        linked.insert(link.split([')', '#']).next().expect("a file").to_owned());
        let has_example = examples.lines().any(|line| line.contains(&format!("{name}:")));
        assert!(has_example, "config/routes.yaml has no example of {name}");
        count += 1;
    }
    assert!(count >= 18, "{told}");
    for file in linked {
        let text = page(&format!("docs/routing/{file}")).text;
        let at = |part: &str| {
            text.find(part)
                .unwrap_or_else(|| panic!("{file} has no {part:?}"))
        };
        let in_order = at("\n```yaml\n") < at("\n|") && at("\n|") < at("\n## Guarantees and limits\n");
        assert!(
            in_order,
            "{file}: an example, then a table, then guarantees and limits"
        );
    }
}

#[test]
fn the_table_of_floors_is_the_one_that_is_enforced() {
    let architecture = page("docs/architecture.md");
    let mut shown: Vec<Vec<&str>> = Vec::new();
    for row in architecture.section("Floors").lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        if cells.get(1).is_some_and(|cell| cell.parse::<usize>().is_ok()) {
            let mut modules: Vec<&str> = cells[2].split('`').skip(1).step_by(2).collect();
            modules.sort_unstable();
            shown.push(modules);
        }
    }
    shown.reverse();
    let enforced: Vec<Vec<&str>> = crate::floors::modules()
        .map(|modules| {
            let mut modules = modules.to_vec();
            modules.sort_unstable();
            modules
        })
        .collect();
    assert_eq!(shown, enforced);
}
