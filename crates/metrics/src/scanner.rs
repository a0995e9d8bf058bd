use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use screening::Class;

use crate::each::{Counters, Each, Histograms, Labels, counters, histograms};

/// The label by which they are told apart: the name of `[scanner.NAME]`.
pub(crate) const SCANNER: &str = "scanner";

/// What is counted for each scanner.
#[derive(Debug)]
pub(crate) struct ScannerFamilies {
    results: Counters,
    times: Histograms,
}

impl ScannerFamilies {
    pub(crate) fn register(to: &mut Registry) -> Self {
        Self {
            results: counters(
                to,
                "gatepost_scanner_results",
                "What scanners said of messages, as rules name it; `error`: there was no answer",
            ),
            times: histograms(
                to,
                "gatepost_scanner_duration_seconds",
                "Time until a scanner answered for a message, or was given up, its turn included",
                || Histogram::new([0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]),
            ),
        }
    }
}

/// The counters of one scanner.
#[derive(Debug)]
pub(crate) struct ScannerCounters {
    pub(crate) results: Each<Class>,
    pub(crate) times: Histogram,
}

impl ScannerCounters {
    pub(crate) fn new(of: &ScannerFamilies, name: &str) -> Self {
        let labels: Labels = vec![(SCANNER, name.into())];
        Self {
            results: Each::new(&of.results, &labels, "result"),
            times: of.times.get_or_create_owned(&labels),
        }
    }
}
