//! Jump consistent hash (Lamping and Veach): one of `count` buckets without a table.
//!
//! Buckets are numbered: only one at the end can come or go without moving the keys of others.

/// Returns the bucket of `hash`; `count` must be at least 1.
pub(super) fn jump(mut hash: u64, count: usize) -> usize {
    let (mut bucket, mut next) = (0, 0);
    while next < count as u64 {
        bucket = next;
        hash = hash.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        // The product is less than 2^64: a bucket is less than 2^32, and the quotient at most 2^31.
        next = ((bucket + 1) as f64 * ((1u64 << 31) as f64 / ((hash >> 33) + 1) as f64)) as u64;
    }
    bucket as usize
}
