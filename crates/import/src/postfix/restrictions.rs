//! Lists of restrictions: read once into steps, which are then asked for every kind of recipient and client.

use std::collections::VecDeque;

use super::actions::Action;
use super::lines::{by_blanks, unbraced, words};
use super::openings::{Kind, Opening, counted};
use super::parameters::Parameters;
use super::tables::{Files, Line, Table, clients_of_key};
use crate::addresses::Addresses;
use crate::report::{Fate, Origin, Report};

/// One step of a list, as far as it decides by the client alone.
#[derive(Debug, Clone)]
enum Step {
    Networks,
    SignedIn,
    Hosted,
    Foreign,
    Reject,
    Permit,
    Clients(Vec<(Addresses, Action)>),
}

/// What the lists of a service say beside whom they let through by address.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// DNS lists, each with the answers that count.
    pub dns_lists: Vec<(String, Vec<String>, Origin)>,
    /// Senders from whom nothing is taken, as `senders.blocked` writes them.
    pub blocked_senders: Vec<(String, Origin)>,
    /// Domains of recipients, and whether permitted clients may write there.
    pub closed_domains: Vec<(String, bool, Origin)>,
    /// Recipients that are refused.
    pub closed_recipients: Vec<(String, Origin)>,
    /// `*.host.name` of clients that may not connect.
    pub names_refused: Vec<(String, Origin)>,
    /// Policy services that are asked.
    pub policy_services: Vec<PolicyService>,
    pub sender_match: Option<Origin>,
    pub verify: Option<Origin>,
}

/// A policy service (`check_policy_service`).
#[derive(Debug, Clone)]
pub(super) struct PolicyService {
    /// Where it is, as `scanner.address` writes it.
    pub address: String,
    /// It is asked about those too who may relay.
    pub asked_about_all: bool,
    pub origin: Origin,
}

/// Whom and what a question is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub hosted: bool,
    pub signed_in: bool,
}

impl Case {
    /// Who did not sign in, and a recipient elsewhere.
    const STRANGER: Self = Self {
        hosted: false,
        signed_in: false,
    };
}

/// One list.
#[derive(Debug)]
pub(super) struct List {
    /// Its parameter.
    pub name: &'static str,
    steps: Vec<Step>,
    pub openings: Vec<Opening>,
}

/// All lists of one service.
#[derive(Debug, Default)]
pub(super) struct Lists {
    lists: Vec<List>,
    pub beside: Beside,
    /// What passes beside addresses and users.
    openings: Vec<Opening>,
    /// The list that decides who may relay.
    pub relay_origin: Option<Origin>,
}

/// So many words a list may have, those of its classes counted.
const WORDS_MAX: usize = 2000;
/// So many times an access table may change its mind; more would take too long.
const CHANGES_MAX: usize = 2000;

const LISTS: [&str; 5] = [
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
];

impl Lists {
    /// `networks` are Postfix's own.
    pub fn read(
        parameters: &Parameters,
        networks: &Addresses,
        files: &Files<'_>,
        report: &mut Report,
    ) -> Self {
        let mut lists = Self::default();
        for name in LISTS {
            let list = parameters.get(name);
            let mut reader = Reader {
                parameters,
                files,
                report,
                list: name,
                origin: list.origin.clone(),
                waiting: words(&list.value).into(),
                steps: Vec::new(),
                openings: Vec::new(),
                beside: &mut lists.beside,
                decides: list.value.contains("unauth_destination"),
                permits_before: false,
                has_decided: false,
            };
            if reader.decides && lists.relay_origin.is_none() {
                lists.relay_origin = Some(list.origin.clone());
            }
            reader.read();
            lists.lists.push(List {
                name,
                steps: reader.steps,
                openings: reader.openings,
            });
        }
        let never = lists.never(networks);
        let refuses = |list: &List| {
            let refused = rejected(&list.steps, Case::STRANGER, networks);
            !refused.minus(&never).is_empty()
        };
        lists.openings = counted(&lists.lists, refuses, report);
        lists
    }

    /// What passes by this, whatever the client's address is.
    pub fn let_through(&self, kind: Kind) -> impl Iterator<Item = &Opening> {
        self.openings.iter().filter(move |one| one.kind == kind)
    }

    /// The clients that are refused whatever they ask for, signed in or not.
    fn never(&self, networks: &Addresses) -> Addresses {
        let cases = [(false, false), (false, true), (true, false), (true, true)];
        let refused = cases.map(|(hosted, signed_in)| {
            let case = Case { hosted, signed_in };
            self.rejected(case, networks)
        });
        let both = |all: Addresses, one: &Addresses| all.intersect(one);
        refused.iter().fold(Addresses::all(), both)
    }

    /// The clients whose recipient is refused.
    pub fn rejected(&self, case: Case, networks: &Addresses) -> Addresses {
        let lists = self.lists.iter();
        Addresses::of(
            lists
                .map(|list| rejected(&list.steps, case, networks))
                .collect(),
        )
    }
}

fn rejected(list: &[Step], case: Case, networks: &Addresses) -> Addresses {
    let mut left = Addresses::all();
    let mut rejected = Addresses::default();
    for step in list {
        let (permitted, refused) = match step {
            Step::Networks => (networks.clone(), Addresses::default()),
            Step::SignedIn if case.signed_in => (left.clone(), Addresses::default()),
            Step::Hosted if case.hosted => (left.clone(), Addresses::default()),
            Step::Permit => (left.clone(), Addresses::default()),
            Step::Foreign if !case.hosted => (Addresses::default(), left.clone()),
            Step::Reject => (Addresses::default(), left.clone()),
            Step::Clients(rules) => by_rules(rules, case, &left),
            Step::SignedIn | Step::Hosted | Step::Foreign => continue,
        };
        rejected = rejected.union(&refused.intersect(&left));
        left = left.minus(&permitted).minus(&refused);
    }
    rejected
}

/// Whom the rules permit and refuse; the first that names a client counts.
fn by_rules(rules: &[(Addresses, Action)], case: Case, left: &Addresses) -> (Addresses, Addresses) {
    let mut undecided = left.clone();
    let (mut permitted, mut refused) = (Addresses::default(), Addresses::default());
    for (clients, action) in rules {
        let hit = undecided.intersect(clients);
        undecided = undecided.minus(clients);
        match action {
            Action::Permit => permitted = permitted.union(&hit),
            Action::PermitHosted if case.hosted => permitted = permitted.union(&hit),
            Action::Reject | Action::RejectForNow => refused = refused.union(&hit),
            action if action.rejects_foreign() && !case.hosted => {
                refused = refused.union(&hit);
            }
            Action::HostedOnly => permitted = permitted.union(&hit),
            _ => {}
        }
    }
    (permitted, refused)
}

struct Reader<'a, 'f> {
    parameters: &'a Parameters,
    files: &'a Files<'f>,
    report: &'a mut Report,
    list: &'static str,
    origin: Origin,
    waiting: VecDeque<String>,
    steps: Vec<Step>,
    openings: Vec<Opening>,
    beside: &'a mut Beside,
    /// Whether the list says who may relay.
    decides: bool,
    permits_before: bool,
    /// Recipients elsewhere do not come further.
    has_decided: bool,
}

impl Reader<'_, '_> {
    fn read(&mut self) {
        let classes = words(&self.parameters.value("smtpd_restriction_classes"));
        let mut budget = WORDS_MAX;
        while let Some(word) = self.waiting.pop_front() {
            if budget == 0 {
                let why = "the list is too long: from here on everybody is refused";
                self.tell(Fate::NotTranslated, &word, "", why);
                return self.steps.push(Step::Reject);
            }
            budget -= 1;
            let word = unbraced(&word).to_owned();
            if classes.contains(&word) {
                let inner = words(&self.parameters.value(&word));
                self.waiting = inner.into_iter().chain(self.waiting.drain(..)).collect();
                self.waiting.truncate(WORDS_MAX);
                continue;
            }
            // `{ check_client_access table }` is a restriction and its argument in braces.
            let inner = by_blanks(&word);
            if inner.len() > 1 {
                self.waiting = inner.into_iter().chain(self.waiting.drain(..)).collect();
                continue;
            }
            self.one(&word);
        }
    }

    fn tell(&mut self, fate: Fate, what: &str, option: &str, why: &str) {
        let origin = self.origin.keyed(what);
        self.report.add(fate, &origin, option, why);
    }

    fn step(&mut self, step: Step, word: &str, option: &str) {
        self.steps.push(step);
        self.tell(Fate::Translated, word, option, "");
    }

    fn one(&mut self, word: &str) {
        match &*word.to_ascii_lowercase() {
            "permit_mynetworks" => {
                self.permits_before = true;
                self.step(Step::Networks, word, "relay.allow");
            }
            "permit_sasl_authenticated" => {
                self.permits_before = true;
                self.step(Step::SignedIn, word, "relay.signed_in");
            }
            "permit_auth_destination" => {
                self.step(Step::Hosted, word, "[domain.NAME]");
            }
            "reject_unauth_destination" | "defer_unauth_destination" => {
                self.has_decided = true;
                self.step(Step::Foreign, word, "[relay]");
            }
            // All that is permitted from there on is deferred.
            "reject" | "defer" | "defer_if_permit" => {
                self.has_decided = true;
                self.step(Step::Reject, word, "listener.NAME.connect");
            }
            "permit" => {
                self.has_decided = true;
                self.step(Step::Permit, word, "listener.NAME.connect");
            }
            "permit_tls_clientcerts" => self.certificates(word),
            "check_client_access" => self.table_of_clients(word),
            "check_sender_access" => self.table(word, Self::senders),
            "check_recipient_access" => self.table(word, Self::recipients),
            "reject_rbl_client" => self.dns_list(word),
            "check_policy_service" => self.policy_service(word),
            "reject_unverified_recipient" => {
                self.beside.verify = Some(self.origin.clone());
                let why = "asked for domains without a list of recipients";
                self.tell(Fate::Changed, word, "domain.NAME.recipients", why);
            }
            "reject_sender_login_mismatch"
            | "reject_authenticated_sender_login_mismatch"
            | "reject_known_sender_login_mismatch" => {
                self.beside.sender_match = Some(self.origin.clone());
                let why = "who may use which sender stands in the users file, not in smtpd_sender_login_maps";
                self.tell(Fate::Changed, word, "auth.sender_match", why);
            }
            "warn_if_reject" => {
                let next = self.waiting.pop_front().unwrap_or_default();
                if takes_argument(&next) {
                    self.waiting.pop_front();
                }
                let why = "it only warned; a screen with dry_run does";
                self.tell(Fate::NotTranslated, &next, "", why);
            }
            other => self.other(word, other),
        }
    }

    fn other(&mut self, word: &str, name: &str) {
        if takes_argument(name) {
            self.waiting.pop_front();
        }
        let always = [
            "reject_unauth_pipelining",
            "reject_non_fqdn_sender",
            "reject_non_fqdn_recipient",
            "reject_unlisted_recipient",
        ];
        if always.contains(&name) {
            return self.tell(Fate::Translated, word, "", "always so");
        }
        // A bare table stands for the access list of what the list is about.
        let kind = match self.list {
            "smtpd_client_restrictions" => "check_client_access",
            "smtpd_sender_restrictions" => "check_sender_access",
            "smtpd_recipient_restrictions" => "check_recipient_access",
            _ => "",
        };
        if word.contains(':') && !kind.is_empty() {
            self.waiting.push_front(word.to_owned());
            self.waiting.push_front(kind.to_owned());
            return;
        }
        self.tell(Fate::NotTranslated, word, "", hint(name));
    }

    /// Whom it refuses is not known where it cannot be read: nobody relays past it.
    fn table_of_clients(&mut self, word: &str) {
        let spec = self.waiting.pop_front().unwrap_or_default();
        match self.files.table(&spec, &self.origin) {
            Ok(table) => self.clients(word, table),
            Err(why) if self.files.may_refuse(&spec) => {
                self.has_decided = true;
                self.steps.push(Step::Foreign);
                let why = format!(
                    "{why}; whom it refuses is not known, so nobody relays whom the list has not let through before it: write relay.allow"
                );
                self.tell(Fate::NotTranslated, word, "relay.allow", &why);
            }
            Err(why) => self.tell(Fate::NotTranslated, word, "", &why),
        }
    }

    fn table(&mut self, word: &str, with: fn(&mut Self, &str, Table)) {
        let spec = self.waiting.pop_front().unwrap_or_default();
        match self.files.table(&spec, &self.origin) {
            Ok(table) => with(self, word, table),
            Err(why) => self.tell(Fate::NotTranslated, word, "", &why),
        }
    }

    fn clients(&mut self, word: &str, table: Table) {
        let rules = match table {
            Table::Always(line) => {
                let everybody = (Addresses::all(), Action::parse(&line.value), line.origin);
                vec![everybody]
            }
            Table::Blocks(rules) => {
                let rules = rules.into_iter();
                rules
                    .map(|rule| (rule.clients, Action::parse(&rule.value), rule.origin))
                    .collect()
            }
            Table::Keys(lines) => self.by_keys(lines),
        };
        // Sets are made one at the end: one by one takes too long where there are many.
        let mut grouped: Vec<(Vec<Addresses>, Action)> = Vec::new();
        for (clients, action, origin) in rules {
            let why = match action {
                Action::Other => {
                    "nothing of that kind is done by the client's address; it is as if DUNNO stood there"
                }
                Action::Unknown => {
                    "what it comes to is not known: these clients cannot send to other domains"
                }
                _ => "",
            };
            if !why.is_empty() {
                self.report.add(Fate::NotTranslated, &origin, "", why);
            }
            match grouped.last_mut() {
                Some((before, same)) if *same == action => before.push(clients),
                _ => grouped.push((vec![clients], action)),
            }
        }
        if grouped.len() > CHANGES_MAX {
            let why = "the table changes its mind too often: whom it refuses anywhere is refused";
            self.tell(Fate::Changed, word, "", why);
            let of = |kind: fn(&Action) -> bool| {
                let found = grouped.iter().filter(|(_, action)| kind(action));
                found.flat_map(|(clients, _)| clients).cloned().collect()
            };
            let (refused, bound) = (of(Action::rejects), of(Action::rejects_foreign));
            grouped = vec![(refused, Action::Reject), (bound, Action::RejectForeign)];
        }
        let grouped = grouped.into_iter();
        let grouped = grouped.map(|(clients, action)| (Addresses::of(clients), action));
        self.step(
            Step::Clients(grouped.collect()),
            word,
            "relay.allow, listener.NAME.connect",
        );
    }

    /// Keys that are addresses, the longest first; names go to the lists of names.
    fn by_keys(&mut self, lines: Vec<Line>) -> Vec<(Addresses, Action, Origin)> {
        let mut rules = Vec::new();
        for line in lines {
            let action = Action::parse(&line.value);
            match clients_of_key(&line.key) {
                Some(clients) => {
                    let parts = line.key.split(['.', ':']).count();
                    let whole = line.key.parse::<std::net::IpAddr>().is_ok();
                    rules.push((
                        if whole { usize::MAX } else { parts },
                        (clients, action, line.origin),
                    ));
                }
                None => self.client_name(&line, &action),
            }
        }
        rules.sort_by_key(|&(parts, _)| std::cmp::Reverse(parts));
        rules.into_iter().map(|(_, rule)| rule).collect()
    }

    fn client_name(&mut self, line: &Line, action: &Action) {
        let name = line.key.trim_start_matches('.');
        let below = line.key.starts_with('.') != self.parents_match("smtpd_access_maps");
        let entry = format!("*.{name}");
        let (fate, option, why) = match action {
            _ if !below => (
                Fate::NotTranslated,
                "",
                "a client has one name in DNS and any number of claims to it: give its address",
            ),
            Action::Permit if !self.has_decided => {
                return self.opens(Kind::Name, entry, line);
            }
            Action::Reject | Action::RejectForNow => {
                self.beside.names_refused.push((entry, line.origin.clone()));
                let why = "names below it alone, confirmed by DNS both ways";
                (Fate::Changed, "listener.NAME.connect.except", why)
            }
            _ => (Fate::NotTranslated, "", "no exceptions by name"),
        };
        let origin = line.origin.keyed(&line.key);
        self.report.add(fate, &origin, option, why);
    }

    fn opens(&mut self, kind: Kind, entry: String, line: &Line) {
        self.openings.push(Opening {
            kind,
            entry,
            origin: line.origin.clone(),
            told: line.origin.keyed(&line.key),
        });
    }

    fn parents_match(&self, what: &str) -> bool {
        let parents = words(&self.parameters.value("parent_domain_matches_subdomains"));
        parents.iter().any(|word| word == what)
    }

    fn lines_of(&mut self, word: &str, table: Table) -> Vec<Line> {
        match table {
            Table::Keys(lines) => {
                self.tell(Fate::Translated, word, "", "line by line, below");
                lines
            }
            Table::Always(_) | Table::Blocks(_) => {
                self.tell(
                    Fate::NotTranslated,
                    word,
                    "",
                    "a table without addresses of mail",
                );
                Vec::new()
            }
        }
    }

    fn senders(&mut self, word: &str, table: Table) {
        for line in self.lines_of(word, table) {
            let origin = line.origin.keyed(&line.key);
            let action = Action::parse(&line.value);
            if action == Action::Permit && self.decides && !self.has_decided {
                let why =
                    "whoever claims to be this sender could send anywhere: that is an open relay";
                self.report.add(Fate::LeftOut, &origin, "", why);
                continue;
            }
            if action == Action::Dunno || self.finds_nobody(&line) {
                continue;
            }
            let sender = self.sender(&line.key);
            let (Some(senders), true) = (sender, action.rejects()) else {
                let why =
                    "only refused senders have a list, without exceptions; a [[screen]] has more";
                self.report.add(Fate::NotTranslated, &origin, "", why);
                continue;
            };
            for sender in senders {
                self.beside
                    .blocked_senders
                    .push((sender, line.origin.clone()));
            }
            let (fate, why) = if self.permits_before {
                (
                    Fate::Changed,
                    "refused from permitted clients and users, too",
                )
            } else {
                (Fate::Translated, "")
            };
            self.report.add(fate, &origin, "senders.blocked", why);
        }
    }

    /// `.example.com` is looked for only where `example.com` does not hold what is below.
    fn finds_nobody(&mut self, line: &Line) -> bool {
        let never = line.key.starts_with('.') && self.parents_match("smtpd_access_maps");
        if never {
            let why = "never found: parent_domain_matches_subdomains has smtpd_access_maps, so the key has no dot before it";
            self.report
                .add(Fate::NotTranslated, &line.origin.keyed(&line.key), "", why);
        }
        never
    }

    /// A key as `senders.blocked` has it.
    fn sender(&self, key: &str) -> Option<Vec<String>> {
        if key == self.parameters.value("smtpd_null_access_lookup_key") {
            return Some(vec!["<>".to_owned()]);
        }
        if let Some(below) = key.strip_prefix('.') {
            let found = !self.parents_match("smtpd_access_maps");
            return Some(if found {
                vec![format!("*.{below}")]
            } else {
                Vec::new()
            });
        }
        if let Some((local, domain)) = key.rsplit_once('@') {
            let whole = !local.is_empty() && !domain.is_empty();
            return whole.then(|| vec![key.to_owned()]);
        }
        let mut senders = vec![key.to_owned()];
        if self.parents_match("smtpd_access_maps") {
            senders.push(format!("*.{key}"));
        }
        Some(senders)
    }

    fn recipients(&mut self, word: &str, table: Table) {
        for line in self.lines_of(word, table) {
            let origin = line.origin.keyed(&line.key);
            let action = Action::parse(&line.value);
            let is_address = line.key.contains('@');
            let opens = !self.has_decided;
            let names = self.domains(&line.key);
            let (fate, option, why) = match action {
                Action::Dunno => continue,
                _ if self.finds_nobody(&line) => continue,
                Action::Permit if opens && !is_address => {
                    for name in names {
                        self.opens(Kind::Domain, name, &line);
                    }
                    continue;
                }
                Action::Permit if opens && self.decides => (
                    Fate::NotTranslated,
                    "",
                    "name its domain as [domain.NAME], and it in recipients",
                ),
                Action::Reject | Action::RejectForNow if is_address => {
                    self.beside
                        .closed_recipients
                        .push((line.key.clone(), line.origin.clone()));
                    (
                        Fate::Changed,
                        "domain.NAME.recipients",
                        "taken out of the list of its domain, where there is one; else only a [[screen]] can refuse it",
                    )
                }
                Action::Reject | Action::RejectForNow => {
                    let relays = self.permits_before;
                    let closed = names
                        .into_iter()
                        .map(|name| (name, relays, line.origin.clone()));
                    self.beside.closed_domains.extend(closed);
                    if relays {
                        let why = "taken from whoever may relay";
                        (Fate::Changed, "domain.NAME.accept_from", why)
                    } else {
                        (Fate::Translated, "domain.NAME.type", "")
                    }
                }
                _ => (Fate::NotTranslated, "", "a [[screen]] may do it"),
            };
            self.report.add(fate, &origin, option, why);
        }
    }

    /// A key that is a domain, as our sections name it.
    fn domains(&self, key: &str) -> Vec<String> {
        if let Some(below) = key.strip_prefix('.') {
            let found = !self.parents_match("smtpd_access_maps");
            return if found {
                vec![format!("*.{below}")]
            } else {
                Vec::new()
            };
        }
        let mut names = vec![key.to_owned()];
        if self.parents_match("smtpd_access_maps") {
            names.push(format!("*.{key}"));
        }
        names
    }

    fn certificates(&mut self, word: &str) {
        if self.has_decided {
            return self.tell(
                Fate::NotTranslated,
                word,
                "",
                "never asked: all is decided before it",
            );
        }
        let spec = self.parameters.get("relay_clientcerts");
        if self.parameters.value("smtpd_tls_fingerprint_digest") != "sha256" {
            let why =
                "fingerprints that are not of SHA-256; `gatepost cert fingerprint` prints those";
            return self.tell(Fate::NotTranslated, word, "", why);
        }
        for table in words(&spec.value) {
            match self.files.table(&table, &spec.origin) {
                Ok(Table::Keys(lines)) => {
                    for line in lines {
                        let hex: String = line.key.chars().filter(|c| *c != ':').collect();
                        for form in ["sha256:", "spki:sha256:"] {
                            self.opens(Kind::Certificate, format!("{form}{hex}"), &line);
                        }
                    }
                    self.tell(Fate::Translated, word, "", "line by line, below");
                }
                Ok(_) => self.tell(Fate::NotTranslated, word, "", "not a table of fingerprints"),
                Err(why) => self.tell(Fate::NotTranslated, word, "", &why),
            }
        }
    }

    /// It can only refuse what is carried otherwise, so nobody relays by it.
    fn policy_service(&mut self, word: &str) {
        let argument = self.waiting.pop_front().unwrap_or_default();
        // `{ inet:host:port, timeout=10s }`
        let inner = words(unbraced(&argument));
        let (service, settings) = inner
            .split_first()
            .map_or(("", &[][..]), |(one, more)| (&**one, more));
        let what = format!("{word} {service}");
        let Some(address) = self.address_of_service(service) else {
            let why = "a program that Postfix starts has to listen by itself first, and then be written as a [scanner.NAME] of kind \"policy\"";
            return self.tell(Fate::NotTranslated, &what, "[scanner.NAME]", why);
        };
        self.beside.policy_services.push(PolicyService {
            address,
            asked_about_all: !self.permits_before && !self.has_decided,
            origin: self.origin.keyed(&what),
        });
        self.tell(Fate::Translated, &what, "[scanner.NAME]", "");
        for setting in settings {
            self.tell(
                Fate::NotTranslated,
                setting,
                "scanner.NAME.timeout",
                "how long it may take, and what follows when it does not answer, is set there",
            );
        }
    }

    /// `inet:host:port`, or `unix:path` of a socket that Postfix does not make itself.
    fn address_of_service(&self, service: &str) -> Option<String> {
        if let Some(path) = service.strip_prefix("unix:") {
            if path.starts_with('/') {
                return Some(path.to_owned());
            }
            let is_postfix_own = ["private/", "public/"]
                .iter()
                .any(|own| path.starts_with(own));
            let folder = self.parameters.value("queue_directory");
            return (!is_postfix_own && !path.is_empty()).then(|| format!("{folder}/{path}"));
        }
        let place = service.strip_prefix("inet:")?;
        let (host, port) = place.rsplit_once(':')?;
        let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
        (is_port && !host.is_empty()).then(|| place.to_owned())
    }

    fn dns_list(&mut self, word: &str) {
        let argument = self.waiting.pop_front().unwrap_or_default();
        let (zone, codes) = argument.split_once('=').unwrap_or((&argument, ""));
        let read = codes_of(codes);
        let what = format!("{word} {zone}");
        match read {
            Some(codes) => {
                let list = (zone.to_owned(), codes, self.origin.clone());
                self.beside.dns_lists.push(list);
                self.tell(Fate::Translated, &what, "listener.NAME.dnsbl", "");
            }
            None => {
                let why = "the answers that count are written in a way that has no counterpart";
                self.tell(Fate::NotTranslated, &what, "", why);
            }
        }
    }
}

/// `127.0.0.2`, `127.0.0.[2..11]`, or nothing for all.
fn codes_of(text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let (head, last) = text
        .rsplit_once('.')
        .filter(|_| !text.ends_with(']'))
        .unwrap_or_else(|| {
            let at = text.find('[').map_or(0, |at| at.saturating_sub(1));
            (
                text.get(..at).unwrap_or(""),
                text.get(at + 1..).unwrap_or(""),
            )
        });
    let octet = |text: &str| text.trim().parse::<u8>().ok();
    if head.split('.').filter(|part| octet(part).is_some()).count() != 3 {
        return None;
    }
    let inner = last
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let parts = inner.unwrap_or(last).split(';');
    let read = |part: &str| match part.split_once("..") {
        Some((from, to)) => Some(format!("{head}.{}-{head}.{}", octet(from)?, octet(to)?)),
        None => Some(format!("{head}.{}", octet(part)?)),
    };
    parts.map(read).collect()
}

fn takes_argument(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    word.starts_with("check_")
        || word.starts_with("reject_rbl")
        || word.starts_with("reject_rhsbl")
        || word.starts_with("permit_dnswl")
        || word.starts_with("permit_rhswl")
        || word == "sleep"
}

fn hint(name: &str) -> &'static str {
    match name {
        "check_helo_access"
        | "reject_invalid_helo_hostname"
        | "reject_non_fqdn_helo_hostname"
        | "reject_unknown_helo_hostname"
        | "reject_helo_hostname" => "names in HELO are not judged; they are logged",
        "permit_tls_all_clientcerts" => "relay.certificates names each certificate",
        "reject_unknown_client_hostname" | "reject_unknown_reverse_client_hostname" => {
            "clients are not judged by their names in DNS"
        }
        "reject_unknown_sender_domain" | "reject_unknown_recipient_domain" => {
            "domains are not looked up before mail is taken"
        }
        _ => "has no counterpart",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sources;

    struct NoFile;

    impl Sources for NoFile {
        fn read(&self, _: &str) -> Option<Vec<u8>> {
            None
        }
    }

    fn lists(main: &str) -> Lists {
        let (parameters, _) = Parameters::read("main.cf", main, None);
        let networks = Addresses::parse("10.0.0.0/8").unwrap();
        let files = Files::new(&NoFile);
        Lists::read(&parameters, &networks, &files, &mut Report::default())
    }

    const HOSTED: Case = Case {
        hosted: true,
        signed_in: false,
    };
    const SIGNED_IN: Case = Case {
        hosted: false,
        signed_in: true,
    };

    fn others(set: &Addresses) -> Vec<String> {
        let v4 = Addresses::parse("0.0.0.0/0").unwrap();
        v4.minus(set).entries()
    }

    #[test]
    fn the_order_of_a_list_counts() {
        let networks = Addresses::parse("10.0.0.0/8").unwrap();
        let main = "smtpd_relay_restrictions = check_client_access cidr:{{10.1.0.0/16 REJECT}, {192.0.2.1 OK}},\
            permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination\n";
        let lists = lists(main);
        let may_relay = others(&lists.rejected(Case::STRANGER, &networks));
        assert_eq!(
            may_relay,
            ["10.0.0.0/16", "10.2.0.0-10.255.255.255", "192.0.2.1"]
        );
        assert_eq!(lists.rejected(HOSTED, &networks).entries(), ["10.1.0.0/16"]);
        assert_eq!(
            lists.rejected(SIGNED_IN, &networks).entries(),
            ["10.1.0.0/16"]
        );
    }

    /// A class of the administrator's own, or a list of restrictions, on the right side.
    #[test]
    fn what_a_line_comes_to_has_to_be_known_before_its_clients_relay() {
        let networks = Addresses::parse("10.0.0.0/8").unwrap();
        let relays = |action: &str| {
            let main = format!(
                "smtpd_restriction_classes = local_only\nlocal_only = check_recipient_access inline:{{a.test=OK}}, reject\n\
                smtpd_recipient_restrictions = check_client_access cidr:{{{{10.1.0.0/16 {action}}}}}, permit_mynetworks, reject_unauth_destination\n"
            );
            let lists = lists(&main);
            assert!(lists.rejected(HOSTED, &networks).is_empty() || action == "REJECT");
            lists
                .rejected(Case::STRANGER, &networks)
                .intersect(&networks)
                .is_empty()
        };
        for action in [
            "local_only",
            "permit_sasl_authenticated, reject",
            "DISCARD",
            "reject_unauth_destination",
        ] {
            assert!(!relays(action), "{action}");
        }
        for action in ["DUNNO", "PREPEND X-A: b", "FILTER smtp:x", "OK"] {
            assert!(relays(action), "{action}");
        }
    }

    /// Too many changes of mind make it coarser, and never laxer.
    #[test]
    fn a_table_that_changes_its_mind_too_often_refuses_what_it_refuses_anywhere() {
        let networks = Addresses::parse("10.0.0.0/8").unwrap();
        let mut table = String::new();
        for n in 0..=CHANGES_MAX {
            let action = ["reject_unauth_destination", "DUNNO"][n % 2];
            table.push_str(&format!("{{10.{}.{}.0/24 {action}}}, ", n / 256, n % 256));
        }
        let main = format!(
            "smtpd_recipient_restrictions = check_client_access cidr:{{{table}}}, permit_mynetworks, reject_unauth_destination\n"
        );
        let refused = lists(&main).rejected(Case::STRANGER, &networks);
        let first = Addresses::parse("10.0.0.0/24").unwrap();
        assert!(first.minus(&refused).is_empty());
    }

    #[test]
    fn classes_stand_for_their_words() {
        let main = "smtpd_restriction_classes = inner\ninner = permit_mynetworks, reject\n\
            smtpd_client_restrictions = inner\n";
        let networks = Addresses::parse("192.0.2.1").unwrap();
        let refused = lists(main).rejected(HOSTED, &networks);
        assert_eq!(others(&refused), ["192.0.2.1"]);
    }

    struct Patterns(&'static str);

    impl Sources for Patterns {
        fn read(&self, path: &str) -> Option<Vec<u8>> {
            (path == "patterns").then(|| self.0.as_bytes().to_vec())
        }
    }

    #[test]
    fn nobody_relays_past_a_table_that_may_refuse_and_cannot_be_read() {
        let networks = Addresses::parse("10.0.0.0/8").unwrap();
        for (list, patterns, relays) in [
            (
                "check_client_access regexp:patterns, permit_mynetworks",
                "# who\n/^10\\.1\\./ REJECT\n",
                false,
            ),
            (
                "check_client_access pcre:patterns, permit_mynetworks",
                "if /a/\n/b/x  DUNNO\nendif\n!/c/ PREPEND X: y\n",
                true,
            ),
            (
                "check_client_access pcre:patterns, permit_mynetworks",
                "/a b/ local_only\n",
                false,
            ),
            (
                "permit_mynetworks, check_client_access regexp:patterns",
                "/a/ REJECT\n",
                true,
            ),
            (
                "check_client_access hash:gone, permit_mynetworks",
                "",
                false,
            ),
            (
                "check_client_access mysql:patterns, permit_mynetworks",
                "",
                false,
            ),
            ("defer_if_permit, permit_mynetworks", "", false),
        ] {
            let main =
                format!("smtpd_recipient_restrictions = {list}, reject_unauth_destination\n");
            let (parameters, _) = Parameters::read("main.cf", &main, None);
            let sources = Patterns(patterns);
            let files = Files::new(&sources);
            let lists = Lists::read(&parameters, &networks, &files, &mut Report::default());
            let refused = lists.rejected(Case::STRANGER, &networks);
            assert_eq!(
                networks.minus(&refused).is_empty(),
                !relays,
                "{list} {patterns}"
            );
        }
    }

    #[test]
    fn answers_of_dns_lists_are_ranges() {
        let of = |text| codes_of(text).unwrap();
        assert_eq!(of("127.0.0.2"), ["127.0.0.2"]);
        assert_eq!(
            of("127.0.0.[2..11;15]"),
            ["127.0.0.2-127.0.0.11", "127.0.0.15"]
        );
        assert!(of("").is_empty());
        for wrong in ["127.0.[0..1].2", "x", "127.0.0.[2..300]", "[", "é[2]"] {
            assert_eq!(codes_of(wrong), None, "{wrong}");
        }
    }
}
