//! The page is as Prometheus wants it, also where promtool lets pass what is not; `tests/interop`
//! has promtool and Prometheus themselves read it.

mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use metrics::{Format, Metrics, Snapshot};

use crate::pages::{Family, families, page};

/// `name{labels}` and the value.
fn series(family: &Family) -> impl Iterator<Item = (&str, f64)> {
    family.lines.iter().map(|line| {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        (series, value.parse().expect("a number"))
    })
}

#[test]
fn names_follow_the_conventions() {
    let families = families(&page(Format::Text));
    assert!(families.len() > 40, "they are all there");
    for family in &families {
        let name = &*family.name;
        assert!(name.starts_with("gatepost_"), "{name}");
        let is_counter = family.kind == "counter";
        assert_eq!(name.ends_with("_total"), is_counter, "{name}");
        for foreign in [
            "percent",
            "ratio_percent",
            "per_second",
            "per_minute",
            "milli",
            "micro",
            "kilo",
            "minutes",
            "hours",
            "days",
            "octets",
        ] {
            assert!(!name.contains(foreign), "{name}: seconds and bytes alone");
        }
        let measures = family.kind == "histogram";
        let has_unit = name.ends_with("_seconds") || name.ends_with("_bytes");
        assert!(!measures || has_unit, "{name} has no unit");
        assert!(family.help.len() > 10, "{name}: {}", family.help);
    }
}

#[test]
fn buckets_ascend_to_all_there_are() {
    let mut looked_at = 0;
    for family in families(&page(Format::Text)) {
        if family.kind != "histogram" {
            continue;
        }
        let mut histograms: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        let mut counts = BTreeMap::new();
        for (series, value) in series(&family) {
            let labels = series.split_once('{').map_or("", |(_, labels)| labels);
            if series.starts_with(&format!("{}_bucket", family.name)) {
                let (le, others) = labels
                    .strip_prefix("le=\"")
                    .and_then(|rest| rest.split_once('"'))
                    .expect("a bound");
                let others = others.trim_matches([',', '}']).to_owned();
                let bound = le.parse().expect("a number");
                histograms.entry(others).or_default().push((bound, value));
            } else if series.starts_with(&format!("{}_count", family.name)) {
                counts.insert(labels.trim_end_matches('}').to_owned(), value);
            }
        }
        assert_eq!(histograms.len(), counts.len());
        for (labels, buckets) in histograms {
            let is_sorted = buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
            assert!(is_sorted, "{}: {buckets:?}", family.name);
            let last = *buckets.last().expect("a bucket");
            assert_eq!(last, (f64::INFINITY, counts[&labels]), "{}", family.name);
            looked_at += 1;
        }
    }
    assert!(looked_at > 10);
}

/// As text 10 comes before 9.
#[test]
fn buckets_ascend_whatever_they_count() {
    let metrics = Metrics::default();
    metrics.know(["in".into()].into_iter(), std::iter::empty());
    let client = mail::Client::new(
        "192.0.2.1:4711".parse().expect("an address"),
        "192.0.2.25:25".parse().expect("an address"),
        "in".into(),
    );
    for tenths in [3, 3, 3, 3, 3, 3, 3, 3, 3, 7] {
        metrics.session_over(&client, Duration::from_millis(tenths * 100));
    }
    let page = metrics.page(Format::OpenMetrics, &Snapshot::default());
    let buckets = page
        .lines()
        .filter_map(|line| line.strip_prefix("gatepost_session_duration_seconds_bucket{le=\""));
    let bounds = buckets.filter_map(|line| line.split_once('"')?.0.parse().ok());
    let bounds: Vec<f64> = bounds.take(4).collect();
    assert_eq!(bounds, [0.1, 0.5, 1.0, 2.0]);
}

/// A listener may be called as strangely as its owner wants.
#[test]
fn a_name_that_looks_like_an_exemplar_is_a_name() {
    let name = "a # {queue_id=\"b";
    let metrics = Metrics::default();
    metrics.know([name.into()].into_iter(), std::iter::empty());
    let pages = [Format::OpenMetrics, Format::Text];
    let [open, text] = pages.map(|format| metrics.page(format, &Snapshot::default()));
    let with_name = |page: &str| {
        let lines = page.lines().filter(|line| line.contains("a # {"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(with_name(&open), with_name(&text));
    let whole = "listener=\"a # {queue_id=\\\"b\"";
    assert!(with_name(&text).iter().all(|line| line.contains(whole)));
    assert!(!with_name(&text).is_empty());
}

#[test]
fn an_openmetrics_page_is_whole() {
    let page = page(Format::OpenMetrics);
    assert!(page.ends_with("\n# EOF\n"));
    let mut seen = BTreeSet::new();
    for line in page.lines() {
        assert!(!line.trim().is_empty(), "no empty line");
        let is_remark = line.starts_with('#')
            && !["# HELP ", "# TYPE ", "# EOF"]
                .iter()
                .any(|known| line.starts_with(known));
        assert!(!is_remark, "{line}");
        let series = line.rsplit_once(' ').expect("words").0;
        assert!(seen.insert(series.to_owned()), "{line}: twice");
    }
}

/// An alert on a rise misses the first burst of a counter that comes with it.
#[test]
fn a_listener_or_route_counts_from_nothing_and_goes_on_counting() {
    let metrics = Metrics::default();
    let none = || std::iter::empty();
    let text = |metrics: &Metrics| metrics.page(Format::Text, &Snapshot::default());
    assert!(!text(&metrics).contains("listener=\""));
    metrics.know(["in".into()].into_iter(), ["route:isp".into()].into_iter());
    for expected in [
        "gatepost_recipients_refused_total{listener=\"in\",reason=\"relaying-denied\"} 0",
        "gatepost_sign_ins_total{listener=\"in\",result=\"refused\"} 0",
        "gatepost_recipients_tried_total{route=\"route:isp\",result=\"deferred\"} 0",
        "gatepost_recipients_tried_total{route=\"mx\",result=\"deferred\"} 0",
        "gatepost_sessions{listener=\"in\"} 0",
    ] {
        assert!(
            text(&metrics).lines().any(|line| line == expected),
            "{expected}"
        );
    }
    let client = mail::Client::new(
        "192.0.2.1:4711".parse().expect("an address"),
        "192.0.2.25:25".parse().expect("an address"),
        "in".into(),
    );
    metrics.connected(&client);
    // A reload, with another listener.
    metrics.know(["in".into(), "new".into()].into_iter(), none());
    let page = text(&metrics);
    for expected in ["{listener=\"in\"} 1", "{listener=\"new\"} 0"] {
        let expected = format!("gatepost_connections_total{expected}");
        assert!(page.lines().any(|line| line == expected), "{expected}");
    }
}

/// Domains have no end, and a name is no secret only where the configuration has it.
#[test]
fn connections_are_told_apart_by_routes_of_the_configuration_alone() {
    let metrics = Metrics::default();
    metrics.know(std::iter::empty(), ["route:isp".into()].into_iter());
    let connections = [
        ("mx:a.example", 2),
        ("mx:b.example", 1),
        ("route:isp", 4),
        ("route:gone", 8),
        ("[192.0.2.1]:25", 16),
        ("local:c.example", 32),
        ("atrn:branch", 64),
    ];
    let snapshot = Snapshot {
        connections: connections.map(|(site, count)| (site.into(), count)).into(),
        ..Snapshot::default()
    };
    let page = metrics.page(Format::Text, &snapshot);
    let mut found: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("gatepost_delivery_connections"))
        .filter(|line| line.starts_with('{'))
        .collect();
    found.sort_unstable();
    let expected = [
        "{route=\"host\"} 24",
        "{route=\"local\"} 32",
        "{route=\"mx\"} 3",
        "{route=\"on-demand\"} 64",
        "{route=\"route:isp\"} 4",
    ];
    assert_eq!(found, expected);
}
