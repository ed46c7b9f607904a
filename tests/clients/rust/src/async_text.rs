//! `async_memcached::AsciiProtocol`.

use std::collections::HashMap;

use async_memcached::{AsciiProtocol, Error, Status};
use client::Blocking;

use crate::{Cache, Outcome, equal, tried};

pub struct Text(Blocking);

pub fn connect(address: &str) -> Outcome<Text> {
    Ok(Text(Blocking::connect(address)?))
}

impl Cache for Text {
    fn set(&self, key: &str, value: &[u8], seconds: u32) -> Outcome {
        let ttl = Some(seconds.into());
        Ok(self
            .0
            .call(async |client| client.set(key, value, ttl, None).await)?)
    }

    fn get(&self, key: &str) -> Outcome<Option<Vec<u8>>> {
        let found = self.0.call(async |client| client.get(key).await)?;
        Ok(found.and_then(|item| item.data))
    }

    fn get_many(&self, keys: &[String]) -> Outcome<HashMap<String, Vec<u8>>> {
        // It is an error if none is there.
        let found = match self.0.call(async |client| client.get_multi(keys).await) {
            Err(Error::Protocol(Status::NotFound)) => Vec::new(),
            found => found?,
        };
        let pairs = found.into_iter().map(|item| {
            let key = String::from_utf8(item.key)?;
            Ok((key, item.data.ok_or("no value")?))
        });
        pairs.collect()
    }

    fn delete(&self, key: &str) -> Outcome {
        self.0.call(async |client| client.delete(key).await)?;
        let again = self.0.call(async |client| client.delete(key).await);
        equal("delete of nothing", again, Err(Error::Protocol(Status::NotFound)))
    }

    fn count(&self, key: &str) -> Outcome<[u64; 3]> {
        self.0
            .call(async |client| {
                client.set(key, 10u64, Some(100), None).await?;
                Ok([
                    client.increment(key, 32).await?,
                    client.decrement(key, 2).await?,
                    client.decrement(key, 100).await?,
                ])
            })
            .map_err(Into::into)
    }

    fn own_steps(&self, namespace: &str) -> Outcome {
        let add = |value: &'static str| {
            self.0
                .call(async |client| client.add(namespace, value, Some(100), None).await)
        };
        equal("add", add("a"), Ok(()))?;
        equal("add again", add("b"), Err(Error::Protocol(Status::NotStored)))?;
        tried(&["add"]);

        let pairs: Vec<(String, String)> = (0..100)
            .map(|i| (format!("{namespace}:{i}"), i.to_string()))
            .collect();
        let names: Vec<String> = pairs.iter().map(|(name, _)| name.clone()).collect();
        let pairs: Vec<(&str, &str)> = pairs
            .iter()
            .map(|(name, value)| (&name[..], &value[..]))
            .collect();
        let stored = self.0.call(async |client| {
            let stored = client.set_multi(&pairs, Some(100), None).await?;
            Ok(stored.values().filter(|outcome| outcome.is_ok()).count())
        })?;
        equal("set_multi", stored, 100)?;
        equal("get of all", self.get_many(&names)?.len(), 100)?;
        self.0
            .call(async |client| client.increment_no_reply(&names[0], 5).await)?;
        equal("incr without reply", self.get(&names[0])?, Some(b"5".to_vec()))?;
        self.0
            .call(async |client| client.delete_multi_no_reply(&names).await)?;
        equal("get of the deleted", self.get_many(&names)?.len(), 0)?;
        tried(&["set_multi", "noreply"]);

        let figures = self.0.call(async |client| client.stats().await)?;
        equal("stats", figures.contains_key("cmd_get"), true)?;
        self.0.call(async |client| client.version().await)?;
        tried(&["stats"]);
        Ok(())
    }
}
