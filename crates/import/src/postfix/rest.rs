//! Every setting that has no row yet gets one, so that nothing is lost in silence.

use std::collections::BTreeSet;

use super::Work;
use super::lines::words;
use super::listeners::Listener;
use crate::report::{Fate, Origin};

/// Why settings have no counterpart, by how they begin; of several that fit the first counts.
const WHY: &[(&str, &str)] = &[
    (
        "header_checks",
        "[[screen]] with when.header does what such checks are mostly for",
    ),
    (
        "mime_header_checks",
        "[[screen]] with when.attachment and when.extension",
    ),
    ("nested_header_checks", "[[screen]] with when.header"),
    ("body_checks", "[[screen]] with when.words"),
    (
        "smtp_header_checks",
        "headers are not changed on the way out",
    ),
    (
        "smtpd_milters",
        "[scanner.NAME] of type \"milter\" asks it, and listener or direction choose when",
    ),
    ("non_smtpd_milters", "[scanner.NAME] of type \"milter\""),
    ("milter_", "[scanner.NAME] of type \"milter\""),
    (
        "content_filter",
        "[after_queue] hands mail to such a filter and takes it back",
    ),
    (
        "always_bcc",
        "[[screen]] with redirect_to reaches somebody else; copies are not made",
    ),
    ("sender_bcc_maps", "copies are not made"),
    (
        "recipient_bcc_maps",
        "copies are not made: [forward] may name several",
    ),
    (
        "canonical_maps",
        "addresses are not rewritten; [[send_as]] and outbound.masquerade_domain change senders",
    ),
    ("sender_canonical_maps", "[[send_as]] changes senders"),
    (
        "recipient_canonical_maps",
        "[forward] changes recipients of hosted domains",
    ),
    (
        "smtp_generic_maps",
        "[[send_as]] and outbound.masquerade_domain change senders",
    ),
    ("masquerade_", "outbound.masquerade_domain"),
    (
        "alias_",
        "mail for accounts of the machine: [forward] for addresses of a hosted domain",
    ),
    ("mailbox_", "there are no mailboxes here"),
    ("home_mailbox", "there are no mailboxes here"),
    ("local_", "there are no mailboxes here"),
    ("virtual_", "there are no mailboxes here"),
    ("luser_relay", "there are no mailboxes here"),
    (
        "recipient_delimiter",
        "addresses count whole: list those with a delimiter, or leave the list out",
    ),
    (
        "smtpd_banner",
        "the greeting has the name, and listener.NAME.banner behind it",
    ),
    (
        "smtpd_sasl_",
        "users come from [auth]: gatepost user, [ldap.NAME], [auth.oauth]",
    ),
    (
        "smtpd_sender_login_maps",
        "senders of a user stand in the users file",
    ),
    (
        "smtpd_tls_req_ccert",
        "nobody has to show a certificate: relay.certificates names whose certificate lets relay",
    ),
    (
        "smtpd_tls_",
        "the library's own choice, or an option of [tls]",
    ),
    (
        "smtp_tls_",
        "the library's own choice, or an option of [outbound] and [route.NAME]",
    ),
    ("smtp_sasl_", "route.NAME.auth"),
    ("smtp_bind_address", "route.NAME.source_ip"),
    ("smtp_helo_name", "route.NAME.helo, or hostname"),
    (
        "smtpd_helo_",
        "EHLO or HELO is always required; its name is not judged",
    ),
    ("disable_vrfy_command", "VRFY never tells anything"),
    (
        "strict_rfc821_envelopes",
        "addresses are always read strictly; blanks and missing brackets are forgiven",
    ),
    (
        "postscreen_",
        "listener.NAME.dnsbl, limits.greeting_delay and [greylisting] do such things",
    ),
    (
        "default_process_limit",
        "there are no processes to count: listener.NAME.max_sessions",
    ),
    (
        "smtpd_client_",
        "[limits.rate_per_client], listener.NAME.max_per_client",
    ),
    ("smtpd_", "an option of [limits] may do it"),
    (
        "default_destination_",
        "outbound.max_per_site, route.NAME.max_connections",
    ),
    (
        "smtp_destination_",
        "route.NAME.recipients_per_transaction, route.NAME.rate",
    ),
    ("proxy_read_maps", "concerns Postfix's own processes"),
    ("biff", "there are no mailboxes here"),
    ("append_dot_mydomain", "addresses are taken as they are"),
    ("append_at_myorigin", "addresses are taken as they are"),
];

/// Where Postfix itself lies, and the like.
const OWN: [&str; 8] = [
    "_directory",
    "_owner",
    "_group",
    "_path",
    "compatibility_level",
    "debugger_command",
    "maillog_file",
    "default_database_type",
];

pub(super) fn tell(work: &mut Work<'_>, listeners: &[Listener]) {
    let told: BTreeSet<(String, usize)> = work
        .report
        .rows()
        .iter()
        .map(|row| (row.origin.file.clone(), row.origin.line))
        .collect();
    let untold: Vec<Origin> = work
        .parameters
        .written()
        .filter(|origin| !told.contains(&(origin.file.clone(), origin.line)))
        .cloned()
        .collect();
    for origin in untold {
        one(work, &origin);
    }
    // Overrides of services that take mail, which `Parameters` has seen one service at a time.
    for listener in listeners {
        let (service, parameters) = (&listener.settings, &listener.parameters);
        for (name, _) in &service.overrides {
            let origin = Origin {
                name: format!("-o {name}"),
                ..service.origin.clone()
            };
            let known = |row: &crate::Row| {
                row.origin.line == origin.line && row.origin.name.starts_with(&origin.name)
            };
            if work.report.rows().iter().any(known) {
                continue;
            }
            if work.parameters.was_asked(name) && !parameters.was_asked_here(name) {
                let why = "what main.cf says holds for all listeners here";
                work.report.add(Fate::NotTranslated, &origin, "", why);
            } else {
                one(work, &origin);
            }
        }
    }
}

fn one(work: &mut Work<'_>, origin: &Origin) {
    let name = origin.name.trim_start_matches("-o ").to_owned();
    if OWN.iter().any(|part| name.contains(part)) {
        return work.report.add(
            Fate::NotTranslated,
            origin,
            "",
            "concerns Postfix's own installation",
        );
    }
    if work.parameters.was_asked(&name) {
        return work.report.add(
            Fate::Translated,
            origin,
            "",
            "taken into account where it matters",
        );
    }
    let classes = words(&work.parameters.value("smtpd_restriction_classes"));
    if classes.contains(&name) {
        let why =
            "a class that tables alone name: what its words would do to whom it is for is not done";
        return work.report.add(Fate::NotTranslated, origin, "", why);
    }
    let why = WHY
        .iter()
        .find(|(beginning, _)| name.starts_with(beginning));
    let why = why.map_or("has no counterpart", |(_, why)| why);
    work.report.add(Fate::NotTranslated, origin, "", why);
}
