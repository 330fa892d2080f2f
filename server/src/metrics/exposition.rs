//! Families of metrics as Prometheus reads them, in its text format 0.0.4.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use prometheus::{TEXT_FORMAT, TextEncoder};
use warren_core::metrics::Histogram as Counted;

/// What the text is, as HTTP says it.
pub(super) const CONTENT_TYPE: &str = TEXT_FORMAT;

/// What tells a sample from others of its family.
pub(super) type Labels = Vec<LabelPair>;

/// A label.
pub(super) fn label(name: &str, value: impl Into<String>) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.into());
    pair
}

/// A text that grows by whole families. All names begin alike.
pub(super) struct Exposition {
    prefix: &'static str,
    text: String,
}

impl Exposition {
    /// An empty one.
    pub(super) fn new(prefix: &'static str) -> Self {
        Self { prefix, text: String::new() }
    }

    /// From here on names begin like this.
    pub(super) fn set_prefix(&mut self, prefix: &'static str) {
        self.prefix = prefix;
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// What only ever grows.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.counters(name, help, [(Labels::new(), value as f64)]);
    }

    /// What is as it is now.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.gauges(name, help, [(Labels::new(), value as f64)]);
    }

    /// What only ever grows: the name of each, and what it is.
    pub(super) fn counter_list(&mut self, list: &[(&str, &str, u64)]) {
        list.iter().for_each(|(name, help, value)| self.counter(name, help, *value));
    }

    /// What is as it is now: the name of each, and what it is.
    pub(super) fn gauge_list(&mut self, list: &[(&str, &str, u64)]) {
        list.iter().for_each(|(name, help, value)| self.gauge(name, help, *value));
    }

    /// The same of several; a family without any is left out.
    pub(super) fn counters(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let metric = |(labels, value)| {
            let (mut metric, mut counter) = (Metric::from_label(labels), Counter::default());
            counter.set_value(value);
            metric.set_counter(counter);
            metric
        };
        self.add(name, help, MetricType::COUNTER, samples.into_iter().map(metric).collect());
    }

    /// The same of several; a family without any is left out.
    pub(super) fn gauges(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let metric = |(labels, value)| {
            let (mut metric, mut gauge) = (Metric::from_label(labels), Gauge::default());
            gauge.set_value(value);
            metric.set_gauge(gauge);
            metric
        };
        self.add(name, help, MetricType::GAUGE, samples.into_iter().map(metric).collect());
    }

    /// What was counted by size. `unit` is what one of the unit that it is told in is here.
    pub(super) fn histogram<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: Labels,
        counted: &Counted<N>,
        unit: f64,
    ) {
        let buckets = counted.cumulative().map(|(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound as f64 / unit);
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(counted.count());
        histogram.set_sample_sum(counted.sum() as f64 / unit);
        let mut metric = Metric::from_label(labels);
        metric.set_histogram(histogram);
        self.add(name, help, MetricType::HISTOGRAM, vec![metric]);
    }

    fn add(&mut self, name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) {
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(format!("{}{name}", self.prefix));
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        let encoded = TextEncoder::new().encode_utf8(&[family], &mut self.text);
        encoded.expect("it has a name and a metric");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_as_prometheus_reads_them() {
        let mut exposition = Exposition::new("a_");
        exposition.counter("b_total", "Bs.", 3);
        let labels = vec![label("queue", "q\"\\\n"), label("vhost", "/")];
        exposition.gauges("c", "Cs.", [(labels, 1.5)]);
        exposition.gauges("none", "None.", []);
        let mut counted = Counted::new([1, 10]);
        [1, 5, 50].into_iter().for_each(|value| counted.note(value));
        exposition.set_prefix("d_");
        exposition.histogram("e_seconds", "Es.", vec![label("p", "x")], &counted, 10.0);
        let expected = "\
            # HELP a_b_total Bs.\n# TYPE a_b_total counter\na_b_total 3\n\
            # HELP a_c Cs.\n# TYPE a_c gauge\na_c{queue=\"q\\\"\\\\\\n\",vhost=\"/\"} 1.5\n\
            # HELP d_e_seconds Es.\n# TYPE d_e_seconds histogram\n\
            d_e_seconds_bucket{p=\"x\",le=\"0.1\"} 1\n\
            d_e_seconds_bucket{p=\"x\",le=\"1\"} 2\n\
            d_e_seconds_bucket{p=\"x\",le=\"+Inf\"} 3\n\
            d_e_seconds_sum{p=\"x\"} 5.6\nd_e_seconds_count{p=\"x\"} 3\n";
        assert_eq!(exposition.into_text(), expected);
    }
}
