//! Instructions per request, counted by callgrind: the benchmark that a busy machine cannot disturb.
//!
//! Without arguments it counts every case, each in a process of its own under valgrind, and compares with what
//! `baseline.txt` says. `--accept` writes what was counted there. `--case NAME` is what such a process runs.

mod baseline;
mod cases;
mod count;
mod round;

use std::process::ExitCode;

use baseline::Baseline;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--case", name] => {
            cases::run(name);
            ExitCode::SUCCESS
        }
        [] => report(false),
        ["--accept"] => report(true),
        _ => {
            eprintln!("usage: tests/bench/instructions/run [--accept]");
            ExitCode::from(2)
        }
    }
}

fn report(accepts: bool) -> ExitCode {
    let counted = Baseline {
        machine: baseline::machine(),
        cases: cases::names()
            .map(|name| (name.to_owned(), count::count(name)))
            .collect(),
    };
    if accepts {
        counted.write();
        println!("accepted {} cases", counted.cases.len());
        return ExitCode::SUCCESS;
    }
    let rises = counted.compare(&Baseline::read());
    for rise in &rises {
        eprintln!("instructions: {rise}");
    }
    if rises.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
