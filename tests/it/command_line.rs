//! The command line, as an operator types it: what it prints and how it exits.

use std::process::{Command, Output};

fn ringway(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringway"))
        .args(arguments)
        .output()
        .expect("the program runs")
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn check_is_silent_about_a_good_file_and_tells_every_mistake_of_a_bad_one() {
    assert_eq!(
        said(&ringway(&["check", "config/full.yaml"])),
        (Some(0), String::new(), String::new())
    );
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("bad.yaml");
    std::fs::write(
        &file,
        "workers: 0\npools:\n  main:\n    nodes: [\"10.0.0.1\"]\n    conections: 2\n",
    )
    .expect("written");
    let (code, out, err) = said(&ringway(&["check", file.to_str().expect("UTF-8")]));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let name = file.display();
    for start in [
        format!("{name}:1:10: workers: "),
        format!("{name}:4:13: pools.main.nodes[0]: "),
        format!("{name}:5:5: pools.main.conections: "),
    ] {
        assert!(
            err.lines().any(|line| line.starts_with(&start)),
            "{start} in {err}"
        );
    }
    assert!(err.contains("did you mean \"connections\""), "{err}");
}

#[test]
fn explain_prints_a_line_for_each_key() {
    let (code, out, err) = said(&ringway(&[
        "explain",
        "-c",
        "config/several-pools.yaml",
        "one",
        "two",
    ]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let words: Vec<Vec<&str>> = out.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(
        words
            .iter()
            .map(|words| (words[0], words.len()))
            .collect::<Vec<_>>(),
        [("one", 4), ("two", 4)]
    );
}

#[test]
fn each_way_to_fail_has_its_exit_code() {
    for (arguments, code, says) in [
        (&["--config", "no/such/file.yaml"][..], 1, "no/such/file.yaml"),
        (&["check", "no/such/file.yaml"], 1, "no/such/file.yaml"),
        (&["explain", "key"], 2, "--config"),
        (&["--no-such-flag"], 2, "--no-such-flag"),
        (&["--log", "debugg"], 2, "no such level"),
        (&["health", "--admin", "127.0.0.1:1"], 1, "127.0.0.1:1"),
    ] {
        let (got, _, err) = said(&ringway(arguments));
        assert_eq!(got, Some(code), "{arguments:?}: {err}");
        assert!(err.contains(says), "{arguments:?}: {err}");
    }
}
