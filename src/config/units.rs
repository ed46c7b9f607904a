//! Parses and formats numbers, shares, durations and sizes.
//!
//! A duration is a whole number and `ms`, `s`, `m` or `h`. A size is a whole number of bytes, or one with
//! `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024) or `KB`, `MB`, `GB`, `TB` (powers of 1000).

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::{Problem, quote};

/// The maximum duration: a year. Deadlines stay far from the limits of a clock.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

const DURATIONS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

const SIZES: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("kB", 1000),
    ("B", 1),
];

/// Parses a whole number within `range`.
pub fn count(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, Problem> {
    move |text| match whole(text) {
        Some(number) if range.contains(&number) => Ok(number),
        Some(_) => Err(
            Problem::new(format!("{} is out of range", shown(text))).hint(format!(
                "the range is {} to {}",
                range.start(),
                range.end()
            )),
        ),
        None => Err(
            Problem::new(format!("{} is not a whole number", quote(text))).hint(format!(
                "write one from {} to {}",
                range.start(),
                range.end()
            )),
        ),
    }
}

/// Parses a share from 0% to 100%, in percent.
pub fn percent(text: &str) -> Result<u32, Problem> {
    let number = text.strip_suffix('%').and_then(whole);
    match number.map(u32::try_from) {
        Some(Ok(percent @ 0..=100)) => Ok(percent),
        Some(_) => {
            Err(Problem::new(format!("{} is out of range", shown(text))).hint("the range is 0% to 100%"))
        }
        None => Err(Problem::new(format!("{} is not a share", quote(text)))
            .hint("write a whole number and %, such as 50%")),
    }
}

/// The shortest duration but zero.
const SHORTEST: Duration = Duration::from_millis(1);

/// Parses a duration that may be zero.
pub fn duration(text: &str) -> Result<Duration, Problem> {
    duration_near(Duration::ZERO, text)
}

/// Parses a duration, which the caller compares with `least`: no hint suggests a shorter one.
pub fn duration_near(least: Duration, text: &str) -> Result<Duration, Problem> {
    let (number, unit) = split(text);
    let known = DURATIONS.iter().find(|(name, _)| *name == unit);
    let (Some(number), Some((_, factor))) = (whole(number), known) else {
        return Err(
            Problem::new(format!("{} is not a duration", quote(text))).hint(meant_duration(text, least))
        );
    };
    let duration = Duration::from_millis(number.saturating_mul(*factor));
    if duration > LONGEST {
        return Err(
            Problem::new(format!("{} is too long", shown(text))).hint("the maximum is one year (8760h)")
        );
    }
    Ok(duration)
}

/// Parses a duration that must not be zero.
pub fn timeout(text: &str) -> Result<Duration, Problem> {
    match duration(text)? {
        Duration::ZERO => Err(Problem::new("must be longer than zero").hint("the shortest is 1ms")),
        duration => Ok(duration),
    }
}

/// Parses a size in bytes within `range`.
pub fn size(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, Problem> {
    move |text| {
        let (number, unit) = split(text);
        let factor = match unit {
            "" => Some(1),
            _ => SIZES
                .iter()
                .find(|(name, _)| *name == unit)
                .map(|(_, factor)| *factor),
        };
        let (Some(number), Some(factor)) = (whole(number), factor) else {
            return Err(Problem::new(format!("{} is not a size", quote(text))).hint(meant_size(text)));
        };
        let bytes = number.saturating_mul(factor);
        if !range.contains(&bytes) {
            let (least, most) = (show_size(*range.start()), show_size(*range.end()));
            return Err(Problem::new(format!("{} is out of range", shown(text)))
                .hint(format!("the range is {least} to {most}")));
        }
        Ok(bytes)
    }
}

/// Formats a duration in the largest unit that expresses it as a whole number.
pub fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    DURATIONS
        .iter()
        .find(|(_, factor)| millis.is_multiple_of(u128::from(*factor)))
        .map(|(unit, factor)| format!("{}{unit}", millis / u128::from(*factor)))
        .expect("every duration is a whole number of milliseconds")
}

/// Formats a size in the largest power of 1024 that expresses it as a whole number.
pub fn show_size(bytes: u64) -> String {
    SIZES[..4]
        .iter()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .map_or_else(
            || format!("{bytes}B"),
            |(unit, factor)| format!("{}{unit}", bytes / factor),
        )
}

/// Parses a number without sign or fraction. One that overflows a u64 becomes the largest: it is out of any
/// range.
fn whole(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Splits number and unit, as in `250` and `ms`, or `64` and `MiB` for `64 MiB`.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// Shows a value of the right form without quotes unless it is very long.
fn shown(text: &str) -> String {
    if text.len() <= 24 {
        text.to_owned()
    } else {
        quote(text)
    }
}

/// Returns the hint for a text that is not a duration; it suggests none that is shorter than `least`.
fn meant_duration(text: &str, least: Duration) -> String {
    let (number, fraction, unit) = split_fraction(text);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" if !number.is_empty() && fraction.is_empty() => {
            let millis = with_fraction(number, "", 1).map(Duration::from_millis);
            return match millis.is_some_and(|millis| millis < least) {
                true => format!("give it a unit: {}s", shown(number)),
                false => format!("give it a unit: {}ms or {}s", shown(number), shown(number)),
            };
        }
        "ms" | "msec" | "msecs" | "millis" | "milliseconds" => "ms",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        _ => "",
    };
    if unit.is_empty() || number.is_empty() {
        return "write a whole number and a unit, such as 250ms, 1s, 2m or 1h".to_owned();
    }
    let factor = DURATIONS.iter().find(|(name, _)| *name == unit);
    let factor = factor.map_or(1, |(_, factor)| *factor);
    let (meant, shortest) = match fraction {
        "" => (with_fraction(number, "", factor).unwrap_or(u64::MAX), least),
        _ => (
            with_fraction(number, fraction, factor).unwrap_or(0),
            least.max(SHORTEST),
        ),
    };
    match Duration::from_millis(meant) {
        meant if meant < shortest => format!("the shortest is {}", show_duration(shortest)),
        _ if fraction.is_empty() => format!("did you mean {}{unit}?", shown(number)),
        meant => format!("did you mean {}? Numbers are whole", show_duration(meant)),
    }
}

/// Returns `number.fraction` times `factor`, rounded down; `None` if it overflows.
fn with_fraction(number: &str, fraction: &str, factor: u64) -> Option<u64> {
    let locations = fraction.len().min(9);
    let fraction: u64 = fraction.get(..locations)?.parse().unwrap_or(0);
    let part = u128::from(fraction) * u128::from(factor) / 10u128.pow(locations as u32);
    whole(number)?
        .checked_mul(factor)?
        .checked_add(u64::try_from(part).ok()?)
}

/// Splits a number, the digits behind its point, and the unit: `1`, `5` and `s` for `1.5s`.
fn split_fraction(text: &str) -> (&str, &str, &str) {
    let (number, rest) = split(text);
    match rest.strip_prefix('.').map(split) {
        Some((fraction, unit)) if !fraction.is_empty() => (number, fraction, unit),
        _ => (number, "", rest),
    }
}

fn meant_size(text: &str) -> String {
    let (number, fraction, unit) = split_fraction(text);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "b" | "byte" | "bytes" => "B",
        "k" | "ki" | "kb" | "kib" => "KiB",
        "m" | "mi" | "mb" | "mib" => "MiB",
        "g" | "gi" | "gb" | "gib" => "GiB",
        "t" | "ti" | "tb" | "tib" => "TiB",
        _ => "",
    };
    if unit.is_empty() || number.is_empty() {
        return "write a whole number of bytes, or one with a unit, such as 512KiB, 64MiB or 1GiB".to_owned();
    }
    let factor = SIZES.iter().find(|(name, _)| *name == unit);
    let factor = factor.map_or(1, |(_, factor)| *factor);
    match with_fraction(number, fraction, factor) {
        Some(bytes) if !fraction.is_empty() => {
            format!("did you mean {}? Numbers are whole", show_size(bytes))
        }
        _ => format!("did you mean {}{unit}?", shown(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown() {
        let cases = [
            ("0s", 0, "0s"),
            ("0ms", 0, "0s"),
            ("250ms", 250, "250ms"),
            ("1000ms", 1000, "1s"),
            ("90s", 90_000, "90s"),
            ("2m", 120_000, "2m"),
            ("60m", 3_600_000, "1h"),
            ("8760h", 365 * 24 * 3_600_000, "8760h"),
        ];
        for (raw, millis, shown) in cases {
            let duration = duration(raw).expect(raw);
            assert_eq!(duration, Duration::from_millis(millis), "{raw}");
            assert_eq!(show_duration(duration), shown);
        }
    }

    #[test]
    fn a_bad_duration_comes_with_a_way_out() {
        let cases = [
            ("500", "give it a unit: 500ms or 500s"),
            ("5sec", "did you mean 5s?"),
            ("5 s", "did you mean 5s?"),
            ("5MS", "did you mean 5ms?"),
            ("0.5s", "did you mean 500ms? Numbers are whole"),
            ("1.5s", "did you mean 1500ms? Numbers are whole"),
            ("1.5h", "did you mean 90m? Numbers are whole"),
            ("2.0 s", "did you mean 2s? Numbers are whole"),
            ("0.1 ms", "the shortest is 1ms"),
            (
                "1.5",
                "write a whole number and a unit, such as 250ms, 1s, 2m or 1h",
            ),
            (
                "1.s",
                "write a whole number and a unit, such as 250ms, 1s, 2m or 1h",
            ),
            (
                ".5s",
                "write a whole number and a unit, such as 250ms, 1s, 2m or 1h",
            ),
            (
                "-1s",
                "write a whole number and a unit, such as 250ms, 1s, 2m or 1h",
            ),
            ("", "write a whole number and a unit, such as 250ms, 1s, 2m or 1h"),
            (
                "s",
                "write a whole number and a unit, such as 250ms, 1s, 2m or 1h",
            ),
            ("8761h", "the maximum is one year (8760h)"),
            ("99999999999999999999h", "the maximum is one year (8760h)"),
        ];
        for (raw, hint) in cases {
            assert_eq!(duration(raw).expect_err(raw).hint.as_deref(), Some(hint), "{raw}");
        }
        for (raw, hint) in [
            ("0.5s", "the shortest is 1s"),
            ("0.1 ms", "the shortest is 1s"),
            ("5 ms", "the shortest is 1s"),
            ("500", "give it a unit: 500s"),
            ("1500", "give it a unit: 1500ms or 1500s"),
            ("2 seconds", "did you mean 2s?"),
            ("1.5s", "did you mean 1500ms? Numbers are whole"),
        ] {
            let problem = duration_near(Duration::from_secs(1), raw).expect_err(raw);
            assert_eq!(problem.hint.as_deref(), Some(hint), "{raw}");
        }
        assert_eq!(
            timeout("0s").expect_err("zero").reason,
            "must be longer than zero"
        );
    }

    #[test]
    fn sizes_are_read_and_shown() {
        let cases = [
            ("0", 0, "0B"),
            ("1000", 1000, "1000B"),
            ("100B", 100, "100B"),
            ("1KB", 1000, "1000B"),
            ("1kB", 1000, "1000B"),
            ("1024", 1024, "1KiB"),
            ("512KiB", 512 << 10, "512KiB"),
            ("1024MiB", 1 << 30, "1GiB"),
            ("1GB", 1_000_000_000, "1000000000B"),
            ("2TiB", 2 << 40, "2TiB"),
        ];
        for (raw, bytes, shown) in cases {
            assert_eq!(size(0..=u64::MAX)(raw), Ok(bytes), "{raw}");
            assert_eq!(show_size(bytes), shown);
        }
    }

    #[test]
    fn a_bad_size_comes_with_a_way_out() {
        let cases = [
            ("64M", "did you mean 64MiB?"),
            ("64mb", "did you mean 64MiB?"),
            ("64 MiB", "did you mean 64MiB?"),
            ("1Gi", "did you mean 1GiB?"),
            ("1.5GiB", "did you mean 1536MiB? Numbers are whole"),
            ("0.5 mb", "did you mean 512KiB? Numbers are whole"),
            ("64", "the range is 1MiB to 1GiB"),
            ("2GiB", "the range is 1MiB to 1GiB"),
            ("99999999999999999999TiB", "the range is 1MiB to 1GiB"),
            (
                "big",
                "write a whole number of bytes, or one with a unit, such as 512KiB, 64MiB or 1GiB",
            ),
        ];
        for (raw, hint) in cases {
            let problem = size(1 << 20..=1 << 30)(raw).expect_err(raw);
            assert_eq!(problem.hint.as_deref(), Some(hint), "{raw}");
        }
    }

    #[test]
    fn counts_keep_to_their_range() {
        let cases = [
            ("1", Ok(1)),
            ("16", Ok(16)),
            ("0", Err("0 is out of range")),
            ("17", Err("17 is out of range")),
            ("-1", Err("\"-1\" is not a whole number")),
            ("1.0", Err("\"1.0\" is not a whole number")),
            ("many", Err("\"many\" is not a whole number")),
            (
                "18446744073709551616",
                Err("18446744073709551616 is out of range"),
            ),
        ];
        for (raw, expected) in cases {
            let read = count(1..=16)(raw).map_err(|problem| problem.reason);
            assert_eq!(read, expected.map_err(str::to_owned), "{raw}");
        }
    }
}
