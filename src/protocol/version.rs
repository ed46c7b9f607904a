//! Parses a node's answer to `version`.

/// Returns the version in the line `VERSION 1.6.18`, given without its end; `None` if it is not such a
/// line. The result contains no control bytes: it may be logged and repeated in a line.
pub fn of_line(line: &[u8]) -> Option<&str> {
    let version = std::str::from_utf8(line.strip_prefix(b"VERSION ")?).ok()?;
    let is_plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    (!version.is_empty() && version.bytes().all(is_plain)).then_some(version)
}

#[test]
fn a_version_has_no_control_bytes() {
    assert_eq!(of_line(b"VERSION 1.6.18"), Some("1.6.18"));
    assert_eq!(of_line(b"VERSION mcrouter 41.0"), Some("mcrouter 41.0"));
    for line in [
        &b"VERSION "[..],
        b"VERSION",
        b"version 1.6",
        b"ERROR",
        b"",
        b"VERSION 1.6.18\nSTORED",
        b"VERSION 1.6\r",
        b"VERSION 1\x1b[2J",
        b"VERSION \xff",
    ] {
        assert_eq!(of_line(line), None, "{}", line.escape_ascii());
    }
}
