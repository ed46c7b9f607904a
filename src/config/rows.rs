//! One row for each key: from the row come the field, its default, how it is read and rendered, its part of the JSON
//! schema, and with that what tests hold config/full.yaml and docs/configuration.md to.

use serde_json::{Map, Value};

use super::kind::Kind;
use super::map_reader::MapReader;
use super::schema::{self, Row};

/// A mapping of the file whose keys are a closed set. By default what holds if all of them are left out.
pub trait Section: Default {
    /// All keys.
    fn rows() -> Vec<Row> {
        Vec::new()
    }

    /// Reads the keys that are there; the others, and those with mistakes, stay as they are.
    fn read_rows(&mut self, _keys: &mut MapReader<'_, '_>) {}

    /// Renders all keys.
    fn show_rows(&self, _shown: &mut Map<String, Value>) {}
}

/// What is written as a mapping of its own.
pub fn mapping<T: Section + 'static>() -> Kind<T> {
    Kind::new(
        |value, diagnostics| {
            let mut section = T::default();
            let mut keys = value.keys(diagnostics);
            section.read_rows(&mut keys);
            keys.finish();
            Some(section)
        },
        render,
        || schema::mapping(T::rows(), Value::Null),
    )
}

/// Renders a section with all its keys.
pub fn render<T: Section>(section: &T) -> Value {
    let mut shown = Map::new();
    section.show_rows(&mut shown);
    Value::Object(shown)
}

/// The first paragraph of a doc comment: what users read, too.
pub fn first_paragraph(lines: &[&str]) -> String {
    let lines = lines
        .iter()
        .map(|line| line.trim())
        .take_while(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// Declares a section: a struct with a row `key: Type = default, kind;` for each of its keys. Fields in parentheses have no
/// row. A field behind `..` is a section whose keys are written in the same mapping.
macro_rules! section {
    ($(#[$attribute:meta])* $visibility:vis struct $Section:ident {
        $(($($(#[$other_doc:meta])* $other:ident: $Other:ty,)+))?
        $($(#[doc = $doc:literal])+ $key:ident: $T:ty = $default:expr, $kind:expr;)*
        $(.. $(#[$inner_doc:meta])* $inner:ident: $Inner:ty;)*
    }) => {
        $(#[$attribute])*
        $visibility struct $Section {
            $($($(#[$other_doc])* pub $other: $Other,)+)?
            $($(#[doc = $doc])+ pub $key: $T,)*
            $($(#[$inner_doc])* pub $inner: $Inner,)*
        }

        impl Default for $Section {
            fn default() -> $Section {
                $Section { $($($other: Default::default(),)+)? $($key: $default,)* $($inner: Default::default(),)* }
            }
        }

        impl $crate::config::rows::Section for $Section {
            fn rows() -> Vec<$crate::config::schema::Row> {
                let default = $Section::default();
                let own = vec![$({
                    let kind: $crate::config::kind::Kind<$T> = $kind;
                    $crate::config::schema::Row {
                        key: stringify!($key),
                        doc: $crate::config::rows::first_paragraph(&[$($doc),+]),
                        default: (kind.show)(&default.$key),
                        schema: (kind.schema)(),
                    }
                },)*];
                [own, $(<$Inner>::rows(),)*].into_iter().flatten().collect()
            }

            fn read_rows(&mut self, keys: &mut $crate::config::map_reader::MapReader<'_, '_>) {
                $(if let Some(value) = keys.get(stringify!($key), $kind.read) {
                    self.$key = value;
                })*
                $(self.$inner.read_rows(keys);)*
            }

            fn show_rows(&self, shown: &mut serde_json::Map<String, serde_json::Value>) {
                $(match ($kind.show)(&self.$key) {
                    serde_json::Value::Null => {}
                    value => drop(shown.insert(stringify!($key).to_owned(), value)),
                })*
                $(self.$inner.show_rows(shown);)*
            }
        }
    };
}
pub(crate) use section;
