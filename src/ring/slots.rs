//! Slots of the hash space, each with the node that has the highest score for it by [`Rendezvous`].
//!
//! Computing scores asks every node, so the table does it once for each of 65536 slots, when the ring is built. A table
//! that follows another one asks only the nodes that joined; every node is asked for the slots of nodes that left. It has
//! the very owners of a table that is built from scratch.
//!
//! ```text
//! hash ─▶ mixed, upper 16 bits ─▶ slots[…] ─▶ the node with the highest score for the slot
//! ```

use std::collections::HashMap;

use super::names::RingMembers;
use super::rendezvous::{Contender, Rendezvous, mixed};

/// The number of parts of the hash space, a power of two.
pub(super) const SLOTS: usize = 1 << 16;

/// The owner of each slot.
#[derive(Debug, Clone)]
pub(super) struct SlotTable {
    /// The index among the members.
    owners: Box<[u32]>,
    /// The nodes that competed.
    rendezvous: Rendezvous,
}

impl SlotTable {
    /// Builds the slots of the active `members`; with less work if `previous` has most of them.
    pub(super) fn build(members: &RingMembers, previous: Option<&SlotTable>) -> SlotTable {
        let rendezvous = Rendezvous::among(members);
        let derived = previous.and_then(|previous| {
            let change = Change::between(&previous.rendezvous, &rendezvous)?;
            let slots = previous.owners.iter().enumerate();
            Some(slots.map(|(slot, &owner)| change.owner(slot, owner)).collect())
        });
        let from_scratch = || {
            (0..SLOTS)
                .map(|slot| rendezvous.highest(slot as u64) as u32)
                .collect()
        };
        SlotTable {
            owners: derived.unwrap_or_else(from_scratch),
            rendezvous,
        }
    }

    /// Returns the index of the member that owns `hash`.
    #[inline]
    pub(super) fn owner(&self, hash: u64) -> usize {
        self.owners[(mixed(hash) >> (u64::BITS - SLOTS.trailing_zeros())) as usize] as usize
    }

    /// Counts the slots by their owner here and in `next`.
    pub(super) fn moves(&self, next: &SlotTable) -> HashMap<(usize, usize), u32> {
        let mut counts = HashMap::new();
        for (&from, &to) in self.owners.iter().zip(&next.owners) {
            *counts.entry((from as usize, to as usize)).or_default() += 1;
        }
        counts
    }
}

/// How the nodes of a table differ from those of the one before.
struct Change<'a> {
    /// For the index of each node before, the node now; `None` if it is gone or has another weight.
    remaining: Vec<Option<Contender>>,
    /// Those that are new, or have another weight.
    joined: Rendezvous,
    all: &'a Rendezvous,
}

impl Change<'_> {
    /// Returns the change from the nodes of `before` to those of `now`; `None` if it is not clear which ones remain.
    fn between<'a>(before: &Rendezvous, now: &'a Rendezvous) -> Option<Change<'a>> {
        let mut known = HashMap::new();
        for node in before.contenders() {
            // Between equal scores the indices decide, and those may have changed.
            if known.insert((node.name, node.weight), node.index).is_some() {
                return None;
            }
        }
        let places = before.contenders().map(|node| node.index as usize + 1).max()?;
        let mut remaining = vec![None; places];
        let mut joined = Vec::new();
        for node in now.contenders() {
            match known.remove(&(node.name, node.weight)) {
                Some(index) => remaining[index as usize] = Some(*node),
                None => joined.push(*node),
            }
        }
        Some(Change {
            remaining,
            joined: Rendezvous::of(joined),
            all: now,
        })
    }

    /// Returns the owner of `slot`, which had the owner `before`.
    fn owner(&self, slot: usize, before: u32) -> u32 {
        let slot = slot as u64;
        let owner = match &self.remaining[before as usize] {
            Some(owner) => self.joined.highest_with(slot, owner),
            None => self.all.highest(slot),
        };
        owner as u32
    }
}

#[cfg(test)]
mod tests {
    use super::super::Member;
    use super::super::names::Naming;
    use super::*;

    /// A node of a changing pool: the number that names it, its weight, and whether it takes keys.
    type Drawn = (u64, u32, bool);

    fn members(nodes: &[Drawn]) -> RingMembers {
        let names: Vec<String> = nodes.iter().map(|node| format!("node-{}", node.0)).collect();
        let member = |(name, node): (&String, &Drawn)| (name.clone(), node.1);
        let named: Vec<(String, u32)> = names.iter().zip(nodes).map(member).collect();
        let members: Vec<Member<'_>> = named
            .iter()
            .map(|(name, weight)| Member {
                name: Some(name),
                host: "h",
                port: Some(11211),
                weight: *weight,
            })
            .collect();
        let active: Vec<usize> = (0..nodes.len()).filter(|&index| nodes[index].2).collect();
        RingMembers::new(Naming::Address, true, &members, &active)
    }

    /// Changes one thing: a node joins, leaves, goes out or comes back, gets another weight, or another place.
    fn change(nodes: &mut Vec<Drawn>, random: &mut fastrand::Rng, weights: u32) {
        let at = random.usize(..nodes.len());
        match random.u8(..5) {
            0 => nodes.insert(at, (random.u64(..1000) + 1000, random.u32(1..=weights), true)),
            1 if nodes.len() > 2 => drop(nodes.remove(at)),
            2 => nodes[at].1 = random.u32(1..=weights),
            3 => nodes[at].2 = !nodes[at].2,
            _ => random.shuffle(nodes),
        }
        nodes[0].2 = true;
    }

    #[test]
    fn a_table_that_follows_another_one_is_the_one_built_from_scratch() {
        for (seed, weights) in [(1, 1), (2, 1), (3, 2), (4, 9)] {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut nodes: Vec<Drawn> = (0..6).map(|n| (n, random.u32(1..=weights), true)).collect();
            let mut table = SlotTable::build(&members(&nodes), None);
            for step in 0..12 {
                for _ in 0..random.u8(1..4) {
                    change(&mut nodes, &mut random, weights);
                }
                table = SlotTable::build(&members(&nodes), Some(&table));
                let from_scratch = SlotTable::build(&members(&nodes), None);
                assert!(
                    table.owners == from_scratch.owners,
                    "seed {seed}, step {step}: {nodes:?}"
                );
            }
        }
    }

    #[test]
    fn of_two_nodes_with_one_name_the_last_wins_whatever_was_before() {
        let (one, other) = (
            members(&[(1, 1, true), (2, 1, true)]),
            [(2, 1, true), (1, 1, true), (1, 1, true)],
        );
        let before = SlotTable::build(&one, None);
        let twice = SlotTable::build(&members(&other), Some(&before));
        assert!(twice.owners == SlotTable::build(&members(&other), None).owners);
        assert!(!twice.owners.contains(&1) && twice.owners.contains(&2));
        let turned = [(1, 1, true), (2, 1, true), (1, 1, true)];
        let after = SlotTable::build(&members(&turned), Some(&twice));
        assert!(after.owners == SlotTable::build(&members(&turned), None).owners);
    }

    #[test]
    fn only_the_slots_of_the_node_that_comes_or_goes_move() {
        let three = SlotTable::build(&members(&[(1, 1, true), (2, 1, true), (3, 1, true)]), None);
        let two = SlotTable::build(&members(&[(1, 1, true), (3, 1, true)]), Some(&three));
        let moves = three.moves(&two);
        assert!(
            !moves.contains_key(&(0, 1)) && !moves.contains_key(&(2, 0)),
            "{moves:?}"
        );
        assert_eq!(moves.values().sum::<u32>() as usize, SLOTS);
    }
}
