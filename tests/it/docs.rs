//! The documents say what is so: in the README, in the pages beside it and in those under `docs`, each
//! configuration loads, and each command, flag, path, metric, file and link exists.
//!
//! A block marked `yaml` is a whole configuration of Ringway. Other YAML says whose it is behind that word
//! (`yaml kubernetes`), and is not read here.

mod markdown;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use ringway::config;
use serde_json::Value;

use self::markdown::{Page, page, pages, root};
use crate::deploy::{is_metric, metrics_in};
use crate::support::program;
use crate::support::ringway::{Ringway, http};

/// A Ringway that needs no memcached.
const EMBEDDED: &str =
    "pools: {main: {nodes: [{name: cache-a, embedded: 1MiB}, {name: cache-b, embedded: 1MiB}]}}";

#[test]
fn every_yaml_block_is_a_configuration_that_loads() {
    let mut count = 0;
    for page in pages() {
        for block in page.blocks().iter().filter(|block| block.info == "yaml") {
            if let Err(mistakes) = config::parse(&block.text, &page.path) {
                panic!(
                    "{}:{}: the block that begins here does not load: {mistakes:?}\n{}",
                    page.path, block.line, block.text
                );
            }
            count += 1;
        }
    }
    assert!(count > 0, "no document shows a configuration");
}

#[test]
fn every_nutcracker_file_is_one_that_nutcracker_takes() {
    for page in pages() {
        for block in page
            .blocks()
            .iter()
            .filter(|block| block.info == "yaml nutcracker")
        {
            let folder = tempfile::tempdir().expect("a folder for the test");
            let file = folder.path().join("nutcracker.yml");
            fs::write(&file, &block.text).expect("it is writable");
            let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
            let output = program::output(
                Command::new("nutcracker")
                    .env("PATH", path)
                    .args(["--test-conf", "--conf-file"])
                    .arg(&file),
            );
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}:{}: {said}", page.path, block.line);
        }
    }
}

#[test]
fn what_is_said_to_become_of_a_nutcracker_file_becomes_of_it() {
    let mut count = 0;
    for page in pages() {
        let blocks = page.blocks();
        let of = |info: &'static str| blocks.iter().filter(move |block| block.info == info);
        for (block, expected) in of("yaml nutcracker").zip(of("yaml imported")) {
            let place = format!("{}:{}", page.path, block.line);
            let folder = tempfile::tempdir().expect("a folder for the test");
            let file = folder.path().join("nutcracker.yml");
            fs::write(&file, &block.text).expect("it is writable");
            let output = program::output(
                Command::new(env!("CARGO_BIN_EXE_ringway"))
                    .arg("import")
                    .arg(&file),
            );
            let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(said(&output.stderr), "", "{place}");
            let stdout = said(&output.stdout);
            let (_, imported) = stdout.split_once('\n').expect("a line above it");
            assert_eq!(imported, expected.text, "{place}");
            count += 1;
        }
    }
    assert_eq!(count, 1);
}

#[test]
fn every_flag_of_the_page_on_the_command_line_is_in_the_help() {
    let help: Vec<String> = helps().into_values().flatten().collect();
    let operations = page("docs/operations.md");
    let flags = operations
        .section("Command line")
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| word.starts_with("--") && word.len() > 2 && !word.ends_with('-'));
    let mut count = 0;
    for flag in flags {
        assert!(
            help.iter().any(|known| known == flag),
            "docs/operations.md names {flag}, the help does not"
        );
        count += 1;
    }
    assert!(count >= 4, "the section names the flags");
}

#[test]
fn every_command_of_ringway_that_is_shown_is_one() {
    let helps = helps();
    let mut count = 0;
    for page in pages() {
        for (line, command) in page.commands() {
            let mut words = command.split_whitespace().skip_while(|word| *word == "$");
            if words.next() != Some("ringway") {
                continue;
            }
            let words: Vec<&str> = words
                .take_while(|word| !["|", ">", "&&", "&"].contains(word))
                .collect();
            if let Err(unknown) = known_command(&helps, &words) {
                panic!("{}:{line}: `{command}`: Ringway has no {unknown}", page.path);
            }
            count += 1;
        }
    }
    assert!(count >= 4, "the documents show commands");
}

/// Each line of a shell block that calls Ringway is run, among files of the names that the pages use. One that would
/// run for ever is checked instead.
#[test]
fn every_command_of_ringway_in_a_shell_block_runs() {
    let ringway = Ringway::start(EMBEDDED);
    let mut count = 0;
    for page in pages() {
        for (line, command) in page.shell_lines() {
            let words: Vec<&str> = command.split_whitespace().collect();
            let Some((&"ringway", arguments)) = words.split_first() else {
                continue;
            };
            let folder = examples();
            let output = program::output(
                Command::new(env!("CARGO_BIN_EXE_ringway"))
                    .current_dir(folder.path())
                    .args(that_ends(arguments, ringway.admin)),
            );
            assert!(
                output.status.success(),
                "{}:{line}: `{command}`: {}",
                page.path,
                String::from_utf8_lossy(&output.stderr)
            );
            count += 1;
        }
    }
    assert!(count >= 10, "the documents show commands: {count}");
}

/// The files that commands in the pages name.
fn examples() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).expect("it is writable");
    };
    write("ringway.yaml", EMBEDDED);
    write("new.yaml", EMBEDDED);
    write("keys.txt", "user:1\nuser:2\n");
    write(
        "nutcracker.yml",
        "main: {listen: 127.0.0.1:22121, distribution: ketama, servers: [\"10.0.0.1:11211:1\"]}\n",
    );
    write(
        "mcrouter.json",
        r#"{"pools": {"A": {"servers": ["10.0.0.1:11211"]}}, "route": "PoolRoute|A"}"#,
    );
    write(
        "libmemcached.txt",
        "--SERVER=10.0.0.1 --SERVER=10.0.0.2 --DISTRIBUTION=consistent\n",
    );
    folder
}

/// The arguments with which a command of the pages ends: what would run is checked, and what asks the usual admin
/// listener asks the one on `admin`.
fn that_ends(arguments: &[&str], admin: u16) -> Vec<String> {
    let own = format!(":{admin}");
    let mut owned: Vec<String> = arguments.iter().map(|word| word.replace(":9155", &own)).collect();
    match arguments.first() {
        None => return vec!["--version".to_owned()],
        Some(&("--config" | "-c")) => return vec!["check".to_owned(), owned[1].clone()],
        Some(&("nodes" | "health")) if !arguments.contains(&"--admin") => {
            owned.extend(["--admin".to_owned(), own]);
        }
        Some(_) => {}
    }
    owned
}

/// Asks a running Ringway, with the method that is shown.
#[test]
fn every_path_that_is_asked_for_is_served() {
    let ringway = Ringway::start(EMBEDDED);
    let mut asked: Vec<(String, AdminRequest)> = Vec::new();
    for page in pages() {
        for (line, command) in page.commands() {
            let place = format!("{}:{line}", page.path);
            asked.extend(admin_requests(&command).map(|request| (place.clone(), request)));
        }
    }
    assert!(asked.len() >= 20, "the documents name the paths");
    for (place, AdminRequest { method, path }) in asked {
        let target = path.replace("NAME", "cache-a");
        let (status, _) = http(ringway.admin, method.unwrap_or("GET"), &target)
            .unwrap_or_else(|| panic!("{place}: no answer for {path}"));
        let is_served = status != 404 && (method.is_none() || status != 405);
        assert!(is_served, "{place}: {path} is not served: {status}");
    }
}

#[test]
fn every_metric_that_is_named_exists() {
    for page in pages() {
        for metric in metrics_in(&page.text) {
            assert!(is_metric(metric), "{}: {metric} is no metric", page.path);
        }
    }
}

#[test]
fn every_file_of_the_repository_that_is_named_is_there() {
    for page in pages() {
        for (line, command) in page.commands() {
            for word in command.split_whitespace() {
                let word = word
                    .trim_start_matches("./")
                    .trim_end_matches([',', '.', ':', ';']);
                let folder = word.split('/').next().unwrap_or_default();
                if word.contains('/') && ["config", "deploy", "docs", "src", "tests"].contains(&folder) {
                    // Source files are named from `src` too.
                    assert!(
                        root(word).exists() || root("src").join(word).exists(),
                        "{}:{line}: there is no {word}",
                        page.path
                    );
                }
            }
        }
    }
}

/// `module::name_of_a_test` in a page is a test of the suite: in `tests/it/module.rs`, or in `src`.
#[test]
fn every_test_that_is_named_exists() {
    let tests: String = sources("tests/it").chain(sources("src")).collect();
    let mut count = 0;
    for page in pages() {
        for (line, span) in page.spans() {
            let Some((module, name)) = span.split_once("::") else {
                continue;
            };
            let is_test = name.len() > 20
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte));
            if !is_test {
                continue;
            }
            let file = root(&format!("tests/it/{module}.rs"));
            let source = fs::read_to_string(&file).unwrap_or_else(|_| tests.clone());
            let is_there = source.contains(&format!("fn {name}("));
            assert!(is_there, "{}:{line}: there is no test {span}", page.path);
            count += 1;
        }
    }
    assert!(count > 10, "SECURITY.md names tests");
}

/// The text of every file of Rust below the folder.
fn sources(folder: &str) -> impl Iterator<Item = String> {
    let mut folders = vec![root(folder)];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                texts.push(fs::read_to_string(path).expect("text"));
            }
        }
    }
    texts.into_iter()
}

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

#[test]
fn every_link_leads_somewhere() {
    for page in pages() {
        for (line, target) in page.links() {
            if let Err(missing) = follow(&page, target) {
                panic!(
                    "{}:{line}: the link to {target} leads nowhere: {missing}",
                    page.path
                );
            }
        }
    }
}

#[test]
fn every_page_under_docs_is_linked_from_another() {
    let pages = pages();
    for page in pages.iter().filter(|page| page.path.starts_with("docs/")) {
        let here = root(&page.path).canonicalize().expect("a page that was read");
        let leads_here = |from: &Page| {
            from.path != page.path
                && from.links().iter().any(|(_, target)| {
                    let file = target.split('#').next().unwrap_or_default();
                    beside(from, file).canonicalize().is_ok_and(|path| path == here)
                })
        };
        assert!(
            pages.iter().any(leads_here),
            "{}: no page links to it; the README lists those under docs",
            page.path
        );
    }
}

/// The words of each subcommand's `--help`; the program's own stand under the empty name.
fn helps() -> BTreeMap<String, Vec<String>> {
    let words = |arguments: &[&str]| -> Vec<String> {
        let output = program::output(Command::new(env!("CARGO_BIN_EXE_ringway")).args(arguments));
        assert!(output.status.success(), "ringway {arguments:?}");
        let help = String::from_utf8(output.stdout).expect("help is UTF-8");
        help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .map(str::to_owned)
            .collect()
    };
    let output = program::output(Command::new(env!("CARGO_BIN_EXE_ringway")).arg("--help"));
    let help = String::from_utf8(output.stdout).expect("help is UTF-8");
    let mut helps = BTreeMap::from([(String::new(), words(&["--help"]))]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    for command in commands.take_while(|line| !line.is_empty()) {
        // A name stands two columns in, the rest of its description further.
        if let Some(name) = command.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) {
            let name = name.split(' ').next().expect("a name");
            let shown = if name == "help" {
                &["--help"][..]
            } else {
                &[name, "--help"]
            };
            helps.insert(name.to_owned(), words(shown));
        }
    }
    assert!(helps.len() > 4, "the help lists its commands: {help}");
    helps
}

/// Whether these words behind `ringway` are a subcommand and flags that it has; else the word that is not.
fn known_command<'a>(helps: &BTreeMap<String, Vec<String>>, words: &[&'a str]) -> Result<(), &'a str> {
    let (name, words) = match words.split_first() {
        Some((name, rest)) if name.chars().all(|c| c.is_ascii_lowercase()) => (*name, rest),
        _ => ("", words),
    };
    let help = helps.get(name).ok_or(name)?;
    for word in words {
        let flag = word.split('=').next().unwrap_or(word);
        let is_flag = flag.starts_with('-') && flag.len() > 1 && flag != "--";
        if is_flag && !help.iter().any(|known| known == flag) && !helps[""].iter().any(|known| known == flag)
        {
            return Err(word);
        }
    }
    Ok(())
}

/// What a command or a code span asks the admin listener for.
struct AdminRequest {
    /// Unless the span is a path alone.
    method: Option<&'static str>,
    path: String,
}

/// `GET /nodes`, `POST /nodes/NAME/drain`, `/nodes` alone, or a URL with the admin listener's port behind `curl`.
fn admin_requests(command: &str) -> impl Iterator<Item = AdminRequest> {
    let spoken = ["GET", "POST"]
        .into_iter()
        .find(|method| command.starts_with(&format!("{method} /")));
    let by_curl = if command.contains("-X POST") {
        "POST"
    } else {
        "GET"
    };
    let is_one_segment =
        command.len() > 1 && command.starts_with('/') && command[1..].chars().all(|c| c.is_ascii_lowercase());
    let direct = command
        .split_whitespace()
        .filter(move |word| (spoken.is_some() || is_one_segment) && word.starts_with('/'))
        .map(move |path| (spoken, path));
    let in_urls = command
        .split(":9155")
        .skip(1)
        .filter(|rest| rest.starts_with('/'))
        .map(move |path| (Some(by_curl), path));
    direct.chain(in_urls).filter_map(|(method, path)| {
        let path = path.split(['?', '\'', '"', ' ', '`']).next()?.to_owned();
        (path.len() > 1).then_some(AdminRequest { method, path })
    })
}

/// Whether the file that a link of this page names exists, and the heading in it; else what is missing.
fn follow(page: &Page, target: &str) -> Result<(), String> {
    if target.starts_with("http") || target.starts_with("mailto:") {
        return Ok(());
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() {
        root(&page.path)
    } else {
        beside(page, file)
    };
    if !path.exists() {
        return Err(format!("there is no {}", path.display()));
    }
    let path = path.canonicalize().expect("it exists");
    let inside = path
        .strip_prefix(root("").canonicalize().expect("it exists"))
        .map_err(|_| "it is outside of the repository".to_owned())?;
    let inside = inside.to_str().expect("paths are UTF-8");
    if anchor.is_empty()
        || markdown::page(inside)
            .anchors()
            .iter()
            .any(|known| known == anchor)
    {
        return Ok(());
    }
    Err(format!("{inside} has no heading #{anchor}"))
}

/// The file that a link names, which counts from the folder of its page.
fn beside(page: &Page, file: &str) -> std::path::PathBuf {
    root(&page.path)
        .parent()
        .expect("a file lies in a folder")
        .join(file)
}
