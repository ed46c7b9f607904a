//! Decimal numbers: the three readers agree with one that is written from their doc, and with each other.

use ringway::protocol::numbers::{parse_i32, parse_stored, parse_u32, parse_u64};

/// The bytes are one number.
pub fn check(text: &[u8]) {
    let unsigned = parse_u64(text);
    let signed = parse_i32(text);
    assert_eq!(parse_u32(text), unsigned.map(|number| number as u32));
    let stored = text
        .split(|&byte| byte == 0)
        .next()
        .expect("a split has a first part");
    assert_eq!(parse_stored(text), parse_u64(stored));
    let Some(number) = model(text) else {
        assert_eq!((unsigned, signed), (None, None));
        return;
    };
    assert_eq!(signed, i64::try_from(number).ok().map(|number| number as i32));
    let wrapped = u64::try_from(number.unsigned_abs()).ok().map(|magnitude| {
        if number < 0 {
            magnitude.wrapping_neg()
        } else {
            magnitude
        }
    });
    let has_minus = stored.contains(&b'-');
    let refused = |number: &u64| has_minus && *number > i64::MAX as u64;
    assert_eq!(unsigned, wrapped.filter(|number| !refused(number)));

    if let Some(number) = unsigned {
        assert_eq!(parse_u64(number.to_string().as_bytes()), Some(number));
    }
    if let Some(number) = signed {
        assert_eq!(parse_i32(number.to_string().as_bytes()), Some(number));
    }
}

/// The number at the front of `text`; one far beyond 64 bits stands for all that are.
fn model(text: &[u8]) -> Option<i128> {
    const BEYOND: i128 = 1 << 100;
    let is_space = |byte: &u8| b" \t\n\x0b\x0c\r".contains(byte);
    let start = text.iter().position(|byte| !is_space(byte))?;
    let (sign, digits) = match &text[start..] {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at(length);
    let ends = rest.first().is_none_or(is_space);
    let digits = std::str::from_utf8(digits).expect("digits are text");
    let is_number = length > 0 && ends;
    is_number.then(|| sign * digits.parse::<u64>().map_or(BEYOND, i128::from))
}
