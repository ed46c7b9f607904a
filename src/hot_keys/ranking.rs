//! The hottest keys of the process: the summaries of all workers, merged.

use std::collections::HashMap;

use super::Figures;
use super::sampler::{Rate, Summary};
use crate::protocol::fingerprint;

/// What makes a key hot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Its requests.
    Requests,
    /// Its bytes.
    Bytes,
}

/// The hottest keys and prefixes of the last seconds.
#[derive(Debug, Default)]
pub struct Ranking {
    keys: Vec<HotKey>,
    prefixes: Vec<HotKey>,
    totals: HashMap<u32, Figures>,
}

/// A hot key or a hot prefix.
#[derive(Debug, Clone)]
pub struct HotKey {
    /// The fingerprint of its pool's name.
    pub pool: u32,
    /// The key, or the prefix with the delimiter that ends it.
    pub key: Box<[u8]>,
    /// By the second.
    pub rate: Figures,
    /// The same of its whole pool.
    pub total: Figures,
}

impl Order {
    /// Every order, with its name in queries and metrics.
    pub const ALL: [(Order, &'static str); 2] = [(Order::Requests, "requests"), (Order::Bytes, "bytes")];

    /// Returns what counts in this order.
    pub fn of(self, figures: &Figures) -> f64 {
        match self {
            Order::Requests => figures.requests(),
            Order::Bytes => figures.bytes(),
        }
    }
}

impl HotKey {
    /// The part of its pool's requests or bytes, from 0 to 1.
    pub fn share(&self, order: Order) -> f64 {
        let total = order.of(&self.total);
        if total > 0.0 {
            (order.of(&self.rate) / total).min(1.0)
        } else {
            0.0
        }
    }
}

impl Ranking {
    /// Merges the summaries of all workers.
    pub fn merge<'a>(summaries: impl Iterator<Item = &'a Summary> + Clone) -> Ranking {
        let mut totals = HashMap::<u32, Figures>::new();
        for (pool, total) in summaries.clone().flat_map(|summary| &summary.totals) {
            *totals.entry(*pool).or_default() += *total;
        }
        Ranking {
            keys: sum(summaries.clone().map(|summary| &summary.keys), &totals),
            prefixes: sum(summaries.map(|summary| &summary.prefixes), &totals),
            totals,
        }
    }

    /// The hottest keys, of all pools or of the one called `pool`, the first first.
    pub fn keys(&self, order: Order, pool: Option<&str>) -> Vec<&HotKey> {
        ranked(&self.keys, order, pool)
    }

    /// The hottest prefixes.
    pub fn prefixes(&self, order: Order, pool: Option<&str>) -> Vec<&HotKey> {
        ranked(&self.prefixes, order, pool)
    }

    /// All requests of the pool called `pool`, by the second.
    pub fn total(&self, pool: &str) -> Figures {
        let total = self.totals.get(&fingerprint(pool.as_bytes()));
        total.copied().unwrap_or_default()
    }
}

fn sum<'a>(summaries: impl Iterator<Item = &'a Vec<Rate>>, totals: &HashMap<u32, Figures>) -> Vec<HotKey> {
    let mut all = HashMap::<(u32, &[u8]), Figures>::new();
    for rates in summaries {
        let mut own = HashMap::<(u32, &[u8]), Figures>::new();
        for rate in rates {
            // A key may be hot by requests and by bytes; each sketch may have missed some of it.
            let known = own.entry((rate.pool, &rate.key)).or_default();
            *known = known.max(rate.figures);
        }
        for (key, figures) in own {
            *all.entry(key).or_default() += figures;
        }
    }
    let keys = all.into_iter().map(|((pool, key), rate)| HotKey {
        pool,
        key: key.into(),
        rate,
        total: totals.get(&pool).copied().unwrap_or_default(),
    });
    keys.collect()
}

fn ranked<'a>(keys: &'a [HotKey], order: Order, pool: Option<&str>) -> Vec<&'a HotKey> {
    let pool = pool.map(|name| fingerprint(name.as_bytes()));
    let mut keys: Vec<&HotKey> = keys
        .iter()
        .filter(|key| pool.is_none_or(|pool| key.pool == pool))
        .collect();
    keys.sort_by(|one, other| {
        let by_rate = order.of(&other.rate).total_cmp(&order.of(&one.rate));
        by_rate.then_with(|| one.key.cmp(&other.key))
    });
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hot_keys::{Access, Sampler};

    const KEYS: usize = 20_000;
    const SECONDS: u64 = 30;
    const RATE: u64 = 60_000;

    /// Cumulated shares of keys whose popularity follows Zipf's law.
    fn zipf(exponent: f64) -> Vec<f64> {
        let mut sum = 0.0;
        let sums: Vec<f64> = (1..=KEYS)
            .map(|rank| {
                sum += (rank as f64).powf(-exponent);
                sum
            })
            .collect();
        sums.iter().map(|part| part / sum).collect()
    }

    #[test]
    fn the_true_top_ten_is_found_with_rates_that_are_right() {
        for (workers, exponent) in [(1, 1.0), (2, 1.0), (1, 1.2), (2, 1.2)] {
            let samplers: Vec<Sampler> = (0..workers).map(|_| Sampler::new(workers)).collect();
            let (shares, mut random) = (zipf(exponent), fastrand::Rng::with_seed(42));
            let mut ranking = Ranking::default();
            for second in 1..=SECONDS {
                for request in 0..RATE {
                    let drawn = random.f64();
                    let key = shares.partition_point(|&share| share < drawn);
                    let sampler = &samplers[request as usize % workers];
                    if sampler.is_due() {
                        sampler.record("main", format!("key:{key}").as_bytes(), Access::Read, 100);
                    }
                }
                let summaries: Vec<Summary> = samplers
                    .iter()
                    .map(|sampler| sampler.summarize(second * 1_000_000))
                    .collect();
                ranking = Ranking::merge(summaries.iter());
            }
            let found = ranking.keys(Order::Requests, Some("main"));
            let total = ranking.total("main").requests();
            assert!((total / RATE as f64 - 1.0).abs() < 0.02, "{total}");
            let mut recalled = 0;
            for rank in 0..10 {
                let key = format!("key:{rank}");
                let truth =
                    RATE as f64 * (shares[rank] - rank.checked_sub(1).map_or(0.0, |before| shares[before]));
                let place = found.iter().position(|hot| *hot.key == *key.as_bytes());
                let place = place.unwrap_or_else(|| panic!("{key} of {workers} workers is missing"));
                let rate = found[place].rate.requests();
                assert!(
                    (rate / truth - 1.0).abs() < 0.1,
                    "{workers} {exponent} {key}: {rate}, not {truth}"
                );
                recalled += usize::from(place < 10);
            }
            assert_eq!(recalled, 10, "{workers} {exponent}");
        }
    }

    #[test]
    fn a_pipeline_that_repeats_shows_all_its_keys() {
        let sampler = Sampler::default();
        for request in 0..160_000 {
            if sampler.is_due() {
                sampler.record(
                    "main",
                    format!("key:{}", request % 16).as_bytes(),
                    Access::Read,
                    0,
                );
            }
        }
        let ranking = Ranking::merge([sampler.summarize(1_000_000)].iter());
        let keys = ranking.keys(Order::Requests, None);
        assert_eq!(keys.len(), 16);
        assert!(
            keys.iter().all(|key| (key.rate.reads / 1e4 - 1.0).abs() < 0.2),
            "{keys:?}"
        );
    }

    #[test]
    fn bytes_writes_prefixes_and_pools_are_apart() {
        let sampler = Sampler::default();
        sampler.set_delimiter(Some(b':'));
        let record = |pool, key: &str, access, bytes, times| {
            (0..times).for_each(|_| sampler.record(pool, key.as_bytes(), access, bytes));
        };
        record("a", "user:1", Access::Read, 4, 30);
        record("a", "user:2", Access::Write, 4, 20);
        record("a", "big", Access::Read, 1_000_000, 1);
        record("b", "user:1", Access::Read, 4, 5);
        record("b", "", Access::Write, 0, 99);
        let ranking = Ranking::merge([sampler.summarize(1_000_000)].iter());
        let names = |keys: Vec<&HotKey>| -> Vec<String> {
            keys.iter()
                .map(|hot| String::from_utf8_lossy(&hot.key).into_owned())
                .collect()
        };
        assert_eq!(
            names(ranking.keys(Order::Requests, Some("a"))),
            ["user:1", "user:2", "big"]
        );
        assert_eq!(
            names(ranking.keys(Order::Bytes, Some("a"))),
            ["big", "user:1", "user:2"]
        );
        assert_eq!(names(ranking.keys(Order::Requests, Some("b"))), ["user:1"]);
        assert_eq!(names(ranking.prefixes(Order::Requests, Some("a"))), ["user:"]);
        let first = ranking.keys(Order::Requests, Some("a"))[0];
        assert_eq!(
            (first.rate.reads, first.rate.writes, first.rate.read_bytes),
            (480.0, 0.0, 4800.0)
        );
        assert!((first.share(Order::Requests) - 30.0 / 51.0).abs() < 1e-9);
        assert_eq!(ranking.prefixes(Order::Requests, Some("a"))[0].rate.writes, 320.0);
    }

    #[test]
    fn eight_workers_and_what_they_report_fit_into_2_mib() {
        for workers in [1, 2, 4, 8] {
            let held = workers * Sampler::new(workers).held();
            // Each key that is reported may be as long as a key can be, and is in the ranking, too.
            let reported = workers * 2 * (64 + 16) * (250 + size_of::<Rate>() + size_of::<HotKey>() + 250);
            assert!(held + reported <= 2 << 20, "{workers}: {held} + {reported}");
        }
    }
}
