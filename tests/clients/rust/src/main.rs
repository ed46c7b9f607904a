//! Rust's `memcache` and `async-memcached` crates, as their documentation has it, in one of their protocols:
//!
//! ```sh
//! client memcache 127.0.0.1 11211 text
//! ```
//!
//! It prints `ok` and a name for each step that held, or says the first thing that differed and exits 1.

mod async_meta;
mod async_text;
mod classic;
mod meta;

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Debug;
use std::fs::File;
use std::io::Read;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What a step may end with.
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// The library's own calls, one struct for each of its clients.
pub trait Cache {
    fn set(&self, key: &str, value: &[u8], seconds: u32) -> Outcome;
    fn get(&self, key: &str) -> Outcome<Option<Vec<u8>>>;
    fn get_many(&self, keys: &[String]) -> Outcome<HashMap<String, Vec<u8>>>;
    fn delete(&self, key: &str) -> Outcome;
    /// Takes 10 up by 32, down by 2 and down by 100, and gives what the server said each time.
    fn count(&self, key: &str) -> Outcome<[u64; 3]>;
    /// What only this client has.
    fn own_steps(&self, namespace: &str) -> Outcome;
}

/// What `async-memcached` lacks in text.
pub trait Versions {
    fn touch(&self, key: &str, seconds: u32) -> Outcome;
    /// Compares and sets a key that is not there yet, also if it must fail.
    fn compare_and_set(&self, key: &str) -> Outcome;
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, host, port, protocol] = &arguments[..] else {
        eprintln!("usage: client memcache|async-memcached HOST PORT text|binary|meta");
        return ExitCode::FAILURE;
    };
    let address = format!("{host}:{port}");
    let outcome = match (&name[..], &protocol[..]) {
        ("async-memcached", "meta") => async_meta::connect(&address).and_then(|cache| whole_tour(&cache)),
        ("async-memcached", _) => async_text::connect(&address).and_then(|cache| tour(&cache)),
        (_, "meta") => meta::connect(&address).and_then(|cache| whole_tour(&cache)),
        _ => classic::connect(&address, protocol == "binary").and_then(|cache| whole_tour(&cache)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name} (Rust): {error}");
            ExitCode::FAILURE
        }
    }
}

fn whole_tour(cache: &(impl Cache + Versions)) -> Outcome {
    tour(cache)?;
    let key = keys()?;
    cache.compare_and_set(&key("cas"))?;
    tried(&["cas"]);
    touches(cache, key)
}

fn tour(cache: &impl Cache) -> Outcome {
    let key = keys()?;

    cache.set(&key("text"), b"some text", 100)?;
    equal(
        "get",
        cache.get(&key("text"))?.as_deref(),
        Some(&b"some text"[..]),
    )?;
    equal("get of nothing", cache.get(&key("nothing"))?, None)?;
    tried(&["set", "get"]);
    // Every byte, and what a text protocol could take for its own.
    let binary = [
        &(0..=255).collect::<Vec<u8>>()[..],
        b"\r\nEND\r\nVALUE x 0 1\r\nSERVER_ERROR\r\n\0",
    ]
    .concat();
    cache.set(&key("bytes"), &binary, 100)?;
    equal("get of every byte", cache.get(&key("bytes"))?, Some(binary))?;
    tried(&["binary-safe"]);
    let large = random(900 * 1024)?;
    cache.set(&key("large"), &large, 100)?;
    equal("get of 900 KB", cache.get(&key("large"))? == Some(large), true)?;
    tried(&["900 KB"]);

    let wanted: HashMap<String, Vec<u8>> = (0..100)
        .map(|i| (key(&format!("many:{i}")), format!("value {i}").into_bytes()))
        .collect();
    for (name, value) in &wanted {
        cache.set(name, value, 100)?;
    }
    let names: Vec<String> = wanted.keys().cloned().chain([key("nothing")]).collect();
    equal("get of 100 and a miss", cache.get_many(&names)?, wanted)?;
    tried(&["multi-get"]);

    equal(
        "incr, decr, and decr that stops at 0",
        cache.count(&key("number"))?,
        [42, 40, 0],
    )?;
    tried(&["incr", "decr"]);
    cache.own_steps(&key("own"))?;

    cache.set(&key("deleted"), b"v", 100)?;
    cache.delete(&key("deleted"))?;
    equal("get of the deleted", cache.get(&key("deleted"))?, None)?;
    tried(&["delete"]);

    cache.set(&key("stays"), b"v", 100)?;
    cache.set(&key("gone"), b"v", 1)?;
    vanishes(cache, &key("gone"))?;
    equal("get of the other", cache.get(&key("stays"))?.is_some(), true)?;
    tried(&["expire"]);
    Ok(())
}

/// One key is told to end, and one that was to end is told to stay.
fn touches(cache: &(impl Cache + Versions), key: impl Fn(&str) -> String) -> Outcome {
    cache.set(&key("stays"), b"v", 3)?;
    cache.set(&key("shortened"), b"v", 100)?;
    cache.touch(&key("stays"), 100)?;
    cache.touch(&key("shortened"), 1)?;
    cache.set(&key("last"), b"v", 3)?;
    vanishes(cache, &key("shortened"))?;
    vanishes(cache, &key("last"))?;
    equal(
        "get of what was touched to stay",
        cache.get(&key("stays"))?.as_deref(),
        Some(&b"v"[..]),
    )?;
    tried(&["touch"]);
    Ok(())
}

/// Names that no other run has.
fn keys() -> Outcome<impl Fn(&str) -> String> {
    let namespace: String = random(6)?.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(move |name: &str| format!("ringway-{namespace}:{name}"))
}

fn vanishes(cache: &impl Cache, key: &str) -> Outcome {
    let start = Instant::now();
    while cache.get(key)?.is_some() {
        equal(
            &format!("{key} still there after 10 s"),
            start.elapsed() > Duration::from_secs(10),
            false,
        )?;
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn random(length: usize) -> Outcome<Vec<u8>> {
    let mut bytes = vec![0; length];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// An error unless `got` is `wanted`.
pub fn equal<T: PartialEq + Debug>(what: &str, got: T, wanted: T) -> Outcome {
    if got == wanted {
        return Ok(());
    }
    Err(format!(
        "{what}: got {:.200}, wanted {:.200}",
        format!("{got:?}"),
        format!("{wanted:?}")
    )
    .into())
}

/// Says that these steps held.
pub fn tried(steps: &[&str]) {
    for step in steps {
        println!("ok {step}");
    }
}
