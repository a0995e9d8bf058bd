//! Who may connect and relay: the lists, how they are read, and what a listener changes.

use std::sync::Arc;

use mail::Place;
use relay_policy::{
    Access, BoundClients, CertificateEntry, DomainTable, Entry, Forwards, Greylisting, List,
    PolicyService, RelayRule, Rewriting, Rules, SenderMatch, SenderRules,
};

use crate::after_queue::AfterQueue;
use crate::config::Tls;
use crate::form::Item;
use crate::option::{At, Definition, section_of};
use crate::options::{listener_connect, listener_relay, relay as options};
use crate::settings::{Section, Settings, first_place};

/// What all listeners have in common.
pub(crate) struct Shared {
    pub bound_clients: Arc<[BoundClients]>,
    pub domains: Arc<DomainTable>,
    pub forwards: Arc<Forwards>,
    pub rewriting: Option<Arc<Rewriting>>,
    pub senders: Arc<SenderRules>,
    pub greylisting: Option<Arc<Greylisting>>,
    pub after_queue: Option<AfterQueue>,
    pub policies: Arc<[PolicyService]>,
    pub relay: Global,
    pub tls: Tls,
    pub sender_match: SenderMatch,
    pub sender_match_place: Place,
}

/// `[relay]`
pub(crate) struct Global {
    all_except: bool,
    mode_place: Place,
    allow: List,
    except: List,
    deny: Vec<Entry>,
    deny_list: List,
    certificates: Vec<CertificateEntry>,
    signed_in: bool,
    signed_in_place: Place,
}

impl Shared {
    /// The rules of a listener without a word of its own.
    pub fn rules_without_listener(&self, sign_in_at: Option<Arc<str>>) -> Rules {
        let closed = Rules::closed("none");
        Rules {
            listener: relay_policy::Listener {
                binds: Vec::new(),
                sign_in_at,
                ..closed.listener
            },
            relay: self.relay.rule(),
            local: None,
            way_back: None,
            bound_clients: Arc::clone(&self.bound_clients),
            domains: Arc::clone(&self.domains),
            forwards: Arc::clone(&self.forwards),
            rewriting: self.rewriting.clone(),
            senders: Arc::clone(&self.senders),
            sender_match: self.sender_match,
            sender_match_place: self.sender_match_place.clone(),
            dns_lists: Arc::default(),
            greylisting: self.greylisting.clone(),
            policies: Arc::clone(&self.policies),
            connect: closed.connect,
        }
    }
}

impl Global {
    fn rule(&self) -> RelayRule {
        RelayRule {
            access: access(self.all_except, &self.allow, &self.except, &self.mode_place),
            certificates: self.certificates.clone(),
            deny: self.deny_list.clone(),
            signed_in: self.signed_in,
            signed_in_place: self.signed_in_place.clone(),
        }
    }
}

fn access(all_except: bool, allow: &List, except: &List, place: &Place) -> Access {
    if all_except {
        Access::all_except(except.clone(), "relay.except", place.clone())
    } else {
        Access::only_list(allow.clone(), "relay.allow", place.clone())
    }
}

pub(crate) fn global(settings: &mut Settings) -> Global {
    let all_except = settings.get(options::MODE);
    let lists: Lists = (options::ALLOW, options::EXCEPT);
    check_lists(settings, &Section::top(), lists, all_except);
    let deny = entries(settings, settings.get(options::DENY));
    Global {
        all_except,
        mode_place: settings.place_of(options::MODE),
        allow: list(settings, options::ALLOW.into()),
        except: list(settings, options::EXCEPT.into()),
        deny_list: List::new(deny.clone(), settings.place_of(options::DENY)),
        deny,
        certificates: certificates(settings, options::CERTIFICATES.into()),
        signed_in: settings.get(options::SIGNED_IN),
        signed_in_place: settings.place_of(options::SIGNED_IN),
    }
}

/// `[relay]` as a listener changes it: key by key; what it denies comes on top.
pub(crate) fn of_listener(
    settings: &mut Settings,
    section: &Section,
    global: &Global,
) -> RelayRule {
    let mode = section.at(listener_relay::MODE);
    let all_except = settings.get(&mode).unwrap_or(global.all_except);
    let lists: Lists = (listener_relay::ALLOW, listener_relay::EXCEPT);
    check_lists(settings, section, lists, all_except);
    let own = |at: At<Vec<Item<Entry>>>, inherited: &List| {
        if settings.is_set(&at) {
            list(settings, at)
        } else {
            inherited.clone()
        }
    };
    let allow = own(section.at(listener_relay::ALLOW), &global.allow);
    let except = own(section.at(listener_relay::EXCEPT), &global.except);
    let mode_place = first_place([settings.place_of(mode), global.mode_place.clone()]);
    let signed_in = section.at(listener_relay::SIGNED_IN);
    let own_certificates = section.at(listener_relay::CERTIFICATES);
    RelayRule {
        access: access(all_except, &allow, &except, &mode_place),
        certificates: if settings.is_set(&own_certificates) {
            certificates(settings, own_certificates)
        } else {
            global.certificates.clone()
        },
        deny: deny_of(settings, section.at(listener_relay::DENY), global),
        signed_in: settings.get(&signed_in).unwrap_or(global.signed_in),
        signed_in_place: first_place([
            settings.place_of(signed_in),
            global.signed_in_place.clone(),
        ]),
    }
}

pub(crate) fn certificates(
    settings: &Settings,
    at: At<Vec<Item<CertificateEntry>>>,
) -> Vec<CertificateEntry> {
    let items = settings.get(at).into_iter();
    let placed = items.map(|item| CertificateEntry {
        place: settings.place(&item.span),
        ..item.value
    });
    placed.collect()
}

fn deny_of(settings: &Settings, at: At<Vec<Item<Entry>>>, global: &Global) -> List {
    if !settings.is_set(&at) {
        return global.deny_list.clone();
    }
    let mut all = entries(settings, settings.get(&at));
    all.extend(global.deny.iter().cloned());
    List::new(all, settings.place_of(at))
}

/// `connect` of a listener.
pub(crate) fn connect(settings: &mut Settings, section: &Section) -> Access {
    let mode = section.at(listener_connect::MODE);
    let all_except = settings.get(&mode);
    let (allow, except) = (listener_connect::ALLOW, listener_connect::EXCEPT);
    check_lists(settings, section, (allow, except), all_except);
    let place = settings.place_of(mode);
    if all_except {
        let list = list(settings, section.at(except));
        Access::all_except(list, "connect.except", place)
    } else {
        let list = list(settings, section.at(allow));
        Access::only_list(list, "connect.allow", place)
    }
}

/// Whom the one mode reads, and whom the other.
type Lists<'a> = (&'a dyn Definition, &'a dyn Definition);

/// A list that the mode does not read would look like a rule and be none.
fn check_lists(
    settings: &mut Settings,
    section: &Section,
    (allow, except): Lists<'_>,
    all_except: bool,
) {
    let (unread, read, mode) = if all_except {
        (allow, except, "all-except")
    } else {
        (except, allow, "only-list")
    };
    let (key, name) = (section.key_of(unread), unread.facts().name);
    let message = format!(
        "`{name}` in [{}] is not read: the mode is \"{mode}\"",
        section_of(&key, name)
    );
    let label = format!("this mode reads `{}`", read.facts().name);
    settings.error_at_name(&key, message, &label);
}

pub(crate) fn list(settings: &Settings, at: At<Vec<Item<Entry>>>) -> List {
    let items = settings.get(&at);
    List::new(entries(settings, items), settings.place_of(at))
}

pub(crate) fn entries(settings: &Settings, items: Vec<Item<Entry>>) -> Vec<Entry> {
    let placed = items.into_iter().map(|item| Entry {
        place: settings.place(&item.span),
        ..item.value
    });
    placed.collect()
}
