//! TLS reports as they are found: numbers in quotation marks, a name where there should be a list,
//! empty values.

use serde_json::{Map, Value};

use super::{POLICIES_MAX, PolicyKind, TlsFailure, TlsPolicy, TlsReport};
use crate::bounded::bounded;
use crate::{Flaw, Period, Reporter};

/// Octets of a report that are read: a tree of it takes several times as many.
const JSON_MAX: usize = 8 << 20;

pub(super) fn read(json: &[u8]) -> Result<TlsReport, Flaw> {
    if json.len() > JSON_MAX {
        return Err(Flaw::TooLarge);
    }
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    let tree: Value = serde_json::from_slice(json).map_err(|why| Flaw::Json(why.to_string()))?;
    let policies = tree.get("policies").and_then(Value::as_array);
    let policies = policies.ok_or(Flaw::Lacks("policies"))?;
    let Some(top) = tree.as_object() else {
        return Err(Flaw::Lacks("policies"));
    };
    let range = top.get("date-range").and_then(Value::as_object);
    let moment = |name| range.map_or(0, |range| seconds(range, name));
    Ok(TlsReport {
        reporter: Reporter {
            organization: text(top, "organization-name").unwrap_or_default(),
            contact: text(top, "contact-info").unwrap_or_default(),
            id: text(top, "report-id").unwrap_or_default(),
        },
        period: Period {
            begin: moment("start-datetime"),
            end: moment("end-datetime"),
        },
        policies: objects(policies).map(policy).collect(),
    })
}

fn policy(entry: &Map<String, Value>) -> TlsPolicy {
    let empty = Map::new();
    let part = |name| entry.get(name).and_then(Value::as_object).unwrap_or(&empty);
    let (policy, summary) = (part("policy"), part("summary"));
    let failures = entry.get("failure-details").and_then(Value::as_array);
    TlsPolicy {
        kind: text(policy, "policy-type")
            .map_or_else(Default::default, |kind| PolicyKind::parse(&kind)),
        lines: texts(policy, "policy-string"),
        domain: name(policy, "policy-domain").unwrap_or_default(),
        hosts: texts(policy, "mx-host"),
        successful: number(summary, "total-successful-session-count"),
        failed: number(summary, "total-failure-session-count"),
        failures: objects(failures.map_or(&[][..], Vec::as_slice))
            .map(failure)
            .collect(),
    }
}

fn failure(details: &Map<String, Value>) -> TlsFailure {
    let address = |name| text(details, name)?.parse().ok();
    TlsFailure {
        kind: name(details, "result-type").unwrap_or_default(),
        source: address("sending-mta-ip"),
        destination: address("receiving-ip"),
        host: name(details, "receiving-mx-hostname"),
        hello: text(details, "receiving-mx-helo"),
        count: number(details, "failed-session-count"),
        information: text(details, "additional-information"),
        reason: text(details, "failure-reason-code"),
    }
}

fn objects(values: &[Value]) -> impl Iterator<Item = &Map<String, Value>> {
    values
        .iter()
        .filter_map(Value::as_object)
        .take(POLICIES_MAX)
}

/// A text; none where it is empty.
fn text(object: &Map<String, Value>, key: &str) -> Option<String> {
    let text = bounded(object.get(key)?.as_str()?);
    (!text.is_empty()).then_some(text)
}

/// A domain, or a word of the format.
fn name(object: &Map<String, Value>, key: &str) -> Option<String> {
    text(object, key).map(|text| text.trim_end_matches('.').to_lowercase())
}

/// A list of texts. The example in RFC 8460 has one alone where a list should be.
fn texts(object: &Map<String, Value>, key: &str) -> Vec<String> {
    let values = match object.get(key) {
        Some(Value::Array(values)) => values.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let texts = values.iter().filter_map(Value::as_str);
    texts.take(POLICIES_MAX).map(bounded).collect()
}

fn number(object: &Map<String, Value>, key: &str) -> u64 {
    let value = object.get(key);
    let number = value.and_then(|value| match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64(),
    });
    number.unwrap_or_default()
}

/// Seconds since 1970. A moment without a zone is one of UTC.
fn seconds(object: &Map<String, Value>, key: &str) -> u64 {
    let Some(text) = text(object, key) else {
        return 0;
    };
    let moment = text.parse::<jiff::Timestamp>();
    let moment = moment.or_else(|_| format!("{text}Z").parse());
    moment.map_or(0, |moment| {
        u64::try_from(moment.as_second()).unwrap_or_default()
    })
}
