use std::mem;

use crate::dns::{Dns, HOSTS_MAX, failed};
use crate::expansion::Expansion;
use crate::facts::Sender;
use crate::macro_string::{Letter, MacroString, Piece};
use crate::mechanism::{Directive, Mechanism};
use crate::network::Prefix;
use crate::record::{Record, policies};
use crate::stop::Stop;
use crate::{Answer, Answers, DnsName, Facts, Matched, Question, SpfResult, Why};

/// RFC 7208 section 4.6.4: terms that look something up, in all records together.
const LOOKUPS_MAX: u32 = 10;
/// Section 4.6.4: such terms for which DNS has nothing.
const VOID_LOOKUPS_MAX: u32 = 2;
/// Octets of one policy. Each is read anew whenever answers have come, and DNS could deliver 64 KiB;
/// section 3.4 advises 450.
const POLICY_LEN_MAX: usize = 8192;

/// A result with its reason.
pub(crate) struct Ended {
    pub result: SpfResult,
    pub why: Why,
    pub explanation: Option<Box<str>>,
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
pub(crate) struct Evaluation<'a> {
    facts: &'a Facts<'a>,
    sender: &'a Sender<'a>,
    dns: Dns<'a>,
    outer: Vec<Frame<'a>>,
    lookups: u32,
    void_lookups: u32,
}

impl<'a> Evaluation<'a> {
    pub fn new(facts: &'a Facts<'a>, sender: &'a Sender<'a>, answers: &'a Answers) -> Self {
        Self {
            facts,
            sender,
            dns: Dns {
                client: facts.client,
                answers,
            },
            outer: Vec::new(),
            lookups: 0,
            void_lookups: 0,
        }
    }

    /// The walk, as far as the answers lead.
    pub fn run(mut self) -> Result<Ended, Stop> {
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
                    Some(name) => {
                        let found = self.found(Question::V4(name))?;
                        matches!(found, Some(Answer::Addresses(list)) if !list.is_empty())
                    }
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
        let Answer::Texts(texts) = self.dns.told(Question::Texts(domain.clone()))? else {
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
        let found = self.found(self.dns.addresses_of(name))?;
        Ok(found.is_some_and(|answer| self.dns.is_among(answer, prefix)))
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
        let answers = self.dns.addresses(hosts)?;
        if answers
            .iter()
            .any(|(_, answer)| self.dns.is_among(answer, prefix))
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
        let names = self.dns.validated_names()?;
        if matches!(
            self.dns.answers.get(&self.dns.reverse()),
            Some(Answer::Nothing)
        ) {
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
            true => self.dns.validated_names()?,
            false => Vec::new(),
        };
        Ok(expand(&Expansion {
            facts: self.facts,
            sender: self.sender,
            domain,
            validated_name: preferred(&names, domain),
        }))
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
        let Answer::Texts(texts) = self.dns.asked(&Question::Texts(name))? else {
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
        match self.dns.told(question)? {
            Answer::Nothing => self.count_void().map(|()| None),
            answer => Ok(Some(answer)),
        }
    }
}

/// Section 7.3 has the domain itself first, then a name below it, then any.
fn preferred<'a>(names: &[&'a DnsName], domain: &DnsName) -> &'a str {
    let same = names.iter().find(|name| **name == domain);
    let below = || names.iter().find(|name| domain.covers(name));
    let best = same.or_else(below).or(names.first());
    best.map_or("unknown", |name| name.as_str())
}
