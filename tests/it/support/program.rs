//! Starts programs and sends them signals. A program that cannot be started is named in the failure.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Starts a program.
pub fn start(command: &mut Command) -> Child {
    let started = command.spawn();
    started.unwrap_or_else(|error| panic!("{}", failure(command, &error)))
}

/// Runs a program to its end.
pub fn output(command: &mut Command) -> Output {
    let output = command.output();
    output.unwrap_or_else(|error| panic!("{}", failure(command, &error)))
}

/// Our own program, with these arguments.
pub fn ringway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(arguments);
    command
}

/// Its exit code, stdout and stderr.
pub fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Runs it to its end with these arguments, and with `input` on stdin.
pub fn fed(arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = ringway(arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = start(&mut command);
    let mut stdin = child.stdin.take().expect("piped");
    // It may have ended without reading all.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    said(&child.wait_with_output().expect("it ends"))
}

/// Says why a test cannot run on this machine and is left out. With `REQUIRE_TOOLS=1`, which `tests/run` sets for whole
/// runs, it fails instead: a test that is left out shows nothing.
pub fn skip(reason: &str) {
    let must_run = std::env::var("REQUIRE_TOOLS").is_ok_and(|value| value == "1");
    assert!(
        !must_run,
        "{reason}, and REQUIRE_TOOLS=1 says that every test must run"
    );
    eprintln!("skipped: {reason}");
}

fn failure(command: &Command, error: &std::io::Error) -> String {
    let program = command.get_program().display();
    format!("cannot start {program}: {error}; `tests/run` installs what is missing")
}

/// Sends `child` a signal by name, such as `TERM`.
pub fn signal(child: &Child, name: &str) {
    let signal = match name {
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "KILL" => Signal::KILL,
        "TERM" => Signal::TERM,
        "STOP" => Signal::STOP,
        "CONT" => Signal::CONT,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        _ => panic!("no test has sent SIG{name} before: add it here"),
    };
    let sent = kill_process(Pid::from_child(child), signal);
    sent.unwrap_or_else(|error| panic!("SIG{name} to process {}: {error}", child.id()));
}

#[test]
#[should_panic(expected = "cannot start no-such-program: No such file or directory")]
fn a_program_that_is_missing_is_named() {
    output(&mut Command::new("no-such-program"));
}

/// One that is started otherwise fails without its name where it is missing.
#[test]
fn every_file_that_starts_a_program_of_the_system_does_it_here() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut sources = Vec::new();
    super::sources::collect_rust_files(&tests, &mut sources);
    for source in sources
        .iter()
        .filter(|path| !path.ends_with("support/program.rs"))
    {
        let text = fs::read_to_string(source).expect("a source file is readable");
        // Our own program is always there.
        let starts = text.matches("Command::new(").count() > text.matches("Command::new(env!(").count();
        for call in [".spawn()", ".output()", ".status()"] {
            let file = source.display();
            assert!(
                !starts || !text.contains(call),
                "{file}: {call} instead of `support::program`"
            );
        }
    }
}
