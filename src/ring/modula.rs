//! The hash modulo the number of nodes, each counted as often as its weight.
//!
//! Nearly all keys move when a node comes or goes; this is only for fleets that already use it.

use super::names::RingMembers;

/// The nodes in their order.
#[derive(Debug, Clone)]
pub(super) struct Modula {
    order: Box<[u32]>,
    /// For each node in `order`, the number after its last one; empty if each has one number.
    ends: Box<[u64]>,
    total: u64,
}

impl Modula {
    /// Builds the placement from all `members`, including those that are out.
    pub(super) fn build(members: &RingMembers) -> Modula {
        let mut end = 0;
        let ends = members.order.iter().map(|&index| {
            end += u64::from(members.weights[index]);
            end
        });
        let ends: Box<[u64]> = ends.collect();
        Modula {
            order: members.order.iter().map(|&index| index as u32).collect(),
            total: end.max(1),
            ends: if end == members.len() as u64 {
                Box::default()
            } else {
                ends
            },
        }
    }

    /// Returns the index of the member that owns `hash`.
    #[inline]
    pub(super) fn owner(&self, hash: u64) -> usize {
        let number = hash % self.total;
        let at = match self.ends.is_empty() {
            true => number as usize,
            false => self.ends.partition_point(|&end| end <= number),
        };
        self.order[at] as usize
    }
}
