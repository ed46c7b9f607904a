//! The errors of a configuration, with their locations.
//!
//! A [`Problem`] describes what is wrong with a value; with a location it becomes a [`Diagnostic`].
//! Everything quoted from the file is escaped and truncated, so that a diagnostic is always one line that
//! is safe for a terminal.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The configuration cannot be run: at least one diagnostic, in the order of locations.
    #[error("{}", lines(.0))]
    Diagnostics(Vec<Diagnostic>),
}

/// A line for each of `items`, without the last line end.
pub fn lines(items: &[impl fmt::Display]) -> String {
    let lines: Vec<String> = items.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// One error. Displayed as `FILE:LINE:COLUMN: path.to.key: reason, hint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as named on the command line.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The path of the value, such as `pools.main.nodes[1].weight`; empty for the file as a whole.
    pub path: String,
    /// What is wrong.
    pub reason: String,
    /// The likely fix, if known.
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(f, "")
    }
}

impl Diagnostic {
    fn show(&self, f: &mut fmt::Formatter<'_>, kind: &str) -> fmt::Result {
        write!(f, "{}:{}:{}: {kind}", self.file, self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.reason)?;
        match &self.hint {
            Some(hint) => write!(f, ", {hint}"),
            None => Ok(()),
        }
    }
}

/// A warning about a valid but probably unintended setting. Displayed as `FILE:LINE:COLUMN: warning:
/// path.to.key: reason, hint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub Diagnostic);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Warning(diagnostic) = self;
        diagnostic.show(f, "warning: ")
    }
}

/// What is wrong with a value whose location the finder does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}{}", .hint.iter().map(|hint| format!(", {hint}")).collect::<String>())]
pub struct Problem {
    /// What is wrong.
    pub reason: String,
    /// The likely fix, if known.
    pub hint: Option<String>,
}

impl Problem {
    /// Returns a problem without a hint.
    pub fn new(reason: impl Into<String>) -> Problem {
        Problem {
            reason: reason.into(),
            hint: None,
        }
    }

    /// Adds a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }
}

/// The location of a value in the file, and its path. Ordered as in the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Location {
    /// From 1; 0 for a default, which has no line.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The path of the value.
    pub path: String,
}

/// A value and its location.
#[derive(Debug, Clone)]
pub struct Spanned<T> {
    /// The value as written.
    pub value: T,
    /// Its location.
    pub location: Location,
}

/// Collects the diagnostics of one file.
#[derive(Debug)]
pub struct Diagnostics {
    file: String,
    list: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// The files that the file names.
    named: Vec<PathBuf>,
}

impl Diagnostics {
    /// Returns an empty collection for `file`.
    pub fn new(file: &str) -> Diagnostics {
        Diagnostics {
            file: file.to_owned(),
            list: Vec::new(),
            warnings: Vec::new(),
            named: Vec::new(),
        }
    }

    /// Notes that the file names `path`.
    pub fn note_named(&mut self, path: &Path) {
        self.named.push(path.to_owned());
    }

    /// Returns the files that the file names.
    pub fn into_named(self) -> Vec<PathBuf> {
        self.named
    }

    /// The folder of the file, from which its relative paths start.
    pub fn folder(&self) -> PathBuf {
        Path::new(&self.file)
            .parent()
            .map_or_else(PathBuf::new, Path::to_owned)
    }

    /// Whether there are no errors so far.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds a problem with its location.
    pub fn add(&mut self, location: &Location, problem: Problem) {
        let diagnostic = self.placed(location, problem);
        self.list.push(diagnostic);
    }

    /// Takes back what was added at `path` and below it.
    pub fn retract(&mut self, path: &str) {
        let is_below = |other: &str| {
            other
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.list.retain(|diagnostic| !is_below(&diagnostic.path));
    }

    /// Adds a warning.
    pub fn warn(&mut self, location: &Location, problem: Problem) {
        let warning = self.placed(location, problem);
        self.warnings.push(warning);
    }

    fn placed(&self, location: &Location, problem: Problem) -> Diagnostic {
        Diagnostic {
            file: self.file.clone(),
            line: location.line.max(1),
            column: location.column.max(1),
            path: location.path.clone(),
            reason: one_line(&problem.reason),
            hint: problem.hint.as_deref().map(one_line),
        }
    }

    /// Takes the warnings, in the order of the file.
    pub fn take_warnings(&mut self) -> Vec<Warning> {
        let warnings = in_order(std::mem::take(&mut self.warnings));
        warnings.into_iter().map(Warning).collect()
    }

    /// Returns `value` if there were no errors, otherwise all of them, in order.
    pub fn conclude<T>(self, value: Option<T>) -> Result<T, Error> {
        let list = self.into_list();
        match value {
            Some(value) if list.is_empty() => Ok(value),
            _ => Err(Error::Diagnostics(list)),
        }
    }

    /// Returns all errors, in the order of the file.
    pub fn into_list(self) -> Vec<Diagnostic> {
        in_order(self.list)
    }
}

/// Sorts `list` in the order of the file. An error in text that an alias repeats is reported once, at the
/// anchor.
fn in_order(mut list: Vec<Diagnostic>) -> Vec<Diagnostic> {
    list.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    list.dedup_by(|next, before| {
        (next.line, next.column, &next.reason) == (before.line, before.column, &before.reason)
    });
    list
}

/// Removes control characters from `text`, which a hint may quote from the file.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => line.extend(c.escape_debug()),
            false => line.push(c),
        }
    }
    line
}

/// Quotes text from the file for a diagnostic: in quotes, escaped, truncated after 60 characters.
pub fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_escaped_and_cut() {
        assert_eq!(quote("a\u{1b}[2J\n"), r#""a\u{1b}[2J\n""#);
        assert_eq!(quote(&"é".repeat(61)), format!("\"{}\"…", "é".repeat(60)));
    }

    #[test]
    fn no_mistake_steers_the_terminal() {
        let mut diagnostics = Diagnostics::new("f");
        let raw = "a\u{1b}[2J\n\"";
        diagnostics.add(
            &Location::default(),
            Problem::new(raw).hint(format!("did you mean {raw}?")),
        );
        let shown = diagnostics
            .conclude(None::<()>)
            .expect_err("a mistake")
            .to_string();
        assert_eq!(shown, r#"f:1:1: a\u{1b}[2J\n", did you mean a\u{1b}[2J\n"?"#);
    }

    #[test]
    fn mistakes_come_in_the_order_of_their_places() {
        let mut diagnostics = Diagnostics::new("f");
        for (line, column) in [(2, 1), (1, 9), (1, 3), (1, 9)] {
            diagnostics.add(
                &Location {
                    line,
                    column,
                    path: String::new(),
                },
                Problem::new("wrong").hint("mend it"),
            );
        }
        let shown = diagnostics
            .conclude(Some(()))
            .expect_err("three mistakes")
            .to_string();
        assert_eq!(
            shown,
            "f:1:3: wrong, mend it\nf:1:9: wrong, mend it\nf:2:1: wrong, mend it"
        );
    }
}
