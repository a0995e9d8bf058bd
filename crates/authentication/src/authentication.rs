use std::collections::BTreeSet;
use std::io::{self, Read};
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
    /// Of a message with this content, as it came. Of its header at most [`HEADER_MAX`] octets are in
    /// memory, of its body a piece.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn new(checks: Checks, claims: Claims, mut content: impl Read) -> io::Result<Self> {
        let Start { octets, header_len } = Start::read(&mut content)?;
        let (header, body) = octets.split_at(header_len);
        let mut key_names = Vec::new();
        let sought = Sought {
            signatures: checks.dkim,
            chain: checks.arc,
        };
        let mut verification = None;
        if checks.dkim || checks.arc {
            let mut verifier = Verifier::new(header, sought);
            key_names.extend(verifier.key_names().cloned());
            if verifier.wants_body() {
                // Behind the empty line, which belongs to neither.
                verifier.push(body.strip_prefix(b"\r\n").unwrap_or(body));
                push_rest(&mut verifier, &mut content)?;
            }
            verification = Some(verifier.finish(claims.now));
        }
        let authors = if checks.dmarc {
            author_domains(header)
        } else {
            Vec::new()
        };
        Ok(Self {
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
        })
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

/// A header that is longer ends there.
pub const HEADER_MAX: usize = 2 << 20;

/// What is read at one time.
const PIECE: usize = 64 << 10;

/// The beginning of a message, with its header.
pub struct Start {
    /// Its octets, as far as they were read: the header, and what of the body came along, at least
    /// its empty line.
    pub octets: Vec<u8>,
    /// How many of them are the header, the end of its last line included; all of them where there
    /// is no body.
    pub header_len: usize,
}

impl Start {
    /// Reads so much of a message that its header is among it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(content: &mut impl Read) -> io::Result<Self> {
        let mut octets = Vec::new();
        loop {
            let seen = octets.len();
            let read = content
                .by_ref()
                .take(PIECE as u64)
                .read_to_end(&mut octets)?;
            if octets.starts_with(b"\r\n") {
                return Ok(Self {
                    octets,
                    header_len: 0,
                });
            }
            let from = seen.saturating_sub(3);
            let mut windows = octets[from..].windows(4);
            let end = windows.position(|window| window == b"\r\n\r\n");
            let end = end.map(|end| from + end + 2);
            if end.is_some() || read < PIECE || octets.len() >= HEADER_MAX {
                let header_len = end.unwrap_or(octets.len());
                return Ok(Self { octets, header_len });
            }
        }
    }
}

fn push_rest(verifier: &mut Verifier, content: &mut impl Read) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match content.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => verifier.push(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
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
