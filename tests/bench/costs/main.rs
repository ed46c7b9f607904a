//! What a request costs, counted and not timed, so that a busy machine cannot disturb it: instructions and allocations,
//! and the memory of an idle session.
//!
//! Without arguments it counts every case, each in a process of its own, and compares with what `baseline.txt` says.
//! `--accept` writes what was counted there. `--case NAME` and `--session` are what such processes run.

mod baseline;
mod cases;
mod count;
mod idle;
#[path = "../resident.rs"]
mod resident;
mod round;
mod session;

use std::process::ExitCode;

use baseline::Baseline;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--case", name] => {
            cases::run(name);
            ExitCode::SUCCESS
        }
        ["--session"] => {
            println!("{}", idle::session_bytes());
            ExitCode::SUCCESS
        }
        [] => report(false),
        ["--accept"] => report(true),
        _ => {
            eprintln!("usage: tests/bench/costs/run [--accept]");
            ExitCode::from(2)
        }
    }
}

fn report(accepts: bool) -> ExitCode {
    let counted = Baseline {
        machine: baseline::machine(),
        session_bytes: count::session_bytes(),
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
        eprintln!("costs: {rise}");
    }
    if rises.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
