//! How keys are shown: by name, or as a hash.
//!
//! Keys are data of the application: with `show_keys: false` each is shown as a hash, made with a secret that
//! lives and ends with this process. The same key then has the same hash in every answer.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use serde::Serialize;

/// The secret of the hashes.
static HASHES: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A key as it is shown.
#[derive(Debug, Serialize)]
pub struct ShownKey {
    /// Null if keys are not shown.
    key: Option<String>,
    /// Null if keys are shown.
    hash: Option<String>,
}

impl ShownKey {
    /// Shows `key` by name, or as its hash.
    pub fn new(key: &[u8], by_name: bool) -> ShownKey {
        ShownKey {
            key: by_name.then(|| readable(key)),
            hash: (!by_name).then(|| format!("{:016x}", HASHES.hash_one(key))),
        }
    }
}

/// A key that is not UTF-8 is shown with `\xNN` for what is not ASCII.
fn readable(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) => text.to_owned(),
        Err(_) => key.escape_ascii().to_string(),
    }
}
