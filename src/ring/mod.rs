//! Which node a key goes to.
//!
//! A [`Ring`] is built once for a pool and answers [`Ring::pick`] without a lock and without allocating.
//! It does not know health: who must not be picked is left out when it is built.
//!
//! A [`Distribution`] says by which client's or proxy's rules. Those rules are kept to the letter, their
//! accidents too: someone who moves a fleet here keeps a warm cache only if *every* key stays on its node.
//!
//! ```text
//! key ─▶ tag: what of it counts ─▶ hashes: a number ─▶ ketama: the node that owns the number
//!                             presets: which hash, which names, which ring
//! ```

mod hashes;
mod ketama;
mod names;
mod presets;
mod tag;

pub use hashes::Hash;
pub use presets::Distribution;

use ketama::Continuum;
use presets::Kind;

/// A node as the ring sees it.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The name the operator gave, if any: what the ring hashes, under every preset.
    pub name: Option<&'a str>,
    /// Host (an IPv6 address without brackets), path of a unix socket, or the name of an embedded node.
    pub host: &'a str,
    /// Port; `None` for unix sockets and embedded nodes.
    pub port: Option<u16>,
    /// Its share, at least 1.
    pub weight: u32,
}

/// A built ring.
#[derive(Debug)]
pub struct Ring {
    hash: Hash,
    tag: Option<[u8; 2]>,
    placement: Placement,
}

/// How a key's hash leads to a member.
#[derive(Debug)]
enum Placement {
    /// One member takes all keys: nothing is hashed.
    Only(usize),
    /// Points on a circle.
    Continuum(Continuum),
}

impl Ring {
    /// Builds the ring of `members`, which must not be empty.
    ///
    /// `hash_tag` holds the two bytes between which a key's hashed part stands, see [`Ring::hash`].
    /// A member too light to get a point gets no key. 1000 members take some ten milliseconds.
    pub fn build(distribution: &Distribution, hash_tag: Option<[u8; 2]>, members: &[Member<'_>]) -> Ring {
        let all: Vec<usize> = (0..members.len()).collect();
        Ring::among(distribution, hash_tag, members, &all)
    }

    /// The ring of `members` in which only those with an index in `standing`, which is not empty, take keys: the
    /// keys of each other one go to the next that does, and no key of a standing one moves, whatever the weights.
    pub fn among(
        distribution: &Distribution,
        hash_tag: Option<[u8; 2]>,
        members: &[Member<'_>],
        standing: &[usize],
    ) -> Ring {
        let placement = match (standing, distribution.kind) {
            (&[only], _) => Placement::Only(only),
            (_, Kind::Ketama) => {
                Placement::Continuum(Continuum::build(distribution.naming, members, standing))
            }
        };
        Ring {
            hash: distribution.hash(),
            tag: hash_tag,
            placement,
        }
    }

    /// The index among the members of the node that `key` goes to.
    #[inline]
    pub fn pick(&self, key: &[u8]) -> usize {
        match &self.placement {
            Placement::Only(member) => *member,
            Placement::Continuum(continuum) => continuum.owner(self.digest(key)),
        }
    }

    /// The number by which `key` is placed, for people to look at. (A ring of one member never asks.)
    ///
    /// Where the ring has a hash tag and the key has something between its first opening byte and the
    /// first closing byte after that, only what stands between them counts.
    pub fn hash(&self, key: &[u8]) -> u64 {
        u64::from(self.digest(key))
    }

    fn digest(&self, key: &[u8]) -> u32 {
        let counted = self.tag.map_or(key, |tag| tag::counted(key, tag));
        self.hash.digest(counted)
    }
}
