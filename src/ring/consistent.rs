//! Circles whose points are hashes of `name-0`, `name-1`, …, one point each: libmemcached's unweighted
//! consistent distribution, the ring of memcached's proxy, spymemcached's with a hash other than MD5, and
//! dalli's.

use sha1::{Digest, Sha1};

use super::Hash;
use super::circle::{Circle, Points, Tie};
use super::names::RingMembers;

/// Returns the circle of the active `members`, with `points` for each on average, in proportion to their
/// weights.
pub(super) fn circle(members: &RingMembers, hash: Hash, points: u32, tie: Tie) -> Circle {
    let mut all = Points::default();
    for index in members.active() {
        let name = &members.names[index];
        let value = |number: u64| hash.digest(format!("{name}-{number}").as_bytes()) as u32;
        all.add(index, (0..count(members, index, points)).map(value));
    }
    all.close(tie)
}

/// Returns dalli's circle: points are the first four bytes of SHA-1, highest first, and the last point at
/// or *before* a hash owns it. Points are therefore stored as their complements, and hashes must be
/// complemented for a look-up.
pub(super) fn turned_circle_of_dalli(members: &RingMembers, points: u32) -> Circle {
    let total = members.total() as f64;
    let mut all = Points::default();
    for index in members.order.iter().copied() {
        // In 64-bit floating point, as dalli does: it rounds differently from integer arithmetic.
        let weighed = members.len() as u64 * u64::from(points) * u64::from(members.weights[index]);
        let count = (weighed as f64 / total).floor() as u64;
        let value = |number: u64| {
            let digest: [u8; 20] = Sha1::digest(format!("{}:{number}", members.names[index])).into();
            !u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
        };
        all.add(index, (0..count).map(value));
    }
    all.close(Tie::Last)
}

/// Returns the number of points for the member at `index`, rounded down.
fn count(members: &RingMembers, index: usize, points: u32) -> u64 {
    let weighed = u128::from(points) * members.len() as u128 * u128::from(members.weights[index]);
    (weighed / u128::from(members.total().max(1))) as u64
}
