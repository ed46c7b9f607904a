//! How keys are spread over nodes, as a configuration says it: a preset or a kind, and what of it is changed.

use super::Hash;
use super::hash_input::{HashInput, KeyExtraction, More};
use super::names::Naming;
use super::presets::{self, Kind, Rules};

/// What cuts mcrouter's keys where nothing else is said.
const MCROUTERS_STOP: &str = "|#|";

/// How keys are spread over nodes. The default is the preset `ketama`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    pub(super) rules: Rules,
    is_preset: bool,
    hash_stop: String,
    salt: String,
    seed: String,
    full_weight: Option<u32>,
}

/// What of a distribution may be changed where its rules ask for it. (A stop and a salt have a meaning in all.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What keys are hashed with.
    Hash,
    /// Points of a node of mean weight.
    Points,
    /// Which names nodes have in it.
    Names,
    /// The seed of the hash.
    Seed,
    /// The weight that is all of it.
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

    /// The preset called `name`.
    pub fn preset(name: &str) -> Option<Distribution> {
        let found = presets::PRESETS.iter().find(|rules| rules.name == name);
        found.map(|rules| Distribution::of(*rules, true))
    }

    /// The kind called `name`, with its default parts.
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

    /// The same rules with another key hash. The points of a ketama ring stay MD5, as with the peers; those of a
    /// consistent one are hashed as keys are.
    pub fn with_hash(mut self, hash: Hash) -> Distribution {
        self.rules.hash = hash;
        self
    }

    /// The same rules with so many points for a node of mean weight.
    pub fn with_points(mut self, points: u32) -> Distribution {
        self.rules.points = points;
        self
    }

    /// The same rules with other names for nodes that have none of their own.
    pub fn with_names(mut self, names: Naming) -> Distribution {
        self.rules.naming = names;
        self
    }

    /// The same rules where only what stands before `stop` in a key is hashed; all of it where `stop` is empty.
    pub fn with_hash_stop(mut self, stop: &str) -> Distribution {
        stop.clone_into(&mut self.hash_stop);
        self
    }

    /// The same rules where `salt` is hashed behind each key, as mcrouter does.
    pub fn with_salt(mut self, salt: &str) -> Distribution {
        salt.clone_into(&mut self.salt);
        self
    }

    /// The same rules where the XXH3 of `seed` seeds the hash of keys, as memcached's proxy does; none where it is empty.
    pub fn with_seed(mut self, seed: &str) -> Distribution {
        seed.clone_into(&mut self.seed);
        self
    }

    /// The same rules where a node of the weight `full` takes every key that leads to it: mcrouter's weight 1.0.
    pub fn with_full_weight(mut self, full: u32) -> Distribution {
        self.full_weight = Some(full);
        self
    }

    /// The name of the preset or kind that this is, or that it was made from.
    pub fn name(&self) -> &'static str {
        self.rules.name
    }

    /// True for a preset, also for a changed one.
    pub fn is_preset(&self) -> bool {
        self.is_preset
    }

    /// Whether the rules ask for `part`.
    pub fn has(&self, part: Part) -> bool {
        use Kind::*;
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

    /// What keys are hashed with.
    pub fn hash(&self) -> Hash {
        self.rules.hash
    }

    /// Points of a node of mean weight.
    pub fn points(&self) -> u32 {
        self.rules.points
    }

    /// Which names nodes have that have none of their own.
    pub fn names(&self) -> Naming {
        self.rules.naming
    }

    /// What ends the part of a key that is hashed; empty for none.
    pub fn hash_stop(&self) -> &str {
        &self.hash_stop
    }

    /// What is hashed behind each key.
    pub fn salt(&self) -> &str {
        &self.salt
    }

    /// What seeds the hash; empty for nothing.
    pub fn seed(&self) -> &str {
        &self.seed
    }

    /// The weight that is mcrouter's 1.0; `None`: that of the heaviest node.
    pub fn full_weight(&self) -> Option<u32> {
        self.full_weight
    }

    /// How keys are read under this and a pool's hash tag.
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

    /// The number that seeds the hash.
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
