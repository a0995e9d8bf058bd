use dkim::{Chain, VerifiedSignature};
use dmarc::Policy;
use mail::{Domain, ReversePath};
use message::{StatedResults, Statement, authentication_results_field};

use crate::Vouched;

/// What the checks came to; `None` of one that was not made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Results {
    /// What the client said with HELO or EHLO.
    pub hello: Box<str>,
    /// SPF.
    pub spf: Option<spf::Outcome>,
    /// Each signature that was looked at, from the top.
    pub dkim: Option<Vec<VerifiedSignature>>,
    /// Those who passed it on (ARC).
    pub arc: Option<Chain>,
    /// DMARC.
    pub dmarc: Option<dmarc::Outcome>,
    /// Whether one of those who passed it on is believed where DMARC fails.
    pub vouched: Vouched,
}

/// Each in a word, as rules ask for it; empty where the check was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// `none`, `neutral`, `pass`, `fail`, `softfail`, `temperror`, `permerror`.
    pub spf: &'static str,
    /// `pass` where one signature is good; `none` where there is none; otherwise what came of the
    /// first.
    pub dkim: &'static str,
    /// `none`, `pass`, `fail`.
    pub arc: &'static str,
    /// `none`, `pass`, `fail`, `temperror`, `permerror`; `several-authors` where that is why there is
    /// none.
    pub dmarc: &'static str,
    /// What the author's domain asks for where DMARC fails and nobody who is believed vouches for the
    /// author, or where that cannot be told: `none`, `quarantine`, `reject`.
    pub policy: &'static str,
}

impl Summary {
    /// Whether DMARC fails and nobody who is believed vouches for the author.
    pub fn is_forged(&self) -> bool {
        // There is a policy where it fails, but for who is vouched for.
        self.dmarc == "fail" && !self.policy.is_empty()
    }
}

impl Results {
    /// In a word each.
    pub fn summary(&self) -> Summary {
        let dkim = self.dkim.as_deref().map(|signatures| {
            let passes = |one: &&VerifiedSignature| one.result() == dkim::DkimResult::Pass;
            let best = signatures.iter().find(passes).or(signatures.first());
            best.map_or("none", |one| one.result().as_str())
        });
        use dmarc::DmarcResult::{Fail, TempError};
        let asked = self.dmarc.as_ref();
        let asked = asked.filter(|outcome| matches!(outcome.result, Fail | TempError));
        let several = self
            .dmarc
            .as_ref()
            .is_some_and(|dmarc| dmarc.why == dmarc::Why::SeveralAuthors);
        // Nobody vouches for the author yet, and somebody may once DNS answers.
        let is_open = self.vouched == Vouched::CannotTell;
        Summary {
            spf: self.spf.as_ref().map_or("", |spf| spf.result.as_str()),
            dkim: dkim.unwrap_or_default(),
            arc: self.arc.as_ref().map_or("", |arc| arc.result().as_str()),
            dmarc: match &self.dmarc {
                Some(_) if is_open => TempError.as_str(),
                Some(_) if several => "several-authors",
                Some(dmarc) => dmarc.result.as_str(),
                None => "",
            },
            policy: policy(asked.filter(|_| !matches!(self.vouched, Vouched::By(_)))),
        }
    }

    /// Whether a message comes from the domain of its sender (MAIL), so that a notice to there goes to
    /// nobody who sent nothing: SPF passes for it, or DMARC for an author of its organization. That DMARC
    /// passes alone says nothing of the sender, which whoever signs for its own domain may choose.
    pub fn proves(&self, sender: &ReversePath) -> bool {
        let Some(sender) = sender.domain() else {
            return false;
        };
        let spf = self.spf.as_ref();
        let by_spf = spf.is_some_and(|spf| spf.result == spf::SpfResult::Pass);
        let dmarc = self.dmarc.as_ref();
        let dmarc = dmarc.filter(|dmarc| dmarc.result == dmarc::DmarcResult::Pass);
        let theirs = dmarc.into_iter();
        let mut theirs = theirs.flat_map(|dmarc| [&dmarc.author, &dmarc.organization]);
        let is_theirs = |one: &Domain| sender == one || sender.is_below(one);
        by_spf || theirs.any(|one| one.as_ref().is_some_and(is_theirs))
    }

    /// The `Authentication-Results` field (RFC 8601), as `id` writes it, with its line ends. `None`
    /// where nothing was checked.
    pub fn field(&self, id: &Domain) -> Option<String> {
        let statements = self.statements();
        (!statements.is_empty()).then(|| authentication_results_field(id, &statements))
    }

    /// What each check came to, a line each, for people.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let spf = self.spf.as_ref();
        let spf = spf.map(|outcome| format!("spf {}: {}", outcome.result, outcome.why));
        let signed = |one: &VerifiedSignature| {
            let domain = one
                .signatory
                .domain
                .as_ref()
                .map_or("nobody", Domain::as_str);
            format!("dkim {} by {domain}: {}", one.result(), one.reason)
        };
        let dkim = self.dkim.iter().flat_map(move |all| match &all[..] {
            [] => vec!["dkim none: not signed".to_owned()],
            all => all.iter().map(signed).collect(),
        });
        let arc = self.arc.as_ref();
        let arc = arc.map(|chain| format!("arc {}: {}", chain.result(), told(chain, true)));
        let dmarc = self.dmarc.as_ref();
        let vouched = self.vouching();
        let dmarc = dmarc.map(|outcome| format!("dmarc {}: {outcome}{vouched}", outcome.result));
        spf.into_iter().chain(dkim).chain(arc).chain(dmarc)
    }

    /// What comes of a failure of DMARC by those who passed the message on.
    fn vouching(&self) -> String {
        match &self.vouched {
            Vouched::No => String::new(),
            Vouched::By(sealer) => format!("; not applied: arc, {sealer} vouches for the author"),
            Vouched::CannotTell => "; not applied now: arc, DNS did not answer".to_owned(),
        }
    }

    fn statements(&self) -> Vec<Statement<'_>> {
        let spf = self.spf.as_ref().map(|outcome| {
            let result = outcome.result.as_str();
            let domain = outcome.domain.as_ref().map_or("", Domain::as_str);
            let statement = match outcome.identity {
                spf::Identity::MailFrom => Statement::spf_of_sender(result, domain),
                spf::Identity::Helo => Statement::spf_of_helo(result, &*self.hello),
            };
            statement.because(outcome.why.to_string())
        });
        let dkim = self
            .dkim
            .iter()
            .flat_map(|signatures| match &signatures[..] {
                [] => vec![Statement::dkim("none", "", "", "", "")],
                signatures => signatures.iter().map(signature).collect(),
            });
        let dmarc = self.dmarc.as_ref().map(|outcome| {
            let author = outcome.author.as_ref().map_or("", Domain::as_str);
            let failed = Some(outcome).filter(|one| one.result == dmarc::DmarcResult::Fail);
            Statement::dmarc(outcome.result.as_str(), author, policy(failed))
                .because(format!("{outcome}{}", self.vouching()))
        });
        let arc = self.arc.as_ref().map(|chain| {
            Statement::arc(chain.result().as_str(), chain.oldest_pass).because(told(chain, false))
        });
        let all = spf.into_iter().chain(dkim).chain(arc).chain(dmarc);
        all.collect()
    }
}

/// How the result of a chain came to be, and who passed the message on; for people with the names under
/// which each says what it found.
fn told(chain: &Chain, with_ids: bool) -> String {
    let mut told = chain.reason.to_string();
    for (link, at) in chain.links.iter().zip(1..) {
        told.push_str(&format!(", i={at} {}", link.sealer));
        let stated = StatedResults::read(&link.results).filter(|_| with_ids);
        if let Some(stated) = stated.filter(|stated| stated.id != link.sealer.as_str()) {
            told.push_str(&format!(" as {}", stated.id));
        }
    }
    told
}

fn signature(verified: &VerifiedSignature) -> Statement<'_> {
    let by = &verified.signatory;
    let testing = if verified.is_testing { ", in test" } else { "" };
    Statement::dkim(
        verified.result().as_str(),
        by.domain.as_ref().map_or("", Domain::as_str),
        by.selector.as_ref().map_or("", Domain::as_str),
        by.algorithm.map_or("", dkim::Algorithm::as_str),
        &*by.signed_start,
    )
    .because(format!("{}{testing}", verified.reason))
}

fn policy(outcome: Option<&dmarc::Outcome>) -> &'static str {
    let policy = outcome.and_then(|outcome| outcome.policy);
    policy.map_or("", |in_force| match in_force.policy {
        Policy::None => "none",
        Policy::Quarantine => "quarantine",
        Policy::Reject => "reject",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_proven_by_spf_or_by_an_author_of_its_organization() {
        let domain = |name: &str| Domain::parse(name).unwrap();
        let by_dmarc = |result, author: &str, organization: &str| Results {
            dmarc: Some(dmarc::Outcome {
                result,
                author: Some(domain(author)),
                record: None,
                organization: Domain::parse(organization).ok(),
                policy: None,
                compared: Vec::new(),
                why: dmarc::Why::Aligned,
            }),
            ..Results::default()
        };
        let sender = ReversePath::parse_routed("ann@mail.out.test").unwrap();
        use dmarc::DmarcResult::{Fail, Pass};
        for (result, author, organization, expected) in [
            (Pass, "mail.out.test", "", true),
            (Pass, "out.test", "", true),
            (Pass, "news.out.test", "out.test", true),
            (Pass, "news.out.test", "", false),
            (Pass, "evil.test", "evil.test", false),
            (Fail, "mail.out.test", "", false),
        ] {
            let results = by_dmarc(result, author, organization);
            assert_eq!(results.proves(&sender), expected, "{author}");
            assert!(!results.proves(&ReversePath::Null), "{author}");
        }
        assert!(!Results::default().proves(&sender));
    }

    #[test]
    fn a_message_is_forged_unless_somebody_vouches_for_it() {
        for (dmarc, policy, expected) in [
            ("fail", "reject", true),
            ("fail", "none", true),
            ("fail", "", false),
            ("temperror", "reject", false),
            ("pass", "", false),
            ("", "", false),
        ] {
            let summary = Summary {
                dmarc,
                policy,
                ..Summary::default()
            };
            assert_eq!(summary.is_forged(), expected, "{summary:?}");
        }
    }
}
