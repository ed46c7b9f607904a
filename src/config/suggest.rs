//! Suggests the known word that an unknown one was meant to be.

use super::error::quote;

/// Returns the hint for an unknown word: the known word that was meant, or otherwise a list of all.
pub fn hint<'a>(raw: &str, lead: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(raw, known.clone()) {
        Some(meant) => format!("did you mean {}?", quote(meant)),
        None => list(lead, known),
    }
}

/// Formats `lead: a, b, c`, truncated if there are very many.
pub fn list<'a>(lead: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    const SHOWN: usize = 30;
    let mut shown: Vec<&str> = known.clone().take(SHOWN).collect();
    if known.count() > SHOWN {
        shown.push("…");
    }
    format!("{lead}: {}", shown.join(", "))
}

/// Returns the known word of which `raw` is a misspelling, at most one edit in three letters away, or else the beginning.
/// Of very many known words the first thousand are tried.
pub fn nearest<'a>(raw: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    // Distances cost the product of both lengths, and a word this long is not a misspelling.
    const LONGEST: usize = 64;
    const TRIED: usize = 1000;
    // Fewer letters begin too many words.
    const BEGINNING: usize = 4;
    if raw.len() > LONGEST {
        return None;
    }
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    let raw = plain(raw);
    let begins = |word: &&str| raw.len() >= BEGINNING && plain(word).starts_with(&raw);
    let known = known.take(TRIED);
    known
        .clone()
        .filter(|word| word.len() <= LONGEST)
        .map(|word| (strsim::damerau_levenshtein(&raw, &plain(word)), word))
        .filter(|(distance, word)| {
            let longer = word.len().max(raw.len());
            *distance <= (longer / 3).max(1) && *distance < longer
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
        .or_else(|| known.clone().find(begins))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_another_word() {
        let cases = [
            ("listener", Some("listeners")),
            ("Pools", Some("pools")),
            ("hash-tag", Some("hash_tag")),
            ("request", Some("request_timeout")),
            ("lis", None),
            ("timeout", None),
            ("x", None),
            ("", None),
        ];
        let known = ["listeners", "pools", "hash_tag", "request_timeout", "p"];
        for (raw, meant) in cases {
            assert_eq!(nearest(raw, known.into_iter()), meant, "{raw}");
        }
    }
}
