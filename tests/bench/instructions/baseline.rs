//! The accepted counts, what they were counted on, and what a change of them means.

use std::fmt::Write;
use std::fs;
use std::process::Command;

/// Where the accepted counts stand.
const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/bench/instructions/baseline.txt"
);
/// A case may cost so much more than was accepted.
const TOLERANCE: f64 = 0.03;
/// How a rise is accepted.
const HOW: &str = "tests/bench/instructions/run --accept";

/// Instructions by case.
#[derive(Debug, Default, PartialEq)]
pub struct Baseline {
    /// What the numbers depend on beside the code.
    pub machine: String,
    /// Each case with its instructions per time.
    pub cases: Vec<(String, f64)>,
}

impl Baseline {
    /// What was accepted last; nothing where the file is not there.
    pub fn read() -> Baseline {
        let text = fs::read_to_string(FILE).unwrap_or_default();
        let mut baseline = Baseline::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(machine) = line.strip_prefix("counted with ") {
                baseline.machine = machine.to_owned();
            } else if let Some((name, count)) = line.split_once(' ') {
                let count = count.trim().parse().expect("a number behind each case");
                baseline.cases.push((name.to_owned(), count));
            }
        }
        baseline
    }

    /// Accepts these counts.
    pub fn write(&self) {
        let mut text = format!(
            "# Instructions for each time that a case is run. Written by {HOW};\n# a rise is argued for in the \
             commit that accepts it.\ncounted with {}\n",
            self.machine
        );
        for (name, count) in &self.cases {
            writeln!(text, "{name:<24} {count:>10.1}").expect("a string takes all");
        }
        fs::write(FILE, text).expect("the baseline can be written");
    }

    /// Prints these counts beside what was `accepted`. Returns a sentence for each that rose too far; none where
    /// they were counted with something else, so that they do not compare.
    pub fn compare(&self, accepted: &Baseline) -> Vec<String> {
        let mut rises = Vec::new();
        println!("{:<24} {:>10} {:>10} {:>8}", "case", "accepted", "now", "change");
        for (name, now) in &self.cases {
            let Some((_, before)) = accepted.cases.iter().find(|(known, _)| known == name) else {
                println!("{name:<24} {:>10} {now:>10.1}", "new");
                rises.push(format!(
                    "{name} is new, with {now:.1} instructions; accept it with {HOW}"
                ));
                continue;
            };
            let change = now / before - 1.0;
            println!("{name:<24} {before:>10.1} {now:>10.1} {:>+7.1} %", change * 100.0);
            if change > TOLERANCE {
                rises.push(format!(
                    "{name} takes {now:.1} instructions and took {before:.1}, {:.1} % more; mend it, or accept it \
                     with {HOW} and say why in the commit",
                    change * 100.0
                ));
            } else if change < -TOLERANCE {
                println!("{name} got cheaper; keep that with {HOW}");
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
