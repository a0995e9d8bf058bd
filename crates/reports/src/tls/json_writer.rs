use serde_json::{Map, Value, json};

use super::{TlsFailure, TlsPolicy, TlsReport};

pub(super) fn write(report: &TlsReport) -> String {
    let policies: Vec<Value> = report.policies.iter().map(policy).collect();
    let report = json!({
        "organization-name": report.reporter.organization,
        "date-range": {
            "start-datetime": moment(report.period.begin),
            "end-datetime": moment(report.period.end),
        },
        "contact-info": report.reporter.contact,
        "report-id": report.reporter.id,
        "policies": policies,
    });
    format!("{report:#}\n")
}

fn policy(policy: &TlsPolicy) -> Value {
    let mut described = Map::new();
    described.insert("policy-type".to_owned(), policy.kind.as_str().into());
    described.insert("policy-domain".to_owned(), policy.domain.as_str().into());
    for (key, texts) in [("policy-string", &policy.lines), ("mx-host", &policy.hosts)] {
        if !texts.is_empty() {
            described.insert(key.to_owned(), json!(texts));
        }
    }
    let mut entry = json!({
        "policy": described,
        "summary": {
            "total-successful-session-count": policy.successful,
            "total-failure-session-count": policy.failed,
        },
    });
    if !policy.failures.is_empty() {
        let failures: Vec<Value> = policy.failures.iter().map(failure).collect();
        entry["failure-details"] = Value::Array(failures);
    }
    entry
}

fn failure(failure: &TlsFailure) -> Value {
    let mut details = Map::new();
    details.insert("result-type".to_owned(), failure.kind.as_str().into());
    let address = |address: Option<std::net::IpAddr>| address.map(|address| address.to_string());
    let optional = [
        ("sending-mta-ip", address(failure.source)),
        ("receiving-ip", address(failure.destination)),
        ("receiving-mx-hostname", failure.host.clone()),
        ("receiving-mx-helo", failure.hello.clone()),
        ("additional-information", failure.information.clone()),
        ("failure-reason-code", failure.reason.clone()),
    ];
    for (key, text) in optional {
        if let Some(text) = text {
            details.insert(key.to_owned(), text.into());
        }
    }
    details.insert("failed-session-count".to_owned(), failure.count.into());
    Value::Object(details)
}

/// RFC 3339, to the second.
fn moment(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    format!("{moment:.0}")
}
