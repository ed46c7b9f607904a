//! The flags and keys of meta commands.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ringway::protocol::meta::flags::MetaFlags;
use ringway::protocol::meta::{decode_key, flag, flags};
use ringway::protocol::numbers::{parse_i32, parse_u32, parse_u64};
use ringway::protocol::{Command, MAX_KEY, Meta, Request};

use super::said;

const COMMANDS: [Command; 4] = [
    Command::MetaGet,
    Command::MetaSet,
    Command::MetaDelete,
    Command::MetaArithmetic,
];

/// The bytes are a key, a space and flags.
pub fn check(data: &[u8]) {
    let space = data.iter().position(|&byte| byte == b' ');
    let (key, typed) = data.split_at(space.unwrap_or(data.len()));
    check_key(key);
    for command in COMMANDS {
        check_flags(command, typed);
    }
    let is_sayable = |byte: &u8| *byte > b' ' && *byte != 0x7f;
    if (1..=MAX_KEY).contains(&key.len()) && key.iter().all(is_sayable) && !typed.contains(&b'\n') {
        check_commands(key, typed);
    }
}

/// What a node takes, it is told; what of it has a classic form, a node of old is.
fn check_commands(key: &[u8], typed: &[u8]) {
    let meta = Meta {
        key,
        flags: typed,
        is_binary: false,
    };
    let mut room = [0; MAX_KEY];
    let plain = meta.plain_key(&mut room);
    // One token more than the client typed may be said.
    let is_short = flags(typed).count() < 15;
    for command in COMMANDS.into_iter().filter(|_| is_short) {
        for is_binary in [false, true] {
            said::check(&Request {
                meta: Some(Meta { is_binary, ..meta }),
                ..Request::new(command, plain)
            });
        }
    }
}

fn check_flags(command: Command, typed: &[u8]) {
    let found = MetaFlags::parse(command, typed);
    let all: Vec<&[u8]> = flags(typed).collect();
    assert_eq!(
        MetaFlags::parse(command, &[b"  ", &all.join(&b"  "[..])[..], b" "].concat()),
        found
    );
    let reversed: Vec<&[u8]> = all.iter().rev().copied().collect();
    let reversed = MetaFlags::parse(command, &reversed.join(&b' '));
    match found {
        Ok(found) => {
            assert_eq!(reversed.as_ref(), Ok(&found));
            is_what_was_typed(&found, &all, typed);
        }
        Err(refusal) => {
            assert!(reversed.is_err());
            assert!(refusal.starts_with("CLIENT_ERROR "));
            assert!(
                refusal
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() || byte == b' ')
            );
        }
    }
}

/// Each flag stands there once, and each number is the one behind its flag.
fn is_what_was_typed(found: &MetaFlags, all: &[&[u8]], typed: &[u8]) {
    assert!(all.len() < 18);
    for (at, one) in all.iter().enumerate() {
        assert!(b"bvuhlIxkstcfqOPLTNRFCEJDM".contains(&one[0]));
        assert!(all[..at].iter().all(|other| other[0] != one[0]));
    }
    let has = |name| flag(typed, name).is_some();
    let token = |name| flag(typed, name).map(|flag| &flag[1..]);
    let seconds = |name| token(name).and_then(parse_i32);
    assert_eq!((found.is_base64, found.wants_value), (has(b'b'), has(b'v')));
    assert_eq!((found.is_unnoticed, found.makes_stale), (has(b'u'), has(b'I')));
    assert_eq!(found.empties, has(b'x'));
    assert_eq!(found.is_exclusive, b"hlNRT".iter().any(|&name| has(name)));
    assert_eq!((found.ttl, found.vivify), (seconds(b'T'), seconds(b'N')));
    assert_eq!(found.recache, seconds(b'R'));
    assert_eq!(found.client_flags, token(b'F').and_then(parse_u32).unwrap_or(0));
    assert_eq!(found.cas, token(b'C').and_then(parse_u64));
    assert_eq!(found.new_cas, token(b'E').and_then(parse_u64));
    assert_eq!(found.initial, token(b'J').and_then(parse_u64).unwrap_or(0));
    assert_eq!(found.delta, token(b'D').and_then(parse_u64).unwrap_or(1));
    assert_eq!(found.mode.as_slice(), token(b'M').unwrap_or_default());
}

fn check_key(key: &[u8]) {
    let mut plain = [0; MAX_KEY];
    let length = decode_key(key, &mut plain);
    assert!(length <= MAX_KEY);
    if let Ok(decoded) = STANDARD.decode(key)
        && decoded.len() + 3 <= MAX_KEY
    {
        assert_eq!(&plain[..length], decoded);
    }
    // Any key that a line can carry in base64 comes back.
    let encoded = STANDARD.encode(key);
    if encoded.len() <= MAX_KEY {
        let length = decode_key(encoded.as_bytes(), &mut plain);
        assert_eq!(&plain[..length], key);
    }
}
