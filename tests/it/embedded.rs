//! The embedded cache beside a real memcached: what is asked of both must be answered alike.

mod growing;
mod limits;
mod meta;
mod twins;
mod wire;

use std::cell::RefCell;
use std::thread::sleep;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use ringway::node::embedded::Embedded;
use ringway::protocol::{Command, Reply};

use twins::{Step, Twins};

/// No value of white space alone: memcached looks for digits behind it, even past the value's end.
fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        5 => (0u64..2000).prop_map(|number| number.to_string().into_bytes()),
        2 => (u64::MAX - 20..=u64::MAX).prop_map(|number| number.to_string().into_bytes()),
        1 => Just(b"18446744073709551616".to_vec()),
        3 => prop::sample::select(vec![
            "", " 7", "7 ", "7 x", "7x", "+7", "-7", "\t7", "7\r\n", "x", "0007", "7\0x", "\0",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(b'a'..=b'z', 0..300),
        // Values so large are changed where they stand.
        1 => (0u64..2000).prop_map(|number| format!("{number:<5000}").into_bytes()),
        1 => Just(vec![b'x'; 5000]),
    ]
}

/// Only what time cannot change while the test runs: nothing that ends in the next seconds.
fn exptimes() -> impl Strategy<Value = i64> {
    let month = 60 * 60 * 24 * 30;
    prop::sample::select(vec![
        0,
        0,
        0,
        0,
        1000,
        -1,
        -1000,
        month,
        month + 1,
        i64::from(i32::MAX),
    ])
}

fn steps() -> impl Strategy<Value = Step> {
    // Flushes are rare, lest all else happens to missing keys.
    let commands = prop_oneof![
        40 => prop::sample::select(Command::ALL[..14].to_vec()),
        10 => Just(Command::Gets),
        10 => Just(Command::Set),
        1 => Just(Command::FlushAll),
    ];
    let deltas = prop_oneof![0u64..1100, any::<u64>(), Just(u64::MAX)];
    let rest = (any::<u32>(), exptimes(), 0usize..6, deltas, values());
    let keys = prop::sample::select(vec!["a", "b", "c"]);
    (commands, keys, rest).prop_map(|(command, key, (flags, exptime, cas, delta, value))| Step {
        command,
        key,
        flags,
        // A delayed flush brings back, or not, what an earlier one took: memcached makes no promise there.
        exptime: if command == Command::FlushAll {
            exptime.min(0)
        } else {
            exptime
        },
        cas,
        delta,
        value,
    })
}

#[test]
fn whatever_is_asked_the_embedded_cache_answers_as_memcached() {
    let config = Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    };
    let twins = RefCell::new((Twins::start(), 0));
    let result = TestRunner::new(config).run(&prop::collection::vec(steps(), 1..50), |steps| {
        let (twins, number) = &mut *twins.borrow_mut();
        *number += 1;
        twins.renew(*number);
        for step in &steps {
            // memcached refuses a number this large where it finds a minus behind it, even past the value's
            // end, in what was there before or is there by chance.
            let counts = matches!(step.command, Command::Incr | Command::Decr);
            if counts
                && twins
                    .number(step.key)
                    .is_some_and(|number| number > i64::MAX as u64)
            {
                continue;
            }
            twins.ask(step).map_err(TestCaseError::fail)?;
        }
        Ok(())
    });
    result.unwrap_or_else(|mistake| panic!("{mistake}"));
}

/// Each line is a story of one key, with the answers that both must give; values stand in quotes.
const STORIES: &[&str] = &[
    // These first: there is no minus yet in memcached's memory.
    r#"set 18446744073709551615 -> done, incr 2 -> 1, get -> "1                   ""#,
    r#"set 18446744073709551615 -> done, decr 18446744073709551615 -> 0"#,
    r#"set 9223372036854775808 -> done, decr 1 -> 9223372036854775807, get -> "9223372036854775807""#,
    r#"set 1 -> done, incr 18446744073709551614 -> 18446744073709551615, incr 1 -> 0"#,
    r#"set 18446744073709551616 -> done, incr 1 -> CLIENT_ERROR cannot increment or decrement non-numeric value"#,
    r#"set 100 -> done, decr 1 -> 99, get -> "99 ", incr 1 -> 100, get -> "100""#,
    r#"set 99 -> done, incr 1 -> 100, get -> "100", decr 500 -> 0, get -> "0  ""#,
    r#"set -18446744073709551615 -> done, incr 1 -> 2, get -> "2                    ""#,
    r#"set -7 -> done, incr 1 -> CLIENT_ERROR cannot increment or decrement non-numeric value"#,
    r#"set x -> done, decr 1 -> CLIENT_ERROR cannot increment or decrement non-numeric value, get -> "x""#,
    r#"incr 1 -> not found, decr 1 -> not found, touch 9 -> not found, delete -> not found, get -> not found"#,
    r#"replace x -> not stored, append x -> not stored, prepend x -> not stored, get -> not found"#,
    r#"add b -> done, add x -> not stored, append c -> done, prepend a -> done, get -> "abc""#,
    r#"cas x -> not found, set x -> done, cas y -> exists, get -> "x""#,
    r#"set a -> done, gets -> "a", cas b -> done, cas c -> exists, gets -> "b""#,
    r#"set a -> done, gets -> "a", touch 100 -> done, gat 100 -> "a", cas b -> done"#,
    r#"set 1 -> done, gets -> "1", incr 1 -> 2, cas 1 -> exists"#,
    r#"set 1 -> done, gets -> "1", append 1 -> done, cas 1 -> exists"#,
    r#"set a -> done, touch -1 -> done, get -> not found, add b -> done, get -> "b""#,
    r#"set a -> done, gat -1 -> "a", append b -> not stored, gats 0 -> not found"#,
    r#"set a -> done, delete -> done, delete -> not found, get -> not found"#,
    r#"set a -> done, flush_all 0 -> done, get -> not found, set b -> done, get -> "b""#,
    r#"set a -> done, flush_all -1 -> done, get -> not found, set b -> done, get -> "b""#,
    r#"set a -> done, flush_all 1 -> done, get -> not found"#,
    r#"set a -> done, flush_all 100 -> done, get -> "a", flush_all 0 -> done, get -> not found"#,
];

#[test]
fn both_answer_as_the_stories_say() {
    let mut twins = Twins::start();
    for (number, story) in STORIES.iter().enumerate() {
        twins.renew(number);
        for part in story.split(", ") {
            let (line, want) = part.split_once(" -> ").expect("a step and its answer");
            let reply = twins.ask(&step(line));
            let reply = reply.unwrap_or_else(|mistake| panic!("{story}: {mistake}"));
            assert_eq!(show(&reply), want, "{line} of {story}");
        }
    }
}

/// The step that a line such as `set 100` or `touch -1` stands for.
fn step(line: &str) -> Step {
    let (name, argument) = line.split_once(' ').unwrap_or((line, "0"));
    let command = Command::ALL.into_iter().find(|command| command.name() == name);
    let mut step = Step::new(command.expect("a command"));
    match step.command {
        command if command.is_store() => step.value = argument.as_bytes().to_vec(),
        Command::Incr | Command::Decr => step.delta = argument.parse().expect("a delta"),
        _ => step.exptime = argument.parse().expect("an exptime"),
    }
    step
}

/// Seconds tick when they will: both are asked until both have forgotten, and nothing is said of when.
#[test]
fn what_is_to_end_soon_is_soon_gone_from_both() {
    let mut twins = Twins::start();
    for (key, exptime) in [("soon", 1), ("later", 1000), ("never", 0)] {
        let set = Step {
            key,
            exptime,
            ..Step::new(Command::Set)
        };
        assert_eq!(twins.ask(&set), Ok(Reply::Done));
    }
    wait_until_gone(&mut twins, "soon");
    for key in ["later", "never"] {
        let get = Step {
            key,
            ..Step::new(Command::Get)
        };
        assert_eq!(twins.ask(&get).as_ref().map(show).as_deref(), Ok("\"\""));
    }
    let flush = Step {
        exptime: 2,
        ..Step::new(Command::FlushAll)
    };
    assert_eq!(twins.ask(&flush), Ok(Reply::Done));
    wait_until_gone(&mut twins, "later");
    wait_until_gone(&mut twins, "never");
}

fn wait_until_gone(twins: &mut Twins, key: &'static str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let get = Step {
        key,
        ..Step::new(Command::Get)
    };
    while twins.ask_each(&get) != (Reply::NotFound, Reply::NotFound) {
        assert!(Instant::now() < deadline, "{key} is still there");
        sleep(Duration::from_millis(20));
    }
}

/// memcached takes 1 MiB at most, the embedded cache of this size half of its 2 MiB: both refuse 3 MiB, and
/// both have the same answer where the parts fit and the whole does not.
#[test]
fn what_is_too_large_is_refused_as_memcached_refuses_it() {
    let mut twins = Twins::start();
    twins.embedded = Embedded::new(2 << 20);
    let old = vec![b'o'; 600 << 10];
    let too_large = vec![b'x'; 3 << 20];
    let stores = Command::ALL
        .into_iter()
        .filter(|command| command.is_store() && !command.is_meta());
    for command in stores {
        let set = Step {
            value: old.clone(),
            ..Step::new(Command::Set)
        };
        assert_eq!(twins.ask(&set), Ok(Reply::Done));
        let refused = twins.ask(&Step {
            value: too_large.clone(),
            ..Step::new(command)
        });
        assert_eq!(
            refused.as_ref().map(show).as_deref(),
            Ok("SERVER_ERROR object too large for cache"),
            "{command:?}"
        );
        let kept = twins.ask(&Step::new(Command::Get)).expect("both alike");
        assert_eq!(kept == Reply::NotFound, command == Command::Set, "{command:?}");
        if matches!(command, Command::Append | Command::Prepend) {
            let joined = twins.ask(&Step {
                value: old.clone(),
                ..Step::new(command)
            });
            assert_eq!(joined, Ok(Reply::NotStored), "{command:?}");
        }
    }
}

fn show(reply: &Reply) -> String {
    match reply {
        Reply::Value(item) => format!("\"{}\"", String::from_utf8_lossy(item.data())),
        Reply::Done => "done".to_owned(),
        Reply::NotStored => "not stored".to_owned(),
        Reply::Exists => "exists".to_owned(),
        Reply::NotFound => "not found".to_owned(),
        Reply::Number(number) => number.to_string(),
        Reply::Error(line) | Reply::Refused(line) | Reply::Text(line) => {
            String::from_utf8_lossy(line).into_owned()
        }
        Reply::Failed(failure) => failure.line().to_owned(),
        Reply::Meta(reply) => String::from_utf8_lossy(reply.line()).into_owned(),
    }
}
