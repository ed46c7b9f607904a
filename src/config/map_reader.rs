//! Reading a tree: values with their paths, mappings with a closed set of keys.
//!
//! The reader of a mapping asks [`MapReader`] for each key that it knows; every other key is a mistake, reported by
//! [`MapReader::finish`]. So the set of known keys is written once: where they are read. A mistake is noted, and reading
//! goes on.

use std::collections::HashMap;

use super::error::{Diagnostics, Location, Problem, Spanned, quote};
use super::foreign::{self, Foreign};
use super::suggest;
use super::tree::{SpannedValue, Value};

/// A value on its path.
#[derive(Debug, Clone)]
pub struct YamlNode<'a> {
    tree: &'a SpannedValue,
    path: String,
}

impl<'a> YamlNode<'a> {
    /// The whole file.
    pub fn root(tree: &'a SpannedValue) -> YamlNode<'a> {
        YamlNode {
            tree,
            path: String::new(),
        }
    }

    /// Its location.
    pub fn location(&self) -> Location {
        location(self.tree, self.path.clone())
    }

    /// Whether it is text or null, not a list or a mapping.
    pub fn is_scalar(&self) -> bool {
        matches!(self.tree.value, Value::Scalar { .. })
    }

    /// Whether it is the word `false`, which turns off what a mapping would turn on.
    pub fn is_false(&self) -> bool {
        self.is_word("false")
    }

    /// Whether it is this word.
    pub fn is_word(&self, word: &str) -> bool {
        matches!(&self.tree.value, Value::Scalar { text, .. } if text == word)
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        self.tree.is_list()
    }

    /// Whether it is a mapping of one key without a value, such as `{word}`, and the key is none of `known`.
    pub fn is_word_in_braces(&self, known: &[&str]) -> bool {
        let Value::Map(entries) = &self.tree.value else {
            return false;
        };
        let [(key, value)] = entries.as_slice() else {
            return false;
        };
        let is_known = matches!(&key.value, Value::Scalar { text, .. } if known.contains(&text.as_str()));
        value.is_null() && !is_known
    }

    /// Whether it is null, or a mapping without entries.
    pub fn is_empty(&self) -> bool {
        self.tree.is_null() || matches!(&self.tree.value, Value::Map(entries) if entries.is_empty())
    }

    /// Whether it is a mapping with this key.
    pub fn has_key(&self, key: &str) -> bool {
        let is_it = |(raw, _): &(SpannedValue, SpannedValue)| matches!(&raw.value, Value::Scalar { text, .. } if text == key);
        matches!(&self.tree.value, Value::Map(entries) if entries.iter().any(is_it))
    }

    /// Parses the text with `parse`.
    pub fn read<T>(
        &self,
        diagnostics: &mut Diagnostics,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let problem = match &self.tree.value {
            Value::Scalar { text, .. } if !self.tree.is_null() => match parse(text) {
                Ok(value) => return Some(value),
                Err(problem) => problem,
            },
            Value::Map(entries) if entries.is_empty() => self.expected("text").hint("put \"{}\" in quotes"),
            Value::List(items) if items.is_empty() => self.expected("text").hint("put \"[]\" in quotes"),
            _ => self.expected("text"),
        };
        diagnostics.add(&self.location(), problem);
        None
    }

    /// The values of a list.
    pub fn items(&self, diagnostics: &mut Diagnostics) -> Option<Vec<YamlNode<'a>>> {
        let Value::List(items) = &self.tree.value else {
            let problem = self.expected("a list");
            let hint = problem
                .hint
                .clone()
                .unwrap_or_else(|| "begin each of its lines with \"- \"".to_owned());
            diagnostics.add(&self.location(), problem.hint(hint));
            return None;
        };
        let item = |(index, tree)| YamlNode {
            tree,
            path: format!("{}[{index}]", self.path),
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// The entries of a mapping whose keys are names, as `name` checks them.
    pub fn entries(
        &self,
        diagnostics: &mut Diagnostics,
        name: impl Fn(&str) -> Result<(), Problem>,
    ) -> Option<Vec<(Spanned<String>, YamlNode<'a>)>> {
        let entries = self.mapping(diagnostics)?;
        for entry in &entries {
            if let Err(problem) = name(entry.key) {
                diagnostics.add(&entry.location, problem);
            }
        }
        let split = |entry: MapEntry<'a>| {
            (
                Spanned {
                    value: entry.key.to_owned(),
                    location: entry.location,
                },
                entry.value,
            )
        };
        Some(entries.into_iter().map(split).collect())
    }

    /// The value of `key`, if this is a mapping that has it.
    pub fn find(&self, key: &str) -> Option<YamlNode<'a>> {
        let entries = self.mapping(&mut Diagnostics::new(""))?;
        entries
            .into_iter()
            .rfind(|entry| entry.key == key)
            .map(|entry| entry.value)
    }

    /// The mapping, to be asked for its keys.
    pub fn keys<'m>(&self, diagnostics: &'m mut Diagnostics) -> MapReader<'a, 'm> {
        let entries = self.mapping(diagnostics);
        MapReader {
            location: self.location(),
            is_complete: entries.is_some() && self.is_readable(),
            foreign: &[],
            entries: entries.unwrap_or_default(),
            known: Vec::new(),
            required: Vec::new(),
            rejected: Vec::new(),
            failed: Vec::new(),
            diagnostics,
        }
    }

    /// Whether all keys of a mapping are text, and all that it merges are mappings; otherwise it is unknown which keys are
    /// missing.
    fn is_readable(&self) -> bool {
        let Value::Map(pairs) = &self.tree.value else {
            return true;
        };
        let merges = |value: &SpannedValue| match &value.value {
            Value::List(items) => items.iter().all(SpannedValue::is_map),
            Value::Map(_) => true,
            Value::Scalar { .. } => false,
        };
        pairs.iter().all(|(key, value)| match &key.value {
            Value::Scalar { text, plain } => !(*plain && text == "<<") || merges(value),
            _ => false,
        })
    }

    fn expected(&self, what: &str) -> Problem {
        if let Some(problem) = self.tree.unquoted_address(None) {
            return problem;
        }
        if self.tree.is_null() {
            return Problem::new("there is no value").hint("write one or leave it out");
        }
        let found = match self.tree.value {
            Value::Scalar { .. } => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        };
        Problem::new(format!("{what} is expected here, not {found}"))
    }

    /// Null is a mapping without entries, so a section is valid if its keys are all commented out.
    fn mapping(&self, diagnostics: &mut Diagnostics) -> Option<Vec<MapEntry<'a>>> {
        match &self.tree.value {
            Value::Map(pairs) => Some(flatten(pairs, &self.path, diagnostics)),
            _ if self.tree.is_null() => Some(Vec::new()),
            _ => {
                diagnostics.add(&self.location(), self.expected("a mapping"));
                None
            }
        }
    }
}

/// One key of a mapping with its value.
#[derive(Debug)]
struct MapEntry<'a> {
    key: &'a str,
    location: Location,
    value: YamlNode<'a>,
}

/// A mapping whose keys are a closed set.
#[derive(Debug)]
pub struct MapReader<'a, 'm> {
    location: Location,
    /// Whether it is known which keys there are.
    is_complete: bool,
    foreign: &'static [Foreign],
    entries: Vec<MapEntry<'a>>,
    known: Vec<&'static str>,
    required: Vec<(Vec<&'static str>, Problem)>,
    rejected: Vec<&'static str>,
    failed: Vec<&'static str>,
    diagnostics: &'m mut Diagnostics,
}

impl<'a> MapReader<'a, '_> {
    /// Reads the value of `key` with `read`; `None` if the key is missing.
    pub fn get<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&YamlNode<'a>, &mut Diagnostics) -> Option<T>,
    ) -> Option<T> {
        self.known.push(key);
        let mut found = None;
        // A key given twice is a mistake already; the mistakes of both values are reported.
        for entry in self.entries.iter().filter(|entry| entry.key == key) {
            found = read(&entry.value, self.diagnostics);
            if found.is_none() {
                self.failed.push(key);
            }
        }
        found
    }

    /// Parses the text of `key` with `parse`; `None` if the key is missing.
    pub fn value<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, Problem>) -> Option<T> {
        self.get(key, |value, diagnostics| value.read(diagnostics, &parse))
    }

    /// Returns what was made of the value of `key`. A problem is reported at its place.
    pub fn made<T>(&mut self, key: &'static str, made: Result<T, Problem>) -> Option<T> {
        let problem = match made {
            Ok(made) => return Some(made),
            Err(problem) => problem,
        };
        self.failed.push(key);
        let location = self.location(key).unwrap_or_else(|| self.location.clone());
        self.diagnostics.add(&location, problem);
        None
    }

    /// Whether the key is there, valid or not.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Whether the key is missing, or has a value without a mistake.
    pub fn is_good(&self, key: &str) -> bool {
        !self.failed.contains(&key)
    }

    /// The location of the value of `key`, if it is there.
    pub fn location(&self, key: &str) -> Option<Location> {
        let entry = self.entries.iter().rfind(|entry| entry.key == key)?;
        Some(entry.value.location())
    }

    /// Reports `problem` if the key is missing and no unknown key is a misspelling of it.
    pub fn require(&mut self, key: &'static str, problem: Problem) {
        self.require_one_of(&[key], problem);
    }

    /// Reports the key if it is missing; `what` says what it takes.
    pub fn need(&mut self, key: &'static str, what: &str) {
        let problem = Problem::new(format!("`{key}` is missing"));
        self.require(key, problem.hint(format!("add `{key}:`{what}")));
    }

    /// Reports `problem` if all of `keys` are missing, as [`MapReader::require`] does for one.
    pub fn require_one_of(&mut self, keys: &[&'static str], problem: Problem) {
        self.required.push((keys.to_vec(), problem));
    }

    /// Reports `problem` if the key is there, in place of any mistake in its value.
    pub fn reject(&mut self, key: &'static str, problem: Problem) {
        self.rejected.push(key);
        self.known.retain(|known| *known != key);
        for entry in self.entries.iter().filter(|entry| entry.key == key) {
            self.diagnostics.retract(&entry.location.path);
            self.diagnostics.add(&entry.location, problem.clone());
        }
    }

    /// Reports a mistake of the mapping as a whole.
    pub fn diagnostic(&mut self, problem: Problem) {
        self.diagnostics.add(&self.location, problem);
    }

    /// Reports a mistake at `location`, which is in the mapping.
    pub fn diagnostic_at(&mut self, location: &Location, problem: Problem) {
        self.diagnostics.add(location, problem);
    }

    /// Warns of a problem at `location`, which is in the mapping.
    pub fn warn_at(&mut self, location: &Location, problem: Problem) {
        self.diagnostics.warn(location, problem);
    }

    /// Explains keys of other programs with the hints of `table`.
    pub fn translate(&mut self, table: &'static [Foreign]) {
        self.foreign = table;
    }

    /// Reports unknown keys and missing ones. Returns the known keys of which unknown ones are misspellings: they are not
    /// missing.
    pub fn finish(self) -> Vec<&'static str> {
        let unknown =
            |entry: &&MapEntry| !self.known.contains(&entry.key) && !self.rejected.contains(&entry.key);
        let mut meant = Vec::new();
        for entry in self.entries.iter().filter(unknown) {
            if entry.value.is_empty() && entry.key.contains([':', '@']) {
                // Not quoted: it may be a user with a password.
                let path = self.location.path.clone();
                let location = Location {
                    path,
                    ..entry.location.clone()
                };
                self.diagnostics.add(
                    &location,
                    Problem::new("a key without a value is not known here")
                        .hint("write a space behind a colon, as in {key: value}"),
                );
                continue;
            }
            let known = self.known.iter().copied();
            let hint = match foreign::find(self.foreign, entry.key) {
                Some(foreign) => {
                    meant.extend(foreign.meant);
                    foreign.hint.to_owned()
                }
                None => {
                    meant.extend(suggest::nearest(entry.key, known.clone()));
                    suggest::hint(entry.key, "known here", known)
                }
            };
            self.diagnostics
                .add(&entry.location, Problem::new("unknown key").hint(hint));
        }
        for (keys, problem) in self.required {
            let is_there = |key: &&'static str| {
                self.entries.iter().any(|entry| entry.key == *key) || meant.contains(key)
            };
            let present = keys.iter().any(is_there);
            if self.is_complete && !present {
                self.diagnostics.add(&self.location, problem);
            }
        }
        meant
    }
}

/// The entries of a mapping. `<<` brings those of other mappings, which give way to its own.
fn flatten<'a>(
    pairs: &'a [(SpannedValue, SpannedValue)],
    path: &str,
    diagnostics: &mut Diagnostics,
) -> Vec<MapEntry<'a>> {
    let mut entries = Vec::new();
    let mut merged = Vec::new();
    let mut lines: HashMap<&str, usize> = HashMap::new();
    for (key, value) in pairs {
        let Value::Scalar { text, plain } = &key.value else {
            let unquoted = key.unquoted_address(Some(value));
            let problem =
                unquoted.unwrap_or_else(|| Problem::new("a key is expected here, not a list or a mapping"));
            diagnostics.add(&location(key, path.to_owned()), problem);
            continue;
        };
        let own = join(path, text);
        let location = location(key, own.clone());
        if let Some(line) = lines.get(text.as_str()) {
            diagnostics.add(
                &location,
                Problem::new(format!("the key is on line {line} already")),
            );
        }
        lines.entry(text).or_insert(key.line);
        match *plain && text == "<<" {
            true => merged.extend(merged_entries(value, path, &location, diagnostics)),
            false => entries.push(MapEntry {
                key: text,
                location,
                value: YamlNode {
                    tree: value,
                    path: own,
                },
            }),
        }
    }
    for entry in merged {
        if !lines.contains_key(entry.key) {
            lines.insert(entry.key, entry.location.line);
            entries.push(entry);
        }
    }
    entries
}

/// Returns what a merge key adds: the entries of one mapping, or of a list of them.
fn merged_entries<'a>(
    value: &'a SpannedValue,
    path: &str,
    location: &Location,
    diagnostics: &mut Diagnostics,
) -> Vec<MapEntry<'a>> {
    let sources = match &value.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    let mut entries = Vec::new();
    for source in sources {
        match &source.value {
            Value::Map(pairs) => entries.extend(flatten(pairs, path, diagnostics)),
            _ => diagnostics.add(
                location,
                Problem::new("what is merged must be a mapping").hint("write <<: *anchor"),
            ),
        }
    }
    entries
}

fn location(tree: &SpannedValue, path: String) -> Location {
    Location {
        line: tree.line,
        column: tree.column,
        path,
    }
}

fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key.len() <= 60
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_<".contains(&b));
    let key = if bare { key.to_owned() } else { quote(key) };
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}
