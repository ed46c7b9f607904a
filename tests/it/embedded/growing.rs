//! Large values that append, prepend, incr and decr change: what is read of them, and what they weigh.

use std::collections::VecDeque;

use ringway::node::embedded::{Embedded, ITEM_OVERHEAD};
use ringway::protocol::{Command, Meta, Reply, Request};

const NOW: u64 = 1_800_000_000;
const KEY: &[u8] = b"key";

fn ask(cache: &Embedded, command: Command, value: &[u8]) -> Reply {
    let request = Request {
        value,
        ..Request::new(command, KEY)
    };
    cache.execute_at(&request, NOW)
}

fn meta(cache: &Embedded, command: Command, flags: &[u8], value: &[u8]) -> Reply {
    let meta = Meta {
        key: KEY,
        flags,
        is_binary: false,
    };
    let request = Request {
        meta: Some(meta),
        value,
        ..Request::new(command, KEY)
    };
    cache.execute_at(&request, NOW)
}

fn line(reply: &Reply) -> String {
    let Reply::Meta(reply) = reply else {
        panic!("{reply:?} is no meta reply")
    };
    String::from_utf8_lossy(reply.line()).into_owned()
}

#[test]
fn a_value_that_grows_at_both_ends_reads_as_what_was_added_whatever_comes_between() {
    let cache = Embedded::new(64 << 20);
    let mut model: VecDeque<u8> = vec![b'v'; 3000].into();
    assert_eq!(ask(&cache, Command::Set, model.make_contiguous()), Reply::Done);
    for step in 0..6000u32 {
        let part = format!("<{step}>").into_bytes();
        match step % 3 {
            0 => {
                assert_eq!(ask(&cache, Command::Prepend, &part), Reply::Done);
                part.iter().rev().for_each(|&byte| model.push_front(byte));
            }
            1 => {
                assert_eq!(ask(&cache, Command::Append, &part), Reply::Done);
                model.extend(part);
            }
            _ => {
                assert_eq!(line(&meta(&cache, Command::MetaSet, b"MA", &part)), "HD");
                model.extend(part);
            }
        }
        match step % 11 {
            3 => assert_eq!(ask(&cache, Command::Touch, b""), Reply::Done),
            5 => assert_eq!(
                line(&meta(&cache, Command::MetaGet, b"s t", b"")),
                format!("HD s{} t-1", model.len())
            ),
            7 => assert_eq!(ask(&cache, Command::Add, b"other"), Reply::NotStored),
            _ => {}
        }
        if step % 101 == 0 {
            let reply = match step % 4 {
                0 => ask(&cache, Command::Get, b""),
                1 => ask(&cache, Command::Gat, b""),
                2 => ask(&cache, Command::Gets, b""),
                _ => meta(&cache, Command::MetaGet, b"v", b""),
            };
            let data = match &reply {
                Reply::Value(item) => item.data(),
                Reply::Meta(reply) => reply.data().expect("a value"),
                other => panic!("{other:?}"),
            };
            assert!(data == model.make_contiguous(), "step {step}");
        }
        assert_eq!(cache.items(), 1);
    }
    assert_eq!(ask(&cache, Command::Delete, b""), Reply::Done);
    assert_eq!((cache.items(), cache.bytes()), (0, 0));
}

#[test]
fn each_addition_gives_a_new_cas_id_and_a_reader_keeps_what_it_read() {
    let cache = Embedded::new(64 << 20);
    ask(&cache, Command::Set, &[b'v'; 10_000]);
    let mut ids = Vec::new();
    let mut read = Vec::new();
    for _ in 0..10 {
        assert_eq!(ask(&cache, Command::Append, b"x"), Reply::Done);
        assert_eq!(ask(&cache, Command::Append, b"y"), Reply::Done);
        let Reply::Value(item) = ask(&cache, Command::Gets, b"") else {
            panic!("no value")
        };
        ids.push(item.cas);
        read.push(item);
    }
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    for (number, item) in read.iter().enumerate() {
        assert_eq!(item.size(), 10_000 + 2 * (number + 1));
        assert!(item.data().ends_with(&b"xy".repeat(number + 1)));
    }
}

#[test]
fn an_addition_takes_one_cas_id_whether_or_not_the_value_is_copied_for_it() {
    let cache = Embedded::new(64 << 20);
    let mut last = line(&meta(&cache, Command::MetaSet, b"c", b"v"));
    for step in 0..5000 {
        let flags = if step % 2 == 0 { b"MA c" } else { b"MP c" };
        let next = line(&meta(&cache, Command::MetaSet, flags, b"0123456789"));
        assert_eq!(number(&next), number(&last) + 1, "step {step}");
        last = next;
    }
    meta(&cache, Command::MetaDelete, b"", b"");
    let vivified = line(&meta(&cache, Command::MetaSet, b"MA N0 c", b"v"));
    assert_eq!(number(&vivified), number(&last) + 1, "where nothing was there");
}

/// The cas id in the line of a reply to `c`.
fn number(line: &str) -> u64 {
    let digits = line.strip_prefix("HD c").expect("a cas id");
    digits.parse().expect("a number")
}

#[test]
fn a_long_number_is_counted_where_it_stands_and_a_reader_keeps_what_it_read() {
    let cache = Embedded::new(64 << 20);
    let size = 10_000;
    ask(&cache, Command::Set, format!("{:<size$}", 95).as_bytes());
    let weight = size as u64 + KEY.len() as u64 + ITEM_OVERHEAD;
    assert_eq!(cache.bytes(), weight);
    let mut read = Vec::new();
    for number in 96..106 {
        let reply = meta(&cache, Command::MetaArithmetic, b"v", b"");
        assert_eq!(line(&reply), format!("VA {}", number.to_string().len()));
        assert!(cache.bytes() - weight < 100, "{}", cache.bytes());
        let Reply::Value(item) = ask(&cache, Command::Gets, b"") else {
            panic!("no value")
        };
        assert_eq!(cache.bytes(), weight, "it was read");
        read.push((number, item));
    }
    for (number, item) in read {
        assert!(item.data() == format!("{number:<size$}").as_bytes(), "{number}");
    }
}

#[test]
fn a_long_value_that_is_no_number_stays_as_it_is() {
    let cache = Embedded::new(64 << 20);
    ask(&cache, Command::Set, &[b'x'; 5000]);
    ask(&cache, Command::Prepend, b"7");
    let refused = ask(&cache, Command::Incr, b"");
    assert!(matches!(refused, Reply::Error(_)), "{refused:?}");
    let Reply::Value(item) = ask(&cache, Command::Get, b"") else {
        panic!("no value")
    };
    assert_eq!((item.size(), &item.data()[..3]), (5001, &b"7xx"[..]));
}

#[test]
fn a_value_that_grows_never_passes_its_limits_and_its_room_to_grow_is_weighed() {
    let cache = Embedded::new(1 << 20);
    let max = 200_000;
    cache.limit_values(max);
    ask(&cache, Command::Set, &[b'v'; 5000]);
    let (mut size, mut heaviest) = (5000, 0);
    while ask(&cache, Command::Append, &[b'x'; 700]) == Reply::Done {
        size += 700;
        let least = size as u64 + ITEM_OVERHEAD;
        assert!(cache.bytes() > least, "{} for {size}", cache.bytes());
        assert!(
            cache.bytes() < least + size as u64 / 2,
            "{} for {size}",
            cache.bytes()
        );
        heaviest = heaviest.max(cache.bytes());
    }
    assert!(size <= max && size + 700 > max, "{size}");
    assert!(
        heaviest > max as u64 && heaviest < max as u64 + 1000,
        "{heaviest}"
    );
    let Reply::Value(item) = ask(&cache, Command::Get, b"") else {
        panic!("no value")
    };
    assert_eq!(item.size(), size);
    let settled = size as u64 + KEY.len() as u64 + ITEM_OVERHEAD;
    assert_eq!(
        cache.bytes(),
        settled,
        "it was read, and has no more room than it needs"
    );
}

#[test]
fn what_grows_makes_others_leave_and_never_passes_the_capacity() {
    let cache = Embedded::new(1 << 20);
    for number in 0..200 {
        let key = format!("other{number}");
        let request = Request {
            value: &[b'v'; 4000],
            ..Request::new(Command::Set, key.as_bytes())
        };
        cache.execute_at(&request, NOW);
    }
    ask(&cache, Command::Set, &[b'v'; 5000]);
    while ask(&cache, Command::Append, &[b'x'; 500]) == Reply::Done {
        assert!(cache.bytes() <= cache.capacity(), "{}", cache.bytes());
    }
    assert!(cache.evictions() > 0);
}
