//! The keys of a multi-get that go to one node go there as one line, `get a b c`, and each key gets what is its own
//! of the answer. Other reads stay meta, or nodes that answer each classic line by itself would pay for it.

use crate::support::ringway::{Ringway, pool};
use crate::support::scripted::{Scripted, say};

const SETTINGS: [&str; 2] = ["request_timeout: 10s", "health: {down_after: 1000000}"];

fn lines(node: &Scripted) -> Vec<String> {
    node.seen().into_iter().map(|seen| seen.line).collect()
}

#[test]
fn a_multi_get_is_asked_in_one_line_and_its_values_come_in_the_order_of_its_keys() {
    let node = Scripted::start("1.6.18", |seen| match (seen.word(0), seen.word(1)) {
        ("get", _) => say("VALUE a 7 2\r\nAA\r\nVALUE c 0 0\r\n\r\nVALUE h 0 1\r\nH\r\nEND\r\n"),
        ("gets", _) => say("VALUE b 0 1 99\r\nB\r\nEND\r\n"),
        ("mg", key) => say(format!("EN k{key}\r\n")),
        _ => say("HD ks\r\n"),
    });
    let ringway = Ringway::start(&pool(&[node.address()], &SETTINGS));
    ringway.client().expects(
        "get a b c d e f g h\r\nget x\r\nset s 0 0 1\r\nx\r\ngets a b c d e f g h\r\nget y z\r\n",
        "VALUE a 7 2\r\nAA\r\nVALUE c 0 0\r\n\r\nVALUE h 0 1\r\nH\r\nEND\r\nEND\r\nSTORED\r\n\
         VALUE b 0 1 99\r\nB\r\nEND\r\nEND\r\n",
    );
    let asked = [
        "get a b c d e f g h",
        "mg x k f v",
        "ms s 1 k",
        "gets a b c d e f g h",
        "mg y k f v",
        "mg z k f v",
    ];
    assert_eq!(lines(&node), asked);
    let metric = |name| ringway.metric(name, &[]);
    assert_eq!(metric("ringway_requests_total"), 20.0);
    assert_eq!(
        (metric("ringway_hits_total"), metric("ringway_misses_total")),
        (4.0, 15.0)
    );
    assert_eq!(metric("ringway_in_flight"), 0.0);
}

#[test]
fn a_node_that_knows_no_meta_gets_every_read_in_such_lines() {
    let node = Scripted::start("1.4.25", |seen| vec![seen.hits("v")]);
    let ringway = Ringway::start(&pool(&[node.address()], &SETTINGS));
    let hit = |key: &str| format!("VALUE {key} 0 1\r\nv\r\n");
    // The second read of a key is answered, too.
    ringway.client().expects(
        "get k\r\nget l\r\nget k k\r\n",
        [
            &hit("k"),
            "END\r\n",
            &hit("l"),
            "END\r\n",
            &hit("k"),
            &hit("k"),
            "END\r\n",
        ]
        .concat(),
    );
    assert_eq!(lines(&node), ["get k l k k"]);
}

#[test]
fn an_error_in_the_place_of_end_is_for_the_keys_that_were_not_answered() {
    let node = Scripted::start("1.4.25", |_| {
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
    assert!(asked == keys, "{} keys of {}", asked.len(), keys.len());
}

#[test]
fn a_line_whose_connection_breaks_is_asked_once_more_for_what_was_not_answered() {
    let node = Scripted::start("1.6.18", |seen| match seen.word(0) {
        "get" => {
            let mut acts = say("VALUE a 0 1\r\nA\r\nVALUE c 0 1\r\nC\r\nVALUE d 0 1\r\n");
            acts.push(crate::support::scripted::Act::Close);
            acts
        }
        _ => vec![seen.hits("again")],
    });
    let ringway = Ringway::start(&pool(&[node.address()], &SETTINGS));
    let again = |key: &str| format!("VALUE {key} 0 5\r\nagain\r\n");
    let wanted = ["d", "e", "f", "g", "h"].map(again).concat();
    ringway.client().expects(
        "get a b c d e f g h\r\n",
        format!("VALUE a 0 1\r\nA\r\nVALUE c 0 1\r\nC\r\n{wanted}END\r\n"),
    );
}
