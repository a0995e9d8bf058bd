use mail::Domain;

use crate::facts::Candidate;
use crate::walk::{Stop, Walk, record};
use crate::{
    Alignment, Answer, Answers, Checked, Compared, DmarcResult, Facts, FoundRecord, InForce,
    Method, Mode, Outcome, Policy, Question, Record, Tag, Why,
};

/// How far an evaluation has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Find these out (side by side), add them to the answers, and evaluate again.
    Ask(Vec<Question>),
    /// It is done.
    Done(Outcome),
}

/// Whether the author is who the message says, as far as `answers` show it (RFC 9989 section 5.3).
///
/// Pure: call it with no answers first, and again with the answers to all that it asked for. It asks
/// for at most 17 things, and for each signature for 8 more, in at most 5 rounds; where a message comes
/// from and is signed by its author's own domain, for one.
pub fn evaluate(facts: &Facts<'_>, answers: &Answers) -> Step {
    let mut outcome = Outcome {
        result: DmarcResult::None,
        author: None,
        record: None,
        organization: None,
        policy: None,
        compared: Vec::new(),
        why: Why::NoRecord,
    };
    let author = match facts.author() {
        Ok(author) => author,
        Err(why) => return Step::Done(Outcome { why, ..outcome }),
    };
    outcome.author = Some(author.clone());
    let evaluation = Evaluation { author, answers };
    match evaluation.conclude(facts, &mut outcome) {
        Ok((result, why)) => Step::Done(Outcome {
            result,
            why,
            ..outcome
        }),
        Err(Stop::Ask(questions)) => Step::Ask(questions),
        Err(Stop::Failed(domain, trouble)) => Step::Done(Outcome {
            result: DmarcResult::TempError,
            why: Why::Dns { domain, trouble },
            ..outcome
        }),
    }
}

struct Evaluation<'a> {
    author: &'a Domain,
    answers: &'a Answers,
}

/// The record that counts, as far as comparing domains goes.
struct Measure<'a> {
    record: &'a Record,
    /// `None` where nobody needs it: all that passed is the author's own domain, or foreign.
    organization: Option<&'a Domain>,
}

impl Evaluation<'_> {
    /// Notes down what it finds on the way.
    fn conclude(
        &self,
        facts: &Facts<'_>,
        outcome: &mut Outcome,
    ) -> Result<(DmarcResult, Why), Stop> {
        let candidates = facts.candidates();
        let own = record(self.author, self.answers)?;
        let (domain, record) = match own {
            Some(record) if !candidates.iter().any(|c| self.needs_walk(c, &record)) => {
                (self.author.clone(), record)
            }
            _ => {
                let walk = Walk::from(self.author, self.answers)?;
                let Some(policy) = walk.policy() else {
                    return Ok((DmarcResult::None, Why::NoRecord));
                };
                outcome.organization = Some(walk.organization());
                policy.clone()
            }
        };
        let measure = Measure {
            record: &record,
            organization: outcome.organization.as_ref(),
        };
        let policy = self.policy(&domain, &record)?;
        outcome.compared = self.compare(&candidates, &measure)?;
        outcome.policy = policy;
        outcome.record = Some(FoundRecord { domain, record });
        Ok(if policy.is_none() {
            (DmarcResult::PermError, Why::NoPolicy)
        } else {
            verdict(&outcome.compared)
        })
    }

    /// Whether it takes the organizational domain to compare this one with the author. Domains that
    /// have not even the last label in common are of no one organization.
    fn needs_walk(&self, candidate: &Candidate<'_>, record: &Record) -> bool {
        let top = |domain: &Domain| domain.as_str().rsplit('.').next().map(str::to_owned);
        candidate.checked != Checked::Failed
            && mode(&candidate.method, record) == Mode::Relaxed
            && candidate.domain != self.author
            && top(candidate.domain) == top(self.author)
    }

    /// What the record asks for (RFC 9989 section 4.10.1); nothing where it has no policy that can be
    /// read. With somebody to be told, that counts as `p=none`.
    fn policy(&self, domain: &Domain, record: &Record) -> Result<Option<InForce>, Stop> {
        let p = match record.p.filter(|_| !record.has_wrong_policy) {
            Some(p) => p,
            None if record.reports_to.is_empty() => return Ok(None),
            None => {
                return Ok(Some(InForce {
                    policy: Policy::None,
                    published: Policy::None,
                    tag: Tag::P,
                }));
            }
        };
        let sp = record.sp.map_or((p, Tag::P), |sp| (sp, Tag::Sp));
        let np = record.np.map_or(sp, |np| (np, Tag::Np));
        let (published, tag) = if domain == self.author {
            (p, Tag::P)
        } else if np.0 != sp.0 && self.is_missing()? {
            np
        } else {
            sp
        };
        let policy = if record.is_test {
            published.one_less()
        } else {
            published
        };
        Ok(Some(InForce {
            policy,
            published,
            tag,
        }))
    }

    /// Whether DNS says that the author's domain does not exist. If it cannot tell, it does.
    fn is_missing(&self) -> Result<bool, Stop> {
        let question = Question::Exists(self.author.clone());
        match self.answers.get(&question) {
            Some(answer) => Ok(*answer == Answer::NoSuchName),
            None => Err(Stop::Ask(vec![question])),
        }
    }

    /// What is not known yet is asked for all at once.
    fn compare(
        &self,
        candidates: &[Candidate<'_>],
        measure: &Measure<'_>,
    ) -> Result<Vec<Compared>, Stop> {
        let mut compared = Vec::new();
        let mut unknown = Vec::new();
        for candidate in candidates {
            match self.alignment(candidate, measure) {
                Ok(alignment) => compared.push(Compared {
                    method: candidate.method.clone(),
                    domain: candidate.domain.clone(),
                    alignment,
                }),
                Err(Stop::Ask(questions)) => unknown.extend(questions),
                Err(stop) => return Err(stop),
            }
        }
        if unknown.is_empty() {
            return Ok(compared);
        }
        unknown.sort_unstable();
        unknown.dedup();
        Err(Stop::Ask(unknown))
    }

    fn alignment(&self, candidate: &Candidate<'_>, by: &Measure<'_>) -> Result<Alignment, Stop> {
        let alignment = match candidate.checked {
            Checked::Failed => return Ok(Alignment::NotPassed),
            _ if candidate.domain == self.author => Alignment::Same,
            _ if mode(&candidate.method, by.record) == Mode::Strict => Alignment::No,
            _ => self.of_organization(candidate.domain, by.organization)?,
        };
        let is_open = candidate.checked == Checked::CannotTell && alignment != Alignment::No;
        Ok(if is_open {
            Alignment::CannotTell
        } else {
            alignment
        })
    }

    /// RFC 9989 section 4.10.2: both have the same organizational domain. That of a domain which is
    /// not below the author's cannot be it, so it is not looked for.
    fn of_organization(
        &self,
        domain: &Domain,
        organization: Option<&Domain>,
    ) -> Result<Alignment, Stop> {
        let Some(organization) = organization else {
            return Ok(Alignment::No);
        };
        if domain != organization && !domain.is_below(organization) {
            return Ok(Alignment::No);
        }
        match Walk::from(domain, self.answers) {
            Ok(walk) if walk.organization() == *organization => Ok(Alignment::Organization),
            Ok(_) => Ok(Alignment::No),
            Err(Stop::Failed(..)) => Ok(Alignment::CannotTell),
            Err(stop) => Err(stop),
        }
    }
}

fn mode(method: &Method, record: &Record) -> Mode {
    match method {
        Method::Spf => record.aspf,
        Method::Dkim(_) => record.adkim,
    }
}

/// RFC 9989 section 5.3.6: what cannot be told is no failure.
fn verdict(compared: &[Compared]) -> (DmarcResult, Why) {
    let any = |is: fn(Alignment) -> bool| compared.iter().any(|one| is(one.alignment));
    if any(|alignment| matches!(alignment, Alignment::Same | Alignment::Organization)) {
        (DmarcResult::Pass, Why::Aligned)
    } else if any(|alignment| alignment == Alignment::CannotTell) {
        (DmarcResult::TempError, Why::CannotTell)
    } else {
        (DmarcResult::Fail, Why::NotAligned)
    }
}
