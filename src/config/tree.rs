//! Parses YAML into a tree in which every value knows its line and column.
//!
//! Aliases are expanded: such a value has the location of the alias, the values in it those of the anchor.
//! Scalars stay text, so `1.10` never turns into a number on its way. Left to other modules: which keys are
//! allowed (`super::map_reader`), and merge keys.
//!
//! Text may be hostile: its length, its depth and the multiplication by aliases are bounded.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::brackets;
use super::error::{Diagnostics, Location, Problem};

/// The maximum length of a text in bytes.
pub const LONGEST: usize = 4 << 20;

const DEEPEST: usize = 64;

/// The maximum number of values that anchors and aliases may copy, all together.
const MAX_COPIES: usize = 200_000;

/// A value and its location.
#[derive(Debug, Clone)]
pub struct SpannedValue {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The value.
    pub value: Value,
}

/// The three kinds of value.
#[derive(Debug, Clone)]
pub enum Value {
    /// Text, which may mean a number, a name, or nothing.
    Scalar {
        /// Without its quotes.
        text: String,
        /// Whether it had no quotes.
        plain: bool,
    },
    /// Values in order.
    List(Vec<SpannedValue>),
    /// Keys and values in order. A key may be there twice.
    Map(Vec<(SpannedValue, SpannedValue)>),
}

impl SpannedValue {
    /// Returns true for `key:` with nothing behind it, for `~` and for `null`.
    pub fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar { text, plain } => {
                *plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// Returns the problem of a list that is an IPv6 address in brackets without quotes; `None` if this is
    /// not one. `port` is the text behind it.
    pub fn unquoted_address(&self, port: Option<&SpannedValue>) -> Option<Problem> {
        let Value::List(items) = &self.value else {
            return None;
        };
        let [
            SpannedValue {
                value: Value::Scalar { text, .. },
                ..
            },
        ] = items.as_slice()
        else {
            return None;
        };
        let behind = match port.map(|port| &port.value) {
            Some(Value::Scalar { text, .. }) => format!(":{text}"),
            _ => String::new(),
        };
        brackets::is_ipv6(text).then(|| brackets::unquoted(text, &behind))
    }

    /// Whether this is a list.
    pub fn is_list(&self) -> bool {
        matches!(self.value, Value::List(_))
    }

    /// Whether this is a mapping.
    pub fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    fn len(&self) -> usize {
        match &self.value {
            Value::Scalar { .. } => 1,
            Value::List(items) => items.iter().fold(1, |sum, item| sum + item.len()),
            Value::Map(entries) => entries
                .iter()
                .fold(1, |sum, (key, value)| sum + key.len() + value.len()),
        }
    }
}

/// Parses the one document in `text`; `None` if there is none, or an error that was reported.
pub fn parse(text: &str, diagnostics: &mut Diagnostics) -> Option<SpannedValue> {
    match build(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        Ok(tree) => tree,
        Err((location, problem)) => {
            diagnostics.add(&location, problem);
            None
        }
    }
}

type Fault = (Location, Problem);

/// A list or mapping whose end has not been reached yet.
struct OpenCollection {
    line: usize,
    column: usize,
    anchor: usize,
    mapping: bool,
    values: Vec<SpannedValue>,
}

impl OpenCollection {
    fn new(line: usize, column: usize, anchor: usize, mapping: bool) -> OpenCollection {
        OpenCollection {
            line,
            column,
            anchor,
            mapping,
            values: Vec::new(),
        }
    }
}

#[derive(Default)]
struct Builder {
    open: Vec<OpenCollection>,
    anchors: HashMap<usize, SpannedValue>,
    copies: usize,
    root: Option<SpannedValue>,
    /// The number of lines in the text.
    lines: usize,
}

fn build(text: &str) -> Result<Option<SpannedValue>, Fault> {
    if text.len() > LONGEST {
        let problem = Problem::new(format!("the file has {} bytes", text.len()));
        return Err((
            Location::default(),
            problem.hint(format!("the maximum is {LONGEST}")),
        ));
    }
    let mut builder = Builder {
        lines: text.lines().count().max(1),
        ..Builder::default()
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| syntax(text, &error))?;
        builder.take(event, span)?;
    }
    Ok(builder.root)
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        // The parser puts omitted values at the end of the text on a line of their own.
        let (line, column) = (span.start.line().min(self.lines), span.start.col() + 1);
        let fault = |problem| {
            Err((
                Location {
                    line,
                    column,
                    path: String::new(),
                },
                problem,
            ))
        };
        let tag = match &event {
            Event::Scalar(_, _, _, tag) | Event::SequenceStart(_, tag) | Event::MappingStart(_, tag) => tag,
            _ => &None,
        };
        if tag.is_some() {
            return fault(Problem::new("a tag has no meaning here").hint("leave out what begins with \"!\""));
        }
        let taken = match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(Problem::new("a second document begins here").hint("a file holds one configuration"))
            }
            Event::Alias(anchor) => self.repeat(anchor, line, column),
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let value = Value::Scalar {
                    text: text.into_owned(),
                    plain,
                };
                self.location(SpannedValue { line, column, value }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(OpenCollection::new(line, column, anchor, false)),
            Event::MappingStart(anchor, _) => self.begin(OpenCollection::new(line, column, anchor, true)),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            _ => Ok(()),
        };
        taken.or_else(fault)
    }

    fn begin(&mut self, open: OpenCollection) -> Result<(), Problem> {
        if self.open.len() == DEEPEST {
            return Err(Problem::new(format!("nested more than {DEEPEST} deep")));
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let Some(OpenCollection {
            line,
            column,
            anchor,
            mapping,
            values,
        }) = self.open.pop()
        else {
            return Ok(());
        };
        let value = if mapping {
            Value::Map(pairs(values))
        } else {
            Value::List(values)
        };
        self.location(SpannedValue { line, column, value }, anchor)
    }

    fn repeat(&mut self, anchor: usize, line: usize, column: usize) -> Result<(), Problem> {
        let Some(tree) = self.anchors.get(&anchor) else {
            return Err(Problem::new("this alias is inside what it repeats"));
        };
        let copy = copy(tree, &mut self.copies)?;
        self.location(SpannedValue { line, column, ..copy }, 0)
    }

    fn location(&mut self, tree: SpannedValue, anchor: usize) -> Result<(), Problem> {
        if anchor != 0 {
            let copy = copy(&tree, &mut self.copies)?;
            self.anchors.insert(anchor, copy);
        }
        match self.open.last_mut() {
            Some(open) => open.values.push(tree),
            None => self.root = Some(tree),
        }
        Ok(())
    }
}

fn copy(tree: &SpannedValue, copies: &mut usize) -> Result<SpannedValue, Problem> {
    *copies += tree.len();
    if *copies > MAX_COPIES {
        return Err(Problem::new(
            "anchors and aliases multiply this file beyond measure",
        ));
    }
    Ok(tree.clone())
}

/// Pairs the keys and values that the parser alternates.
fn pairs(values: Vec<SpannedValue>) -> Vec<(SpannedValue, SpannedValue)> {
    let mut values = values.into_iter();
    let mut pairs = Vec::new();
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        pairs.push((key, value));
    }
    pairs
}

fn syntax(text: &str, error: &ScanError) -> Fault {
    let (mut line, mut column) = (error.marker().line().max(1), error.marker().col() + 1);
    // The parser puts the end of the text on a line of its own.
    let lines = text.lines().count().max(1);
    if line > lines {
        line = lines;
        column = text.lines().last().unwrap_or_default().chars().count() + 1;
    }
    let raw = text.lines().nth(line - 1).unwrap_or_default();
    if let Some((column, problem)) = brackets::before(raw, column) {
        let path = String::new();
        return (Location { line, column, path }, problem);
    }
    let problem = Problem::new(format!("invalid YAML: {}", error.info()));
    let indent = |line: &str| line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t');
    // The parser may notice a tab only on the line after it.
    let tabs = text.lines().skip(line.saturating_sub(2)).take(2).any(indent);
    let problem = if tabs {
        problem.hint("indent by spaces, not by tabs")
    } else {
        problem
    };
    (
        Location {
            line,
            column,
            path: String::new(),
        },
        problem,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        let mut diagnostics = Diagnostics::new("f");
        parse(text, &mut diagnostics);
        diagnostics.conclude(None::<()>).expect_err("no tree").to_string()
    }

    #[test]
    fn every_value_knows_its_place() {
        let text = "# é\na:\n  - \"é\": {x: 1}\n    y: ~\n";
        let tree = parse(text, &mut Diagnostics::new("f")).expect("good");
        let Value::Map(entries) = &tree.value else {
            panic!("{tree:?}")
        };
        let Value::List(items) = &entries[0].1.value else {
            panic!("{tree:?}")
        };
        let Value::Map(fields) = &items[0].value else {
            panic!("{tree:?}")
        };
        let Value::Map(inner) = &fields[0].1.value else {
            panic!("{tree:?}")
        };
        let locations: Vec<_> = [&entries[0].0, &items[0], &fields[0].1, &inner[0].1, &fields[1].1]
            .map(|tree| (tree.line, tree.column))
            .into();
        assert_eq!(locations, [(2, 1), (3, 5), (3, 10), (3, 14), (4, 8)]);
        assert!(fields[1].1.is_null());
    }

    #[test]
    fn an_alias_stands_where_it_was_typed_and_what_it_repeats_where_that_was() {
        let tree = parse("a: &x [1]\nb: *x\n", &mut Diagnostics::new("f")).expect("good");
        let Value::Map(entries) = &tree.value else {
            panic!("{tree:?}")
        };
        let alias = &entries[1].1;
        let Value::List(items) = &alias.value else {
            panic!("{alias:?}")
        };
        assert_eq!((alias.line, alias.column), (2, 4));
        assert_eq!((items[0].line, items[0].column), (1, 8));
    }

    #[test]
    fn hostile_text_is_bounded() {
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..9 {
            let items = vec![format!("*a{}", n - 1); 10].join(", ");
            laughs.push_str(&format!("a{n}: &a{n} [{items}]\n"));
        }
        assert!(
            fault(&laughs).ends_with("anchors and aliases multiply this file beyond measure"),
            "{}",
            fault(&laughs)
        );
        assert_eq!(fault(&"[".repeat(200)), "f:1:65: nested more than 64 deep");
        assert!(fault(&"[".repeat(100_000)).contains("recursion limit"));
        assert!(fault(&"- ".repeat(100_000)).ends_with("nested more than 64 deep"));
        assert_eq!(
            fault(&"#".repeat(LONGEST + 1)),
            "f:1:1: the file has 4194305 bytes, the maximum is 4194304"
        );
        assert_eq!(fault("&a [*a]"), "f:1:5: this alias is inside what it repeats");
    }
}
