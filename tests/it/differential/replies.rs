//! Replies as they are compared: cas ids count from the first one of their sequence, and what only says how two
//! processes differ is left out; all else stays.

/// A stream of replies with each cas id said as its distance from `first`, or as 1 if they have no numbers.
pub fn normalised(replies: &[u8], is_binary: bool, first: u64, has_numbers: bool) -> Vec<u8> {
    let distance = |cas: u64| if has_numbers { cas.wrapping_sub(first) } else { 1 };
    if is_binary {
        packets(replies, distance)
    } else {
        lines(replies, distance)
    }
}

fn packets(mut replies: &[u8], distance: impl Fn(u64) -> u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(replies.len());
    while let Some((head, rest)) = replies.split_first_chunk::<24>() {
        let (fields, cas) = head.split_at(16);
        let length = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let cas = u64::from_be_bytes(cas.try_into().expect("eight bytes"));
        let cas = if cas == 0 { 0 } else { distance(cas) };
        out.extend_from_slice(fields);
        out.extend(cas.to_be_bytes());
        let (body, rest) = rest.split_at(length.min(rest.len()));
        let start = out.len() - 24;
        let (before, value) = body.split_at((usize::from(head[3]) + usize::from(head[4])).min(body.len()));
        out.extend_from_slice(before);
        out.extend_from_slice(padded(value).unwrap_or(value));
        let length = (out.len() - start - 24) as u32;
        out[start + 8..start + 12].copy_from_slice(&length.to_be_bytes());
        replies = rest;
    }
    out.extend_from_slice(replies);
    out
}

fn lines(mut replies: &[u8], distance: impl Fn(u64) -> u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(replies.len());
    while let Some(end) = replies.iter().position(|&byte| byte == b'\n') {
        let (line, rest) = replies.split_at(end + 1);
        let length = value_length(line).min(rest.len());
        let (data, rest) = rest.split_at(length);
        let number = data.strip_suffix(b"\r\n").and_then(padded);
        line_into(line, &distance, number.map(<[u8]>::len), &mut out);
        out.extend_from_slice(number.unwrap_or(data));
        if number.is_some() {
            out.extend_from_slice(b"\r\n");
        }
        replies = rest;
    }
    out.extend_from_slice(replies);
    out
}

fn words(line: &[u8]) -> Vec<&[u8]> {
    let line = line.strip_suffix(b"\r\n").unwrap_or(line);
    line.split(|&byte| byte == b' ').collect()
}

/// Bytes of the value behind `line`, with its line end.
fn value_length(line: &[u8]) -> usize {
    let words = words(line);
    let length = match words[0] {
        b"VALUE" => words.get(3),
        b"VA" => words.get(1),
        _ => None,
    };
    length
        .and_then(|word| number(word))
        .map_or(0, |length| length as usize + 2)
}

/// The number without the spaces behind it: memcached pads one that became shorter, but not where a reply
/// before, in the same write, still holds the item.
fn padded(value: &[u8]) -> Option<&[u8]> {
    let digits = value.strip_suffix(b" ")?.trim_ascii_end();
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then_some(digits)
}

/// Writes `line` anew, where the value has so many bytes.
fn line_into(line: &[u8], distance: &impl Fn(u64) -> u64, length: Option<usize>, out: &mut Vec<u8>) {
    let words = words(line);
    let length_at = if words[0] == b"VALUE" { 3 } else { 1 };
    let prefix: &[u8] = match words[0] {
        b"VALUE" => b"",
        b"VA" | b"HD" | b"EN" | b"NF" | b"NS" | b"EX" => b"c",
        b"ME" => b"cas=",
        _ => {
            return out.extend_from_slice(line);
        }
    };
    for (at, word) in words.iter().enumerate() {
        let is_cas_field = words[0] != b"VALUE" || at == 4;
        let cas = word
            .strip_prefix(prefix)
            .filter(|_| at > 0 && is_cas_field)
            .and_then(number);
        if at > 0 {
            out.push(b' ');
        }
        match (cas, length) {
            (_, Some(length)) if at == length_at => out.extend(length.to_string().bytes()),
            (_, Some(length)) if words[0] == b"VA" && word.starts_with(b"s") => {
                out.extend(format!("s{length}").bytes());
            }
            (Some(cas), _) if cas > 0 => {
                out.extend_from_slice(prefix);
                out.extend(format!("first+{}", distance(cas)).bytes());
            }
            _ if at > 0 && depends_on_the_process(word) => out.push(b'~'),
            _ => out.extend_from_slice(word),
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// True for the time left to an item whose expiry was absolute, which depends on the second in which memcached
/// was started, and for whether an item was fetched: counting makes a new one where a reply that is not sent
/// yet holds the old one, so that depends on what else came in the same read.
fn depends_on_the_process(word: &[u8]) -> bool {
    const LONGEST_RELATIVE: u64 = 60 * 60 * 24 * 30;
    let left = word.strip_prefix(b"t").or(word.strip_prefix(b"exp="));
    let seconds = left.and_then(|left| number(left.strip_prefix(b"-").unwrap_or(left)));
    seconds.is_some_and(|seconds| seconds > LONGEST_RELATIVE) || word.starts_with(b"fetch=")
}

fn number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}
