//! Meta commands, beside a real memcached: line for line, but for what the clock may change.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};
use ringway::node::embedded::Embedded;
use ringway::protocol::{Command, MAX_KEY, Meta, Reply, Request};

use super::twins::{MetaStep, Step, Twins};

#[derive(Debug, Clone)]
enum Act {
    Classic(Step),
    Meta(MetaStep),
}

/// Flags whose meaning 1.6.18 has, with times far from each other. `C@2` stands for a cas id that was shown.
const FLAGS: &[&str] = &[
    "k", "O17", "c", "f", "h", "l", "t", "v", "u", "I", "T", "N", "R", "F", "C", "M", "J", "D", "P", "L1",
];

/// What the flags that have a token may say, those first that are no mistake.
fn token(flag: &'static str) -> BoxedStrategy<String> {
    let tokens: &[&str] = match flag {
        "T" | "N" => &["0", "0", "100", "1000", "1000", "2592001", "-1"],
        "R" => &["0", "30", "500", "5000", "5000", "-1", "-5"],
        "F" => &["0", "7", "4294967295", "4294967297"],
        "C" => &["@0", "@1", "@2", "@3", "@4", "@9", "0"],
        "J" => &["0", "9", "99", "18446744073709551615"],
        "D" => &["0", "1", "5", "99", "9223372036854775808", "18446744073709551615"],
        "M" => return mode(),
        _ => return Just(flag.to_owned()).boxed(),
    };
    prop_oneof![
        40 => select(tokens.to_vec()),
        1 => select(vec!["", "x", "1x", "--1", "99999999999999999999"]),
    ]
    .prop_map(move |token| format!("{flag}{token}"))
    .boxed()
}

fn mode() -> BoxedStrategy<String> {
    let good = vec!["MS", "ME", "MR", "MA", "MP"];
    prop_oneof![30 => select(good), 1 => select(vec!["M", "MX", "Ms", "MSS", "MI"])]
        .prop_map(str::to_owned)
        .boxed()
}

/// A mistake or an oddity, rarely.
fn odd() -> impl Strategy<Value = Option<String>> {
    let long = [31, 32, 33].map(|length| format!("O{}", "o".repeat(length - 1)));
    let odd = ["z", "5", "~", "\x7f", "k", "v", "S1", "i", "vx", "t5", "O"].map(str::to_owned);
    prop_oneof![
        8 => Just(None),
        1 => select([&long[..], &odd].concat()).prop_map(Some),
    ]
}

fn flags(command: Command) -> impl Strategy<Value = Vec<String>> {
    // Newer versions, and so the embedded cache, see more in these of ms.
    let known: Vec<_> = FLAGS
        .iter()
        .copied()
        .filter(|flag| command != Command::MetaSet || *flag != "N")
        .chain((command != Command::MetaSet).then_some("s"))
        .collect();
    let chosen = subsequence(known, 0..9).prop_shuffle();
    let typed = chosen.prop_flat_map(move |flags| {
        let tokens: Vec<_> = flags
            .into_iter()
            .map(|flag| match flag {
                "M" if command == Command::MetaArithmetic => {
                    select(vec!["MI", "MD", "M+", "M-", "MD", "Mi", "MS"])
                        .prop_map(str::to_owned)
                        .boxed()
                }
                _ => token(flag),
            })
            .collect();
        tokens
    });
    (typed, odd(), any::<prop::sample::Index>()).prop_map(move |(mut typed, odd, place)| {
        // Where ma makes a number longer, memcached gives the new time to the item that it throws away.
        if command == Command::MetaArithmetic && !typed.iter().any(|flag| flag == "MD" || flag == "M-") {
            typed.retain(|flag| !flag.starts_with('T'));
        }
        if let Some(odd) = odd {
            typed.insert(place.index(typed.len() + 1), odd);
        }
        typed
    })
}

fn meta_steps() -> impl Strategy<Value = MetaStep> {
    let commands = select(vec![
        Command::MetaGet,
        Command::MetaGet,
        Command::MetaGet,
        Command::MetaSet,
        Command::MetaSet,
        Command::MetaDelete,
        Command::MetaArithmetic,
        Command::MetaArithmetic,
        Command::MetaDebug,
    ]);
    let keys = select(vec!["a", "b"]);
    let rest = (keys, any::<bool>(), super::values());
    (commands, rest).prop_flat_map(|(command, (key, is_base64, value))| {
        (flags(command), any::<prop::sample::Index>()).prop_map(move |(mut flags, place)| {
            if command == Command::MetaDebug {
                flags.clear();
            }
            if is_base64 {
                flags.insert(place.index(flags.len() + 1), "b".to_owned());
            }
            MetaStep {
                command,
                key,
                is_base64,
                flags: flags.join(" "),
                value: value.clone(),
            }
        })
    })
}

#[test]
fn whatever_meta_asks_the_embedded_cache_answers_as_memcached() {
    let config = Config {
        cases: 600,
        failure_persistence: None,
        ..Config::default()
    };
    let acts = prop_oneof![
        5 => meta_steps().prop_map(Act::Meta),
        1 => super::steps().prop_map(Act::Classic),
    ];
    let twins = RefCell::new((Twins::start(), 0));
    let result = TestRunner::new(config).run(&prop::collection::vec(acts, 1..50), |acts| {
        let (twins, number) = &mut *twins.borrow_mut();
        *number += 1;
        twins.renew(*number);
        for act in &acts {
            let (command, key) = match act {
                Act::Classic(step) => (step.command, step.key),
                Act::Meta(step) => (step.command, step.key),
            };
            let counts = matches!(command, Command::Incr | Command::Decr | Command::MetaArithmetic);
            // As with classic commands: memcached finds a minus behind such a number.
            if counts && twins.number(key).is_some_and(|number| number > i64::MAX as u64) {
                continue;
            }
            match act {
                Act::Classic(step) => twins.ask(step).map(|_| ()),
                Act::Meta(step) => twins.ask_meta(step).map(|_| ()),
            }
            .map_err(TestCaseError::fail)?;
        }
        Ok(())
    });
    result.unwrap_or_else(|mistake| panic!("{mistake}"));
}

const NOW: u64 = 1_800_000_000;

/// At which second, what is asked (`=` before a value), and the answer.
type Row = (u64, &'static str, &'static str);

/// Each is the story of one cache. What 1.6.18 knows was tried there.
const STORIES: &[(&str, &[Row])] = &[
    (
        "a miss is leased to one client",
        &[
            (0, "mg k v c N30", "VA 0 c1 W "),
            (0, "mg k v t N30", "VA 0 t30 Z "),
            (9, "mg k v t h l", "VA 0 t21 h1 l9 Z "),
            (10, "ms k C1 T100 =new", "HD"),
            (11, "mg k v t h l", "VA 3 t99 h0 l1 new"),
            (13, "mg k h l", "HD h1 l2"),
            (110, "mg k v", "EN"),
        ],
    ),
    (
        "before its end an item is leased to one client",
        &[
            (0, "ms k T100 =old", "HD"),
            (10, "mg k v R30", "VA 3 old"),
            (80, "mg k v R30", "VA 3 W old"),
            (81, "mg k v R30", "VA 3 Z old"),
            (82, "ms k T100 =new", "HD"),
            (83, "mg k v R30", "VA 3 new"),
            (83, "ms k =forever", "HD"),
            (84, "mg k R2592000", "HD"),
        ],
    ),
    (
        "a stale item is leased to one client",
        &[
            (0, "ms k T100 c =old", "HD c1"),
            (1, "md k I T30 O5 k", "HD O5 kk"),
            (2, "mg k v t c", "VA 3 t29 c2 X W old"),
            (2, "mg k v", "VA 3 Z X old"),
            (2, "get k", "old"),
            (3, "md k I", "HD"),
            (3, "mg k", "HD X W"),
            (4, "ms k C1 I T9 c =late", "HD c4"),
            (4, "mg k v t", "VA 4 t27 Z X late"),
            (5, "ms k C4 =new", "HD"),
            (5, "mg k v", "VA 3 new"),
            (5, "ms k C0 I =never", "EX"),
        ],
    ),
    (
        "reading counts as a hit unless it is not to",
        &[
            (0, "ms k =x", "HD"),
            (5, "mg k u l h", "HD l5 h0"),
            (6, "mg k l h", "HD l6 h0"),
            (8, "mg k u l h", "HD l2 h1"),
            (9, "get k", "x"),
            (9, "mg k u l h", "HD l0 h1"),
            (
                9,
                "mg k T50 h Oooooooooooooooooooooooooooooooooooo",
                "CLIENT_ERROR opaque token too long",
            ),
            (9, "mg k t", "HD t50"),
            (9, "me k", "ME k exp=-50 la=0 cas=1 fetch=yes cls=1 size=202"),
        ],
    ),
    (
        "an item that was stored in base64 shows its key so to everyone",
        &[
            (0, "ms aw== b k =1", "HD kaw== b"),
            (0, "mg k k", "HD kaw== b"),
            (0, "mg aw== k b v", "VA 1 kaw== b 1"),
            (0, "ma k v k", "VA 1 kk 2"),
            (0, "me k", "ME aw== exp=-1 la=0 cas=2 fetch=yes cls=1 size=202"),
            (0, "ma k D9 v", "VA 2 11"),
            (0, "mg aw== b k", "HD kk"),
        ],
    ),
    (
        "ma counts, creates and sets the time",
        &[
            (0, "ma k", "NF"),
            (0, "ma k N30 J5 D2 v t", "VA 1 t30 5"),
            (1, "ma k N90 D2 v t", "VA 1 t29 7"),
            (1, "ma k T50 t D3 c", "HD t50 c3"),
            (1, "mg k v t", "VA 2 t50 10"),
            (1, "ma k C1", "EX"),
            (1, "ma k C3 MD D99 v", "VA 1 0"),
            (1, "mg k v", "VA 2 0 "),
            (1, "ma k Mx", "CLIENT_ERROR invalid mode for ma M token"),
            (1, "ms k =", "HD"),
            (
                1,
                "ma k C1",
                "CLIENT_ERROR cannot increment or decrement non-numeric value",
            ),
        ],
    ),
    (
        "newer flags: a cas id that the client chose",
        &[
            (0, "ms k E900 c =1", "HD c900"),
            (0, "ms k C900 E7 c =1", "HD c7"),
            (0, "ms k MA C7 E5 c =1", "HD c5"),
            (0, "ma k E3 c v", "VA 2 c3 12"),
            (0, "md k I E2", "HD"),
            (0, "mg k c", "HD c2 X W"),
            (0, "mg new N0 E70 c", "HD c70 W"),
            (0, "flush_all", "done"),
            (0, "ms k E1 =1", "HD"),
            (0, "mg k c", "HD c1"),
        ],
    ),
    (
        "newer flags: sizes, empty items, and append to nothing",
        &[
            (0, "ms k MA N30 s =ab", "HD s2"),
            (0, "mg k t", "HD t30"),
            (0, "ms k MP N90 s =abc", "HD s5"),
            (0, "mg k t v f", "VA 5 t30 f0 abcab"),
            (0, "ms k F7 =abc", "HD"),
            (0, "md k x", "HD"),
            (0, "mg k v f", "VA 0 f0 "),
            (0, "ms k F7 =abc", "HD"),
            (0, "md k x I T30", "HD"),
            (0, "mg k v f t", "VA 0 f0 t30 X W "),
        ],
    ),
    (
        "what is too large takes the old value along",
        &[
            (0, "ms k =old", "HD"),
            (0, "ms k ME =LARGE", "SERVER_ERROR object too large for cache"),
            (0, "mg k", "EN"),
        ],
    ),
];

#[test]
fn meta_commands_do_as_the_stories_say() {
    for (name, story) in STORIES {
        let cache = Embedded::new(1 << 20);
        for (second, asked, want) in *story {
            let (line, value) = asked.split_once(" =").unwrap_or((asked, ""));
            assert_eq!(
                &answer(&cache, line, value, NOW + second),
                want,
                "{name}: {asked}"
            );
        }
    }
}

/// The line and the value that answer what is asked.
fn answer(cache: &Embedded, line: &str, value: &str, now: u64) -> String {
    let mut words = line.splitn(3, ' ');
    let name = words.next().expect("a command");
    let command = Command::ALL.into_iter().find(|command| command.name() == name);
    let meta = Meta {
        key: words.next().unwrap_or_default().as_bytes(),
        flags: words.next().unwrap_or_default().as_bytes(),
        is_binary: false,
    };
    let value = value.replace("LARGE", &"x".repeat(1 << 20));
    let reply = cache.execute_at(
        &Request {
            value: value.as_bytes(),
            meta: Some(meta),
            ..Request::new(command.expect("a command"), meta.plain_key(&mut [0; MAX_KEY]))
        },
        now,
    );
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match reply {
        Reply::Error(line) => text(&line),
        Reply::Meta(reply) => match reply.data() {
            None => text(reply.line()),
            Some(data) => format!("{} {}", text(reply.line()), text(data)),
        },
        Reply::Value(item) => text(item.data()),
        Reply::Done => "done".to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_reply_tells_where_it_brings_the_key_back() {
    let cache = Embedded::new(1 << 20);
    let ask = |command, key: &'static [u8], flags: &'static [u8]| {
        let meta = Some(Meta {
            key,
            flags,
            is_binary: false,
        });
        let plain = if flags.starts_with(b"b") { b"k" } else { key };
        let request = Request {
            meta,
            value: b"1",
            ..Request::new(command, plain)
        };
        match cache.execute_at(&request, NOW) {
            Reply::Meta(reply) => String::from_utf8_lossy(&reply.line()[reply.key()]).into_owned(),
            other => panic!("{other:?}"),
        }
    };
    let table: [(_, &[u8], &[u8], &str); 9] = [
        (Command::MetaGet, b"k", b"O1 k t", " kk"),
        (Command::MetaSet, b"aw==", b"b k c", " kaw=="),
        (Command::MetaGet, b"k", b"v k c", " kaw=="),
        (Command::MetaGet, b"k", b"v c", ""),
        (Command::MetaArithmetic, b"k", b"v k", " kk"),
        (Command::MetaDebug, b"k", b"", ""),
        (Command::MetaDelete, b"aw==", b"b k", " kaw=="),
        (Command::MetaDelete, b"k", b"k", " kk"),
        (Command::MetaArithmetic, b"k", b"O1", ""),
    ];
    for (command, key, flags, want) in table {
        assert_eq!(
            ask(command, key, flags),
            want,
            "{command:?} {}",
            String::from_utf8_lossy(flags)
        );
    }
}
