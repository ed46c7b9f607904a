//! The fuzz targets' corpus, replayed: what must hold of any bytes holds of those that fuzzing found.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

#[path = "../fuzz/properties/mod.rs"]
mod properties;

use properties::TARGETS;

#[test]
fn what_must_hold_of_any_bytes_holds_of_the_corpus() {
    for (name, check) in TARGETS {
        let files = files(&fuzz(&format!("corpus/{name}")));
        assert!(!files.is_empty(), "the target {name} has no corpus");
        for file in files {
            let bytes = fs::read(&file).expect("a file of the corpus is readable");
            assert!(catch_unwind(|| check(&bytes)).is_ok(), "{}", file.display());
        }
    }
}

#[test]
fn every_target_is_built_and_nothing_else_has_a_corpus() {
    let manifest = fs::read_to_string(fuzz("Cargo.toml")).expect("it is readable");
    let known: Vec<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    for name in &known {
        assert!(
            manifest.contains(&format!("path = \"targets/{name}.rs\"")),
            "{name}"
        );
        let text = fs::read_to_string(fuzz(&format!("targets/{name}.rs"))).expect("it is readable");
        assert!(text.contains(&format!("properties::{name}::check")), "{name}");
    }
    for folder in ["corpus", "targets"] {
        let found: Vec<String> = files(&fuzz(folder))
            .iter()
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .collect();
        assert_eq!(found, known, "tests/fuzz/{folder}");
    }
}

fn fuzz(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz")
        .join(path)
}

/// What lies in `folder`, in order; nothing if there is none.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("it is readable").path())
        .collect();
    files.sort();
    files
}
