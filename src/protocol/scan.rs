//! Scans short texts eight bytes at a time. The tokens of a line are short: for them this is faster than a
//! search made for long texts.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
const SPACES: u64 = 0x2020_2020_2020_2020;
const FEEDS: u64 = 0x0a0a_0a0a_0a0a_0a0a;

/// Returns the offset of the first space in `text`, or its length if there is none.
#[inline]
pub fn find_space(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    for (index, &word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(word) ^ SPACES;
        // The lowest set bit belongs to the first space.
        let spaces = word.wrapping_sub(ONES) & !word & HIGHS;
        if spaces != 0 {
            return 8 * index + spaces.trailing_zeros() as usize / 8;
        }
    }
    let in_rest = rest.iter().position(|&byte| byte == b' ');
    text.len() - rest.len() + in_rest.unwrap_or(rest.len())
}

/// Returns `text` without its leading spaces. Usually there is at most one.
#[inline]
pub fn skip_spaces(text: &[u8]) -> &[u8] {
    let [b' ', rest @ ..] = text else {
        return text;
    };
    match rest {
        [b' ', ..] => skip_run(rest),
        rest => rest,
    }
}

#[cold]
fn skip_run(mut text: &[u8]) -> &[u8] {
    while let Some((first, rest)) = text.split_first_chunk::<8>()
        && u64::from_le_bytes(*first) == SPACES
    {
        text = rest;
    }
    while let [b' ', rest @ ..] = text {
        text = rest;
    }
    text
}

/// Whether `text` contains a zero byte.
#[inline]
pub fn has_nul(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk::<8>() else {
        return text.contains(&0);
    };
    // The last eight bytes may overlap those before them.
    let (words, _) = text.as_chunks::<8>();
    let nuls = words.iter().fold(nuls(last), |all, word| all | nuls(word));
    nuls & HIGHS != 0
}

/// Whether `text` contains a byte that ends a word or a line: space, line feed, zero.
#[inline]
pub fn has_end(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk::<8>() else {
        return text.iter().any(|byte| matches!(byte, b' ' | b'\n' | 0));
    };
    let (words, _) = text.as_chunks::<8>();
    let ends = words.iter().fold(ends(last), |all, word| all | ends(word));
    ends & HIGHS != 0
}

/// Returns a word with a high bit set if any byte is a space, a line feed or zero, and 0 otherwise.
#[inline]
fn ends(bytes: &[u8; 8]) -> u64 {
    let word = u64::from_le_bytes(*bytes);
    nuls(bytes) | nuls(&(word ^ SPACES).to_le_bytes()) | nuls(&(word ^ FEEDS).to_le_bytes())
}

/// Returns a word with a high bit set if any byte is zero, and 0 otherwise.
#[inline]
fn nuls(bytes: &[u8; 8]) -> u64 {
    let word = u64::from_le_bytes(*bytes);
    word.wrapping_sub(ONES) & !word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_space_is_found_wherever_it_stands() {
        for length in 0..40 {
            for at in 0..=length {
                let mut text = vec![b'!'; length];
                text[at..].fill(b' ');
                assert_eq!(find_space(&text), at, "{at} of {length}");
                text[..at].fill(0xa0);
                assert_eq!(find_space(&text), at, "{at} of {length}");
            }
        }
    }

    #[test]
    fn spaces_at_the_front_are_passed_over_and_no_others() {
        for spaces in 0..40 {
            for rest in ["", "x", "x ", "1234567 12345678"] {
                let text = " ".repeat(spaces) + rest;
                assert_eq!(
                    skip_spaces(text.as_bytes()),
                    rest.as_bytes(),
                    "{spaces} before {rest:?}"
                );
            }
        }
    }

    #[test]
    fn every_zero_byte_and_every_end_is_seen_and_nothing_else_is() {
        for length in 1..20 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    for other in [b'a', 1, 0x80, 0xff, b' '] {
                        let mut text = vec![other; length];
                        text[at] = byte;
                        assert_eq!(has_nul(&text), byte == 0, "{byte} at {at} of {length}");
                        let is_end = |byte| matches!(byte, b' ' | b'\n' | 0);
                        let expected = is_end(byte) || length > 1 && is_end(other);
                        assert_eq!(has_end(&text), expected, "{byte} at {at} of {length}");
                    }
                }
            }
        }
    }
}
