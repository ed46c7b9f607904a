//! Writes YAML for human readers: short values on one line, long ones over several.
//!
//! Every value keeps the location in the file that it was made from, so that an error in a line of the
//! result can be reported at its cause.

/// A location in the imported file: line and column, from 1.
pub type Origin = (usize, usize);

/// A value to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// What it was made from; `None` if the import added it.
    pub origin: Option<Origin>,
    /// Its content.
    pub shape: Shape,
}

/// The three kinds of value.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A name, a number, a duration; quoted if necessary.
    Text(String),
    /// Values in order.
    List(Vec<Value>),
    /// Keys and values in order.
    Map(Vec<(String, Value)>),
}

/// Values nearer to the root than this are always written over several lines, and so is a list at this
/// depth: the nodes of a pool.
const BLOCKS: usize = 3;

/// The maximum length in bytes of a line that holds a whole list or mapping.
const WIDTH: usize = 100;

impl Value {
    /// Returns a text made from what is at `origin`.
    pub fn text(text: impl Into<String>, origin: impl Into<Option<Origin>>) -> Value {
        Value {
            origin: origin.into(),
            shape: Shape::Text(text.into()),
        }
    }

    /// Returns a list made from what is at `origin`.
    pub fn list(items: Vec<Value>, origin: impl Into<Option<Origin>>) -> Value {
        Value {
            origin: origin.into(),
            shape: Shape::List(items),
        }
    }

    /// Returns a mapping made from what is at `origin`.
    pub fn map(entries: Vec<(&str, Value)>, origin: impl Into<Option<Origin>>) -> Value {
        let entries = entries.into_iter().map(|(key, value)| (key.to_owned(), value));
        Value {
            origin: origin.into(),
            shape: Shape::Map(entries.collect()),
        }
    }

    /// Adds an entry to a mapping.
    pub fn push(&mut self, key: &str, value: Value) {
        if let Shape::Map(entries) = &mut self.shape {
            entries.push((key.to_owned(), value));
        }
    }

    /// Returns the value of `key` in a mapping.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        match &mut self.shape {
            Shape::Map(entries) => entries
                .iter_mut()
                .find(|(known, _)| known == key)
                .map(|(_, value)| value),
            _ => None,
        }
    }
}

/// Whether both have the same content, whatever they were made from.
pub fn is_same(one: &Value, other: &Value) -> bool {
    match (&one.shape, &other.shape) {
        (Shape::Text(one), Shape::Text(other)) => one == other,
        (Shape::List(one), Shape::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Shape::Map(one), Shape::Map(other)) => {
            let pairs = one.iter().zip(other);
            one.len() == other.len()
                && pairs
                    .into_iter()
                    .all(|(one, other)| one.0 == other.0 && is_same(&one.1, &other.1))
        }
        _ => false,
    }
}

/// A line of the result, and what it was made from.
pub type Line = (String, Option<Origin>);

/// Returns the lines of `value`.
pub fn write(value: &Value) -> Vec<Line> {
    let mut lines = Vec::new();
    block(value, 0, "", &mut lines);
    lines
}

/// Writes `value` behind `lead`: an indented key or dash.
fn block(value: &Value, depth: usize, lead: &str, lines: &mut Vec<Line>) {
    let indent = "  ".repeat(depth);
    let flow = flow(value);
    let is_list = matches!(value.shape, Shape::List(_));
    let is_short = depth >= BLOCKS + usize::from(is_list) && lead.len() + flow.len() < WIDTH;
    match &value.shape {
        Shape::List(items) if !is_short && !items.is_empty() => {
            open(lead, value, lines);
            for item in items {
                block(item, depth.max(BLOCKS), &format!("{indent}- "), lines);
            }
        }
        Shape::Map(entries) if !is_short && !entries.is_empty() => {
            // Behind a dash the first entry shares its line.
            let shares = lead.ends_with("- ");
            if !shares {
                open(lead, value, lines);
            }
            let inner = if shares { " ".repeat(lead.len()) } else { indent };
            for (index, (key, entry)) in entries.iter().enumerate() {
                let start = if shares && index == 0 { lead } else { &inner };
                let lead = format!("{start}{}: ", quoted(key));
                block(entry, inner.len() / 2 + 1, &lead, lines);
            }
        }
        _ => lines.push((format!("{lead}{flow}"), value.origin)),
    }
}

fn open(lead: &str, value: &Value, lines: &mut Vec<Line>) {
    if !lead.is_empty() {
        lines.push((lead.trim_end().to_owned(), value.origin));
    }
}

fn flow(value: &Value) -> String {
    match &value.shape {
        Shape::Text(text) => quoted(text),
        Shape::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Shape::Map(entries) => {
            let entry = |(key, value): &(String, Value)| format!("{}: {}", quoted(key), flow(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Writes text plainly if every parser reads it as the same text, otherwise in JSON's quotes, which YAML
/// shares.
fn quoted(text: &str) -> String {
    let first = |c: char| c.is_ascii_alphanumeric() || c == '/';
    // Some parsers read 0660 as an octal number.
    let is_octal = text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = text.starts_with(first)
        && !is_octal
        && !text.ends_with(':')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._/-:%@".contains(c))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "null" | "on" | "off" | "yes" | "no"
        );
    if is_plain {
        text.to_owned()
    } else {
        serde_json::to_string(text).expect("text is JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::text(text, None)
    }

    #[test]
    fn what_is_written_reads_as_it_was_meant() {
        let nodes = vec![
            Value::text("10.0.0.1:11211", (7, 1)),
            Value::map(vec![("address", text("[::1]:1")), ("name", text("no"))], (8, 1)),
        ];
        let long = (0..20).map(|n| text(&format!("pool-{n}"))).collect();
        let root = Value::map(
            vec![
                (
                    "listeners",
                    Value::list(
                        vec![Value::map(vec![("bind", text("unix:/run/m.sock"))], None)],
                        None,
                    ),
                ),
                (
                    "pools",
                    Value::map(
                        vec![(
                            "main",
                            Value::map(vec![("nodes", Value::list(nodes, None))], (6, 3)),
                        )],
                        None,
                    ),
                ),
                (
                    "routes",
                    Value::map(
                        vec![
                            (
                                "a",
                                Value::map(
                                    vec![(
                                        "failover",
                                        Value::map(vec![("to", Value::list(long, None))], None),
                                    )],
                                    None,
                                ),
                            ),
                            (
                                "b:",
                                Value::map(vec![("prefix", Value::map(vec![("u:", text(""))], None))], None),
                            ),
                        ],
                        None,
                    ),
                ),
            ],
            None,
        );
        let lines = write(&root);
        let written: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
        let text = written.join("\n");
        let start = [
            "listeners:",
            "  - {bind: unix:/run/m.sock}",
            "pools:",
            "  main:",
            "    nodes:",
            "      - 10.0.0.1:11211",
            "      - {address: \"[::1]:1\", name: \"no\"}",
            "routes:",
            "  a:",
            "    failover:",
            "      to:",
        ];
        assert_eq!(written[..start.len()], start);
        let origin = |start: &str| {
            lines
                .iter()
                .find(|(line, _)| line.contains(start))
                .expect(start)
                .1
        };
        assert_eq!(
            [origin("main"), origin("10.0"), origin("::1")],
            [Some((6, 3)), Some((7, 1)), Some((8, 1))]
        );
        let read: serde_yaml::Value = serde_yaml::from_str(&text).expect("YAML");
        assert_eq!(read["pools"]["main"]["nodes"][1]["name"], "no");
        assert_eq!(read["routes"]["a"]["failover"]["to"][19], "pool-19");
        assert_eq!(read["routes"]["b:"]["prefix"]["u:"], "");
    }
}
