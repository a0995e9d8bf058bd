use dkim::{ArcResult, Chain, Link};
use dmarc::{DmarcResult, Outcome};
use mail::Domain;
use message::{StatedResult, StatedResults};

/// Whether somebody who is believed vouches for the author of a message for which DMARC finds nothing
/// that does: a reason not to do what the author's domain asks for (RFC 8617 section 7.2).
///
/// Whoever sealed the last instance has to be believed, and what counts is the first of the instances
/// up to there that were all sealed by those who are: it tells what came in at their door. What is
/// said further back is a stranger's word, who can write a whole chain of his own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Vouched {
    /// Nobody does, or it is not needed.
    #[default]
    No,
    /// This one, who found that the author was who it says.
    By(Domain),
    /// It would, were DNS to answer for the chain.
    CannotTell,
}

impl Vouched {
    /// By a chain, for a message of which this came, where these are believed.
    pub(crate) fn of(chain: &Chain, dmarc: &Outcome, trusted: &[Domain]) -> Self {
        let is_of_use = dmarc.result == DmarcResult::Fail;
        let holds = chain.result() == ArcResult::Pass;
        if !is_of_use || !(holds || chain.cannot_be_told()) {
            return Self::No;
        }
        let links = chain.links.iter().rev();
        let believed = links.take_while(|link| trusted.contains(&link.sealer));
        match believed.last() {
            Some(first) if !says_passed(first, dmarc) => Self::No,
            Some(first) if holds => Self::By(first.sealer.clone()),
            Some(_) => Self::CannotTell,
            None => Self::No,
        }
    }
}

/// Whether one who passed the message on says that DMARC, or a signature that DMARC would count, was
/// good by then.
fn says_passed(link: &Link, dmarc: &Outcome) -> bool {
    let Some(author) = &dmarc.author else {
        return false;
    };
    let is_aligned = |domain: &Domain| {
        let of_organization = |top: &Domain| domain == top || domain.is_below(top);
        domain == author || dmarc.organization.as_ref().is_some_and(of_organization)
    };
    let passed = |stated: &StatedResult| match stated.method.as_str() {
        "dmarc" => domain_of(stated, "header.from").as_ref() == Some(author),
        "dkim" => ["header.d", "header.i"]
            .iter()
            .find_map(|name| domain_of(stated, name))
            .is_some_and(|domain| is_aligned(&domain)),
        _ => false,
    };
    let stated = StatedResults::read(&link.results);
    let results = stated.iter().flat_map(|stated| &stated.results);
    let mut passes = results.filter(|stated| stated.result == "pass");
    passes.any(passed)
}

fn domain_of(stated: &StatedResult, name: &str) -> Option<Domain> {
    let value = stated.property(name)?;
    let host = value.rsplit_once('@').map_or(value, |(_, host)| host);
    Domain::parse(host).ok()
}

#[cfg(test)]
mod tests {
    use dkim::{ChainReason, Reason};
    use dmarc::Why;

    use super::*;

    fn name(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    fn failed(result: DmarcResult) -> Outcome {
        Outcome {
            result,
            author: Some(name("mail.a.test")),
            record: None,
            organization: Some(name("a.test")),
            policy: None,
            compared: Vec::new(),
            why: Why::NotAligned,
        }
    }

    fn chain(reason: ChainReason, links: &[(&str, &str)]) -> Chain {
        let link = |(sealer, results): &(&str, &str)| Link {
            sealer: name(sealer),
            results: results.as_bytes().into(),
        };
        Chain {
            reason,
            links: links.iter().map(link).collect(),
            oldest_pass: None,
        }
    }

    fn vouched(links: &[(&str, &str)]) -> Vouched {
        let trusted = [name("list.test"), name("big.test")];
        let chain = chain(ChainReason::Good, links);
        Vouched::of(&chain, &failed(DmarcResult::Fail), &trusted)
    }

    const PASSED: &str = " mx.test; dmarc=pass (p=reject) header.from=mail.a.test";

    #[test]
    fn who_is_believed_vouches_by_what_came_in_at_the_door() {
        let by = |sealer| Vouched::By(name(sealer));
        for (links, expected) in [
            (&[("list.test", PASSED)][..], by("list.test")),
            (
                &[("big.test", PASSED), ("list.test", " mx; dmarc=fail")],
                by("big.test"),
            ),
            // A stranger may write what it likes.
            (
                &[("evil.test", PASSED), ("list.test", " mx; dmarc=fail")],
                Vouched::No,
            ),
            (&[("evil.test", ""), ("list.test", PASSED)], by("list.test")),
            (&[("list.test", PASSED), ("evil.test", PASSED)], Vouched::No),
            (&[], Vouched::No),
        ] {
            assert_eq!(vouched(links), expected, "{links:?}");
        }
    }

    #[test]
    fn what_it_says_has_to_be_of_the_author() {
        for (results, expected) in [
            (" mx; dkim=pass header.d=a.test", true),
            (
                " mx; dkim=fail header.d=a.test; dkim=pass header.i=@x.a.test",
                true,
            ),
            (" mx; dkim=pass header.d=b.test header.i=@a.test", false),
            (" mx; dkim=pass", false),
            (" mx; dmarc=pass", false),
            (" mx; dmarc=pass header.from=a.test", false),
            (" mx; dmarc=fail header.from=mail.a.test", false),
            (" mx; spf=pass smtp.mailfrom=mail.a.test", false),
            (" mx; x=y (dmarc=pass header.from=mail.a.test)", false),
            ("", false),
        ] {
            let found = vouched(&[("list.test", results)]);
            assert_eq!(found != Vouched::No, expected, "{results}");
        }
    }

    #[test]
    fn a_chain_that_does_not_hold_vouches_for_nobody() {
        let links = [("list.test", PASSED)];
        let trusted = [name("list.test")];
        let broken = |reason| ChainReason::Seal {
            instance: 1,
            reason,
        };
        for (reason, dmarc, expected) in [
            (
                broken(Reason::HeaderChanged),
                DmarcResult::Fail,
                Vouched::No,
            ),
            (
                broken(Reason::CannotTell),
                DmarcResult::Fail,
                Vouched::CannotTell,
            ),
            (ChainReason::Good, DmarcResult::Pass, Vouched::No),
            (ChainReason::Good, DmarcResult::TempError, Vouched::No),
        ] {
            let found = Vouched::of(&chain(reason, &links), &failed(dmarc), &trusted);
            assert_eq!(found, expected, "{reason} {dmarc}");
        }
        let found = Vouched::of(
            &chain(ChainReason::Good, &links),
            &failed(DmarcResult::Fail),
            &[],
        );
        assert_eq!(found, Vouched::No);
    }
}
