use std::fmt;

use mail::{Certificate, TlsFacts};

use crate::sts::matches_pattern;
use crate::{DemandedBy, Hop, Security};

/// How sure it is whom a connection was with, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Assurance {
    /// Anybody could read along.
    Clear,
    /// Nobody could, but whoever stood in the way.
    Encrypted,
    /// The certificate was the one that the configuration demands.
    Verified,
    /// It was the one that the domain's MTA-STS policy demands.
    MtaSts,
    /// It was the one that the host's TLSA records name.
    Dane,
    /// It would have been the one that an MTA-STS policy demands which is only tried out.
    TestingPassed,
    /// That policy, were it in force, would have kept the mail back.
    TestingFailed,
}

impl fmt::Display for Assurance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clear => "clear",
            Self::Encrypted => "encrypted",
            Self::Verified => "verified",
            Self::MtaSts => "mta-sts",
            Self::Dane => "dane",
            Self::TestingPassed => "mta-sts-testing-passed",
            Self::TestingFailed => "mta-sts-testing-failed",
        })
    }
}

impl Hop {
    /// How sure a connection to this hop is that came about, and is encrypted so.
    pub fn assurance(&self, tls: Option<&TlsFacts>) -> Assurance {
        let from_policy = self.demanded_by == DemandedBy::MtaSts;
        match (&self.security, tls) {
            (Security::Dane { .. }, Some(_)) => Assurance::Dane,
            (Security::Verified { .. }, Some(_)) if from_policy => Assurance::MtaSts,
            (Security::Verified { .. }, Some(_)) => Assurance::Verified,
            (Security::None | Security::Opportunistic | Security::Required, tls) => {
                self.trial(tls).unwrap_or(match tls {
                    Some(_) => Assurance::Encrypted,
                    None => Assurance::Clear,
                })
            }
            (Security::Dane { .. } | Security::Verified { .. }, None) => Assurance::Clear,
        }
    }

    /// Whether a certificate is for this host, whoever vouches for it.
    pub fn is_named_by(&self, certificate: &Certificate) -> bool {
        let mut names = certificate.names.iter();
        names.any(|name| matches_pattern(name, &self.name))
    }

    /// What a policy that is only tried out would have said.
    fn trial(&self, tls: Option<&TlsFacts>) -> Option<Assurance> {
        let DemandedBy::MtaStsTesting { listed } = self.demanded_by else {
            return None;
        };
        let certificate = tls.and_then(|tls| tls.certificate.as_ref());
        let passed = certificate
            .is_some_and(|certificate| certificate.is_trusted() && self.is_named_by(certificate));
        Some(if listed && passed {
            Assurance::TestingPassed
        } else {
            Assurance::TestingFailed
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mail::{Domain, Trust};

    use super::*;

    fn tls(names: &[&str], trusted: bool) -> TlsFacts {
        let certificate = Certificate {
            sha256: [0; 32],
            key_sha256: None,
            names: names.iter().map(|name| Box::from(*name)).collect(),
            trust: if trusted { Trust::Ok } else { Trust::Unknown },
        };
        TlsFacts {
            version: "TLSv1.3",
            cipher: "TLS13_AES_128_GCM_SHA256".into(),
            group: "X25519",
            handshake: mail::Handshake::Full,
            certificate: Some(Arc::new(certificate)),
        }
    }

    fn word(security: Security, demanded_by: DemandedBy, tls: Option<&TlsFacts>) -> String {
        let hop = Hop {
            security,
            demanded_by,
            ..Hop::new("mx.test", ([192, 0, 2, 1], 25).into())
        };
        hop.assurance(tls).to_string()
    }

    #[test]
    fn each_kind_of_connection_has_its_word() {
        let good = tls(&["mx.test"], true);
        let names = Arc::from([Box::from("mx.test")]);
        let verified = Security::Verified { names };
        let dane = Security::Dane {
            base: Domain::parse("mx.test").unwrap(),
            records: Arc::from([]),
        };
        let config = DemandedBy::Configuration;
        for (security, by, tls, expected) in [
            (Security::None, config, None, "clear"),
            (Security::Opportunistic, config, None, "clear"),
            (Security::Opportunistic, config, Some(&good), "encrypted"),
            (Security::Required, config, Some(&good), "encrypted"),
            // records of which none was usable verify nothing
            (
                Security::Required,
                DemandedBy::Dane,
                Some(&good),
                "encrypted",
            ),
            (verified.clone(), config, Some(&good), "verified"),
            (verified, DemandedBy::MtaSts, Some(&good), "mta-sts"),
            (dane, DemandedBy::Dane, Some(&good), "dane"),
        ] {
            assert_eq!(word(security, by, tls), expected);
        }
    }

    #[test]
    fn a_policy_on_trial_says_what_it_would_have_done() {
        for (names, trusted, listed, expected) in [
            (&["other.test", "mx.test"][..], true, true, "passed"),
            (&["*.test"], true, true, "passed"),
            (&["mx.test"], true, false, "failed"),
            (&["mx.test"], false, true, "failed"),
            (&["other.test"], true, true, "failed"),
        ] {
            let by = DemandedBy::MtaStsTesting { listed };
            let word = word(Security::Opportunistic, by, Some(&tls(names, trusted)));
            assert_eq!(word, format!("mta-sts-testing-{expected}"));
        }
        let by = DemandedBy::MtaStsTesting { listed: true };
        assert_eq!(
            word(Security::Opportunistic, by, None),
            "mta-sts-testing-failed"
        );
    }
}
