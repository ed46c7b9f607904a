//! Words that were replaced by the field's own, and stay so: in code, comments, help texts and documents.

use std::fs;
use std::path::{Path, PathBuf};

/// Names that are not used in code any more, and their replacements.
const RETIRED_NAMES: [(&str, &str); 36] = [
    ("AtWork", "InProgress"),
    ("Audience", "ReplyMode"),
    ("Carrier", "Forwarder"),
    ("Carry", "Forward"),
    ("Complaint", "LogOnChange"),
    ("Fifo", "InFlightQueue"),
    ("Flaw", "Problem"),
    ("GetLine", "MultiGetLine"),
    ("Misfit", "Invalid"),
    ("Mistake", "Diagnostic"),
    ("Opening", "Connect"),
    ("Owed", "InFlight"),
    ("Parked", "QueuedRequests"),
    ("Roll", "RingMembers"),
    ("Said", "ByteQueue"),
    ("StandIn", "StaticReply or FallbackNodes"),
    ("Torn", "Truncated"),
    ("Typed", "YamlNode"),
    ("Voice", "WireFormat"),
    ("Waiter", "PendingReply"),
    ("at_work", "in_progress"),
    ("break_off", "close_with_error"),
    ("converse", "serve_connection"),
    ("fifo", "in_flight"),
    ("is_calm", "is_below_low_watermark"),
    ("is_greedy", "is_over_quota"),
    ("is_unsayable", "needs_base64"),
    ("left_out", "dropped"),
    ("lets_in", "admits"),
    ("links_number", "links_generation"),
    ("may_nap", "may_wait"),
    ("naps", "batching_waits"),
    ("needs_restart", "requires_restart"),
    ("owes", "has_outstanding"),
    ("pass_over", "skip_value, skip_body"),
    ("stand_in", "static_reply or fallback"),
];

/// Phrases that are not written any more, neither in code nor in documents, and what is written instead.
const RETIRED_PHRASES: [(&str, &str); 24] = [
    ("True for ", "Whether …"),
    ("MOST_", "MAX_"),
    ("LEAST_", "MIN_"),
    ("Told where ", "Reported at …"),
    ("Where there were mistakes", "If …"),
    ("a year (8760h) is the most", "the maximum is one year (8760h)"),
    ("is no choice", "is not a valid value"),
    ("is no whole number", "is not a whole number"),
    ("is no duration", "is not a duration"),
    ("it is not said", "`key` is missing"),
    ("no UTF-8 text", "not valid UTF-8"),
    ("no YAML: ", "invalid YAML: "),
    ("so many bytes", "the number of bytes"),
    ("True where ", "Whether …, or: Returns true if …"),
    ("`None` where ", "`None` if …"),
    ("So many ", "The number of …"),
    ("hat comes of ", "the result of …, or: Handles …"),
    ("told of ", "reported"),
    ("by and by", "gradually"),
    ("out of its mind", "invalid"),
    ("in nobody's way", "never delays …"),
    ("worker_naps_total", "worker_batching_waits_total"),
    ("ringway_at_work", "ringway_route_requests_in_progress"),
    ("values_left_out", "values_dropped"),
];

#[test]
fn retired_words_do_not_come_back() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for file in texts(root) {
        let text = fs::read_to_string(&file).expect("a file of the repository is readable");
        let file = file.strip_prefix(root).unwrap_or(&file);
        for (number, line) in text.lines().enumerate() {
            let retired = |retired, adopted| {
                format!(
                    "{}:{}: `{retired}` is retired: {adopted}",
                    file.display(),
                    number + 1
                )
            };
            if file.starts_with("src") {
                let names = RETIRED_NAMES.iter().filter(|(name, _)| has_word(line, name));
                found.extend(names.map(|(name, adopted)| retired(*name, *adopted)));
            }
            let phrases = RETIRED_PHRASES.iter().filter(|(phrase, _)| line.contains(phrase));
            found.extend(phrases.map(|(phrase, adopted)| retired(*phrase, *adopted)));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Returns the code, the documents and the example configurations of the repository.
fn texts(root: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]
        .map(|document| root.join(document))
        .into();
    let mut folders: Vec<PathBuf> = ["src", "docs", "config"].map(|folder| root.join(folder)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the repository is readable") {
            let path = entry.expect("a folder of the repository is readable").path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if path.is_dir() {
                folders.push(path);
            } else if matches!(extension, Some("rs" | "md" | "yaml")) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Whether `line` contains `word` and not just as a part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |character: Option<char>| {
        character.is_some_and(|character| character.is_alphanumeric() || character == '_')
    };
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !is_part(before.chars().next_back()) && !is_part(after.chars().next())
    })
}

#[test]
fn a_word_is_found_only_as_a_whole() {
    assert!(has_word("let nap = 1;", "nap") && has_word("// nap", "nap"));
    assert!(!has_word("snapshot, may_nap, naps", "nap"));
}
