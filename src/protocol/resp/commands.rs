//! Writes requests as commands of a Valkey or Redis.
//!
//! | request | command |
//! |---|---|
//! | get, gets | `GET`, or `MGET` for several keys |
//! | gat, gats | `GETEX`, or `GETDEL` |
//! | set, add, replace | `SET` with `NX` or `XX` |
//! | touch with an expiry | `PEXPIRE`, `PEXPIREAT` |
//! | delete | `DEL` |
//! | flush_all | `FLUSHDB ASYNC` |
//! | all else | the script |
//!
//! Meta commands are written by [`meta`](super::meta), in the same way if their flags ask for no more.

use super::expiry::Expiry;
use super::form::{Context, Expected, Piece};
use super::writer::{Count, Store, Writer};
use crate::protocol::{Command, Request};

/// Writes `request`, and returns what its reply means.
#[inline]
pub fn write(request: &Request<'_>, context: &Context, put: &mut impl FnMut(Piece<'_>)) -> Expected {
    let mut writer = Writer::new(put);
    let form = match request.command {
        Command::Get | Command::Gets => writer.get(request.key),
        Command::Delete => writer.delete(request.key),
        Command::Gat | Command::Gats => writer.get_and_touch(request.key, Expiry::of(request.exptime)),
        Command::Touch => writer.touch(request.key, Expiry::of(request.exptime), context),
        Command::Incr | Command::Decr => writer.count(request.key, &classic_count(request), context),
        Command::FlushAll => writer.flush(),
        command if command.is_meta() => return super::meta::write(request, context, &mut writer),
        _ => writer.store(request, &classic_store(request), context),
    };
    Expected {
        form,
        flags: None,
        size: request.value.len(),
    }
}

fn classic_store(request: &Request<'_>) -> Store {
    let mode = match request.command {
        Command::Add => b'E',
        Command::Replace => b'R',
        Command::Append => b'A',
        Command::Prepend => b'P',
        _ => b'S',
    };
    Store {
        mode,
        flags: request.flags,
        expiry: Expiry::of(request.exptime),
        cas: (request.command == Command::Cas).then_some(request.cas),
        chosen_id: None,
        may_be_stale: false,
        vivify: None,
        wants_cas: false,
    }
}

fn classic_count(request: &Request<'_>) -> Count {
    Count {
        is_incr: request.command == Command::Incr,
        delta: request.delta,
        cas: None,
        chosen_id: None,
        vivify: None,
        initial: 0,
        touch: None,
        wants_cas: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Meta;
    use crate::protocol::resp::form::Form;
    use crate::protocol::resp::script;

    const CONTEXT: Context = Context {
        id: 9,
        max_value: 1000,
        has_stale: false,
        sends_script: false,
    };

    /// The words of the command for `request`, unfit bytes escaped, and what its reply means.
    fn words(request: &Request<'_>, context: &Context) -> (Vec<String>, Form) {
        let mut bytes = Vec::new();
        let expected = write(request, context, &mut |piece| match piece {
            Piece::Bytes(part) => bytes.extend_from_slice(part),
            Piece::Value => bytes.extend_from_slice(request.value),
        });
        (words_of(&bytes), expected.form)
    }

    fn words_of(mut bytes: &[u8]) -> Vec<String> {
        let number = |line: &[u8]| {
            String::from_utf8_lossy(&line[1..])
                .parse::<usize>()
                .expect("a number")
        };
        let line = |bytes: &mut &[u8]| {
            let end = memchr::memchr(b'\n', bytes).expect("a line");
            let line = bytes[..end - 1].to_vec();
            *bytes = &bytes[end + 1..];
            line
        };
        let count = number(&line(&mut bytes));
        let words = (0..count).map(|_| {
            let length = number(&line(&mut bytes));
            let (word, rest) = bytes.split_at(length);
            bytes = rest.strip_prefix(b"\r\n").expect("an end");
            word.escape_ascii().to_string()
        });
        let words = words.collect();
        assert!(bytes.is_empty(), "{}", bytes.escape_ascii());
        words
    }

    fn classic(command: Command, flags: u32, exptime: i64) -> Request<'static> {
        Request {
            flags,
            exptime,
            value: b"v",
            ..Request::new(command, b"k")
        }
    }

    fn meta(command: Command, flags: &'static str) -> Request<'static> {
        let meta = Meta {
            key: b"k",
            flags: flags.as_bytes(),
            is_binary: false,
        };
        Request {
            meta: Some(meta),
            value: b"v",
            ..Request::new(command, b"k")
        }
    }

    #[test]
    fn what_a_native_command_can_do_is_one() {
        let header = r"\xf5RW1\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\tv";
        let table = [
            (classic(Command::Get, 0, 0), "GET k".to_owned()),
            (classic(Command::Set, 0, 0), "SET k v".to_owned()),
            (classic(Command::Set, 5, 60), format!("SET k {header} PX 60000")),
            (classic(Command::Set, 0, -1), "DEL k".to_owned()),
            (
                classic(Command::Add, 0, 2_592_001),
                "SET k v PXAT 2592001000 NX".to_owned(),
            ),
            (classic(Command::Replace, 0, 0), "SET k v XX".to_owned()),
            (classic(Command::Delete, 0, 0), "DEL k".to_owned()),
            (classic(Command::Touch, 0, 9), "PEXPIRE k 9000".to_owned()),
            (classic(Command::Touch, 0, -1), "DEL k".to_owned()),
            (classic(Command::Gat, 0, 9), "GETEX k PX 9000".to_owned()),
            (classic(Command::Gats, 0, 0), "GETEX k PERSIST".to_owned()),
            (classic(Command::Gat, 0, -1), "GETDEL k".to_owned()),
            (classic(Command::FlushAll, 0, 0), "FLUSHDB ASYNC".to_owned()),
            (meta(Command::MetaGet, "v f c k O1 q"), "GET k".to_owned()),
            (meta(Command::MetaGet, "v T9"), "GETEX k PX 9000".to_owned()),
            (meta(Command::MetaGet, "T9 k"), "PEXPIRE k 9000".to_owned()),
            (
                meta(Command::MetaSet, "F5 T60 c"),
                format!("SET k {header} PX 60000"),
            ),
            (meta(Command::MetaSet, "ME"), "SET k v NX".to_owned()),
            (meta(Command::MetaDelete, "k q"), "DEL k".to_owned()),
        ];
        for (request, wanted) in table {
            let (words, _) = words(&request, &CONTEXT);
            assert_eq!(words.join(" "), wanted, "{request:?}");
        }
    }

    #[test]
    fn all_else_is_one_call_of_the_script() {
        let id = r"\x00\x00\x00\x00\x00\x00\x00\t";
        let table = [
            (
                classic(Command::Append, 0, 0),
                format!(r"s A v \x00\x00\x00\x00 {id} 0    1000"),
            ),
            (classic(Command::Incr, 0, 0), format!("a + 0  {id}  0  ")),
            (classic(Command::Touch, 0, 0), format!("g b 0  {id} ")),
            (meta(Command::MetaGet, "s c N10"), format!("g cn  r10000 {id} ")),
            (meta(Command::MetaGet, "v t"), format!("g v   {id} ")),
            (
                meta(Command::MetaGet, "v T9 R30"),
                format!("g vo r9000  {id} r30000"),
            ),
            (
                meta(Command::MetaDelete, "I T30"),
                format!(r"d  I r30000 {id} \x00\x00\x00\x00"),
            ),
            (meta(Command::MetaDebug, ""), "e".to_owned()),
        ];
        for (request, wanted) in table {
            let (words, form) = words(&request, &CONTEXT);
            assert_eq!(
                (words[0].as_str(), form),
                ("EVALSHA", Form::Script),
                "{request:?}"
            );
            assert_eq!(words[1], *script::DIGEST);
            assert_eq!(words[2..4].join(" "), "1 k");
            assert_eq!(words[4..].join(" "), wanted, "{request:?}");
        }
        let lost = Context {
            sends_script: true,
            ..CONTEXT
        };
        let (words, _) = words(&classic(Command::Incr, 0, 0), &lost);
        assert_eq!(
            (words[0].as_str(), words[1].len()),
            ("EVAL", script::BODY.as_bytes().escape_ascii().to_string().len())
        );
    }

    #[test]
    fn a_meta_read_may_win_a_token_where_items_are_stale() {
        let stale = Context {
            has_stale: true,
            ..CONTEXT
        };
        let request = meta(Command::MetaGet, "v");
        assert_eq!(words(&request, &stale).1, Form::Script);
        let mut binary = request;
        binary.meta = request.meta.map(|meta| Meta {
            is_binary: true,
            ..meta
        });
        assert_eq!(words(&binary, &stale).1, Form::Value);
        assert_eq!(words(&classic(Command::Get, 0, 0), &stale).1, Form::Value);
    }

    #[test]
    fn what_memcached_refuses_comes_back_in_its_turn() {
        for (command, flags, line) in [
            (Command::MetaGet, "z", "CLIENT_ERROR invalid flag"),
            (Command::MetaSet, "MX", "CLIENT_ERROR invalid mode for ms M token"),
            (
                Command::MetaArithmetic,
                "MX",
                "CLIENT_ERROR invalid mode for ma M token",
            ),
            (
                Command::MetaGet,
                "O1234567890123456789012345678901234",
                "CLIENT_ERROR opaque token too long",
            ),
        ] {
            let (words, form) = words(&meta(command, flags), &CONTEXT);
            assert_eq!(
                (words.join(" "), form),
                (format!("PING {line}"), Form::Refused),
                "{flags}"
            );
        }
    }
}
