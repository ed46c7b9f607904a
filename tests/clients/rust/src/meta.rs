//! `memcache::exp::Memcache`: the meta commands.

use std::collections::HashMap;

use memcache::exp::{Memcache, Ttl};

use crate::{Cache, Outcome, Versions, equal, tried};

pub struct Meta(Memcache);

pub fn connect(address: &str) -> Outcome<Meta> {
    Ok(Meta(Memcache::connect([address])?))
}

impl Cache for Meta {
    fn set(&self, key: &str, value: &[u8], seconds: u32) -> Outcome {
        Ok(self.0.set(key, value, Ttl::secs(seconds))?)
    }

    fn get(&self, key: &str) -> Outcome<Option<Vec<u8>>> {
        Ok(self.0.get(key)?)
    }

    fn get_many(&self, keys: &[String]) -> Outcome<HashMap<String, Vec<u8>>> {
        Ok(self.0.get_many(keys.iter().cloned())?)
    }

    fn delete(&self, key: &str) -> Outcome {
        let answer = self.0.meta().delete(key).send()?;
        equal("delete", answer.applied(), true)?;
        let answer = self.0.meta().delete(key).send()?;
        equal("delete of nothing", answer.applied(), false)
    }

    fn count(&self, key: &str) -> Outcome<[u64; 3]> {
        let ttl = Ttl::secs(100);
        self.0.set(key, 10u64, ttl)?;
        Ok([
            self.0.incr(key, 32, ttl)?,
            self.0.decr(key, 2, ttl)?,
            self.0.decr(key, 100, ttl)?,
        ])
    }

    fn own_steps(&self, namespace: &str) -> Outcome {
        let ttl = Ttl::secs(100);
        equal("replace of nothing", self.0.replace(namespace, "a", ttl)?, false)?;
        equal("add", self.0.add(namespace, "b", ttl)?, true)?;
        equal("add again", self.0.add(namespace, "c", ttl)?, false)?;
        tried(&["add", "replace"]);

        let list = format!("{namespace}:list");
        // An append to nothing creates it only on a memcached newer than Debian 12 has.
        self.0.set(&list, &b"b"[..], ttl)?;
        self.0.append(&list, b"c", ttl)?;
        self.0.prepend(&list, b"a", ttl)?;
        equal("take", self.0.take::<Vec<u8>>(&list)?, Some(b"abc".to_vec()))?;
        equal("take again", self.0.take::<Vec<u8>>(&list)?, None)?;
        tried(&["append", "take"]);

        let lease = format!("{namespace}:lease");
        for round in ["made", "found"] {
            let load = || Ok::<_, std::io::Error>(String::from("made"));
            equal(round, self.0.fetch(&lease, ttl, load)?, String::from("made"))?;
        }
        let updated = self.0.update(&lease, ttl, |old: Option<String>| {
            format!("{}, updated", old.unwrap_or_default())
        })?;
        equal("update", updated, String::from("made, updated"))?;
        tried(&["lease", "update"]);

        let pairs: Vec<(String, String)> = (0..100)
            .map(|i| (format!("{namespace}:{i}"), i.to_string()))
            .collect();
        self.0.set_many(pairs.clone(), ttl)?;
        let names: Vec<&String> = pairs.iter().map(|(name, _)| name).collect();
        equal(
            "as many as were stored",
            self.0.get_many::<String, _>(names.clone())?.len(),
            100,
        )?;
        self.0.delete_many(names.clone())?;
        equal(
            "none of the deleted",
            self.0.get_many::<String, _>(names)?.len(),
            0,
        )?;
        self.0.meta().noop()?;
        let info = self.0.meta().debug(namespace)?.ok_or("me found nothing")?;
        equal("me gives the size", info.contains_key("size"), true)?;
        tried(&["set_many", "mn", "me"]);
        Ok(())
    }
}

impl Versions for Meta {
    fn touch(&self, key: &str, seconds: u32) -> Outcome {
        Ok(self.0.touch(key, Ttl::secs(seconds))?)
    }

    fn compare_and_set(&self, key: &str) -> Outcome {
        let client = self.0.meta();
        let token = client
            .set(key, "first")
            .return_cas()
            .send()?
            .cas
            .ok_or("ms gave no token")?;
        equal(
            "cas",
            client.set(key, "second").compare_cas(token).send()?.applied(),
            true,
        )?;
        equal(
            "cas with an old token",
            client.set(key, "third").compare_cas(token).send()?.applied(),
            false,
        )?;
        equal("get after cas", self.get(key)?.as_deref(), Some(&b"second"[..]))
    }
}
