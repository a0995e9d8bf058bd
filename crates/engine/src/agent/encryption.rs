//! What is told of the encryption of connections, for the reports that domains ask for (RFC 8460).

use std::sync::Arc;

use delivery::{CertificateFlaw, HandshakeFault};
use mail::{Domain, TlsFacts};
use reports::{PolicyKind, TlsFailure, TlsPolicy, TlsSighting};
use route::{
    Answer, Answers, Assurance, DemandedBy, Hop, NextHop, Question, Security, StsFlaw, StsFlawKind,
    StsMode, StsPolicy, TlsaRecord,
};

use super::{Agent, Stage, Step};

/// Hosts of a policy that are told of.
const HOSTS_MAX: usize = 32;

/// Why a connection is not as its domain's policy demands: the word of RFC 8460 section 4.3, and what
/// there is to say beside it.
pub(super) type Flaw = (&'static str, Option<String>);

/// What is known of the MTA-STS policy of a domain that announces one.
pub(super) type Sts = Result<Arc<StsPolicy>, StsFlaw>;

/// "This indicates a general failure for a reason not matching a category above."
const OTHER: &str = "validation-failure";

impl Agent {
    /// Tells what came of encryption on the connection under way. Smart hosts have no domain that
    /// would ask; what goes in clear by our own will says nothing of the host.
    pub(super) fn tell_encryption(&mut self, flaw: Option<Flaw>) {
        let (NextHop::Mx(domain), Stage::Talking { hop, .. }) = (&*self.site.next_hop, &self.stage)
        else {
            return;
        };
        if !self.tells_encryption() || hop.security == Security::None {
            return;
        }
        let policy = policy(domain, hop, self.sts.as_ref());
        let flaw = flaw.map(|(kind, reason)| TlsFailure {
            kind: kind.to_owned(),
            destination: Some(hop.address.on_network().ip().to_canonical()),
            host: Some(hop.name.to_string()),
            reason,
            ..TlsFailure::default()
        });
        let flaw_of_policy = match (&self.sts, policy.kind) {
            (Some(Err(flaw)), PolicyKind::Sts) => Some(TlsFailure {
                kind: word(flaw.kind).to_owned(),
                reason: Some(flaw.why.to_string()),
                ..TlsFailure::default()
            }),
            _ => None,
        };
        // RFC 8460 section 4: one attempt may count for several kinds of failure.
        let failures = flaw_of_policy.into_iter().chain(flaw);
        self.told_of(policy, failures.collect());
    }

    /// Tells why there is no host that may be connected to, where a policy is the reason.
    pub(super) fn tell_shut_out(&mut self, answers: &Answers) {
        let NextHop::Mx(domain) = &*self.site.next_hop else {
            return;
        };
        if !self.tells_encryption() {
            return;
        }
        let Some((policy, kind, host, reason)) = shut_out(domain, answers) else {
            return;
        };
        let failure = TlsFailure {
            kind: kind.to_owned(),
            host: Some(host.as_str().to_owned()),
            reason: Some(reason),
            ..TlsFailure::default()
        };
        self.told_of(policy, vec![failure]);
    }

    /// RFC 8460 section 3: of the delivery of a TLS report the next one SHOULD NOT tell.
    fn tells_encryption(&self) -> bool {
        self.delivery.tells_encryption && !self.site.despite_policies
    }

    fn told_of(&mut self, policy: TlsPolicy, failures: Vec<TlsFailure>) {
        self.told
            .push_back(Step::Encryption(Box::new(TlsSighting { policy, failures })));
    }
}

/// What is wrong with a connection that is encrypted, where that is enough to send.
pub(super) fn flaw(hop: &Hop, facts: &TlsFacts) -> Option<Flaw> {
    match (hop.demanded_by, &hop.security) {
        // RFC 7672 section 2.2: none of the records can be used, which demands encryption and nothing
        // beside it.
        (DemandedBy::Dane, Security::Required) => Some(("tlsa-invalid", None)),
        (DemandedBy::MtaStsTesting { listed: false }, _) => Some(unlisted()),
        (DemandedBy::MtaStsTesting { listed: true }, _)
            if hop.assurance(Some(facts)) == Assurance::TestingFailed =>
        {
            let certificate = facts.certificate.as_ref();
            let is_named = certificate.is_some_and(|certificate| hop.is_named_by(certificate));
            let kind = if is_named {
                "certificate-not-trusted"
            } else {
                "certificate-host-mismatch"
            };
            Some((kind, None))
        }
        _ => None,
    }
}

/// What is wrong where there is no encryption that counts.
pub(super) fn flaw_of(fault: &HandshakeFault) -> Flaw {
    let (kind, why) = match fault {
        HandshakeFault::Certificate(flaw, why) => {
            let kind = match flaw {
                CertificateFlaw::Expired => "certificate-expired",
                CertificateFlaw::OtherName => "certificate-host-mismatch",
                CertificateFlaw::Untrusted => "certificate-not-trusted",
                CertificateFlaw::NoRecord => OTHER,
            };
            (kind, why)
        }
        HandshakeFault::Broken(why) => (OTHER, why),
    };
    (kind, Some(why.to_string()))
}

/// The server does not encrypt; `why` where it says so itself.
pub(super) fn no_starttls(why: Option<String>) -> Flaw {
    ("starttls-not-supported", why)
}

fn unlisted() -> Flaw {
    let why = "the MTA-STS policy does not list the MX host";
    (OTHER, Some(why.to_owned()))
}

/// The policy that is applied to a hop of a domain.
fn policy(domain: &Domain, hop: &Hop, sts: Option<&Sts>) -> TlsPolicy {
    match (hop.demanded_by, sts) {
        (DemandedBy::Dane, _) => {
            let records = match &hop.security {
                Security::Dane { records, .. } => records,
                Security::None
                | Security::Opportunistic
                | Security::Required
                | Security::Verified { .. } => &[][..],
            };
            of_records(domain, &hop.name, records)
        }
        (DemandedBy::MtaSts | DemandedBy::MtaStsTesting { .. }, Some(Ok(sts))) => {
            of_sts(domain, sts)
        }
        // What it says is not known.
        (DemandedBy::Configuration, Some(Err(_))) => TlsPolicy {
            kind: PolicyKind::Sts,
            domain: domain.as_str().to_owned(),
            ..TlsPolicy::default()
        },
        (DemandedBy::MtaSts | DemandedBy::MtaStsTesting { .. } | DemandedBy::Configuration, _) => {
            TlsPolicy {
                kind: PolicyKind::NoPolicyFound,
                domain: domain.as_str().to_owned(),
                ..TlsPolicy::default()
            }
        }
    }
}

/// RFC 8460 section 4.5: each record as the fields of its RDATA.
fn of_records(domain: &Domain, host: &str, records: &[TlsaRecord]) -> TlsPolicy {
    let line = |record: &TlsaRecord| {
        let digits: String = record
            .data
            .iter()
            .map(|octet| format!("{octet:02X}"))
            .collect();
        let (usage, selector, matching) = (record.usage, record.selector, record.matching);
        format!("{usage} {selector} {matching} {digits}")
    };
    TlsPolicy {
        kind: PolicyKind::Tlsa,
        lines: records.iter().map(line).collect(),
        domain: domain.as_str().to_owned(),
        hosts: vec![host.to_owned()],
        ..TlsPolicy::default()
    }
}

/// The policy line by line, as the example in RFC 8460 section 4.4 has it.
fn of_sts(domain: &Domain, sts: &StsPolicy) -> TlsPolicy {
    let mode = match sts.mode {
        StsMode::Enforce => "enforce",
        StsMode::Testing => "testing",
        StsMode::None => "none",
    };
    let hosts: Vec<String> = sts
        .mx
        .iter()
        .take(HOSTS_MAX)
        .map(|mx| mx.to_string())
        .collect();
    let lines = ["version: STSv1".to_owned(), format!("mode: {mode}")].into_iter();
    let age = format!("max_age: {}", sts.max_age.as_secs());
    TlsPolicy {
        kind: PolicyKind::Sts,
        lines: lines
            .chain(hosts.iter().map(|mx| format!("mx: {mx}")))
            .chain([age])
            .collect(),
        domain: domain.as_str().to_owned(),
        hosts,
        ..TlsPolicy::default()
    }
}

/// A host that a policy forbids to connect to, and why: MTA-STS does not list it (RFC 8461 section
/// 4.1), or DNS does not tell its TLSA records (RFC 7672 section 2.1.2).
fn shut_out<'a>(
    domain: &Domain,
    answers: &'a Answers,
) -> Option<(TlsPolicy, &'static str, &'a Domain, String)> {
    let sts = sts(domain, answers).and_then(|sts| sts.as_ref().ok());
    let sts = sts.filter(|sts| sts.mode == StsMode::Enforce);
    if let (Some(sts), Some(Answer::Mx { records, .. })) =
        (sts, answers.get(&Question::Mx(domain.clone())))
    {
        let mut hosts = records.iter().filter_map(|(_, host)| host.as_ref());
        if let Some(host) = hosts.find(|host| !sts.lists(host)) {
            let (kind, why) = unlisted();
            return Some((of_sts(domain, sts), kind, host, why.unwrap_or_default()));
        }
    }
    let mut all = answers.iter();
    all.find_map(|(question, answer)| match (question, answer) {
        (Question::Tlsa { host, .. }, Answer::Failed(why)) => {
            let policy = of_records(domain, host.as_str(), &[]);
            Some((policy, "dnssec-invalid", host, why.to_string()))
        }
        _ => None,
    })
}

/// The word for it (RFC 8460 section 4.3.2.2).
fn word(kind: StsFlawKind) -> &'static str {
    match kind {
        StsFlawKind::Fetch => "sts-policy-fetch-error",
        StsFlawKind::Invalid => "sts-policy-invalid",
        StsFlawKind::Untrusted => "sts-webpki-invalid",
    }
}

/// What was answered about the MTA-STS policy of a domain, if it announces one.
pub(super) fn sts<'a>(domain: &Domain, answers: &'a Answers) -> Option<&'a Sts> {
    match answers.get(&Question::MtaSts(domain.clone())) {
        Some(Answer::MtaSts(sts)) => Some(sts),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mail::{Certificate, Trust};

    use super::*;

    fn hop(demanded_by: DemandedBy, security: Security) -> Hop {
        Hop {
            demanded_by,
            security,
            ..Hop::new("mx.a.test", ([192, 0, 2, 1], 25).into())
        }
    }

    fn domain(name: &str) -> Domain {
        Domain::parse(name).unwrap()
    }

    #[test]
    fn each_policy_is_told_as_its_domain_has_it() {
        let record = TlsaRecord {
            usage: 3,
            selector: 1,
            matching: 1,
            data: [0x1f, 0xa0].into(),
        };
        let dane = Security::Dane {
            base: domain("mx.a.test"),
            records: [record].into(),
        };
        let sts = Ok(Arc::new(StsPolicy {
            mode: StsMode::Enforce,
            mx: vec!["*.a.test".into()],
            max_age: std::time::Duration::from_secs(86_400),
        }));
        let lost = Err(StsFlaw {
            kind: StsFlawKind::Fetch,
            why: "why".into(),
        });
        let sts_lines = "version: STSv1 / mode: enforce / mx: *.a.test / max_age: 86400";
        let none = Security::Opportunistic;
        let testing = DemandedBy::MtaStsTesting { listed: false };
        for (demanded_by, security, sts, expected) in [
            (
                DemandedBy::Dane,
                dane.clone(),
                &sts,
                ["tlsa", "3 1 1 1FA0", "mx.a.test"],
            ),
            // DANE counts before MTA-STS.
            (
                DemandedBy::Dane,
                Security::Required,
                &lost,
                ["tlsa", "", "mx.a.test"],
            ),
            (
                DemandedBy::MtaSts,
                none.clone(),
                &sts,
                ["sts", sts_lines, "*.a.test"],
            ),
            (testing, none.clone(), &sts, ["sts", sts_lines, "*.a.test"]),
            (
                DemandedBy::Configuration,
                none.clone(),
                &sts,
                ["no-policy-found", "", ""],
            ),
            (DemandedBy::Configuration, none, &lost, ["sts", "", ""]),
        ] {
            let told = policy(&domain("a.test"), &hop(demanded_by, security), Some(sts));
            let (lines, hosts) = (told.lines.join(" / "), told.hosts.join(" / "));
            assert_eq!([told.kind.as_str(), &*lines, &*hosts], expected);
            assert_eq!(told.domain, "a.test");
        }
    }

    #[test]
    fn what_is_wrong_has_its_word() {
        let certificate = |flaw| HandshakeFault::Certificate(flaw, "why".into());
        for (fault, expected) in [
            (certificate(CertificateFlaw::Expired), "certificate-expired"),
            (
                certificate(CertificateFlaw::OtherName),
                "certificate-host-mismatch",
            ),
            (
                certificate(CertificateFlaw::Untrusted),
                "certificate-not-trusted",
            ),
            (certificate(CertificateFlaw::NoRecord), "validation-failure"),
            (HandshakeFault::Broken("why".into()), "validation-failure"),
        ] {
            assert_eq!(flaw_of(&fault), (expected, Some("why".to_owned())));
        }
        let shown = |name: &str, trust| TlsFacts {
            version: "TLSv1.3",
            cipher: "TLS13_AES_128_GCM_SHA256".into(),
            group: "X25519",
            handshake: mail::Handshake::Full,
            certificate: Some(Arc::new(Certificate {
                sha256: [0; 32],
                key_sha256: None,
                names: [Box::from(name)].into(),
                trust,
            })),
        };
        let testing = |listed| {
            hop(
                DemandedBy::MtaStsTesting { listed },
                Security::Opportunistic,
            )
        };
        let unused = hop(DemandedBy::Dane, Security::Required);
        for (hop, name, trust, expected) in [
            (testing(true), "mx.a.test", Trust::Ok, None),
            (
                testing(true),
                "mx.a.test",
                Trust::Unknown,
                Some("certificate-not-trusted"),
            ),
            (
                testing(true),
                "mx.b.test",
                Trust::Unknown,
                Some("certificate-host-mismatch"),
            ),
            (
                testing(false),
                "mx.a.test",
                Trust::Ok,
                Some("validation-failure"),
            ),
            (unused, "mx.a.test", Trust::Ok, Some("tlsa-invalid")),
            (
                hop(DemandedBy::Configuration, Security::Opportunistic),
                "",
                Trust::Unknown,
                None,
            ),
        ] {
            let told = flaw(&hop, &shown(name, trust));
            assert_eq!(told.map(|(kind, _)| kind), expected, "{hop:?}");
        }
    }
}
