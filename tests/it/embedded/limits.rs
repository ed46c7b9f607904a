//! What the embedded cache promises beyond memcached's answers: its bound, who leaves, who may come at once.

use std::thread::scope;

use bytes::Bytes;
use ringway::node::embedded::{Embedded, ITEM_OVERHEAD};
use ringway::protocol::{Command, Item, Reply, Request};

const MIB: u64 = 1 << 20;
const NOW: u64 = 1_800_000_000;

fn set(cache: &Embedded, key: &str, value: &[u8]) -> Reply {
    let request = Request {
        value,
        ..Request::new(Command::Set, key.as_bytes())
    };
    cache.execute_at(&request, NOW)
}

fn get(cache: &Embedded, key: &str) -> Option<Item> {
    match cache.execute_at(&Request::new(Command::Gets, key.as_bytes()), NOW) {
        Reply::Value(item) => Some(item),
        _ => None,
    }
}

#[test]
fn it_never_holds_more_than_its_size_and_what_was_stored_last_is_there() {
    for (capacity, largest) in [(MIB, 100 << 10), (4 * MIB, 2 << 20), (64 * MIB, 8 << 20)] {
        let cache = Embedded::new(capacity);
        assert_eq!(cache.capacity(), capacity);
        let mut stored = 0;
        for number in 0u64.. {
            // Sizes that jump, most of them small, one in 64 as large as may be.
            let size = match number % 64 {
                63 => largest - 300,
                _ => number as usize * 7919 % 20_000,
            };
            let key = format!("key{number}");
            assert_eq!(
                set(&cache, &key, &vec![b'v'; size]),
                Reply::Done,
                "{size} bytes in {capacity}"
            );
            assert!(cache.bytes() <= capacity, "{} in {capacity}", cache.bytes());
            assert_eq!(get(&cache, &key).map(|item| item.size()), Some(size));
            stored += size as u64;
            if stored > 2 * capacity {
                break;
            }
        }
        assert!(cache.evictions() > 0);
        // Large items leave gaps, more or fewer as their keys fall; small ones fill them.
        for number in 0..2 * capacity / 1000 {
            set(&cache, &format!("small{number}"), &[b'v'; 1000]);
        }
        assert!(cache.bytes() > capacity / 2, "{} in {capacity}", cache.bytes());
    }
}

#[test]
fn keys_that_are_asked_for_often_stay_while_others_pass_through() {
    let cache = Embedded::new(4 * MIB);
    let value = [b'v'; 1000];
    let hot: Vec<String> = (0..100).map(|number| format!("hot{number}")).collect();
    for key in &hot {
        set(&cache, key, &value);
    }
    for number in 0..20_000 {
        set(&cache, &format!("passing{number}"), &value);
        get(&cache, &hot[number % hot.len()]);
    }
    let kept = hot.iter().filter(|key| get(&cache, key).is_some()).count();
    assert!(kept >= 90, "{kept} of 100 were kept");
}

#[test]
fn replacing_growing_and_removing_are_weighed() {
    let cache = Embedded::new(64 * MIB);
    let weight = |value: u64| 3 + value + ITEM_OVERHEAD;
    let ask = |command, value: &[u8]| {
        let request = Request {
            value,
            delta: 1,
            ..Request::new(command, b"key")
        };
        cache.execute_at(&request, NOW);
        (cache.items(), cache.bytes())
    };
    assert_eq!(ask(Command::Set, &[b'9'; 1000]), (1, weight(1000)));
    assert_eq!(ask(Command::Replace, b"9"), (1, weight(1)));
    assert_eq!(ask(Command::Incr, b""), (1, weight(2)));
    assert_eq!(ask(Command::Append, b"   "), (1, weight(5)));
    assert_eq!(ask(Command::Prepend, b"0"), (1, weight(6)));
    assert_eq!(ask(Command::Decr, b""), (1, weight(6)));
    assert_eq!(ask(Command::Touch, b""), (1, weight(6)));
    assert_eq!(ask(Command::Delete, b""), (0, 0));
    assert_eq!(cache.evictions(), 0);
}

#[test]
fn what_has_ended_is_no_eviction() {
    let cache = Embedded::new(MIB);
    for number in 0..4000 {
        let key = format!("key{number}");
        let request = Request {
            value: &[b'v'; 1000],
            exptime: -1,
            ..Request::new(Command::Set, key.as_bytes())
        };
        assert_eq!(cache.execute_at(&request, NOW), Reply::Done);
    }
    assert!(cache.bytes() <= MIB);
    assert_eq!(cache.evictions(), 0);
}

#[test]
fn a_stored_value_keeps_no_larger_buffer_alive() {
    let cache = Embedded::new(MIB);
    let buffer = Bytes::from(vec![b'v'; 100_000]);
    let request = Request {
        value: &buffer[500..510],
        block: Some(&buffer),
        ..Request::new(Command::Set, b"key")
    };
    cache.execute_at(&request, NOW);
    assert!(buffer.is_unique());
    let item = get(&cache, "key").expect("stored");
    assert_eq!((item.key(), item.data()), (&b"key"[..], &[b'v'; 10][..]));
}

#[test]
fn no_increment_is_lost_between_threads() {
    let cache = Embedded::new(64 * MIB);
    set(&cache, "key", b"0");
    scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                let request = Request {
                    delta: 1,
                    ..Request::new(Command::Incr, b"key")
                };
                for _ in 0..2000 {
                    assert!(matches!(cache.execute_at(&request, NOW), Reply::Number(_)));
                }
            });
        }
    });
    assert_eq!(get(&cache, "key").expect("stored").data(), b"16000");
}

#[test]
fn of_those_who_read_one_value_only_one_may_change_it() {
    let cache = Embedded::new(64 * MIB);
    set(&cache, "key", b"0");
    scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| (0..200).for_each(|_| add_one_by_cas(&cache)));
        }
    });
    assert_eq!(get(&cache, "key").expect("stored").data(), b"1600");
}

fn add_one_by_cas(cache: &Embedded) {
    loop {
        let item = get(cache, "key").expect("stored");
        let number: u64 = std::str::from_utf8(item.data())
            .expect("digits")
            .parse()
            .expect("a number");
        let value = (number + 1).to_string();
        let request = Request {
            value: value.as_bytes(),
            cas: item.cas,
            ..Request::new(Command::Cas, b"key")
        };
        match cache.execute_at(&request, NOW) {
            Reply::Done => return,
            reply => assert_eq!(reply, Reply::Exists),
        }
    }
}

#[test]
fn an_item_ends_at_its_second_whatever_became_of_its_value() {
    for change in [
        Command::Append,
        Command::Prepend,
        Command::Incr,
        Command::Decr,
        Command::Get,
    ] {
        let cache = Embedded::new(MIB);
        let request = |command| Request {
            value: b"7",
            delta: 1,
            flags: 5,
            exptime: 10,
            ..Request::new(command, b"key")
        };
        cache.execute_at(&request(Command::Set), NOW);
        cache.execute_at(
            &Request {
                exptime: 0,
                flags: 0,
                ..request(change)
            },
            NOW + 9,
        );
        let Reply::Value(item) = cache.execute_at(&request(Command::Gets), NOW + 9) else {
            panic!("gone after {change:?}");
        };
        assert_eq!(item.flags, 5, "{change:?}");
        assert_eq!(
            cache.execute_at(&request(Command::Gets), NOW + 10),
            Reply::NotFound,
            "{change:?}"
        );
        assert_eq!(cache.items(), 0, "{change:?}");
    }
}

#[test]
fn a_touch_gives_an_item_a_new_end() {
    for command in [Command::Touch, Command::Gat, Command::Gats] {
        let cache = Embedded::new(MIB);
        let at = |command, exptime, now| {
            let request = Request {
                exptime,
                ..Request::new(command, b"key")
            };
            cache.execute_at(&request, now)
        };
        at(Command::Set, 10, NOW);
        assert_ne!(at(command, 100, NOW + 9), Reply::NotFound);
        assert_ne!(at(Command::Get, 0, NOW + 108), Reply::NotFound);
        assert_eq!(at(command, 100, NOW + 109), Reply::NotFound);
    }
}

#[test]
fn a_flush_reaches_every_shard() {
    let cache = Embedded::new(64 * MIB);
    let keys: Vec<String> = (0..100).map(|number| format!("key{number}")).collect();
    for key in &keys {
        set(&cache, key, b"old");
    }
    assert_eq!(
        cache.execute_at(&Request::new(Command::FlushAll, b""), NOW),
        Reply::Done
    );
    assert!(keys.iter().all(|key| get(&cache, key).is_none()));
    set(&cache, "new", b"v");
    assert!(get(&cache, "new").is_some());
}

#[test]
fn a_key_longer_than_memcached_takes_is_refused() {
    let cache = Embedded::new(MIB);
    let key = "k".repeat(251);
    assert!(matches!(set(&cache, &key, b"v"), Reply::Error(_)));
    assert!(get(&cache, &key).is_none());
}
