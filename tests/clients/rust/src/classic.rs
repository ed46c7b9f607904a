//! `memcache::Client`, in the text or the binary protocol.

use std::collections::HashMap;
use std::time::Duration;

use memcache::Client;

use crate::{Cache, Outcome, Versions, equal, tried};

pub struct Classic(Client);

pub fn connect(address: &str, is_binary: bool) -> Outcome<Classic> {
    let protocol = if is_binary { "binary" } else { "ascii" };
    let client = memcache::connect(format!("memcache://{address}?protocol={protocol}"))?;
    client.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(Classic(client))
}

impl Cache for Classic {
    fn set(&self, key: &str, value: &[u8], seconds: u32) -> Outcome {
        Ok(self.0.set(key, value, seconds)?)
    }

    fn get(&self, key: &str) -> Outcome<Option<Vec<u8>>> {
        Ok(self.0.get(key)?)
    }

    fn get_many(&self, keys: &[String]) -> Outcome<HashMap<String, Vec<u8>>> {
        let keys: Vec<&str> = keys.iter().map(|key| &key[..]).collect();
        Ok(self.0.gets(&keys)?)
    }

    fn delete(&self, key: &str) -> Outcome {
        equal("delete", self.0.delete(key)?, true)?;
        equal("delete of nothing", self.0.delete(key)?, false)
    }

    fn count(&self, key: &str) -> Outcome<[u64; 3]> {
        self.0.set(key, 10, 100)?;
        Ok([
            self.0.increment(key, 32)?,
            self.0.decrement(key, 2)?,
            self.0.decrement(key, 100)?,
        ])
    }

    fn own_steps(&self, namespace: &str) -> Outcome {
        // Over the text protocol the library takes a refusal for a success: what is there afterwards tells.
        let _refused = self.0.replace(namespace, "a", 100);
        equal("replace of nothing", self.0.get::<String>(namespace)?, None)?;
        self.0.add(namespace, "b", 100)?;
        let _refused = self.0.add(namespace, "c", 100);
        equal("add again", self.0.get(namespace)?, Some("b".to_owned()))?;
        self.0.replace(namespace, "d", 100)?;
        self.0.append(namespace, "e")?;
        self.0.prepend(namespace, "c")?;
        equal("after all", self.0.get(namespace)?, Some("cde".to_owned()))?;
        tried(&["add", "replace", "append"]);
        equal("stats of one server", self.0.stats()?.len(), 1)?;
        equal("version of one server", self.0.version()?.len(), 1)?;
        tried(&["stats"]);
        Ok(())
    }
}

impl Versions for Classic {
    fn touch(&self, key: &str, seconds: u32) -> Outcome {
        equal("touch", self.0.touch(key, seconds)?, true)?;
        equal(
            "touch of nothing",
            self.0.touch(&format!("{key}:nothing"), seconds)?,
            false,
        )
    }

    fn compare_and_set(&self, key: &str) -> Outcome {
        self.0.set(key, "first", 100)?;
        let found: HashMap<String, (Vec<u8>, u32, Option<u64>)> = self.0.gets(&[key])?;
        let token = found
            .get(key)
            .and_then(|(_, _, token)| *token)
            .ok_or("gets gave no token")?;
        equal("cas", self.0.cas(key, "second", 100, token)?, true)?;
        equal(
            "cas with an old token",
            self.0.cas(key, "third", 100, token)?,
            false,
        )?;
        equal("get after cas", self.0.get(key)?, Some("second".to_owned()))
    }
}
