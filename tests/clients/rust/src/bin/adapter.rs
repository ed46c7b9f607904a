//! Rust's `memcache` crate behind the words of `tests/clients/adapters/loop.py`:
//!
//! ```sh
//! adapter NAME HOST PORT text|binary|meta
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::io::BufRead;
use std::time::Duration;

use memcache::Client;
use memcache::exp::{Memcache, Meta as ItemMeta, Ttl};

type Outcome<T = String> = Result<T, Box<dyn Error>>;
/// As `gets` has it: value, flags and token.
type Versioned = (Vec<u8>, u32, Option<u64>);

/// What one client makes of a command.
trait Cache {
    fn call(&self, command: &str, keys: &[&str]) -> Outcome;
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [_name, host, port, protocol] = &arguments[..] else {
        return Err("usage: adapter NAME HOST PORT text|binary|meta".into());
    };
    let connect = |port: &str| connect(&format!("{host}:{port}"), protocol);
    let mut port = port.clone();
    let mut cache = connect(&port)?;
    println!(
        "ready {} get,multi,{}set,add,replace,append,cas,incr,decr,delete,touch{}",
        version(),
        if protocol == "meta" { "gat," } else { "" },
        if protocol == "meta" { "" } else { ",flush" }
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

fn connect(address: &str, protocol: &str) -> Outcome<Box<dyn Cache>> {
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
fn version() -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let (_, rest) = lock
        .split_once("name = \"memcache\"\nversion = \"")
        .expect("locked");
    rest.split('"').next().expect("a version")
}

struct Classic(Client);

impl Cache for Classic {
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
