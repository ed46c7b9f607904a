//! `hash_tag`: the part of a key that is hashed.

use serde_json::json;

use super::error::{Problem, quote};
use super::kind::Kind;
use super::schema;

/// Two characters, which are bytes here, and keys have no spaces or control characters.
pub fn kind() -> Kind<Option<[u8; 2]>> {
    let parse = |text: &str| match *text.as_bytes() {
        [] => Ok(None),
        [open, close] if open.is_ascii_graphic() && close.is_ascii_graphic() => Ok(Some([open, close])),
        _ => Err(
            Problem::new(format!("{} is not a pair of characters", quote(text)))
                .hint("write two of ASCII, such as \"{}\", or \"\" for none"),
        ),
    };
    let show =
        |tag: &Option<[u8; 2]>| json!(tag.iter().flatten().copied().map(char::from).collect::<String>());
    Kind::text(parse, show, || schema::pattern("^([!-~]{2})?$"))
}
