//! Domains whose mail is taken: relay domains, domains of mailboxes that another server has, domains of
//! aliases, and which recipients each has.

use std::collections::{BTreeMap, BTreeSet};

use super::Work;
use super::delivery::Routes;
use super::lines::{logical, words};
use super::listeners::{Listener, domain};
use super::openings::Kind;
use super::tables::Table;
use super::transports::Way;
use crate::draft::{list, quoted};
use crate::report::{Fate, Origin};

/// Which of Postfix's classes a domain is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Local,
    Alias,
    Mailbox,
    Relay,
}

/// A domain that will have a section, by the name of that section: `example.com` or `*.example.com`.
#[derive(Debug, Clone)]
pub(super) struct Hosted {
    pub class: Class,
    pub origin: Origin,
    /// Its recipients, where they are known.
    pub recipients: Option<BTreeSet<String>>,
    pub way: Option<(Way, Origin)>,
}

pub(super) struct Domains {
    pub hosted: BTreeMap<String, Hosted>,
    /// Domains elsewhere that have a way of their own.
    pub elsewhere: BTreeMap<String, (Way, Origin)>,
    /// Domains of which nothing is taken, and whether permitted clients may write there.
    closed: BTreeMap<String, (bool, Origin)>,
    verify: Option<Origin>,
}

/// So many domains, and so many recipients of all.
const DOMAINS_MAX: usize = 20_000;
const RECIPIENTS_MAX: usize = 100_000;

impl Domains {
    pub fn read(work: &mut Work<'_>, listeners: &[Listener]) -> Self {
        let mut domains = Self {
            hosted: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            closed: BTreeMap::new(),
            verify: None,
        };
        for (name, class) in [
            ("mydestination", Class::Local),
            ("virtual_alias_domains", Class::Alias),
            ("virtual_mailbox_domains", Class::Mailbox),
            ("relay_domains", Class::Relay),
        ] {
            domains.class(work, name, class);
        }
        domains.recipients(work, "relay_recipient_maps", Class::Relay);
        domains.recipients(work, "virtual_mailbox_maps", Class::Mailbox);
        domains.let_through(work, listeners);
        for listener in listeners {
            domains.beside(work, listener);
        }
        domains
    }

    /// Domains that restrictions let through, at every listener at which strangers may write to anybody: a
    /// domain is the same for all listeners here.
    fn let_through(&mut self, work: &mut Work<'_>, listeners: &[Listener]) {
        let all = listeners.iter();
        for opening in all.flat_map(|listener| listener.lists.let_through(Kind::Domain)) {
            let has = |listener: &Listener| {
                let mut all = listener.lists.let_through(Kind::Domain);
                all.any(|one| one.entry == opening.entry)
            };
            let mut strangers = listeners.iter().filter(|l| l.is_for_strangers());
            if strangers.all(has) {
                self.host(&opening.entry, Class::Relay, &opening.origin);
            } else {
                let why =
                    "not let through at every listener, and a domain is the same for all of them";
                work.report
                    .add(Fate::NotTranslated, &opening.told, "[domain.NAME]", why);
            }
        }
    }

    /// The domains that one parameter lists.
    fn class(&mut self, work: &mut Work<'_>, name: &str, class: Class) {
        let parameter = work.parameters.get(name);
        let parents = words(&work.parameters.value("parent_domain_matches_subdomains"));
        let below = parents.contains(&name.to_owned());
        let found = listed(work, &parameter.value, &parameter.origin);
        if parameter.written && class != Class::Local {
            work.report
                .add(Fate::Translated, &parameter.origin, "[domain.NAME]", "");
        }
        for (key, origin) in found {
            // Keys of alias maps that are no domains are addresses.
            if key.contains('@') || !(key.contains('.') || parameter.written) {
                continue;
            }
            if let Some(excepted) = key.strip_prefix('!') {
                self.except(work, excepted, below, &origin);
                continue;
            }
            match key.strip_prefix('.') {
                Some(_) if below => {
                    let why = "never found: parent_domain_matches_subdomains has this list, so the name has no dot before it";
                    work.report.add(Fate::NotTranslated, &origin, "", why);
                }
                Some(rest) => self.host(&format!("*.{rest}"), class, &origin),
                None => {
                    self.host(&key, class, &origin);
                    if below {
                        self.host(&format!("*.{key}"), class, &origin);
                    }
                }
            }
        }
    }

    /// Whoever may relay writes there, and nobody else, though a wider name in the list holds it.
    fn except(&mut self, work: &mut Work<'_>, name: &str, below: bool, origin: &Origin) {
        let bare = name.trim_start_matches('.');
        let exact = (name == bare).then(|| bare.to_owned());
        let wide = (below || name != bare).then(|| format!("*.{bare}"));
        let names = exact.into_iter().chain(wide);
        // The first in a list counts, and a list of another class is another one.
        let names: Vec<String> = names
            .filter(|name| !self.hosted.contains_key(name))
            .collect();
        for name in names {
            self.closed.entry(name).or_insert((true, origin.clone()));
        }
        let why = "taken from whoever may relay";
        work.report
            .add(Fate::Changed, origin, "domain.NAME.accept_from", why);
    }

    pub fn host(&mut self, name: &str, class: Class, origin: &Origin) {
        if self.hosted.len() < DOMAINS_MAX {
            let hosted = Hosted {
                class,
                origin: origin.clone(),
                recipients: (class == Class::Alias).then(BTreeSet::new),
                way: None,
            };
            self.hosted.entry(name.to_owned()).or_insert(hosted);
        }
    }

    /// The name of the section by which mail for a domain is taken.
    pub fn section_of(&self, name: &str) -> Option<String> {
        if self.hosted.contains_key(name) {
            return Some(name.to_owned());
        }
        let mut rest = name;
        while let Some((_, parent)) = rest.split_once('.') {
            let below = format!("*.{parent}");
            if self.hosted.contains_key(&below) {
                return Some(below);
            }
            rest = parent;
        }
        None
    }

    /// Makes the exact domain a section of its own, as the wider one that holds it.
    fn apart(&mut self, name: &str) -> Option<&mut Hosted> {
        let section = self.section_of(name)?;
        if section != name && self.hosted.len() < DOMAINS_MAX {
            let wider = self.hosted.get(&section)?.clone();
            self.hosted.insert(name.to_owned(), wider);
        }
        self.hosted.get_mut(name)
    }

    fn recipients(&mut self, work: &mut Work<'_>, name: &str, class: Class) {
        let parameter = work.parameters.get(name);
        if parameter.value.is_empty() {
            return;
        }
        let checks = work.parameters.is_yes("smtpd_reject_unlisted_recipient");
        let mut known: Vec<(String, Origin)> = Vec::new();
        for spec in words(&parameter.value) {
            match work.files.table(&spec, &parameter.origin) {
                Ok(Table::Keys(lines)) => {
                    known.extend(lines.into_iter().map(|line| (line.key, line.origin)))
                }
                Ok(Table::Always(_)) => return,
                Ok(Table::Blocks(_)) => {}
                Err(why) => {
                    let why = format!("{why}; all recipients are taken");
                    work.report.add(
                        Fate::NotTranslated,
                        &parameter.origin,
                        "domain.NAME.recipients",
                        why,
                    );
                    return;
                }
            }
        }
        if !checks || known.len() > RECIPIENTS_MAX {
            let why = "not asked in the source, or too many: all recipients are taken";
            work.report.add(
                Fate::NotTranslated,
                &parameter.origin,
                "domain.NAME.recipients",
                why,
            );
            return;
        }
        for hosted in self
            .hosted
            .values_mut()
            .filter(|hosted| hosted.class == class)
        {
            hosted.recipients = Some(BTreeSet::new());
        }
        for (key, origin) in &known {
            self.recipient(work, key, class, origin);
        }
        let why = format!(
            "{} recipients; what stands behind a recipient_delimiter is not cut off",
            known.len()
        );
        work.report.add(
            Fate::Translated,
            &parameter.origin,
            "domain.NAME.recipients",
            why,
        );
    }

    fn recipient(&mut self, work: &mut Work<'_>, key: &str, class: Class, origin: &Origin) {
        let Some((local, name)) = key.rsplit_once('@') else {
            let why = "a recipient without a domain";
            return work
                .report
                .add(Fate::NotTranslated, origin, "domain.NAME.recipients", why);
        };
        let Some(hosted) = self.apart(name).filter(|hosted| hosted.class == class) else {
            return;
        };
        if local.is_empty() {
            hosted.recipients = None;
        } else if let Some(recipients) = &mut hosted.recipients {
            recipients.insert(format!("{local}@{name}"));
        }
    }

    /// What restrictions say of domains and recipients.
    fn beside(&mut self, work: &mut Work<'_>, listener: &Listener) {
        let beside = &listener.lists.beside;
        for (name, relays, origin) in &beside.closed_domains {
            self.closed
                .entry(name.clone())
                .or_insert((*relays, origin.clone()));
        }
        for (address, origin) in &beside.closed_recipients {
            let name = address.rsplit_once('@').map_or("", |(_, name)| name);
            let hosted = self.hosted.get_mut(name);
            let list = hosted.and_then(|hosted| hosted.recipients.as_mut());
            if !list.is_some_and(|list| list.remove(address)) {
                let why = "its domain has no list with this recipient: it is taken; a [[screen]] can refuse it";
                work.report
                    .add(Fate::NotTranslated, origin, "domain.NAME.recipients", why);
            }
        }
        self.verify = self.verify.take().or_else(|| beside.verify.clone());
    }

    pub fn write(&self, work: &mut Work<'_>, routes: &mut Routes) {
        for (name, hosted) in &self.hosted {
            self.one(work, routes, name, hosted);
        }
        for (name, (way, origin)) in &self.elsewhere {
            let head = domain(name);
            match way {
                Way::Refuse(text) => {
                    work.draft.set(&head, "type", quoted("blocked"), origin);
                    refusal(work, &head, text, origin);
                }
                way => {
                    work.draft
                        .set(&head, "accept_from", quoted("relay"), origin);
                    routes.lead(work, &head, way, origin);
                }
            }
        }
        for (name, (relays, origin)) in &self.closed {
            let head = domain(name);
            if !*relays {
                // Blocked is blocked, whatever else there is.
                let why = "nothing else of this domain is read";
                if self.hosted.contains_key(name) || self.elsewhere.contains_key(name) {
                    work.report
                        .add(Fate::Changed, origin, "domain.NAME.type", why);
                }
                work.draft.only(&head, "type", quoted("blocked"), origin);
            } else if self.hosted.contains_key(name)
                || self.section_of(name.trim_start_matches("*.")).is_some()
            {
                work.draft
                    .set(&head, "accept_from", quoted("relay"), origin);
            }
        }
    }

    fn one(&self, work: &mut Work<'_>, routes: &mut Routes, name: &str, hosted: &Hosted) {
        let head = domain(name);
        let origin = &hosted.origin;
        if hosted.class == Class::Local {
            return self.local(work, name, hosted);
        }
        work.draft.section(&head, origin);
        let way = hosted
            .way
            .clone()
            .or_else(|| routes.of_class(work, hosted.class));
        match way {
            Some((Way::Refuse(text), at)) => {
                work.draft.only(&head, "type", quoted("blocked"), &at);
                return refusal(work, &head, &text, &at);
            }
            Some((way, at)) => routes.lead(work, &head, &way, &at),
            None => {}
        }
        match (&hosted.recipients, &self.verify) {
            (Some(recipients), _) => {
                let written = list(recipients.iter().map(String::as_str));
                work.draft.set(&head, "recipients", written, origin);
            }
            (None, Some(verify)) if hosted.class == Class::Relay => {
                work.draft
                    .set(&head, "recipients", quoted("verify"), verify);
            }
            (None, _) => {}
        }
    }

    /// Domains whose mailboxes are on the machine itself: there are none here, but aliases lead elsewhere.
    fn local(&self, work: &mut Work<'_>, name: &str, hosted: &Hosted) {
        let why = "mail for accounts of the machine: there are no mailboxes here. For another server's, write \
            [domain.NAME] with its route; for files, type = \"local\"";
        let what = hosted.origin.keyed(name);
        work.report
            .add(Fate::NotTranslated, &what, "[domain.NAME]", why);
        if hosted.recipients.is_some() {
            let head = domain(name);
            work.draft.set(&head, "recipients", "[]", &hosted.origin);
            let note = "Aliases alone: accounts of the machine had their mail here, too.";
            work.draft.note(&head, &hosted.origin, note);
        }
    }
}

/// Text that stands behind the code of a refusal, as far as a reply can hold it.
fn refusal(work: &mut Work<'_>, head: &str, text: &str, origin: &Origin) {
    let plain = |c: &char| (' '..='~').contains(c);
    let text: String = text.chars().filter(plain).take(200).collect();
    let text = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == ' ');
    if !text.is_empty() {
        work.draft.set(head, "message", quoted(text), origin);
    }
}

/// What a list of domains holds: names, files and tables.
fn listed(work: &mut Work<'_>, text: &str, origin: &Origin) -> Vec<(String, Origin)> {
    let mut found = Vec::new();
    for word in words(text) {
        if let Some(name) = word.strip_prefix('!') {
            if name.starts_with('/') || name.contains(':') {
                let why = "whom it excepts is not read, so nothing behind it is";
                work.report
                    .add(Fate::NotTranslated, origin, "[domain.NAME]", why);
                break;
            }
            found.push((word.to_ascii_lowercase(), origin.clone()));
            continue;
        }
        let outcome: Result<Vec<(String, Origin)>, String> = if word.starts_with('/') {
            work.files.text(&word).map(|text| {
                let lines = logical(&text).into_iter();
                let at = |number| Origin::new(&word, number, &origin.name);
                let items = lines.flat_map(|(number, line)| {
                    let origin = at(number);
                    words(&line)
                        .into_iter()
                        .map(move |item| (item.to_ascii_lowercase(), origin.clone()))
                });
                items.collect()
            })
        } else if word.contains(':') {
            match work.files.table(&word, origin) {
                Ok(Table::Keys(lines)) => Ok(lines
                    .into_iter()
                    .map(|line| (line.key, line.origin))
                    .collect()),
                Ok(_) => Err(format!("{word} holds no names")),
                Err(why) => Err(why),
            }
        } else {
            Ok(vec![(word.to_ascii_lowercase(), origin.clone())])
        };
        match outcome {
            Ok(names) => found.extend(names.into_iter().take(RECIPIENTS_MAX)),
            Err(why) => work
                .report
                .add(Fate::NotTranslated, origin, "[domain.NAME]", why),
        }
    }
    found
}
