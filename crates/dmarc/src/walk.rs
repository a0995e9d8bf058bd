use mail::Domain;

use crate::{Answer, Answers, Psd, Question, Record};

/// RFC 9989 section 4.10: after the name itself, at most seven labels of it are looked at.
const LABELS_MAX: usize = 7;

/// Why a walk does not go on.
pub(crate) enum Stop {
    /// These have to be known first.
    Ask(Vec<Question>),
    /// DNS could not tell about this name; why.
    Failed(Domain, Box<str>),
}

/// The DMARC records on the way from a domain up to the top, the domain's own first (RFC 9989
/// section 4.10).
pub(crate) struct Walk {
    start: Domain,
    pub found: Vec<(Domain, Record)>,
}

impl Walk {
    /// Walks as far as a record says that organizations begin. The domain's own record is asked for
    /// alone, as often it is enough, and all above it at once.
    pub fn from(start: &Domain, answers: &Answers) -> Result<Self, Stop> {
        let mut found = Vec::new();
        let mut unknown = Vec::new();
        let above = steps(start);
        for domain in std::iter::once(start).chain(&above) {
            match record(domain, answers) {
                Ok(None) => {}
                Ok(Some(record)) => {
                    let is_end = record.psd != Psd::Unsaid;
                    found.push((domain.clone(), record));
                    if is_end {
                        break;
                    }
                }
                Err(Stop::Ask(questions)) if domain != start => unknown.extend(questions),
                Err(Stop::Failed(..)) if !unknown.is_empty() => break,
                Err(stop) => return Err(stop),
            }
        }
        if !unknown.is_empty() {
            return Err(Stop::Ask(unknown));
        }
        let start = start.clone();
        Ok(Self { start, found })
    }

    /// The organizational domain (section 4.10.2).
    pub fn organization(&self) -> Domain {
        for (domain, record) in &self.found {
            match record.psd {
                Psd::No => return domain.clone(),
                Psd::Yes if *domain != self.start => return one_below(domain, &self.start),
                Psd::Yes | Psd::Unsaid => {}
            }
        }
        self.found
            .last()
            .map_or_else(|| self.start.clone(), |(domain, _)| domain.clone())
    }

    /// The record that a domain has by itself, or of those above it by its organization, or by the
    /// public suffix domain above that (section 4.10.1).
    pub fn policy(&self) -> Option<&(Domain, Record)> {
        let organization = self.organization();
        let of = |name: &Domain| self.found.iter().find(|(domain, _)| domain == name);
        of(&self.start)
            .or_else(|| of(&organization))
            .or(self.found.last())
    }
}

/// The DMARC record of this very domain. Section 4.10 has several of them discarded.
pub(crate) fn record(domain: &Domain, answers: &Answers) -> Result<Option<Record>, Stop> {
    let Ok(name) = Domain::parse(&format!("_dmarc.{domain}")) else {
        // Too long for a name.
        return Ok(None);
    };
    let question = Question::Texts(name);
    match answers.get(&question) {
        None => Err(Stop::Ask(vec![question])),
        Some(Answer::Failed(why)) => Err(Stop::Failed(domain.clone(), why.clone())),
        Some(Answer::NoData | Answer::NoSuchName) => Ok(None),
        Some(Answer::Texts(texts)) => {
            let mut records = texts.iter().filter_map(|text| Record::parse(text));
            let first = records.next();
            Ok(first.filter(|_| records.next().is_none()))
        }
    }
}

/// The domains above one that are looked at, the longest first.
fn steps(start: &Domain) -> Vec<Domain> {
    let above = std::iter::successors(start.parent(), Domain::parent);
    above
        .filter(|domain| domain.as_str().split('.').count() <= LABELS_MAX)
        .collect()
}

/// The domain one label below `suffix` on the way to `start`.
fn one_below(suffix: &Domain, start: &Domain) -> Domain {
    let mut name = start.clone();
    while let Some(parent) = name.parent().filter(|parent| parent != suffix) {
        name = parent;
    }
    name
}
