//! What the policies for hot keys have in common: the keys that they are for, and from when on these are hot.

use super::super::error::{Diagnostics, Problem};
use super::super::kind::{Kind, list, number};
use super::super::map_reader::{MapReader, YamlNode};
use super::prefix::{beginning, beginning_schema};
use super::reader::Reader;
use super::{Route, Section};

/// The maximum number of prefixes: each request's key is compared with them.
const MAX_PREFIXES: usize = 32;

/// The default of `min_rate`.
pub const MIN_RATE: u32 = 100;

/// Beginnings of keys.
pub fn prefixes() -> Kind<Vec<String>> {
    let text = Kind::text(
        beginning,
        |prefix: &String| prefix.as_str().into(),
        beginning_schema,
    );
    let Kind { read, show, schema } = list(text);
    let read = move |value: &YamlNode<'_>, diagnostics: &mut Diagnostics| {
        let prefixes = read(value, diagnostics)?;
        if prefixes.len() > MAX_PREFIXES {
            let problem = Problem::new(format!("there are {} prefixes", prefixes.len()));
            let hint = format!("the maximum is {MAX_PREFIXES}; `prefix` chooses among more");
            diagnostics.add(&value.location(), problem.hint(hint));
            return None;
        }
        Some(prefixes)
    };
    let schema = move || {
        let mut schema = schema();
        schema["maxItems"] = MAX_PREFIXES.into();
        schema
    };
    Kind::new(read, move |prefixes| show(prefixes), schema)
}

/// Reads a second from which a key is hot.
pub fn min_rate() -> Kind<u32> {
    number(0..=10_000_000)
}

/// Reads a policy with the options of `S` and one route behind `to`, which `at` reads.
pub fn read<S: Section>(
    reader: &mut Reader,
    value: &YamlNode<'_>,
    diagnostics: &mut Diagnostics,
    at: fn(&mut Reader, &'static str, &mut MapReader<'_, '_>) -> Option<Route>,
) -> Option<(Route, S)> {
    let mut settings = S::default();
    let mut keys = value.keys(diagnostics);
    let to = at(reader, "to", &mut keys);
    settings.read_rows(&mut keys);
    keys.finish();
    Some((to?, settings))
}
