//! Parses decimal numbers as memcached does (`safe_strtoull` and its siblings in memcached's util.c).
//!
//! All functions skip leading white space, accept one sign, require at least one digit, and stop at the end
//! of the text or at white space; what follows is ignored. So `+5`, `\t5` and `5\tx` are 5, and `5x`, `--5`
//! and the empty text are not numbers. Splitting a line into words is left to the caller.
//!
//! A word with a zero byte behind its digits is not a number, as in memcached 1.6.45; 1.6.18 ends the line
//! there. In a stored value a zero byte ends the number in both versions: [`parse_stored`].

use memchr::{memchr, memchr2};

/// What memcached answers to an incr, decr or ma of what is not a number.
pub const NON_NUMERIC: &str = "CLIENT_ERROR cannot increment or decrement non-numeric value";

/// Parses an unsigned 64-bit number. A negative one wraps around, and is refused only if the result has the
/// highest bit set: `-1` is refused, `-18446744073709551615` is 1. A minus sign anywhere in the text,
/// before a zero byte, also refuses a number with that bit.
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    let number = read(text)?;
    let value = if number.is_negative {
        number.magnitude.wrapping_neg()
    } else {
        number.magnitude
    };
    (value <= i64::MAX as u64 || !has_minus(text)).then_some(value)
}

/// Parses a stored value as an unsigned 64-bit number, as incr and decr do.
pub fn parse_stored(value: &[u8]) -> Option<u64> {
    let end = memchr(0, value);
    parse_u64(&value[..end.unwrap_or(value.len())])
}

/// Parses an unsigned 64-bit number that is nothing but digits, as nodes write it.
#[inline]
pub fn parse_digits(text: &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for byte in text {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number = number.checked_mul(10)?.checked_add(digit)?;
    }
    (!text.is_empty()).then_some(number)
}

/// Parses an unsigned 32-bit number: the lower half of what [`parse_u64`] returns, so `4294967297` is 1.
#[inline]
pub fn parse_u32(text: &[u8]) -> Option<u32> {
    parse_u64(text).map(|value| value as u32)
}

/// Parses a signed 32-bit number: the lower half of a signed 64-bit number, so `4294967295` is -1. A number
/// that does not fit into 64 bits is refused.
#[inline]
pub fn parse_i32(text: &[u8]) -> Option<i32> {
    let number = read(text)?;
    let value = if number.is_negative {
        0i64.checked_sub_unsigned(number.magnitude)?
    } else {
        i64::try_from(number.magnitude).ok()?
    };
    Some(value as i32)
}

struct Number {
    is_negative: bool,
    magnitude: u64,
}

fn read(text: &[u8]) -> Option<Number> {
    let start = text.iter().position(|&byte| !is_space(byte))?;
    let (is_negative, digits) = match text[start..].split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, &text[start..]),
    };
    let mut magnitude = 0u64;
    for (at, &byte) in digits.iter().enumerate() {
        if byte.is_ascii_digit() {
            magnitude = magnitude.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
        } else if at > 0 && is_space(byte) {
            break;
        } else {
            return None;
        }
    }
    (!digits.is_empty()).then_some(Number {
        is_negative,
        magnitude,
    })
}

/// `isspace` in the C locale; `u8::is_ascii_whitespace` excludes the vertical tab.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn has_minus(text: &[u8]) -> bool {
    memchr2(b'-', 0, text).is_some_and(|at| text[at] == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text and the results of the three functions.
    type Row = (&'static str, Option<u64>, Option<u32>, Option<i32>);

    #[test]
    fn digits_are_nothing_else() {
        assert_eq!(parse_digits(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_digits(b"007"), Some(7));
        for text in [
            "",
            "18446744073709551616",
            "+5",
            "-5",
            " 5",
            "5 ",
            "5\r",
            "\t5",
            "5\0",
            "5x",
        ] {
            assert_eq!(parse_digits(text.as_bytes()), None, "{text:?}");
        }
    }

    // As memcached 1.6.18 reads the flags, the exptime or the delta of a command.
    #[test]
    fn numbers_are_read_as_memcached_reads_them() {
        let table: &[Row] = &[
            ("0", Some(0), Some(0), Some(0)),
            ("007", Some(7), Some(7), Some(7)),
            ("-0", Some(0), Some(0), Some(0)),
            ("+3", Some(3), Some(3), Some(3)),
            ("\t3", Some(3), Some(3), Some(3)),
            ("\x0b5", Some(5), Some(5), Some(5)),
            ("5\x0c", Some(5), Some(5), Some(5)),
            ("3\tx", Some(3), Some(3), Some(3)),
            ("1\t-", Some(1), Some(1), Some(1)),
            ("5\0x", None, None, None),
            ("5\0", None, None, None),
            ("", None, None, None),
            ("   ", None, None, None),
            ("-", None, None, None),
            ("+ 1", None, None, None),
            ("+\0", None, None, None),
            ("3x", None, None, None),
            ("0x10", None, None, None),
            ("--1", None, None, None),
            ("+-1", None, None, None),
            ("-1", None, None, Some(-1)),
            ("4294967295", Some(4294967295), Some(u32::MAX), Some(-1)),
            ("4294967296", Some(4294967296), Some(0), Some(0)),
            ("-4294967297", None, None, Some(-1)),
            ("2147483648", Some(2147483648), Some(2147483648), Some(i32::MIN)),
            (
                "9223372036854775807",
                Some(i64::MAX as u64),
                Some(u32::MAX),
                Some(-1),
            ),
            ("9223372036854775808", Some(1 << 63), Some(0), None),
            ("9223372036854775808 -", None, None, None),
            ("9223372036854775808 \0-", Some(1 << 63), Some(0), None),
            ("-9223372036854775808", None, None, Some(0)),
            (
                "-9223372036854775809",
                Some(i64::MAX as u64),
                Some(u32::MAX),
                None,
            ),
            ("18446744073709551615", Some(u64::MAX), Some(u32::MAX), None),
            ("-18446744073709551615", Some(1), Some(1), None),
            ("18446744073709551616", None, None, None),
            ("-18446744073709551616", None, None, None),
            ("00000000000000000000000000005", Some(5), Some(5), Some(5)),
        ];
        for &(text, unsigned, short, signed) in table {
            assert_eq!(parse_u64(text.as_bytes()), unsigned, "{text:?} as u64");
            assert_eq!(parse_u32(text.as_bytes()), short, "{text:?} as u32");
            assert_eq!(parse_i32(text.as_bytes()), signed, "{text:?} as i32");
        }
    }

    // As memcached 1.6.18 and 1.6.45 read them.
    #[test]
    fn a_zero_byte_ends_a_stored_number() {
        for (value, number) in [
            ("5", Some(5)),
            ("5\0x", Some(5)),
            ("5 \0", Some(5)),
            ("\x005", None),
            ("", None),
        ] {
            assert_eq!(parse_stored(value.as_bytes()), number, "{value:?}");
        }
    }
}
