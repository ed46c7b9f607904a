//! Which known word was meant by one that nobody knows.

use super::error::quote;

/// The hint for an unknown word: the known word that was meant, or else a list of all.
pub fn hint<'a>(typed: &str, lead: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(typed, known.clone()) {
        Some(meant) => format!("did you mean {}?", quote(meant)),
        None => list(lead, known),
    }
}

/// `lead: a, b, c`, cut short where there are very many.
pub fn list<'a>(lead: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    const SHOWN: usize = 30;
    let mut shown: Vec<&str> = known.clone().take(SHOWN).collect();
    if known.count() > SHOWN {
        shown.push("…");
    }
    format!("{lead}: {}", shown.join(", "))
}

/// The known word that `typed` is a slip of: at most one edit in three letters away. Of very many known
/// words the first thousand are tried.
pub fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Distances cost the product of both lengths, and nobody slips in a word this long.
    const LONGEST: usize = 64;
    const TRIED: usize = 1000;
    if typed.len() > LONGEST {
        return None;
    }
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    let typed = plain(typed);
    known
        .take(TRIED)
        .filter(|word| word.len() <= LONGEST)
        .map(|word| (strsim::damerau_levenshtein(&typed, &plain(word)), word))
        .filter(|(distance, word)| {
            let longer = word.len().max(typed.len());
            *distance <= (longer / 3).max(1) && *distance < longer
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
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
            ("timeout", None),
            ("x", None),
            ("", None),
        ];
        let known = ["listeners", "pools", "hash_tag", "request_timeout", "p"];
        for (typed, meant) in cases {
            assert_eq!(nearest(typed, known.into_iter()), meant, "{typed}");
        }
    }
}
