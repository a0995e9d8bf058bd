//! Receive connectors, read: which of them count, and what each permits.

use super::export::{Kind, Object};
use super::rights::Connector;
use super::values;
use super::{Found, Work};
use crate::Refused;
use crate::report::Fate;

/// A connector with more ranges is served as one that is not known whole.
const RANGES_MAX: usize = 1_500;
/// So many connectors are read, and so many addresses of each.
const CONNECTORS_MAX: usize = 200;
const BINDS_MAX: usize = 20;

/// What has to be known of a connector: without it, it cannot be said what it permits.
const NEEDED: [&str; 3] = ["PermissionGroups", "AuthMechanism", "Enabled"];

/// Ports on which the parts of Exchange talk to each other.
const INNER: [(&str, u16); 3] = [
    ("HubTransport", 2525),
    ("HubTransport", 465),
    ("FrontendTransport", 717),
];

/// The connectors of one server that take mail from outside.
pub(super) fn read<'a>(
    work: &mut Work,
    found: &'a Found,
    server: Option<&str>,
) -> Result<Vec<Connector<'a>>, Refused> {
    let all: Vec<&Object> = found
        .of(Kind::ReceiveConnector)
        .take(CONNECTORS_MAX)
        .collect();
    let first = all.iter().find_map(|object| server_of(object));
    let server = server.map(str::to_owned).or(first);
    let fronted = all
        .iter()
        .any(|object| object.names("TransportRole", "FrontendTransport"));
    let mut connectors = Vec::new();
    for object in all {
        let origin = object.origin("Name");
        if let Some(missing) = NEEDED.iter().find(|name| object.text(name).is_none()) {
            let why = format!(
                "{origin}: the receive connector {} has no {missing}: export all its properties, with Format-List alone",
                mail::escaped(&object.name())
            );
            return Err(Refused(why));
        }
        let own = server_of(object);
        if let (Some(server), Some(own)) = (&server, own)
            && !server.eq_ignore_ascii_case(&own)
        {
            let why = format!("of another server: --server {own} takes its connectors");
            work.tell(Fate::NotTranslated, &origin, "[listener.NAME]", &why);
            continue;
        }
        if object.flag("Enabled") != Some(true) {
            let why = "not enabled: no listener";
            work.tell(Fate::Translated, &object.origin("Enabled"), "", why);
            continue;
        }
        let connector = one(work, found, object);
        if fronted && is_inner(&connector) {
            let why = "for mail between parts of Exchange alone";
            work.tell(Fate::NotTranslated, &origin, "[listener.NAME]", why);
            continue;
        }
        connectors.push(connector);
    }
    Ok(connectors)
}

fn server_of(object: &Object) -> Option<String> {
    let named = object.text("Server").map(str::to_owned);
    named.or_else(|| {
        let (server, _) = object.text("Identity")?.split_once('\\')?;
        Some(server.to_owned())
    })
}

fn is_inner(connector: &Connector<'_>) -> bool {
    let inner = |port: u16| {
        let mut known = INNER.iter();
        known.any(|&(role, inner)| inner == port && connector.object.names("TransportRole", role))
    };
    let mut binds = connector.binds.iter();
    !connector.binds.is_empty() && binds.all(|bind| inner(bind.port()))
}

fn one<'a>(work: &mut Work, found: &Found, object: &'a Object) -> Connector<'a> {
    let mut binds = Vec::new();
    for (text, line) in object.items("Bindings") {
        let mut origin = object.origin("Bindings");
        origin.line = line;
        match values::bind(&text).filter(|_| binds.len() < BINDS_MAX) {
            Some(bind) => binds.push(bind),
            None => work.tell(
                Fate::NotTranslated,
                &origin,
                "listener.NAME.bind",
                "no address and port",
            ),
        }
    }
    let (mut ranges, mut unread) = (Vec::new(), 0);
    for (text, _) in object.items("RemoteIPRanges") {
        match values::range(&text).filter(|_| ranges.len() < RANGES_MAX) {
            Some(range) => ranges.push(range),
            None => unread += 1,
        }
    }
    let cut = object
        .get("RemoteIPRanges")
        .is_some_and(|property| property.cut);
    if cut || unread > 0 {
        let why = match cut {
            true => {
                "the list is cut short: export it after $FormatEnumerationLimit = -1; clients that it may name have no right that it does not give"
            }
            false => {
                "not all of it can be read; clients that it may name have no right that it does not give"
            }
        };
        let origin = object.origin("RemoteIPRanges");
        work.tell(Fate::NotTranslated, &origin, "listener.NAME.connect", why);
    }
    let may = |group: &str| object.names("PermissionGroups", group);
    let by = |mechanism: &str| object.names("AuthMechanism", mechanism);
    let trusted = by("ExternalAuthoritative") && may("ExchangeServers");
    let permissions = permissions(work, found, object);
    let anonymous = may("AnonymousUsers") && !permissions.submit_denied;
    let signs_in = by("BasicAuth") || by("BasicAuthRequireTLS") || by("Integrated");
    Connector {
        object,
        name: object.name(),
        binds,
        ranges,
        incomplete: cut || unread > 0,
        anonymous: anonymous || trusted,
        relays: (anonymous && permissions.anonymous_relays && !permissions.relay_denied) || trusted,
        users: may("ExchangeUsers")
            && signs_in
            && !permissions.relay_denied
            && !permissions.submit_denied,
        tls: object.flag("RequireTLS") == Some(true),
    }
}

/// What Get-ADPermission says of a connector.
#[derive(Default)]
struct Permissions {
    anonymous_relays: bool,
    relay_denied: bool,
    submit_denied: bool,
}

const RELAY: &str = "ms-Exch-SMTP-Accept-Any-Recipient";
const SUBMIT: &str = "ms-Exch-SMTP-Submit";

fn permissions(work: &mut Work, found: &Found, connector: &Object) -> Permissions {
    let mut all = Permissions::default();
    for object in found
        .of(Kind::Permission)
        .filter(|object| is_about(object, connector))
    {
        let origin = object.origin("ExtendedRights");
        let (relay, submit) = (
            object.names("ExtendedRights", RELAY),
            object.names("ExtendedRights", SUBMIT),
        );
        let cut = object
            .get("ExtendedRights")
            .is_some_and(|property| property.cut);
        // What is not said to permit, denies.
        if object.flag("Deny") != Some(false) {
            all.relay_denied |= relay || cut;
            all.submit_denied |= submit || cut;
            if relay || submit || cut {
                let why = "what is denied to anybody here is denied to all";
                work.tell(Fate::Changed, &origin, "relay.allow", why);
            }
        } else if is_anonymous(object) {
            all.anonymous_relays |= relay;
            let why = match relay {
                true => "clients of this connector may relay",
                false => "no right to relay",
            };
            work.tell(Fate::Translated, &origin, "relay.allow", why);
        } else if relay {
            let why = "who is meant is not known here: a user, or who has signed in";
            work.tell(Fate::NotTranslated, &origin, "relay.allow", why);
        }
    }
    all
}

/// `EX01\Relay`, a path with `/`, or a distinguished name.
fn is_about(permission: &Object, connector: &Object) -> bool {
    let Some(identity) = permission.text("Identity") else {
        return false;
    };
    let same = |name: &str| {
        connector
            .text(name)
            .is_some_and(|text| text.eq_ignore_ascii_case(identity))
    };
    if same("Identity") || same("DistinguishedName") || same("Name") {
        return true;
    }
    let Some(name) = connector.text("Name") else {
        return false;
    };
    let server = server_of(connector)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let identity = identity.to_ascii_lowercase();
    let last = identity.rsplit(['\\', '/']).next().unwrap_or("");
    let leading = identity
        .strip_prefix("cn=")
        .and_then(|rest| rest.split(",cn=").next());
    let named = last == name.to_ascii_lowercase() || leading == Some(&*name.to_ascii_lowercase());
    named
        && !server.is_empty()
        && identity
            .split(['\\', '/', ',', '='])
            .any(|part| part == server)
}

/// NT AUTHORITY\ANONYMOUS LOGON, which has other names in other languages.
fn is_anonymous(permission: &Object) -> bool {
    let user = permission.text("User").unwrap_or("").to_ascii_uppercase();
    user == "S-1-5-7"
        || ["ANONYMOUS LOGON", "ANONYMOUS-ANMELDUNG"]
            .iter()
            .any(|name| user.ends_with(name))
}
