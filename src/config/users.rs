//! What was written of a listener's `auth`: the users who are let in, from a file such as memcached's `-Y` reads.
//!
//! A line is `user:password`; empty lines are skipped. The words are never shown: what is shown says where they are.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use subtle::{Choice, ConstantTimeEq};

use super::error::{Diagnostics, Problem};
use super::exposed::warn_if_exposed;
use super::kind::Kind;
use super::map_reader::YamlNode;
use super::rows::{Section, render, section};
use super::{files, schema};

/// The maximum length of a line in bytes, that of memcached 1.6.18.
const MAX_LINE: usize = 254;
/// The maximum number of users: each attempt is compared with all of them.
const MAX_USERS: usize = 1000;

/// A line, with zeros behind it.
type Line = [u8; MAX_LINE];

/// The users of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Users {
    /// The file.
    pub file: PathBuf,
    lines: Vec<Line>,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Users {
    /// Whether there is a `user` with this `password`. How long it takes tells neither: every line is compared to its
    /// end.
    pub fn admit(&self, user: &[u8], password: &[u8]) -> bool {
        let guess = [user, b":", password].concat();
        // A colon in the name would be taken for the one behind it, and a zero byte for the end.
        if guess.len() > MAX_LINE || user.contains(&b':') || guess.contains(&0) {
            return false;
        }
        let guess = padded(&guess);
        let compare = |found, line: &Line| found | line.ct_eq(&guess);
        self.lines.iter().fold(Choice::from(0), compare).into()
    }

    /// As it is typed.
    pub fn show(&self) -> Value {
        render(&UsersKeys {
            users: Some(self.file.clone()),
        })
    }
}

section! {
    /// The keys of `auth`.
    struct UsersKeys {
        /// The file of users, with lines `user:password`.
        users: Option<PathBuf> = None, files::kind().optional();
    }
}

/// The key `auth` of a listener: `false` or a mapping.
pub fn kind() -> Kind<Option<Arc<Users>>> {
    let show = |users: &Option<Arc<Users>>| users.as_ref().map_or(Value::Null, |users| users.show());
    Kind::new(
        |value, diagnostics| Some(read(value, diagnostics).map(Arc::new)),
        show,
        || {
            schema::or_false(schema::mapping(
                UsersKeys::rows(),
                json!({ "required": ["users"] }),
            ))
        },
    )
}

/// Reads `auth` of a listener. Returns `None` if it is `false`, or holds a mistake.
fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Users> {
    if value.is_false() {
        return None;
    }
    let mut read = UsersKeys::default();
    let mut keys = value.keys(diagnostics);
    read.read_rows(&mut keys);
    let users = read.users.and_then(|file| keys.made("users", load(file)));
    keys.need("users", " with a file of lines user:password");
    if let Some(users) = &users {
        warn_if_exposed(&users.file, "users", &mut keys);
    }
    keys.finish();
    users
}

/// Reads the file of users. The path is not quoted if it may be a user with a password, written in place of the file.
fn read_file(file: &Path) -> Result<Vec<u8>, Problem> {
    files::read(file).map_err(|problem| match file.to_string_lossy().contains(':') {
        true => Problem::new("this is no file that can be read")
            .hint("users are not written here: name a file with lines user:password"),
        false => problem,
    })
}

fn load(file: PathBuf) -> Result<Users, Problem> {
    let (shown, bytes) = (files::shown(&file), read_file(&file)?);
    let mut lines = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let place = format!("line {} of {shown}", index + 1);
        lines.push(read_line(line, &place)?);
    }
    let problem = match lines.len() {
        0 => Problem::new(format!("there is no user in {shown}")).hint("write lines user:password"),
        1..=MAX_USERS => return Ok(Users { file, lines }),
        number => {
            Problem::new(format!("{shown} has {number} users")).hint(format!("the maximum is {MAX_USERS}"))
        }
    };
    Err(problem)
}

/// Reads a line; what is wrong is said without the words of it.
fn read_line(line: &[u8], place: &str) -> Result<Line, Problem> {
    let wrong = |what: &str, hint: &str| Err(Problem::new(format!("{place} {what}")).hint(hint.to_owned()));
    let Some(colon) = memchr::memchr(b':', line) else {
        return wrong("has no colon", "write user:password");
    };
    if colon == 0 || colon + 1 == line.len() {
        return wrong("lacks the user or the password", "write user:password");
    }
    if line.len() > MAX_LINE {
        return wrong("is too long", &format!("the maximum is {MAX_LINE} bytes"));
    }
    let is_odd = |byte: &u8| byte.is_ascii_control() || *byte == b' ';
    if line.iter().any(is_odd) {
        return wrong(
            "has a space or a control character",
            "text clients cannot send those",
        );
    }
    Ok(padded(line))
}

fn padded(text: &[u8]) -> Line {
    let mut line = [0; MAX_LINE];
    line[..text.len()].copy_from_slice(text);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(text: &str) -> Result<Users, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("users");
        std::fs::write(&file, text).expect("written");
        load(file).map_err(|problem| problem.reason)
    }

    #[test]
    fn a_user_is_admitted_with_the_own_password_only() {
        let users = users("alice:secret\r\n\nbob:a:b\n").expect("good");
        for (user, password, expected) in [
            ("alice", "secret", true),
            ("bob", "a:b", true),
            ("alice", "a:b", false),
            ("alice", "secre", false),
            ("alice", "secret\0", false),
            ("alice", "", false),
            ("bob:a", "b", false),
            ("", "alice:secret", false),
            ("alice", &"x".repeat(300), false),
        ] {
            assert_eq!(
                users.admit(user.as_bytes(), password.as_bytes()),
                expected,
                "{user} {password}"
            );
        }
    }

    #[test]
    fn a_user_in_place_of_the_file_is_not_quoted() {
        for typed in [
            "bob:secret",
            "bob:sec/secret",
            &format!("bob:{}", "secret".repeat(100)),
        ] {
            let problem = load(Path::new("/nowhere").join(typed)).expect_err(typed);
            assert!(!problem.to_string().contains("secret"), "{problem}");
            assert!(
                problem
                    .to_string()
                    .contains("name a file with lines user:password"),
                "{problem}"
            );
        }
        let problem = load("/nowhere/users".into()).expect_err("no such file");
        assert!(problem.reason.contains("\"/nowhere/users\""), "{problem}");
    }

    #[test]
    fn a_line_that_is_no_user_is_told_by_its_number_and_never_shown() {
        for (text, expected) in [
            ("", "there is no user"),
            ("\n\n", "there is no user"),
            ("a:b\nsecret\n", "line 2 of"),
            ("secret:\n", "lacks the user or the password"),
            (":secret\n", "lacks the user or the password"),
            ("a:secret b\n", "has a space"),
            ("a:secret\0\n", "has a space or a control character"),
            (&format!("a:secret{}", "x".repeat(300)), "is too long"),
            (&"a:b\n".repeat(1001), "has 1001 users"),
        ] {
            let told = users(text).expect_err(expected);
            assert!(told.contains(expected) && !told.contains("secret"), "{told}");
        }
        assert_eq!(
            format!("{:?}", users("a:secret").expect("good"))
                .matches("secret")
                .count(),
            0
        );
    }
}
