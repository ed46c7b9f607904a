//! The miss-ratio curve: against an exact simulation of a cache that drops what was not used for longest, and of a real
//! memcached.

use std::collections::{BTreeMap, HashMap};

use ringway::insight::miss_ratio::{Curve, MAX_KEYS, Use, hash};
use serde_json::Value;

use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, pool, wait_for};

const HEADER: u64 = 56;

/// A load: keys by number whose popularity follows Zipf's law, each with a value of its own size.
struct Load {
    sums: Vec<f64>,
    random: fastrand::Rng,
}

impl Load {
    fn new(keys: usize, exponent: f64, seed: u64) -> Load {
        let weights = (1..=keys).map(|rank| (rank as f64).powf(-exponent));
        let sums = weights.scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Load {
            sums: sums.collect(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    fn next(&mut self) -> usize {
        let drawn = self.random.f64() * self.sums[self.sums.len() - 1];
        self.sums.partition_point(|&sum| sum < drawn)
    }
}

/// From 100 to about 4000 bytes, as the key says.
fn size(key: usize) -> u64 {
    100 + (hash(&key.to_le_bytes()) % 64).pow(2)
}

fn name(key: usize) -> String {
    format!("item:{key}")
}

fn item(key: usize) -> u64 {
    size(key) + name(key).len() as u64 + HEADER
}

/// The share of `reads` that hit in a cache of `memory` bytes, exactly: a miss is followed by a write.
fn exact(reads: &[usize], memory: u64) -> f64 {
    let (mut places, mut order) = (HashMap::<usize, usize>::new(), BTreeMap::<usize, usize>::new());
    let (mut held, mut hits) = (0, 0);
    for (time, &key) in reads.iter().enumerate() {
        match places.insert(key, time) {
            Some(before) => {
                order.remove(&before);
                hits += 1;
            }
            None => held += item(key),
        }
        order.insert(time, key);
        while held > memory {
            let (_, oldest) = order.pop_first().expect("something is held");
            places.remove(&oldest);
            held -= item(oldest);
        }
    }
    f64::from(hits) / reads.len() as f64
}

fn curve(reads: &[usize]) -> Curve {
    let mut curve = Curve::default();
    for &key in reads {
        let name = name(key);
        let hash = hash(name.as_bytes());
        if hash < curve.below() {
            curve.learn(hash, name.len(), Use::Read(Some(size(key))));
        }
    }
    curve.count(reads.len() as u64, reads.len() as u64 / 2);
    curve
}

#[test]
fn the_curve_is_that_of_an_exact_simulation_within_two_percent() {
    for (keys, exponent) in [(3_000, 0.9), (30_000, 0.7), (60_000, 1.0)] {
        let mut load = Load::new(keys, exponent, 7);
        let reads: Vec<usize> = (0..150_000).map(|_| load.next()).collect();
        let curve = curve(&reads);
        assert!(curve.held() <= 1 << 20, "{} bytes", curve.held());
        let is_sampled = curve.rate() < 1.0;
        assert_eq!(is_sampled, keys > MAX_KEYS, "{}", curve.rate());
        let all: u64 = (0..keys).map(item).sum();
        let sizes: Vec<u64> = (1..=7).map(|step| all / 128 * (1 << step)).collect();
        let errors = sizes.iter().map(|&memory| {
            let found = curve.hit_ratio(memory as f64).expect("there were enough reads");
            (found - exact(&reads, memory)).abs()
        });
        let errors: Vec<f64> = errors.collect();
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        assert!(mean <= 0.02, "{keys} keys, exponent {exponent}: {errors:?}");
    }
}

#[test]
fn what_is_deleted_takes_no_memory_and_few_reads_say_nothing() {
    let mut curve = Curve::default();
    assert_eq!((curve.hit_ratio(1e9), curve.measured()), (None, None));
    for key in 0..1000_u64 {
        let hash = hash(&key.to_le_bytes());
        curve.learn(hash, 8, Use::Write(1000));
        curve.learn(hash, 8, Use::Delete);
    }
    assert_eq!(curve.items(), 0.0);
    curve.count(2000, 500);
    assert_eq!(curve.measured(), Some(0.25));
}

fn curves(running: &Ringway) -> Value {
    let (status, body) = running.get("/missratio");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

#[test]
fn a_pool_that_asks_for_it_has_a_curve_that_says_what_more_memory_would_bring() {
    const KEYS: usize = 4000;
    let node = Memcached::start_with(&["-m", "64"]);
    let off = Ringway::start(&pool(&[node.address()], &[]));
    assert_eq!(curves(&off)["pools"], serde_json::json!([]));
    let running = Ringway::start(&pool(&[node.address()], &["insight: {miss_ratio: true}"]));
    let mut client = running.client();
    wait_for("keys to be followed", || {
        curves(&running)["pools"][0]["sampled_share"] == 1.0
    });
    let mut load = Load::new(KEYS, 0.8, 3);
    let reads: Vec<usize> = (0..8000).map(|_| load.next()).collect();
    let mut found = Value::Null;
    for (index, &key) in reads.iter().enumerate() {
        if client.get(&name(key)).is_none() {
            client.set(&name(key), "v".repeat(size(key) as usize));
        }
        // What a worker notes in a second is bounded.
        let count = index + 1;
        if count % 2000 == 0 {
            wait_for("all reads to be learnt", || {
                found = curves(&running)["pools"][0].clone();
                found["reads"]
                    .as_f64()
                    .is_some_and(|reads| reads >= 0.99 * count as f64)
            });
        }
    }
    let points = found["points"].as_array().expect("a list");
    let measured = found["hit_ratio"].as_f64().expect("a number");
    let errors: Vec<f64> = points
        .iter()
        .map(|point| {
            let memory = point["bytes"].as_f64().expect("a number") as u64;
            (point["hit_ratio"].as_f64().expect("a number") - exact(&reads, memory)).abs()
        })
        .collect();
    assert!(errors.len() >= 8, "{found}");
    assert!(
        errors.iter().sum::<f64>() / errors.len() as f64 <= 0.02,
        "{errors:?}"
    );
    // Everything fits into the node, so more memory would bring nothing, and the largest point is what was measured.
    let last = points.last().expect("a point")["hit_ratio"]
        .as_f64()
        .expect("a number");
    assert!((last - measured).abs() <= 0.02, "{last} {measured}");
    let (_, status) = running.get("/status");
    let status: Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["miss_ratios"][0]["pool"], "main");
}
