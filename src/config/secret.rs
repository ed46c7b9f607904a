//! A secret in a file or in the environment, never in the configuration itself. It is not rendered: its place is.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::error::{Diagnostics, Problem, Spanned, quote};
use super::exposed::warn_if_exposed;
use super::kind::Kind;
use super::map_reader::YamlNode;
use super::{read_regular, schema};

/// The longest secret, in bytes.
const LONGEST: usize = 1024;

/// A secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    from: Source,
    value: String,
}

/// The place of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Environment(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("from", &self.from)
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
        match &self.from {
            Source::File(path) => Some(path),
            Source::Environment(_) => None,
        }
    }

    /// Renders its place, as it is written.
    pub fn show(&self) -> Value {
        match &self.from {
            Source::File(path) => json!({ "file": path.display().to_string() }),
            Source::Environment(name) => json!({ "env": name }),
        }
    }
}

/// A secret: `{file: PATH}` or `{env: NAME}`.
pub fn kind() -> Kind<Secret> {
    Kind::new(read, Secret::show, schema)
}

fn schema() -> Value {
    let one = |key: &str| json!({ "type": "object", "properties": { key: { "type": "string" } }, "required": [key], "additionalProperties": false });
    json!({ "oneOf": [one("file"), one("env")] })
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

/// Reads `{file: PATH}` or `{env: NAME}`.
fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Secret> {
    if value.is_scalar() {
        let problem = Problem::new("a secret must not be in the configuration itself");
        diagnostics.add(
            &value.location(),
            problem.hint("write {file: PATH} or {env: NAME}"),
        );
        return None;
    }
    let folder = diagnostics.folder();
    let mut keys = value.keys(diagnostics);
    let file = keys.at("file", |text| of_file(text, &folder));
    if let Some(Spanned { value, location }) = &file
        && let Some(path) = value.file()
    {
        warn_if_exposed(path, location, &mut keys);
    }
    let environment = keys.value("env", of_environment);
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
    file.map(|file| file.value).or(environment)
}

/// The first line of a file; editors end it with a newline.
fn of_file(text: &str, folder: &Path) -> Result<Secret, Problem> {
    let path = folder.join(text);
    let shown = quote(&path.display().to_string());
    let bytes = read_regular(&path).map_err(|error| {
        let problem = Problem::new(format!("cannot read {shown}: {error}"));
        problem.hint("a relative path leads from the folder of the configuration file")
    })?;
    let value = String::from_utf8(bytes).unwrap_or_default();
    let value = value.strip_suffix('\n').unwrap_or(&value);
    let value = value.strip_suffix('\r').unwrap_or(value).to_owned();
    checked(&shown, value, Source::File(path))
}

fn of_environment(name: &str) -> Result<Secret, Problem> {
    let value = std::env::var(name).map_err(|_| {
        let problem = Problem::new(format!("the environment has no {}", quote(name)));
        problem.hint("set it for the process, or name a file")
    })?;
    checked(&quote(name), value, Source::Environment(name.to_owned()))
}

/// memcached takes no password with a space.
fn is_odd(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

fn checked(place: &str, value: String, from: Source) -> Result<Secret, Problem> {
    if value.is_empty() || value.len() > LONGEST || value.contains(is_odd) {
        let problem = Problem::new(format!("the content of {place} is not a secret"));
        return Err(problem.hint(format!("it is one word of text, of 1 to {LONGEST} bytes")));
    }
    Ok(Secret { from, value })
}
