//! `async_memcached::MetaProtocol`.

use std::collections::HashMap;

use async_memcached::{Error, MetaProtocol, MetaValue, Status};
use client::Blocking;

use crate::{Cache, Outcome, Versions, equal, tried};

pub struct Meta(Blocking);

pub fn connect(address: &str) -> Outcome<Meta> {
    Ok(Meta(Blocking::connect(address)?))
}

impl Meta {
    fn read(&self, key: &str, flags: &[&str]) -> Result<Option<MetaValue>, Error> {
        self.0
            .call(async |client| client.meta_get(key, false, None, Some(flags)).await)
    }

    fn store(&self, key: &str, value: &[u8], flags: &[&str]) -> Result<Option<MetaValue>, Error> {
        self.0
            .call(async |client| client.meta_set(key, value, false, None, Some(flags)).await)
    }
}

impl Cache for Meta {
    fn set(&self, key: &str, value: &[u8], seconds: u32) -> Outcome {
        self.store(key, value, &[&format!("T{seconds}")])?;
        Ok(())
    }

    fn get(&self, key: &str) -> Outcome<Option<Vec<u8>>> {
        Ok(self.read(key, &["v"])?.and_then(|item| item.data))
    }

    fn get_many(&self, keys: &[String]) -> Outcome<HashMap<String, Vec<u8>>> {
        let found = self
            .0
            .call(async |client| client.meta_get_multi(keys, Some(&["v"])).await)?;
        let pairs = found.into_iter().map(|item| {
            let key = String::from_utf8(item.key.ok_or("no key")?)?;
            Ok((key, item.data.ok_or("no value")?))
        });
        pairs.collect()
    }

    fn delete(&self, key: &str) -> Outcome {
        let delete = || {
            self.0
                .call(async |client| client.meta_delete(key, false, None, None).await)
        };
        equal("delete", delete(), Ok(None))?;
        equal(
            "delete of nothing",
            delete(),
            Err(Error::Protocol(Status::NotFound)),
        )
    }

    fn count(&self, key: &str) -> Outcome<[u64; 3]> {
        self.set(key, b"10", 100)?;
        let flags = Some(&["v"][..]);
        let counts = self.0.call(async |client| {
            Ok([
                client.meta_increment(key, false, None, Some(32), flags).await?,
                client.meta_decrement(key, false, None, Some(2), flags).await?,
                client.meta_decrement(key, false, None, Some(100), flags).await?,
            ])
        })?;
        let mut numbers = [0; 3];
        for (number, item) in numbers.iter_mut().zip(counts) {
            let text = item.and_then(|item| item.data).ok_or("no number")?;
            *number = String::from_utf8(text)?.trim_end().parse()?;
        }
        Ok(numbers)
    }

    fn own_steps(&self, namespace: &str) -> Outcome {
        let refused = Err(Error::Protocol(Status::NotStored));
        equal(
            "replace of nothing",
            self.store(namespace, b"a", &["MR"]),
            refused,
        )?;
        equal("add", self.store(namespace, b"b", &["ME"]), Ok(None))?;
        equal("append", self.store(namespace, b"c", &["MA"]), Ok(None))?;
        equal("prepend", self.store(namespace, b"a", &["MP"]), Ok(None))?;
        equal("after all", self.get(namespace)?, Some(b"abc".to_vec()))?;
        tried(&["add", "replace", "append"]);

        let pairs: Vec<(String, &[u8])> = (0..100)
            .map(|i| (format!("{namespace}:{i}"), &b"v"[..]))
            .collect();
        let names: Vec<String> = pairs.iter().map(|(name, _)| name.clone()).collect();
        let refused = self
            .0
            .call(async |client| client.meta_set_multi(&pairs, Some(&["T100"])).await)?;
        equal("set_multi", refused.len(), 0)?;
        equal("get of all", self.get_many(&names)?.len(), 100)?;
        let quiet = self
            .0
            .call(async |client| client.meta_delete(&names[0], true, None, None).await)?;
        equal("quiet delete", quiet, None)?;
        equal("get of the others", self.get_many(&names)?.len(), 99)?;
        tried(&["set_multi", "mn"]);
        Ok(())
    }
}

impl Versions for Meta {
    fn touch(&self, key: &str, seconds: u32) -> Outcome {
        self.read(key, &[&format!("T{seconds}")])?;
        Ok(())
    }

    fn compare_and_set(&self, key: &str) -> Outcome {
        self.set(key, b"first", 100)?;
        let found = self.read(key, &["v", "c"])?;
        let token = found.and_then(|item| item.cas).ok_or("mg gave no token")?;
        let compare = format!("C{token}");
        equal("cas", self.store(key, b"second", &[&compare]), Ok(None))?;
        let refused = Err(Error::Protocol(Status::Exists));
        equal(
            "cas with an old token",
            self.store(key, b"third", &[&compare]),
            refused,
        )?;
        equal("get after cas", self.get(key)?, Some(b"second".to_vec()))
    }
}
