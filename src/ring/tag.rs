//! Hash tags: the part of a key between two bytes is hashed instead of the whole key.
//!
//! The rule is twemproxy's (`server_pool_idx` in `src/nc_server.c`) and holds for every preset except those
//! of memcached's proxy, since no other peer has one of its own.

/// Returns the hashed part of `key` under `tag`, an opening and a closing byte: the part between the first
/// opening byte and the first closing byte after it, or the whole key if that part is empty or missing.
pub(super) fn hashed_part(key: &[u8], tag: [u8; 2]) -> &[u8] {
    between(key, tag)
        .filter(|tagged| !tagged.is_empty())
        .unwrap_or(key)
}

/// Returns the part between the first opening byte and the first closing byte after it, if both are
/// present.
pub(super) fn between(key: &[u8], [opening, closing]: [u8; 2]) -> Option<&[u8]> {
    let inside = &key[memchr::memchr(opening, key)? + 1..];
    Some(&inside[..memchr::memchr(closing, inside)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_first_pair_counts() {
        let cases: [(&str, &str, &str); 14] = [
            ("{}", "user:{42}:name", "42"),
            ("{}", "{42}", "42"),
            ("{}", "a{b}c{d}", "b"),
            ("{}", "x{{y}}z", "{y"),
            ("{}", "a}b{c}", "c"),
            ("{}", "plain", "plain"),
            ("{}", "{open", "{open"),
            ("{}", "closed}", "closed}"),
            ("{}", "}{", "}{"),
            ("{}", "a{}b{c}", "a{}b{c}"),
            ("{}", "", ""),
            ("$$", "$a$b$", "a"),
            ("$$", "$$a$", "$$a$"),
            ("$$", "a$b", "a$b"),
        ];
        for (tag, key, expected) in cases {
            let tag = [tag.as_bytes()[0], tag.as_bytes()[1]];
            assert_eq!(hashed_part(key.as_bytes(), tag), expected.as_bytes(), "{key}");
        }
    }
}
