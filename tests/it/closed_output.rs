//! A reader that closes stdout or stderr early, or a full disk behind them, changes no exit code.

use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

use crate::support::program::{self, ringway};
use crate::support::ringway::{Ringway, free_port, pool};

/// A configuration with thousands of mistakes, more than a pipe holds.
fn many_mistakes() -> String {
    (0..5000).fold(String::new(), |mut text, number| {
        writeln!(text, "mistake{number}: 1").expect("memory");
        text
    })
}

/// The exit code if stderr is closed as soon as something was read from it.
fn code_if_stderr_closes(command: &mut Command) -> Option<i32> {
    let mut child = program::start(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    let mut stderr = child.stderr.take().expect("piped");
    stderr.read_exact(&mut [0]).expect("it says something");
    drop(stderr);
    child.wait().expect("it ends").code()
}

/// The exit code if stderr is on a full disk.
fn code_if_stderr_is_full(command: &mut Command) -> Option<i32> {
    let full = fs::File::options().write(true).open("/dev/full");
    let command = command.stderr(full.expect("Linux has it"));
    program::output(command).status.code()
}

#[test]
fn what_cannot_be_written_to_stderr_changes_no_exit_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("many.yaml"), many_mistakes()).expect("written");
    let warned =
        "listeners: [{bind: '127.0.0.1:1', route: p}]\npools: {p: {nodes: [a:1]}, unused: {nodes: [b:1]}}\n";
    fs::write(path("warned.yaml"), warned).expect("written");
    fs::write(path("servers"), "--SERVER=a:1 --UNKNOWN").expect("written");
    let nowhere = format!("127.0.0.1:{}", free_port());
    for (arguments, expected) in [
        (&["check", &path("many.yaml")][..], 1),
        (&["--config", &path("many.yaml")], 1),
        (&["check", &path("warned.yaml")], 0),
        (&["import", &path("servers")], 1),
        (&["health", "--admin", &nowhere], 1),
        (&["--log", "debugg"], 2),
        (&["many.yaml"], 2),
    ] {
        let code = code_if_stderr_is_full(&mut ringway(arguments));
        assert_eq!(code, Some(expected), "{arguments:?}");
    }
    let code = code_if_stderr_closes(&mut ringway(&["check", &path("many.yaml")]));
    assert_eq!(code, Some(1));
}

#[test]
fn a_reader_of_stdout_that_has_read_enough_hides_no_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("old.yaml"), "pools: {p: {nodes: [a:1]}}").expect("written");
    let dead = format!("pools: {{p: {{nodes: ['127.0.0.1:{}']}}}}", free_port());
    fs::write(path("dead.yaml"), dead).expect("written");
    fs::write(path("new.yaml"), "pools: {p: {nodes: [b:1]}}").expect("written");
    fs::write(path("servers"), "--SERVER=a:1 --UNKNOWN").expect("written");
    for (arguments, expected) in [
        (&["diff", &path("old.yaml"), &path("new.yaml")][..], 0),
        (
            &["diff", &path("old.yaml"), &path("new.yaml"), "--fail-over", "1%"],
            1,
        ),
        (&["import", &path("servers")], 1),
        (&["import", &path("servers"), "-o", &path("made.yaml")], 1),
        (&["check", &path("old.yaml")], 0),
        (&["check", "--live", &path("dead.yaml")], 1),
        (&["schema"], 0),
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let code = program::output(ringway(arguments).stdout(writer)).status.code();
        assert_eq!(code, Some(expected), "{arguments:?}");
    }
}

#[test]
fn top_ends_well_if_its_reader_has_read_enough() {
    let ringway_at = Ringway::start(&pool(&["127.0.0.1:1".to_owned()], &[]));
    let admin = format!("127.0.0.1:{}", ringway_at.admin);
    for form in [&["--json"][..], &[]] {
        let arguments = [&["top", "--admin", &admin], form].concat();
        let mut top = program::start(ringway(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let mut out = top.stdout.take().expect("piped");
        out.read_exact(&mut [0]).expect("it shows something");
        drop(out);
        let output = top.wait_with_output().expect("it ends");
        let (code, _, err) = program::said(&output);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{form:?}");
    }
}
