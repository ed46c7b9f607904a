//! The named distributions: each preset is one client's or proxy's complete set of rules, each kind the
//! defaults of one way to place keys.

use super::Hash;
use super::hash_input::KeyExtraction;
use super::ketama::Share;
use super::names::Naming;

/// How a hash or a key is mapped to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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
    pub(super) kind: Kind,
    pub(super) naming: Naming,
    pub(super) hash: Hash,
    /// The number of points for a node of mean weight, if there is a circle.
    pub(super) points: u32,
    pub(super) extraction: KeyExtraction,
    /// Whether weights count.
    pub(super) weighs: bool,
}

const fn rules(name: &'static str, kind: Kind, naming: Naming, hash: Hash) -> Rules {
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
const fn of_proxy(name: &'static str, kind: Kind, naming: Naming) -> Rules {
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
        Kind::Ketama(Share::Weighed),
        Naming::Libmemcached,
        Hash::Md5,
    ),
    // Our recommendation.
    rules("ringway", Kind::Rendezvous, Naming::Address, Hash::Xxh3),
    Rules {
        points: 100,
        ..rules(
            "libmemcached-consistent",
            Kind::LibmemcachedConsistent,
            Naming::Libmemcached,
            Hash::OneAtATime,
        )
    },
    without_weights(rules(
        "libmemcached-modula",
        Kind::Modula,
        Naming::Libmemcached,
        Hash::OneAtATime,
    )),
    rules(
        "libmemcached-spy",
        Kind::Ketama(Share::Weighed),
        Naming::Slash,
        Hash::Md5,
    ),
    rules("spymemcached", Kind::Spymemcached, Naming::Address, Hash::Md5),
    // spymemcached's own default.
    without_weights(rules(
        "spymemcached-modula",
        Kind::Modula,
        Naming::Address,
        Hash::Java,
    )),
    // twemproxy's `distribution: ketama` and its default hash.
    rules(
        "twemproxy",
        Kind::Ketama(Share::Weighed),
        Naming::Twemproxy,
        Hash::Fnv1a64,
    ),
    rules("twemproxy-modula", Kind::Modula, Naming::Twemproxy, Hash::Fnv1a64),
    of_mcrouter(without_weights(rules(
        "mcrouter",
        Kind::Furc,
        Naming::Brackets,
        Hash::Xxh3,
    ))),
    of_mcrouter(rules(
        "mcrouter-weighted",
        Kind::WeightedFurc,
        Naming::Brackets,
        Hash::Xxh3,
    )),
    of_mcrouter(without_weights(rules(
        "mcrouter-crc32",
        Kind::Modula,
        Naming::Brackets,
        Hash::Crc32Of31Bits,
    ))),
    of_mcrouter(without_weights(rules(
        "mcrouter-rendezvous",
        Kind::McrouterRendezvous,
        Naming::Brackets,
        Hash::Xxh3,
    ))),
    of_mcrouter(rules(
        "mcrouter-rendezvous-weighted",
        Kind::McrouterWeightedRendezvous,
        Naming::Brackets,
        Hash::Xxh3,
    )),
    of_proxy("memcached-proxy", Kind::Jump, Naming::Address),
    of_proxy("memcached-proxy-ring", Kind::MemcachedProxyRing, Naming::Address),
    of_proxy(
        "memcached-proxy-ketama",
        Kind::Ketama(Share::Even),
        Naming::Address,
    ),
    of_proxy(
        "memcached-proxy-twemproxy",
        Kind::Ketama(Share::Even),
        Naming::Libmemcached,
    ),
    of_proxy(
        "memcached-proxy-evcache",
        Kind::Ketama(Share::Even),
        Naming::Twice,
    ),
    without_weights(rules("pymemcache", Kind::Pymemcache, Naming::Address, Hash::Xxh3)),
    rules("dalli", Kind::Dalli, Naming::Address, Hash::Crc32a),
    without_weights(rules("gomemcache", Kind::Modula, Naming::Address, Hash::Crc32a)),
    rules(
        "python-memcached",
        Kind::PythonMemcached,
        Naming::Address,
        Hash::Crc32,
    ),
];

/// Every kind that a configuration may build upon.
pub(super) const KINDS: [Rules; 6] = [
    rules(
        "ketama",
        Kind::Ketama(Share::Weighed),
        Naming::Libmemcached,
        Hash::Md5,
    ),
    rules("consistent", Kind::Consistent, Naming::Address, Hash::Xxh3),
    without_weights(rules("jump", Kind::Jump, Naming::Address, Hash::Xxh3)),
    rules("rendezvous", Kind::Rendezvous, Naming::Address, Hash::Xxh3),
    rules("maglev", Kind::Maglev, Naming::Address, Hash::Xxh3),
    rules("modula", Kind::Modula, Naming::Address, Hash::Xxh3),
];
