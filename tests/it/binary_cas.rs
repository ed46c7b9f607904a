//! Binary writes with a cas id to compare, beside memcached: over links in meta and in classic text, and embedded.

use crate::support::binary::{packet, response};
use crate::support::client::Client;
use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, pool};

const SET: u8 = 0x01;
const APPEND: u8 = 0x0e;
/// set, add, replace, append and prepend.
const STORES: [u8; 5] = [SET, 0x02, 0x03, APPEND, 0x0f];

/// A cas id to compare, by that of the item: 1 if there is none.
type Compared = (&'static str, fn(u64) -> u64);
const COMPARED: [Compared; 5] = [
    ("none", |_| 0),
    ("equal", |cas| cas),
    ("one less", |cas| cas - 1),
    ("one more", |cas| cas + 1),
    ("the highest", |_| u64::MAX),
];

/// A store of `2`, which compares `cas` unless it is 0.
fn store(opcode: u8, cas: u64) -> Vec<u8> {
    let extras: &[u8] = if opcode < APPEND { &[0; 8] } else { b"" };
    let mut bytes = packet(opcode, extras, "k", b"2");
    bytes[16..24].copy_from_slice(&cas.to_be_bytes());
    bytes
}

/// What a client reads of a store, and what is there afterwards.
fn outcome(client: &mut Client, opcode: u8, is_there: bool, compared: Compared) -> (String, String) {
    client.send(packet(0x04, b"", "k", b""));
    response(client);
    let mut cas = 2;
    if is_there {
        // The first item of a memcached has the cas id 1, than which nothing is less but none.
        for _ in 0..2 {
            client.send(packet(SET, &[0; 8], "k", b"1"));
            response(client);
        }
        client.send(packet(0x00, b"", "k", b""));
        let found = client.exact(24 + 4 + 1);
        cas = u64::from_be_bytes(found[16..24].try_into().expect("eight bytes"));
    }
    client.send(store(opcode, compared.1(cas)));
    let answer = response(client);
    client.send(packet(0x00, b"", "k", b""));
    (answer, response(client))
}

/// What each store gives at `port` in each case that `is_wanted`, with the case.
fn outcomes(client: &mut Client, is_wanted: impl Fn(u8, u64) -> bool) -> Vec<String> {
    let mut all = Vec::new();
    for opcode in STORES {
        for is_there in [true, false] {
            for compared in COMPARED {
                if is_wanted(opcode, compared.1(2)) {
                    let (answer, left) = outcome(client, opcode, is_there, compared);
                    let name = compared.0;
                    all.push(format!(
                        "{opcode:#04x}, there: {is_there}, {name}: {answer}, then {left}"
                    ));
                }
            }
        }
    }
    all
}

#[test]
fn a_store_that_compares_a_cas_id_does_what_memcached_does() {
    let memcached = Memcached::start();
    let node = Memcached::start();
    let meta = Ringway::start(&pool(&[node.address()], &["request_timeout: 10s"]));
    let embedded = Ringway::start(&pool(&["{embedded: 8MiB, name: here}".to_owned()], &[]));
    let wanted = outcomes(&mut memcached.client(), |_, _| true);
    assert_eq!(wanted.len(), 50);
    for (ringway, name) in [(&meta, "meta"), (&embedded, "embedded")] {
        assert_eq!(outcomes(&mut ringway.client(), |_, _| true), wanted, "{name}");
    }
    // Classic text has no append that compares.
    let node = Memcached::start();
    let settings = ["request_timeout: 10s", "protocol: classic"];
    let classic = Ringway::start(&pool(&[node.address()], &settings));
    let can_be_said = |opcode, cas| opcode < APPEND || cas == 0;
    let wanted = outcomes(&mut memcached.client(), can_be_said);
    assert_eq!(outcomes(&mut classic.client(), can_be_said), wanted, "classic");
    let mut client = classic.client();
    let refused = outcome(&mut client, APPEND, true, COMPARED[1]);
    assert_eq!(refused, ("0e 5 :Not stored.".to_owned(), "00 0 :1".to_owned()));
}
