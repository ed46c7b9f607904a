//! Extracts the hash input of a key: the part that is hashed, followed by a salt.
//!
//! ```text
//! /region/cluster/name|#|rest ─▶ prefix ─▶ stop ─▶ tag ─▶ name + salt
//! ```

use super::tag;

/// The maximum length of a key with its salt, in bytes: memcached's keys have at most 250.
pub(super) const LONGEST: usize = 512;

/// A peer's own rule of key extraction, beyond a tag and a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyExtraction {
    /// The whole key.
    Plain,
    /// mcrouter's: the routing prefix `/region/cluster/` is ignored.
    Mcrouter,
    /// memcached's proxy: an empty tag means an empty hash input, not the whole key.
    MemcachedProxy,
}

/// How the hash input of a key is extracted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HashInput {
    pub(super) tag: Option<[u8; 2]>,
    /// Settings that few rings have, boxed so that all others pay only one check.
    pub(super) more: Option<Box<More>>,
}

/// Settings that few rings have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct More {
    pub(super) extraction: KeyExtraction,
    /// Only the part before this text is hashed; empty for none.
    pub(super) stop: Box<[u8]>,
    /// Hashed behind the key.
    pub(super) salt: Box<[u8]>,
}

impl HashInput {
    /// Returns the hashed part of `key`, without the salt.
    #[inline]
    pub(super) fn hashed_part<'a>(&self, key: &'a [u8]) -> &'a [u8] {
        match &self.more {
            None => self.tag.map_or(key, |tag| tag::hashed_part(key, tag)),
            Some(more) => more.hashed_part(key, self.tag),
        }
    }

    /// The text that ends the hashed part; empty for none.
    fn stop(&self) -> &[u8] {
        self.more.as_ref().map_or(&[], |more| &more.stop)
    }

    /// The texts in a key of which this and `other` hash different parts: the tags of both, opening and closing bytes in
    /// turn, if they differ, and the stops of both, if those do.
    pub(super) fn differing_marks<'a>(&'a self, other: &'a HashInput) -> Vec<&'a [u8]> {
        let mut marks: Vec<&[u8]> = Vec::new();
        if self.tag != other.tag {
            let tags = self.tag.iter().chain(&other.tag);
            marks.extend(tags.flat_map(|tag| tag.chunks(1)));
        }
        if self.stop() != other.stop() {
            marks.extend(
                [self.stop(), other.stop()]
                    .into_iter()
                    .filter(|stop| !stop.is_empty()),
            );
        }
        marks
    }

    /// Calls `act` with the hash input of `key`.
    #[inline]
    pub(super) fn read<T>(&self, key: &[u8], act: impl FnOnce(&[u8]) -> T) -> T {
        let hashed_part = self.hashed_part(key);
        match &self.more {
            Some(more) if !more.salt.is_empty() => {
                let mut text = [0; LONGEST];
                act(joined(hashed_part, &more.salt, &mut text))
            }
            _ => act(hashed_part),
        }
    }
}

impl More {
    fn hashed_part<'a>(&self, key: &'a [u8], tag: Option<[u8; 2]>) -> &'a [u8] {
        let key = match self.extraction {
            KeyExtraction::Mcrouter => without_prefix(key),
            _ => key,
        };
        let stop = (!self.stop.is_empty()).then(|| memchr::memmem::find(key, &self.stop));
        let key = stop.flatten().map_or(key, |end| &key[..end]);
        match (tag, self.extraction) {
            (None, _) => key,
            (Some(tag), KeyExtraction::MemcachedProxy) => tag::between(key, tag).unwrap_or(key),
            (Some(tag), _) => tag::hashed_part(key, tag),
        }
    }
}

/// Concatenates `head` and `tail` in `text`, truncated to its length.
pub(super) fn joined<'a>(head: &[u8], tail: &[u8], text: &'a mut [u8; LONGEST]) -> &'a [u8] {
    let mut length = 0;
    for &byte in head.iter().chain(tail).take(LONGEST) {
        text[length] = byte;
        length += 1;
    }
    &text[..length]
}

/// Returns `key` without mcrouter's leading `/region/cluster/`.
fn without_prefix(key: &[u8]) -> &[u8] {
    if key.first() != Some(&b'/') {
        return key;
    }
    memchr::memchr_iter(b'/', key)
        .nth(2)
        .map_or(key, |end| &key[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(extraction: KeyExtraction, stop: &str, salt: &str, tag: Option<[u8; 2]>, key: &str) -> String {
        let more = More {
            extraction,
            stop: stop.as_bytes().into(),
            salt: salt.as_bytes().into(),
        };
        let reading = HashInput {
            tag,
            more: Some(Box::new(more)),
        };
        reading.read(key.as_bytes(), |read| String::from_utf8_lossy(read).into_owned())
    }

    #[test]
    fn only_what_stands_before_the_first_stop_counts() {
        let cases = [
            ("a|#|b|#|c", "a"),
            ("ab", "ab"),
            ("|#|b", ""),
            ("a|#b", "a|#b"),
            ("", ""),
        ];
        for (key, hashed_part) in cases {
            assert_eq!(
                read(KeyExtraction::Plain, "|#|", "", None, key),
                hashed_part,
                "{key}"
            );
        }
        assert_eq!(read(KeyExtraction::Plain, "", "", None, "a|#|b"), "a|#|b");
    }

    #[test]
    fn mcrouters_prefix_does_not_count() {
        let cases = [
            ("/a/b/key", "key"),
            ("/a/b/c/d", "c/d"),
            ("/a/b", "/a/b"),
            ("/a/b/", ""),
            ("//x/k", "k"),
            ("a/b/c/d", "a/b/c/d"),
            ("/", "/"),
        ];
        for (key, hashed_part) in cases {
            assert_eq!(
                read(KeyExtraction::Mcrouter, "", "", None, key),
                hashed_part,
                "{key}"
            );
            assert_eq!(read(KeyExtraction::Plain, "", "", None, key), key);
        }
    }

    #[test]
    fn an_empty_tag_is_nothing_to_memcacheds_proxy_and_no_tag_to_others() {
        let tag = Some(*b"{}");
        for (key, plain, proxy) in [
            ("a{}b", "a{}b", ""),
            ("a{b}c", "b", "b"),
            ("a}b{", "a}b{", "a}b{"),
        ] {
            assert_eq!(read(KeyExtraction::Plain, "", "", tag, key), plain);
            assert_eq!(read(KeyExtraction::MemcachedProxy, "", "", tag, key), proxy);
        }
    }

    #[test]
    fn the_salt_stands_behind_what_counts() {
        assert_eq!(
            read(KeyExtraction::Mcrouter, "|#|", "pepper", None, "/a/b/key|#|x"),
            "keypepper"
        );
        assert_eq!(read(KeyExtraction::Plain, "", "s", Some(*b"{}"), "a{b}c"), "bs");
        let long = "k".repeat(LONGEST + 10);
        assert_eq!(read(KeyExtraction::Plain, "", "s", None, &long), long[..LONGEST]);
    }
}
