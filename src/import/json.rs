//! JSON as mcrouter reads it, with `//` and `/* */` comments, as a tree in which every value knows its place.

use crate::config::error::{Diagnostics, Location, Problem};
use crate::config::tree::{SpannedValue, Value};

/// Values within one another; mcrouter allows some more.
const DEEPEST: usize = 128;

/// The value in `text`; `None` if it is no JSON, which was noted.
pub fn parse(text: &str, diagnostics: &mut Diagnostics) -> Option<SpannedValue> {
    let mut reader = Reader {
        rest: text.strip_prefix('\u{feff}').unwrap_or(text),
        line: 1,
        column: 1,
    };
    let read = reader.value(0).and_then(|tree| {
        reader.space()?;
        match reader.rest {
            "" => Ok(tree),
            _ => Err("something stands behind the value"),
        }
    });
    match read {
        Ok(tree) => Some(tree),
        Err(reason) => {
            let location = Location {
                line: reader.line,
                column: reader.column,
                path: String::new(),
            };
            diagnostics.add(&location, Problem::new(format!("no JSON: {reason}")));
            None
        }
    }
}

type Read<T> = Result<T, &'static str>;

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    column: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Read<SpannedValue> {
        self.space()?;
        if depth > DEEPEST {
            return Err("nested too deep");
        }
        let (line, column) = (self.line, self.column);
        let value = match self.rest.chars().next() {
            Some('{') => self.map(depth)?,
            Some('[') => self.list(depth)?,
            Some('"') => Value::Scalar {
                text: self.string()?,
                plain: false,
            },
            _ => Value::Scalar {
                text: self.word()?,
                plain: true,
            },
        };
        Ok(SpannedValue { line, column, value })
    }

    fn map(&mut self, depth: usize) -> Read<Value> {
        let mut entries = Vec::new();
        self.take();
        while !self.closes('}')? {
            let key = self.value(depth + 1)?;
            if !matches!(key.value, Value::Scalar { plain: false, .. }) {
                return Err("a key is a string");
            }
            self.expect(':', "a colon is missing")?;
            entries.push((key, self.value(depth + 1)?));
            self.comma('}')?;
        }
        Ok(Value::Map(entries))
    }

    fn list(&mut self, depth: usize) -> Read<Value> {
        let mut items = Vec::new();
        self.take();
        while !self.closes(']')? {
            items.push(self.value(depth + 1)?);
            self.comma(']')?;
        }
        Ok(Value::List(items))
    }

    /// Takes the bracket that ends a list or a mapping, where it comes next.
    fn closes(&mut self, bracket: char) -> Read<bool> {
        self.space()?;
        let closes = self.rest.starts_with(bracket);
        if closes {
            self.take();
        }
        Ok(closes)
    }

    fn comma(&mut self, bracket: char) -> Read<()> {
        self.space()?;
        match self.rest.chars().next() {
            Some(',') => {
                self.take();
                Ok(())
            }
            Some(next) if next == bracket => Ok(()),
            _ => Err("a comma is missing"),
        }
    }

    fn expect(&mut self, wanted: char, reason: &'static str) -> Read<()> {
        self.space()?;
        match self.take() {
            Some(found) if found == wanted => Ok(()),
            _ => Err(reason),
        }
    }

    fn word(&mut self) -> Read<String> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let word = self.rest[..end].to_owned();
        let is_good = matches!(word.as_str(), "true" | "false" | "null") || word.parse::<f64>().is_ok();
        if !is_good {
            return Err("a value is missing");
        }
        for _ in word.chars() {
            self.take();
        }
        Ok(word)
    }

    fn string(&mut self) -> Read<String> {
        const OPEN: &str = "a string is not closed";
        let mut text = String::new();
        self.take();
        loop {
            match self.take().ok_or(OPEN)? {
                '"' => return Ok(text),
                '\\' => match self.take().ok_or(OPEN)? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    'b' => text.push('\u{8}'),
                    'f' => text.push('\u{c}'),
                    'u' => text.push(self.unicode()?),
                    other => text.push(other),
                },
                other => text.push(other),
            }
        }
    }

    fn unicode(&mut self) -> Read<char> {
        let first = self.unit()?;
        let mut units = vec![first];
        if (0xd800..0xdc00).contains(&first) && self.rest.starts_with("\\u") {
            self.take();
            self.take();
            units.push(self.unit()?);
        }
        let decoded = char::decode_utf16(units).next().and_then(Result::ok);
        decoded.ok_or("\\u makes no character")
    }

    fn unit(&mut self) -> Read<u16> {
        let mut number = 0;
        for _ in 0..4 {
            let digit = self.take().and_then(|c| c.to_digit(16));
            number = number * 16 + digit.ok_or("\\u needs four hexadecimal digits")? as u16;
        }
        Ok(number)
    }

    /// Passes over what parts values: white space and comments.
    fn space(&mut self) -> Read<()> {
        loop {
            let end = if self.rest.starts_with(char::is_whitespace) {
                1
            } else if self.rest.starts_with("//") {
                self.rest.find('\n').unwrap_or(self.rest.len())
            } else if self.rest.starts_with("/*") {
                self.rest.find("*/").ok_or("a comment is not closed")? + 2
            } else {
                return Ok(());
            };
            let left = self.rest.len().saturating_sub(end);
            while self.rest.len() > left {
                self.take();
            }
        }
    }

    fn take(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next()?;
        self.rest = chars.as_str();
        if next == '\n' {
            (self.line, self.column) = (self.line + 1, 1);
        } else {
            self.column += 1;
        }
        Some(next)
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
    fn comments_part_values_and_every_value_knows_its_place() {
        let text = "// c\n{ /* \"x\": 1,\n */ \"a\": [1, true,\n\t\"/* é */ // \\u00e9\\\"\"], }";
        let tree = parse(text, &mut Diagnostics::new("f")).expect("JSON");
        let Value::Map(entries) = &tree.value else {
            panic!("{tree:?}")
        };
        let Value::List(items) = &entries[0].1.value else {
            panic!("{tree:?}")
        };
        let places: Vec<_> = [&tree, &entries[0].0, &items[1], &items[2]]
            .map(|tree| (tree.line, tree.column))
            .into();
        assert_eq!(places, [(2, 1), (3, 5), (3, 14), (4, 2)]);
        let Value::Scalar { text, plain: false } = &items[2].value else {
            panic!("{tree:?}")
        };
        assert_eq!(text, "/* é */ // é\"");
    }

    #[test]
    fn what_is_no_json_is_told_where_it_ends_to_be_one() {
        let cases = [
            ("{\"a\": 1\n \"b\": 2}", "f:2:2: no JSON: a comma is missing"),
            ("{\"a\" 1}", "f:1:7: no JSON: a colon is missing"),
            ("{a: 1}", "f:1:2: no JSON: a value is missing"),
            ("{1: 1}", "f:1:3: no JSON: a key is a string"),
            ("[\"a]", "f:1:5: no JSON: a string is not closed"),
            ("[1] 2", "f:1:5: no JSON: something stands behind the value"),
            ("/* [1]", "f:1:1: no JSON: a comment is not closed"),
            (
                "[\"\\uzzzz\"]",
                "f:1:6: no JSON: \\u needs four hexadecimal digits",
            ),
            ("", "f:1:1: no JSON: a value is missing"),
        ];
        for (text, expected) in cases {
            assert_eq!(reason(text), expected);
        }
        assert!(reason(&"[".repeat(100_000)).ends_with("nested too deep"));
        let pair = parse("\"\\ud83d\\ude00\"", &mut Diagnostics::new("f")).expect("JSON");
        assert!(matches!(&pair.value, Value::Scalar { text, .. } if text == "😀"));
    }
}
