//! The files of the repository's own source.

use std::fs;
use std::path::{Path, PathBuf};

/// Adds the Rust files under `folder`.
pub fn collect_rust_files(folder: &Path, sources: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("a readable folder");
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            collect_rust_files(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
    sources.sort();
}
