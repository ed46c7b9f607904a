//! Taking what was written of a setting, if it was, in place of its default.

use super::map_reader::MapReader;
use super::units::count;

/// Reads a number that fits a usize because its range does.
pub fn number(
    keys: &mut MapReader<'_, '_>,
    key: &'static str,
    range: std::ops::RangeInclusive<u64>,
) -> Option<usize> {
    keys.value(key, count(range)).map(narrow)
}

/// Takes the value that was typed, where one was.
pub fn set<T>(field: &mut T, raw: Option<T>) {
    if let Some(raw) = raw {
        *field = raw;
    }
}

/// A number that fits a usize because its range ends below 2^32.
pub fn narrow(number: u64) -> usize {
    usize::try_from(number).expect("every range ends below 2^32")
}
