//! What is documented, drawn and watched is what is counted: the table in docs/monitoring.md, the
//! dashboard and the alerts.

mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use metrics::Format;
use serde_json::Value;

use crate::pages::{Family, families, page};

const BEGIN: &str =
    "<!-- metrics: written by `cargo test --workspace --test documented` with REWRITE=1 -->\n";
const END: &str = "<!-- end of the metrics -->";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The values of each label but those that only the configuration knows, and `le`.
fn labels(family: &Family) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in &family.lines {
        let Some((_, inner)) = line.split_once('{') else {
            continue;
        };
        let inner = inner.split_once('}').expect("an end").0;
        for pair in inner.split("\",") {
            let (name, value) = pair.split_once("=\"").expect("a value");
            if name != "le" {
                let values = labels.entry(name).or_default();
                values.insert(value.trim_end_matches('"'));
            }
        }
    }
    labels
}

/// `listener`, `reason` (`busy`, `rule`)
fn labels_told(family: &Family) -> String {
    let told = labels(family).into_iter().map(|(name, values)| {
        let of_the_configuration = ["listener", "route", "scanner", "version"].contains(&name);
        let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
        if of_the_configuration && family.name != "gatepost_tls_sessions_total"
            || name == "listener"
        {
            format!("`{name}`")
        } else {
            format!("`{name}`: {}", values.join(" "))
        }
    });
    told.collect::<Vec<_>>().join("; ")
}

#[test]
fn the_table_names_what_there_is() {
    let mut all = families(&page(Format::Text));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let mut table = "| metric | kind | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for family in &all {
        let meaning = family.help.trim_end_matches('.');
        let (name, kind, labels) = (&family.name, &family.kind, labels_told(family));
        table.push_str(&format!("| `{name}` | {kind} | {labels} | {meaning} |\n"));
    }
    let text = read("docs/monitoring.md");
    let (head, rest) = text.split_once(BEGIN).expect("where it begins");
    let (written, tail) = rest.split_once(END).expect("where it ends");
    if std::env::var_os("REWRITE").is_some() {
        let text = format!("{head}{BEGIN}{table}{END}{tail}");
        fs::write(path("docs/monitoring.md"), text).expect("the document, written");
        return;
    }
    assert!(written == table, "run this test once with REWRITE=1");
}

/// Metrics are named with labels that they have, and values that those can have.
#[test]
fn what_is_asked_for_is_there() {
    let families = families(&page(Format::Text));
    let mut texts = vec![
        read("docs/monitoring.md"),
        read("packaging/prometheus/alerts.yml"),
        read("packaging/prometheus/alerts-test.yml"),
    ];
    texts.extend(expressions());
    let mut looked_at = 0;
    for text in &texts {
        for (at, _) in text.match_indices("gatepost_") {
            let rest = &text[at..];
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
            let (name, behind) = rest.split_at(end);
            let of_histogram = ["_bucket", "_sum", "_count"].map(|end| name.strip_suffix(end));
            let is_named = |family: &&Family| {
                let of_histogram = of_histogram.contains(&Some(&*family.name));
                family.name == name || family.kind == "histogram" && of_histogram
            };
            let family = families.iter().find(is_named);
            let family = family.unwrap_or_else(|| panic!("there is no {name}"));
            check_labels(family, behind);
            looked_at += 1;
        }
    }
    assert!(looked_at > 150);
}

/// `{route="mx"}` behind a name: only the label and its value are looked at.
fn check_labels(family: &Family, behind: &str) {
    let Some(inner) = behind.strip_prefix('{') else {
        return;
    };
    let (inner, _) = inner.split_once('}').expect("an end");
    let labels = labels(family);
    for pair in inner.split(',') {
        let (name, value) = pair.split_once('=').expect("a value");
        let name = name.trim_end_matches('!');
        let (is_equal, value) = (value.starts_with('"'), value.trim_matches(['"', '~']));
        if ["job", "instance", "listener", "scanner"].contains(&name) {
            continue;
        }
        let known = labels
            .get(name)
            .unwrap_or_else(|| panic!("{} has no {name}", family.name));
        assert!(
            !is_equal || known.contains(value),
            "{} has no {pair}",
            family.name
        );
    }
}

/// Those of the dashboard.
fn expressions() -> Vec<String> {
    let dashboard: Value =
        serde_json::from_str(&read("packaging/grafana/gatepost.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let expressions = targets
        .flatten()
        .map(|target| target["expr"].as_str().expect("an expression"));
    expressions.map(str::to_owned).collect()
}

#[test]
fn the_dashboard_is_in_order() {
    let dashboard: Value =
        serde_json::from_str(&read("packaging/grafana/gatepost.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let (mut numbers, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(numbers.insert(panel["id"].as_u64().expect("a number")));
        let place = &panel["gridPos"];
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| place[key].as_u64().expect("a number"));
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(
                cell.0 < 24 && places.insert(cell),
                "{}: no room",
                panel["title"]
            );
        }
        let is_row = panel["type"] == "row";
        assert!(
            is_row || panel["datasource"]["uid"] == "${datasource}",
            "{}",
            panel["title"]
        );
    }
    assert!(expressions().len() > 30);
}

#[test]
fn each_alert_is_tested_and_told() {
    let (tests, told) = (
        read("packaging/prometheus/alerts-test.yml"),
        read("docs/monitoring.md"),
    );
    let rules = read("packaging/prometheus/alerts.yml");
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let mut looked_at = 0;
    for alert in alerts {
        let quiet = format!("alertname: {alert}\n        exp_alerts: []");
        let loud = format!("alertname: {alert}\n        exp_alerts:\n");
        assert!(tests.contains(&quiet) && tests.contains(&loud), "{alert}");
        assert!(told.contains(&format!("`{alert}`")), "{alert}");
        looked_at += 1;
    }
    assert!(looked_at > 10);
}
