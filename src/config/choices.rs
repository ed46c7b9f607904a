//! The words for settings that are a choice of few, as they are typed and as they are shown.

use super::error::{Problem, quote};
use super::suggest;

/// Reads one of the words of `choices`.
pub fn choose<T: Copy>(choices: &[(&'static str, T)]) -> impl Fn(&str) -> Result<T, Problem> {
    move |text| {
        let chosen = choices
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, choice)| *choice);
        chosen.ok_or_else(|| {
            let words = choices.iter().map(|(word, _)| *word);
            Problem::new(format!("{} is not a valid value", quote(text))).hint(suggest::hint(
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
