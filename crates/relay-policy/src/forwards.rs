use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;

use mail::{Domain, Host, Mailbox, Place};

use crate::senders;

/// A way of forwards from one to the next that is longer is taken for a circle.
pub const FORWARD_STEPS_MAX: usize = 10;

/// An address, or everybody at a domain: what stands on either side of a forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Party {
    /// `ann@example.com`
    Mailbox(Mailbox),
    /// `@example.com`; as a target: the same local part there.
    Domain(Domain),
}

impl Party {
    /// Reads `ann@example.com` or `@example.com`; what is wrong with it otherwise.
    pub fn parse(text: &str) -> Result<Self, String> {
        let party = match text.strip_prefix('@') {
            Some(domain) => Self::Domain(Domain::parse(domain).map_err(|why| why.to_string())?),
            None => Self::Mailbox(Mailbox::parse_recipient(text).map_err(|why| why.to_string())?),
        };
        match &party {
            // Such a message may come without SMTPUTF8, and could not be handed on then.
            Self::Mailbox(mailbox) if mailbox.in_ascii().is_none() => {
                Err("a local part beyond ASCII cannot be forwarded".into())
            }
            Self::Domain(domain) if domain.ends_in_digits() => Err("no domain ends so".into()),
            Self::Mailbox(_) | Self::Domain(_) => Ok(party),
        }
    }

    /// Where it is.
    pub fn host(&self) -> Host {
        match self {
            Self::Mailbox(mailbox) => mailbox.host().clone(),
            Self::Domain(domain) => Host::Domain(domain.clone()),
        }
    }

    /// Who gets what is for `mailbox`; `None` where that makes no address, for its length.
    fn in_place_of(&self, mailbox: &Mailbox) -> Option<Mailbox> {
        match self {
            Self::Mailbox(target) => Some(target.clone()),
            Self::Domain(domain) => Mailbox::parse(&format!("{}@{domain}", mailbox.local())).ok(),
        }
    }
}

/// As it is written in the configuration.
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mailbox(mailbox) => mailbox.fmt(f),
            Self::Domain(domain) => write!(f, "@{domain}"),
        }
    }
}

/// One entry of `[forward]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Whose mail it is about: an address or domain of ours.
    pub from: Party,
    /// Who gets it in place of that. Whoever is named there itself keeps it, too.
    pub to: Box<[Party]>,
    /// Where it was written.
    pub place: Place,
}

/// All forwards; the entry of an address goes before that of its domain.
#[derive(Debug, Clone, Default)]
pub struct Forwards {
    mailboxes: HashMap<(String, Host), Forward>,
    domains: HashMap<Domain, Forward>,
}

impl Forwards {
    /// Adds an entry, and gives back the one about the same party that it replaces.
    pub fn insert(&mut self, forward: Forward) -> Option<Forward> {
        match &forward.from {
            Party::Mailbox(mailbox) => self.mailboxes.insert(senders::key(mailbox), forward),
            Party::Domain(domain) => self.domains.insert(domain.clone(), forward),
        }
    }

    /// All entries, in no particular order.
    pub fn entries(&self) -> impl Iterator<Item = &Forward> {
        self.mailboxes.values().chain(self.domains.values())
    }

    /// Whether an entry is about this very address: then it exists, whatever a list says.
    pub fn names(&self, mailbox: &Mailbox) -> bool {
        !self.mailboxes.is_empty() && self.mailboxes.contains_key(&senders::key(mailbox))
    }

    fn find(&self, mailbox: &Mailbox) -> Option<&Forward> {
        if self.mailboxes.is_empty() && self.domains.is_empty() {
            return None;
        }
        let own = self.mailboxes.get(&senders::key(mailbox));
        own.or_else(|| self.domains.get(mailbox.host().domain()?))
    }

    /// Who gets what is for `mailbox`, each once and with the entry that names it; `None` where no
    /// entry is about it. Targets that are forwarded themselves are followed to the end. Of those
    /// whose local part is what the client wrote, as a whole domain is forwarded to another, only
    /// who `exists` there.
    pub fn targets(
        &self,
        mailbox: &Mailbox,
        mut exists: impl FnMut(&Mailbox) -> bool,
    ) -> Option<Vec<(Mailbox, &Forward)>> {
        let mut found = Vec::new();
        self.find(mailbox)?;
        let mut seen = HashSet::from([senders::key(mailbox)]);
        let mut open = VecDeque::from([mailbox.clone()]);
        while let Some(from) = open.pop_front() {
            let Some(forward) = self.find(&from) else {
                continue;
            };
            for party in &forward.to {
                match party.in_place_of(&from) {
                    // It stays where it is rather than being lost.
                    None => found.push((from.clone(), forward)),
                    Some(to) if senders::is_same(&to, &from) => found.push((to, forward)),
                    Some(to) if !seen.insert(senders::key(&to)) => {}
                    Some(to) if matches!(party, Party::Domain(_)) && !exists(&to) => {}
                    Some(to) if self.find(&to).is_some() => open.push_back(to),
                    Some(to) => found.push((to, forward)),
                }
            }
        }
        Some(found)
    }

    /// Where the mail of `mailbox` is read in the end: itself, or all to whom it is forwarded.
    pub fn places_of(&self, mailbox: &Mailbox) -> impl Iterator<Item = Mailbox> {
        let targets = self.targets(mailbox, |_| true);
        let itself = targets.is_none().then(|| mailbox.clone());
        let targets = targets.into_iter().flatten().map(|(to, _)| to);
        itself.into_iter().chain(targets)
    }

    /// A way of forwards from `entry` on that never ends, or not within [`FORWARD_STEPS_MAX`]:
    /// everybody on it.
    pub fn endless(&self, entry: &Forward) -> Option<Vec<Mailbox>> {
        let mut way = vec![self.example(entry)?];
        self.walk(&mut way, &mut HashSet::new()).then_some(way)
    }

    /// To how many the mail for an address goes that this entry is about.
    pub fn reach(&self, entry: &Forward) -> usize {
        let example = self.example(entry);
        example.map_or(0, |mailbox| self.places_of(&mailbox).count())
    }

    fn example(&self, entry: &Forward) -> Option<Mailbox> {
        match &entry.from {
            Party::Mailbox(mailbox) => Some(mailbox.clone()),
            Party::Domain(domain) => self.nobody_at(domain),
        }
    }

    /// An address of the domain that no entry is about.
    fn nobody_at(&self, domain: &Domain) -> Option<Mailbox> {
        // One more than there are entries: one of them is free in every domain.
        let mut names = (0..=self.mailboxes.len()).map(|n| format!("anybody{n}"));
        let name = names.find(|name| !self.mailboxes.keys().any(|(local, _)| local == name))?;
        Mailbox::parse(&format!("{name}@{domain}")).ok()
    }

    /// Whether the way goes on from its end without end; it is then left as it is. Whoever `ends`
    /// is known to lead to an end.
    fn walk(&self, way: &mut Vec<Mailbox>, ends: &mut HashSet<(String, Host)>) -> bool {
        let Some((from, forward)) = way.last().and_then(|at| Some((at.clone(), self.find(at)?)))
        else {
            return false;
        };
        for to in forward.to.iter().filter_map(|to| to.in_place_of(&from)) {
            if senders::is_same(&to, &from) || ends.contains(&senders::key(&to)) {
                continue;
            }
            let again = way.iter().any(|passed| senders::is_same(passed, &to));
            way.push(to);
            if again || way.len() > FORWARD_STEPS_MAX + 1 || self.walk(way, ends) {
                return true;
            }
            way.pop();
        }
        ends.insert(senders::key(&from));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ann@a.test: bob@b.test @c.test`, one a line.
    fn forwards(text: &str) -> Forwards {
        let mut forwards = Forwards::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (from, to) = line.split_once(':').unwrap();
            let to = to.split_whitespace().map(Party::parse);
            let replaced = forwards.insert(Forward {
                from: Party::parse(from).unwrap(),
                to: to.collect::<Result<_, _>>().unwrap(),
                place: Place::Default,
            });
            assert_eq!(replaced, None);
        }
        forwards
    }

    fn targets(forwards: &Forwards, mailbox: &str) -> Vec<String> {
        let targets = forwards.targets(&Mailbox::parse(mailbox).unwrap(), |_| true);
        let targets = targets.into_iter().flatten();
        targets.map(|(to, _)| to.to_string()).collect()
    }

    #[test]
    fn an_address_goes_before_its_domain_and_targets_are_followed() {
        let forwards = forwards(
            "Info@a.test: ann@a.test x@out.test
             ann@a.test: Ann@Home.test x@out.test
             keep@a.test: keep@a.test ann@home.test
             @old.test: @a.test
             post@old.test: post@old.test
             @catch.test: all@out.test",
        );
        for (mailbox, expected) in [
            ("info@A.test", "x@out.test Ann@Home.test"),
            ("\"INFO\"@a.test", "x@out.test Ann@Home.test"),
            ("ann@a.test", "Ann@Home.test x@out.test"),
            ("keep@a.test", "keep@a.test ann@home.test"),
            ("nobody@a.test", ""),
            ("info@b.test", ""),
            ("Bob@old.test", "Bob@a.test"),
            ("info@old.test", "x@out.test Ann@Home.test"),
            ("post@old.test", "post@old.test"),
            ("\"a b\"@old.test", "\"a b\"@a.test"),
            ("bob@catch.test", "all@out.test"),
            ("bob@[192.0.2.1]", ""),
        ] {
            let expected: Vec<&str> = expected.split_terminator(' ').collect();
            let expected = if mailbox.starts_with("\"a b") {
                vec!["\"a b\"@a.test"]
            } else {
                expected
            };
            assert_eq!(targets(&forwards, mailbox), expected, "{mailbox}");
        }
        assert!(
            forwards
                .entries()
                .all(|one| forwards.endless(one).is_none())
        );
    }

    #[test]
    fn what_is_too_long_for_another_domain_stays() {
        let forwards = forwards(&format!("@a.test: @{}.test", "b".repeat(60)));
        let long = format!("{}@a.test", "x".repeat(300));
        assert_eq!(targets(&forwards, &long), [long]);
    }

    #[test]
    fn circles_are_found_wherever_they_begin() {
        for (text, expected) in [
            ("a@x.test: b@x.test\nb@x.test: a@x.test", 2),
            (
                "a@x.test: b@x.test\nb@x.test: c@x.test b@x.test\nc@x.test: b@x.test",
                3,
            ),
            ("@x.test: @y.test\n@y.test: @x.test", 2),
            // For one name alone.
            ("@x.test: @y.test\na@y.test: a@x.test", 1),
            ("@x.test: all@y.test\n@y.test: @x.test", 2),
            ("a@x.test: a@x.test b@y.test", 0),
            // Many ways, all with an end.
            (
                "a@x.test: b@x.test c@x.test\nb@x.test: d@x.test\nc@x.test: d@x.test\nd@x.test: e@y.test",
                0,
            ),
        ] {
            let forwards = forwards(text);
            let endless = forwards
                .entries()
                .filter(|one| forwards.endless(one).is_some());
            assert_eq!(endless.count(), expected, "{text}");
            // Whatever the table, a walk over it ends.
            for entry in forwards.entries() {
                if let Party::Mailbox(mailbox) = &entry.from {
                    assert!(targets(&forwards, mailbox.as_str()).len() < 10);
                }
            }
        }
    }

    #[test]
    fn a_way_is_only_so_long() {
        let chain = |steps: usize| {
            let lines = (0..steps).map(|n| format!("a{n}@x.test: a{}@x.test\n", n + 1));
            forwards(&lines.collect::<String>())
        };
        let (short, long) = (chain(FORWARD_STEPS_MAX), chain(FORWARD_STEPS_MAX + 1));
        assert!(short.entries().all(|one| short.endless(one).is_none()));
        let mut endless = long.entries().filter_map(|one| long.endless(one));
        assert_eq!(
            endless.next().map(|way| way.len()),
            Some(FORWARD_STEPS_MAX + 2)
        );
        assert_eq!(endless.next(), None);
    }

    #[test]
    fn parties_print_as_they_are_read() {
        for text in ["ann@example.com", "@example.com", "ann@[192.0.2.1]"] {
            assert_eq!(Party::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "@",
            "ann",
            "@a@b",
            "ann@1",
            "@1",
            "@[192.0.2.1]",
            "\u{fc}@a.test",
        ] {
            assert!(Party::parse(text).is_err(), "{text}");
        }
    }
}
