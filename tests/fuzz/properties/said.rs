//! A request as it is said to nodes: one line, in which a node reads the same request.

use ringway::protocol::classic::downgrade::downgrade;
use ringway::protocol::dialect::Dialect;
use ringway::protocol::line::Line;
use ringway::protocol::meta::flags::MetaFlags;
use ringway::protocol::meta::{flag, flags, needs_base64};
use ringway::protocol::text::read_line;
use ringway::protocol::{Command, MAX_KEY, Request};

/// Says `request` in every dialect that can say it, and reads it back. Its key is the plain one.
pub fn check(request: &Request<'_>) {
    if !Dialect::Meta.can_say_key(request) {
        assert!(request.key.contains(&0));
        return;
    }
    let line = written(Dialect::Meta, request);
    let read = read_back(&line, request.value.len());
    match request.command {
        Command::FlushAll => is_same(request, &read),
        command if command.is_meta() => is_passed_on(request, &read),
        _ => is_meant(request, &read),
    }
    if !request.command.is_meta() && !Dialect::Classic.can_say_key(request) {
        assert!(request.key.contains(&0));
    } else if !request.command.is_meta() {
        is_same(
            request,
            &read_back(&written(Dialect::Classic, request), request.value.len()),
        );
    } else if let Some(classic) = downgrade(request) {
        assert!(!classic.command.is_meta() && classic.meta.is_none());
        assert_eq!((classic.key, classic.value), (request.key, request.value));
        is_same(
            &classic,
            &read_back(&written(Dialect::Classic, &classic), request.value.len()),
        );
    }
}

fn written(dialect: Dialect, request: &Request<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    dialect.write_line(request, &mut |bytes| line.extend_from_slice(bytes));
    line
}

/// The request in `line`, as a node reads it: one that is good, and whose answer is wanted.
fn read_back(line: &[u8], value: usize) -> Request<'_> {
    let shown = line.escape_ascii();
    assert!(line.ends_with(b"\r\n"), "{shown}");
    let Some((read, length)) = read_line(line) else {
        panic!("{shown} is no line");
    };
    assert_eq!(length, line.len(), "{shown} is more than one line");
    match read {
        Line::Read {
            command,
            exptime,
            mut keys,
        } => {
            let key = keys.next().expect("a read has a key");
            assert_eq!(keys.next(), None, "{shown}");
            Request {
                exptime,
                ..Request::new(command, key)
            }
        }
        Line::Store {
            request,
            length,
            noreply: false,
        } => {
            assert_eq!(length, value, "{shown}");
            request
        }
        Line::Single {
            request,
            noreply: false,
        } => request,
        Line::FlushAll {
            delay,
            noreply: false,
        } => Request {
            exptime: delay,
            ..Request::new(Command::FlushAll, b"")
        },
        other => panic!("{shown} is read as {other:?}"),
    }
}

/// A classic request in classic text.
fn is_same(asked: &Request<'_>, read: &Request<'_>) {
    assert_eq!((asked.command, asked.key), (read.command, read.key));
    assert_eq!((asked.exptime, asked.flags), (read.exptime, read.flags));
    assert_eq!((asked.cas, asked.delta), (read.cas, read.delta));
}

/// A classic request in meta.
fn is_meant(asked: &Request<'_>, read: &Request<'_>) {
    use Command::*;
    let meta = read.meta.expect("a meta command");
    assert_eq!(meta.plain_key(&mut [0; MAX_KEY]), asked.key);
    assert!(flag(meta.flags, b'k').is_some());
    assert_eq!(flag(meta.flags, b'b').is_some(), asked.key.contains(&0));
    let found = MetaFlags::parse(read.command, meta.flags).expect("flags that a node takes");
    let command = match asked.command {
        Get | Gets | Gat | Gats | Touch => MetaGet,
        Incr | Decr => MetaArithmetic,
        Delete => MetaDelete,
        _ => MetaSet,
    };
    assert_eq!(read.command, command);
    let mode = match asked.command {
        Add => Some(b'E'),
        Replace => Some(b'R'),
        Append => Some(b'A'),
        Prepend => Some(b'P'),
        Decr => Some(b'D'),
        _ => None,
    };
    assert_eq!(found.mode, mode);
    assert_eq!(
        found.wants_value,
        asked.command.is_read() || command == MetaArithmetic
    );
    assert_eq!(flag(meta.flags, b'c').is_some(), asked.command.wants_cas());
    assert_eq!(found.cas, (asked.command == Cas).then_some(asked.cas));
    if command == MetaArithmetic {
        assert_eq!(found.delta, asked.delta);
    }
    // What is there keeps its own.
    let keeps = matches!(asked.command, Append | Prepend);
    let touches = matches!(asked.command, Gat | Gats | Touch);
    if command == MetaSet && !keeps {
        assert_eq!(found.client_flags, asked.flags);
    }
    assert_eq!(
        found.ttl.map(i64::from),
        (touches || (asked.exptime != 0 && !keeps)).then_some(asked.exptime)
    );
}

/// A meta command, which a node reads as the client typed it but for `q` and `k`.
fn is_passed_on(asked: &Request<'_>, read: &Request<'_>) {
    let typed = asked.meta.expect("a meta command");
    let meta = read.meta.expect("a meta command");
    assert_eq!(read.command, asked.command);
    assert_eq!(meta.plain_key(&mut [0; MAX_KEY]), asked.key);
    let is_encoded = typed.key.contains(&0);
    let added: &[&[u8]] = if is_encoded { &[b"b"] } else { &[] };
    assert!(is_encoded || meta.key == typed.key);
    assert_eq!(others(meta.flags), [added, &others(typed.flags)].concat());
    // A quiet node would owe one answer less than is awaited; one flag twice is refused aloud.
    let quiet = count(typed.flags, b'q');
    assert_eq!(count(meta.flags, b'q'), if quiet == 1 { 0 } else { quiet });
    let opaque = flag(typed.flags, b'O');
    let wants_key = flag(typed.flags, b'k').is_some();
    if flag(typed.flags, b'b').is_some() && needs_base64(asked.key) {
        assert_eq!(count(meta.flags, b'k'), 0);
        assert_eq!(flag(meta.flags, b'O').is_some(), opaque.is_some() || wants_key);
    } else {
        let added = !wants_key && asked.command != Command::MetaDebug;
        assert_eq!(
            count(meta.flags, b'k'),
            count(typed.flags, b'k') + usize::from(added)
        );
        assert_eq!(flag(meta.flags, b'O'), opaque);
    }
}

/// The flags that are passed on as they are.
fn others(text: &[u8]) -> Vec<&[u8]> {
    flags(text).filter(|flag| !b"qkO".contains(&flag[0])).collect()
}

fn count(text: &[u8], name: u8) -> usize {
    flags(text).filter(|flag| flag[0] == name).count()
}
