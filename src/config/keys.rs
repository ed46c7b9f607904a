//! Reading a tree: values with their paths, mappings with a closed set of keys.
//!
//! Who reads a mapping asks [`Keys`] for each key it knows; whatever was not asked for when it is
//! finished is a mistake. So the set of known keys is written once: where they are read. Reading never
//! stops at a mistake; it notes it and goes on.

use std::collections::HashMap;

use super::error::{At, Flaw, Mistakes, Place, quote};
use super::foreign::{self, Foreign};
use super::suggest;
use super::tree::{Tree, Value};

/// A value on its path.
#[derive(Debug, Clone)]
pub struct Typed<'a> {
    tree: &'a Tree,
    path: String,
}

impl<'a> Typed<'a> {
    /// The whole file.
    pub fn root(tree: &'a Tree) -> Typed<'a> {
        Typed {
            tree,
            path: String::new(),
        }
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        place(self.tree, self.path.clone())
    }

    /// True for text and for nothing at all, false for lists and mappings.
    pub fn is_scalar(&self) -> bool {
        matches!(self.tree.value, Value::Scalar { .. })
    }

    /// True for a list.
    pub fn is_list(&self) -> bool {
        self.tree.is_list()
    }

    /// True for nothing at all, and for a mapping without entries.
    pub fn is_empty(&self) -> bool {
        self.tree.is_null() || matches!(&self.tree.value, Value::Map(entries) if entries.is_empty())
    }

    /// True for a mapping with this key.
    pub fn has_key(&self, key: &str) -> bool {
        let is_it =
            |(typed, _): &(Tree, Tree)| matches!(&typed.value, Value::Scalar { text, .. } if text == key);
        matches!(&self.tree.value, Value::Map(entries) if entries.iter().any(is_it))
    }

    /// What `parse` makes of the text.
    pub fn read<T>(&self, mistakes: &mut Mistakes, parse: impl Fn(&str) -> Result<T, Flaw>) -> Option<T> {
        let flaw = match &self.tree.value {
            Value::Scalar { text, .. } if !self.tree.is_null() => match parse(text) {
                Ok(value) => return Some(value),
                Err(flaw) => flaw,
            },
            Value::Map(entries) if entries.is_empty() => self.expected("text").hint("put \"{}\" in quotes"),
            Value::List(items) if items.is_empty() => self.expected("text").hint("put \"[]\" in quotes"),
            _ => self.expected("text"),
        };
        mistakes.add(&self.place(), flaw);
        None
    }

    /// The values of a list.
    pub fn items(&self, mistakes: &mut Mistakes) -> Option<Vec<Typed<'a>>> {
        let Value::List(items) = &self.tree.value else {
            let flaw = self.expected("a list");
            let hint = flaw
                .hint
                .clone()
                .unwrap_or_else(|| "begin each of its lines with \"- \"".to_owned());
            mistakes.add(&self.place(), flaw.hint(hint));
            return None;
        };
        let item = |(index, tree)| Typed {
            tree,
            path: format!("{}[{index}]", self.path),
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// The entries of a mapping whose keys are names, as `name` checks them.
    pub fn entries(
        &self,
        mistakes: &mut Mistakes,
        name: impl Fn(&str) -> Result<(), Flaw>,
    ) -> Option<Vec<(At<String>, Typed<'a>)>> {
        let entries = self.mapping(mistakes)?;
        for entry in &entries {
            if let Err(flaw) = name(entry.key) {
                mistakes.add(&entry.place, flaw);
            }
        }
        let split = |entry: Entry<'a>| {
            (
                At {
                    value: entry.key.to_owned(),
                    place: entry.place,
                },
                entry.value,
            )
        };
        Some(entries.into_iter().map(split).collect())
    }

    /// The mapping, to be asked for its keys.
    pub fn keys<'m>(&self, mistakes: &'m mut Mistakes) -> Keys<'a, 'm> {
        let entries = self.mapping(mistakes);
        Keys {
            place: self.place(),
            is_complete: entries.is_some() && self.is_readable(),
            foreign: &[],
            entries: entries.unwrap_or_default(),
            known: Vec::new(),
            required: Vec::new(),
            rejected: Vec::new(),
            mistakes,
        }
    }

    /// Whether all keys of a mapping are text, and all that it merges mappings; otherwise nobody can say which keys
    /// are missing.
    fn is_readable(&self) -> bool {
        let Value::Map(pairs) = &self.tree.value else {
            return true;
        };
        let merges = |value: &Tree| match &value.value {
            Value::List(items) => items.iter().all(Tree::is_map),
            Value::Map(_) => true,
            Value::Scalar { .. } => false,
        };
        pairs.iter().all(|(key, value)| match &key.value {
            Value::Scalar { text, plain } => !(*plain && text == "<<") || merges(value),
            _ => false,
        })
    }

    fn expected(&self, what: &str) -> Flaw {
        if let Some(flaw) = self.tree.unquoted_address(None) {
            return flaw;
        }
        if self.tree.is_null() {
            return Flaw::new("there is no value").hint("write one or leave it out");
        }
        let found = match self.tree.value {
            Value::Scalar { .. } => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        };
        Flaw::new(format!("{what} is expected here, not {found}"))
    }

    /// Nothing is a mapping without entries: so a section stays good whose keys are all commented out.
    fn mapping(&self, mistakes: &mut Mistakes) -> Option<Vec<Entry<'a>>> {
        match &self.tree.value {
            Value::Map(pairs) => Some(flatten(pairs, &self.path, mistakes)),
            _ if self.tree.is_null() => Some(Vec::new()),
            _ => {
                mistakes.add(&self.place(), self.expected("a mapping"));
                None
            }
        }
    }
}

/// One key of a mapping with its value.
#[derive(Debug)]
struct Entry<'a> {
    key: &'a str,
    place: Place,
    value: Typed<'a>,
}

/// A mapping whose keys are a closed set.
#[derive(Debug)]
pub struct Keys<'a, 'm> {
    place: Place,
    /// Whether it is known which keys there are.
    is_complete: bool,
    foreign: &'static [Foreign],
    entries: Vec<Entry<'a>>,
    known: Vec<&'static str>,
    required: Vec<(Vec<&'static str>, Flaw)>,
    rejected: Vec<&'static str>,
    mistakes: &'m mut Mistakes,
}

impl<'a> Keys<'a, '_> {
    /// What `read` makes of the value of `key`; `None` if the key is missing.
    pub fn get<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&Typed<'a>, &mut Mistakes) -> Option<T>,
    ) -> Option<T> {
        self.known.push(key);
        let mut found = None;
        // A key given twice is a mistake already; the mistakes of both values are told.
        for entry in self.entries.iter().filter(|entry| entry.key == key) {
            found = read(&entry.value, self.mistakes);
        }
        found
    }

    /// What `parse` makes of the text of `key`; `None` if the key is missing.
    pub fn value<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, Flaw>) -> Option<T> {
        self.get(key, |value, mistakes| value.read(mistakes, &parse))
    }

    /// The same, with its place; `default` where the key is missing, `None` if it holds a mistake.
    pub fn at_or<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Flaw>,
        default: At<T>,
    ) -> Option<At<T>> {
        let typed = self.at(key, parse);
        if self.has(key) { typed } else { Some(default) }
    }

    /// The same, with its place.
    pub fn at<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, Flaw>) -> Option<At<T>> {
        self.get(key, |value, mistakes| {
            value.read(mistakes, &parse).map(|read| At {
                value: read,
                place: value.place(),
            })
        })
    }

    /// Whether the key was typed, well or not.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Where the key is missing, and is no slip in another one, `flaw` is a mistake.
    pub fn require(&mut self, key: &'static str, flaw: Flaw) {
        self.require_one_of(&[key], flaw);
    }

    /// The same where one of `keys` is enough.
    pub fn require_one_of(&mut self, keys: &[&'static str], flaw: Flaw) {
        self.required.push((keys.to_vec(), flaw));
    }

    /// Where the key is there, `flaw` is a mistake.
    pub fn reject(&mut self, key: &'static str, flaw: Flaw) {
        self.rejected.push(key);
        for entry in self.entries.iter().filter(|entry| entry.key == key) {
            self.mistakes.add(&entry.place, flaw.clone());
        }
    }

    /// Notes a mistake of the mapping as a whole.
    pub fn mistake(&mut self, flaw: Flaw) {
        self.mistakes.add(&self.place, flaw);
    }

    /// Notes a mistake at `place`, which lies in the mapping.
    pub fn mistake_at(&mut self, place: &Place, flaw: Flaw) {
        self.mistakes.add(place, flaw);
    }

    /// Warns of something at `place`, which lies in the mapping.
    pub fn warn_at(&mut self, place: &Place, flaw: Flaw) {
        self.mistakes.warn(place, flaw);
    }

    /// Tells keys of other programs in the words of `table`.
    pub fn translate(&mut self, table: &'static [Foreign]) {
        self.foreign = table;
    }

    /// Notes the keys that nobody asked for and those that are missing. Returns the known keys that were
    /// meant by unknown ones: they are not missing, but misspelt.
    pub fn finish(self) -> Vec<&'static str> {
        let unknown =
            |entry: &&Entry| !self.known.contains(&entry.key) && !self.rejected.contains(&entry.key);
        let mut meant = Vec::new();
        for entry in self.entries.iter().filter(unknown) {
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
            self.mistakes
                .add(&entry.place, Flaw::new("unknown key").hint(hint));
        }
        for (keys, flaw) in self.required {
            let is_there = |key: &&'static str| {
                self.entries.iter().any(|entry| entry.key == *key) || meant.contains(key)
            };
            let present = keys.iter().any(is_there);
            if self.is_complete && !present {
                self.mistakes.add(&self.place, flaw);
            }
        }
        meant
    }
}

/// The entries of a mapping. `<<` brings those of other mappings, which give way to its own.
fn flatten<'a>(pairs: &'a [(Tree, Tree)], path: &str, mistakes: &mut Mistakes) -> Vec<Entry<'a>> {
    let mut entries = Vec::new();
    let mut merged = Vec::new();
    let mut lines: HashMap<&str, usize> = HashMap::new();
    for (key, value) in pairs {
        let Value::Scalar { text, plain } = &key.value else {
            let unquoted = key.unquoted_address(Some(value));
            let flaw =
                unquoted.unwrap_or_else(|| Flaw::new("a key is expected here, not a list or a mapping"));
            mistakes.add(&place(key, path.to_owned()), flaw);
            continue;
        };
        let own = join(path, text);
        let place = place(key, own.clone());
        if let Some(line) = lines.get(text.as_str()) {
            mistakes.add(
                &place,
                Flaw::new(format!("the key stands on line {line} already")),
            );
        }
        lines.entry(text).or_insert(key.line);
        match *plain && text == "<<" {
            true => merged.extend(brought(value, path, &place, mistakes)),
            false => entries.push(Entry {
                key: text,
                place,
                value: Typed {
                    tree: value,
                    path: own,
                },
            }),
        }
    }
    for entry in merged {
        if !lines.contains_key(entry.key) {
            lines.insert(entry.key, entry.place.line);
            entries.push(entry);
        }
    }
    entries
}

/// What a merge key brings: the entries of one mapping, or of a list of them.
fn brought<'a>(value: &'a Tree, path: &str, place: &Place, mistakes: &mut Mistakes) -> Vec<Entry<'a>> {
    let sources = match &value.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    let mut entries = Vec::new();
    for source in sources {
        match &source.value {
            Value::Map(pairs) => entries.extend(flatten(pairs, path, mistakes)),
            _ => mistakes.add(
                place,
                Flaw::new("what is merged must be a mapping").hint("write <<: *anchor"),
            ),
        }
    }
    entries
}

fn place(tree: &Tree, path: String) -> Place {
    Place {
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
