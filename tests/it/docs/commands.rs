//! Commands, flags and paths in the documents: each one runs, or is one that the running program knows.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use super::markdown::{page, pages};
use crate::support::program;
use crate::support::ringway::{Ringway, free_port, http};

/// A Ringway that needs no memcached.
const EMBEDDED: &str =
    "pools: {main: {nodes: [{name: cache-a, embedded: 1MiB}, {name: cache-b, embedded: 1MiB}]}}";

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
        Some(&("nodes" | "health" | "top" | "tap")) if !arguments.contains(&"--admin") => {
            owned.extend(["--admin".to_owned(), own]);
            match arguments[0] {
                "top" => owned.push("--once".to_owned()),
                "tap" => owned.push("--seconds=1".to_owned()),
                _ => {}
            }
        }
        // It needs a handover: tests/it/warm.rs has them.
        Some(&"warm") => owned.push("--help".to_owned()),
        Some(&"observe") => return vec!["observe".to_owned(), "--help".to_owned()],
        Some(&"demo") => {
            let address = || format!("127.0.0.1:{}", free_port());
            owned.extend([
                "--seconds=1".to_owned(),
                format!("--listen={}", address()),
                format!("--admin={}", address()),
            ]);
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
        let target = path
            .replace("/pools/NAME", "/pools/main")
            .replace("/tap/ID", "/tap")
            .replace("NAME", "cache-a");
        let (status, _) = http(ringway.admin, method.unwrap_or("GET"), &target)
            .unwrap_or_else(|| panic!("{place}: no answer for {path}"));
        let is_served = status != 404 && (method.is_none() || status != 405);
        assert!(is_served, "{place}: {path} is not served: {status}");
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
