use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Reports that wait at most, and octets of all together.
const WAITING_MAX: usize = 1_000;
const OCTETS_MAX: usize = 16 << 20;

/// A TLS report on its way to a URL, which was not taken there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The domain that it is about.
    pub domain: Box<str>,
    /// Where it goes.
    pub url: Box<str>,
    /// Since when it is tried, in seconds since 1970-01-01T00:00:00Z.
    pub since: u64,
    /// In gzip.
    pub report: Arc<[u8]>,
}

/// Those that wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Handovers {
    waiting: Vec<Handover>,
}

impl Handovers {
    /// False where there is no room for it.
    pub(crate) fn add(&mut self, handover: Handover) -> bool {
        let octets: usize = self.waiting.iter().map(|one| one.report.len()).sum();
        let has_room = self.waiting.len() < WAITING_MAX;
        let has_room = has_room && octets + handover.report.len() <= OCTETS_MAX;
        if has_room {
            self.waiting.push(handover);
        }
        has_room
    }

    pub(crate) fn remove(&mut self, handover: &Handover) {
        self.waiting.retain(|one| one != handover);
    }

    pub(crate) fn all(&self) -> &[Handover] {
        &self.waiting
    }

    pub(crate) fn to_value(&self) -> Value {
        let one = |one: &Handover| {
            json!({
                "domain": one.domain,
                "url": one.url,
                "since": one.since,
                "report": STANDARD.encode(&one.report),
            })
        };
        self.waiting.iter().map(one).collect()
    }

    pub(crate) fn from_value(value: &Value) -> Option<Self> {
        let mut handovers = Self::default();
        for written in value.as_array()? {
            let text = |key: &str| written.get(key)?.as_str();
            handovers.add(Handover {
                domain: text("domain")?.into(),
                url: text("url")?.into(),
                since: written.get("since")?.as_u64()?,
                report: STANDARD.decode(text("report")?).ok()?.into(),
            });
        }
        Some(handovers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handover(octets: usize) -> Handover {
        Handover {
            domain: "a.test".into(),
            url: "https://a.test/\"tls".into(),
            since: 7,
            report: vec![0x1f; octets].into(),
        }
    }

    #[test]
    fn what_waits_is_read_as_it_was_written() {
        let mut handovers = Handovers::default();
        assert!(handovers.add(handover(3)) && handovers.add(handover(0)));
        let read = Handovers::from_value(&handovers.to_value());
        assert_eq!(read.as_ref(), Some(&handovers));
        handovers.remove(&handover(3));
        assert_eq!(handovers.all(), [handover(0)]);
        for value in [
            json!(null),
            json!([{}]),
            json!([{ "domain": "a", "url": "b", "since": 1, "report": "?" }]),
        ] {
            assert_eq!(Handovers::from_value(&value), None, "{value}");
        }
    }

    #[test]
    fn only_so_much_waits() {
        let mut handovers = Handovers::default();
        let taken = (0..WAITING_MAX + 1).filter(|_| handovers.add(handover(1)));
        assert_eq!(taken.count(), WAITING_MAX);
        let mut handovers = Handovers::default();
        assert!(handovers.add(handover(OCTETS_MAX)) && !handovers.add(handover(1)));
    }
}
