//! The names of metrics in rules, dashboards and pages.

use ringway::control::exposition::metrics;

/// Whether Ringway exposes a metric of this name, or a histogram that this is a series of.
pub fn is_metric(name: &str) -> bool {
    let base = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix));
    metrics().any(|metric| metric.name == name || Some(metric.name) == base)
}

/// The names in `text` that look like metrics of Ringway. The names of its Debian packages have a digit in that place.
pub fn metrics_in(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
        .filter(|word| {
            let name = word.strip_prefix("ringway_");
            name.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        })
}
