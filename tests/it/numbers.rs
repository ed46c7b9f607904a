//! Numbers as nobody should write them, in every place of every command: beside a real memcached, with the answer and
//! with what is there afterwards.

use crate::support::binary::packet;
use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, pool, shown};

/// What stands in the place of a number.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "+1",
    " 1",
    "1 ",
    "01",
    "007",
    "-0",
    "+0",
    "-1",
    "-2",
    "+-1",
    "--1",
    "1e3",
    "0x10",
    "1.5",
    "1,0",
    "a",
    "1a",
    "+",
    "-",
    "1-",
    "'1'",
    "",
    "1\t",
    "\t1",
    "\t",
    " \t1",
    "1\r",
    "\r1",
    "\x0b1",
    "1\x0b",
    "1\t2",
    "\u{661}",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "+18446744073709551615",
    "-18446744073709551615",
    "99999999999999999999999999",
    "00000000000000000000000000000001",
];

/// The same with a zero byte. memcached 1.6.18 ends the line there, for 1.6.45 most are no numbers; here none is.
const WITH_NUL: &[&str] = &["1\0", "0\0", "\0", "\x001", "1\x002", "1\0\0", " \0"];

/// What is asked, in classic text: `#` is the number, `@` one like it of seconds, more than any test takes, and `|` a
/// line's end. The items are `k` and, with a number, `n`.
const CLASSIC: &[&str] = &[
    "set k # 0 1|v",
    "set k 0 @ 1|v",
    "set k 0 0 #|v",
    "add none # 0 1|v",
    "replace k 0 @ 1|v",
    "append k # 0 1|v",
    "prepend k 0 0 #|v",
    "cas k 0 0 1 #|v",
    "cas k # 0 1 1|v",
    "cas k 0 @ 1 1|v",
    "cas k 0 0 # 1|v",
    "set k 0 0 1 #|v",
    "set k # 0 1 noreply|v",
    "incr n #",
    "decr n #",
    "incr n # noreply",
    "incr k #",
    "incr none #",
    "touch k @",
    "touch none @",
    "touch k @ noreply",
    "gat @ k",
    "gats @ none",
    "gat @",
    "verbosity # noreply",
    "stats detail on#",
    "stats detail# on",
    "stats reset#",
    "stats cachedump # x",
    "stats cachedump 5 #",
    "mn #",
];

/// A hold time, of which 0 alone is taken; memcached ends it at a zero byte as well.
const HOLD: &[&str] = &["delete k #", "delete k # noreply"];

/// The same in meta.
const META: &[&str] = &[
    "ms k #|v",
    "ms k S#|v",
    "ms k 1 T@|v",
    "ms k 1 F#|v",
    "ms k 1 C#|v",
    "ms k 1 M#|v",
    "ms none 1 I T@|v",
    "mg k T@ v",
    "mg none N@ v",
    "mg k R@ v t",
    "mg k v #",
    "md k T@ I",
    "md k C#",
    "md k q #",
    "ma n D# v",
    "ma none N@ v",
    "ma none N0 J# v",
    "ma n T@ t v",
    "ma n M# v",
    "ma n C# v",
    "mg # b v k",
    "ms # 1 b k|v",
    "md # b k",
    "ma # b N0 k",
];

const ITEMS: &str = "set k 3 0 1|x|set n 3 0 2|10|delete none noreply";
const AFTER: &str = "get k|get n|get none|mn";
/// With what memcached's clock makes of it: the seconds that are left.
const AFTER_IN_META: &str = "mg k v f t|mg n v f t|mg none v f t|mn";
const STORED: &[u8] = b"STORED\r\nSTORED\r\n";

struct Nodes {
    direct: Memcached,
    _nodes: [Memcached; 2],
    /// Named, with whether it can say everything of meta.
    ringways: [(&'static str, Ringway, bool); 3],
}

fn start() -> Nodes {
    let nodes = [Memcached::start(), Memcached::start()];
    let remote = |node: &Memcached, settings: &[&str]| {
        Ringway::start(&pool(
            &[node.address()],
            &[&["request_timeout: 10s"], settings].concat(),
        ))
    };
    Nodes {
        direct: Memcached::start(),
        ringways: [
            ("meta", remote(&nodes[0], &[]), true),
            ("classic", remote(&nodes[1], &["protocol: classic"]), false),
            (
                "embedded",
                Ringway::start("pools: {main: {nodes: [{name: e, embedded: 8MiB}]}}\n"),
                true,
            ),
        ],
        _nodes: nodes,
    }
}

/// The conversation with `number` in its place.
fn with(conversation: &str, number: &str) -> String {
    let end = number
        .rfind(|c: char| c.is_ascii_digit())
        .map_or(0, |last| last + 1);
    let is_short = (1..5).contains(&number.trim().len()) && end > 0;
    let (digits, behind) = number.split_at(end);
    let zeros = if is_short { "000" } else { "" };
    conversation
        .replace('#', number)
        .replace('@', &format!("{digits}{zeros}{behind}"))
}

fn bytes(conversation: &str) -> Vec<u8> {
    (conversation.replace('|', "\r\n") + "\r\n").into_bytes()
}

/// What comes of it, behind the two `STORED`.
fn heard(mut client: Client, asked: &str, after: &str) -> Vec<u8> {
    client.send([bytes(ITEMS), bytes(asked), bytes(after)].concat());
    let heard = client.finish();
    let heard = heard
        .strip_prefix(STORED)
        .unwrap_or_else(|| panic!("{}", shown(&heard)));
    let words = heard.split(|&byte| byte == b' ').map(without_seconds);
    words.collect::<Vec<_>>().join(&b' ')
}

/// Seconds that are left change while one asks; that there are any does not.
fn without_seconds(word: &[u8]) -> Vec<u8> {
    let digits = word
        .iter()
        .skip(1)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    match word {
        [b't', ..] if digits > 0 => [b"t+", &word[1 + digits..]].concat(),
        _ => word.to_vec(),
    }
}

fn places(conversations: &[&'static str]) -> impl Iterator<Item = &'static str> {
    conversations.iter().copied()
}

#[test]
fn a_number_is_read_as_memcached_reads_it_wherever_it_stands() {
    let nodes = start();
    let check = |conversation: &str, number: &str, after: &str, is_meta: bool| {
        let asked = with(conversation, number);
        let wanted = heard(nodes.direct.client(), &asked, after);
        for (name, ringway, knows_meta) in &nodes.ringways {
            if is_meta && !knows_meta {
                continue;
            }
            let got = heard(ringway.client(), &asked, after);
            assert!(
                got == wanted,
                "{name}: {asked:?}\n{}\nmemcached: {}",
                shown(&got),
                shown(&wanted)
            );
        }
    };
    for number in NUMBERS {
        for conversation in places(CLASSIC).chain(places(HOLD)) {
            check(conversation, number, AFTER, false);
            check(conversation, number, AFTER_IN_META, true);
        }
        for conversation in places(META) {
            check(conversation, number, AFTER_IN_META, true);
        }
    }
    for number in ["0\0", "\0", "0\x001"] {
        check("delete k #", number, AFTER, false);
    }
}

#[test]
fn a_delay_of_flush_all_is_read_as_memcached_reads_it() {
    let nodes = start();
    for number in NUMBERS {
        for noreply in ["", " noreply"] {
            let asked = bytes(&format!("flush_all {number}{noreply}|mn"));
            let heard = |mut client: Client| {
                client.send(&asked);
                client.finish()
            };
            let wanted = heard(nodes.direct.client());
            for (name, ringway, _) in &nodes.ringways {
                let got = heard(ringway.client());
                assert_eq!(shown(&got), shown(&wanted), "{name}: {number:?}{noreply}");
            }
        }
    }
}

#[test]
fn a_number_with_a_zero_byte_is_refused_and_changes_nothing() {
    let nodes = start();
    let conversations = places(CLASSIC).chain(places(META));
    for conversation in conversations {
        for number in WITH_NUL {
            let asked = with(conversation, number);
            for (name, ringway, _) in &nodes.ringways {
                let untouched = heard(ringway.client(), "delete none noreply", AFTER);
                let got = heard(ringway.client(), &asked, AFTER);
                let answer = got.strip_suffix(&untouched[..]);
                let is_harmless = ["mn", "stats", "gat @", "verbosity", "set k 0 0 1 #"];
                if is_harmless.iter().any(|start| conversation.starts_with(start)) {
                    continue;
                }
                let answer = answer.unwrap_or_else(|| panic!("{name}: {asked:?}: {}", shown(&got)));
                let is_refusal = answer.starts_with(b"CLIENT_ERROR ") || answer.starts_with(b"ERROR");
                assert!(
                    is_refusal || asked.contains("noreply"),
                    "{name}: {asked:?}: {}",
                    shown(answer)
                );
            }
        }
    }
    for (_, ringway, _) in &nodes.ringways {
        assert_eq!(
            ringway.metric("ringway_errors_total", &["desync"]),
            0.0,
            "no link suffered"
        );
    }
}

#[test]
fn a_value_is_counted_on_as_memcached_reads_it() {
    let nodes = start();
    let counts: [(&str, u8, u64); 4] = [
        ("incr n 2|decr n 1|get n", 0x05, 3),
        ("decr n 2|incr n 5|get n", 0x06, 3),
        ("incr n 18446744073709551615|get n", 0x05, u64::MAX),
        ("decr n 18446744073709551615|get n", 0x06, u64::MAX),
    ];
    // Of a value that is all white space memcached reads on behind it, in what was stored there before.
    let is_blank = |number: &str| number.bytes().all(|byte| byte.is_ascii_whitespace());
    let numbers = NUMBERS.iter().chain(WITH_NUL);
    for number in numbers.filter(|number| !is_blank(number)) {
        for (conversation, opcode, delta) in counts {
            let ask = |mut client: Client| {
                let set = format!("set n 0 0 {}|{number}|{conversation}|gets n", number.len());
                client.send(bytes(&set));
                let text = client.finish();
                String::from_utf8_lossy(&text)
                    .lines()
                    .map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
                        ["VALUE", _, flags, length, ..] => format!("VALUE {flags} {length}\n"),
                        _ => format!("{line}\n"),
                    })
                    .collect::<String>()
            };
            let ask_in_binary = |mut client: Client| {
                let extras = [&delta.to_be_bytes()[..], &[0; 8], &[0xff; 4]].concat();
                client.send(packet(opcode, &extras, "n", b""));
                let head = client.exact(24);
                let length = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
                (head[7], client.exact(length as usize))
            };
            let wanted = (ask(nodes.direct.client()), ask_in_binary(nodes.direct.client()));
            for (name, ringway, _) in &nodes.ringways {
                let got = (ask(ringway.client()), ask_in_binary(ringway.client()));
                assert_eq!(got, wanted, "{name}: {number:?} {conversation}");
            }
        }
    }
}
