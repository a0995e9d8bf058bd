use mail::Domain;
use spf::SpfResult;

use crate::{Method, Why};

/// What is known of a message before DNS is asked.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The domains of all addresses in all `From` fields.
    pub authors: &'a [Domain],
    /// What came of SPF, if it was checked.
    pub spf: Option<&'a spf::Outcome>,
    /// What came of each DKIM signature.
    pub dkim: &'a [Signature],
}

/// What DMARC has to know of a DKIM signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Who signed (`d=`).
    pub domain: Domain,
    /// By which key (`s=`).
    pub selector: Box<str>,
    /// What came of it.
    pub checked: Checked,
}

/// What came of SPF or of a signature, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It vouches for its domain.
    Passed,
    /// It does not.
    Failed,
    /// DNS did not answer; it may do so later.
    CannotTell,
}

/// A domain that something vouches for, or could not be asked whether it does.
pub(crate) struct Candidate<'a> {
    pub method: Method,
    pub domain: &'a Domain,
    pub checked: Checked,
}

impl<'a> Facts<'a> {
    /// The domain of the author. RFC 9989 section 5.3.1: a message with several "MUST be exempt from
    /// DMARC checking".
    pub(crate) fn author(&self) -> Result<&'a Domain, Why> {
        let (first, others) = self.authors.split_first().ok_or(Why::NoAuthor)?;
        if others.iter().all(|other| other == first) {
            Ok(first)
        } else {
            Err(Why::SeveralAuthors)
        }
    }

    pub(crate) fn candidates(&self) -> Vec<Candidate<'a>> {
        let sender = self.spf.and_then(|outcome| {
            Some(Candidate {
                method: Method::Spf,
                domain: outcome.domain.as_ref()?,
                checked: match outcome.result {
                    SpfResult::Pass => Checked::Passed,
                    SpfResult::TempError => Checked::CannotTell,
                    _ => Checked::Failed,
                },
            })
        });
        let signatures = self.dkim.iter().map(|signature| Candidate {
            method: Method::Dkim(signature.selector.clone()),
            domain: &signature.domain,
            checked: signature.checked,
        });
        sender.into_iter().chain(signatures).collect()
    }
}
