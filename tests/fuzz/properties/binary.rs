//! What a client packs: headers, and what of them is asked of a node in meta.

use ringway::protocol::binary::{Ask, HEAD, Head, Opcode, Room};
use ringway::protocol::meta::flags::MetaFlags;
use ringway::protocol::meta::{decode_key, flag, needs_base64};
use ringway::protocol::{Command, MAX_KEY};

use super::said;

/// The bytes are packets, one after the other.
pub fn check(data: &[u8]) {
    let mut rest = data;
    while let Some(head) = Head::read(rest) {
        assert_eq!(Head::read(&rest[..HEAD]), Some(head));
        assert_eq!(Head::read(&rest[..HEAD - 1]), None);
        assert!(head.key <= u16::MAX.into() && head.extras <= u8::MAX.into());
        let ask = head.ask();
        assert_eq!(ask == Ask::Truncated, head.key + head.extras > head.body);
        if matches!(ask, Ask::Truncated | Ask::Invalid | Ask::LongKey) {
            // Where such a packet ends nobody can tell.
            return;
        }
        assert_eq!(head.key + head.extras + head.value(), head.body);
        assert!(head.key <= MAX_KEY);
        let Some(body) = rest[HEAD..].get(..head.body) else {
            return;
        };
        match ask {
            Ask::Operation(operation) => {
                assert_eq!(Opcode::of(head.opcode).map(|known| known.0), Some(operation));
                check_operation(&head, operation, body);
            }
            _ => assert_eq!(Opcode::of(head.opcode), None),
        }
        rest = &rest[HEAD + head.body..];
    }
    assert!(rest.len() < HEAD);
}

/// One whole packet, said to a node as a session does.
fn check_operation(head: &Head, operation: Opcode, body: &[u8]) {
    let (extras, rest) = body.split_at(head.extras);
    let (key, value) = rest.split_at(head.key);
    let Some(command) = operation.command() else {
        return;
    };
    assert!(!key.is_empty());
    assert!(command == Command::MetaSet || value.is_empty() || extras.len() == 4);
    let mut room = Room::default();
    let Some(request) = head.request(operation, command, body, &mut room) else {
        // No text protocol can say it, and a session refuses it.
        assert!(needs_base64(key) && key.len().div_ceil(3) * 4 > MAX_KEY);
        return;
    };
    assert_eq!(
        (request.command, request.key, request.value),
        (command, key, value)
    );
    let meta = request.meta.expect("a meta request");
    assert!(meta.key.iter().all(|&byte| byte > b' ' && byte != 0x7f) && meta.key.len() <= MAX_KEY);
    if needs_base64(key) {
        let mut plain = [0; MAX_KEY];
        let length = decode_key(meta.key, &mut plain);
        assert_eq!(&plain[..length], key);
    } else {
        assert_eq!(meta.key, key);
    }
    assert_eq!(meta.plain_key(&mut [0; MAX_KEY]), key);
    means_the_same(head, operation, extras, command, meta.flags);
    said::check(&request);
}

/// A node takes the flags, and reads in them what the header and its extras say.
fn means_the_same(head: &Head, operation: Opcode, extras: &[u8], command: Command, flags: &[u8]) {
    use Opcode::*;
    let found = MetaFlags::parse(command, flags).expect("flags that a node takes");
    let number = |at: usize| u32::from_be_bytes(extras[at..at + 4].try_into().expect("4 bytes"));
    let long = |at: usize| u64::from_be_bytes(extras[at..at + 8].try_into().expect("8 bytes"));
    let seconds = |at: usize| i32::try_from(number(at)).unwrap_or(i32::MAX);
    let is_read = matches!(operation, Get | Touch | GetAndTouch);
    assert_eq!(found.cas, (head.cas != 0 && !is_read).then_some(head.cas));
    assert_eq!(flag(flags, b'c').is_some(), operation != Delete);
    assert_eq!(flag(flags, b'f').is_some(), is_read);
    assert_eq!(
        found.wants_value,
        matches!(operation, Get | GetAndTouch | Increment | Decrement)
    );
    let ttl = match operation {
        Touch | GetAndTouch => Some(seconds(0)),
        Set | Add | Replace => Some(seconds(4)),
        _ => None,
    };
    assert_eq!(found.ttl, ttl);
    let mode = match operation {
        Add if head.cas == 0 => Some(b'E'),
        // With a cas id, a set that compares.
        Add | Replace => Some(b'R'),
        Append => Some(b'A'),
        Prepend => Some(b'P'),
        Increment => Some(b'I'),
        Decrement => Some(b'D'),
        _ => None,
    };
    assert_eq!(found.mode, mode);
    if matches!(operation, Set | Add | Replace) {
        assert_eq!(found.client_flags, number(0));
    }
    if matches!(operation, Increment | Decrement) {
        let creates = number(16) != u32::MAX;
        assert_eq!(found.delta, long(0));
        assert_eq!(found.vivify, creates.then(|| seconds(16)));
        assert_eq!(found.initial, if creates { long(8) } else { 0 });
    }
}
