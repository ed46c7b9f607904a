//! Warns of files with secrets that every user of the machine may read.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::error::{Location, Problem, quote};
use super::map_reader::MapReader;

/// Warns at `location` if every user of the machine may read `file`.
pub fn warn_if_exposed(file: &Path, location: &Location, keys: &mut MapReader<'_, '_>) {
    let mode = std::fs::metadata(file).map(|metadata| metadata.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o004 != 0) {
        let problem = Problem::new(format!(
            "every user may read {}",
            quote(&file.display().to_string())
        ));
        keys.warn_at(
            location,
            problem.hint("give it the mode 0600, or 0640 and a group"),
        );
    }
}
