//! Limits the connections of the admin listener, without letting a client occupy all places.
//!
//! ```text
//! a new connection ─┬─ a place is free ─────────────────────────▶ takes it
//!                   ├─ one is idle, slow, or not read from ─────▶ the oldest of those makes way
//!                   └─ all are being answered ──▶ a reserved place: /livez and /readyz only
//! ```
//!
//! Connections never wait in the kernel's queue, where a probe of the kubelet would time out behind clients
//! that do nothing.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::task::AbortHandle;
use tokio::time::Instant;

/// The maximum number of ordinary connections.
pub const ORDINARY: usize = 64;
/// The number of further places reserved for `/livez` and `/readyz`.
pub const KEPT: usize = 8;

/// All places.
#[derive(Debug, Default)]
pub struct Places(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    /// At most `ORDINARY` that are not reserved, and `KEPT` that are.
    taken: Vec<TakenPlace>,
}

#[derive(Debug)]
struct TakenPlace {
    id: u64,
    is_kept: bool,
    /// Whether an answer is being made: such a connection is not closed.
    is_busy: bool,
    /// When it was accepted, or when its last request arrived.
    since: Instant,
    task: Option<AbortHandle>,
}

/// The place of one connection; free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    id: u64,
    /// Whether it is one of those reserved for `/livez` and `/readyz`.
    pub is_kept: bool,
}

impl Places {
    /// Takes a place, and returns whether another connection was closed for it. `None` if all are busy.
    pub fn take(self: &Arc<Places>, now: Instant) -> Option<(Place, bool)> {
        let mut inner = self.inner();
        let (is_kept, made_way) = [(false, ORDINARY), (true, KEPT)]
            .into_iter()
            .find_map(|(is_kept, max)| Some((is_kept, inner.make_room(is_kept, max)?)))?;
        let id = inner.next;
        inner.next += 1;
        inner.taken.push(TakenPlace {
            id,
            is_kept,
            is_busy: false,
            since: now,
            task: None,
        });
        let places = self.clone();
        Some((Place { places, id, is_kept }, made_way))
    }

    /// Sets the task that serves the connection in the place `id`, so that it can be aborted.
    pub fn serve(&self, id: u64, task: AbortHandle) {
        if let Some(taken) = self.inner().find(id) {
            taken.task = Some(task);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no holder panics")
    }
}

impl Inner {
    /// Ensures that a place of a kind is free, and returns whether a connection was closed for it. `None`
    /// if all are busy.
    fn make_room(&mut self, is_kept: bool, max: usize) -> Option<bool> {
        let alike = self.taken.iter().enumerate();
        let alike = alike.filter(|(_, taken)| taken.is_kept == is_kept);
        if alike.clone().count() < max {
            return Some(false);
        }
        let idle = alike.filter(|(_, taken)| !taken.is_busy);
        let (oldest, _) = idle.min_by_key(|(_, taken)| taken.since)?;
        if let Some(task) = self.taken.swap_remove(oldest).task {
            task.abort();
        }
        Some(true)
    }

    fn find(&mut self, id: u64) -> Option<&mut TakenPlace> {
        self.taken.iter_mut().find(|taken| taken.id == id)
    }
}

impl Place {
    /// Its number, for [`Places::serve`].
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Records that a request arrived and is being answered.
    pub fn begin(&self, now: Instant) {
        if let Some(taken) = self.places.inner().find(self.id) {
            taken.is_busy = true;
            taken.since = now;
        }
    }

    /// Records that the answer is made; the client has yet to read it.
    pub fn finish(&self) {
        if let Some(taken) = self.places.inner().find(self.id) {
            taken.is_busy = false;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.inner().taken.retain(|taken| taken.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn taken(places: &Places) -> Vec<u64> {
        let mut ids: Vec<u64> = places.inner().taken.iter().map(|taken| taken.id).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn the_connection_that_was_idle_longest_makes_way_and_a_busy_one_never() {
        let places = Arc::new(Places::default());
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let held: Vec<Place> = (0..ORDINARY as u64)
            .map(|n| places.take(at(n)).expect("a place is free"))
            .map(|(place, made_way)| {
                assert!(!made_way && !place.is_kept);
                place
            })
            .collect();
        held[0].begin(at(100));
        held[1].begin(at(101));
        held[1].finish();
        let (newest, made_way) = places.take(at(102)).expect("2 makes way");
        assert!(made_way && !newest.is_kept);
        let left = taken(&places);
        assert!(left.contains(&0) && left.contains(&1) && !left.contains(&2));
        drop(newest);
        let (next, made_way) = places.take(at(103)).expect("a place is free again");
        assert!(!made_way);
        drop((held, next));
        assert_eq!(taken(&places), [0_u64; 0]);
    }

    #[test]
    fn where_all_are_busy_there_are_kept_places_whose_oldest_makes_way_too() {
        let places = Arc::new(Places::default());
        let now = Instant::now();
        let take = || {
            places
                .take(now)
                .map(|(place, made_way)| (place.is_kept, made_way, place))
        };
        let busy = |count: usize| -> Vec<Place> {
            let taken = (0..count).map(|_| take().expect("a place").2);
            taken.inspect(|place| place.begin(now)).collect()
        };
        let _ordinary = busy(ORDINARY);
        let kept: Vec<_> = (0..KEPT).map(|_| take().expect("a kept place")).collect();
        assert!(kept.iter().all(|(is_kept, made_way, _)| *is_kept && !made_way));
        let (is_kept, made_way, newest) = take().expect("the oldest kept one makes way");
        assert!(is_kept && made_way);
        newest.begin(now);
        let _rest = busy(KEPT - 1);
        assert!(take().is_none(), "all are busy");
    }
}
