//! Who may connect and relay: the lists, how they are read, and what a listener changes.

use std::sync::Arc;

use mail::Place;
use relay_policy::{
    Access, CertificateEntry, DomainTable, Entry, List, RelayRule, Rules, SenderMatch, SenderRules,
};

use crate::assemble::first_place;
use crate::config::Tls;
use crate::settings::Settings;
use crate::value::{Item, Value};

/// What all listeners have in common.
pub(crate) struct Shared {
    pub domains: Arc<DomainTable>,
    pub senders: Arc<SenderRules>,
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
            domains: Arc::clone(&self.domains),
            senders: Arc::clone(&self.senders),
            sender_match: self.sender_match,
            sender_match_place: self.sender_match_place.clone(),
            dns_lists: Arc::default(),
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
    let all_except = is_all_except(settings, "relay.mode", "relay.mode").unwrap_or(false);
    check_lists(settings, "relay", all_except);
    let deny = entries(settings, settings.items("relay.deny"));
    Global {
        all_except,
        mode_place: settings.place_of("relay.mode"),
        allow: list(settings, "relay.allow"),
        except: list(settings, "relay.except"),
        deny_list: List::new(deny.clone(), settings.place_of("relay.deny")),
        deny,
        certificates: certificates(settings, "relay.certificates"),
        signed_in: settings.flag("relay.signed_in", "relay.signed_in"),
        signed_in_place: settings.place_of("relay.signed_in"),
    }
}

/// `[relay]` as `listener` (its section's key) changes it: key by key; what it denies comes on top.
pub(crate) fn of_listener(settings: &mut Settings, listener: &str, global: &Global) -> RelayRule {
    let key = |name: &str| format!("{listener}.relay.{name}");
    let own_mode = is_all_except(settings, &key("mode"), "listener.*.relay.mode");
    let all_except = own_mode.unwrap_or(global.all_except);
    check_lists(settings, &format!("{listener}.relay"), all_except);
    let own = |name: &str, inherited: &List| {
        if settings.get(&key(name)).is_some() {
            list(settings, &key(name))
        } else {
            inherited.clone()
        }
    };
    let (allow, except) = (own("allow", &global.allow), own("except", &global.except));
    let mode_place = first_place([settings.place_of(&key("mode")), global.mode_place.clone()]);
    let (signed_in, signed_in_place) = match settings.get(&key("signed_in")) {
        Some(_) => {
            let flag = settings.flag(&key("signed_in"), "listener.*.relay.signed_in");
            (flag, settings.place_of(&key("signed_in")))
        }
        None => (global.signed_in, global.signed_in_place.clone()),
    };
    let access = access(all_except, &allow, &except, &mode_place);
    RelayRule {
        access,
        certificates: if settings.get(&key("certificates")).is_some() {
            certificates(settings, &key("certificates"))
        } else {
            global.certificates.clone()
        },
        deny: deny_of(settings, &key("deny"), global),
        signed_in,
        signed_in_place,
    }
}

fn certificates(settings: &Settings, key: &str) -> Vec<CertificateEntry> {
    let entry = |item: &Item| match &item.value {
        Value::Certificate(pattern, text) => Some(CertificateEntry {
            pattern: pattern.clone(),
            text: text.as_str().into(),
            place: settings.place(&item.span),
        }),
        _ => None,
    };
    settings.items(key).iter().filter_map(entry).collect()
}

fn deny_of(settings: &Settings, key: &str, global: &Global) -> List {
    if settings.get(key).is_none() {
        return global.deny_list.clone();
    }
    let mut all = entries(settings, settings.items(key));
    all.extend(global.deny.iter().cloned());
    List::new(all, settings.place_of(key))
}

/// `connect` of a listener.
pub(crate) fn connect(settings: &mut Settings, listener: &str) -> Access {
    let base = format!("{listener}.connect");
    let mode = format!("{base}.mode");
    let all_except = is_all_except(settings, &mode, "listener.*.connect.mode").unwrap_or(true);
    check_lists(settings, &base, all_except);
    let place = settings.place_of(&mode);
    if all_except {
        Access::all_except(
            list(settings, &format!("{base}.except")),
            "connect.except",
            place,
        )
    } else {
        Access::only_list(
            list(settings, &format!("{base}.allow")),
            "connect.allow",
            place,
        )
    }
}

fn is_all_except(settings: &Settings, key: &str, pattern: &str) -> Option<bool> {
    settings.text(key, pattern).map(|mode| mode == "all-except")
}

/// A list that the mode does not read would look like a rule and be none.
fn check_lists(settings: &mut Settings, base: &str, all_except: bool) {
    let (unread, read, mode) = if all_except {
        ("allow", "except", "all-except")
    } else {
        ("except", "allow", "only-list")
    };
    let Some(span) = settings
        .get(&format!("{base}.{unread}"))
        .map(|setting| setting.key.clone())
    else {
        return;
    };
    let message = format!("`{unread}` in [{base}] is not read: the mode is \"{mode}\"");
    let label = format!("this mode reads `{read}`");
    settings.error(&span, message, &label);
}

pub(crate) fn list(settings: &Settings, key: &str) -> List {
    List::new(
        entries(settings, settings.items(key)),
        settings.place_of(key),
    )
}

fn entries(settings: &Settings, items: &[Item]) -> Vec<Entry> {
    let entry = |item: &Item| match &item.value {
        Value::Clients(clients, text) => Some(Entry {
            clients: clients.clone(),
            text: text.as_str().into(),
            place: settings.place(&item.span),
        }),
        _ => None,
    };
    items.iter().filter_map(entry).collect()
}
