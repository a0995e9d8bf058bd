//! Send connectors: which one mail goes by, and the route that it becomes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::export::{Kind, Object};
use super::values::{self, Limit, Space};
use super::{Found, Work};
use crate::draft::{list, quoted};
use crate::report::{Fate, Origin};

/// So many connectors are read.
const CONNECTORS_MAX: usize = 500;

/// Where mail of one connector goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// As TOML writes `route`; none for MX.
    pub route: Option<String>,
    /// What is asked of MX hosts.
    pub tls: Option<&'static str>,
    pub helo_only: bool,
    /// Where the route stands.
    pub origin: Origin,
    /// Where the encryption stands.
    pub tls_origin: Origin,
}

/// All connectors that are used, by the mail that they are for.
pub(super) struct Ways<'a> {
    spaces: BTreeMap<Space, (&'a Object, Origin)>,
    targets: BTreeMap<(String, usize), Target>,
    pub any: bool,
}

impl<'a> Ways<'a> {
    /// Chooses for each address space the connector of least cost, and of these the first by its name.
    pub fn read(work: &mut Work, found: &'a Found) -> Self {
        let mut offers: Vec<(Space, u32, String, &'a Object, Origin)> = Vec::new();
        let mut any = false;
        for object in found.of(Kind::SendConnector).take(CONNECTORS_MAX) {
            any = true;
            if object.flag("Enabled") == Some(false) {
                work.tell(
                    Fate::Translated,
                    &object.origin("Enabled"),
                    "",
                    "not enabled: not used",
                );
                continue;
            }
            let mut usable = false;
            for (text, line) in object.items("AddressSpaces") {
                let mut origin = object.origin("AddressSpaces");
                origin.line = line;
                match values::space(&text) {
                    Some((space, cost)) => {
                        usable = true;
                        offers.push((space, cost, object.name(), object, origin));
                    }
                    None => work.tell(
                        Fate::NotTranslated,
                        &origin,
                        "[domain.NAME]",
                        "no addresses of SMTP",
                    ),
                }
            }
            if object
                .get("AddressSpaces")
                .is_some_and(|property| property.cut)
            {
                let why = "the list is cut short: export it after $FormatEnumerationLimit = -1";
                work.tell(
                    Fate::NotTranslated,
                    &object.origin("AddressSpaces"),
                    "[domain.NAME]",
                    why,
                );
            }
            if usable {
                work.tell(Fate::Translated, &object.origin("Name"), "[route.NAME]", "");
            }
        }
        offers.sort_by(|a, b| (&a.0, a.1, &a.2).cmp(&(&b.0, b.1, &b.2)));
        let mut spaces: BTreeMap<Space, (&'a Object, Origin)> = BTreeMap::new();
        for (space, _, _, object, origin) in offers {
            match spaces.entry(space) {
                Entry::Vacant(place) => {
                    place.insert((object, origin));
                }
                Entry::Occupied(_) => {
                    let why = "another connector for the same mail has a lower cost, or comes before it: it is never used";
                    work.tell(Fate::Changed, &origin, "[domain.NAME]", why);
                }
            }
        }
        Self {
            spaces,
            targets: BTreeMap::new(),
            any,
        }
    }

    /// Whether there is one for this mail.
    pub fn has(&self, space: &Space) -> bool {
        self.spaces.contains_key(space)
    }

    /// The domains for which there are connectors, each with where that stands.
    pub fn domains(&self) -> Vec<(Space, Origin)> {
        let named = self
            .spaces
            .iter()
            .filter(|(space, _)| matches!(space, Space::Domain(_) | Space::DomainAndBelow(_)));
        named
            .map(|(space, (_, origin))| (space.clone(), origin.clone()))
            .collect()
    }

    /// The most specific one for a domain, but not the one for all.
    pub fn for_domain(&self, name: &str) -> Option<Space> {
        let exact = Space::Domain(name.to_owned());
        if self.has(&exact) {
            return Some(exact);
        }
        let mut rest = Some(name);
        while let Some(below) = rest {
            let space = Space::DomainAndBelow(below.to_owned());
            if self.has(&space) {
                return Some(space);
            }
            rest = below.split_once('.').map(|(_, rest)| rest);
        }
        None
    }

    /// Where it goes; its route is written when it is first asked for.
    pub fn target(&mut self, work: &mut Work, space: &Space) -> Option<Target> {
        let (object, origin) = self.spaces.get(space)?;
        let at = (object.file.clone(), object.line);
        if let Some(target) = self.targets.get(&at) {
            return Some(target.clone());
        }
        let target = target(work, object, origin);
        self.targets.insert(at, target.clone());
        Some(target)
    }

    /// Whether any mail goes by this connector.
    pub fn uses(&self, object: &Object) -> bool {
        self.targets
            .contains_key(&(object.file.clone(), object.line))
    }

    /// The connector for this mail.
    pub fn object(&self, space: &Space) -> Option<&'a Object> {
        self.spaces.get(space).map(|(object, _)| *object)
    }
}

fn target(work: &mut Work, object: &Object, origin: &Origin) -> Target {
    let hosts: Vec<String> = object
        .items("SmartHosts")
        .into_iter()
        .map(|(host, _)| host)
        .collect();
    let direct = object.flag("DNSRoutingEnabled") == Some(true) || hosts.is_empty();
    let mut target = Target {
        route: None,
        tls: None,
        helo_only: object.flag("ForceHELO") == Some(true),
        origin: origin.clone(),
        tls_origin: object.origin("RequireTLS"),
    };
    let (tls, why) = encryption(object);
    if direct {
        target.tls = tls;
        tell_encryption(work, object, tls, "domain.NAME.tls", why);
        work.tell(
            Fate::Translated,
            &object.origin("DNSRoutingEnabled"),
            "domain.NAME.route",
            "by MX, the default",
        );
        return target;
    }
    let mut name = values::plain_name(&object.name());
    while name.is_empty() || work.draft.has(&format!("[route.{name}]")) {
        name.push_str("-route");
    }
    let head = format!("[route.{name}]");
    let from = object.origin("SmartHosts");
    work.draft.note(
        &head,
        &from,
        &format!("The send connector {}", object.name()),
    );
    work.draft.set(
        &head,
        "hosts",
        list(hosts.iter().map(String::as_str)),
        &from,
    );
    work.tell(Fate::Translated, &from, "route.NAME.hosts", "");
    if hosts.len() > 1 {
        work.draft.set(&head, "order", quoted("spread"), &from);
    }
    let signs_in = auth(work, object, &name);
    let word = tls.filter(|word| !signs_in || *word == "verify");
    if let Some(word) = word {
        work.draft
            .set(&head, "tls", quoted(word), &object.origin("RequireTLS"));
    }
    tell_encryption(work, object, tls, "route.NAME.tls", why);
    tls_name(work, object, &head);
    details(work, object, &head);
    target.route = Some(quoted(&name));
    target
}

/// Whom the certificates of smart hosts must be for.
fn tls_name(work: &mut Work, object: &Object, head: &str) {
    if let Some(domain) = object.text("TlsDomain") {
        let origin = object.origin("TlsDomain");
        match domain.contains('*') {
            false => {
                work.draft.set(head, "tls_name", quoted(domain), &origin);
                work.tell(Fate::Translated, &origin, "route.NAME.tls_name", "");
            }
            true => work.tell(
                Fate::Changed,
                &origin,
                "route.NAME.tls_name",
                "each host's certificate has to be for its own name",
            ),
        }
    }
}

/// How much encryption a connector asks for, and what is not the same here.
fn encryption(object: &Object) -> (Option<&'static str>, &'static str) {
    let level = object
        .text("TlsAuthLevel")
        .unwrap_or("")
        .to_ascii_lowercase();
    let flag = |name| object.flag(name) == Some(true);
    match &*level {
        "domainvalidation" => (Some("verify"), ""),
        "certificatevalidation" => (
            Some("verify"),
            "the certificate has to be for the host's name, too",
        ),
        _ if flag("DomainSecureEnabled") => (
            Some("verify"),
            "a certificate of ours is shown where route.NAME.certificate is written",
        ),
        _ if flag("RequireTLS") || level == "encryptiononly" => (Some("require"), ""),
        _ if flag("IgnoreSTARTTLS") => (Some("off"), ""),
        _ => (None, ""),
    }
}

fn tell_encryption(work: &mut Work, object: &Object, tls: Option<&str>, option: &str, why: &str) {
    if tls.is_none() {
        return;
    }
    let fate = if why.is_empty() {
        Fate::Translated
    } else {
        Fate::Changed
    };
    for name in [
        "RequireTLS",
        "TlsAuthLevel",
        "DomainSecureEnabled",
        "IgnoreSTARTTLS",
    ] {
        let set = object
            .text(name)
            .is_some_and(|text| !text.eq_ignore_ascii_case("false"));
        if set {
            work.tell(fate, &object.origin(name), option, why);
        }
    }
}

/// Signing in at the smart host. The password is in no export.
fn auth(work: &mut Work, object: &Object, route: &str) -> bool {
    let basic = object.names("SmartHostAuthMechanism", "BasicAuth")
        || object.names("SmartHostAuthMechanism", "BasicAuthRequireTLS");
    let origin = object.origin("SmartHostAuthMechanism");
    if !basic {
        let other = object
            .text("SmartHostAuthMechanism")
            .filter(|text| !text.eq_ignore_ascii_case("None"));
        if other.is_some() {
            work.tell(
                Fate::NotTranslated,
                &origin,
                "route.NAME.auth",
                "only servers of Exchange sign in like that",
            );
        }
        return false;
    }
    let option = format!("route.{route}.auth");
    let file = format!("/etc/gatepost/secrets/{route}.password");
    // A credential that was written as the name of its type tells nothing.
    let user = object
        .text("AuthenticationCredential")
        .filter(|user| !user.starts_with("System."));
    let Some(user) = user else {
        let note = "It signs in, and the user is not in the export: write auth = { user = \"...\", secret = \"file:...\" }";
        work.draft.note(&format!("[route.{route}]"), &origin, note);
        let why = "the user and the password are not in the export: write them, nothing is taken there before";
        work.tell(Fate::NotTranslated, &origin, &option, why);
        return false;
    };
    let head = format!("[route.{route}.auth]");
    let from = object.origin("AuthenticationCredential");
    let note = format!(
        "The password is in no export: put it into {file}, which only the relay's account may read."
    );
    work.draft.note(&head, &from, &note);
    work.draft.set(&head, "user", quoted(user), &from);
    work.draft
        .set(&head, "secret", quoted(&format!("file:{file}")), &from);
    let why = format!(
        "put the password into {file}; the connection is encrypted and the certificate verified, unless route.NAME.tls = \"require\""
    );
    work.tell(Fate::Changed, &from, &option, &why);
    work.tell(Fate::Translated, &origin, &option, "");
    true
}

/// Port, names and numbers of a route.
fn details(work: &mut Work, object: &Object, head: &str) {
    if let Some(Limit::At(port)) = object.text("Port").and_then(values::count)
        && port != 25
    {
        work.draft
            .set(head, "port", port.to_string(), &object.origin("Port"));
        work.tell(
            Fate::Translated,
            &object.origin("Port"),
            "route.NAME.port",
            "",
        );
    }
    if let Some(name) = object.text("Fqdn") {
        work.draft.set(
            head,
            "helo",
            quoted(&name.to_ascii_lowercase()),
            &object.origin("Fqdn"),
        );
        work.tell(
            Fate::Translated,
            &object.origin("Fqdn"),
            "route.NAME.helo",
            "",
        );
    }
    if let Some(Limit::At(number)) = object
        .text("SmtpMaxMessagesPerConnection")
        .and_then(values::count)
        && number > 0
    {
        let origin = object.origin("SmtpMaxMessagesPerConnection");
        work.draft.set(
            head,
            "messages_per_connection",
            number.min(1_000_000).to_string(),
            &origin,
        );
        work.tell(
            Fate::Translated,
            &origin,
            "route.NAME.messages_per_connection",
            "",
        );
    }
}
