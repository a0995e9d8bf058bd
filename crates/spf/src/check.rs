use std::mem;

use crate::expansion::Expansion;
use crate::facts::Sender;
use crate::macro_string::{Letter, MacroString, Piece};
use crate::mechanism::{Directive, Mechanism};
use crate::network::Prefix;
use crate::record::{Record, policies};
use crate::stop::Stop;
use crate::{Answer, Answers, DnsName, Facts, Matched, Outcome, Question, SpfResult, Why};

/// RFC 7208 section 4.6.4: terms that look something up, in all records together.
const LOOKUPS_MAX: u32 = 10;
/// Section 4.6.4: such terms for which DNS has nothing.
const VOID_LOOKUPS_MAX: u32 = 2;
/// Section 4.6.4: names of hosts that one MX or PTR look-up may give.
const HOSTS_MAX: usize = 10;
/// Octets of one policy. Each is read anew whenever answers have come, and DNS could deliver 64 KiB;
/// section 3.4 advises 450.
const POLICY_LEN_MAX: usize = 8192;

/// How far a check has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Find these out (side by side), add them to the answers, and check again.
    Ask(Vec<Question>),
    /// It is done.
    Done(Outcome),
}

/// Whether the client may send for the sender's domain, as far as `answers` show it (RFC 7208).
///
/// Pure: call it with no answers first, and again with the answers to all that it asked for. It asks
/// for at most 123 things in at most 24 rounds, whatever the answers are.
pub fn check(facts: &Facts<'_>, answers: &Answers) -> Step {
    let facts = &Facts {
        client: facts.client.to_canonical(),
        ..*facts
    };
    let mut outcome = Outcome {
        result: SpfResult::None,
        identity: facts.identity(),
        domain: None,
        why: Why::NoDomain,
        explanation: None,
    };
    let Some(sender) = facts.sender() else {
        return Step::Done(outcome);
    };
    outcome.domain = Some(sender.domain.clone());
    match Evaluation::new(facts, &sender, answers).run() {
        Ok(Ended {
            result,
            why,
            explanation,
        }) => Step::Done(Outcome {
            result,
            why,
            explanation,
            ..outcome
        }),
        Err(Stop::Ask(questions)) => Step::Ask(questions),
        Err(Stop::Error(why)) => {
            outcome.result = match why {
                Why::Dns { .. } => SpfResult::TempError,
                _ => SpfResult::PermError,
            };
            Step::Done(Outcome { why, ..outcome })
        }
    }
}

/// A result with its reason.
struct Ended {
    result: SpfResult,
    why: Why,
    explanation: Option<Box<str>>,
}

/// One policy on the way, and the term of it that is looked at.
struct Frame<'a> {
    domain: DnsName,
    record: Record<'a>,
    at: usize,
}

/// Whether the client matches a term.
enum Match<'a> {
    Yes,
    No,
    /// This policy says.
    Include(Frame<'a>),
}

impl<'a> Frame<'a> {
    fn directive(&self) -> Option<&Directive<'a>> {
        self.record.directives.get(self.at)
    }

    fn matched(&self) -> Option<Matched> {
        self.directive().map(|directive| Matched {
            term: directive.text.into(),
            domain: self.domain.clone(),
        })
    }
}

/// The walk through policies; an `include` puts the one that names it aside (`outer`).
struct Evaluation<'a> {
    facts: &'a Facts<'a>,
    sender: &'a Sender<'a>,
    answers: &'a Answers,
    outer: Vec<Frame<'a>>,
    lookups: u32,
    void_lookups: u32,
}

impl<'a> Evaluation<'a> {
    fn new(facts: &'a Facts<'a>, sender: &'a Sender<'a>, answers: &'a Answers) -> Self {
        Self {
            facts,
            sender,
            answers,
            outer: Vec::new(),
            lookups: 0,
            void_lookups: 0,
        }
    }

    fn run(mut self) -> Result<Ended, Stop> {
        let domain = DnsName::from(&self.sender.domain);
        let Some(mut frame) = self.policy(&domain)? else {
            return Ok(Ended {
                result: SpfResult::None,
                why: Why::NoPolicy(domain),
                explanation: None,
            });
        };
        loop {
            let (mut result, why) = match (frame.directive(), &frame.record.redirect) {
                (Some(directive), _) => match self.matches(directive, &frame.domain)? {
                    Match::Yes => (directive.result, Why::Matched(self.path(&frame))),
                    Match::No => {
                        frame.at += 1;
                        continue;
                    }
                    Match::Include(inner) => {
                        self.outer.push(mem::replace(&mut frame, inner));
                        continue;
                    }
                },
                (None, Some(target)) => {
                    frame = self.led_to(target, &frame.domain)?;
                    continue;
                }
                (None, None) => (SpfResult::Neutral, Why::NoMatch(frame.domain.clone())),
            };
            // What is included matches if it passes (section 5.2), and then so does what includes it.
            loop {
                let Some(outer) = self.outer.pop() else {
                    let explanation = self.explanation(result, &frame)?;
                    return Ok(Ended {
                        result,
                        why,
                        explanation,
                    });
                };
                frame = outer;
                match frame.directive() {
                    Some(directive) if result == SpfResult::Pass => result = directive.result,
                    _ => break frame.at += 1,
                }
            }
        }
    }

    /// The terms that led to this policy, and the one of it that is looked at.
    fn path(&self, frame: &Frame<'a>) -> Vec<Matched> {
        self.outer
            .iter()
            .chain([frame])
            .filter_map(Frame::matched)
            .collect()
    }

    fn matches(&mut self, directive: &Directive<'a>, domain: &DnsName) -> Result<Match<'a>, Stop> {
        let is_match = match &directive.mechanism {
            Mechanism::All => true,
            Mechanism::Ip(network) => network.contains(self.facts.client),
            Mechanism::Include(target) => return self.led_to(target, domain).map(Match::Include),
            Mechanism::A(target, prefix) => self.has_address(target.as_ref(), *prefix, domain)?,
            Mechanism::Mx(target, prefix) => {
                self.has_mail_server(target.as_ref(), *prefix, domain)?
            }
            Mechanism::Ptr(target) => self.has_name(target.as_ref(), domain)?,
            Mechanism::Exists(target) => {
                self.count_lookup()?;
                match self.target(Some(target), domain)? {
                    Some(name) => self.found(Question::V4(name))?.is_some(),
                    None => false,
                }
            }
        };
        Ok(if is_match { Match::Yes } else { Match::No })
    }

    /// The policy that `include` or `redirect` leads to (sections 5.2 and 6.1).
    fn led_to(&mut self, target: &MacroString<'a>, domain: &DnsName) -> Result<Frame<'a>, Stop> {
        self.count_lookup()?;
        let nowhere = || Stop::Error(Why::LeadsNowhere(domain.clone()));
        let name = self.target(Some(target), domain)?.ok_or_else(nowhere)?;
        self.policy(&name)?.ok_or_else(nowhere)
    }

    /// The policy of a domain (section 4.4 and 4.5).
    fn policy(&self, domain: &DnsName) -> Result<Option<Frame<'a>>, Stop> {
        let Answer::Texts(texts) = self.told(Question::Texts(domain.clone()))? else {
            return Ok(None);
        };
        let mut policies = policies(texts);
        let Some(terms) = policies.next() else {
            return Ok(None);
        };
        if policies.next().is_some() {
            return Err(Stop::Error(Why::SeveralPolicies(domain.clone())));
        }
        if terms.len() > POLICY_LEN_MAX {
            return Err(Stop::Error(Why::TooLong(domain.clone())));
        }
        let record = Record::parse(terms).map_err(|term| {
            Stop::Error(Why::Syntax(Matched {
                term: term.into(),
                domain: domain.clone(),
            }))
        })?;
        Ok(Some(Frame {
            domain: domain.clone(),
            record,
            at: 0,
        }))
    }

    /// Section 5.3.
    fn has_address(
        &mut self,
        target: Option<&MacroString<'a>>,
        prefix: Prefix,
        domain: &DnsName,
    ) -> Result<bool, Stop> {
        self.count_lookup()?;
        let Some(name) = self.target(target, domain)? else {
            return Ok(false);
        };
        let found = self.found(self.addresses_of(name))?;
        Ok(found.is_some_and(|answer| self.is_among(answer, prefix)))
    }

    /// Section 5.4. One host that matches is enough: which of them DNS failed for does not matter
    /// then, as their order is random.
    fn has_mail_server(
        &mut self,
        target: Option<&MacroString<'a>>,
        prefix: Prefix,
        domain: &DnsName,
    ) -> Result<bool, Stop> {
        self.count_lookup()?;
        let Some(name) = self.target(target, domain)? else {
            return Ok(false);
        };
        let Some(Answer::Hosts(hosts)) = self.found(Question::Mx(name.clone()))? else {
            return Ok(false);
        };
        if hosts.len() > HOSTS_MAX {
            return Err(Stop::Error(Why::TooManyHosts(name)));
        }
        let answers = self.addresses(hosts)?;
        if answers
            .iter()
            .any(|(_, answer)| self.is_among(answer, prefix))
        {
            return Ok(true);
        }
        for (host, answer) in answers {
            if let Answer::Failed(trouble) = answer {
                return Err(failed(host.clone(), trouble));
            }
        }
        Ok(false)
    }

    /// Section 5.5.
    fn has_name(
        &mut self,
        target: Option<&MacroString<'a>>,
        domain: &DnsName,
    ) -> Result<bool, Stop> {
        self.count_lookup()?;
        let Some(target) = self.target(target, domain)? else {
            return Ok(false);
        };
        let names = self.validated_names()?;
        if matches!(self.answers.get(&self.reverse()), Some(Answer::Nothing)) {
            self.count_void()?;
        }
        Ok(names.iter().any(|name| target.covers(name)))
    }

    /// The name that a term is about; `None` if DNS cannot be asked for it.
    fn target(
        &self,
        target: Option<&MacroString<'a>>,
        domain: &DnsName,
    ) -> Result<Option<DnsName>, Stop> {
        match target {
            None => Ok(Some(domain.clone())),
            Some(string) => self.expanded(string, domain, |by| by.name(string)),
        }
    }

    fn expanded<T>(
        &self,
        string: &MacroString<'_>,
        domain: &DnsName,
        expand: impl FnOnce(&Expansion<'_>) -> T,
    ) -> Result<T, Stop> {
        let is_name = |piece: &Piece<'_>| match piece {
            Piece::Macro(found) => found.letter == Letter::ValidatedName,
            Piece::Literal(_) => false,
        };
        let names = match string.pieces.iter().any(is_name) {
            true => self.validated_names()?,
            false => Vec::new(),
        };
        Ok(expand(&Expansion {
            facts: self.facts,
            sender: self.sender,
            domain,
            validated_name: preferred(&names, domain),
        }))
    }

    /// The names of the client that lead back to it (section 5.5). DNS that fails is no error here.
    fn validated_names(&self) -> Result<Vec<&'a DnsName>, Stop> {
        let Answer::Hosts(names) = self.asked(&self.reverse())? else {
            return Ok(Vec::new());
        };
        let answers = self.addresses(names.get(..HOSTS_MAX).unwrap_or(names))?;
        let leads_back = |answer| self.is_among(answer, Prefix::WHOLE);
        let validated = answers.into_iter().filter(|(_, answer)| leads_back(answer));
        Ok(validated.map(|(name, _)| name).collect())
    }

    /// The addresses of hosts in the client's family, all asked for at once.
    fn addresses(&self, hosts: &'a [DnsName]) -> Result<Vec<(&'a DnsName, &'a Answer)>, Stop> {
        let mut known = Vec::new();
        let mut unknown = Vec::new();
        for host in hosts {
            let question = self.addresses_of(host.clone());
            match self.answers.get(&question) {
                Some(answer) => known.push((host, answer)),
                None if unknown.contains(&question) => {}
                None => unknown.push(question),
            }
        }
        if unknown.is_empty() {
            Ok(known)
        } else {
            Err(Stop::Ask(unknown))
        }
    }

    fn addresses_of(&self, name: DnsName) -> Question {
        if self.facts.client.is_ipv4() {
            Question::V4(name)
        } else {
            Question::V6(name)
        }
    }

    fn reverse(&self) -> Question {
        Question::Names(self.facts.client)
    }

    /// Whether the client has one of the addresses, as far as they count.
    fn is_among(&self, answer: &Answer, prefix: Prefix) -> bool {
        match answer {
            Answer::Addresses(list) => list
                .iter()
                .any(|address| prefix.covers(*address, self.facts.client)),
            _ => false,
        }
    }

    /// What the domain has to say to whom it fails (section 6.2). It counts for no limit, and whatever
    /// is wrong with it, there is none then.
    fn explanation(&self, result: SpfResult, frame: &Frame<'a>) -> Result<Option<Box<str>>, Stop> {
        let Some(target) = frame
            .record
            .explanation
            .as_ref()
            .filter(|_| result == SpfResult::Fail)
        else {
            return Ok(None);
        };
        let Some(name) = self.target(Some(target), &frame.domain)? else {
            return Ok(None);
        };
        let Answer::Texts(texts) = self.asked(&Question::Texts(name))? else {
            return Ok(None);
        };
        let [text] = &**texts else {
            return Ok(None);
        };
        let Some(string) = MacroString::parse(text) else {
            return Ok(None);
        };
        let expanded = self.expanded(&string, &frame.domain, |by| by.text(&string))?;
        // What senders put into macros could be anything.
        let is_plain = |text: &String| text.bytes().all(|b| matches!(b, b' '..=b'~'));
        let plain = expanded.filter(|text| is_plain(text) && !text.is_empty());
        Ok(plain.map(String::into_boxed_str))
    }

    fn count_lookup(&mut self) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups > LOOKUPS_MAX {
            return Err(Stop::Error(Why::TooManyLookups));
        }
        Ok(())
    }

    /// A term counts once, however many hosts of it have no address: else a domain whose servers have
    /// IPv4 alone would be in error for every client with IPv6.
    fn count_void(&mut self) -> Result<(), Stop> {
        self.void_lookups += 1;
        if self.void_lookups > VOID_LOOKUPS_MAX {
            return Err(Stop::Error(Why::TooManyVoidLookups));
        }
        Ok(())
    }

    /// What a term finds in DNS, if anything.
    fn found(&mut self, question: Question) -> Result<Option<&'a Answer>, Stop> {
        match self.told(question)? {
            Answer::Nothing => self.count_void().map(|()| None),
            answer => Ok(Some(answer)),
        }
    }

    /// The answer, unless DNS failed.
    fn told(&self, question: Question) -> Result<&'a Answer, Stop> {
        match (self.asked(&question)?, question) {
            (
                Answer::Failed(trouble),
                Question::Texts(name)
                | Question::V4(name)
                | Question::V6(name)
                | Question::Mx(name),
            ) => Err(failed(name, trouble)),
            (answer, _) => Ok(answer),
        }
    }

    fn asked(&self, question: &Question) -> Result<&'a Answer, Stop> {
        let answer = self.answers.get(question);
        answer.ok_or_else(|| Stop::Ask(vec![question.clone()]))
    }
}

fn failed(name: DnsName, trouble: &str) -> Stop {
    Stop::Error(Why::Dns {
        name,
        trouble: trouble.into(),
    })
}

/// Section 7.3 has the domain itself first, then a name below it, then any.
fn preferred<'a>(names: &[&'a DnsName], domain: &DnsName) -> &'a str {
    let same = names.iter().find(|name| **name == domain);
    let below = || names.iter().find(|name| domain.covers(name));
    let best = same.or_else(below).or(names.first());
    best.map_or("unknown", |name| name.as_str())
}
