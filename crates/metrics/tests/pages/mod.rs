//! A page with one listener and one route, as tests read it.

use metrics::{Format, Metrics, Queue, ScannerNow, Snapshot};

/// One family of a page in the text format.
pub struct Family {
    pub name: String,
    pub kind: String,
    pub help: String,
    /// Its samples.
    pub lines: Vec<String>,
}

/// With everything on it.
pub fn page(format: Format) -> String {
    let metrics = Metrics::default();
    let routes = ["route:NAME".into()];
    metrics.know(["NAME".into()].into_iter(), routes.into_iter());
    metrics.know_screens(["NAME".into()].into_iter());
    metrics.know_scanners(["NAME".into()].into_iter());
    let scanner = ScannerNow {
        signatures_age: Some(std::time::Duration::ZERO),
        ..ScannerNow::default()
    };
    let snapshot = Snapshot {
        scanners: [("NAME".into(), scanner)].into(),
        version: "1.2.3",
        queue: Some(Queue::default()),
        spool_free: Some(0),
        certificates: vec![("NAME".into(), mail::Timestamp::default())],
        acme: vec![("NAME".into(), mail::Timestamp::default())],
        ..Snapshot::default()
    };
    metrics.page(format, &snapshot)
}

/// The families of a page in the text format, in its order.
pub fn families(page: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a help");
            families.push(Family {
                name: name.to_owned(),
                kind: String::new(),
                help: help.to_owned(),
                lines: Vec::new(),
            });
            continue;
        }
        let family = families.last_mut().expect("a help first");
        match line.strip_prefix("# TYPE ") {
            Some(kind) => {
                let (name, kind) = kind.split_once(' ').expect("a type");
                assert_eq!(name, family.name);
                family.kind = kind.to_owned();
            }
            None => {
                assert!(line.starts_with(&*family.name), "{line}");
                family.lines.push(line.to_owned());
            }
        }
    }
    families
}
