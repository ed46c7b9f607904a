//! Counts what one case executes, in a process of its own under callgrind.

use std::hint::black_box;
use std::process::Command;

/// Times that a case is run before anything is counted: buffers grow, and one-time work is done.
const WARM_UP: usize = 300;
/// Times that are counted.
const TIMES: usize = 500;

/// Runs `once` again and again; callgrind sees the last so many times.
pub fn measure(mut once: impl FnMut()) {
    (0..WARM_UP).for_each(|_| once());
    measured(&mut once);
}

/// What happens in here is counted.
#[inline(never)]
fn measured(once: &mut dyn FnMut()) {
    for _ in 0..TIMES {
        black_box(&mut *once)();
    }
}

/// Instructions for each time that the case called `name` is run.
pub fn count(name: &str) -> f64 {
    let program = std::env::current_exe().expect("a path to this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args([
            "--collect-atstart=no",
            "--toggle-collect=instructions::count::measured*",
        ])
        .arg(program)
        .args(["--case", name])
        .output()
        .expect("valgrind is installed: apt-get install valgrind");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "case {name} fails:\n{said}");
    let total = said.lines().find_map(|line| line.split_once("Collected : "));
    let total = total.and_then(|(_, number)| number.trim().parse::<u64>().ok());
    match total {
        Some(total) if total > 0 => total as f64 / TIMES as f64,
        _ => panic!("callgrind collected nothing for {name}:\n{said}"),
    }
}
