//! Where a key of a pool is: at a node, or on its way from one to another while the pool's ring changes.

use super::pool::{Handover, Pool};

/// Where a key of a pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the node with this index among those of the snapshot.
    Node(usize),
    /// It moves from one node to another in the pool's handover.
    Moving(Owners),
}

/// The owners of a key that moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owners {
    /// The index of the new owner among the pool's nodes.
    pub new: usize,
    /// The index of the old owner among the nodes of the old pool.
    pub old: usize,
}

impl Pool {
    /// Returns where `key` is.
    #[inline]
    pub fn place(&self, key: &[u8]) -> Place {
        let Some(handover) = &self.handover else {
            return Place::Node(self.pick(key));
        };
        let old = &handover.old.ring;
        let (new, old) = match handover.shares_digests {
            true => self.ring.pick_in_both(old, key),
            false => (self.ring.pick(key), old.pick(key)),
        };
        self.place_of(handover, new, old)
    }

    /// Stores in `places` where `keys` are, as [`Pool::place`] says.
    pub fn place_all(&self, handover: &Handover, keys: &[&[u8]], places: &mut [Place]) {
        if !handover.shares_digests {
            let keys = places.iter_mut().zip(keys);
            return keys.for_each(|(place, key)| *place = self.place(key));
        }
        let ring = &handover.old.ring;
        for (keys, places) in keys.chunks(8).zip(places.chunks_mut(8)) {
            let mut members = [(0, 0); 8];
            self.ring
                .pick_eight_in_both(ring, keys, &mut members[..keys.len()]);
            for (place, (new, old)) in places.iter_mut().zip(members) {
                *place = self.place_of(handover, new, old);
            }
        }
    }

    /// Returns where a key is whose owners in the new and the old ring of `handover` have these indices.
    #[inline]
    fn place_of(&self, handover: &Handover, new: usize, old: usize) -> Place {
        match self.nodes[new] {
            node if node == handover.old.nodes[old] => Place::Node(node),
            _ => Place::Moving(Owners { new, old }),
        }
    }
}
