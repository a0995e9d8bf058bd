use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use dkim::{Sought, Verification, Verified, VerifiedSignature, Verifier};
use dmarc::{Checked, Signature};
use mail::{Domain, ReversePath, Timestamp};
use message::author_domains;

use crate::{Answer, Question, Results, Vouched};

/// Which checks are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checks {
    /// Whether the client may send for the sender's domain.
    pub spf: bool,
    /// Whether those who signed the message are who they say.
    pub dkim: bool,
    /// Whether the chain of those who passed it on holds.
    pub arc: bool,
    /// Whether SPF or DKIM vouches for its author. Without them nothing does.
    pub dmarc: bool,
}

/// Who sends, as far as it is known without asking.
#[derive(Debug, Clone)]
pub struct Claims {
    /// The client's address.
    pub client: IpAddr,
    /// What it said with HELO or EHLO.
    pub hello: Box<str>,
    /// The sender of MAIL.
    pub sender: ReversePath,
    /// Our own host name.
    pub receiver: Domain,
    /// The system's clock.
    pub now: Timestamp,
}

/// The checks of one message under way.
pub struct Authentication {
    checks: Checks,
    claims: Claims,
    authors: Vec<Domain>,
    spf_answers: spf::Answers,
    spf: Option<spf::Outcome>,
    verification: Option<Verification>,
    /// The names of all keys, until they are asked for.
    key_names: Vec<Domain>,
    verified: Option<Verified>,
    trusted: Arc<[Domain]>,
    dmarc_answers: dmarc::Answers,
    dmarc: Option<dmarc::Outcome>,
}

/// For what something is asked. Each has its own time: a domain of the sender's choice that is
/// slow to answer must not keep the author's from being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// For SPF, DKIM and ARC: mostly of domains that the sender chose.
    Sender,
    /// For DMARC.
    Author,
}

/// How far the checks have come.
#[derive(Debug)]
pub enum Step {
    /// Find these out, side by side; give each answer to [`Authentication::on_answer`].
    Ask(Stage, Vec<Question>),
    /// All are made.
    Done(Box<Results>),
}

impl Authentication {
    /// Of a message with this content, as it came.
    pub fn new(checks: Checks, claims: Claims, content: &[u8]) -> Self {
        let (header, body) = content.split_at(header_len(content));
        let mut key_names = Vec::new();
        let sought = Sought {
            signatures: checks.dkim,
            chain: checks.arc,
        };
        let verification = (checks.dkim || checks.arc).then(|| {
            let mut verifier = Verifier::new(header, sought);
            key_names.extend(verifier.key_names().cloned());
            if verifier.wants_body() {
                // Behind the empty line, which belongs to neither.
                verifier.push(body.strip_prefix(b"\r\n").unwrap_or(body));
            }
            verifier.finish(claims.now)
        });
        let authors = if checks.dmarc {
            author_domains(header)
        } else {
            Vec::new()
        };
        Self {
            checks,
            claims,
            authors,
            spf_answers: spf::Answers::new(),
            spf: None,
            verification,
            key_names,
            verified: None,
            trusted: Arc::default(),
            dmarc_answers: dmarc::Answers::new(),
            dmarc: None,
        }
    }

    /// Believes what these domains say of the messages that they passed on ([`Vouched`]).
    #[must_use]
    pub fn trusting(mut self, sealers: &Arc<[Domain]>) -> Self {
        self.trusted = Arc::clone(sealers);
        self
    }

    /// What is needed now, or what came of it all.
    pub fn step(&mut self) -> Step {
        let mut questions = self.spf_questions();
        questions.extend(self.dkim_questions());
        if !questions.is_empty() {
            return Step::Ask(Stage::Sender, questions);
        }
        let questions = self.dmarc_questions();
        if !questions.is_empty() {
            return Step::Ask(Stage::Author, questions);
        }
        let (dkim, arc) = match self.verified.take() {
            Some(verified) => (Some(verified.signatures), verified.chain),
            None => (None, None),
        };
        let dmarc = self.dmarc.take();
        let chain = arc.as_ref().zip(dmarc.as_ref());
        Step::Done(Box::new(Results {
            hello: self.claims.hello.clone(),
            spf: self.spf.take(),
            dkim: dkim.filter(|_| self.checks.dkim),
            vouched: chain.map_or(Vouched::No, |(chain, dmarc)| {
                Vouched::of(chain, dmarc, &self.trusted)
            }),
            arc,
            dmarc,
        }))
    }

    /// Takes the answer to a question of the last step. Several checks may have asked it.
    pub fn on_answer(&mut self, question: &Question, answer: &Answer) {
        match question {
            Question::Texts(name) => {
                let spf = spf::Question::Texts(name.clone());
                self.spf_answers.insert(spf, answer.clone().into());
                let Ok(name) = Domain::parse(name.as_str()) else {
                    return;
                };
                if let Some(verification) = &mut self.verification {
                    verification.on_answer(name.clone(), answer.clone().into());
                }
                let dmarc = dmarc::Question::Texts(name);
                self.dmarc_answers.insert(dmarc, answer.clone().into());
            }
            Question::Exists(name) => {
                if let Ok(name) = Domain::parse(name.as_str()) {
                    let dmarc = dmarc::Question::Exists(name);
                    self.dmarc_answers.insert(dmarc, answer.clone().into());
                }
            }
            Question::V4(name) => self.spf_answer(spf::Question::V4(name.clone()), answer),
            Question::V6(name) => self.spf_answer(spf::Question::V6(name.clone()), answer),
            Question::Mx(name) => self.spf_answer(spf::Question::Mx(name.clone()), answer),
            Question::Names(address) => self.spf_answer(spf::Question::Names(*address), answer),
        }
    }

    fn spf_answer(&mut self, question: spf::Question, answer: &Answer) {
        self.spf_answers.insert(question, answer.clone().into());
    }

    fn spf_questions(&mut self) -> Vec<Question> {
        if !self.checks.spf || self.spf.is_some() {
            return Vec::new();
        }
        let facts = spf::Facts {
            client: self.claims.client,
            helo: &self.claims.hello,
            sender: self.claims.sender.as_str(),
            receiver: self.claims.receiver.as_str(),
            now: self.claims.now.as_millis() / 1000,
        };
        match spf::check(&facts, &self.spf_answers) {
            spf::Step::Ask(questions) => questions.into_iter().map(Question::from).collect(),
            spf::Step::Done(outcome) => {
                self.spf = Some(outcome);
                Vec::new()
            }
        }
    }

    fn dkim_questions(&mut self) -> Vec<Question> {
        let Some(verification) = &self.verification else {
            return Vec::new();
        };
        // All at once: a stranger may sign by many keys, each slow to be had.
        let names = std::mem::take(&mut self.key_names);
        if !names.is_empty() {
            let names: BTreeSet<&Domain> = names.iter().collect();
            return names.into_iter().map(Question::from).collect();
        }
        match verification.step() {
            dkim::Step::Ask(name) => vec![Question::from(&name)],
            dkim::Step::Done(verified) => {
                self.verified = Some(verified);
                self.verification = None;
                Vec::new()
            }
        }
    }

    fn dmarc_questions(&mut self) -> Vec<Question> {
        if !self.checks.dmarc || self.dmarc.is_some() {
            return Vec::new();
        }
        let signatures = self.verified.iter().flat_map(|all| &all.signatures);
        let signatures = signatures.filter_map(signature);
        let signatures: Vec<Signature> = signatures.collect();
        let facts = dmarc::Facts {
            authors: &self.authors,
            spf: self.spf.as_ref(),
            dkim: &signatures,
        };
        match dmarc::evaluate(&facts, &self.dmarc_answers) {
            dmarc::Step::Ask(questions) => questions.iter().map(Question::from).collect(),
            dmarc::Step::Done(outcome) => {
                self.dmarc = Some(outcome);
                Vec::new()
            }
        }
    }
}

/// Octets of the header of a message, the end of its last line included; all of it where there is no
/// body.
pub fn header_len(content: &[u8]) -> usize {
    if content.starts_with(b"\r\n") {
        return 0;
    }
    let end = content.windows(4).position(|window| window == b"\r\n\r\n");
    end.map_or(content.len(), |end| end + 2)
}

/// As DMARC asks about it. One whose domain only tries signing out is as if it were not there.
fn signature(verified: &VerifiedSignature) -> Option<Signature> {
    use dkim::DkimResult::{Fail, Neutral, Pass, PermError, Policy, TempError};
    if verified.is_testing {
        return None;
    }
    let selector = verified.signatory.selector.as_ref();
    Some(Signature {
        domain: verified.signatory.domain.clone()?,
        selector: selector.map_or("", Domain::as_str).into(),
        checked: match verified.result() {
            Pass => Checked::Passed,
            TempError => Checked::CannotTell,
            Fail | Policy | Neutral | PermError => Checked::Failed,
        },
    })
}
