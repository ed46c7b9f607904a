//! Random packets of the binary protocol, with quiet forms, unknown operations and lengths that lie.

use proptest::prelude::*;
use proptest::sample::select;

use super::sequence::{Cas, Command, Packet};

/// One packet after which the session goes on.
pub fn packet() -> BoxedStrategy<Command> {
    let body = prop_oneof![
        6 => (select(vec![0x00, 0x09, 0x0c, 0x0d, 0x04, 0x14]), key()).prop_map(|(opcode, key)| keyed(opcode, &[], key, &[])),
        8 => (select(vec![0x01, 0x02, 0x03, 0x11, 0x12, 0x13]), number(), expiry(), key(), value())
            .prop_map(|(opcode, flags, expiry, key, value)| {
                keyed(opcode, &[flags.to_be_bytes(), expiry.to_be_bytes()].concat(), key, &value)
            }),
        2 => (select(vec![0x0e, 0x0f, 0x19, 0x1a]), key(), value())
            .prop_map(|(opcode, key, value)| keyed(opcode, &[], key, &value)),
        4 => (select(vec![0x05, 0x06, 0x15, 0x16]), long(), long(), count_expiry(), key())
            .prop_map(|(opcode, delta, initial, expiry, key)| {
                let extras = [&delta.to_be_bytes()[..], &initial.to_be_bytes(), &expiry.to_be_bytes()].concat();
                keyed(opcode, &extras, key, &[])
            }),
        4 => (select(vec![0x1c, 0x1d, 0x1e, 0x23, 0x24]), expiry(), key())
            .prop_map(|(opcode, expiry, key)| keyed(opcode, &expiry.to_be_bytes(), key, &[])),
        1 => Just(Packet::new(0x0a)),
        1 => (select(vec![0x08, 0x18]), select(vec![&[][..], &[0, 0, 0, 0]]))
            .prop_map(|(opcode, extras)| keyed(opcode, extras, Vec::new(), &[])),
        1 => (select(vec![0x1f, 0x25, 0x30, 0x3d, 0x45, 0x7f, 0x80, 0xff]), value())
            .prop_map(|(opcode, value)| keyed(opcode, &[], Vec::new(), &value)),
    ];
    (body, cas(), any::<u32>(), unused())
        .prop_map(|(packet, cas, opaque, unused)| {
            Command::Packet(Packet {
                cas,
                opaque,
                unused,
                ..packet
            })
        })
        .boxed()
}

/// One packet that makes memcached close: quit, or lengths that fit nothing.
pub fn last_packet() -> BoxedStrategy<Command> {
    let quit = select(vec![0x07u8, 0x17]).prop_map(Packet::new);
    let torn =
        (select(TORN.to_vec()), any::<u32>()).prop_map(|((opcode, key, extras, body), opaque)| Packet {
            opaque,
            lengths: Some((key, extras, body)),
            // memcached reads as much before it looks.
            value: vec![b'a'; usize::from(key) + usize::from(extras)],
            ..Packet::new(opcode)
        });
    prop_oneof![quit, torn].prop_map(Command::Packet).boxed()
}

/// An operation, and lengths of key, extras and body that it cannot have.
const TORN: &[(u8, u16, u8, u32)] = &[
    (0x00, 5, 0, 4),
    (0x00, 5, 4, 8),
    (0x00, 251, 0, 251),
    (0x00, 0, 0, 0),
    (0x00, 1, 4, 5),
    (0x0d, 1, 0, 2),
    (0x01, 1, 0, 1),
    (0x01, 1, 4, 5),
    (0x01, 0, 8, 8),
    (0x11, 1, 9, 10),
    (0x04, 1, 0, 2),
    (0x05, 1, 19, 20),
    (0x05, 1, 20, 22),
    (0x15, 0, 20, 20),
    (0x07, 0, 0, 1),
    (0x08, 0, 8, 8),
    (0x0a, 0, 0, 1),
    (0x0a, 1, 0, 1),
    (0x0e, 1, 4, 6),
    (0x10, 0, 4, 4),
    (0x1c, 1, 0, 1),
    (0x1d, 0, 4, 4),
    (0x1d, 1, 8, 9),
];

fn keyed(opcode: u8, extras: &[u8], key: Vec<u8>, value: &[u8]) -> Packet {
    Packet {
        extras: extras.to_vec(),
        key,
        value: value.to_vec(),
        ..Packet::new(opcode)
    }
}

/// Keys of any bytes; none so long that base64 makes it longer than a key may be.
fn key() -> BoxedStrategy<Vec<u8>> {
    let odd = vec![
        &b"a b"[..],
        b"a\r\nb",
        b"\0",
        b" ",
        b"\xff\xfe",
        b"\x80\x01k",
        b"YQ==",
    ];
    prop_oneof![
        10 => select(vec![&b"a"[..], b"b", b"c"]).prop_map(<[u8]>::to_vec),
        3 => select(odd).prop_map(<[u8]>::to_vec),
        1 => Just(vec![b'k'; 250]),
        1 => Just([&[b' '][..], &[b'k'; 185]].concat()),
    ]
    .boxed()
}

fn value() -> BoxedStrategy<Vec<u8>> {
    let short = vec![&b""[..], b"x", b"abc", b"x\r\n", b"\0\x80\xff"];
    let numbers = vec![&b"0"[..], b"5", b"9", b"18446744073709551616"];
    prop_oneof![
        4 => select(short).prop_map(<[u8]>::to_vec),
        4 => select(numbers).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..300),
        1 => select(vec![3000usize, 16_384, 70_000]).prop_map(|length| vec![0x80; length]),
    ]
    .boxed()
}

fn number() -> BoxedStrategy<u32> {
    select(vec![0, 1, 7, 0x8000_0000, u32::MAX]).boxed()
}

fn long() -> BoxedStrategy<u64> {
    select(vec![0, 1, 5, 100, 1 << 40]).boxed()
}

fn expiry() -> BoxedStrategy<u32> {
    select(vec![0, 0, 0, 0, 100, 2_592_000, 2_592_001, 0x7fff_ffff]).boxed()
}

fn count_expiry() -> BoxedStrategy<u32> {
    prop_oneof![3 => expiry(), 1 => Just(u32::MAX)].boxed()
}

fn cas() -> BoxedStrategy<Cas> {
    prop_oneof![
        8 => Just(Cas::Fixed(0)),
        3 => (0u64..6).prop_map(Cas::After),
        1 => select(vec![1, u64::MAX]).prop_map(Cas::Fixed),
    ]
    .boxed()
}

fn unused() -> BoxedStrategy<(u8, u16)> {
    prop_oneof![8 => Just((0, 0)), 1 => Just((0, 7)), 1 => Just((1, 0))].boxed()
}
