use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{TlsFailure, TlsPolicy, TlsReport};
use crate::Period;

/// Domains that are counted at most, policies of one, kinds of failure under one of these, and octets
/// of all together: beyond, connections are not counted.
const DOMAINS_MAX: usize = 10_000;
const POLICIES_MAX: usize = 32;
const FAILURES_MAX: usize = 64;
const OCTETS_MAX: usize = 16 << 20;
/// What a policy or a failure takes beside its texts, roughly.
const ROW_OCTETS: usize = 256;

/// A connection to a host of a domain: what came of its encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSighting {
    /// The policy that was applied, its domain in it; its counts and failures say nothing.
    pub policy: TlsPolicy,
    /// Why the connection was not as the policy demands; their counts say nothing. Empty: it was.
    pub failures: Vec<TlsFailure>,
}

/// What came of connections to domains, counted until it is reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsTally {
    domains: BTreeMap<String, Vec<TlsPolicy>>,
    octets: usize,
}

impl TlsTally {
    /// Counts a connection; false where there is no room for it.
    pub(crate) fn add(&mut self, sighting: TlsSighting) -> bool {
        let TlsSighting { policy, failures } = sighting;
        let is_full = self.octets >= OCTETS_MAX;
        if !self.domains.contains_key(&policy.domain)
            && (is_full || self.domains.len() >= DOMAINS_MAX)
        {
            return false;
        }
        let policies = self.domains.entry(policy.domain.clone()).or_default();
        let known = policies.iter().position(|known| known.is_same(&policy));
        let known = match known {
            Some(known) => known,
            None if is_full || policies.len() >= POLICIES_MAX => return false,
            None => {
                self.octets += policy.octets();
                policies.push(TlsPolicy {
                    successful: 0,
                    failed: 0,
                    failures: Vec::new(),
                    ..policy
                });
                policies.len() - 1
            }
        };
        let Some(counted) = policies.get_mut(known) else {
            return false;
        };
        let number = match failures.is_empty() {
            true => &mut counted.successful,
            false => &mut counted.failed,
        };
        *number = number.saturating_add(1);
        for failure in failures {
            let mut known = counted.failures.iter_mut();
            if let Some(known) = known.find(|known| known.is_same(&failure)) {
                known.count = known.count.saturating_add(1);
            } else if !is_full && counted.failures.len() < FAILURES_MAX {
                self.octets += failure.octets();
                counted.failures.push(TlsFailure {
                    count: 1,
                    ..failure
                });
            }
        }
        true
    }

    /// The reports about all that was counted.
    pub(crate) fn reports(self, period: Period) -> impl Iterator<Item = TlsReport> {
        self.domains.into_values().map(move |policies| TlsReport {
            period,
            policies,
            ..TlsReport::default()
        })
    }

    pub(crate) fn to_value(&self) -> Value {
        let of_domain = |policies: &Vec<TlsPolicy>| {
            let report = TlsReport {
                policies: policies.clone(),
                ..TlsReport::default()
            };
            json!({ "report": report.to_json() })
        };
        self.domains.values().map(of_domain).collect()
    }

    pub(crate) fn from_value(value: &Value) -> Option<Self> {
        let mut tally = Self::default();
        for written in value.as_array()? {
            let report = TlsReport::read(written.get("report")?.as_str()?.as_bytes()).ok()?;
            let policies = report.policies;
            let failures = policies.iter().flat_map(|policy| &policy.failures);
            tally.octets += failures.map(TlsFailure::octets).sum::<usize>();
            tally.octets += policies.iter().map(TlsPolicy::octets).sum::<usize>();
            let domain = policies.first()?.domain.clone();
            tally.domains.insert(domain, policies);
        }
        Some(tally)
    }
}

impl TlsPolicy {
    /// Whether it is the same, whatever came of it.
    fn is_same(&self, other: &Self) -> bool {
        (self.kind, &self.lines, &self.hosts) == (other.kind, &other.lines, &other.hosts)
    }

    fn octets(&self) -> usize {
        let texts = self.lines.iter().chain(&self.hosts).chain([&self.domain]);
        ROW_OCTETS + texts.map(|text| text.len() + 32).sum::<usize>()
    }
}

impl TlsFailure {
    /// Whether it is the same, however often it happened.
    fn is_same(&self, other: &Self) -> bool {
        let of = |one: &Self| Self {
            count: 0,
            ..one.clone()
        };
        of(self) == of(other)
    }

    fn octets(&self) -> usize {
        let optional = [&self.host, &self.hello, &self.information, &self.reason];
        let texts = optional.into_iter().flatten().chain([&self.kind]);
        ROW_OCTETS + texts.map(String::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PolicyKind;

    fn sighting(domain: &str, mx: &str, failure: Option<&str>) -> TlsSighting {
        TlsSighting {
            policy: TlsPolicy {
                kind: PolicyKind::Sts,
                lines: vec!["version: STSv1".to_owned(), format!("mx: {mx}")],
                domain: domain.to_owned(),
                hosts: vec![mx.to_owned()],
                ..TlsPolicy::default()
            },
            failures: failure
                .into_iter()
                .map(|kind| TlsFailure {
                    kind: kind.to_owned(),
                    host: Some(mx.to_owned()),
                    ..TlsFailure::default()
                })
                .collect(),
        }
    }

    /// A line for each policy.
    fn told(tally: TlsTally) -> Vec<String> {
        let period = Period { begin: 1, end: 2 };
        let line = |policy: TlsPolicy| {
            let failures = policy.failures.iter();
            let failures = failures.map(|one| format!(", {} {}", one.count, one.kind));
            let (domain, hosts) = (policy.domain, policy.hosts.concat());
            let (good, failed) = (policy.successful, policy.failed);
            let failures: String = failures.collect();
            format!("{domain} {hosts}: {good} good, {failed} failed{failures}")
        };
        let reports = tally.reports(period).flat_map(|report| report.policies);
        reports.map(line).collect()
    }

    #[test]
    fn connections_are_counted_by_domain_policy_and_failure() {
        let mut tally = TlsTally::default();
        for (domain, mx, failure) in [
            ("a.test", "mx.a.test", None),
            ("a.test", "mx.a.test", Some("certificate-expired")),
            ("a.test", "mx.a.test", Some("certificate-expired")),
            ("a.test", "mx.a.test", Some("starttls-not-supported")),
            ("a.test", "mx2.a.test", None),
            ("b.test", "mx.b.test", None),
            ("a.test", "mx.a.test", None),
        ] {
            assert!(tally.add(sighting(domain, mx, failure)));
        }
        assert_eq!(
            TlsTally::from_value(&tally.to_value()).as_ref(),
            Some(&tally)
        );
        let expected = [
            "a.test mx.a.test: 2 good, 3 failed, 2 certificate-expired, 1 starttls-not-supported",
            "a.test mx2.a.test: 1 good, 0 failed",
            "b.test mx.b.test: 1 good, 0 failed",
        ];
        assert_eq!(told(tally), expected);
    }

    #[test]
    fn beyond_the_limits_nothing_new_is_counted() {
        let mut tally = TlsTally::default();
        for number in 0..DOMAINS_MAX {
            assert!(tally.add(sighting(&format!("d{number}.test"), "mx.test", None)));
        }
        assert!(!tally.add(sighting("one.test", "mx.test", None)));
        for number in 1..POLICIES_MAX {
            assert!(tally.add(sighting("d0.test", &format!("mx{number}.test"), None)));
        }
        assert!(!tally.add(sighting("d0.test", "one.test", None)));
        // How many they are is known all the same.
        for number in 0..=FAILURES_MAX {
            assert!(tally.add(sighting("d1.test", "mx.test", Some(&format!("f{number}")))));
        }
        assert!(tally.add(sighting("d0.test", "mx.test", None)));
        let policies = &tally.domains["d1.test"];
        let (failures, failed) = (policies[0].failures.len(), policies[0].failed);
        assert_eq!((failures, failed), (FAILURES_MAX, FAILURES_MAX as u64 + 1));

        let mut tally = TlsTally::default();
        let long = "x".repeat(1 << 20);
        let taken = (0..100).filter(|n| tally.add(sighting(&format!("d{n}.test"), &long, None)));
        assert_eq!(taken.count(), 8, "a MiB stands in it twice");
        assert!(tally.octets < OCTETS_MAX + (3 << 20));
    }

    #[test]
    fn what_was_not_written_by_it_is_not_read() {
        for value in [
            json!(null),
            json!([{}]),
            json!([{ "report": "" }]),
            json!([{ "report": "{\"policies\": []}" }]),
        ] {
            assert_eq!(TlsTally::from_value(&value), None, "{value}");
        }
    }
}
