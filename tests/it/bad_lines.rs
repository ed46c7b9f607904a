//! Lines with mistakes: each is answered with the words of a real memcached, but where Ringway decided
//! otherwise, and what stands behind it is understood again.

use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, pool, shown};

const FORMAT: &str = "CLIENT_ERROR bad command line format\r\n";
const TOO_LARGE: &str = "SERVER_ERROR object too large for cache\r\n";
const DELETE: &str = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n";
const DELTA: &str = "CLIENT_ERROR invalid numeric delta argument\r\n";
const EXPTIME: &str = "CLIENT_ERROR invalid exptime argument\r\n";
const CHUNK: &str = "CLIENT_ERROR bad data chunk\r\n";
const NUMBER: &str = "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";

/// Input and answer, the same for memcached. `K250` and `K251` are keys of that length, `BIG` is one byte
/// more than memcached stores; `<…>` in an answer is one of the lines above.
const AS_MEMCACHED: &[(&str, &str)] = &[
    ("\r\n", "ERROR\r\n"),
    ("\n", "ERROR\r\n"),
    (" \r\n", "ERROR\r\n"),
    ("\r\n\r\n", "ERROR\r\nERROR\r\n"),
    ("nonsense\r\n", "ERROR\r\n"),
    ("nonsense a b\r\nget k\r\n", "ERROR\r\nEND\r\n"),
    ("GET k\r\n", "ERROR\r\n"),
    ("get\r\n", "ERROR\r\n"),
    ("gets \r\n", "ERROR\r\n"),
    (" get k\r\n", "END\r\n"),
    ("get  k \r\n", "END\r\n"),
    ("get k\n", "END\r\n"),
    (
        "set k 0 0 1\nx\r\nget k\n",
        "STORED\r\nVALUE k 0 1\r\nx\r\nEND\r\n",
    ),
    ("lru\r\n", "ERROR\r\n"),
    // Numbers of which memcached 1.6.18 keeps the low 32 bits.
    (
        "set k 4294967296 0 1\r\nx\r\nget k\r\n",
        "STORED\r\nVALUE k 0 1\r\nx\r\nEND\r\n",
    ),
    ("set k 0 2147483648 1\r\nx\r\nget k\r\n", "STORED\r\nEND\r\n"),
    ("set k 0 0 4294967297\r\nx\r\n", "STORED\r\n"),
    ("flush_all 99999999999\r\n", "OK\r\n"),
    // Keys.
    ("set K250 0 0 1\r\nx\r\n", "STORED\r\n"),
    ("get K251\r\n", "<FORMAT>"),
    ("get a K251 b\r\n", "<FORMAT>"),
    ("gat 0 K251\r\n", "<FORMAT>"),
    ("delete K251\r\n", "<FORMAT>"),
    ("incr K251 1\r\n", "<FORMAT>"),
    ("touch K251 0\r\n", "<FORMAT>"),
    // delete and its hold time of old.
    ("delete\r\n", "ERROR\r\n"),
    ("delete k 0\r\n", "NOT_FOUND\r\n"),
    ("set k 0 0 1\r\nx\r\ndelete k 0\r\n", "STORED\r\nDELETED\r\n"),
    ("delete k 1\r\n", "<DELETE>"),
    ("delete k 0 0\r\n", "<DELETE>"),
    ("delete k noreply 0\r\n", "<DELETE>"),
    ("delete k 1 noreply\r\n", ""),
    ("delete k 0 noreply x\r\n", "ERROR\r\n"),
    ("delete noreply\r\n", "NOT_FOUND\r\n"),
    // Data blocks that do not end where they said.
    ("set k 0 0 3\r\nabcde\r\n", "<CHUNK>ERROR\r\n"),
    ("set k 0 0 3\r\nab\r\nget k\r\n", "<CHUNK>ERROR\r\n"),
    ("set k 0 0 1\r\nx\nget k\r\n", "<CHUNK>ERROR\r\n"),
    ("set k 0 0 0\r\nabc\r\n", "<CHUNK>ERROR\r\n"),
    ("set k 0 0 3 noreply\r\nabcdefg\r\n", "ERROR\r\n"),
    ("set k 0 0 3\r\nabcXYget k\r\n", "<CHUNK>END\r\n"),
    (
        "set k 0 0 1\r\nx\r\nset k 0 0 3\r\nabcde\r\nget k\r\n",
        "STORED\r\n<CHUNK>ERROR\r\nVALUE k 0 1\r\nx\r\nEND\r\n",
    ),
    // Numbers.
    ("set k 0 0 -1\r\nget k\r\n", "<FORMAT>END\r\n"),
    ("set k 0 0 -1 noreply\r\nget k\r\n", "END\r\n"),
    ("set k 0 0 2147483647\r\nget k\r\n", "<FORMAT>END\r\n"),
    ("set k 0 -1 1\r\nx\r\nget k\r\n", "STORED\r\nEND\r\n"),
    ("set k 0 2147483647 1\r\nx\r\n", "STORED\r\n"),
    ("set k -1 0 1\r\nx\r\n", "<FORMAT>ERROR\r\n"),
    (
        "set k 4294967295 0 1\r\nx\r\nget k\r\n",
        "STORED\r\nVALUE k 4294967295 1\r\nx\r\nEND\r\n",
    ),
    ("set k a 0 1\r\nx\r\n", "<FORMAT>ERROR\r\n"),
    ("set k 0 a 1\r\nx\r\n", "<FORMAT>ERROR\r\n"),
    ("set k 0 0 a\r\nx\r\n", "<FORMAT>ERROR\r\n"),
    ("set k 0 0 1x\r\nx\r\n", "<FORMAT>ERROR\r\n"),
    ("set k 0 0 01\r\nx\r\n", "STORED\r\n"),
    ("set k +0 0 +1\r\nx\r\n", "STORED\r\n"),
    ("cas k 0 0 1 a\r\nx\r\n", "<FORMAT>ERROR\r\n"),
    ("cas k 0 0 1 -1\r\nx\r\n", "<FORMAT>ERROR\r\n"),
    ("cas k 0 0 1 18446744073709551615\r\nx\r\n", "NOT_FOUND\r\n"),
    ("cas k 0 0 1 18446744073709551616\r\nx\r\n", "<FORMAT>ERROR\r\n"),
    ("incr k a\r\n", "<DELTA>"),
    ("incr k -1\r\n", "<DELTA>"),
    ("incr k 1.5\r\n", "<DELTA>"),
    ("incr k 18446744073709551616\r\n", "<DELTA>"),
    ("incr k a noreply\r\n", ""),
    ("incr k noreply\r\n", ""),
    ("set k 0 0 1\r\na\r\nincr k 1\r\n", "STORED\r\n<NUMBER>"),
    ("set k 0 0 0\r\n\r\nincr k 1\r\n", "STORED\r\n<NUMBER>"),
    (
        "set k 0 0 20\r\n18446744073709551615\r\nincr k 1\r\n",
        "STORED\r\n0\r\n",
    ),
    (
        "set k 0 0 2\r\n10\r\ndecr k 1\r\nget k\r\n",
        "STORED\r\n9\r\nVALUE k 0 2\r\n9 \r\nEND\r\n",
    ),
    ("gat 99999999999 k\r\n", "END\r\n"),
    ("touch k a\r\n", "<EXPTIME>"),
    ("touch k a noreply\r\n", ""),
    ("touch k noreply\r\n", ""),
    ("gat a k\r\n", "<EXPTIME>"),
    ("gat k\r\n", "<EXPTIME>"),
    ("flush_all a\r\n", "<EXPTIME>"),
    ("flush_all noreply 0\r\n", "<EXPTIME>"),
    ("flush_all a noreply\r\n", ""),
    (
        "set k 0 0 1\r\nx\r\nflush_all -10\r\nget k\r\n",
        "STORED\r\nOK\r\nEND\r\n",
    ),
    ("verbosity a\r\n", "<FORMAT>"),
    ("verbosity noreply\r\n", ""),
    // Tokens too few and too many.
    ("set\r\n", "ERROR\r\n"),
    ("set k 0 0\r\n", "ERROR\r\n"),
    ("set k 0 0 1 noreply x\r\n", "ERROR\r\n"),
    ("set k 0 0 1 x\r\nx\r\n", "STORED\r\n"),
    ("set k 0 0 1 NOREPLY\r\nx\r\n", "STORED\r\n"),
    ("cas k 0 0 1\r\nx\r\n", "ERROR\r\nERROR\r\n"),
    ("cas k 0 0 1 noreply\r\nx\r\n", "ERROR\r\n"),
    ("cas k 0 0 1 1 x\r\nx\r\n", "NOT_FOUND\r\n"),
    ("cas k 0 0 1 1 noreply x\r\nx\r\n", "ERROR\r\nERROR\r\n"),
    ("incr k\r\n", "ERROR\r\n"),
    ("incr k 1 x\r\n", "NOT_FOUND\r\n"),
    ("incr k 1 noreply x\r\n", "ERROR\r\n"),
    ("touch k\r\n", "ERROR\r\n"),
    ("touch k 0 x\r\n", "NOT_FOUND\r\n"),
    ("touch k 0 noreply x\r\n", "ERROR\r\n"),
    ("gat\r\n", "ERROR\r\n"),
    ("gat 0\r\n", "END\r\n"),
    ("gats 0\r\n", "END\r\n"),
    ("flush_all 0 0\r\n", "OK\r\n"),
    ("flush_all 0 noreply x\r\n", "ERROR\r\n"),
    ("verbosity\r\n", "ERROR\r\n"),
    ("verbosity 1 2\r\n", "OK\r\n"),
    ("verbosity 1 2 3\r\n", "ERROR\r\n"),
    ("quit x\r\nget k\r\n", ""),
    // Too large for memcached's own default, which is Ringway's too.
    ("set k 0 0 BIG\r\nget a\r\n", "<TOO_LARGE>END\r\n"),
    ("add k 0 0 BIG\r\nget a\r\n", "<TOO_LARGE>END\r\n"),
    ("set k 0 0 BIGQUIET\r\nget a\r\n", "END\r\n"),
];

/// Input and answer where Ringway decided otherwise, and why.
const OURS: &[(&str, &str, &str)] = &[
    (
        "set K251 0 0 7\r\nget k\r\n\r\nget k\r\n",
        "<FORMAT>END\r\n",
        "its data block is swallowed",
    ),
    (
        "set K251 0 0 1 noreply\r\nx\r\nget k\r\n",
        "END\r\n",
        "its data block is swallowed",
    ),
    (
        "cas K251 0 0 1 5\r\nx\r\nget k\r\n",
        "<FORMAT>END\r\n",
        "its data block is swallowed",
    ),
    (
        "get a k\0x b\r\nget a\r\n",
        "END\r\nEND\r\n",
        "a zero byte is part of the key, as in memcached 1.6.45",
    ),
    ("watch\r\n", "ERROR\r\n", "nothing to watch"),
    ("shutdown\r\n", "ERROR\r\n", "no command of a proxy"),
    ("cache_memlimit 64\r\n", "ERROR\r\n", "no command of a proxy"),
];

fn input(text: &str) -> String {
    let big = "y".repeat((1 << 20) + 1);
    text.replace("K250", &"k".repeat(250))
        .replace("K251", &"k".repeat(251))
        .replace("BIGQUIET", &format!("{} noreply\r\n{big}", big.len()))
        .replace("BIG", &format!("{}\r\n{big}", big.len()))
}

fn answer(text: &str) -> String {
    let lines = [
        ("<FORMAT>", FORMAT),
        ("<TOO_LARGE>", TOO_LARGE),
        ("<DELETE>", DELETE),
        ("<DELTA>", DELTA),
        ("<EXPTIME>", EXPTIME),
        ("<CHUNK>", CHUNK),
        ("<NUMBER>", NUMBER),
    ];
    lines
        .iter()
        .fold(text.to_owned(), |text, (name, line)| text.replace(name, line))
}

/// What is answered to `input` on a connection of its own, if no value is there.
fn answered(mut client: Client, input: &str) -> String {
    client.expects("flush_all\r\n", "OK\r\n");
    client.send(input);
    String::from_utf8_lossy(&client.finish()).into_owned()
}

fn start() -> (Vec<Memcached>, Ringway) {
    let nodes: Vec<Memcached> = (0..2).map(|_| Memcached::start()).collect();
    let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let ringway = Ringway::start(&pool(&addresses, &["request_timeout: 10s"]));
    (nodes, ringway)
}

#[test]
fn bad_lines_are_answered_in_memcacheds_own_words() {
    let (_nodes, ringway) = start();
    let direct = Memcached::start();
    for &(text, wanted) in AS_MEMCACHED {
        let (input, wanted) = (input(text), answer(wanted));
        assert_eq!(answered(direct.client(), &input), wanted, "memcached at {text:?}");
        assert_eq!(answered(ringway.client(), &input), wanted, "ringway at {text:?}");
    }
}

#[test]
fn bad_lines_that_memcached_takes_are_refused_and_do_no_harm() {
    let (_nodes, ringway) = start();
    for &(text, wanted, why) in OURS {
        let (input, wanted) = (input(text), answer(wanted));
        assert_eq!(answered(ringway.client(), &input), wanted, "{text:?}: {why}");
    }
}

#[test]
fn each_bad_line_leaves_the_session_in_step_however_it_is_cut() {
    let (_nodes, ringway) = start();
    let all = AS_MEMCACHED.iter().map(|&(text, wanted)| (text, wanted));
    let ours = OURS.iter().map(|&(text, wanted, _)| (text, wanted));
    let mut client = ringway.client();
    for (text, wanted) in all.chain(ours) {
        let is_short = !text.contains("BIG") && !text.contains("K25") && !text.contains("quit");
        // A rest without a line end would join the next command.
        if !is_short || !text.ends_with('\n') {
            continue;
        }
        for cut in 1..text.len() {
            client.send("flush_all\r\nversion\r\n");
            assert_eq!(client.read_to("VERSION "), "OK\r\n");
            client.send(["version\r\n", &text[..cut]].concat());
            assert_eq!(client.read_to("VERSION "), "");
            client.send([&text[cut..], "version\r\n"].concat());
            let got = client.read_to("VERSION ");
            assert_eq!(got, answer(wanted), "{:?} cut at {cut}", shown(text.as_bytes()));
        }
    }
}
