//! Warns of files with secrets that every user of the machine may read.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::error::Problem;
use super::files::shown;
use super::map_reader::MapReader;

/// Warns at the value of `key`, which is `file`, if every user of the machine may read it.
pub fn warn_if_exposed(file: &Path, key: &str, keys: &mut MapReader<'_, '_>) {
    let mode = std::fs::metadata(file).map(|metadata| metadata.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o004 != 0)
        && let Some(location) = keys.location(key)
    {
        let problem = Problem::new(format!("every user may read {}", shown(file)));
        keys.warn_at(
            &location,
            problem.hint("give it the mode 0600, or 0640 and a group"),
        );
    }
}
