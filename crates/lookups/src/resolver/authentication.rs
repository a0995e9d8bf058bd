//! What SPF, DKIM and DMARC ask.

use ::authentication::{Answer, Question};
use domain::base::Rtype;
use spf::DnsName;

use super::reverse::reverse_name;
use super::wire::Record;
use super::{Lookup, Resolver, address_of, lookup};

impl Resolver {
    /// Takes at most the time-out.
    pub async fn authentication_answer(&self, question: &Question) -> Answer {
        match question {
            Question::Texts(name) => {
                answer(self.found(name, Rtype::TXT, text_of).await, Answer::Texts)
            }
            Question::V4(name) => answer(
                self.found(name, Rtype::A, address_of).await,
                Answer::Addresses,
            ),
            Question::V6(name) => answer(
                self.found(name, Rtype::AAAA, address_of).await,
                Answer::Addresses,
            ),
            Question::Mx(name) => {
                let found = self.found(name, Rtype::MX, exchange_of).await;
                answer(found, |mut exchanges| {
                    exchanges.sort_by_key(|(preference, _)| *preference);
                    Answer::Hosts(exchanges.into_iter().filter_map(|(_, host)| host).collect())
                })
            }
            Question::Names(address) => {
                let reverse = self.lookup(&reverse_name(*address), Rtype::PTR).await;
                answer(lookup(&reverse, name_of), Answer::Hosts)
            }
            // RFC 8020: whatever is asked for, a name that is not there is not there.
            Question::Exists(name) => match self.found(name, Rtype::A, address_of).await {
                Lookup::Found(_) | Lookup::NoData => Answer::NoData,
                Lookup::NoSuchName => Answer::NoSuchName,
                Lookup::Failed(why) => Answer::Failed(why),
            },
        }
    }

    async fn found<T>(
        &self,
        name: &DnsName,
        kind: Rtype,
        pick: impl Fn(&Record) -> Option<T>,
    ) -> Lookup<Vec<T>> {
        lookup(&*self.lookup(&zone_form(name), kind).await, pick)
    }
}

fn answer<T>(found: Lookup<Vec<T>>, of: impl FnOnce(Vec<T>) -> Answer) -> Answer {
    match found {
        Lookup::Found(records) => of(records),
        Lookup::NoData => Answer::NoData,
        Lookup::NoSuchName => Answer::NoSuchName,
        Lookup::Failed(why) => Answer::Failed(why),
    }
}

fn text_of(record: &Record) -> Option<Box<str>> {
    match record {
        Record::Text(text) => Some(text.clone()),
        Record::Address(_) | Record::Name(_) | Record::Mx(..) | Record::Tlsa(_) => None,
    }
}

fn exchange_of(record: &Record) -> Option<(u16, Option<DnsName>)> {
    match record {
        Record::Mx(preference, host) => Some((*preference, host.as_ref().map(DnsName::from))),
        Record::Text(_) | Record::Name(_) | Record::Address(_) | Record::Tlsa(_) => None,
    }
}

fn name_of(record: &Record) -> Option<DnsName> {
    match record {
        Record::Name(name) => Some(name.into()),
        Record::Text(_) | Record::Mx(..) | Record::Address(_) | Record::Tlsa(_) => None,
    }
}

/// As zone files write it: what stands in a name by a stranger's choice is escaped there.
fn zone_form(name: &DnsName) -> String {
    let mut text = String::with_capacity(name.as_str().len());
    for character in name.as_str().chars() {
        if !matches!(character, 'a'..='z' | '0'..='9' | '-' | '_' | '.') {
            text.push('\\');
            // RFC 1035 section 5.1: what is no digit stands for itself behind a backslash.
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_put_into_names_stays_within_its_label() {
        for (name, expected) in [
            ("ann.spf.a.test", "ann.spf.a.test"),
            ("a\\b.test", "a\\\\b.test"),
            ("a b;\"c@.test", "a\\ b\\;\\\"c\\@.test"),
        ] {
            assert_eq!(zone_form(&DnsName::parse(name).unwrap()), expected);
        }
    }
}
