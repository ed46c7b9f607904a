//! mcrouter's macros: `@name(a, b)`, `%parameter%`, objects whose `type` is a macro's name, and definitions
//! under `macros` (`mcrouter/lib/config/ConfigPreprocessor.cpp`).
//!
//! A value that cannot be expanded is reported at its location and becomes null.

mod built_in;

use std::collections::HashMap;
use std::rc::Rc;

use thiserror::Error;

use self::built_in::ArgumentError;
use super::lose;
use crate::config::error::Diagnostics;
use crate::config::tree::{SpannedValue, Value};

/// The maximum nesting of macros, as in mcrouter.
const DEEPEST: usize = 250;

/// The maximum total size of all values that macros make, in bytes of memory, approximately.
const MAX_WEIGHT: usize = 64 << 20;

/// Values of parameters by name.
type ParameterValues = HashMap<String, SpannedValue>;

/// The definition of a name.
#[derive(Debug, Clone)]
struct Macro {
    parameters: Vec<Parameter>,
    result: SpannedValue,
}

#[derive(Debug, Clone)]
struct Parameter {
    name: String,
    default: Option<SpannedValue>,
    is_optional: bool,
}

struct Expander<'a> {
    macros: HashMap<String, Rc<Macro>>,
    constants: HashMap<String, Rc<SpannedValue>>,
    depth: usize,
    /// The size that may still be made.
    left: usize,
    /// Whether it was reported that the output is too large.
    is_told: bool,
    lost: &'a mut Diagnostics,
}

/// Why a macro cannot be expanded.
#[derive(Debug, PartialEq, Eq, Error)]
enum MacroError {
    #[error("the macro {0} is not expanded here: write down what it makes")]
    NotExpanded(String),
    #[error("no macro has the name {0}")]
    Unknown(String),
    #[error("another file is imported here: put it in first")]
    Import,
    #[error("the macro {0} needs {1}")]
    Needs(String, String),
    #[error("the macro {0} takes {1}")]
    Takes(String, String),
    #[error("the macro {name}: {source}")]
    Argument { name: String, source: ArgumentError },
    #[error("the macros make too much")]
    TooMuch,
    #[error("brackets do not match")]
    Brackets,
    #[error("a bracket is not closed")]
    OpenBracket,
    #[error("an odd number of percent signs")]
    OddPercent,
    #[error("no parameter has the name {0}: a running mcrouter may know it")]
    NoParameter(String),
    #[error("the parameter {0} is not a string, but is used inside one")]
    NoText(String),
}

/// A value in which all macros are expanded.
type Worked = Result<SpannedValue, MacroError>;

/// Returns `config` with its macros expanded.
pub fn expand(config: SpannedValue, lost: &mut Diagnostics) -> SpannedValue {
    let mut expander = Expander {
        macros: HashMap::new(),
        constants: HashMap::new(),
        depth: 0,
        left: MAX_WEIGHT,
        is_told: false,
        lost,
    };
    let Value::Map(mut entries) = config.value else {
        return config;
    };
    let at = entries.iter().position(|(key, _)| text(key) == Some("macros"));
    if let Some((_, macros)) = at.map(|at| entries.remove(at)) {
        expander.define(&macros);
    }
    let config = SpannedValue {
        value: Value::Map(entries),
        ..config
    };
    expander.value(&config, &ParameterValues::new())
}

impl Expander<'_> {
    fn define(&mut self, macros: &SpannedValue) {
        match &macros.value {
            Value::List(items) => items.iter().for_each(|item| self.define(item)),
            Value::Map(entries) => {
                for (name, definition) in entries {
                    let name = text(name).unwrap_or_default();
                    let result = get(definition, "result");
                    match (get(definition, "type").and_then(text), result) {
                        (Some("macroDef"), Some(result)) => {
                            let parameters = get(definition, "params").map(parameters).unwrap_or_default();
                            let result = result.clone();
                            let defined = Rc::new(Macro { parameters, result });
                            self.macros.insert(name.to_owned(), defined);
                        }
                        (Some("constDef"), Some(result)) => {
                            self.constants.insert(name.to_owned(), Rc::new(result.clone()));
                        }
                        _ => self.lose(definition, "no macroDef or constDef with a result"),
                    }
                }
            }
            Value::Scalar { .. } => self.lose(macros, "neither an object nor a list of objects"),
        }
    }

    fn lose(&mut self, tree: &SpannedValue, why: impl Into<String>) {
        lose(self.lost, (tree.line, tree.column), "", why);
    }

    /// Returns `tree` with all macros in it expanded.
    fn value(&mut self, tree: &SpannedValue, context: &ParameterValues) -> SpannedValue {
        if self.depth == DEEPEST || self.left == 0 {
            if !self.is_told {
                self.lose(tree, "macros go on and on: is there a circle?");
            }
            self.is_told = true;
            // Nothing more is expanded, otherwise each enclosing value would continue.
            self.left = 0;
            return null(tree);
        }
        self.spend(own_weight(tree));
        self.depth += 1;
        let worked = match &tree.value {
            Value::Scalar { text, plain: false } => self.string(text, tree, context),
            Value::Scalar { .. } => Ok(tree.clone()),
            Value::List(items) => {
                let items = items.iter().map(|item| self.value(item, context)).collect();
                Ok(like(tree, Value::List(items)))
            }
            Value::Map(entries) => self.object(tree, entries, context),
        };
        self.depth -= 1;
        worked.unwrap_or_else(|error| {
            self.lose(tree, error.to_string());
            null(tree)
        })
    }

    /// Subtracts `weight` from the size that may still be made.
    fn spend(&mut self, weight: usize) {
        self.left = self.left.saturating_sub(weight);
    }

    /// Returns a copy of `tree`, if its size allows it.
    fn copy(&mut self, tree: &SpannedValue) -> Worked {
        self.spend(weight(tree, self.left));
        if self.left == 0 {
            return Err(MacroError::TooMuch);
        }
        Ok(tree.clone())
    }

    fn object(
        &mut self,
        tree: &SpannedValue,
        entries: &[(SpannedValue, SpannedValue)],
        context: &ParameterValues,
    ) -> Worked {
        let kind = get(tree, "type").map(|kind| self.value(kind, context));
        if let Some(kind) = kind.as_ref().and_then(text) {
            if let Some(why) = built_in::refusal(kind) {
                return Err(why);
            }
            if let Some(called) = self.macros.get(kind).cloned() {
                let given = |name: &str| get(tree, name).cloned();
                return self.call(kind, &called, given, context);
            }
            if let Some(names) = built_in::parameters(kind) {
                let arguments: Vec<SpannedValue> =
                    names.iter().map_while(|name| get(tree, name)).cloned().collect();
                return self.built_in(kind, &arguments, tree, context);
            }
        }
        let mut worked = Vec::new();
        for (key, value) in entries {
            let value = self.value(value, context);
            worked.push((self.value(key, context), value));
        }
        Ok(like(tree, Value::Map(worked)))
    }

    /// Expands a macro of the file with the parameters in `given`.
    fn call(
        &mut self,
        name: &str,
        called: &Macro,
        given: impl Fn(&str) -> Option<SpannedValue>,
        context: &ParameterValues,
    ) -> Worked {
        let mut inner = ParameterValues::new();
        for parameter in &called.parameters {
            match (given(&parameter.name), &parameter.default) {
                (Some(value), _) => {
                    let value = self.value(&value, context);
                    inner.insert(parameter.name.clone(), value);
                }
                (None, Some(default)) => {
                    inner.insert(parameter.name.clone(), self.copy(default)?);
                }
                (None, None) if parameter.is_optional => {}
                (None, None) => return Err(MacroError::Needs(name.to_owned(), parameter.name.clone())),
            }
        }
        Ok(self.value(&called.result, &inner))
    }

    /// Expands a string: the call of a macro, or text with parameters in it.
    fn string(&mut self, text: &str, tree: &SpannedValue, context: &ParameterValues) -> Worked {
        let Some(call) = text.strip_prefix('@') else {
            return self.replace(text, tree, context);
        };
        let (name, arguments) = match find_unescaped(call, '(') {
            None => (call, Vec::new()),
            Some(open) => {
                let inside = call[open + 1..]
                    .strip_suffix(')')
                    .ok_or(MacroError::OpenBracket)?;
                (&call[..open], arguments(inside)?)
            }
        };
        let name = self.replace(name, tree, context)?;
        let name = self::text(&name).unwrap_or_default().to_owned();
        let arguments: Vec<SpannedValue> = arguments
            .into_iter()
            .map(|argument| like(tree, scalar(argument, false)))
            .collect();
        if let Some(called) = self.macros.get(&name).cloned() {
            if arguments.len() > called.parameters.len() {
                return Err(MacroError::Takes(name, "fewer arguments".to_owned()));
            }
            let names: Vec<&str> = called
                .parameters
                .iter()
                .map(|parameter| parameter.name.as_str())
                .collect();
            let given = |wanted: &str| {
                let at = names.iter().position(|name| *name == wanted)?;
                arguments.get(at).cloned()
            };
            return self.call(&name, &called, given, context);
        }
        if built_in::parameters(&name).is_some() {
            return self.built_in(&name, &arguments, tree, context);
        }
        Err(match (name.as_str(), built_in::refusal(&name)) {
            (_, Some(why)) => why,
            ("import", _) => MacroError::Import,
            _ => MacroError::Unknown(name),
        })
    }

    /// Replaces each `%name%` in `text`; if that is the whole text, the result may be any value.
    fn replace(&mut self, text: &str, tree: &SpannedValue, context: &ParameterValues) -> Worked {
        let (mut replaced, mut rest) = (String::new(), text);
        loop {
            let Some(end) = unescape_until(rest, &mut replaced, '%') else {
                return Ok(like(tree, scalar(&replaced, false)));
            };
            rest = &rest[end + 1..];
            let mut name = String::new();
            let end = unescape_until(rest, &mut name, '%').ok_or(MacroError::OddPercent)?;
            rest = &rest[end + 1..];
            let value = match context.get(&name) {
                Some(value) => self.copy(value)?,
                None => {
                    let constant = self.constants.get(&name).cloned();
                    let constant = constant.ok_or(MacroError::NoParameter(name.clone()))?;
                    self.value(&constant, &ParameterValues::new())
                }
            };
            if replaced.is_empty() && rest.is_empty() {
                return Ok(value);
            }
            let Value::Scalar { text, plain: false } = &value.value else {
                return Err(MacroError::NoText(name));
            };
            self.spend(text.len());
            replaced.push_str(text);
        }
    }
}

fn parameters(tree: &SpannedValue) -> Vec<Parameter> {
    let Value::List(items) = &tree.value else {
        return Vec::new();
    };
    let parameter = |item: &SpannedValue| Parameter {
        name: text(item)
            .or(get(item, "name").and_then(text))
            .unwrap_or_default()
            .to_owned(),
        default: get(item, "default").cloned(),
        is_optional: get(item, "optional").is_some(),
    };
    items.iter().map(parameter).collect()
}

/// Splits the arguments of a call at commas outside of the brackets of inner calls.
fn arguments(inside: &str) -> Result<Vec<&str>, MacroError> {
    let mut found = Vec::new();
    let (mut depth, mut start, mut is_escaped) = (0_usize, 0, false);
    for (at, c) in inside.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or(MacroError::Brackets)?,
            ',' if depth == 0 => {
                found.push(inside[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err(MacroError::Brackets);
    }
    found.push(inside[start..].trim());
    Ok(found)
}

fn find_unescaped(text: &str, wanted: char) -> Option<usize> {
    unescape_until(text, &mut String::new(), wanted)
}

/// Moves the part before `end` to `to`, without its backslashes. `None` if there is no `end`: then moves
/// everything.
fn unescape_until(text: &str, to: &mut String, end: char) -> Option<usize> {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => to.extend(chars.next().map(|(_, c)| c)),
            _ if c == end => return Some(at),
            _ => to.push(c),
        }
    }
    None
}

/// The approximate memory of a value, without the values in it.
fn own_weight(tree: &SpannedValue) -> usize {
    let text = match &tree.value {
        Value::Scalar { text, .. } => text.len(),
        _ => 0,
    };
    size_of::<SpannedValue>() + text
}

/// The approximate memory of `tree`; stops counting once it exceeds `most`.
fn weight(tree: &SpannedValue, most: usize) -> usize {
    let (mut sum, mut left) = (0, vec![tree]);
    while let Some(tree) = left.pop() {
        sum += own_weight(tree);
        match &tree.value {
            _ if sum > most => return sum,
            Value::List(items) => left.extend(items),
            Value::Map(entries) => left.extend(entries.iter().flat_map(|(key, value)| [key, value])),
            Value::Scalar { .. } => {}
        }
    }
    sum
}

fn like(tree: &SpannedValue, value: Value) -> SpannedValue {
    SpannedValue {
        line: tree.line,
        column: tree.column,
        value,
    }
}

fn null(tree: &SpannedValue) -> SpannedValue {
    like(tree, scalar("null", true))
}

fn scalar(text: &str, plain: bool) -> Value {
    Value::Scalar {
        text: text.to_owned(),
        plain,
    }
}

/// The text of a scalar.
pub fn text(tree: &SpannedValue) -> Option<&str> {
    match &tree.value {
        Value::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

/// Returns the value of `key` in an object; of several the last one.
pub fn get<'a>(tree: &'a SpannedValue, key: &str) -> Option<&'a SpannedValue> {
    match &tree.value {
        Value::Map(entries) => entries
            .iter()
            .rev()
            .find(|(known, _)| text(known) == Some(key))
            .map(|(_, value)| value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    /// Renders the tree as JSON without spaces.
    fn shown(tree: &SpannedValue) -> String {
        match &tree.value {
            Value::Scalar { text, plain: true } => text.clone(),
            Value::Scalar { text, .. } => format!("{text:?}"),
            Value::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(",")),
            Value::Map(entries) => {
                let entry =
                    |(key, value): &(SpannedValue, SpannedValue)| format!("{}:{}", shown(key), shown(value));
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
            }
        }
    }

    fn expanded(text: &str) -> (String, Vec<String>) {
        let mut lost = Diagnostics::new("f");
        let tree = json::parse(text, &mut lost).expect("JSON");
        let tree = expand(tree, &mut lost);
        let lost = lost.into_list().iter().map(ToString::to_string).collect();
        (shown(&tree), lost)
    }

    #[test]
    fn macros_are_worked_out_as_mcrouter_does() {
        let macros = r#""macros": {
            "pool": {"type": "macroDef", "params": ["n", {"name": "port", "default": "11211"}],
                     "result": {"servers": ["10.0.0.%n%:%port%"]}},
            "hosts": {"type": "constDef", "result": ["a", "b"]},
            "route": {"type": "macroDef", "params": ["kind"], "result": "%kind%Route|A"},
            "same": {"type": "macroDef", "params": ["x"], "result": "%x%"}
        }"#;
        let cases = [
            (r#""@pool(7)""#, r#"{"servers":["10.0.0.7:11211"]}"#),
            (
                r#"{"type": "pool", "n": "1", "port": "5"}"#,
                r#"{"servers":["10.0.0.1:5"]}"#,
            ),
            (r#""%hosts%""#, r#"["a","b"]"#),
            (r#""@route(All@)""#, r#""All@Route|A""#),
            (r#""@same(@merge)""#, "null"),
            (r#""@same(@route(Pool))""#, r#""PoolRoute|A""#),
            (r#""@same(a\\,b)""#, r#""a,b""#),
            (r#""50\\%""#, r#""50%""#),
            (
                r#"{"type": "merge", "params": [["x"], "%hosts%"]}"#,
                r#"["x","a","b"]"#,
            ),
            (r#"{"type": "merge", "params": ["x", "y"]}"#, r#""xy""#),
            (r#""@int(5)""#, "5"),
            (r#""@add(@int(5), @int(6))""#, "null"),
            (r#""@select(%hosts%, @int(1))""#, r#""b""#),
            (r#""@slice(%hosts%, @int(1), @int(5))""#, r#"["b"]"#),
            (r#""@range(@int(1), @int(3))""#, "[1,2,3]"),
            (r#""@slice(%m%, 0, 1)""#, "null"),
        ];
        for (raw, expected) in cases {
            let (got, lost) = expanded(&format!("{{{macros}, \"x\": {raw}}}"));
            assert_eq!(got, format!("{{\"x\":{expected}}}"), "{raw}: {lost:?}");
            assert_eq!(lost.is_empty(), expected != "null", "{raw}: {lost:?}");
        }
    }

    #[test]
    fn what_cannot_be_worked_out_is_told_at_its_place() {
        let cases = [
            (
                r#"{"x": "@import(other.json)"}"#,
                "f:1:7: another file is imported here: put it in first",
            ),
            (r#"{"x": "@none(1)"}"#, "f:1:7: no macro has the name none"),
            (
                r#"{"x": "%default-route%"}"#,
                "f:1:7: no parameter has the name default-route: a running mcrouter may know it",
            ),
            (r#"{"x": "%odd"}"#, "f:1:7: an odd number of percent signs"),
            (
                r#"{"macros": {"a": {"type": "macroDef", "params": ["p"], "result": "%p%"}}, "x": "@a"}"#,
                "f:1:80: the macro a needs p",
            ),
            (
                r#"{"macros": {"a": {"type": "macroDef", "result": "@a"}}, "x": "@a"}"#,
                "f:1:49: macros go on and on: is there a circle?",
            ),
            (
                r#"{"x": {"type": "transform", "dictionary": {}}}"#,
                "f:1:7: the macro transform is not expanded here: write down what it makes",
            ),
        ];
        for (raw, expected) in cases {
            assert_eq!(expanded(raw).1, [expected], "{raw}");
        }
    }
}
