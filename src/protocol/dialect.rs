//! The protocols that nodes understand, and which one a given node gets.

use super::scan::has_nul;
use super::{Failure, Request, classic, meta};

/// The protocol that a link speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Meta commands.
    Meta,
    /// Classic text commands.
    Classic,
    /// The protocol of Valkey and Redis.
    Resp,
}

impl Dialect {
    /// Returns the dialect for a node that reports `version`, such as `1.6.18`. Meta commands have had
    /// their present form since 1.6.10; an unreadable version gets classic text.
    pub fn of_version(version: &str) -> Dialect {
        match parse_version(version) {
            Some(version) if version >= [1, 6, 10] => Dialect::Meta,
            _ => Dialect::Classic,
        }
    }

    /// Whether a line can carry the key of `request`. For nodes without meta, a zero byte ends the line.
    #[inline]
    pub fn can_say_key(self, request: &Request<'_>) -> bool {
        match self {
            Dialect::Meta => meta::can_say_key(request),
            Dialect::Classic => !has_nul(request.key),
            Dialect::Resp => true,
        }
    }

    /// Returns the failure of a request whose key no line can carry.
    pub fn refusal(self) -> Failure {
        match self {
            // Meta can express every key, except one that is too long in base64.
            Dialect::Meta => Failure::LongKey,
            Dialect::Classic | Dialect::Resp => Failure::Unsupported,
        }
    }

    /// Writes `request` up to its value. For storage commands the caller appends the value and its line end.
    #[inline]
    pub fn write_line(self, request: &Request<'_>, put: &mut impl FnMut(&[u8])) {
        match self {
            Dialect::Meta => meta::write_line(request, put),
            Dialect::Classic => classic::write_line(request, put),
            Dialect::Resp => unreachable!("its commands are no lines: `resp::commands` writes them"),
        }
    }
}

/// Returns the three numbers that a version begins with and ignores what follows (`1.6.18-1`,
/// `1.6.0_beta1`). `None` if it does not begin with a number.
pub fn parse_version(version: &str) -> Option<[u32; 3]> {
    let mut numbers = version.split('.').map(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        part[..digits].parse().ok()
    });
    let mut next = || numbers.next().flatten();
    Some([next()?, next().unwrap_or(0), next().unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_is_spoken_from_1_6_10_on() {
        for (version, dialect) in [
            ("1.6.10", Dialect::Meta),
            ("1.6.18", Dialect::Meta),
            ("1.6.45-dev", Dialect::Meta),
            ("2.0", Dialect::Meta),
            ("1.6.9", Dialect::Classic),
            ("1.5.22", Dialect::Classic),
            ("1.4.25_1", Dialect::Classic),
            ("", Dialect::Classic),
            ("unknown", Dialect::Classic),
        ] {
            assert_eq!(Dialect::of_version(version), dialect, "{version}");
        }
    }
}
