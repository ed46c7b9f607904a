//! The membership rules of a pool whose nodes are discovered, with time as an argument.
//!
//! | a node | becomes a member | ceases to be one |
//! |---|---|---|
//! | in the first list | at once, unless something other than memcached answers there | |
//! | that is new in a list | once it was in lists for `add_after` and answered a probe | |
//! | that is missing in lists | | after `remove_after`, and only if it is down or hands its keys over |
//! | with another address or weight | remains one, with the new values | |
//!
//! A list with fewer than `min_nodes` is rejected, and there are never fewer members than that. The caller
//! decides whether a change moves too many keys, by [`Change::at_most`]: nodes that are about to leave
//! count as if they left at once, or half of a pool could leave one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::sort;
use crate::config::Node;

/// The rules in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A new node takes keys once it has been listed for this long.
    pub add_after: Duration,
    /// A missing node leaves after this long.
    pub remove_after: Duration,
    /// The minimum number of nodes; a list with fewer is rejected. At least 1.
    pub min_nodes: usize,
}

/// The result of probing the address of a new node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// memcached.
    Good,
    /// No answer.
    Silent,
    /// Something else, such as an exporter of metrics.
    Foreign,
}

/// The nodes of one pool.
#[derive(Debug)]
pub struct Members {
    rules: Rules,
    members: BTreeMap<String, Member>,
    joining: BTreeMap<String, Joining>,
    /// Whether the members came from the present source.
    has_list: bool,
    /// Nodes whose change an operator accepted.
    accepted: BTreeSet<String>,
}

#[derive(Debug)]
struct Member {
    node: Node,
    /// As in the last list.
    wanted: Node,
    /// When the first list without it arrived.
    missing_since: Option<Duration>,
}

#[derive(Debug)]
struct Joining {
    node: Node,
    seen_since: Duration,
    probe: Probe,
}

/// A change of the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// All members after it, in order.
    pub next: Vec<Node>,
    /// The members if all missing ones had left, too.
    pub at_most: Vec<Node>,
    /// Whether it is the first list.
    pub is_first: bool,
    /// The names of nodes that join.
    pub added: Vec<String>,
    /// The names of nodes that leave.
    pub removed: Vec<String>,
    /// The names of nodes that are missing, whether they leave now or not.
    pub missing: Vec<String>,
    /// The names of nodes with another address or weight.
    pub changed: Vec<String>,
}

impl Members {
    /// Returns the members `nodes`. `has_list`: they came from the present source; otherwise its first list
    /// replaces them at once.
    pub fn new(rules: Rules, nodes: Vec<Node>, has_list: bool) -> Members {
        let member = |node: Node| {
            let member = Member {
                wanted: node.clone(),
                node,
                missing_since: None,
            };
            (member.node.label(), member)
        };
        Members {
            rules,
            has_list: has_list && !nodes.is_empty(),
            members: nodes.into_iter().map(member).collect(),
            joining: BTreeMap::new(),
            accepted: BTreeSet::new(),
        }
    }

    /// Takes a list that arrived at `now`. Of two nodes with one name the first counts. Returns false and
    /// changes nothing if it has too few nodes.
    pub fn answer(&mut self, now: Duration, nodes: Vec<Node>) -> bool {
        let mut listed = BTreeMap::new();
        for node in nodes {
            listed.entry(node.label()).or_insert(node);
        }
        if listed.len() < self.rules.min_nodes.max(1) {
            return false;
        }
        for (label, member) in &mut self.members {
            match listed.remove(label) {
                Some(node) => {
                    member.wanted = node;
                    member.missing_since = None;
                }
                None => drop(member.missing_since.get_or_insert(now)),
            }
        }
        self.joining.retain(|label, _| listed.contains_key(label));
        for (label, node) in listed {
            let joining = self.joining.entry(label).or_insert(Joining {
                node: node.clone(),
                seen_since: now,
                probe: Probe::Silent,
            });
            if joining.node != node || joining.probe == Probe::Foreign {
                (joining.node, joining.probe) = (node, Probe::Silent);
            }
        }
        let (members, joining) = (&self.members, &self.joining);
        let is_pending = |label: &String| {
            let is_missing = |member: &Member| member.missing_since.is_some();
            joining.contains_key(label) || members.get(label).is_some_and(is_missing)
        };
        self.accepted.retain(is_pending);
        true
    }

    /// The new nodes whose address has not answered since the last list.
    pub fn unproven(&self) -> Vec<Node> {
        let joining = self.joining.values();
        let unproven = joining.filter(|joining| joining.probe == Probe::Silent);
        unproven.map(|joining| joining.node.clone()).collect()
    }

    /// Records the probe of the new node `label`.
    pub fn probed(&mut self, label: &str, probe: Probe) {
        if let Some(joining) = self.joining.get_mut(label) {
            joining.probe = probe;
        }
    }

    /// Returns the change due at `now`; `None` if there is none. `is_down`: whether a member is down.
    pub fn change(&self, now: Duration, is_down: impl Fn(&str) -> bool) -> Option<Change> {
        let mut removed = self.removed(now, is_down);
        let is_first = !self.has_list;
        let joins = |joining: &&Joining| match is_first {
            true => joining.probe != Probe::Foreign,
            false => {
                joining.probe == Probe::Good && has_passed(joining.seen_since, self.rules.add_after, now)
            }
        };
        let added: Vec<&Joining> = self.joining.values().filter(joins).collect();
        if self.members.len() + added.len() < removed.len() + self.rules.min_nodes.max(1) {
            if is_first {
                return None;
            }
            removed.clear();
        }
        let changed = self.members.iter();
        let changed = changed.filter(|(_, member)| member.node != member.wanted);
        let changed: Vec<String> = changed.map(|(label, _)| label.clone()).collect();
        let is_answered = !is_first || !self.joining.is_empty() || !changed.is_empty() || !removed.is_empty();
        if !is_answered || (!is_first && added.is_empty() && removed.is_empty() && changed.is_empty()) {
            return None;
        }
        let with = |stays: &dyn Fn(&str, &Member) -> bool| {
            let members = self.members.iter();
            let members = members.filter(|(label, member)| stays(label, member));
            let members = members.map(|(_, member)| member.wanted.clone());
            let mut nodes: Vec<Node> = members
                .chain(added.iter().map(|joining| joining.node.clone()))
                .collect();
            sort(&mut nodes);
            nodes
        };
        let leaving: BTreeSet<&str> = removed.iter().map(String::as_str).collect();
        let next = with(&|label, _| !leaving.contains(label));
        let at_most = with(&|_, member| member.missing_since.is_none());
        Some(Change {
            at_most: if at_most.is_empty() { next.clone() } else { at_most },
            next,
            is_first,
            added: added.iter().map(|joining| joining.node.label()).collect(),
            removed,
            missing: self.missing(),
            changed,
        })
    }

    /// Returns the members that leave at `now`.
    fn removed(&self, now: Duration, is_down: impl Fn(&str) -> bool) -> Vec<String> {
        let leaves = |(label, member): &(&String, &Member)| {
            let Some(since) = member.missing_since else {
                return false;
            };
            !self.has_list || (has_passed(since, self.rules.remove_after, now) && is_down(label))
        };
        let leaving = self.members.iter().filter(leaves);
        leaving.map(|(label, _)| label.clone()).collect()
    }

    /// Records that `change` was applied.
    pub fn apply(&mut self, change: &Change) {
        for label in &change.removed {
            self.members.remove(label);
        }
        for label in &change.added {
            if let Some(Joining { node, .. }) = self.joining.remove(label) {
                let member = Member {
                    wanted: node.clone(),
                    node,
                    missing_since: None,
                };
                self.members.insert(label.clone(), member);
            }
        }
        for member in self.members.values_mut() {
            member.node = member.wanted.clone();
        }
        self.has_list = true;
        let applied = change.added.iter().chain(&change.removed).chain(&change.changed);
        for label in applied {
            self.accepted.remove(label);
        }
    }

    /// Records that an operator accepts `change`, including the later departure of missing nodes.
    pub fn accept(&mut self, change: &Change) {
        let all = change.added.iter().chain(&change.missing).chain(&change.changed);
        self.accepted.extend(all.cloned());
    }

    /// Whether an operator accepted all of `change`.
    pub fn is_accepted(&self, change: &Change) -> bool {
        let mut all = change.added.iter().chain(&change.missing).chain(&change.changed);
        all.all(|label| self.accepted.contains(label))
    }

    /// The number of members.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// Whether the source has provided a list.
    pub fn has_list(&self) -> bool {
        self.has_list
    }

    /// Whether nothing can change until the next list.
    pub fn is_settled(&self) -> bool {
        let is_settled = |member: &Member| member.missing_since.is_none() && member.node == member.wanted;
        self.joining.is_empty() && self.members.values().all(is_settled)
    }

    /// The names of nodes that are in the last list and are not members.
    pub fn joining(&self) -> Vec<String> {
        self.joining.keys().cloned().collect()
    }

    /// The names of members that are not in the last list.
    pub fn missing(&self) -> Vec<String> {
        let missing = self.members.iter();
        let missing = missing.filter(|(_, member)| member.missing_since.is_some());
        missing.map(|(label, _)| label.clone()).collect()
    }
}

fn has_passed(since: Duration, time: Duration, now: Duration) -> bool {
    now.saturating_sub(since) >= time
}

#[cfg(test)]
mod tests;
