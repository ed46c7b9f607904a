//! A secret in a file or in the environment, never in the configuration itself. It is not rendered: its place is.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::error::{Diagnostics, Problem, quote};
use super::exposed::warn_if_exposed;
use super::kind::Kind;
use super::map_reader::YamlNode;
use super::rows::{Section, render, section};
use super::{files, schema};

/// The longest secret, in bytes.
const LONGEST: usize = 1024;

section! {
    /// The place of a secret: one of its keys.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Place {
        /// The file whose first line it is.
        file: Option<PathBuf> = None, files::kind().optional();
        /// The variable of the environment that holds it.
        env: Option<String> = None, variable().optional();
    }
}

/// A secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    place: Place,
    value: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Secret {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.value
    }

    /// The file that it was read from, if it was.
    pub fn file(&self) -> Option<&PathBuf> {
        self.place.file.as_ref()
    }

    /// Renders its place, as it is written.
    pub fn show(&self) -> Value {
        render(&self.place)
    }
}

/// A secret: `{file: PATH}` or `{env: NAME}`.
pub fn kind() -> Kind<Secret> {
    Kind::new(read, Secret::show, schema)
}

fn schema() -> Value {
    let one = |key: &str| json!({ "required": [key] });
    schema::mapping(Place::rows(), json!({ "oneOf": [one("file"), one("env")] }))
}

/// A secret, or `false` for none.
pub fn or_false() -> Kind<Option<Secret>> {
    let read = |value: &YamlNode<'_>, diagnostics: &mut Diagnostics| match value.is_false() {
        true => Some(None),
        false => read(value, diagnostics).map(Some),
    };
    let show = |secret: &Option<Secret>| secret.as_ref().map_or(Value::Null, Secret::show);
    Kind::new(read, show, || schema::or_false(schema()))
}

fn variable() -> Kind<String> {
    let read = |text: &str| Ok(text.to_owned());
    Kind::text(read, |name| json!(name), || json!({ "type": "string" }))
}

/// Reads `{file: PATH}` or `{env: NAME}`.
fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Secret> {
    if value.is_scalar() || value.is_word_in_braces(&["file", "env"]) {
        let problem = Problem::new("a secret must not be in the configuration itself");
        diagnostics.add(
            &value.location(),
            problem.hint("write {file: PATH} or {env: NAME}"),
        );
        return None;
    }
    let mut place = Place::default();
    let mut keys = value.keys(diagnostics);
    place.read_rows(&mut keys);
    let in_file = place.file.as_deref().and_then(|path| {
        let secret = keys.made("file", of_file(path))?;
        warn_if_exposed(path, "file", &mut keys);
        Some(secret)
    });
    let in_environment = place.env.as_deref();
    let in_environment = in_environment.and_then(|name| keys.made("env", of_environment(name)));
    match (keys.has("file"), keys.has("env")) {
        (true, true) => {
            keys.diagnostic(Problem::new("a secret has one place").hint("leave out `file` or `env`"))
        }
        (false, false) => keys.require_one_of(
            &["file", "env"],
            Problem::new("the place of the secret is missing").hint("write {file: PATH} or {env: NAME}"),
        ),
        _ => {}
    }
    keys.finish();
    let value = in_file.or(in_environment)?;
    Some(Secret { place, value })
}

/// The first line of a file; editors end it with a newline.
fn of_file(path: &Path) -> Result<String, Problem> {
    let value = String::from_utf8(files::read(path)?).unwrap_or_default();
    let value = value.strip_suffix('\n').unwrap_or(&value);
    let value = value.strip_suffix('\r').unwrap_or(value).to_owned();
    checked(&files::shown(path), value)
}

fn of_environment(name: &str) -> Result<String, Problem> {
    let value = std::env::var(name).map_err(|_| {
        let problem = Problem::new(format!("the environment has no {}", shown_variable(name)));
        problem.hint("set it for the process, or name a file")
    })?;
    checked(&quote(name), value)
}

/// A variable as messages show it: a name in lower case may be a password that was typed in its place.
fn shown_variable(name: &str) -> String {
    let is_usual = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    match name.bytes().all(is_usual) {
        true => quote(name),
        false => "variable of this name".to_owned(),
    }
}

/// memcached takes no password with a space.
fn is_odd(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

fn checked(place: &str, value: String) -> Result<String, Problem> {
    if value.is_empty() || value.len() > LONGEST || value.contains(is_odd) {
        let problem = Problem::new(format!("the content of {place} is not a secret"));
        return Err(problem.hint(format!("it is one word of text, of 1 to {LONGEST} bytes")));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_place_of_a_variable_is_not_quoted() {
        for name in ["hunter2", "s3cr3t!", "a b"] {
            let problem = of_environment(name).expect_err(name);
            assert_eq!(problem.reason, "the environment has no variable of this name");
        }
        let problem = of_environment("RINGWAY_NOT_SET_1").expect_err("not set");
        assert_eq!(problem.reason, "the environment has no \"RINGWAY_NOT_SET_1\"");
    }
}
