//! Random commands of the classic text and the meta protocol, well-formed and not.

use proptest::prelude::*;
use proptest::sample::select;

use super::sequence::Command;

/// One command of classic text.
pub fn classic() -> BoxedStrategy<Command> {
    prop_oneof![
        10 => store(),
        2 => cas(),
        8 => read(),
        4 => (select(vec!["incr", "decr"]), key(), number(), noreply())
            .prop_map(|(name, key, delta, noreply)| format!("{name} {key} {delta}{noreply}\r\n")),
        3 => (key(), hold(), noreply())
            .prop_map(|(key, hold, noreply)| format!("delete {key}{hold}{noreply}\r\n")),
        3 => (key(), exptime(), noreply())
            .prop_map(|(key, exptime, noreply)| format!("touch {key} {exptime}{noreply}\r\n")),
        1 => (select(vec!["", " 0", " a", " 0 0"]), noreply())
            .prop_map(|(delay, noreply)| format!("flush_all{delay}{noreply}\r\n")),
        2 => select(BAD.to_vec()).prop_map(str::to_owned),
    ]
    .prop_map(text)
    .boxed()
}

/// One meta command.
pub fn meta() -> BoxedStrategy<Command> {
    prop_oneof![
        8 => (meta_key(), flags(MG)).prop_map(|(key, flags)| {
            let flags = without_k(&key, flags);
            format!("mg {key}{flags}\r\n")
        }),
        8 => (meta_set_key(), value(), flags(MS)).prop_map(|(key, value, flags)| {
            let flags = without_k(&key, flags);
            format!("ms {key} {}{flags}\r\n{value}\r\n", value.len())
        }),
        1 => (good_key(), value(), off(), select(vec!["", " c", " k T100", " MA"])).prop_map(|(key, value, off, flags)| {
            let length = length(&value, off);
            format!("ms {key} {length}{flags}\r\n{value}\r\n")
        }),
        1 => (good_key(), long_value(), select(vec!["", " c q", " k", " MP"]))
            .prop_map(|(key, value, flags)| format!("ms {key} {}{flags}\r\n{value}\r\n", value.len())),
        4 => (meta_key(), flags(MD)).prop_map(|(key, flags)| {
            let flags = without_k(&key, flags);
            format!("md {key}{flags}\r\n")
        }),
        5 => (meta_key(), flags(MA)).prop_map(|(key, flags)| {
            let flags = without_k(&key, flags);
            let flags = if flags.contains(" N") { flags.replace(" q", "") } else { flags };
            format!("ma {key}{flags}\r\n")
        }),
        2 => (good_key(), select(vec!["", " b", " v", " b q"])).prop_map(|(key, flags)| format!("me {key}{flags}\r\n")),
        1 => Just("mn\r\n".to_owned()),
        1 => select(BAD_META.to_vec()).prop_map(str::to_owned),
    ]
    .prop_map(text)
    .boxed()
}

/// A key with a space is not asked to come back.
fn without_k(key: &str, flags: String) -> String {
    match key {
        "YSBi" => flags.replace(" k", ""),
        _ => flags,
    }
}

fn text(line: String) -> Command {
    Command::Text(line.into_bytes())
}

/// Lines that are no command, or one with too little or too much.
const BAD: &[&str] = &[
    "\r\n",
    "\n",
    " \r\n",
    "nonsense\r\n",
    "GET a\r\n",
    "get\r\n",
    "gets \r\n",
    " get  a \r\n",
    "get a\n",
    "set\r\n",
    "set a 0 0\r\n",
    "set a 0 0 1 noreply x\r\n",
    "incr a\r\n",
    "incr a 1 noreply x\r\n",
    "delete\r\n",
    "delete a 0 noreply x\r\n",
    "touch a\r\n",
    "touch a 0 x\r\n",
    "gat\r\n",
    "gat a\r\n",
    "gats 0\r\n",
    "cas a 0 0 1 noreply\r\n",
    "flush_all 0 noreply x\r\n",
    "lru\r\n",
];

const BAD_META: &[&str] = &[
    "mg\r\n",
    "mg \r\n",
    "ms\r\n",
    "ms a\r\n",
    "ms a \r\n",
    "ms a S1\r\n",
    "ms a v\r\n",
    "md\r\n",
    "ma\r\n",
    "me\r\n",
    "mx a\r\n",
    "mg  a  v\r\n",
    "mg a v \r\n",
    "mn x\r\n",
];

/// Keys that both protocols take.
fn good_key() -> BoxedStrategy<String> {
    prop_oneof![
        8 => select(vec!["a", "b", "c"]).prop_map(str::to_owned),
        1 => Just("k".repeat(250)),
        1 => Just("ключ".to_owned()),
        1 => select(vec!["a\tb", "\u{1}", "a\u{7f}", "a\rb", "c\r"]).prop_map(str::to_owned),
    ]
    .boxed()
}

/// A key that a command without a data block may have.
fn key() -> BoxedStrategy<String> {
    prop_oneof![20 => good_key(), 1 => Just("k".repeat(251))].boxed()
}

/// The first is `a` in base64, the next one has a space in it, the rest is base64 only at first sight.
const BASE64: &[&str] = &["YQ==", "YSBi", "YQ", "YQ=", "====", "Y===", "a!b="];

fn meta_key() -> BoxedStrategy<String> {
    prop_oneof![10 => key(), 4 => select(BASE64.to_vec()).prop_map(str::to_owned)].boxed()
}

/// A key of ms is good, for the data block of a bad one is swallowed.
fn meta_set_key() -> BoxedStrategy<String> {
    prop_oneof![10 => good_key(), 4 => select(vec!["YQ==", "YSBi"]).prop_map(str::to_owned)].boxed()
}

fn number() -> BoxedStrategy<&'static str> {
    let good = vec!["0", "1", "5", "100", "4294967295", "18446744073709551615"];
    let odd = vec![
        "4294967296",
        "18446744073709551616",
        "-1",
        "a",
        "1x",
        "+3",
        "007",
        "1.5",
    ];
    prop_oneof![6 => select(good), 1 => select(odd)].boxed()
}

fn exptime() -> BoxedStrategy<&'static str> {
    let good = vec!["0", "0", "0", "100", "-1", "2592000", "2592001", "2147483647"];
    let odd = vec!["4294967295", "99999999999", "a", "1x", "+100", "-"];
    prop_oneof![10 => select(good), 1 => select(odd)].boxed()
}

fn noreply() -> BoxedStrategy<&'static str> {
    prop_oneof![8 => Just(""), 2 => Just(" noreply"), 1 => Just(" NOREPLY")].boxed()
}

fn hold() -> BoxedStrategy<&'static str> {
    prop_oneof![8 => Just(""), 1 => Just(" 0"), 1 => Just(" 1")].boxed()
}

fn value() -> BoxedStrategy<String> {
    let numbers = vec!["0", "5", "7", "9", "18446744073709551616"];
    prop_oneof![
        4 => select(vec!["", "x", "abc", "two words", "a\r\nb", "get a"]).prop_map(str::to_owned),
        4 => select(numbers).prop_map(str::to_owned),
        2 => (0usize..900).prop_map(|length| "v".repeat(length)),
    ]
    .boxed()
}

/// In lines: behind a mistake they are read as commands, and one too long would close the connection.
fn long_value() -> BoxedStrategy<String> {
    select(vec![2usize, 16, 70])
        .prop_map(|lines| format!("{}\r\n", "w".repeat(998)).repeat(lines))
        .boxed()
}

/// What is wrong with the length of a data block: mostly nothing.
fn off() -> BoxedStrategy<Off> {
    let words = vec!["-1", "a", "1x", "2147483647", "18446744073709551616", "+"];
    prop_oneof![
        30 => Just(Off::By(0)),
        2 => (-3i64..=3).prop_map(Off::By),
        1 => select(words).prop_map(Off::Word),
    ]
    .boxed()
}

#[derive(Debug, Clone, Copy)]
enum Off {
    By(i64),
    Word(&'static str),
}

fn length(value: &str, off: Off) -> String {
    match off {
        Off::By(count) => (value.len() as i64 + count).max(0).to_string(),
        Off::Word(word) => word.to_owned(),
    }
}

fn store() -> BoxedStrategy<String> {
    let names = vec!["set", "set", "set", "add", "replace", "append", "prepend"];
    let sane = (
        select(names),
        good_key(),
        number(),
        exptime(),
        value(),
        off(),
        noreply(),
    )
        .prop_map(|(name, key, flags, exptime, value, off, noreply)| {
            let length = length(&value, off);
            format!("{name} {key} {flags} {exptime} {length}{noreply}\r\n{value}\r\n")
        });
    // No other command has this key: a value too large leaves the old one in place.
    let huge = select(vec![1_048_300usize, 1_048_576, 1_048_577]).prop_map(|length| {
        let lines = format!("{}\r\n", "h".repeat(998)).repeat(1 + length / 1000);
        let value = &lines[..length];
        format!("set huge 0 0 {length}\r\n{value}\r\n")
    });
    let long = (good_key(), long_value())
        .prop_map(|(key, value)| format!("set {key} 1 0 {}\r\n{value}\r\n", value.len()));
    prop_oneof![400 => sane, 20 => long, 1 => huge].boxed()
}

fn cas() -> BoxedStrategy<String> {
    let token = prop_oneof![
        6 => (0u64..6).prop_map(|count| format!("@{count}@")),
        1 => number().prop_map(str::to_owned),
    ];
    (good_key(), number(), exptime(), value(), off(), token, noreply())
        .prop_map(|(key, flags, exptime, value, off, token, noreply)| {
            let length = length(&value, off);
            format!("cas {key} {flags} {exptime} {length} {token}{noreply}\r\n{value}\r\n")
        })
        .boxed()
}

fn read() -> BoxedStrategy<String> {
    let keys = || prop::collection::vec(good_key(), 1..5).prop_map(|keys| keys.join(" "));
    prop_oneof![
        3 => (select(vec!["get", "gets"]), keys()).prop_map(|(name, keys)| format!("{name} {keys}\r\n")),
        1 => (select(vec!["gat", "gats"]), exptime(), keys())
            .prop_map(|(name, exptime, keys)| format!("{name} {exptime} {keys}\r\n")),
    ]
    .boxed()
}

const MG: &[&str] = &[
    "v", "v", "f", "c", "k", "q", "s", "t", "h", "l", "b", "O7", "Oabc", "O", "N30", "R40", "T60", "T0",
    "Ta", "N", "E5", "x", "I", "S1", "vv", "M",
];
const MS: &[&str] = &[
    "F7",
    "F4294967295",
    "Fa",
    "T0",
    "T100",
    "T-1",
    "Tx",
    "c",
    "k",
    "q",
    "s",
    "b",
    "O9",
    "I",
    "I",
    "MS",
    "MA",
    "MP",
    "ME",
    "MR",
    "Ma",
    "Mset",
    "MX",
    "M",
    "C@1@",
    "C@2@",
    "C@3@",
    "C0",
    "C5",
    "Cx",
    "x",
    "v",
    "f",
    "N60",
];
const MD: &[&str] = &[
    "q", "k", "O5", "b", "I", "I", "T30", "T-1", "Tx", "x", "C@1@", "C@2@", "C@3@", "C0", "Cx", "v", "c",
    "D1",
];
const MA: &[&str] = &[
    "v",
    "v",
    "c",
    "t",
    "k",
    "q",
    "b",
    "O3",
    "D5",
    "D0",
    "Dx",
    "D18446744073709551615",
    "N0",
    "N60",
    "Nx",
    "J7",
    "J13",
    "Jx",
    "MI",
    "MD",
    "M+",
    "M-",
    "Mincr",
    "MX",
    "M",
    "T50",
    "Tx",
    "C@1@",
    "C@2@",
    "C0",
    "f",
    "s",
    "I",
];

/// None, some or many of `all`, each with a space before it.
fn flags(all: &'static [&'static str]) -> BoxedStrategy<String> {
    let some = prop::collection::vec(select(all.to_vec()), 0..6);
    let long = select(vec![31usize, 32, 33, 100]).prop_map(|length| format!(" O{}", "o".repeat(length)));
    let typed = some.prop_map(|flags| flags.iter().map(|flag| format!(" {flag}")).collect::<String>());
    let many = Just(" k v".repeat(15));
    prop_oneof![
        30 => typed.clone(),
        1 => (typed, long).prop_map(|(flags, long)| flags + &long),
        1 => many,
    ]
    .boxed()
}
