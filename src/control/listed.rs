//! The items of a node, as it lists them to `lru_crawler metadump all`.
//!
//! `mgdump`, which newer versions have too, names keys only: neither cas ids nor ages.

use std::io::{self, ErrorKind};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::protocol::meta::needs_base64;

/// The command that asks for the list.
pub const LIST: &str = "lru_crawler metadump all";

/// An item in a node's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: Vec<u8>,
    /// The cas id.
    pub cas: u64,
    /// When it was last read or written, in seconds since 1970; 0 if the node does not say.
    pub last_access: u64,
    /// When it expires, in seconds since 1970; `None` if never.
    pub expires: Option<u64>,
}

impl Listed {
    /// Reads a line of the list; `None` if it lacks the cas id.
    ///
    /// # Errors
    /// [`ErrorKind::ResourceBusy`] if the node lists items for another client, [`ErrorKind::Unsupported`] if it
    /// never does.
    pub fn parse(line: &[u8]) -> io::Result<Option<Listed>> {
        let Some(rest) = line.strip_prefix(b"key=") else {
            return Err(refusal(line));
        };
        let mut item = Listed {
            key: Vec::new(),
            cas: 0,
            last_access: 0,
            expires: None,
        };
        let mut words = rest.split(|&byte| byte == b' ');
        item.key = unescaped(words.next().unwrap_or_default());
        for word in words.filter_map(|word| std::str::from_utf8(word).ok()) {
            match word.split_once('=') {
                Some(("cas", cas)) => item.cas = cas.parse().unwrap_or_default(),
                Some(("la", at)) => item.last_access = at.parse().unwrap_or_default(),
                // -1 is never.
                Some(("exp", at)) => item.expires = at.parse().ok(),
                _ => {}
            }
        }
        Ok((item.cas > 0).then_some(item))
    }

    /// The key in base64, if a meta command needs that.
    pub fn base64(&self) -> Option<Vec<u8>> {
        in_base64(&self.key)
    }
}

/// Returns `key` in base64, if a meta command needs that.
pub fn in_base64(key: &[u8]) -> Option<Vec<u8>> {
    needs_base64(key).then(|| STANDARD.encode(key).into_bytes())
}

fn refusal(line: &[u8]) -> io::Error {
    let kind = match line.split(|&byte| byte == b' ').next() {
        Some(b"BUSY") => ErrorKind::ResourceBusy,
        Some(b"ERROR" | b"CLIENT_ERROR") => ErrorKind::Unsupported,
        _ => ErrorKind::InvalidData,
    };
    let answer = line.escape_ascii();
    io::Error::new(kind, format!("unexpected answer to lru_crawler: {answer}"))
}

/// Returns `text` with each `%` and its two digits replaced by the byte that they stand for.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = match byte.filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                &behind[2..]
            }
            None => {
                bytes.push(first);
                behind
            }
        };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_list_is_an_item() {
        let line = b"key=a%20b exp=-1 la=1700000000 cas=17 fetch=no cls=1 size=63";
        let item = Listed::parse(line).unwrap().unwrap();
        assert_eq!((&item.key[..], item.cas), (&b"a b"[..], 17));
        assert_eq!((item.last_access, item.expires), (1_700_000_000, None));
        assert_eq!(item.base64().as_deref(), Some(&b"YSBi"[..]));
        let line = b"key=c exp=1700000009 cas=18";
        let item = Listed::parse(line).unwrap().unwrap();
        assert_eq!((item.last_access, item.expires), (0, Some(1_700_000_009)));
        assert_eq!(item.base64(), None);
        assert_eq!(Listed::parse(b"key=c exp=-1").unwrap(), None);
        assert_eq!(unescaped(b"%41%zz%4"), b"A%zz%4");
    }

    #[test]
    fn a_refusal_is_for_now_or_for_good() {
        for (refusal, kind) in [
            (
                "BUSY currently processing crawler request",
                ErrorKind::ResourceBusy,
            ),
            ("ERROR lru crawler disabled", ErrorKind::Unsupported),
            ("CLIENT_ERROR lru crawler disabled", ErrorKind::Unsupported),
            ("?", ErrorKind::InvalidData),
        ] {
            assert_eq!(
                Listed::parse(refusal.as_bytes()).unwrap_err().kind(),
                kind,
                "{refusal}"
            );
        }
    }
}
