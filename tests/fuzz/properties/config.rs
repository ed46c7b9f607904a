//! The configuration file: it is proved, or every mistake has its place.

use std::io::Write;

use ringway::config::{Address, Config, Diagnostic, Error, load, parse, show};
use ringway::snapshot::Snapshot;

/// No mistake is longer, in bytes: what it quotes is cut short.
const LONGEST: usize = 16 << 10;

/// The bytes are a file.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return check_no_text(data);
    };
    match parse(text, "file") {
        Ok(config) => {
            check_config(&config);
            let shown = show(&config).to_string();
            let again = parse(&shown, "shown").unwrap_or_else(|error| panic!("{shown}\n{error}"));
            assert_eq!(again, config);
            assert_eq!(again.hash(), config.hash());
            assert_eq!(show(&again).to_string(), shown);
        }
        Err(error) => check_mistakes(&error, text),
    }
}

/// Every name leads somewhere, and no setting is out of its bounds.
fn check_config(config: &Config) {
    assert!(config.workers > 0 && !config.listeners.is_empty() && !config.pools.is_empty());
    // Compiling follows every name.
    let snapshot = Snapshot::build(config.clone(), None);
    for (at, listener) in config.listeners.iter().enumerate() {
        assert!(listener.max_connections > 0 && listener.idle_timeout.is_none_or(|idle| !idle.is_zero()));
        let is_free = |other: &str| other != listener.bind.to_string() || other.ends_with(":0");
        assert!(
            config.listeners[..at]
                .iter()
                .all(|other| is_free(&other.bind.to_string()))
        );
        assert!(is_free(&config.admin.bind.to_string()));
    }
    for name in config.routes.keys() {
        assert!(!config.pools.contains_key(name) && snapshot.route(name).is_some());
    }
    for pool in config.pools.values() {
        assert!(!pool.nodes.is_empty() && pool.connections > 0 && pool.max_in_flight > 0);
        assert!((1..=1 << 30).contains(&pool.max_value_size));
        assert!(!pool.connect_timeout.is_zero() && !pool.request_timeout.is_zero());
        assert!(pool.health.down_after > 0 && pool.health.up_after > 0);
        for (at, node) in pool.nodes.iter().enumerate() {
            assert!(node.weight > 0);
            assert!(node.name.is_some() || !matches!(node.address, Address::Embedded(_)));
            assert!(pool.nodes[..at].iter().all(|other| other.label() != node.label()));
            let label = node.label();
            // The path of a socket may have spaces in it, no other label.
            let is_path = node.name.is_none() && matches!(node.address, Address::Unix { .. });
            let is_bad = |c: char| c.is_control() || c.is_whitespace() && !is_path;
            assert!(!label.is_empty() && !label.chars().any(is_bad));
        }
    }
}

/// In the order of their places, each a line fit for a terminal.
fn check_mistakes(error: &Error, text: &str) {
    let Error::Diagnostics(mistakes) = error else {
        panic!("{error}: the text was there");
    };
    assert!(!mistakes.is_empty());
    let place = |mistake: &Diagnostic| (mistake.line, mistake.column);
    assert!(mistakes.is_sorted_by_key(place));
    for mistake in mistakes {
        assert_eq!(mistake.file, "file");
        assert!(mistake.line >= 1 && mistake.column >= 1);
        let lines = text.split(['\n', '\r']).count();
        assert!(mistake.line <= lines, "{mistake} in {lines} lines");
        let shown = mistake.to_string();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(shown.len() <= LONGEST, "{} bytes", shown.len());
        assert!(!mistake.reason.is_empty() && mistake.hint.as_deref() != Some(""));
    }
}

/// What is no text has one mistake, at the first byte that is none.
fn check_no_text(data: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(data).expect("it takes all");
    let Err(Error::Diagnostics(mistakes)) = load(file.path()) else {
        panic!("what is no text was read");
    };
    let [mistake] = &mistakes[..] else {
        panic!("{mistakes:?}");
    };
    let good = String::from_utf8_lossy(data);
    let before = good.split('\u{fffd}').next().unwrap_or_default();
    assert!(mistake.line > before.matches('\n').count() || before.len() < data.len());
    assert_eq!(mistake.reason, "not valid UTF-8");
}
