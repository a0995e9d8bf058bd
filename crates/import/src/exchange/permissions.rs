//! What Get-ADPermission says of receive connectors: who may send anywhere, and who is denied to.

use std::collections::{BTreeMap, BTreeSet};

use super::export::{Kind, Object, without_blanks};
use super::receive::server_of;
use super::{Found, Work};
use crate::report::Fate;

const RELAY: &str = "ms-Exch-SMTP-Accept-Any-Recipient";
const SUBMIT: &str = "ms-Exch-SMTP-Submit";
const AS_OWN: &str = "ms-Exch-SMTP-Accept-Authoritative-Domain-Sender";

/// What is said of one connector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Permissions {
    pub anonymous_submits: bool,
    pub anonymous_relays: bool,
    /// Anonymous clients may use senders of accepted domains.
    pub anonymous_as_own: bool,
    pub relay_denied: bool,
    pub submit_denied: bool,
}

impl Permissions {
    fn deny(&mut self, relay: bool, submit: bool) {
        self.relay_denied |= relay;
        self.submit_denied |= submit;
    }
}

/// What is said of all of them.
pub(super) struct Permitted {
    /// By the file and the line of the connector.
    by_connector: BTreeMap<(String, usize), Permissions>,
    /// Denied at a connector that is not known.
    anywhere: Permissions,
}

impl Permitted {
    /// `connectors` are those of all servers: what is said of another one's is not about ours.
    pub fn read(work: &mut Work, found: &Found, connectors: &[&Object]) -> Self {
        let names = Names::of(connectors);
        let mut all = Self {
            by_connector: BTreeMap::new(),
            anywhere: Permissions::default(),
        };
        for object in found.of(Kind::Permission) {
            // What is not said to permit, denies.
            match object.flag("Deny") {
                Some(false) => all.permit(work, object, connectors, &names),
                _ => all.deny(work, object, connectors, &names),
            }
        }
        all
    }

    /// What is said of this connector.
    pub fn at(&self, connector: &Object) -> Permissions {
        let own = self.by_connector.get(&place(connector));
        let mut all = own.copied().unwrap_or_default();
        all.deny(self.anywhere.relay_denied, self.anywhere.submit_denied);
        all
    }

    fn of(&mut self, connector: &Object) -> &mut Permissions {
        self.by_connector.entry(place(connector)).or_default()
    }

    fn deny(&mut self, work: &mut Work, object: &Object, connectors: &[&Object], names: &Names) {
        let rights = object.get("ExtendedRights");
        let all = rights.is_some_and(|rights| rights.cut)
            || object.names("AccessRights", "GenericAll")
            || object.names("AccessRights", "ExtendedRight")
                && object.items("ExtendedRights").is_empty();
        let relay = all || object.names("ExtendedRights", RELAY);
        let submit = all || object.names("ExtendedRights", SUBMIT);
        if !relay && !submit {
            return;
        }
        let about = names.about(object, true);
        let origin = object.origin("ExtendedRights");
        let why = match about.is_empty() {
            true => "of a connector that is not among the files: denied at every one",
            false => "what is denied to anybody here is denied to all",
        };
        work.tell(Fate::Changed, &origin, "relay.allow", why);
        if about.is_empty() {
            self.anywhere.deny(relay, submit);
        }
        for connector in about.iter().filter_map(|&number| connectors.get(number)) {
            self.of(connector).deny(relay, submit);
        }
    }

    fn permit(&mut self, work: &mut Work, object: &Object, connectors: &[&Object], names: &Names) {
        let origin = object.origin("ExtendedRights");
        let has = |right: &str| object.names("ExtendedRights", right);
        let relay = has(RELAY);
        if !is_anonymous(object) {
            if relay {
                let why = "who is meant is not known here: a user, or who has signed in";
                work.tell(Fate::NotTranslated, &origin, "relay.allow", why);
            }
            return;
        }
        let about = names.about(object, false);
        let (fate, why) = match (relay, about.is_empty()) {
            (true, true) => (
                Fate::NotTranslated,
                "of a connector that is not among the files",
            ),
            (true, false) => (Fate::Translated, "clients of this connector may relay"),
            _ => (Fate::Translated, "no right to relay"),
        };
        work.tell(fate, &origin, "relay.allow", why);
        for connector in about.iter().filter_map(|&number| connectors.get(number)) {
            let one = self.of(connector);
            one.anonymous_relays |= relay;
            one.anonymous_submits |= has(SUBMIT);
            one.anonymous_as_own |= has(AS_OWN);
        }
    }
}

fn place(connector: &Object) -> (String, usize) {
    (connector.file.clone(), connector.line)
}

/// By what connectors are called: their numbers. A long name is wrapped, perhaps within a word, so what denies is
/// looked for without blanks, too.
struct Names {
    exact: Index,
    joined: Index,
}

impl Names {
    fn of(connectors: &[&Object]) -> Self {
        Self {
            exact: Index::of(connectors, str::to_lowercase),
            joined: Index::of(connectors, joined),
        }
    }

    /// The connectors that a permission is about.
    fn about(&self, permission: &Object, denies: bool) -> BTreeSet<usize> {
        match permission.text("Identity") {
            None => BTreeSet::new(),
            Some(identity) if denies => self.joined.about(&joined(identity)),
            Some(identity) => self.exact.about(&identity.to_lowercase()),
        }
    }
}

fn joined(text: &str) -> String {
    without_blanks(text).to_lowercase()
}

#[derive(Default)]
struct Index {
    /// By identity, distinguished name, name.
    whole: BTreeMap<String, BTreeSet<usize>>,
    /// By the name alone, each with its server.
    parts: BTreeMap<String, BTreeSet<(usize, String)>>,
}

impl Index {
    fn of(connectors: &[&Object], form: fn(&str) -> String) -> Self {
        let mut index = Self::default();
        for (number, connector) in connectors.iter().enumerate() {
            for name in ["Identity", "DistinguishedName", "Name"] {
                if let Some(text) = connector.text(name) {
                    index.whole.entry(form(text)).or_default().insert(number);
                }
            }
            let server = server_of(connector).filter(|server| !server.is_empty());
            if let (Some(name), Some(server)) = (connector.text("Name"), server) {
                let named = index.parts.entry(form(name)).or_default();
                named.insert((number, form(&server)));
            }
        }
        index
    }

    /// `EX01\Relay`, a path with `/`, or a distinguished name.
    fn about(&self, identity: &str) -> BTreeSet<usize> {
        let mut found = self.whole.get(identity).cloned().unwrap_or_default();
        let last = identity.rsplit(['\\', '/']).next();
        let leading = identity.strip_prefix("cn=");
        let leading = leading.and_then(|rest| rest.split(",cn=").next());
        for name in last.into_iter().chain(leading) {
            for (number, server) in self.parts.get(name).into_iter().flatten() {
                let mut parts = identity.split(['\\', '/', ',', '=']);
                if parts.any(|part| part == server) {
                    found.insert(*number);
                }
            }
        }
        found
    }
}

/// NT AUTHORITY\ANONYMOUS LOGON, which has other names in other languages.
fn is_anonymous(permission: &Object) -> bool {
    let user = permission.text("User").unwrap_or("").to_ascii_uppercase();
    let name = user.rsplit('\\').next().unwrap_or("");
    user == "S-1-5-7" || ["ANONYMOUS LOGON", "ANONYMOUS-ANMELDUNG"].contains(&name)
}
