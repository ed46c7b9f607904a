//! The accepted counts, what they were counted on, and what a change of them means.

use std::fmt::Write;
use std::fs;
use std::process::Command;

/// Where the accepted counts stand.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/costs/baseline.txt");
/// So much more of something may be counted than was accepted.
const TOLERANCE: f64 = 0.03;
/// How a rise is accepted.
const HOW: &str = "tests/bench/costs/run --accept";

/// What a case costs each time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    pub instructions: f64,
    pub allocations: f64,
}

/// What was counted.
#[derive(Debug, Default, PartialEq)]
pub struct Baseline {
    /// What the numbers depend on beside the code.
    pub machine: String,
    /// Bytes of an idle session.
    pub session_bytes: f64,
    /// Each case with its cost.
    pub cases: Vec<(String, Cost)>,
}

impl Cost {
    /// Each figure with its name.
    fn figures(&self) -> [(&'static str, f64); 2] {
        [
            ("instructions", self.instructions),
            ("allocations", self.allocations),
        ]
    }
}

impl Baseline {
    /// What was accepted last; nothing where the file is not there.
    pub fn read() -> Baseline {
        let text = fs::read_to_string(FILE).unwrap_or_default();
        let mut baseline = Baseline::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(machine) = line.strip_prefix("counted with ") {
                baseline.machine = machine.to_owned();
            } else if let Some(bytes) = line.strip_prefix("bytes of an idle session ") {
                baseline.session_bytes = bytes.trim().parse().expect("a number of bytes");
            } else if let Some((name, figures)) = line.split_once(' ') {
                let mut figures = figures.split_whitespace().map(|figure| figure.parse().ok());
                let mut next = || figures.next().flatten().expect("two numbers behind each case");
                let cost = Cost {
                    instructions: next(),
                    allocations: next(),
                };
                baseline.cases.push((name.to_owned(), cost));
            }
        }
        baseline
    }

    /// Accepts these counts.
    pub fn write(&self) {
        let mut text = format!(
            "# Instructions and allocations each time that a case is run; one allocation of each round is this program's own.\n\
             # Written by {HOW}; a rise is argued for in the commit that accepts it.\n\
             counted with {}\nbytes of an idle session {:.0}\n",
            self.machine, self.session_bytes
        );
        for (name, cost) in &self.cases {
            let (instructions, allocations) = (cost.instructions, cost.allocations);
            writeln!(text, "{name:<24} {instructions:>10.1} {allocations:>8.2}").expect("a string takes all");
        }
        fs::write(FILE, text).expect("the baseline can be written");
    }

    /// Prints these counts beside what was `accepted`. Returns a sentence for each that rose too far; none where
    /// they were counted with something else, so that they do not compare.
    pub fn compare(&self, accepted: &Baseline) -> Vec<String> {
        let mut rises = Vec::new();
        println!(
            "{:<40} {:>10} {:>10} {:>8}",
            "each time", "accepted", "now", "change"
        );
        let sessions = ("idle session, bytes", accepted.session_bytes, self.session_bytes);
        rises.extend(compare(sessions.0, sessions.1, sessions.2));
        for (name, now) in &self.cases {
            let Some((_, before)) = accepted.cases.iter().find(|(known, _)| known == name) else {
                rises.push(format!("{name} is new: {now:?}; accept it with {HOW}"));
                continue;
            };
            for ((figure, before), (_, now)) in before.figures().into_iter().zip(now.figures()) {
                rises.extend(compare(&format!("{name}, {figure}"), before, now));
            }
        }
        if self.machine != accepted.machine {
            println!(
                "counted with {}, but accepted with {}: nothing is held against anybody",
                self.machine, accepted.machine
            );
            rises.clear();
        }
        rises
    }
}

/// Prints a figure `now` beside what it was `before`. Returns a sentence if it rose too far.
fn compare(what: &str, before: f64, now: f64) -> Option<String> {
    if before == 0.0 && now == 0.0 {
        return None;
    }
    let change = now / before - 1.0;
    println!("{what:<40} {before:>10.1} {now:>10.1} {:>+7.1} %", change * 100.0);
    if change > TOLERANCE {
        return Some(format!(
            "{what}: {now:.2}, and was {before:.2}; mend it, or accept it with {HOW} and say why in the commit"
        ));
    }
    if change < -TOLERANCE {
        println!("{what} got less; keep that with {HOW}");
    }
    None
}

/// The compiler, the instruction set and the C library: with another one the same code counts otherwise.
pub fn machine() -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        text.unwrap_or_default()
    };
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let simd = if flags.contains(" avx2") {
        "avx2"
    } else {
        "no avx2"
    };
    let valgrind = said("valgrind", &["--version"]);
    let libc = said("getconf", &["GNU_LIBC_VERSION"]);
    format!(
        "{}, {}, {simd}, {libc}, {valgrind}",
        said("rustc", &["--version"]),
        std::env::consts::ARCH
    )
}
