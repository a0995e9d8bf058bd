//! `[scanner.NAME]`: programs beside us that look at messages, and what follows from their word.

use std::sync::Arc;

use mail::{Mailbox, Place, Reply};
use relay_policy::PolicyService;
use screening::{Action, Class, Direction, Finding, Says, ScannerSays, Screen, When};

use crate::config::{Learning, MayAdd, Scanner, ScannerAddress, ScannerKind};
use crate::option::Definition;
use crate::options::scanner as options;
use crate::parts::ScannerWord;
use crate::settings::{Section, Settings, positive};
use crate::source::Span;
use crate::suggest::nearest;

/// Each is asked about each message.
const SCANNERS_MAX: usize = 16;

/// All of them, in the order of the file; the listeners of each are read by `listeners`.
pub(crate) fn read(
    settings: &mut Settings,
    mut listeners: impl FnMut(&mut Settings, &Section) -> Vec<Arc<str>>,
) -> Vec<Arc<Scanner>> {
    let sections = settings.sections_of(options::SECTION);
    if let Some(section) = sections.get(SCANNERS_MAX) {
        let message = format!("more than {SCANNERS_MAX} scanners");
        settings.error(&section.span, message, "");
    }
    let mut scanners = Vec::new();
    for section in sections {
        let named = listeners(settings, &section);
        scanners.extend(one(settings, &section, named).map(Arc::new));
    }
    scanners
}

fn one(settings: &mut Settings, section: &Section, listeners: Vec<Arc<str>>) -> Option<Scanner> {
    let kind = settings.get(section.at(options::KIND));
    let addresses: Vec<ScannerAddress> = settings.values(section.at(options::ADDRESS));
    if (kind.is_none() || addresses.is_empty()) && !settings.has_error_in(&section.key) {
        let message = format!("[{}] needs a `kind` and an `address`", section.key);
        let label = "write kind = \"clamd\" and address = \"/run/clamav/clamd.ctl\"";
        settings.error_in(&section.key, &section.span, message, label);
    }
    positive(settings, section.at(options::TIMEOUT));
    let kind = kind?;
    let service = service(settings, section, kind);
    if !matches!(kind, ScannerKind::Rspamd | ScannerKind::Hook)
        && settings.is_set(section.at(options::SECRET))
    {
        let message = "`secret` is not read: rspamd has a password, a hook a key".to_owned();
        settings.error_at(section.at(options::SECRET), message, "");
    }
    let settings_id: Option<String> = settings.get(section.at(options::SETTINGS_ID));
    if settings_id.is_some() && kind != ScannerKind::Rspamd {
        let message = "`settings_id` is not read: only rspamd has settings".to_owned();
        settings.error_at(section.at(options::SETTINGS_ID), message, "");
    }
    if kind == ScannerKind::Policy {
        check_policy(settings, section);
    } else if settings.is_set(section.at(options::ASKED_AT)) {
        let message =
            "`asked_at` is not read: only policy services can be asked at RCPT".to_owned();
        settings.error_at(section.at(options::ASKED_AT), message, "leave it out");
    }
    let may_add = settings.get(section.at(options::MAY_ADD_RECIPIENTS));
    if may_add == MayAdd::Anybody {
        let message = "a scanner may have strangers' mail sent to anybody".to_owned();
        let label = "write \"hosted\", unless whom it adds is checked by itself";
        settings.warn_at(section.at(options::MAY_ADD_RECIPIENTS), message, label);
    }
    Some(Scanner {
        name: section.name.as_str().into(),
        kind,
        addresses,
        service,
        secret: settings.secret(section.at(options::SECRET)),
        settings_id: settings_id.map(String::into),
        learning: learning(settings, section, kind),
        timeout: settings.get(section.at(options::TIMEOUT)),
        max_size: settings.get(section.at(options::MAX_SIZE)),
        parallel: settings.get(section.at(options::PARALLEL)),
        asked_at_end: settings.get(section.at(options::ASKED_AT)),
        obey: settings.get(section.at(options::OBEY)),
        postpones_on_failure: settings.get(section.at(options::ON_FAILURE))
            == ScannerWord::Postpone,
        may_add,
        when: When {
            direction: settings.get(section.at(options::DIRECTION)),
            listeners,
            to: settings.values(section.at(options::TO)),
            ..When::default()
        },
        place: settings.place(&section.span),
    })
}

/// How it learns, where it does.
fn learning(settings: &mut Settings, section: &Section, kind: ScannerKind) -> Option<Learning> {
    let addresses: Vec<ScannerAddress> = settings.values(section.at(options::LEARN_ADDRESS));
    let secret = settings.secret(section.at(options::LEARN_SECRET));
    let flag: Option<u32> = settings.get(section.at(options::LEARN_FUZZY_FLAG));
    if !matches!(kind, ScannerKind::Rspamd | ScannerKind::Spamd) && !addresses.is_empty() {
        let message = "`learn_address` is not read: only rspamd and spamd learn".to_owned();
        settings.error_at(section.at(options::LEARN_ADDRESS), message, "");
    }
    let learns = kind == ScannerKind::Rspamd && !addresses.is_empty();
    let needs = "only rspamd has one, where there is a `learn_address`";
    if secret.is_some() && !learns {
        let message = format!("`learn_secret` is not read: {needs}");
        settings.error_at(section.at(options::LEARN_SECRET), message, "");
    }
    if flag.is_some() && !learns {
        let message = format!("`learn_fuzzy_flag` is not read: {needs}");
        settings.error_at(section.at(options::LEARN_FUZZY_FLAG), message, "");
    }
    let weight = settings.get(section.at(options::LEARN_FUZZY_WEIGHT));
    (!addresses.is_empty()).then(|| Learning {
        addresses,
        secret,
        fuzzy: flag.map(|flag| (flag, weight)),
    })
}

/// A policy service sees no content: what is said about those looks like a rule and is none.
fn check_policy(settings: &mut Settings, section: &Section) {
    let unread: [&dyn Definition; 4] = [
        options::MAX_SIZE,
        options::INFECTED,
        options::TOO_LARGE,
        options::MAY_ADD_RECIPIENTS,
    ];
    for option in unread {
        let message = format!(
            "`{}` is not read: a policy service sees no content and adds nobody",
            option.facts().name
        );
        settings.error_at_name(&section.key_of(option), message, "leave it out");
    }
}

/// Those that are policy services and are asked about recipients, in the order of the file, for the rules of all listeners. They are
/// asked about mail of strangers where nothing else is said: what a service has against a new client is
/// nothing to submitters.
pub(crate) fn policies(settings: &Settings) -> Arc<[PolicyService]> {
    let sections = settings.sections_of(options::SECTION);
    let policies = sections
        .iter()
        .filter(|section| settings.get(section.at(options::KIND)) == Some(ScannerKind::Policy))
        .filter(|section| !settings.get(section.at(options::ASKED_AT)));
    let policies = policies.map(|section| {
        let listeners = settings.get(section.at(options::LISTENER)).into_iter();
        let to: Vec<_> = settings.values(section.at(options::TO));
        PolicyService {
            name: section.name.as_str().into(),
            of_submitters: settings.get(section.at(options::DIRECTION)) == Some(Direction::Out),
            listeners: listeners.map(|item| item.value.into()).collect(),
            to: to.into(),
            place: settings.place(&section.span),
        }
    });
    policies.collect()
}

/// What is to be asked for at its address: only some have several things there.
fn service(settings: &mut Settings, section: &Section, kind: ScannerKind) -> Box<str> {
    let service: Option<String> = settings.get(section.at(options::SERVICE));
    match (
        service,
        matches!(kind, ScannerKind::Icap | ScannerKind::Hook),
    ) {
        (None, true) if !settings.has_error_in(&section.key) => {
            let message = format!(
                "[{}] does not say which service is to be asked",
                section.key
            );
            let label = "write service = \"/path\"";
            settings.error_in(&section.key, &section.span, message, label);
        }
        (Some(_), false) => {
            let message = "`service` is not read: only ICAP servers and hooks have one".to_owned();
            settings.error_at(section.at(options::SERVICE), message, "");
        }
        (Some(service), true) => return service.into(),
        (None, _) => {}
    }
    Box::default()
}

/// What becomes of messages by the scanners' words where no rule of the administrator decided
/// before. Of what several of them say the strictest counts: refused, thrown away, postponed, held.
#[derive(Debug, Default)]
pub(crate) struct Implied {
    pub refuse: Vec<Screen>,
    pub discard: Vec<Screen>,
    pub postpone: Vec<Screen>,
    pub hold: Vec<Screen>,
}

impl Implied {
    pub(crate) fn in_order(self) -> Vec<Screen> {
        [self.refuse, self.discard, self.postpone, self.hold].concat()
    }
}

/// Those of all scanners.
pub(crate) fn rules(settings: &Settings, scanners: &[Arc<Scanner>]) -> Implied {
    let mut rules = Implied::default();
    for section in settings.sections_of(options::SECTION) {
        let mut all = scanners.iter();
        let Some(scanner) = all.find(|scanner| *scanner.name == *section.name) else {
            continue;
        };
        let reaction = |class, option: &'static _| {
            let place = settings.place_of(section.at(option));
            let place = match place {
                Place::Default => scanner.place.clone(),
                place => place,
            };
            (class, settings.get(section.at(option)), place)
        };
        let mut reactions = vec![
            reaction(Class::Infected, options::INFECTED),
            reaction(Class::TooLarge, options::TOO_LARGE),
            reaction(Class::Error, options::ON_FAILURE),
        ];
        if scanner.obey {
            let asked_for = [
                (Class::Reject, ScannerWord::Refuse),
                (Class::Postpone, ScannerWord::Postpone),
                (Class::Quarantine, ScannerWord::Hold),
                (Class::Discard, ScannerWord::Discard),
            ];
            reactions.extend(asked_for.map(|(class, word)| (class, word, scanner.place.clone())));
        }
        for (class, word, place) in reactions {
            let (list, action) = match word {
                ScannerWord::Accept => continue,
                ScannerWord::Refuse => (&mut rules.refuse, refuse(scanner, class)),
                ScannerWord::Discard => (&mut rules.discard, Action::Discard),
                ScannerWord::Postpone => (&mut rules.postpone, postpone(scanner, class)),
                ScannerWord::Hold => (&mut rules.hold, Action::Hold),
            };
            list.push(Screen {
                name: format!("scanner {}: {}", scanner.name, class.name()).into(),
                place,
                when: When {
                    scanner: vec![ScannerSays {
                        scanner: Arc::clone(&scanner.name),
                        says: Says::Class(class),
                    }],
                    ..When::default()
                },
                then: [action].into(),
                dry_run: false,
            });
        }
    }
    rules
}

/// Its own text says no more than a stranger may know. RFC 3463 section 3.8: 5.7.1 is a refusal by
/// policy.
fn refuse(scanner: &Scanner, class: Class) -> Action {
    let reply = match class {
        Class::Infected => Reply::new(550, 7, 1, "This message contains malware"),
        Class::TooLarge => Reply::new(552, 3, 4, "This message is too large to be looked at"),
        _ => Reply::new(550, 7, 1, "This message is refused"),
    };
    Action::RefuseFor(Arc::clone(&scanner.name), reply)
}

/// RFC 3463 section 3.4: 4.3.0 is trouble of our own system.
fn postpone(scanner: &Scanner, class: Class) -> Action {
    let reply = match class {
        Class::Error => Reply::new(
            451,
            3,
            0,
            "This message cannot be looked at now, try again later",
        ),
        _ => Reply::new(451, 7, 1, "Try again later"),
    };
    Action::RefuseFor(Arc::clone(&scanner.name), reply)
}

/// The words of a condition: `clam: infected`.
pub(crate) fn condition(
    settings: &mut Settings,
    scanners: &[Arc<Scanner>],
    text: &str,
    span: &Span,
) -> Option<ScannerSays> {
    let Some((name, says)) = text.split_once(':') else {
        let message = "a scanner and what it says".to_owned();
        settings.error(span, message, "write \"NAME: infected\"");
        return None;
    };
    let (name, says) = (name.trim(), says.trim());
    let Some(read) = Says::parse(says) else {
        let words: Vec<&str> = Class::ALL.iter().map(|class| class.name()).collect();
        let message = format!("a scanner does not say `{says}`");
        let label = format!("one of {}, score > N, score < N", words.join(", "));
        settings.error(span, message, &label);
        return None;
    };
    let mut all = scanners.iter();
    let Some(scanner) = all.find(|scanner| *scanner.name == *name) else {
        if !settings.knows(options::SECTION, name) {
            let near = nearest(name, scanners.iter().map(|one| &*one.name));
            let label = near.map(|near| format!("did you mean `{near}`?"));
            let label = label.unwrap_or_else(|| "write such a section".to_owned());
            settings.error(span, format!("there is no [scanner.{name}]"), &label);
        }
        return None;
    };
    Some(ScannerSays {
        scanner: Arc::clone(&scanner.name),
        says: read,
    })
}

impl Scanner {
    /// What it says of a message that it does not get to see, as it has so many octets.
    pub fn too_large(&self, octets: u64) -> Option<Finding> {
        let max = self.max_size.filter(|max| octets > *max)?;
        Some(Finding {
            classes: vec![Class::TooLarge],
            what: format!("{octets} octets of at most {max}"),
            ..Finding::default()
        })
    }

    /// Whether it is asked about mail that goes this way and came so, to any of these, once that is there.
    pub fn is_asked<'a>(
        &self,
        direction: Direction,
        listener: &str,
        mut to: impl Iterator<Item = &'a Mailbox>,
    ) -> bool {
        let When {
            direction: wanted,
            listeners,
            to: patterns,
            ..
        } = &self.when;
        (self.kind != ScannerKind::Policy || self.asked_at_end)
            && wanted.is_none_or(|wanted| wanted == direction)
            && (listeners.is_empty() || listeners.iter().any(|one| **one == *listener))
            && (patterns.is_empty()
                || to.any(|mailbox| patterns.iter().any(|one| one.names(mailbox))))
    }
}
