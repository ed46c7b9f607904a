//! Bob Jenkins's SpookyHash V2, of which mcrouter's weighted hash uses 32 bits.
//!
//! Keys below 192 bytes use the short form, with four words of state; longer ones the long form, with
//! twelve.

use super::padded;

/// The constant that fills unused state: odd, with half of its bits set.
const FILLER: u64 = 0xdead_beef_dead_beef;

/// The block size of the long form in bytes.
const BLOCK: usize = 96;

/// Returns the lower half of the 64-bit SpookyHash V2 of `key`.
pub(crate) fn spooky32(key: &[u8], seed: u64) -> u32 {
    if key.len() < 2 * BLOCK {
        short(key, seed) as u32
    } else {
        long(key, seed) as u32
    }
}

fn short(key: &[u8], seed: u64) -> u64 {
    let [mut a, mut b, mut c, mut d] = [seed, seed, FILLER, FILLER];
    let (blocks, mut rest) = key.as_chunks::<32>();
    for block in blocks {
        c = c.wrapping_add(word(block, 0));
        d = d.wrapping_add(word(block, 8));
        [a, b, c, d] = short_mixed([a, b, c, d]);
        a = a.wrapping_add(word(block, 16));
        b = b.wrapping_add(word(block, 24));
    }
    if let Some((half, after)) = rest.split_first_chunk::<16>() {
        c = c.wrapping_add(word(half, 0));
        d = d.wrapping_add(word(half, 8));
        [a, b, c, d] = short_mixed([a, b, c, d]);
        rest = after;
    }
    d = d.wrapping_add((key.len() as u64) << 56);
    if rest.is_empty() {
        c = c.wrapping_add(FILLER);
        d = d.wrapping_add(FILLER);
    } else {
        let last: [u8; 16] = padded(rest);
        c = c.wrapping_add(word(&last, 0));
        d = d.wrapping_add(word(&last, 8));
    }
    short_ended([a, b, c, d])
}

fn short_mixed([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
    for turns in [[50, 52, 30, 41], [54, 48, 38, 37], [62, 34, 5, 36]] {
        c = c.rotate_left(turns[0]).wrapping_add(d);
        a ^= c;
        d = d.rotate_left(turns[1]).wrapping_add(a);
        b ^= d;
        a = a.rotate_left(turns[2]).wrapping_add(b);
        c ^= a;
        b = b.rotate_left(turns[3]).wrapping_add(c);
        d ^= b;
    }
    [a, b, c, d]
}

fn short_ended([mut a, mut b, mut c, mut d]: [u64; 4]) -> u64 {
    for turns in [[15, 52, 26, 51], [28, 9, 47, 54], [32, 25, 63, 0]] {
        d ^= c;
        c = c.rotate_left(turns[0]);
        d = d.wrapping_add(c);
        a ^= d;
        d = d.rotate_left(turns[1]);
        a = a.wrapping_add(d);
        b ^= a;
        a = a.rotate_left(turns[2]);
        b = b.wrapping_add(a);
        // The last round ends here.
        if turns[3] > 0 {
            c ^= b;
            b = b.rotate_left(turns[3]);
            c = c.wrapping_add(b);
        }
    }
    a
}

fn long(key: &[u8], seed: u64) -> u64 {
    let mut state: [u64; 12] = std::array::from_fn(|at| if at % 3 == 2 { FILLER } else { seed });
    let (blocks, rest) = key.as_chunks::<BLOCK>();
    for block in blocks {
        long_mixed(&mut state, block);
    }
    let mut last: [u8; BLOCK] = padded(rest);
    last[BLOCK - 1] = rest.len() as u8;
    for (at, word_of_state) in state.iter_mut().enumerate() {
        *word_of_state = word_of_state.wrapping_add(word(&last, 8 * at));
    }
    (0..3).for_each(|_| long_ended(&mut state));
    state[0]
}

fn long_mixed(state: &mut [u64; 12], block: &[u8; BLOCK]) {
    const TURNS: [u32; 12] = [11, 32, 43, 31, 17, 28, 39, 57, 55, 54, 22, 46];
    for (at, turns) in TURNS.into_iter().enumerate() {
        state[at] = state[at].wrapping_add(word(block, 8 * at));
        state[(at + 2) % 12] ^= state[(at + 10) % 12];
        state[(at + 11) % 12] ^= state[at];
        state[at] = state[at].rotate_left(turns);
        state[(at + 11) % 12] = state[(at + 11) % 12].wrapping_add(state[(at + 1) % 12]);
    }
}

fn long_ended(state: &mut [u64; 12]) {
    const TURNS: [u32; 12] = [44, 15, 34, 21, 38, 33, 10, 13, 38, 53, 42, 54];
    for (at, turns) in TURNS.into_iter().enumerate() {
        state[(at + 11) % 12] = state[(at + 11) % 12].wrapping_add(state[(at + 1) % 12]);
        state[(at + 2) % 12] ^= state[(at + 11) % 12];
        state[(at + 1) % 12] = state[(at + 1) % 12].rotate_left(turns);
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_keys_give_the_values_of_its_author() {
        // Results published with SpookyHash V2, of the bytes 128, 129, … up to the given length.
        let known = [
            (0, 0x6bf5_0919),
            (1, 0x70de_1d26),
            (7, 0xf9f1_a233),
            (15, 0x83ec_01f9),
            (16, 0xf274_736c),
            (31, 0x027b_ca7c),
            (32, 0xe5cf_c8b6),
            (63, 0x09c1_afb4),
            (64, 0x069c_8bb7),
            (191, 0xe13d_9e19),
            (192, 0x77e0_12bd),
            (193, 0x2d05_114c),
            (250, 0x91eb_bc56),
            (300, 0x37e2_b1da),
            (511, 0xcc1c_8250),
        ];
        let bytes: Vec<u8> = (0..512).map(|at| (at + 128) as u8).collect();
        for (length, expected) in known {
            assert_eq!(spooky32(&bytes[..length], 0), expected, "{length}");
        }
    }
}
