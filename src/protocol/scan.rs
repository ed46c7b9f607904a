//! Looks through short texts eight bytes at a time. Words of a line are short: for them this is quicker than a search
//! that is made for long texts.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
const SPACES: u64 = 0x2020_2020_2020_2020;
const DELETES: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// Where the first space in `text` is; its length where there is none.
#[inline]
pub fn find_space(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    for (index, &word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(word) ^ SPACES;
        // The lowest of these bits is that of the first space.
        let spaces = word.wrapping_sub(ONES) & !word & HIGHS;
        if spaces != 0 {
            return 8 * index + spaces.trailing_zeros() as usize / 8;
        }
    }
    let in_rest = rest.iter().position(|&byte| byte == b' ');
    text.len() - rest.len() + in_rest.unwrap_or(rest.len())
}

/// True where `text` has a control character in it: a byte below the space, or DEL.
#[inline]
pub fn has_control(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk::<8>() else {
        return text.iter().any(u8::is_ascii_control);
    };
    // The last eight bytes may overlap those before.
    let (words, _) = text.as_chunks::<8>();
    let marks = words.iter().fold(marks(last), |all, word| all | marks(word));
    marks & HIGHS != 0
}

/// Has a high bit where one of the bytes is a control character, and none where none is.
#[inline]
fn marks(bytes: &[u8; 8]) -> u64 {
    let word = u64::from_le_bytes(*bytes);
    let deletes = word ^ DELETES;
    (word.wrapping_sub(SPACES) & !word) | (deletes.wrapping_sub(ONES) & !deletes)
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
    fn every_control_character_is_seen_and_nothing_else_is() {
        for length in 1..20 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    for other in [b'a', 0x80, 0xff, b' ', b'~'] {
                        let mut text = vec![other; length];
                        text[at] = byte;
                        assert_eq!(
                            has_control(&text),
                            byte.is_ascii_control(),
                            "{byte} at {at} of {length}"
                        );
                    }
                }
            }
        }
    }
}
