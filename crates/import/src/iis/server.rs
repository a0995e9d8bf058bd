//! A virtual server: where it listens, who may connect and relay, and its numbers.

use std::net::{IpAddr, SocketAddr};

use super::{Server, Work};
use crate::address_list::AddressList;
use crate::draft::{list, quoted};
use crate::report::{Fate, Origin};

pub(super) fn write(work: &mut Work, server: &Server<'_>) {
    let name = name(work, server);
    let head = format!("[listener.{name}]");
    let origin = &server.key.origin;
    work.draft.section(&head, origin);
    work.tell(Fate::Translated, origin, &head, "");
    if let Some((comment, from)) = server.text("ServerComment") {
        work.draft.note(&head, from, comment);
    }
    bindings(work, server, &head);
    security(work, server, &head);
    connect(work, server, &name);
    relay(work, server, &name);
    names(work, server, &head);
    numbers(work, server, &head);
    queue(work, server);
    outbound(work, server);
    log(work, server, &name);
}

/// Its comment as a name, or its number.
fn name(work: &Work, server: &Server<'_>) -> String {
    let comment = server
        .text("ServerComment")
        .map_or("", |(comment, _)| comment);
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = comment.chars().map(plain).take(40).collect();
    let parts: Vec<&str> = name.split('-').filter(|part| !part.is_empty()).collect();
    let name = parts.join("-");
    if name.is_empty() || work.draft.has(&format!("[listener.{name}]")) {
        format!("smtp-{}", server.number + 1)
    } else {
        name
    }
}

/// `192.168.1.1:25:` or `:25:`, one a line.
fn bindings(work: &mut Work, server: &Server<'_>, head: &str) {
    let Some(property) = server.get("ServerBindings") else {
        let origin = server.key.origin.clone();
        return work.draft.set(head, "bind", list(["0.0.0.0:25"]), &origin);
    };
    let mut binds = Vec::new();
    for text in property.strings() {
        let mut parts = text.split(':');
        let (address, port) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let address = if address.is_empty() {
            Ok(IpAddr::from([0; 4]))
        } else {
            address.parse()
        };
        match (address, port.parse::<u16>()) {
            (Ok(address), Ok(port)) => binds.push(SocketAddr::new(address, port).to_string()),
            _ => work.tell(
                Fate::NotTranslated,
                &property.origin,
                "listener.NAME.bind",
                "no address and port",
            ),
        }
    }
    work.draft.set(
        head,
        "bind",
        list(binds.iter().map(String::as_str)),
        &property.origin,
    );
    work.tell(Fate::Translated, &property.origin, "listener.NAME.bind", "");
    if let Some((_, origin)) = server.text("SecureBindings") {
        let why = "write a listener with tls = \"implicit\" for it";
        work.tell(Fate::NotTranslated, origin, "listener.NAME.tls", why);
    }
}

/// Flags by their names, `AuthAnonymous | AuthBasic`, or as a number.
fn has_flag(server: &Server<'_>, property: &str, flag: &str, bit: i64) -> Option<bool> {
    // Each flag may also stand as a property of its own.
    if let Some(own) = server.get(flag) {
        return Some(own.is_true());
    }
    let flags = server.get(property)?;
    let named = || {
        flags
            .value
            .split('|')
            .any(|word| word.trim().eq_ignore_ascii_case(flag))
    };
    Some(
        flags
            .number()
            .map_or_else(named, |number| number & bit != 0),
    )
}

fn security(work: &mut Work, server: &Server<'_>, head: &str) {
    let anonymous = has_flag(server, "AuthFlags", "AuthAnonymous", 1).unwrap_or(true);
    let users = ["AuthBasic", "AuthNTLM"]
        .iter()
        .zip([2, 4])
        .any(|(flag, bit)| has_flag(server, "AuthFlags", flag, bit).unwrap_or(false));
    let auth = match (anonymous, users) {
        (false, _) => "required",
        (true, true) => "optional",
        (true, false) => "off",
    };
    let origin = server
        .get("AuthFlags")
        .map_or(&server.key.origin, |property| &property.origin)
        .clone();
    work.draft.set(head, "auth", quoted(auth), &origin);
    let why = "passwords pass under TLS alone, and users come from [auth] or [ldap.NAME], not from Windows";
    work.tell(Fate::Changed, &origin, "listener.NAME.auth", why);
    if has_flag(server, "AccessSSLFlags", "AccessSSL", 8) == Some(true) {
        work.draft.set(head, "tls", quoted("require"), &origin);
        if let Some(property) = server.get("AccessSSLFlags") {
            work.tell(Fate::Translated, &property.origin, "listener.NAME.tls", "");
        }
    }
}

/// Reads a list of clients, and tells what could not be read of it.
fn clients(
    work: &mut Work,
    server: &Server<'_>,
    name: &str,
    option: &str,
) -> Option<(AddressList, Origin)> {
    let property = server.get(name)?;
    match AddressList::parse(&property.value) {
        Ok(list) => {
            if list.unread > 0 {
                let why = left_out(&list);
                work.tell(Fate::NotTranslated, &property.origin, option, &why);
            }
            Some((list, property.origin.clone()))
        }
        Err(why) => {
            let why = format!("{why}: write the list, nobody is on it");
            work.tell(Fate::NotTranslated, &property.origin, option, &why);
            // What cannot be read permits nobody.
            Some((AddressList::default(), property.origin.clone()))
        }
    }
}

/// IIS believed what reverse DNS said of a client, which whoever has the address can make say anything. Here a
/// name has to be confirmed, so it is for people to decide.
fn left_out(list: &AddressList) -> String {
    let count = list.unread;
    if list.words.is_empty() {
        return format!(
            "{count} entries that are names or no IPv4 addresses cannot be read: write them"
        );
    }
    format!(
        "{count} entries that are names or no IPv4 addresses are left out, in which these words can be read: {}. \
         Write addresses, or names as \"*.NAME\" where their reverse DNS leads back to the address",
        list.words.join(", ")
    )
}

fn connect(work: &mut Work, server: &Server<'_>, name: &str) {
    let Some((list, origin)) = clients(work, server, "IPSecurity", "listener.NAME.connect") else {
        return;
    };
    let head = format!("[listener.{name}.connect]");
    let mut clients = &list.refused;
    let mut key = "except";
    if !list.all_except {
        work.draft.set(&head, "mode", quoted("only-list"), &origin);
        clients = &list.permitted;
        key = "allow";
    } else if list.refused.is_empty() {
        return work.tell(
            Fate::Translated,
            &origin,
            "listener.NAME.connect",
            "everybody may connect",
        );
    }
    for entry in clients.entries() {
        work.draft.add(&head, key, quoted(&entry), &origin);
    }
    work.tell(Fate::Translated, &origin, "listener.NAME.connect", "");
}

/// "Only the list below" or "All except the list below".
fn relay(work: &mut Work, server: &Server<'_>, name: &str) {
    let head = match server.number {
        0 => "[relay]".to_owned(),
        _ => format!("[listener.{name}.relay]"),
    };
    let listed = clients(work, server, "RelayIpList", "relay.allow");
    let (mut list, origin) =
        listed.unwrap_or_else(|| (AddressList::default(), server.key.origin.clone()));
    if list.all_except && list.unread > 0 {
        let why = "all but those on the list may relay, and not all of the list can be read: nobody is permitted, write who is";
        work.tell(Fate::LeftOut, &origin, "relay.allow", why);
        list = AddressList::default();
    }
    if list.all_except {
        work.draft.set(&head, "mode", quoted("all-except"), &origin);
        let excepted: Vec<String> = list.refused.entries();
        work.draft.set(
            &head,
            "except",
            crate::draft::list(excepted.iter().map(String::as_str)),
            &origin,
        );
    } else {
        if server.number > 0 {
            work.draft.set(&head, "mode", quoted("only-list"), &origin);
        }
        let permitted = list.permitted.entries();
        work.draft.set(&head, "allow", "[]", &origin);
        for entry in permitted {
            work.draft.add(&head, "allow", quoted(&entry), &origin);
        }
        work.tell(Fate::Translated, &origin, "relay.allow", "");
    }
    match server.get("RelayForAuth") {
        Some(property) => {
            let value = if property.is_true() { "true" } else { "false" };
            work.draft.set(&head, "signed_in", value, &property.origin);
            work.tell(Fate::Translated, &property.origin, "relay.signed_in", "");
        }
        None => {
            work.draft
                .set(&head, "signed_in", "false", &server.key.origin);
            let origin = Origin {
                name: "RelayForAuth".to_owned(),
                ..server.key.origin.clone()
            };
            work.tell(
                Fate::Changed,
                &origin,
                "relay.signed_in",
                "it is not written, and means false then",
            );
        }
    }
}

fn names(work: &mut Work, server: &Server<'_>, head: &str) {
    let full = server
        .text("FullyQualifiedDomainName")
        .or_else(|| server.text("DefaultDomain"));
    if let Some((name, origin)) = full {
        let name = name.to_ascii_lowercase();
        if server.number == 0 {
            work.once_text("", "hostname", &name, origin);
        } else {
            work.draft.set(head, "hostname", quoted(&name), origin);
            work.tell(Fate::Translated, origin, "listener.NAME.hostname", "");
        }
    }
    if let Some((domain, origin)) = server.text("MasqueradeDomain") {
        work.once_text(
            "[outbound]",
            "masquerade_domain",
            &domain.to_ascii_lowercase(),
            origin,
        );
    }
    let at_home = server
        .text("DefaultDomain")
        .map_or("", |(domain, _)| domain)
        .to_owned();
    let address = |text: &str| match text.contains('@') || at_home.is_empty() {
        true => text.to_owned(),
        false => format!("{text}@{at_home}"),
    };
    if let Some((text, origin)) = server.text("SendNdrTo") {
        work.once_text("[queue.ndr]", "copy_to", &address(text), origin);
    }
    if let Some((text, origin)) = server.text("SendBadTo") {
        work.once_text("", "postmaster", &address(text), origin);
    }
}

/// Without a limit, as IIS writes it.
const NO_LIMIT: i64 = 2_000_000_000;

fn numbers(work: &mut Work, server: &Server<'_>, head: &str) {
    if let Some((number, origin)) = server
        .number("MaxConnections")
        .filter(|(n, _)| (1..NO_LIMIT).contains(n))
    {
        work.draft.set(
            head,
            "max_sessions",
            number.clamp(1, 1_000_000).to_string(),
            origin,
        );
        work.tell(Fate::Translated, origin, "listener.NAME.max_sessions", "");
    }
    if let Some((seconds, origin)) = server.number("ConnectionTimeout").filter(|(n, _)| *n > 0) {
        let least = 300;
        work.draft.set(
            head,
            "idle_timeout",
            quoted(&format!("{}s", seconds.clamp(least, 86_400))),
            origin,
        );
        let (fate, why) = match seconds < least {
            true => (
                Fate::Changed,
                "five minutes are the least that the standard asks for",
            ),
            false => (Fate::Translated, ""),
        };
        work.tell(fate, origin, "listener.NAME.idle_timeout", why);
    }
    sizes(work, server);
    counts(work, server);
}

fn sizes(work: &mut Work, server: &Server<'_>) {
    for (name, key) in [
        ("MaxMessageSize", "message_size"),
        ("MaxSessionSize", "session_size"),
    ] {
        match server.number(name) {
            Some((octets, origin)) if octets > 0 => {
                work.once_text("[limits]", key, &format!("{octets}B"), origin);
            }
            Some((_, origin)) => {
                let option = format!("limits.{key}");
                work.tell(
                    Fate::Changed,
                    origin,
                    &option,
                    "there always is a limit: its default",
                );
            }
            None => {}
        }
    }
}

/// Counts, each with the bounds of ours.
fn counts(work: &mut Work, server: &Server<'_>) {
    for (name, section, key, least, most) in [
        ("MaxRecipients", "[limits]", "recipients", 100, 50_000),
        ("MaxSmtpErrors", "[limits]", "errors", 1, 10_000),
        ("HopCount", "[limits]", "hops", 1, 200),
        (
            "MaxBatchedMessages",
            "[outbound]",
            "messages_per_connection",
            1,
            1_000_000,
        ),
        (
            "MaxOutConnections",
            "[outbound]",
            "max_connections",
            1,
            1_000_000,
        ),
        (
            "MaxOutConnectionsPerDomain",
            "[outbound]",
            "max_per_site",
            1,
            1_000_000,
        ),
        ("RemoteSmtpPort", "[outbound]", "port", 1, 65_535),
    ] {
        let Some((number, origin)) = server.number(name) else {
            continue;
        };
        if (1..NO_LIMIT).contains(&number) {
            work.once(section, key, number.clamp(least, most).to_string(), origin);
        } else {
            let option = format!("{}.{key}", section.trim_matches(['[', ']']));
            work.tell(
                Fate::Changed,
                origin,
                &option,
                "there always is a limit: its default",
            );
        }
    }
}

fn queue(work: &mut Work, server: &Server<'_>) {
    if let Some((text, origin)) = server.text("SmtpRemoteProgressiveRetry") {
        let minutes: Option<Vec<u32>> = text
            .split(',')
            .map(|part| part.trim().parse().ok())
            .collect();
        match minutes.filter(|minutes| !minutes.contains(&0) && minutes.len() <= 20) {
            Some(minutes) => {
                let pauses: Vec<String> = minutes
                    .iter()
                    .map(|minutes| format!("{minutes}m"))
                    .collect();
                work.once(
                    "[queue]",
                    "retry",
                    list(pauses.iter().map(String::as_str)),
                    origin,
                );
            }
            None => work.tell(
                Fate::NotTranslated,
                origin,
                "queue.retry",
                "no list of minutes",
            ),
        }
    }
    for (name, key) in [
        ("SmtpRemoteDelayExpireMinutes", "delay_notice"),
        ("SmtpRemoteNDRExpireMinutes", "expire"),
    ] {
        if let Some((minutes, origin)) = server.number(name).filter(|(n, _)| *n > 0) {
            work.once_text("[queue]", key, &format!("{minutes}m"), origin);
        }
    }
}

/// The smart host, and how the server signs in there.
fn outbound(work: &mut Work, server: &Server<'_>) {
    let kind = server.number("SmartHostType").map_or(2, |(kind, _)| kind);
    if let Some((text, origin)) = server.text("SmartHost").filter(|_| kind != 0) {
        let hosts: Vec<&str> = text
            .split([';', ','])
            .map(str::trim)
            .filter(|host| !host.is_empty())
            .collect();
        let flags = server.number("RouteAction").map_or(0, |(flags, _)| flags);
        let signs_in = server
            .text("RouteUserName")
            .filter(|_| flags & super::domains::SIGNS_IN != 0);
        if let Some((user, from)) = signs_in {
            sign_in(work, "smart-host", &hosts, user, origin, from);
            work.once_text("[outbound]", "route", "smart-host", origin);
        } else {
            work.once("[outbound]", "route", list(hosts.iter().copied()), origin);
        }
        if kind == 1 {
            work.once("[outbound]", "direct_first", "true".to_owned(), origin);
        }
    }
    if let Some(property) = server.get("SmartHostType") {
        work.tell(
            Fate::Translated,
            &property.origin,
            "outbound.direct_first",
            "",
        );
    }
    if let Some(property) = server
        .get("AlwaysUseSsl")
        .filter(|property| property.is_true())
    {
        work.once_text("[outbound]", "tls", "require", &property.origin);
    }
}

/// A route of its own with a user; the password is encrypted in the metabase, and none of ours.
pub(super) fn sign_in(
    work: &mut Work,
    name: &str,
    hosts: &[&str],
    user: &str,
    origin: &Origin,
    from: &Origin,
) {
    let head = format!("[route.{name}]");
    let file = format!("/etc/gatepost/secrets/{name}.password");
    work.draft
        .set(&head, "hosts", list(hosts.iter().copied()), origin);
    let auth = format!("[route.{name}.auth]");
    let note = format!(
        "The password is encrypted in the metabase: put it into {file}, which only the relay's account may read."
    );
    work.draft.note(&auth, from, &note);
    work.draft.set(&auth, "user", quoted(user), from);
    work.draft
        .set(&auth, "secret", quoted(&format!("file:{file}")), from);
    let why = format!("always encrypted; the password is not copied: put it into {file}");
    work.tell(Fate::Changed, from, &format!("route.{name}.auth"), &why);
}

fn log(work: &mut Work, server: &Server<'_>, name: &str) {
    const FORMS: [(&str, &str); 3] = [
        ("FF160663-DE82-11CF-BC0A-00AA006111E0", "w3c"),
        ("FF160657-DE82-11CF-BC0A-00AA006111E0", "iis"),
        ("FF16065F-DE82-11CF-BC0A-00AA006111E0", "ncsa"),
    ];
    const PERIODS: [&str; 5] = ["size", "daily", "weekly", "monthly", "hourly"];
    let Some((kind, from)) = server.number("LogType") else {
        return;
    };
    if kind != 1 {
        return work.tell(
            Fate::Translated,
            from,
            "[log.NAME]",
            "no log of the protocol",
        );
    }
    let head = format!("[log.{name}]");
    let plugin = server.text("LogPluginClsid");
    let form = plugin.and_then(|(class, _)| {
        let class = class.trim_matches(['{', '}']).to_ascii_uppercase();
        FORMS.iter().find(|(known, _)| *known == class)
    });
    let Some((_, form)) = form else {
        let why = "its form is none of W3C, IIS and NCSA";
        return work.tell(Fate::NotTranslated, from, "[log.NAME]", why);
    };
    work.draft.set(&head, "format", quoted(form), from);
    work.draft.set(&head, "listeners", list([name]), from);
    let period = server
        .number("LogFilePeriod")
        .and_then(|(n, _)| PERIODS.get(usize::try_from(n).ok()?));
    if let Some(period) = period {
        work.draft.set(&head, "rotation", quoted(period), from);
    }
    let why = "in data_dir, with IIS's rows and file names";
    for property in [
        "LogType",
        "LogPluginClsid",
        "LogFilePeriod",
        "LogFileDirectory",
    ] {
        if let Some(property) = server.get(property) {
            work.tell(Fate::Translated, &property.origin, "[log.NAME]", why);
        }
    }
}
