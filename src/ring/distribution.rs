//! How a configuration spreads keys over nodes: a preset or a kind, with the changes made to it.

use super::Hash;
use super::hash_input::{HashInput, KeyExtraction, More};
use super::names::Naming;
use super::presets::{self, PresetKind, Rules};

/// mcrouter's default hash stop.
const MCROUTERS_STOP: &str = "|#|";

/// A distribution of keys over nodes. The default is the preset `ketama`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    pub(super) rules: Rules,
    is_preset: bool,
    hash_stop: String,
    salt: String,
    seed: String,
    full_weight: Option<u32>,
}

/// A setting that only some distributions have. (All accept a hash stop and a salt.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The hash of keys.
    Hash,
    /// The number of points for a node of mean weight.
    Points,
    /// The naming of nodes.
    Names,
    /// The hash seed.
    Seed,
    /// The weight that counts as mcrouter's 1.0.
    FullWeight,
}

const fn names_of<const N: usize>(all: &[Rules; N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut at = 0;
    while at < N {
        names[at] = all[at].name;
        at += 1;
    }
    names
}

impl Distribution {
    /// The names that [`Distribution::preset`] knows.
    pub const PRESETS: &[&str] = &names_of(&presets::PRESETS);

    /// The names that [`Distribution::kind`] knows.
    pub const KINDS: &[&str] = &names_of(&presets::KINDS);

    /// Returns the preset called `name`.
    pub fn preset(name: &str) -> Option<Distribution> {
        let found = presets::PRESETS.iter().find(|rules| rules.name == name);
        found.map(|rules| Distribution::of(*rules, true))
    }

    /// Returns the kind called `name`, with its default settings.
    pub fn kind(name: &str) -> Option<Distribution> {
        let found = presets::KINDS.iter().find(|rules| rules.name == name);
        found.map(|rules| Distribution::of(*rules, false))
    }

    fn of(rules: Rules, is_preset: bool) -> Distribution {
        let is_mcrouters = rules.extraction == KeyExtraction::Mcrouter;
        Distribution {
            rules,
            is_preset,
            hash_stop: if is_mcrouters { MCROUTERS_STOP } else { "" }.to_owned(),
            salt: String::new(),
            seed: String::new(),
            full_weight: None,
        }
    }

    /// Changes the hash of keys. The points of a ketama ring remain MD5, as with the peers; those of a
    /// consistent ring use the hash of keys.
    pub fn with_hash(mut self, hash: Hash) -> Distribution {
        self.rules.hash = hash;
        self
    }

    /// Sets the number of points for a node of mean weight.
    pub fn with_points(mut self, points: u32) -> Distribution {
        self.rules.points = points;
        self
    }

    /// Sets the naming of nodes that have no name of their own.
    pub fn with_names(mut self, names: Naming) -> Distribution {
        self.rules.naming = names;
        self
    }

    /// Hashes only the part of a key before `stop`, or the whole key if `stop` is empty.
    pub fn with_hash_stop(mut self, stop: &str) -> Distribution {
        stop.clone_into(&mut self.hash_stop);
        self
    }

    /// Hashes `salt` behind each key, as mcrouter does.
    pub fn with_salt(mut self, salt: &str) -> Distribution {
        salt.clone_into(&mut self.salt);
        self
    }

    /// Seeds the hash of keys with the XXH3 of `seed`, as memcached's proxy does; no seed if it is empty.
    pub fn with_seed(mut self, seed: &str) -> Distribution {
        seed.clone_into(&mut self.seed);
        self
    }

    /// Sets the weight at which a node takes every key that leads to it: mcrouter's weight 1.0.
    pub fn with_full_weight(mut self, full: u32) -> Distribution {
        self.full_weight = Some(full);
        self
    }

    /// The name of the preset or kind that this is based on.
    pub fn name(&self) -> &'static str {
        self.rules.name
    }

    /// Returns true for a preset, even if changed.
    pub fn is_preset(&self) -> bool {
        self.is_preset
    }

    /// Whether the distribution has the setting `part`.
    pub fn has(&self, part: Part) -> bool {
        use PresetKind::*;
        match part {
            Part::Hash => !matches!(
                self.rules.kind,
                Furc | WeightedFurc | McrouterRendezvous | McrouterWeightedRendezvous | Pymemcache
            ),
            Part::Points => matches!(
                self.rules.kind,
                Ketama(_) | Consistent | MemcachedProxyRing | LibmemcachedConsistent | Spymemcached | Dalli
            ),
            Part::Names => !matches!(self.rules.kind, Jump | PythonMemcached | Furc | WeightedFurc),
            Part::Seed => self.has(Part::Hash) && self.rules.hash == Hash::Xxh3,
            Part::FullWeight => matches!(self.rules.kind, WeightedFurc | McrouterWeightedRendezvous),
        }
    }

    /// Whether the weights of nodes count.
    pub fn weighs(&self) -> bool {
        self.rules.weighs
    }

    /// The hash of keys.
    pub fn hash(&self) -> Hash {
        self.rules.hash
    }

    /// The number of points for a node of mean weight.
    pub fn points(&self) -> u32 {
        self.rules.points
    }

    /// The naming of nodes that have no name of their own.
    pub fn names(&self) -> Naming {
        self.rules.naming
    }

    /// The text that ends the hashed part of a key; empty for none.
    pub fn hash_stop(&self) -> &str {
        &self.hash_stop
    }

    /// The text hashed behind each key.
    pub fn salt(&self) -> &str {
        &self.salt
    }

    /// The text that seeds the hash; empty for none.
    pub fn seed(&self) -> &str {
        &self.seed
    }

    /// The weight that counts as mcrouter's 1.0; if `None`, that of the heaviest node.
    pub fn full_weight(&self) -> Option<u32> {
        self.full_weight
    }

    /// Returns the key extraction for this distribution and a pool's hash tag.
    pub(super) fn hash_input(&self, tag: Option<[u8; 2]>) -> HashInput {
        let is_plain = self.rules.extraction == KeyExtraction::Plain
            && self.hash_stop.is_empty()
            && self.salt.is_empty();
        let more = More {
            extraction: self.rules.extraction,
            stop: self.hash_stop.as_bytes().into(),
            salt: self.salt.as_bytes().into(),
        };
        HashInput {
            tag,
            more: (!is_plain).then(|| Box::new(more)),
        }
    }

    /// Returns the number that seeds the hash.
    pub(super) fn seed_number(&self) -> u64 {
        if self.seed.is_empty() {
            return 0;
        }
        Hash::Xxh3.digest(self.seed.as_bytes())
    }
}

impl Default for Distribution {
    fn default() -> Distribution {
        Distribution::of(presets::DEFAULT, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_and_kind_is_found_by_its_name_and_nothing_else_is() {
        for name in Distribution::PRESETS {
            let preset = Distribution::preset(name).expect("listed");
            assert_eq!((preset.name(), preset.is_preset()), (*name, true));
        }
        for name in Distribution::KINDS {
            let kind = Distribution::kind(name).expect("listed");
            assert_eq!((kind.name(), kind.is_preset()), (*name, false));
        }
        assert_eq!(Distribution::preset("Ketama"), None);
        assert_eq!(Distribution::preset("jump"), None);
        assert_eq!(Distribution::kind(""), None);
        assert_eq!(
            Distribution::default(),
            Distribution::preset("ketama").expect("listed")
        );
    }

    #[test]
    fn another_part_makes_another_distribution_of_the_same_name() {
        let plain = Distribution::default();
        let others = [
            plain.clone().with_hash(Hash::Crc32a),
            plain.clone().with_points(40),
            plain.clone().with_names(Naming::Address),
            plain.clone().with_hash_stop("|"),
            plain.clone().with_salt("s"),
            plain.clone().with_seed("s"),
            plain.clone().with_full_weight(1),
        ];
        for (index, other) in others.iter().enumerate() {
            assert_eq!(other.name(), "ketama");
            assert_ne!(*other, plain);
            assert!(others[..index].iter().all(|before| before != other));
        }
    }
}
