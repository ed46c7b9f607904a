//! The words for settings that are a choice of few, as they are typed and as they are shown.

use super::error::{Problem, quote};
use super::{Batching, FlushAll, OnNodeDown, OnReadError, OnWriteError, Protect, Protocol, Rejoin, suggest};

/// The words for `batching`.
pub const BATCHING: &[(&str, Batching)] = &[("when-busy", Batching::WhenBusy), ("never", Batching::Never)];

/// The words for `protocol`.
pub const PROTOCOL: &[(&str, Protocol)] = &[
    ("auto", Protocol::Auto),
    ("meta", Protocol::Meta),
    ("classic", Protocol::Classic),
];

/// The words for `on_read_error`.
pub const ON_READ_ERROR: &[(&str, OnReadError)] =
    &[("miss", OnReadError::Miss), ("error", OnReadError::Error)];

/// The words for `on_write_error`.
pub const ON_WRITE_ERROR: &[(&str, OnWriteError)] = &[
    ("not_stored", OnWriteError::NotStored),
    ("error", OnWriteError::Error),
];

/// The words for `on_node_down`.
pub const ON_NODE_DOWN: &[(&str, OnNodeDown)] = &[("fail", OnNodeDown::Fail), ("rehash", OnNodeDown::Rehash)];

/// The words for `rejoin`.
pub const REJOIN: &[(&str, Rejoin)] = &[
    ("flush", Rejoin::Flush),
    ("trust", Rejoin::Trust),
    ("manual", Rejoin::Manual),
];

/// The words for `admin.protect`.
pub const PROTECT: &[(&str, Protect)] = &[("changes", Protect::Changes), ("all", Protect::All)];

/// The words for `flush_all`.
pub const FLUSH_ALL: &[(&str, FlushAll)] = &[("allow", FlushAll::Allow), ("deny", FlushAll::Deny)];

/// Reads one of the words of `choices`.
pub fn choose<T: Copy>(choices: &[(&'static str, T)]) -> impl Fn(&str) -> Result<T, Problem> {
    move |text| {
        let chosen = choices
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, choice)| *choice);
        chosen.ok_or_else(|| {
            let words = choices.iter().map(|(word, _)| *word);
            Problem::new(format!("{} is no choice", quote(text))).hint(suggest::hint(
                text,
                "choose one of",
                words,
            ))
        })
    }
}

/// The word for `choice`.
pub fn word<T: PartialEq>(choices: &[(&'static str, T)], choice: &T) -> &'static str {
    let found = choices.iter().find(|(_, other)| other == choice);
    found.map(|(word, _)| *word).expect("every choice has its word")
}
