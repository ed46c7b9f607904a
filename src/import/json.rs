//! Parses JSON as mcrouter does, with `//` and `/* */` comments, into a tree whose values know their
//! locations.

use jsonc_parser::ast::{self, ObjectPropName};
use jsonc_parser::common::Ranged;
use jsonc_parser::errors::ParseError;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use crate::config::error::{Diagnostics, Location, Problem};
use crate::config::tree::{SpannedValue, Value};

/// mcrouter's extensions to JSON: comments, and a comma behind the last item.
const MCROUTER: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_missing_commas: false,
    allow_loose_object_property_names: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Returns the value in `text`. If it is not valid JSON, adds a diagnostic and returns `None`.
pub fn parse(text: &str, diagnostics: &mut Diagnostics) -> Option<SpannedValue> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let problem = |reason: &dyn std::fmt::Display| Problem::new(format!("invalid JSON: {reason}"));
    match parse_to_ast(text, &CollectOptions::default(), &MCROUTER) {
        Ok(parsed) => {
            let value = parsed.value.map(|value| LineStarts::of(text).spanned(value));
            if value.is_none() {
                diagnostics.add(&Location::default(), problem(&"the file holds no value"));
            }
            value
        }
        Err(error) => {
            diagnostics.add(&location(&error), problem(error.kind()));
            None
        }
    }
}

fn location(error: &ParseError) -> Location {
    Location {
        line: error.line_display(),
        column: error.column_display(),
        path: String::new(),
    }
}

/// The offsets in bytes at which the lines of a text start.
struct LineStarts<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> LineStarts<'a> {
    fn of(text: &'a str) -> LineStarts<'a> {
        let ends = text.match_indices('\n').map(|(end, _)| end + 1);
        LineStarts {
            text,
            starts: std::iter::once(0).chain(ends).collect(),
        }
    }

    /// Returns the line and the column, in characters, of the byte at `offset`; both count from 1.
    fn place(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|&start| start <= offset);
        let column = self.text[self.starts[line - 1]..offset].chars().count() + 1;
        (line, column)
    }

    fn spanned(&self, value: ast::Value<'_>) -> SpannedValue {
        let offset = value.start();
        let value = match value {
            ast::Value::Object(object) => Value::Map(
                object
                    .properties
                    .into_iter()
                    .map(|property| (self.key(property.name), self.spanned(property.value)))
                    .collect(),
            ),
            ast::Value::Array(array) => Value::List(
                array
                    .elements
                    .into_iter()
                    .map(|element| self.spanned(element))
                    .collect(),
            ),
            ast::Value::StringLit(string) => scalar(&string.value, false),
            ast::Value::NumberLit(number) => scalar(number.value, true),
            ast::Value::BooleanLit(boolean) => scalar(&boolean.value.to_string(), true),
            ast::Value::NullKeyword(_) => scalar("null", true),
        };
        self.at(offset, value)
    }

    fn key(&self, name: ObjectPropName<'_>) -> SpannedValue {
        let text = match &name {
            ObjectPropName::String(string) => &*string.value,
            ObjectPropName::Word(word) => word.value,
        };
        self.at(name.start(), scalar(text, false))
    }

    fn at(&self, offset: usize, value: Value) -> SpannedValue {
        let (line, column) = self.place(offset);
        SpannedValue { line, column, value }
    }
}

fn scalar(text: &str, plain: bool) -> Value {
    Value::Scalar {
        text: text.to_owned(),
        plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        let mut diagnostics = Diagnostics::new("f");
        assert!(parse(text, &mut diagnostics).is_none(), "{text}");
        diagnostics.into_list()[0].to_string()
    }

    #[test]
    fn comments_part_values_and_every_value_knows_its_location() {
        let text = "// c\n{ /* \"x\": 1,\n */ \"a\": [1, true,\n\t\"/* é */ // \\u00e9\\\"\"], }";
        let tree = parse(text, &mut Diagnostics::new("f")).expect("JSON");
        let Value::Map(entries) = &tree.value else {
            panic!("{tree:?}")
        };
        let Value::List(items) = &entries[0].1.value else {
            panic!("{tree:?}")
        };
        let locations: Vec<_> = [&tree, &entries[0].0, &items[1], &items[2]]
            .map(|tree| (tree.line, tree.column))
            .into();
        assert_eq!(locations, [(2, 1), (3, 5), (3, 14), (4, 2)]);
        let Value::Scalar { text, plain: false } = &items[2].value else {
            panic!("{tree:?}")
        };
        assert_eq!(text, "/* é */ // é\"");
    }

    #[test]
    fn what_is_not_json_is_reported_at_its_location() {
        let cases = [
            "{\"a\": 1\n \"b\": 2}",
            "{\"a\" 1}",
            "{a: 1}",
            "{1: 1}",
            "[\"a]",
            "[1] 2",
            "/* [1]",
            "[\"\\uzzzz\"]",
            "['a']",
            "[0x1]",
            "[+1]",
            "",
        ];
        for text in cases {
            let reason = reason(text);
            assert!(
                reason.starts_with("f:1:") || reason.starts_with("f:2:"),
                "{reason}"
            );
            assert!(reason.contains(": invalid JSON: "), "{reason}");
        }
        assert_eq!(
            reason("{\"a\": 1\n \"b\": 2}"),
            "f:1:8: invalid JSON: Expected comma"
        );
        assert!(reason(&"[".repeat(100_000)).ends_with("nesting depth exceeded"));
        let pair = parse("\"\\ud83d\\ude00\"", &mut Diagnostics::new("f")).expect("JSON");
        assert!(matches!(&pair.value, Value::Scalar { text, .. } if text == "😀"));
    }
}
