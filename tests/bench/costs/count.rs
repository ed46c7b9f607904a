//! Counts what one case costs, in a process of its own under callgrind.

use std::fs;
use std::hint::black_box;
use std::process::Command;

use super::baseline::Cost;

/// Times that a case is run before anything is counted: buffers grow, and one-time work is done.
const WARM_UP: usize = 300;
/// Times that are counted.
const TIMES: u32 = 500;
/// The C library's functions that give memory.
const ALLOCATING: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];
/// Says to the process of a case how often it is run.
const VARIABLE: &str = "COSTS_TIMES";

/// Runs `once` again and again; callgrind sees the last times.
pub fn measure(mut once: impl FnMut()) {
    let times = std::env::var(VARIABLE).map_or(0, |times| times.parse().expect("a number"));
    (0..WARM_UP).for_each(|_| once());
    measured(times, &mut once);
}

/// What happens in here is counted.
#[inline(never)]
fn measured(times: u32, once: &mut dyn FnMut()) {
    for _ in 0..times {
        black_box(&mut *once)();
    }
}

/// What the case called `name` costs each time that it is run.
pub fn count(name: &str) -> Cost {
    let (instructions, allocations) = callgrind(name, TIMES);
    // Calls of functions are counted from the start of the process on: those up to the first time are not meant.
    let (_, before) = callgrind(name, 1);
    Cost {
        instructions: instructions as f64 / f64::from(TIMES),
        allocations: (allocations - before) as f64 / f64::from(TIMES - 1),
    }
}

/// Instructions while the case is run so often, and how often memory was asked for by the whole process.
fn callgrind(name: &str, times: u32) -> (u64, u64) {
    let directory = tempfile::tempdir().expect("a directory");
    let profile = directory.path().join("profile");
    let mut callgrind = Command::new("valgrind");
    callgrind
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .args(["--compress-strings=no", "--compress-pos=no"])
        .arg("--toggle-collect=costs::count::measured*")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe().expect("a path to this program"))
        .args(["--case", name])
        .env(VARIABLE, times.to_string());
    let output = callgrind
        .output()
        .expect("valgrind is installed: apt-get install valgrind");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "case {name} fails:\n{said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let instructions = collected.and_then(|(_, count)| count.trim().parse::<u64>().ok());
    let instructions = instructions.unwrap_or_else(|| panic!("callgrind says no count for {name}:\n{said}"));
    assert!(instructions > 0, "nothing was collected for {name}");
    let profile = fs::read_to_string(profile).expect("callgrind writes its profile");
    (instructions, allocations(&profile))
}

/// Bytes of memory that an idle session takes, counted in a process of its own.
pub fn session_bytes() -> f64 {
    let program = std::env::current_exe().expect("a path to this program");
    let output = Command::new(program).arg("--session").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    said.trim().parse().expect("a number of bytes")
}

/// How often memory was asked for: the calls in a profile, in which the line behind a called function counts them.
fn allocations(profile: &str) -> u64 {
    let mut lines = profile.lines();
    let mut total = 0;
    while let Some(line) = lines.next() {
        let Some(called) = line.strip_prefix("cfn=") else {
            continue;
        };
        if !ALLOCATING.contains(&called) {
            continue;
        }
        let calls = lines.find_map(|line| line.strip_prefix("calls="));
        let count = calls.and_then(|calls| calls.split(' ').next()?.parse::<u64>().ok());
        total += count.expect("callgrind counts each call");
    }
    total
}
