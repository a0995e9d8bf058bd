//! What became nothing, and why.

use std::collections::BTreeSet;

use super::export::{Kind, Object};
use super::{Found, Work};
use crate::report::Fate;

/// What the directory and PowerShell keep about every object; it is no setting.
const BOOKKEEPING: [&str; 24] = [
    "runspaceid",
    "pscomputername",
    "psshowcomputername",
    "pssourcejobinstanceid",
    "admindisplayname",
    "exchangeversion",
    "distinguishedname",
    "identity",
    "guid",
    "exchangeobjectid",
    "immutableid",
    "objectcategory",
    "objectclass",
    "objectstate",
    "originatingserver",
    "organizationid",
    "organizationalunitroot",
    "id",
    "isvalid",
    "server",
    "sourcetransportservers",
    "whenchanged",
    "whencreated",
    "name",
];

/// What Exchange has there when nobody has said anything, and what is so here in any case. Rows about it would hide
/// the others.
const AS_EVER: [(&str, &str); 30] = [
    ("binarymimeenabled", "true"),
    ("chunkingenabled", "true"),
    ("deliverystatusnotificationenabled", "true"),
    ("eightbitmimeenabled", "true"),
    ("smtputf8enabled", "true"),
    ("enhancedstatuscodesenabled", "true"),
    ("pipeliningenabled", "true"),
    ("sizeenabled", "enabled"),
    ("enabled", "true"),
    ("dnsroutingenabled", "true"),
    ("errorpolicies", "default"),
    ("connectortype", "default"),
    ("sourceipaddress", "0.0.0.0"),
    ("port", "25"),
    ("region", "notspecified"),
    ("issmtpconnector", "true"),
    ("maxacknowledgementdelay", "00:00:30"),
    ("maxinboundconnectionpercentagepersource", "2"),
    ("maxinboundconnectionpersource", "unlimited"),
    ("messageratelimit", "unlimited"),
    ("authtarpitinterval", "00:00:05"),
    ("connectioninactivitytimeout", "00:10:00"),
    ("connectiontimeout", "00:10:00"),
    ("maxlocalhopcount", "5"),
    ("maxlocalhopcount", "12"),
    ("addressbookenabled", "true"),
    ("default", "true"),
    ("frontendproxyenabled", "true"),
    ("tostring", ""),
    ("transportrole", "frontendtransport"),
];

/// Why properties have no counterpart, by how they begin.
const WHY: &[(&str, &str)] = &[
    ("Comment", "a note"),
    ("TransportRole", "there is one kind of listener here"),
    (
        "SourceIPAddress",
        "an address of the machine of Exchange: write route.NAME.source_ip",
    ),
    (
        "TlsCertificateName",
        "certificates lie in Windows: export one with its key as PEM, and write [tls]",
    ),
    (
        "ConnectionTimeout",
        "a session may last as long as it brings mail; limits.idle_commands bounds the others",
    ),
    (
        "ConnectionInactivityTimeOut",
        "each step of a delivery has a time of its own: route.NAME.reply_timeout",
    ),
    (
        "MaxInboundConnectionPercentagePerSource",
        "listener.NAME.max_per_client is a number",
    ),
    ("MaxLocalHopCount", "limits.hops counts all"),
    (
        "MessageRate",
        "limits.rate_per_client and rate_per_user: of all clients, or of all users",
    ),
    ("ProtocolLogging", "log.transcript, or [log.NAME]"),
    (
        "BareLinefeedRejectionEnabled",
        "always refused, unless listener.NAME.bare_lf mends it for devices",
    ),
    ("SmtpUtf8Enabled", "always offered"),
    (
        "ExtendedProtectionPolicy",
        "it belongs to sign-in with Windows",
    ),
    ("EnableAuthGSSAPI", "it belongs to sign-in with Windows"),
    (
        "DomainSecureEnabled",
        "clients' certificates: relay.certificates",
    ),
    (
        "TlsDomainCapabilities",
        "clients' certificates: relay.certificates",
    ),
    ("ServiceDiscoveryFqdn", "only programs of Exchange read it"),
    (
        "AuthTarpitInterval",
        "limits.tarpit is for all refusals; who guesses passwords is banned",
    ),
    (
        "CloudServicesMailEnabled",
        "headers between Exchange and Microsoft 365 belong to the mail server",
    ),
    ("UseExternalDNSServersEnabled", "dns.servers"),
    ("ExternalDNS", "dns.servers"),
    ("InternalDNS", "dns.servers"),
    (
        "InternalSMTPServers",
        "name those that send through this relay in relay.allow",
    ),
    (
        "TLSReceiveDomainSecureList",
        "clients' certificates: relay.certificates",
    ),
    (
        "TLSSendDomainSecureList",
        "domain.NAME.tls = \"verify\" of these domains",
    ),
    ("GenerateCopyOfDSNFor", "queue.ndr.copy_to"),
    (
        "PickupDirectory",
        "write pickup.directory, and relay.pickup for mail to other domains",
    ),
    (
        "ReplayDirectory",
        "write pickup.directory, and relay.pickup for mail to other domains",
    ),
    ("Journal", "[[screen]] with copy_to"),
    (
        "NDREnabled",
        "queue.ndr.strangers = \"badmail\" keeps notices from strangers",
    ),
    ("DeliveryReportEnabled", "queue.ndr.success_to_strangers"),
    (
        "Default",
        "the domain of new mailboxes, no matter of the relay",
    ),
];

/// Tells of every property without a row, but of objects that are not `used`: those have one row as a whole.
pub(super) fn tell(work: &mut Work, found: &Found, used: &dyn Fn(Kind, &Object) -> bool) {
    let told: BTreeSet<(String, usize, String)> = work
        .report
        .rows()
        .iter()
        .map(|row| {
            (
                row.origin.file.clone(),
                row.origin.line,
                row.origin.name.to_ascii_lowercase(),
            )
        })
        .collect();
    for (kind, object) in &found.objects {
        match kind {
            Some(Kind::Recipient | Kind::Permission) => {}
            Some(Kind::VirtualServer | Kind::SmtpConnector | Kind::RecipientPolicy) => {}
            Some(kind) if used(*kind, object) => properties(work, object, *kind, &told),
            Some(_) => {}
            None => {
                let mut origin = object.origin("Name");
                origin.line = object.line;
                origin.name = object.name();
                work.tell(
                    Fate::NotTranslated,
                    &origin,
                    "",
                    "it is not known what this is",
                );
            }
        }
    }
}

fn properties(
    work: &mut Work,
    object: &Object,
    kind: Kind,
    told: &BTreeSet<(String, usize, String)>,
) {
    for (name, property) in &object.properties {
        let Some(text) = object.text(name) else {
            continue;
        };
        let at = |line| told.contains(&(object.file.clone(), line, name.clone()));
        let known = at(property.line) || property.values.iter().any(|value| at(value.line));
        let off = ["false", "none"]
            .iter()
            .any(|off| text.eq_ignore_ascii_case(off));
        let usual = |(of, value): &(&str, &str)| {
            of == name && (value.is_empty() || text.eq_ignore_ascii_case(value))
        };
        let bookkeeping = BOOKKEEPING.contains(&&**name) || name.starts_with("when");
        if known || off || bookkeeping || AS_EVER.iter().any(usual) {
            continue;
        }
        let reason = WHY.iter().find(|(beginning, _)| {
            property
                .name
                .to_ascii_lowercase()
                .starts_with(&beginning.to_ascii_lowercase())
        });
        let why = match (reason, kind) {
            (Some((_, why)), _) => why,
            (None, Kind::RemoteDomain) => {
                "about what mailboxes send: it stays with the mail server"
            }
            (None, Kind::SendConnector) => {
                "for routes to smart hosts alone, or without a counterpart"
            }
            (None, _) => "without a counterpart",
        };
        work.tell(Fate::NotTranslated, &object.origin(name), "", why);
    }
}
