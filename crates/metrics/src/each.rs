use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::marker::PhantomData;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use mail::QueueId;
use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Names of labels with their values.
pub(crate) type Labels = Vec<(&'static str, Arc<str>)>;

pub(crate) type Counters = Family<Labels, Counter>;

pub(crate) type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// Those whose buckets name the last message that fell into each.
pub(crate) type Examples = Family<Labels, Example, fn() -> Example>;

/// One of them.
pub(crate) type Example = HistogramWithExemplars<[(&'static str, Named); 1]>;

/// A message, as the label of an exemplar.
#[derive(Debug)]
pub(crate) struct Named(QueueId);

impl EncodeLabelValue for Named {
    fn encode(&self, to: &mut LabelValueEncoder<'_>) -> fmt::Result {
        write!(to, "{}", self.0)
    }
}

/// What is measured of a message.
pub(crate) fn observe(histogram: &Example, took: Duration, id: QueueId) {
    let example = [("queue_id", Named(id))];
    histogram.observe(took.as_secs_f64(), Some(example), None);
}

/// A family of counters; its name has `_total` behind it on the page.
pub(crate) fn counters(registry: &mut Registry, name: &str, help: &str) -> Counters {
    let counters = Counters::default();
    registry.register(name, help, counters.clone());
    counters
}

pub(crate) fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

pub(crate) fn histograms(
    registry: &mut Registry,
    name: &str,
    help: &str,
    make: fn() -> Histogram,
) -> Histograms {
    let histograms = Histograms::new_with_constructor(make);
    registry.register(name, help, histograms.clone());
    histograms
}

pub(crate) fn examples(
    registry: &mut Registry,
    name: &str,
    help: &str,
    make: fn() -> Example,
) -> Examples {
    let examples = Examples::new_with_constructor(make);
    registry.register(name, help, examples.clone());
    examples
}

pub(crate) fn histogram(
    registry: &mut Registry,
    name: &str,
    help: &str,
    make: fn() -> Histogram,
) -> Histogram {
    let histogram = make();
    registry.register(name, help, histogram.clone());
    histogram
}

/// The values of one label, as an enumeration.
pub(crate) trait Word: Copy + PartialEq + 'static {
    const ALL: &'static [Self];

    /// The value.
    fn word(self) -> &'static str;
}

/// A counter for each value of a label.
#[derive(Debug)]
pub(crate) struct Each<W> {
    counters: Box<[Counter]>,
    words: PhantomData<W>,
}

impl<W: Word> Each<W> {
    /// Those of `family` with these `labels` and the label `name` beside them, at 0.
    pub(crate) fn new(family: &Counters, labels: &Labels, name: &'static str) -> Self {
        let counter = |word: &W| {
            let mut labels = labels.clone();
            labels.push((name, word.word().into()));
            family.get_or_create_owned(&labels)
        };
        Self {
            counters: W::ALL.iter().map(counter).collect(),
            words: PhantomData,
        }
    }

    pub(crate) fn inc(&self, word: W) {
        let mut all = W::ALL.iter().zip(&self.counters);
        if let Some((_, counter)) = all.find(|(one, _)| **one == word) {
            counter.inc();
        }
    }
}

/// The counters of each listener, or of each route, found once for all that one fact counts.
#[derive(Debug)]
pub(crate) struct Table<T> {
    rows: RwLock<HashMap<Arc<str>, T>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: RwLock::default(),
        }
    }
}

impl<T> Table<T> {
    /// Makes the row of each name that has none. None is ever taken away: a counter that is gone
    /// for a while has lost what it counted.
    pub(crate) fn know(&self, names: impl Iterator<Item = Arc<str>>, make: impl Fn(&str) -> T) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            rows.entry(name).or_insert_with_key(|name| make(name));
        }
    }

    /// Has it counted, unless nobody knows the name.
    pub(crate) fn count(&self, name: &str, count: impl FnOnce(&T)) {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = rows.get(name) {
            count(row);
        }
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        rows.contains_key(name)
    }

    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        rows.keys().cloned().collect()
    }
}
