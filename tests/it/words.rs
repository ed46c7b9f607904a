//! Words that were replaced by the field's own, and stay so: in code, comments, help texts and documents.

use std::fs;
use std::path::Path;

use crate::floors::collect;

/// What is not written any more, and what is written instead.
const RETIRED: [(&str, &str); 5] = [
    ("True where ", "Whether …, or: Returns true if …"),
    ("`None` where ", "`None` if …"),
    ("worker_naps_total", "worker_batching_waits_total"),
    ("ringway_at_work", "ringway_route_requests_in_progress"),
    ("values_left_out", "values_dropped"),
];

#[test]
fn retired_words_do_not_come_back() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    let documents = [
        "README.md",
        "CONTRIBUTING.md",
        "docs/operations.md",
        "config/full.yaml",
    ];
    files.extend(documents.map(|document| root.join(document)));
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a file of the repository is readable");
        for (number, line) in text.lines().enumerate() {
            for (retired, adopted) in RETIRED.iter().filter(|(retired, _)| line.contains(retired)) {
                let file = file.strip_prefix(root).unwrap_or(&file).display();
                found.push(format!(
                    "{file}:{}: `{retired}` is retired: {adopted}",
                    number + 1
                ));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
