//! The documents are true: in the README, in the pages beside it and in those under `docs`, each configuration loads,
//! each command runs, and each flag, path, metric, file, test and link exists.
//!
//! A block marked `yaml` is a whole configuration of Ringway. Other YAML says whose it is behind that word
//! (`yaml kubernetes`), and is not read here.

mod commands;
pub mod markdown;
mod shape;

use std::fs;
use std::process::Command;

use ringway::config;

use self::markdown::{Page, pages, root};
use crate::support::metric_names::{is_metric, metrics_in};
use crate::support::program;

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

#[test]
fn every_link_leads_somewhere() {
    for page in pages().into_iter().chain([markdown::page("CHANGELOG.md")]) {
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
            "{}: no page links to it; docs/README.md lists them",
            page.path
        );
    }
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
