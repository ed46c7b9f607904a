//! Man pages and completions, as `cargo run --example manuals` makes them for packages.
//!
//! Needs man (Debian package man-db) and bash; `tests/run` installs them.

#[path = "../../deploy/manuals/make/mod.rs"]
mod make;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::program;

fn made() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder for the test");
    make::write(folder.path()).expect("it is writable");
    folder
}

/// What `man` shows of a page, without bold letters. Fails if it warns of anything.
fn shown(page: &Path) -> String {
    let output = program::output(
        Command::new("man")
            .args(["--warnings=all", "--local-file"])
            .arg(page)
            .envs([("MANWIDTH", "400"), ("LC_ALL", "C.UTF-8")]),
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{}: {said}",
        page.display()
    );
    String::from_utf8(output.stdout).expect("pages are UTF-8")
}

#[test]
fn the_page_of_the_configuration_has_every_key_with_its_default() {
    let folder = made();
    let page = shown(&folder.path().join("man/ringway.yaml.5"));
    let reference = include_str!("../../docs/configuration.md");
    let rows = reference.lines().filter(|line| line.starts_with("| `"));
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> = row
            .split(" | ")
            .map(|cell| cell.trim_matches(['|', ' ', '`']))
            .collect();
        let (key, default) = (cells[0], cells[1]);
        let line = page
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{key} (default: ")));
        let line = line.unwrap_or_else(|| panic!("no {key} in\n{page}"));
        // A default may be a sentence with code in it, and then be broken into lines.
        let first = default.split([' ', '`']).next().unwrap_or_default();
        assert!(line.contains(first), "{line}: {default}");
        count += 1;
    }
    assert!(count > 50, "{count}");
    assert!(!page.contains("]("), "links keep their words only:\n{page}");
}

#[test]
fn each_command_has_a_page_and_completions_know_it() {
    let folder = made();
    let help = program::output(Command::new(env!("CARGO_BIN_EXE_ringway")).arg("--help"));
    let help = String::from_utf8(help.stdout).expect("help is UTF-8");
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .collect();
    assert!(commands.len() >= 7, "{help}");
    let main = shown(&folder.path().join("man/ringway.1"));
    let script = folder.path().join("completions/ringway.bash");
    let complete = format!(
        ". {}; COMP_WORDS=(ringway ''); COMP_CWORD=1; _ringway ringway '' ringway; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    let completed = program::output(Command::new("bash").args(["-c", &complete]));
    let completed = String::from_utf8(completed.stdout).expect("names are UTF-8");
    for command in commands {
        let page = shown(&folder.path().join(format!("man/ringway-{command}.1")));
        assert!(
            page.contains(&format!("ringway-{command}")) || page.contains(command),
            "{page}"
        );
        assert!(
            main.contains(&format!("ringway-{command}(1)")),
            "{command} in {main}"
        );
        assert!(
            completed.lines().any(|line| line == command),
            "{command} in {completed}"
        );
        for file in ["_ringway", "ringway.fish"] {
            let text = fs::read_to_string(folder.path().join("completions").join(file)).expect("made");
            assert!(text.contains(command), "{command} in {file}");
        }
    }
}
