//! Writes lines to stderr, which may be closed or full: the exit code tells the rest.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes `text` as a line of stderr. Ignores failures: there is nowhere to report them.
pub fn note(text: impl Display) {
    let _unwritten = io::stderr().write_all(format!("{text}\n").as_bytes());
}
