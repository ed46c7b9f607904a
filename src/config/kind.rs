//! How values of one kind are written: read from the file, rendered as they could be written, described by the JSON
//! schema.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Value, json};

use super::error::{Diagnostics, Problem, quote};
use super::map_reader::YamlNode;
use super::units::{self, show_duration, show_size};
use super::{schema, suggest};

type Read<T> = dyn Fn(&YamlNode<'_>, &mut Diagnostics) -> Option<T>;

/// A kind of values.
pub struct Kind<T> {
    /// Reads a value. Returns `None` if it holds a mistake, which is then noted at its place.
    pub read: Box<Read<T>>,
    /// Renders a value; null is left out.
    pub show: Box<dyn Fn(&T) -> Value>,
    /// Returns the JSON schema of a value.
    pub schema: Box<dyn Fn() -> Value>,
}

impl<T: 'static> Kind<T> {
    /// Returns the kind of values that `read` reads and `show` renders.
    pub fn new(
        read: impl Fn(&YamlNode<'_>, &mut Diagnostics) -> Option<T> + 'static,
        show: impl Fn(&T) -> Value + 'static,
        schema: impl Fn() -> Value + 'static,
    ) -> Kind<T> {
        Kind {
            read: Box::new(read),
            show: Box::new(show),
            schema: Box::new(schema),
        }
    }

    /// Returns the kind of values that are one word of text, which `parse` parses.
    pub fn text(
        parse: impl Fn(&str) -> Result<T, Problem> + 'static,
        show: impl Fn(&T) -> Value + 'static,
        schema: impl Fn() -> Value + 'static,
    ) -> Kind<T> {
        Kind::new(
            move |value, diagnostics| value.read(diagnostics, &parse),
            show,
            schema,
        )
    }

    /// Returns the kind of values that may be missing, and are not rendered then.
    pub fn optional(self) -> Kind<Option<T>> {
        let Kind { read, show, schema } = self;
        Kind::new(
            move |value, diagnostics| read(value, diagnostics).map(Some),
            move |value| value.as_ref().map_or(Value::Null, &show),
            schema,
        )
    }
}

/// Whole numbers within `range`, all of which `T` can hold.
pub fn number<T>(range: RangeInclusive<u64>) -> Kind<T>
where
    T: TryFrom<u64> + Copy + 'static,
    Value: From<T>,
{
    let bounds = range.clone();
    Kind::text(
        move |text| {
            let number = units::count(range.clone())(text)?;
            Ok(T::try_from(number)
                .ok()
                .expect("the type holds every number of the range"))
        },
        |number| Value::from(*number),
        move || json!({ "type": "integer", "minimum": bounds.start(), "maximum": bounds.end() }),
    )
}

/// Sizes in bytes within `range`, all of which `T` can hold.
pub fn size<T>(range: RangeInclusive<u64>) -> Kind<T>
where
    T: TryFrom<u64> + TryInto<u64> + Copy + 'static,
{
    let bounds = range.clone();
    Kind::text(
        move |text| {
            let bytes = units::size(range.clone())(text)?;
            Ok(T::try_from(bytes)
                .ok()
                .expect("the type holds every size of the range"))
        },
        |bytes| {
            json!(show_size(
                (*bytes).try_into().ok().expect("sizes were read from a u64")
            ))
        },
        move || schema::size(&bounds),
    )
}

/// Shares from 0% to 100%, in percent.
pub fn percent() -> Kind<u32> {
    let show = |percent: &u32| json!(format!("{percent}%"));
    Kind::text(units::percent, show, || schema::pattern("^0*(100|[0-9]{1,2})%$"))
}

/// Durations that may be zero.
pub fn duration() -> Kind<Duration> {
    let show = |duration: &Duration| json!(show_duration(*duration));
    Kind::text(units::duration, show, || schema::pattern(schema::DURATION))
}

/// Durations that must not be zero.
pub fn timeout() -> Kind<Duration> {
    Kind {
        read: Box::new(|value, diagnostics| value.read(diagnostics, units::timeout)),
        schema: Box::new(|| schema::pattern("^0*[1-9][0-9]*(ms|s|m|h)$")),
        ..duration()
    }
}

/// Durations within `range`.
pub fn duration_within(range: RangeInclusive<Duration>) -> Kind<Duration> {
    let read = move |text: &str| {
        let duration = units::duration_near(*range.start(), text)?;
        if range.contains(&duration) {
            return Ok(duration);
        }
        let [least, most] = [range.start(), range.end()].map(|bound| show_duration(*bound));
        let problem = Problem::new(format!("{} is out of range", quote(text)));
        Err(problem.hint(format!("the range is {least} to {most}")))
    };
    Kind {
        read: Box::new(move |value, diagnostics| value.read(diagnostics, &read)),
        ..duration()
    }
}

/// Lists of values. One that holds a mistake is left out.
pub fn list<T: 'static>(item: Kind<T>) -> Kind<Vec<T>> {
    let Kind { read, show, schema } = item;
    Kind::new(
        move |value, diagnostics| {
            let items = value.items(diagnostics)?;
            Some(items.iter().filter_map(|item| read(item, diagnostics)).collect())
        },
        move |items: &Vec<T>| items.iter().map(&show).collect(),
        move || json!({ "type": "array", "items": schema() }),
    )
}

/// Values that are one of few words.
pub trait Words: Copy + PartialEq + 'static {
    /// Each with its word, in the order in which messages list them.
    const WORDS: &'static [(&'static str, Self)];
}

/// One of the words of `T`.
pub fn word<T: Words>() -> Kind<T> {
    let show = |choice: &T| {
        let found = T::WORDS.iter().find(|(_, other)| other == choice);
        json!(found.expect("every choice has its word").0)
    };
    Kind::text(choose, show, || {
        let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
        json!({ "enum": words })
    })
}

impl Words for bool {
    const WORDS: &'static [(&'static str, bool)] = &[("true", true), ("false", false)];
}

/// `true` or `false`.
pub fn flag() -> Kind<bool> {
    Kind {
        read: word().read,
        show: Box::new(|flag| json!(flag)),
        schema: Box::new(|| json!({ "type": "boolean" })),
    }
}

/// Reads one of the words of `T`.
pub fn choose<T: Words>(text: &str) -> Result<T, Problem> {
    let found = T::WORDS.iter().find(|(word, _)| *word == text);
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let words = T::WORDS.iter().map(|(word, _)| *word);
        let hint = suggest::hint(text, "choose one of", words);
        Problem::new(format!("{} is not a valid value", quote(text))).hint(hint)
    })
}

/// Declares an enum of which each variant has a word in the file.
macro_rules! words {
    ($(#[$attribute:meta])* pub enum $Name:ident {
        $($(#[$doc:meta])* $Variant:ident = $word:literal,)*
    }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $Name { $($(#[$doc])* $Variant,)* }

        impl $crate::config::kind::Words for $Name {
            const WORDS: &'static [(&'static str, $Name)] = &[$(($word, $Name::$Variant)),*];
        }
    };
}
pub(crate) use words;
