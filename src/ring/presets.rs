//! The distributions by name: each is one client's or proxy's whole set of rules.

use super::Hash;
use super::names::Naming;

/// How keys are spread over nodes, as the configuration says it. The default is `ketama`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    name: &'static str,
    pub(super) kind: Kind,
    pub(super) naming: Naming,
    hash: Hash,
}

/// How a hash leads to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The weighted circle of [`super::ketama`].
    Ketama,
}

/// libmemcached's `KETAMA_WEIGHTED`, which php-memcached calls `OPT_LIBKETAMA_COMPATIBLE`.
const KETAMA: Distribution = Distribution {
    name: "ketama",
    kind: Kind::Ketama,
    naming: Naming::Libmemcached,
    hash: Hash::Md5,
};

/// twemproxy's `distribution: ketama` and its default hash.
const TWEMPROXY: Distribution = Distribution {
    name: "twemproxy",
    kind: Kind::Ketama,
    naming: Naming::Twemproxy,
    hash: Hash::Fnv1a64,
};

impl Distribution {
    /// The names that [`Distribution::preset`] knows.
    pub const PRESETS: &[&str] = &[KETAMA.name, TWEMPROXY.name];

    /// The preset called `name`.
    pub fn preset(name: &str) -> Option<Distribution> {
        [KETAMA, TWEMPROXY].into_iter().find(|preset| preset.name == name)
    }

    /// The same rules with another key hash. The points of a ketama ring stay MD5, as with the peers.
    pub fn with_hash(self, hash: Hash) -> Distribution {
        Distribution { hash, ..self }
    }

    /// The name of the preset that this is, or that it was made from.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What keys are hashed with.
    pub fn hash(&self) -> Hash {
        self.hash
    }
}

impl Default for Distribution {
    fn default() -> Distribution {
        KETAMA
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_found_by_its_name_and_nothing_else_is() {
        for name in Distribution::PRESETS {
            assert_eq!(Distribution::preset(name).expect("listed").name(), *name);
        }
        assert_eq!(Distribution::preset("Ketama"), None);
        assert_eq!(Distribution::preset(""), None);
        assert_eq!(
            Distribution::default(),
            Distribution::preset("ketama").expect("listed")
        );
    }

    #[test]
    fn another_hash_makes_another_distribution_of_the_same_name() {
        let plain = Distribution::default();
        let other = plain.clone().with_hash(Hash::Crc32a);
        assert_ne!(plain, other);
        assert_eq!((other.name(), other.hash()), ("ketama", Hash::Crc32a));
    }
}
