//! The README says what is so: its configurations load, and the flags, paths, metrics and files that it
//! names exist.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::deploy::{is_metric, metrics_in};

#[test]
fn every_yaml_block_of_the_readme_is_a_configuration_that_loads() {
    let blocks = blocks("yaml");
    assert!(!blocks.is_empty(), "the README shows no configuration");
    for (line, block) in blocks {
        if let Err(mistakes) = ringway::config::parse(&block, "README.md") {
            panic!("README.md:{line}: the block that begins here does not load: {mistakes:?}\n{block}");
        }
    }
}

#[test]
fn the_nutcracker_file_of_the_readme_is_one_that_nutcracker_takes() {
    for (line, block) in blocks("yaml nutcracker") {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let file = folder.path().join("nutcracker.yml");
        fs::write(&file, block).expect("it is writable");
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let output = Command::new("nutcracker")
            .env("PATH", path)
            .args(["--test-conf", "--conf-file"])
            .arg(&file)
            .output()
            .expect("nutcracker is installed, as `tests/run` does");
        assert!(
            output.status.success(),
            "README.md:{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn what_the_readme_says_becomes_of_a_nutcracker_file_becomes_of_it() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    for ((line, block), (_, expected)) in blocks("yaml nutcracker").into_iter().zip(blocks("yaml imported")) {
        let file = folder.path().join("nutcracker.yml");
        fs::write(&file, block).expect("it is writable");
        let output = Command::new(env!("CARGO_BIN_EXE_ringway"))
            .arg("import")
            .arg(&file)
            .output()
            .expect("the program runs");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(said(&output.stderr), "", "README.md:{line}");
        let (_, imported) = said(&output.stdout)
            .split_once('\n')
            .map(|(head, rest)| (head.to_owned(), rest.to_owned()))
            .expect("a line above it");
        assert_eq!(imported, expected, "README.md:{line}");
    }
    assert_eq!(blocks("yaml imported").len(), 1);
}

#[test]
fn every_flag_that_the_readme_names_is_in_the_help() {
    let help: String = [
        &["--help"][..],
        &["check", "--help"],
        &["explain", "--help"],
        &["diff", "--help"],
        &["import", "--help"],
        &["health", "--help"],
    ]
    .iter()
    .map(|arguments| {
        let output = Command::new(env!("CARGO_BIN_EXE_ringway"))
            .args(*arguments)
            .output()
            .expect("the program runs");
        assert!(output.status.success(), "ringway {arguments:?}");
        String::from_utf8(output.stdout).expect("help is UTF-8")
    })
    .collect();
    let section = section("Command line");
    let flags = section
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| word.starts_with("--") && word.len() > 2 && !word.ends_with('-'));
    let mut count = 0;
    for flag in flags {
        assert!(help.contains(flag), "the README names {flag}, the help does not");
        count += 1;
    }
    assert!(count >= 4, "the section names the flags");
}

#[test]
fn every_path_that_the_readme_lists_is_served() {
    let control = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/control");
    let source = text_under(&control);
    let section = section("HTTP");
    let paths = section
        .split(['`', ' ', '?'])
        .filter(|word| word.starts_with('/') && word.len() > 1);
    let mut count = 0;
    for path in paths {
        // What is done to a node stands behind its name.
        let named = path.strip_prefix("/nodes/NAME/").unwrap_or(path);
        assert!(
            source.contains(&format!("\"{named}\"")),
            "the README lists {path}, which src/control does not name"
        );
        count += 1;
    }
    assert!(count >= 8, "the section lists the paths");
}

#[test]
fn every_metric_that_the_readme_names_exists() {
    for metric in metrics_in(&readme()) {
        assert!(is_metric(metric), "the README names {metric}, which is no metric");
    }
}

#[test]
fn every_file_that_the_readme_points_to_is_there() {
    for document in ["README.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root(document)).expect("it is readable");
        for (offset, _) in text.match_indices("](") {
            let target = text[offset + 2..].split(')').next().expect("a link ends");
            if !target.starts_with("http") && !target.starts_with('#') {
                assert!(root(target).exists(), "{document} points to {target}");
            }
        }
    }
}

/// The fenced blocks of the README with this info string, each with the line where it begins.
fn blocks(info: &str) -> Vec<(usize, String)> {
    let text = readme();
    let fence = format!("```{info}");
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((line, opening)) = lines.next() {
        if opening == fence {
            let block: Vec<&str> = lines
                .by_ref()
                .map(|(_, text)| text)
                .take_while(|text| *text != "```")
                .collect();
            blocks.push((line + 1, block.join("\n") + "\n"));
        }
    }
    blocks
}

/// The text of the README's section with this heading.
fn section(heading: &str) -> String {
    let text = readme();
    let start = text
        .find(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("the README has no section {heading:?}"));
    let rest = &text[start + 4..];
    rest[..rest.find("\n## ").unwrap_or(rest.len())].to_owned()
}

fn text_under(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("src/control is readable") {
        let path = entry.expect("src/control is readable").path();
        text += &if path.is_dir() {
            text_under(&path)
        } else {
            fs::read_to_string(&path).expect("a source file is readable")
        };
    }
    text
}

fn readme() -> String {
    fs::read_to_string(root("README.md")).expect("the README is readable")
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
