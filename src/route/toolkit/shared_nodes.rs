//! Nodes that two routes have in common: a key that both send to one node has one item there, which a
//! policy must not take for two.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::config::Address;
use crate::config::overlap::canonical;
use crate::protocol::Request;
use crate::route::{Pool, Route};

/// The nodes that are in pools of two routes, recognised by their addresses.
#[derive(Debug)]
pub struct SharedNodes {
    /// The pools with such nodes. For each of its nodes, the number of the address, or `None` if only one
    /// of the routes has it.
    pools: Vec<(Arc<Pool>, Vec<Option<usize>>)>,
}

impl SharedNodes {
    /// Returns the nodes that `one` and `other` have in common.
    pub fn of(one: &Route, other: &Route) -> SharedNodes {
        let numbers: HashMap<Address, usize> = addresses_of(one).zip(0..).collect();
        if !addresses_of(other).any(|address| numbers.contains_key(&address)) {
            return SharedNodes { pools: Vec::new() };
        }
        let both = one.pools().iter().chain(other.pools());
        let number = |address: Option<Address>| numbers.get(&address?).copied();
        SharedNodes {
            pools: both
                .map(|pool| (pool.clone(), addresses(pool).map(number).collect()))
                .collect(),
        }
    }

    /// Returns true if `request` first reaches the same item along both routes. Allocates only if the
    /// routes have nodes in common and lead through policies.
    #[inline]
    pub fn is_one_item(&self, one: &Route, other: &Route, request: &Request<'_>) -> bool {
        !self.pools.is_empty() && self.is_one(one, other, request).unwrap_or(false)
    }

    fn is_one(&self, one: &Route, other: &Route, request: &Request<'_>) -> Option<bool> {
        let (one, one_key) = first_pool(one, request)?;
        let (other, other_key) = first_pool(other, request)?;
        // Keys that differ need no look at a ring.
        Some(one_key == other_key && self.address(one, &one_key)? == self.address(other, &other_key)?)
    }

    /// The number of the address to which `pool` sends `key`.
    fn address(&self, pool: &Arc<Pool>, key: &[u8]) -> Option<usize> {
        let (_, numbers) = self.pools.iter().find(|(known, _)| Arc::ptr_eq(known, pool))?;
        numbers[pool.ring.pick(key)]
    }
}

/// The pool that `request` reaches first along `route`, and its key there.
fn first_pool<'r, 'k>(route: &'r Route, request: &Request<'k>) -> Option<(&'r Arc<Pool>, Cow<'k, [u8]>)> {
    let policy = match route {
        Route::Pool(pool) => return Some((pool, Cow::Borrowed(request.key))),
        Route::Policy(policy) => policy,
    };
    if let Some(to) = policy.kind.only_route(request) {
        return first_pool(to, request);
    }
    let (branch, key) = policy.kind.branches_of(request.key).into_iter().next()?;
    let there = Request {
        key: &key,
        ..*request
    };
    let (pool, key) = first_pool(branch.route, &there)?;
    Some((pool, Cow::Owned(key.into_owned())))
}

/// The addresses of all nodes of all pools of `route`.
fn addresses_of(route: &Route) -> impl Iterator<Item = Address> {
    route.pools().iter().flat_map(|pool| addresses(pool)).flatten()
}

/// The address of each node of `pool`; `None` for one in this process.
fn addresses(pool: &Pool) -> impl Iterator<Item = Option<Address>> {
    let nodes = pool.settings.nodes.iter();
    nodes.map(|node| canonical(&node.address))
}
