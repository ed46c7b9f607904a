//! Translates memcached's expiries to those of Valkey and Redis, which are in milliseconds.

/// The maximum time to live in seconds; a larger number is a Unix time (`REALTIME_MAXDELTA` in memcached.h).
const MAX_DELTA: i64 = 60 * 60 * 24 * 30;

/// When an item ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Never.
    Never,
    /// At once: it is not stored, or removed.
    Now,
    /// After this many milliseconds.
    After(i64),
    /// At this Unix time in milliseconds. The server compares it with its own clock.
    At(i64),
}

impl Expiry {
    /// Interprets a client's `exptime`: 0 means never, a negative number at once, a number of up to 30 days that many
    /// seconds from now, and a larger number is a Unix time.
    pub fn of(exptime: i64) -> Expiry {
        match exptime {
            0 => Expiry::Never,
            ..0 => Expiry::Now,
            1..=MAX_DELTA => Expiry::After(exptime * 1000),
            // The server refuses times that it cannot add to its own clock.
            _ => Expiry::At(exptime.min(1 << 40) * 1000),
        }
    }

    /// The form in which the script takes it.
    pub fn word(self) -> String {
        match self {
            Expiry::Never => "0".to_owned(),
            Expiry::Now => "g".to_owned(),
            Expiry::After(millis) => format!("r{millis}"),
            Expiry::At(millis) => format!("a{millis}"),
        }
    }
}

/// Returns the seconds left as memcached shows them, of the milliseconds that PTTL gives; `None` if the item never
/// ends. In memcached no item has more left than a signed number of 32 bits says.
pub fn seconds_left(millis: i64) -> Option<u32> {
    let seconds = millis.max(0).saturating_add(999) / 1000;
    (millis >= 0).then(|| seconds.min(i32::MAX.into()) as u32)
}

#[test]
fn an_exptime_is_a_time_to_live_up_to_30_days_and_a_unix_time_above() {
    for (exptime, expiry, word) in [
        (0, Expiry::Never, "0"),
        (-1, Expiry::Now, "g"),
        (i64::MIN, Expiry::Now, "g"),
        (1, Expiry::After(1000), "r1000"),
        (MAX_DELTA, Expiry::After(2_592_000_000), "r2592000000"),
        (MAX_DELTA + 1, Expiry::At(2_592_001_000), "a2592001000"),
        (i64::MAX, Expiry::At((1 << 40) * 1000), "a1099511627776000"),
    ] {
        assert_eq!(
            (Expiry::of(exptime), &*Expiry::of(exptime).word()),
            (expiry, word),
            "{exptime}"
        );
    }
}

#[test]
fn a_second_that_has_begun_counts() {
    let table = [
        (-1, None),
        (-2, None),
        (0, Some(0)),
        (1, Some(1)),
        (59_001, Some(60)),
        (60_000, Some(60)),
        (100 * 365 * 24 * 3_600_000, Some(i32::MAX as u32)),
        (i64::MAX, Some(i32::MAX as u32)),
    ];
    for (millis, seconds) in table {
        assert_eq!(seconds_left(millis), seconds, "{millis}");
    }
}
