//! Reads that come together go to a node as one line, `get a b c`, and each gets what is its own of the answer.

use crate::support::ringway::{Ringway, pool};
use crate::support::scripted::{Scripted, Seen, say};

const SETTINGS: [&str; 2] = ["request_timeout: 10s", "health: {down_after: 1000000}"];

fn lines(node: &Scripted) -> Vec<String> {
    node.seen().into_iter().map(|seen: Seen| seen.line).collect()
}

#[test]
fn gets_that_come_together_are_asked_in_one_line_and_answered_each_by_itself() {
    let node = Scripted::start("1.6.18", |seen| match seen.word(0) {
        "get" => say("VALUE a 7 2\r\nAA\r\nVALUE c 0 0\r\n\r\nEND\r\n"),
        "gets" => say("VALUE d 0 1 99\r\nD\r\nEND\r\n"),
        _ => say("HD ks\r\n"),
    });
    let ringway = Ringway::start(&pool(&[node.address()], &SETTINGS));
    ringway.client().expects(
        "get a\r\nget b\r\nget c b\r\nset s 0 0 1\r\nx\r\ngets d\r\ngets e f\r\n",
        "VALUE a 7 2\r\nAA\r\nEND\r\nEND\r\nVALUE c 0 0\r\n\r\nEND\r\nSTORED\r\nVALUE d 0 1 99\r\nD\r\nEND\r\nEND\r\n",
    );
    assert_eq!(lines(&node), ["get a b c b", "ms s 1 k", "gets d e f"]);
    let metric = |name| ringway.metric(name, &["node=\""]);
    assert_eq!(metric("ringway_requests_total"), 8.0);
    assert_eq!(
        (metric("ringway_hits_total"), metric("ringway_misses_total")),
        (3.0, 4.0)
    );
    assert_eq!(metric("ringway_in_flight"), 0.0);
}

#[test]
fn a_key_that_is_asked_for_twice_is_answered_twice() {
    let node = Scripted::start("1.6.18", |seen| vec![seen.hits("v")]);
    let ringway = Ringway::start(&pool(&[node.address()], &SETTINGS));
    let hit = "VALUE k 0 1\r\nv\r\n";
    ringway
        .client()
        .expects("get k k\r\nget k\r\n", format!("{hit}{hit}END\r\n{hit}END\r\n"));
}

#[test]
fn an_error_in_the_place_of_end_is_for_the_keys_that_were_not_answered() {
    let node = Scripted::start("1.6.18", |_| {
        say("VALUE a 0 1\r\nA\r\nSERVER_ERROR out of memory writing get response\r\n")
    });
    let mut settings = SETTINGS.to_vec();
    settings.push("on_read_error: error");
    let ringway = Ringway::start(&pool(&[node.address()], &settings));
    ringway.client().expects(
        "get a\r\nget b\r\n",
        "VALUE a 0 1\r\nA\r\nEND\r\nSERVER_ERROR out of memory writing get response\r\n",
    );
}

#[test]
fn no_line_is_longer_than_a_node_likes_it() {
    let node = Scripted::start("1.6.18", |_| say("END\r\n"));
    let ringway = Ringway::start(&pool(&[node.address()], &SETTINGS));
    let keys: Vec<String> = (0..40).map(|i| format!("{i:0>250}")).collect();
    let mut client = ringway.client();
    assert_eq!(client.ask(format!("get {}\r\n", keys.join(" "))), "END");
    let lines = lines(&node);
    assert!(lines.iter().all(|line| line.len() <= 2046), "{lines:?}");
    let asked: Vec<&str> = lines.iter().flat_map(|line| line.split(' ').skip(1)).collect();
    assert_eq!(asked, keys);
}
