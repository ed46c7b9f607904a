//! Writes commands word by word, as RESP arrays of bulk strings.

/// Writes an MGET of `keys`, which are already written as arguments; there are `count` of them.
pub fn write_many(count: usize, keys: &[u8], put: &mut impl FnMut(&[u8])) {
    put(b"*");
    put(itoa::Buffer::new().format(count + 1).as_bytes());
    put(b"\r\n$4\r\nMGET\r\n");
    put(keys);
}

/// Writes an argument.
pub fn write_argument(argument: &[u8], put: &mut impl FnMut(&[u8])) {
    put(b"$");
    put(itoa::Buffer::new().format(argument.len()).as_bytes());
    put(b"\r\n");
    put(argument);
    put(b"\r\n");
}

/// Writes a command of these `words`.
pub fn write_words(words: &[&[u8]], put: &mut impl FnMut(&[u8])) {
    put(b"*");
    put(itoa::Buffer::new().format(words.len()).as_bytes());
    put(b"\r\n");
    words.iter().for_each(|word| write_argument(word, put));
}
