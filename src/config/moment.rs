//! Timestamps as text: `2026-11-28T21:48:18Z`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 24 * 3600;
/// The number of days in 400 years, after which the calendar repeats.
const ERA: u64 = 146_097;
/// The number of days from 1 March of the year 0 to 1 January 1970.
const TO_1970: u64 = 719_468;

/// Formats `moment` in UTC, in whole seconds; times before 1970 are shown as its beginning.
pub fn rfc3339(moment: SystemTime) -> String {
    until_seconds(moment) + "Z"
}

/// The same in milliseconds: `2026-11-28T21:48:18.042Z`.
pub fn rfc3339_millis(moment: SystemTime) -> String {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:03}Z", until_seconds(moment), since.subsec_millis())
}

fn until_seconds(moment: SystemTime) -> String {
    let seconds = moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = date(seconds / DAY);
    let [hour, minute, second] = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// Parses what [`rfc3339`] formats; `None` for anything else, and for times before 1970.
pub fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, between: char| -> Option<[u64; 3]> {
        let numbers = text.split(between).map(|number| number.parse().ok());
        numbers.collect::<Option<Vec<u64>>>()?.try_into().ok()
    };
    let ([year, month, day], [hour, minute, second]) = (numbers(date, '-')?, numbers(time, ':')?);
    if hour > 23 || minute > 59 || second > 59 || year > 9999 {
        return None;
    }
    let days = days(year, month, day).checked_sub(TO_1970)?;
    let moment = UNIX_EPOCH + Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second);
    // A day that does not exist is formatted as another, and so is what lacks a digit.
    (rfc3339(moment) == text).then_some(moment)
}

/// Returns the number of days from 1 March of the year 0 to a date. Years are counted from March, so that a leap day
/// is the last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = match month {
        ..=2 => (year.saturating_sub(1), month + 9),
        _ => (year, month.min(12) - 3),
    };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day.clamp(1, 31) - 1
}

/// Returns year, month and day of the date that is `days` after 1 January 1970. Years are counted from
/// March, so that a leap day is the last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + TO_1970;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_078_099_200, "2004-03-01T00:00:00Z"),
            (1_795_902_498, "2026-11-28T21:48:18Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, expected) in cases {
            let moment = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(rfc3339(moment), expected);
            assert_eq!(parse_rfc3339(expected), Some(moment));
        }
        for other in [
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-28T24:00:00Z",
            "2026-11-28T21:48:18",
            "2026-11-28 21:48:18Z",
            "1969-12-31T23:59:59Z",
            "2026-1-28T21:48:18Z",
            "2026-11-28T21:48Z",
            "",
            "99999999999999999999-01-01T00:00:00Z",
            "18446744073709551615-18446744073709551615-1T1:1:1Z",
            "2026-11-28T18446744073709551615:00:00Z",
        ] {
            assert_eq!(parse_rfc3339(other), None, "{other}");
        }
    }

    #[test]
    fn milliseconds_have_three_digits() {
        let moment = UNIX_EPOCH + Duration::from_millis(1_000_042);
        assert_eq!(rfc3339_millis(moment), "1970-01-01T00:16:40.042Z");
        assert_eq!(rfc3339(moment), "1970-01-01T00:16:40Z");
    }
}
