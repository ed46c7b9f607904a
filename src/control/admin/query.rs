//! Parses the query of a URI.

use std::ops::RangeInclusive;

use thiserror::Error;

use crate::snapshot::Snapshot;

/// Why a query has no answer.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum QueryError {
    /// A field is not known.
    #[error("no field {found:?} here, {}", listed(.known))]
    Unknown {
        /// The field.
        found: String,
        /// The known ones.
        known: &'static [&'static str],
    },
    /// A field is there more than once.
    #[error("{0} is there twice: which one is meant?")]
    Twice(&'static str),
    /// A field cannot be decoded.
    #[error("{field}: {source}")]
    Escape {
        /// The field.
        field: &'static str,
        /// What is wrong.
        source: BadEscape,
    },
    /// No pool has the name.
    #[error("no pool {0:?}; GET /pools lists them")]
    NoPool(String),
    /// A field is not one of few words.
    #[error("{field}: {found:?} is not {meant}")]
    NoWord {
        /// The field.
        field: &'static str,
        /// What it says.
        found: String,
        /// What it could say.
        meant: &'static str,
    },
    /// A field is not a number of its range.
    #[error("{field}: {found:?} is not a number from {least} to {most}")]
    NoNumber {
        /// The field.
        field: &'static str,
        /// What it says.
        found: String,
        /// The smallest number.
        least: usize,
        /// The largest one.
        most: usize,
    },
}

/// The fields that there are, for people.
fn listed(known: &[&str]) -> String {
    match known {
        [] => "this request has none".to_owned(),
        known => format!("known here: {}", known.join(", ")),
    }
}

/// Refuses a `query` with a field that is not in `known`, or is there twice: a typo in a field that says which change is
/// meant must not make another change.
pub fn check(query: &str, known: &'static [&'static str]) -> Result<(), QueryError> {
    let mut seen = Vec::new();
    for field in query.split('&').filter(|field| !field.is_empty()) {
        let found = field.split_once('=').map_or(field, |(name, _)| name);
        let Some(name) = known.iter().find(|name| **name == found) else {
            let found = found.to_owned();
            return Err(QueryError::Unknown { found, known });
        };
        if seen.contains(name) {
            return Err(QueryError::Twice(name));
        }
        seen.push(*name);
    }
    Ok(())
}

/// Returns the value of the field called `name`, with what is not UTF-8 replaced.
pub fn named(query: &str, name: &'static str) -> Result<Option<String>, QueryError> {
    let found = field(query, name).map_err(|source| QueryError::Escape { field: name, source })?;
    Ok(found.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Returns the field `pool`, which must name one of `snapshot`.
pub fn pool(query: &str, snapshot: &Snapshot) -> Result<Option<String>, QueryError> {
    match named(query, "pool")? {
        Some(name) if !snapshot.pools.contains_key(&name) => Err(QueryError::NoPool(name)),
        found => Ok(found),
    }
}

/// Returns the field called `name`, which must be a number within `range`.
pub fn number(
    query: &str,
    name: &'static str,
    range: RangeInclusive<usize>,
) -> Result<Option<usize>, QueryError> {
    let Some(found) = named(query, name)? else {
        return Ok(None);
    };
    match found.parse() {
        Ok(number) if range.contains(&number) => Ok(Some(number)),
        _ => Err(QueryError::NoNumber {
            field: name,
            found,
            least: *range.start(),
            most: *range.end(),
        }),
    }
}

/// Returns the value of the first field called `name`, with its `%XX` decoded. `Err` if a `%` is not
/// followed by two hexadecimal digits.
///
/// A `+` stays a plus sign: it is a common character in keys. Forms use it for a space, which a key cannot
/// contain.
pub fn field(query: &str, name: &str) -> Result<Option<Vec<u8>>, BadEscape> {
    let mut fields = query
        .split('&')
        .map(|field| field.split_once('=').unwrap_or((field, "")));
    fields
        .find(|(found, _)| *found == name)
        .map(|(_, value)| decode(value.as_bytes()))
        .transpose()
}

/// A `%` that is not followed by two hexadecimal digits.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("% must be followed by two hexadecimal digits")]
pub struct BadEscape;

/// Decodes every `%XX` in `text`.
pub fn decode(mut text: &[u8]) -> Result<Vec<u8>, BadEscape> {
    let mut decoded = Vec::with_capacity(text.len());
    loop {
        match text {
            [] => return Ok(decoded),
            [b'%', high, low, rest @ ..] => {
                decoded.push(digit(*high)? << 4 | digit(*low)?);
                text = rest;
            }
            [b'%', ..] => return Err(BadEscape),
            [byte, rest @ ..] => {
                decoded.push(*byte);
                text = rest;
            }
        }
    }
}

fn digit(byte: u8) -> Result<u8, BadEscape> {
    let digit = char::from(byte).to_digit(16).ok_or(BadEscape)?;
    Ok(u8::try_from(digit).expect("below 16"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_repeated_fields_are_refused() {
        let check = |query, known| check(query, known).map_err(|error| error.to_string());
        for query in ["", "&", "from=serve", "n=1&from=", "from&"] {
            assert_eq!(check(query, &["from", "n"]), Ok(()), "{query}");
        }
        for (query, expected) in [
            ("form=serve", r#"no field "form" here, known here: from, n"#),
            ("from=serve&form", r#"no field "form" here, known here: from, n"#),
            ("FROM=serve", r#"no field "FROM" here, known here: from, n"#),
            ("%66rom=serve", r#"no field "%66rom" here, known here: from, n"#),
            ("=serve", r#"no field "" here, known here: from, n"#),
            ("n=1&n=2", "n is there twice: which one is meant?"),
        ] {
            assert_eq!(check(query, &["from", "n"]), Err(expected.to_owned()), "{query}");
        }
        let none = r#"no field "x" here, this request has none"#;
        assert_eq!(check("x=1", &[]), Err(none.to_owned()));
    }

    #[test]
    fn fields_are_found_and_decoded() {
        type Expected = Result<Option<&'static [u8]>, BadEscape>;
        let cases: &[(&str, Expected)] = &[
            ("key=foo", Ok(Some(b"foo"))),
            ("a=b&key=foo&c", Ok(Some(b"foo"))),
            ("key=a&key=b", Ok(Some(b"a"))),
            ("key=a=b", Ok(Some(b"a=b"))),
            ("key=a%3Ab%2fc", Ok(Some(b"a:b/c"))),
            ("key=%ff%00", Ok(Some(b"\xff\0"))),
            ("key=a+b", Ok(Some(b"a+b"))),
            ("key=", Ok(Some(b""))),
            ("key", Ok(Some(b""))),
            ("", Ok(None)),
            ("keys=foo", Ok(None)),
            ("key=%", Err(BadEscape)),
            ("key=%4", Err(BadEscape)),
            ("key=%zz", Err(BadEscape)),
            ("key=%+1", Err(BadEscape)),
        ];
        for (query, expected) in cases {
            let found = field(query, "key");
            assert_eq!(
                found.as_ref().map(Option::as_deref),
                expected.as_ref().map(|e| *e),
                "{query}"
            );
        }
    }
}
