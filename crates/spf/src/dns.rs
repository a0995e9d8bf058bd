use std::net::IpAddr;

use crate::network::Prefix;
use crate::stop::Stop;
use crate::{Answer, Answers, DnsName, Question, Why};

/// RFC 7208 section 4.6.4: names of hosts that one MX or PTR look-up may give.
pub(crate) const HOSTS_MAX: usize = 10;

/// What is known of DNS so far, asked for one client.
pub(crate) struct Dns<'a> {
    pub client: IpAddr,
    pub answers: &'a Answers,
}

impl<'a> Dns<'a> {
    /// The answer, a failure too.
    pub fn asked(&self, question: &Question) -> Result<&'a Answer, Stop> {
        let answer = self.answers.get(question);
        answer.ok_or_else(|| Stop::Ask(vec![question.clone()]))
    }

    /// The answer, unless DNS failed.
    pub fn told(&self, question: Question) -> Result<&'a Answer, Stop> {
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

    /// For the addresses of a host in the client's family.
    pub fn addresses_of(&self, name: DnsName) -> Question {
        if self.client.is_ipv4() {
            Question::V4(name)
        } else {
            Question::V6(name)
        }
    }

    /// For the names of the client.
    pub fn reverse(&self) -> Question {
        Question::Names(self.client)
    }

    /// The addresses of hosts in the client's family, all asked for at once.
    pub fn addresses(&self, hosts: &'a [DnsName]) -> Result<Vec<(&'a DnsName, &'a Answer)>, Stop> {
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

    /// The names of the client that lead back to it (section 5.5). DNS that fails is no error here.
    pub fn validated_names(&self) -> Result<Vec<&'a DnsName>, Stop> {
        let Answer::Hosts(names) = self.asked(&self.reverse())? else {
            return Ok(Vec::new());
        };
        let answers = self.addresses(names.get(..HOSTS_MAX).unwrap_or(names))?;
        let leads_back = |answer| self.is_among(answer, Prefix::WHOLE);
        let validated = answers.into_iter().filter(|(_, answer)| leads_back(answer));
        Ok(validated.map(|(name, _)| name).collect())
    }

    /// Whether the client has one of the addresses, as far as they count.
    pub fn is_among(&self, answer: &Answer, prefix: Prefix) -> bool {
        match answer {
            Answer::Addresses(list) => list
                .iter()
                .any(|address| prefix.covers(*address, self.client)),
            _ => false,
        }
    }
}

pub(crate) fn failed(name: DnsName, trouble: &str) -> Stop {
    Stop::Error(Why::Dns {
        name,
        trouble: trouble.into(),
    })
}
