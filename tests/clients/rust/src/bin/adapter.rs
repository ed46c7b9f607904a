//! Rust's `memcache` and `async-memcached` crates behind the words of `tests/clients/adapters/loop.py`:
//!
//! ```sh
//! adapter memcache|async-memcached HOST PORT text|binary|meta
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::io::BufRead;
use std::time::Duration;

use async_memcached::{AsciiProtocol, Error as AsyncError, MetaProtocol, Status};
use client::Blocking;
use memcache::Client;
use memcache::exp::{Memcache, Meta as ItemMeta, Ttl};

type Outcome<T = String> = Result<T, Box<dyn Error>>;
/// As `gets` has it: value, flags and token.
type Versioned = (Vec<u8>, u32, Option<u64>);

/// What one client makes of a command.
trait Cache {
    /// The commands that it has beside those that all have.
    fn more_commands(&self) -> &'static str;
    fn call(&self, command: &str, keys: &[&str]) -> Outcome;
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, host, port, protocol] = &arguments[..] else {
        return Err("usage: adapter memcache|async-memcached HOST PORT text|binary|meta".into());
    };
    let connect = |port: &str| connect(name, &format!("{host}:{port}"), protocol);
    let mut port = port.clone();
    let mut cache = connect(&port)?;
    println!(
        "ready {} get,multi,set,add,incr,decr,delete{}",
        version(name)?,
        cache.more_commands()
    );
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] == "open" {
            port = words.get(1).map_or(port, |other| other.to_string());
            cache = connect(&port)?;
            println!("ok");
            continue;
        }
        println!("{}", told(cache.call(words[0], &words[1..])));
    }
    Ok(())
}

fn connect(name: &str, address: &str, protocol: &str) -> Outcome<Box<dyn Cache>> {
    if name == "async-memcached" {
        let client = Blocking::connect(address)?;
        return Ok(if protocol == "meta" {
            Box::new(AsyncMeta(client))
        } else {
            Box::new(AsyncText(client))
        });
    }
    if protocol == "meta" {
        let client = Memcache::builder()
            .timeout(Duration::from_secs(30))
            .connect([address])?;
        return Ok(Box::new(Meta(client)));
    }
    let protocol = if protocol == "binary" { "binary" } else { "ascii" };
    let client = memcache::connect(format!("memcache://{address}?protocol={protocol}"))?;
    client.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(Box::new(Classic(client)))
}

fn told(outcome: Outcome) -> String {
    outcome.unwrap_or_else(|error| {
        let text = error.to_string();
        let words: Vec<&str> = text.split_whitespace().collect();
        format!("raised error: {:.100}", words.join(" "))
    })
}

/// The crate's, which it does not know itself.
fn version(name: &str) -> Outcome<&'static str> {
    let lock = include_str!("../../Cargo.lock");
    let (_, rest) = lock
        .split_once(&format!("name = \"{name}\"\nversion = \""))
        .ok_or("no such crate is locked")?;
    Ok(rest.split('"').next().expect("split gives one part at least"))
}

struct Classic(Client);

impl Cache for Classic {
    fn more_commands(&self) -> &'static str {
        ",replace,append,cas,touch,flush"
    }

    fn call(&self, command: &str, keys: &[&str]) -> Outcome {
        let key = keys.first().copied().unwrap_or_default();
        Ok(match command {
            "get" => value(self.0.get(key)?),
            "multi" => values(
                keys,
                |key, found: &HashMap<String, Vec<u8>>| found.get(key).cloned(),
                self.0.gets(keys)?,
            ),
            "set" => done(self.0.set(key, "1", 100)?),
            "add" => done(self.0.add(key, "1", 100)?),
            "replace" => done(self.0.replace(key, "1", 100)?),
            "append" => done(self.0.append(key, "1")?),
            "cas" => {
                let found: HashMap<String, Versioned> = self.0.gets(&[key])?;
                match found.get(key) {
                    Some((_, _, Some(token))) => self.0.cas(key, "1", 100, *token)?.to_string(),
                    _ => "false".to_owned(),
                }
            }
            "incr" => format!("value {}", self.0.increment(key, 1)?),
            "decr" => format!("value {}", self.0.decrement(key, 1)?),
            "delete" => self.0.delete(key)?.to_string(),
            "touch" => self.0.touch(key, 100)?.to_string(),
            _ => done(self.0.flush()?),
        })
    }
}

struct Meta(Memcache);

impl Cache for Meta {
    fn more_commands(&self) -> &'static str {
        ",gat,replace,append,cas,touch"
    }

    fn call(&self, command: &str, keys: &[&str]) -> Outcome {
        let key = keys.first().copied().unwrap_or_default();
        let ttl = Ttl::secs(100);
        Ok(match command {
            "get" => value(self.0.get(key)?),
            "gat" => value(self.0.get_and_touch(key, ttl)?),
            "multi" => {
                let found: HashMap<&str, Vec<u8>> = self.0.get_many(keys.iter().copied())?;
                values(
                    keys,
                    |key, found: &HashMap<&str, Vec<u8>>| found.get(key).cloned(),
                    found,
                )
            }
            "set" => done(self.0.set(key, "1", ttl)?),
            "add" => self.0.add(key, "1", ttl)?.to_string(),
            "replace" => self.0.replace(key, "1", ttl)?.to_string(),
            "append" => done(self.0.append(key, b"1", ttl)?),
            "cas" => {
                let found = self.0.meta().get(key).meta(ItemMeta::NONE.cas()).send()?;
                match found.item.cas {
                    Some(token) => self
                        .0
                        .meta()
                        .set(key, "1")
                        .compare_cas(token)
                        .send()?
                        .applied()
                        .to_string(),
                    None => "false".to_owned(),
                }
            }
            "incr" => format!("value {}", self.0.incr(key, 1, ttl)?),
            "decr" => format!("value {}", self.0.decr(key, 1, ttl)?),
            "delete" => done(self.0.delete(key)?),
            _ => done(self.0.touch(key, ttl)?),
        })
    }
}

struct AsyncText(Blocking);

impl Cache for AsyncText {
    fn more_commands(&self) -> &'static str {
        ",flush"
    }

    fn call(&self, command: &str, keys: &[&str]) -> Outcome {
        let key = keys.first().copied().unwrap_or_default();
        let cache = &self.0;
        let ttl = Some(100);
        Ok(match command {
            "get" => value(
                cache
                    .call(async |it| it.get(key).await)?
                    .and_then(|item| item.data),
            ),
            "multi" => {
                // It is an error if none is there.
                let found = match cache.call(async |it| it.get_multi(keys).await) {
                    Err(AsyncError::Protocol(Status::NotFound)) => Vec::new(),
                    found => found?,
                };
                let found = found
                    .into_iter()
                    .map(|item| (item.key, item.data.unwrap_or_default()))
                    .collect();
                values(keys, find, found)
            }
            "set" => applied(cache.call(async |it| it.set(key, "1", ttl, None).await))?,
            "add" => applied(cache.call(async |it| it.add(key, "1", ttl, None).await))?,
            "incr" => applied(cache.call(async |it| it.increment(key, 1).await))?,
            "decr" => applied(cache.call(async |it| it.decrement(key, 1).await))?,
            "delete" => applied(cache.call(async |it| it.delete(key).await))?,
            _ => applied(cache.call(async |it| it.flush_all().await))?,
        })
    }
}

struct AsyncMeta(Blocking);

impl Cache for AsyncMeta {
    fn more_commands(&self) -> &'static str {
        ",gat,replace,append,cas,touch"
    }

    fn call(&self, command: &str, keys: &[&str]) -> Outcome {
        let key = keys.first().copied().unwrap_or_default();
        let cache = &self.0;
        let read = |flags: &[&str]| cache.call(async |it| it.meta_get(key, false, None, Some(flags)).await);
        let store = |flag: &str| {
            let flags = ["T100", flag];
            applied(cache.call(async |it| it.meta_set(key, "1", false, None, Some(&flags)).await))
        };
        let number = Some(&["v"][..]);
        Ok(match command {
            "get" => value(read(&["v"])?.and_then(|item| item.data)),
            "gat" => value(read(&["v", "T100"])?.and_then(|item| item.data)),
            "touch" => read(&["T100"])?.is_some().to_string(),
            "multi" => {
                let found = cache.call(async |it| it.meta_get_multi(keys, number).await)?;
                let found = found
                    .into_iter()
                    .map(|item| (item.key.unwrap_or_default(), item.data.unwrap_or_default()))
                    .collect();
                values(keys, find, found)
            }
            "set" => store("MS")?,
            "add" => store("ME")?,
            "replace" => store("MR")?,
            "append" => store("MA")?,
            "cas" => match read(&["c"])?.and_then(|item| item.cas) {
                Some(token) => store(&format!("C{token}"))?,
                None => "false".to_owned(),
            },
            "incr" => {
                applied(cache.call(async |it| it.meta_increment(key, false, None, None, number).await))?
            }
            "decr" => {
                applied(cache.call(async |it| it.meta_decrement(key, false, None, None, number).await))?
            }
            _ => applied(cache.call(async |it| it.meta_delete(key, false, None, None).await))?,
        })
    }
}

/// The words that a program takes for "no" are errors in this library.
fn applied<T: Applied>(outcome: Result<T, AsyncError>) -> Outcome {
    match outcome {
        Ok(gave) => Ok(gave.told()),
        Err(AsyncError::Protocol(Status::NotStored | Status::NotFound | Status::Exists)) => {
            Ok("false".to_owned())
        }
        Err(error) => Err(error.into()),
    }
}

/// What a call gave that was carried out.
trait Applied {
    fn told(self) -> String;
}

impl Applied for () {
    fn told(self) -> String {
        done(self)
    }
}

impl Applied for u64 {
    fn told(self) -> String {
        format!("value {self}")
    }
}

impl Applied for Option<async_memcached::MetaValue> {
    fn told(self) -> String {
        match self.and_then(|item| item.data) {
            Some(number) => value(Some(number)),
            None => done(()),
        }
    }
}

fn find(key: &str, found: &HashMap<Vec<u8>, Vec<u8>>) -> Option<Vec<u8>> {
    found.get(key.as_bytes()).cloned()
}

fn done((): ()) -> String {
    "true".to_owned()
}

fn value(found: Option<Vec<u8>>) -> String {
    match found {
        Some(value) => format!("value {}", String::from_utf8_lossy(&value)),
        None => "miss".to_owned(),
    }
}

fn values<M>(keys: &[&str], get: impl Fn(&str, &M) -> Option<Vec<u8>>, found: M) -> String {
    let parts: Vec<String> = keys
        .iter()
        .filter_map(|key| get(key, &found))
        .map(|value| String::from_utf8_lossy(&value).into_owned())
        .collect();
    format!("values {}", parts.join(","))
}
