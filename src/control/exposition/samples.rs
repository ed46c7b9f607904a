//! Converts the numbers of one metric to the types of the Prometheus encoder.

use std::collections::BTreeMap;

use prometheus::proto;

use super::{Metric, MetricKind, View, detail};
use crate::histogram::{BUCKETS, Histogram};

/// The samples of one metric.
#[derive(Debug)]
pub struct Samples {
    metric: &'static Metric,
    read: Vec<proto::Metric>,
    /// The number of bounds of histograms.
    bounds: usize,
    /// The sums over the nodes of a pool, by the other labels; `None` if each node has series of its own.
    sums: Option<BTreeMap<Vec<String>, Sum>>,
}

/// What several nodes have together.
#[derive(Debug, Default)]
struct Sum {
    value: f64,
    counts: [u64; BUCKETS],
}

/// Returns the family of `metric`; `None` if there are no samples, for example without embedded nodes.
pub(super) fn family(metric: &'static Metric, view: &View<'_>) -> Option<proto::MetricFamily> {
    let detail = detail::of(metric, view.snapshot.config.metrics)?;
    let mut samples = Samples {
        metric,
        read: Vec::new(),
        bounds: detail.bounds,
        sums: detail.is_summed.then(BTreeMap::new),
    };
    (metric.read)(view, &mut samples);
    samples.close();
    if samples.read.is_empty() {
        return None;
    }
    let mut family = proto::MetricFamily::default();
    family.set_name(metric.name.to_owned());
    family.set_help(metric.help.to_owned());
    family.set_field_type(match metric.kind {
        MetricKind::Counter => proto::MetricType::COUNTER,
        MetricKind::Gauge => proto::MetricType::GAUGE,
        MetricKind::Histogram => proto::MetricType::HISTOGRAM,
    });
    family.set_metric(samples.read);
    Some(family)
}

impl Samples {
    /// Adds a number with the values of the metric's labels, in their order.
    pub fn put(&mut self, labels: &[&str], value: f64) {
        match self.sum(labels) {
            Some(sum) => sum.value += value,
            None => self.put_number(self.metric.labels, labels, value),
        }
    }

    /// Adds the sum of `histograms`, one for each worker.
    pub fn put_histogram<'a>(&mut self, labels: &[&str], histograms: impl Iterator<Item = &'a Histogram>) {
        let mut all = Sum::default();
        let sum = match self.sum(labels) {
            Some(sum) => sum,
            None => &mut all,
        };
        for histogram in histograms {
            sum.value += histogram.sum();
            for (total, count) in sum.counts.iter_mut().zip(histogram.counts()) {
                *total += count;
            }
        }
        if self.sums.is_none() {
            self.put_counts(self.metric.labels, labels, &all);
        }
    }

    /// Returns the sum that a sample with `labels` is part of, if there are sums.
    fn sum(&mut self, labels: &[&str]) -> Option<&mut Sum> {
        let sums = self.sums.as_mut()?;
        let kept = self.metric.labels.iter().zip(labels);
        let kept = kept.filter(|(name, _)| **name != detail::NODE);
        let key = kept.map(|(_, value)| (*value).to_owned()).collect();
        Some(sums.entry(key).or_default())
    }

    /// Adds the samples of the sums.
    fn close(&mut self) {
        let names = self.metric.labels.iter().copied();
        let names: Vec<&str> = names.filter(|name| *name != detail::NODE).collect();
        for (labels, sum) in self.sums.take().unwrap_or_default() {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            match self.metric.kind {
                MetricKind::Histogram => self.put_counts(&names, &labels, &sum),
                MetricKind::Counter | MetricKind::Gauge => self.put_number(&names, &labels, sum.value),
            }
        }
    }

    fn put_number(&mut self, names: &[&str], labels: &[&str], value: f64) {
        let mut sample = labelled(names, labels);
        match self.metric.kind {
            MetricKind::Counter => {
                let mut counter = proto::Counter::default();
                counter.set_value(value);
                sample.set_counter(counter);
            }
            MetricKind::Gauge | MetricKind::Histogram => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(value);
                sample.set_gauge(gauge);
            }
        }
        self.read.push(sample);
    }

    fn put_counts(&mut self, names: &[&str], labels: &[&str], Sum { value, counts }: &Sum) {
        let mut cumulated = 0;
        let mut buckets = Vec::with_capacity(self.bounds);
        for (index, count) in counts.iter().enumerate() {
            cumulated += count;
            // The last bucket has no bound and is the count of all: the encoder adds it.
            let bound = Histogram::bound(index).filter(|_| detail::has_bound(index, self.bounds));
            let Some(bound) = bound else {
                continue;
            };
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(cumulated);
            buckets.push(bucket);
        }
        let mut shown = proto::Histogram::default();
        shown.set_sample_count(cumulated);
        shown.set_sample_sum(*value);
        shown.set_bucket(buckets);
        let mut sample = labelled(names, labels);
        sample.set_histogram(shown);
        self.read.push(sample);
    }
}

fn labelled(names: &[&str], values: &[&str]) -> proto::Metric {
    debug_assert_eq!(values.len(), names.len(), "{names:?}");
    let pair = |(name, value): (&&str, &&str)| {
        let mut pair = proto::LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    proto::Metric::from_label(names.iter().zip(values).map(pair).collect())
}
