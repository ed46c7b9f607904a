//! The named distributions: each preset is one client's or proxy's complete set of rules, each kind the
//! defaults of one way to place keys.

use super::Hash;
use super::hash_input::KeyExtraction;
use super::ketama::Share;
use super::names::Naming;

/// How a hash or a key is mapped to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PresetKind {
    /// The weighted circle of MD5 words; of two nodes with the same point the first owns it.
    Ketama(Share),
    /// A circle with one hash per point.
    Consistent,
    /// The same without weights; with weights libmemcached builds the weighted circle.
    LibmemcachedConsistent,
    /// The default ring of memcached's proxy: a circle of XXH3 hashes, whatever the hash of keys.
    MemcachedProxyRing,
    /// The circle of MD5 words; of two nodes with the same point the last owns it. If the hash is not MD5
    /// and every weight is 1, its points are hashes, too.
    Spymemcached,
    /// A circle of SHA-1, searched backwards.
    Dalli,
    /// Jump consistent hash.
    Jump,
    /// Slots assigned by rendezvous.
    Rendezvous,
    /// Slots that nodes take in turns.
    Maglev,
    /// Modulo.
    Modula,
    /// Modulo, and the hash is hashed again if a node is out.
    PythonMemcached,
    /// mcrouter's Ch3.
    Furc,
    /// mcrouter's WeightedCh3.
    WeightedFurc,
    /// mcrouter's rendezvous.
    McrouterRendezvous,
    /// mcrouter's WeightedRendezvous.
    McrouterWeightedRendezvous,
    /// pymemcache's rendezvous.
    Pymemcache,
}

/// A set of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) name: &'static str,
    pub(super) kind: PresetKind,
    pub(super) naming: Naming,
    pub(super) hash: Hash,
    /// The number of points for a node of mean weight, if there is a circle.
    pub(super) points: u32,
    pub(super) extraction: KeyExtraction,
    /// Whether weights count.
    pub(super) weighs: bool,
}

const fn rules(name: &'static str, kind: PresetKind, naming: Naming, hash: Hash) -> Rules {
    Rules {
        name,
        kind,
        naming,
        hash,
        points: 160,
        extraction: KeyExtraction::Plain,
        weighs: true,
    }
}

const fn without_weights(rules: Rules) -> Rules {
    Rules {
        weighs: false,
        ..rules
    }
}

const fn of_mcrouter(rules: Rules) -> Rules {
    let extraction = KeyExtraction::Mcrouter;
    Rules { extraction, ..rules }
}

/// memcached's proxy ignores weights.
const fn of_proxy(name: &'static str, kind: PresetKind, naming: Naming) -> Rules {
    Rules {
        extraction: KeyExtraction::MemcachedProxy,
        ..without_weights(rules(name, kind, naming, Hash::Xxh3))
    }
}

/// The rules of a configuration without a distribution.
pub(super) const DEFAULT: Rules = PRESETS[0];

/// Every preset.
pub(super) const PRESETS: [Rules; 23] = [
    // libmemcached's `KETAMA_WEIGHTED`, which php-memcached calls `OPT_LIBKETAMA_COMPATIBLE`.
    rules(
        "ketama",
        PresetKind::Ketama(Share::Weighed),
        Naming::Libmemcached,
        Hash::Md5,
    ),
    // Our recommendation.
    rules("ringway", PresetKind::Rendezvous, Naming::Address, Hash::Xxh3),
    Rules {
        points: 100,
        ..rules(
            "libmemcached-consistent",
            PresetKind::LibmemcachedConsistent,
            Naming::Libmemcached,
            Hash::OneAtATime,
        )
    },
    without_weights(rules(
        "libmemcached-modula",
        PresetKind::Modula,
        Naming::Libmemcached,
        Hash::OneAtATime,
    )),
    rules(
        "libmemcached-spy",
        PresetKind::Ketama(Share::Weighed),
        Naming::Slash,
        Hash::Md5,
    ),
    rules(
        "spymemcached",
        PresetKind::Spymemcached,
        Naming::Address,
        Hash::Md5,
    ),
    // spymemcached's own default.
    without_weights(rules(
        "spymemcached-modula",
        PresetKind::Modula,
        Naming::Address,
        Hash::Java,
    )),
    // twemproxy's `distribution: ketama` and its default hash.
    rules(
        "twemproxy",
        PresetKind::Ketama(Share::Weighed),
        Naming::Twemproxy,
        Hash::Fnv1a64,
    ),
    rules(
        "twemproxy-modula",
        PresetKind::Modula,
        Naming::Twemproxy,
        Hash::Fnv1a64,
    ),
    of_mcrouter(without_weights(rules(
        "mcrouter",
        PresetKind::Furc,
        Naming::Brackets,
        Hash::Xxh3,
    ))),
    of_mcrouter(rules(
        "mcrouter-weighted",
        PresetKind::WeightedFurc,
        Naming::Brackets,
        Hash::Xxh3,
    )),
    of_mcrouter(without_weights(rules(
        "mcrouter-crc32",
        PresetKind::Modula,
        Naming::Brackets,
        Hash::Crc32Of31Bits,
    ))),
    of_mcrouter(without_weights(rules(
        "mcrouter-rendezvous",
        PresetKind::McrouterRendezvous,
        Naming::Brackets,
        Hash::Xxh3,
    ))),
    of_mcrouter(rules(
        "mcrouter-rendezvous-weighted",
        PresetKind::McrouterWeightedRendezvous,
        Naming::Brackets,
        Hash::Xxh3,
    )),
    of_proxy("memcached-proxy", PresetKind::Jump, Naming::Address),
    of_proxy(
        "memcached-proxy-ring",
        PresetKind::MemcachedProxyRing,
        Naming::Address,
    ),
    of_proxy(
        "memcached-proxy-ketama",
        PresetKind::Ketama(Share::Even),
        Naming::Address,
    ),
    of_proxy(
        "memcached-proxy-twemproxy",
        PresetKind::Ketama(Share::Even),
        Naming::Libmemcached,
    ),
    of_proxy(
        "memcached-proxy-evcache",
        PresetKind::Ketama(Share::Even),
        Naming::Twice,
    ),
    without_weights(rules(
        "pymemcache",
        PresetKind::Pymemcache,
        Naming::Address,
        Hash::Xxh3,
    )),
    rules("dalli", PresetKind::Dalli, Naming::Address, Hash::Crc32a),
    without_weights(rules(
        "gomemcache",
        PresetKind::Modula,
        Naming::Address,
        Hash::Crc32a,
    )),
    rules(
        "python-memcached",
        PresetKind::PythonMemcached,
        Naming::Address,
        Hash::Crc32,
    ),
];

/// Every kind that a configuration may build upon.
pub(super) const KINDS: [Rules; 6] = [
    rules(
        "ketama",
        PresetKind::Ketama(Share::Weighed),
        Naming::Libmemcached,
        Hash::Md5,
    ),
    rules("consistent", PresetKind::Consistent, Naming::Address, Hash::Xxh3),
    without_weights(rules("jump", PresetKind::Jump, Naming::Address, Hash::Xxh3)),
    rules("rendezvous", PresetKind::Rendezvous, Naming::Address, Hash::Xxh3),
    rules("maglev", PresetKind::Maglev, Naming::Address, Hash::Xxh3),
    rules("modula", PresetKind::Modula, Naming::Address, Hash::Xxh3),
];
