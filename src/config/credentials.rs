//! Refuses a user or a password in an address without quoting it: messages go to terminals, logs and `/readyz`.

use super::error::Problem;

/// The beginnings of the addresses of unix sockets, whose paths may have an `@`.
const SOCKETS: [&str; 3] = ["unix:", "valkey+unix:", "redis+unix:"];

/// Whether `text` has a user or a password before an `@`, as in `name:password@host:port`. An `@` in a path is part of
/// the path.
pub fn has_user(text: &str) -> bool {
    let path = SOCKETS.iter().find_map(|prefix| text.strip_prefix(prefix));
    let rest = path.unwrap_or(text);
    let is_path = rest.starts_with('/') && (!rest.starts_with("//") || rest.starts_with("///"));
    !is_path && rest.contains('@')
}

/// Refuses `text` if it has a user or a password; `way_out` says what to write instead.
pub fn refuse_user(text: &str, way_out: &str) -> Result<(), Problem> {
    match has_user(text) {
        true => Err(Problem::new("an address has no user and no password").hint(way_out)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_before_an_at_is_a_user_unless_it_is_a_path() {
        for text in [
            "bob:secret@cache:11211",
            "secret@cache",
            "bob:se/cret@cache:11211",
            "bob:se@cret@[::1]:11211",
            "//bob:secret@cache:11211",
            "http://bob:secret@cache:1",
            "redis://bob:secret@cache:6379/1",
            "redis:///bob:secret@cache:6379",
            "redis+unix://bob:secret@/run/r.sock",
            "unix:bob:secret@/run/r.sock",
        ] {
            assert!(has_user(text), "{text}");
            let problem = refuse_user(text, "way out").expect_err(text);
            assert_eq!(
                problem.to_string(),
                "an address has no user and no password, way out"
            );
        }
        for text in [
            "cache:11211",
            "/run/r@a.sock",
            "unix:/run/r@a.sock",
            "unix:///run/r@a.sock",
            "valkey+unix:/run/r@a.sock?db=1",
            "",
        ] {
            assert!(!has_user(text), "{text}");
        }
    }
}
