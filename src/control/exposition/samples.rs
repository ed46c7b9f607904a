//! Converts the numbers of one metric to the types of the Prometheus encoder.

use prometheus::proto;

use super::{Metric, MetricKind, View};
use crate::histogram::{BUCKETS, Histogram};

/// The samples of one metric.
#[derive(Debug)]
pub struct Samples {
    metric: &'static Metric,
    read: Vec<proto::Metric>,
}

/// Returns the family of `metric`; `None` if there are no samples, for example without embedded nodes.
pub(super) fn family(metric: &'static Metric, view: &View<'_>) -> Option<proto::MetricFamily> {
    let mut samples = Samples {
        metric,
        read: Vec::new(),
    };
    (metric.read)(view, &mut samples);
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
        let mut sample = self.labelled(labels);
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

    /// Adds the sum of `histograms`, one for each worker.
    pub fn put_histogram<'a>(&mut self, labels: &[&str], histograms: impl Iterator<Item = &'a Histogram>) {
        let mut counts = [0; BUCKETS];
        let mut sum = 0.0;
        for histogram in histograms {
            sum += histogram.sum();
            for (total, count) in counts.iter_mut().zip(histogram.counts()) {
                *total += count;
            }
        }
        let mut cumulated = 0;
        let mut buckets = Vec::with_capacity(BUCKETS);
        for (index, count) in counts.into_iter().enumerate() {
            cumulated += count;
            // The last bucket has no bound and is the count of all: the encoder adds it.
            let Some(bound) = Histogram::bound(index) else {
                break;
            };
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(cumulated);
            buckets.push(bucket);
        }
        let mut shown = proto::Histogram::default();
        shown.set_sample_count(cumulated);
        shown.set_sample_sum(sum);
        shown.set_bucket(buckets);
        let mut sample = self.labelled(labels);
        sample.set_histogram(shown);
        self.read.push(sample);
    }

    fn labelled(&self, values: &[&str]) -> proto::Metric {
        debug_assert_eq!(values.len(), self.metric.labels.len(), "{}", self.metric.name);
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        proto::Metric::from_label(self.metric.labels.iter().zip(values).map(pair).collect())
    }
}
