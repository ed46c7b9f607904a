//! `/missratio`: which share of a pool's reads would hit with more memory, or with less.

use hyper::StatusCode;
use serde::Serialize;

use super::response::{Answer, json};
use crate::insight::miss_ratio::Curve;
use crate::state::State;

/// The points of a curve: each is of twice the memory of the one before, and the last of twice that of all items.
const POINTS: i32 = 12;
/// The sizes that are looked at, as multiples of the present one.
const MORE: [f64; 4] = [0.5, 1.25, 1.5, 2.0];

#[derive(Debug, Serialize)]
struct MissRatios {
    pools: Vec<Shown>,
}

/// The curve of one pool, as this process sees it.
#[derive(Debug, Serialize)]
pub struct Shown {
    pool: String,
    /// The reads that it is drawn from; older ones count less.
    reads: f64,
    /// The share of them that hit; null before there were enough.
    hit_ratio: Option<f64>,
    /// The part of all keys that are followed.
    sampled_share: f64,
    /// The size of all items that were used, in bytes.
    item_bytes: f64,
    /// The memory that would hit as often as was measured; null if that is not known.
    present_bytes: Option<f64>,
    /// What other sizes than the present one would bring.
    changes: Vec<Change>,
    points: Vec<Point>,
}

#[derive(Debug, Serialize)]
struct Change {
    times: f64,
    #[serde(flatten)]
    point: Point,
}

#[derive(Debug, Serialize)]
struct Point {
    bytes: f64,
    hit_ratio: f64,
}

/// Answers.
pub fn answer(state: &State) -> Answer {
    json(StatusCode::OK, &MissRatios { pools: all(state) })
}

/// The curves of all pools that have one.
pub fn all(state: &State) -> Vec<Shown> {
    let curves = state.curves.lock().expect("no holder panics");
    curves.iter().map(|(pool, curve)| shown(pool, curve)).collect()
}

fn shown(pool: &str, curve: &Curve) -> Shown {
    let point = |bytes: f64| {
        let hit_ratio = curve.hit_ratio(bytes)?;
        Some(Point {
            bytes: bytes.round(),
            hit_ratio: (hit_ratio * 1e4).round() / 1e4,
        })
    };
    let items = curve.items();
    let present = curve.present();
    let changes = MORE.into_iter().filter_map(|times| {
        let point = point(present? * times)?;
        Some(Change { times, point })
    });
    let sizes = (0..POINTS).map(|step| items * 2_f64.powi(step + 2 - POINTS));
    Shown {
        pool: pool.to_owned(),
        reads: curve.reads().round(),
        hit_ratio: curve.measured(),
        sampled_share: curve.rate(),
        item_bytes: items.round(),
        present_bytes: present.map(f64::round),
        changes: changes.collect(),
        points: sizes.filter(|size| *size >= 1.0).filter_map(point).collect(),
    }
}
