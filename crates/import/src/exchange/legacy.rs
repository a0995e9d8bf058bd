//! Exchange 2000 and 2003, from the directory: virtual servers, which are those of IIS under other names, SMTP
//! connectors, and recipient policies, which name the domains.

use std::collections::BTreeSet;

use super::export::{Kind, Object};
use super::{Found, Work};
use crate::iis::metabase::{Key, Property};
use crate::iis::virtual_servers;
use crate::report::{Fate, Origin};

/// Attributes in the directory, and the properties of the metabase into which the system copies them.
const ATTRIBUTES: [(&str, &str); 27] = [
    ("msExchServerBindings", "ServerBindings"),
    ("msExchSecureBindings", "SecureBindings"),
    ("msExchAuthenticationFlags", "AuthFlags"),
    ("msExchAccessSSLFlags", "AccessSSLFlags"),
    ("msExchMaxIncomingConnections", "MaxConnections"),
    ("msExchIncomingConnectionTimeout", "ConnectionTimeout"),
    ("msExchLogType", "LogType"),
    ("msExchLogPluginClsid", "LogPluginClsid"),
    ("msExchIPSecurity", "IPSecurity"),
    ("msExchSmtpRelayIpList", "RelayIpList"),
    ("msExchSmtpRelayForAuth", "RelayForAuth"),
    (
        "msExchSmtpFullyQualifiedDomainName",
        "FullyQualifiedDomainName",
    ),
    ("msExchSmtpMasqueradeDomain", "MasqueradeDomain"),
    ("msExchSmtpMaxHopCount", "HopCount"),
    ("msExchSmtpMaxMessageSize", "MaxMessageSize"),
    ("msExchSmtpMaxSessionSize", "MaxSessionSize"),
    ("msExchSmtpMaxRecipients", "MaxRecipients"),
    ("msExchSmtpMaxOutboundMsgPerDomain", "MaxBatchedMessages"),
    ("msExchSmtpMaxOutgoingConnections", "MaxOutConnections"),
    (
        "msExchSmtpMaxOutgoingConnectionsPerDomain",
        "MaxOutConnectionsPerDomain",
    ),
    ("msExchSmtpOutgoingPort", "RemoteSmtpPort"),
    (
        "msExchSmtpRemoteQueueDelayNotification",
        "SmtpRemoteDelayExpireMinutes",
    ),
    (
        "msExchSmtpRemoteQueueExpirationTimeout",
        "SmtpRemoteNDRExpireMinutes",
    ),
    ("msExchSmtpRemoteQueueRetries", "SmtpRemoteProgressiveRetry"),
    ("msExchSmtpSmartHost", "SmartHost"),
    ("msExchSmtpSmartHostType", "SmartHostType"),
    ("adminDisplayName", "ServerComment"),
];

/// Attributes of connectors, and the properties of send connectors that they are.
const OF_CONNECTORS: [(&str, &str); 4] = [
    ("routingList", "AddressSpaces"),
    ("msExchSmtpSmartHost", "SmartHosts"),
    ("msExchSmtpOutgoingPort", "Port"),
    (
        "msExchSmtpOutboundSecurityUserName",
        "AuthenticationCredential",
    ),
];

/// Virtual servers become listeners at once; connectors and policies become what Exchange has had in their
/// place since 2007, and go the same way.
pub(super) fn write(work: &mut Work, found: &mut Found, server: Option<&str>) {
    let own = of_server(work, found, server);
    let servers: Vec<Key> = own.iter().map(|object| key(object)).collect();
    let every: Vec<&Key> = servers.iter().collect();
    virtual_servers(work, &every, None);
    rest(work, &own);
    let connectors: Vec<Object> = found.of(Kind::SmtpConnector).map(connector).collect();
    let domains: Vec<Object> = found
        .of(Kind::RecipientPolicy)
        .flat_map(|policy| accepted(work, policy))
        .collect();
    found.objects.extend(
        connectors
            .into_iter()
            .map(|object| (Some(Kind::SendConnector), object)),
    );
    found.objects.extend(
        domains
            .into_iter()
            .map(|object| (Some(Kind::AcceptedDomain), object)),
    );
}

/// The virtual servers of one server of Exchange: the named one, or the first.
fn of_server<'a>(work: &mut Work, found: &'a Found, server: Option<&str>) -> Vec<&'a Object> {
    let mut all = found.of(Kind::VirtualServer);
    let first = all.find_map(server_of);
    let server = server.map(str::to_owned).or(first);
    let mut own = Vec::new();
    for object in found.of(Kind::VirtualServer) {
        match (&server, server_of(object)) {
            (Some(server), Some(other)) if !server.eq_ignore_ascii_case(&other) => {
                let why = format!("of another server: --server {other} takes it");
                let origin = object.origin("cn");
                work.tell(Fate::NotTranslated, &origin, "[listener.NAME]", &why);
            }
            _ => own.push(object),
        }
    }
    own
}

/// `CN=1,CN=SMTP,CN=Protocols,CN=EX01,CN=Servers,...`
fn server_of(object: &Object) -> Option<String> {
    let path = object.text("dn")?.to_ascii_lowercase();
    let at = path.find(",cn=protocols,cn=")? + ",cn=protocols,cn=".len();
    let name = object.text("dn")?.get(at..)?.split(',').next()?;
    Some(name.trim().to_owned())
}

fn key(object: &Object) -> Key {
    let properties = ATTRIBUTES.iter().filter_map(|&(attribute, name)| {
        let property = object.get(attribute)?;
        let texts: Vec<&str> = property.values.iter().map(|value| &*value.text).collect();
        // A list of clients of which something is missing is one that cannot be read: an empty one would permit all.
        let value = match property.cut {
            true => "cut".to_owned(),
            false => texts.join("\n"),
        };
        Some((
            name.to_owned(),
            Property {
                value,
                origin: object.origin(attribute),
            },
        ))
    });
    Key {
        kind: "iissmtpserver".to_owned(),
        path: Vec::new(),
        origin: Origin::new(&object.file, object.line, &object.name()),
        properties: properties.collect(),
    }
}

/// Attributes that are no settings.
const BOOKKEEPING: [&str; 8] = [
    "dn",
    "changetype",
    "cn",
    "objectclass",
    "objectguid",
    "objectcategory",
    "distinguishedname",
    "name",
];

fn rest(work: &mut Work, servers: &[&Object]) {
    let rows = work.report.rows().iter();
    let told: BTreeSet<(String, usize, String)> = rows
        .map(|row| &row.origin)
        .map(|origin| (origin.file.clone(), origin.line, origin.name.clone()))
        .collect();
    for object in servers {
        for (name, property) in &object.properties {
            let origin = object.origin(name);
            let is_setting = name.starts_with("msexch") && !BOOKKEEPING.contains(&&**name);
            let place = (origin.file.clone(), origin.line, origin.name.clone());
            if is_setting && !property.values.is_empty() && !told.contains(&place) {
                work.tell(Fate::NotTranslated, &origin, "", "without a counterpart");
            }
        }
    }
}

fn connector(object: &Object) -> Object {
    let mut new = Object::new(&object.file, object.line);
    new.add("Name", object.origin("cn").line, Some(object.name()));
    for (attribute, name) in OF_CONNECTORS {
        let Some(property) = object.get(attribute) else {
            continue;
        };
        for value in &property.values {
            let parts = value.text.split(';').map(str::trim);
            match name {
                // Several smart hosts stand in one value.
                "SmartHosts" => parts
                    .filter(|host| !host.is_empty())
                    .for_each(|host| new.add(name, value.line, Some(host.to_owned()))),
                _ => new.add(name, value.line, Some(value.text.clone())),
            }
        }
        new.property(name, property.line).cut = property.cut;
    }
    if new.has("AuthenticationCredential") {
        let line = new.origin("AuthenticationCredential").line;
        new.add("SmartHostAuthMechanism", line, Some("BasicAuth".to_owned()));
    }
    new
}

/// `gatewayProxy: SMTP:@example.com`, with what stands before the @ for the names of mailboxes.
fn accepted(work: &mut Work, policy: &Object) -> Vec<Object> {
    let shared: Vec<String> = domains_of(policy, "msExchNonAuthoritativeDomains")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let mut found = Vec::new();
    for (name, line) in domains_of(policy, "gatewayProxy") {
        let share = if shared.contains(&name) {
            "InternalRelay"
        } else {
            "Authoritative"
        };
        let mut object = Object::new(&policy.file, policy.line);
        object.add("DomainName", line, Some(name));
        object.add("DomainType", line, Some(share.to_owned()));
        found.push(object);
    }
    if found.is_empty() {
        let why = "no domain of SMTP is in it";
        work.tell(
            Fate::NotTranslated,
            &policy.origin("gatewayProxy"),
            "[domain.NAME]",
            why,
        );
    }
    found
}

fn domains_of(policy: &Object, name: &str) -> Vec<(String, usize)> {
    let values = policy.get(name).map(|property| &property.values[..]);
    let domains = values.unwrap_or_default().iter().filter_map(|value| {
        let (kind, rest) = value.text.split_once(':')?;
        let (_, domain) = rest.rsplit_once('@')?;
        kind.eq_ignore_ascii_case("smtp")
            .then(|| (domain.trim().to_ascii_lowercase(), value.line))
    });
    domains.collect()
}
