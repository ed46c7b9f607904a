//! Parses `/etc/hosts`: addresses of names, which are used before any name server is asked.

use std::collections::HashMap;
use std::net::IpAddr;

/// The content of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    addresses: HashMap<String, Vec<IpAddr>>,
}

impl Hosts {
    /// Parses the file's `text`. Invalid lines are ignored.
    pub fn parse(text: &str) -> Hosts {
        let mut hosts = Hosts::default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else {
                continue;
            };
            for name in words {
                let addresses = hosts.addresses.entry(normal(name)).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        hosts
    }

    /// Returns the addresses of `name`; none if the file does not contain it.
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let addresses = self.addresses.get(&normal(name));
        addresses.cloned().unwrap_or_default()
    }
}

fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_with_all_their_addresses() {
        let hosts = Hosts::parse(
            "127.0.0.1\tlocalhost # me\n10.0.0.1 Cache.Example cache\nfd00::1 cache\nnonsense cache\n10.0.0.1 cache\n",
        );
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(hosts.addresses("CACHE."), [ip("10.0.0.1"), ip("fd00::1")]);
        assert_eq!(hosts.addresses("cache.example"), [ip("10.0.0.1")]);
        assert!(hosts.addresses("cache.example.com").is_empty());
    }
}
