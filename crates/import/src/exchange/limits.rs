//! Limits and times: of receive connectors, of the organisation (Get-TransportConfig), of a server
//! (Get-TransportService).

use super::export::{Kind, Object};
use super::listeners::Door;
use super::rights::Connector;
use super::send::Ways;
use super::values::{self, Limit, Space};
use super::{Found, Work};
use crate::draft::{list, quoted};
use crate::report::{Fate, Origin};

/// A number that each connector has and that we say once: the least counts.
struct Once {
    property: &'static str,
    section: &'static str,
    key: &'static str,
    least: u64,
    most: u64,
}

const ONCE: [Once; 4] = [
    Once {
        property: "MaxRecipientsPerMessage",
        section: "[limits]",
        key: "recipients",
        least: 100,
        most: 50_000,
    },
    Once {
        property: "MaxProtocolErrors",
        section: "[limits]",
        key: "errors",
        least: 1,
        most: 10_000,
    },
    Once {
        property: "MaxHopCount",
        section: "[limits]",
        key: "hops",
        least: 1,
        most: 200,
    },
    Once {
        property: "MaxLogonFailures",
        section: "[auth]",
        key: "max_failures",
        least: 1,
        most: 100,
    },
];

pub(super) fn write(
    work: &mut Work,
    found: &Found,
    connectors: &[Connector<'_>],
    door: &Door,
    ways: &mut Ways<'_>,
) {
    let used: Vec<&Connector<'_>> = used(connectors, door);
    for once in &ONCE {
        count(work, &used, once);
    }
    header_size(work, &used);
    tarpit(work, &used);
    rates(work, &used);
    let largest = message_size(work, found, &used);
    screens(work, found, connectors, door, largest);
    sent_sizes(work, ways, largest);
    organisation(work, found);
    service(work, found);
}

fn used<'a, 'b>(connectors: &'a [Connector<'b>], door: &Door) -> Vec<&'a Connector<'b>> {
    let mut numbers: Vec<usize> = door
        .listeners
        .iter()
        .flat_map(|(_, plan)| plan.members())
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
        .into_iter()
        .filter_map(|number| connectors.get(number))
        .collect()
}

/// The value of each connector that has one.
fn all<T>(
    used: &[&Connector<'_>],
    property: &str,
    read: fn(&str) -> Option<T>,
) -> Vec<(T, Origin)> {
    let values = used.iter().filter_map(|one| {
        let text = one.object.text(property)?;
        Some((read(text)?, one.object.origin(property)))
    });
    values.collect()
}

fn number(text: &str) -> Option<u64> {
    match values::count(text)? {
        Limit::At(number) => Some(number),
        Limit::Unlimited => None,
    }
}

/// Writes the one that counts for all, and tells of each.
fn write_one(
    work: &mut Work,
    head: &str,
    key: &str,
    value: (String, Origin),
    given: &[(u64, Origin)],
    kept: u64,
) {
    let (text, origin) = value;
    let option = format!("{}.{key}", head.trim_matches(['[', ']']));
    work.draft.set(head, key, text, &origin);
    for (number, origin) in given {
        let (fate, why) = match *number == kept {
            true => (Fate::Translated, ""),
            false => (
                Fate::Changed,
                "said once for all here: the strictest of all connectors, within our bounds",
            ),
        };
        work.tell(fate, origin, &option, why);
    }
}

fn count(work: &mut Work, used: &[&Connector<'_>], once: &Once) {
    let given = all(used, once.property, number);
    let Some((least, origin)) = given.iter().min_by_key(|(number, _)| *number).cloned() else {
        return;
    };
    let kept = least.clamp(once.least, once.most);
    write_one(
        work,
        once.section,
        once.key,
        (kept.to_string(), origin),
        &given,
        kept,
    );
}

fn octets(text: &str) -> Option<u64> {
    match values::size(text)? {
        Limit::At(number) => Some(number),
        Limit::Unlimited => None,
    }
}

fn header_size(work: &mut Work, used: &[&Connector<'_>]) {
    let given = all(used, "MaxHeaderSize", octets);
    if let Some((least, origin)) = given.iter().min_by_key(|(number, _)| *number).cloned() {
        let text = quoted(&format!("{least}B"));
        write_one(
            work,
            "[limits]",
            "header_size",
            (text, origin),
            &given,
            least,
        );
    }
}

/// A longer wait than this is refused.
const TARPIT_MAX: u64 = 60;

fn tarpit(work: &mut Work, used: &[&Connector<'_>]) {
    let given = all(used, "TarpitInterval", values::seconds);
    if let Some((longest, origin)) = given.iter().max_by_key(|(number, _)| *number).cloned() {
        let kept = longest.min(TARPIT_MAX);
        let text = quoted(&format!("{kept}s"));
        write_one(work, "[limits]", "tarpit", (text, origin), &given, kept);
    }
}

/// MessageRateLimit, in a minute, of clients, of users, or of both.
fn rates(work: &mut Work, used: &[&Connector<'_>]) {
    for (section, sources) in [
        ("limits.rate_per_client", ["IPAddress", "All"]),
        ("limits.rate_per_user", ["User", "All"]),
    ] {
        let of: Vec<&Connector<'_>> = used
            .iter()
            .filter(|one| {
                sources
                    .iter()
                    .any(|source| one.object.names("MessageRateSource", source))
            })
            .copied()
            .collect();
        let given = all(&of, "MessageRateLimit", number);
        if let Some((least, origin)) = given.iter().min_by_key(|(number, _)| *number).cloned() {
            let head = format!("[{section}]");
            let text = quoted(&format!("{least}/1m"));
            write_one(work, &head, "messages", (text, origin), &given, least);
        }
    }
}

/// The largest message that any connector takes, and the organisation.
fn message_size(work: &mut Work, found: &Found, used: &[&Connector<'_>]) -> Option<u64> {
    let endless = all(used, "MaxMessageSize", values::size);
    for (_, origin) in endless
        .iter()
        .filter(|(limit, _)| *limit == Limit::Unlimited)
    {
        work.tell(
            Fate::Changed,
            origin,
            "limits.message_size",
            "there always is a limit",
        );
    }
    let given = all(used, "MaxMessageSize", octets);
    let (mut largest, mut origin) = given.iter().max_by_key(|(number, _)| *number).cloned()?;
    let organisation = found.of(Kind::TransportConfig).next();
    let of = |name: &str| {
        let object = organisation?;
        Some((octets(object.text(name)?)?, object.origin(name)))
    };
    let both = of("MaxReceiveSize").zip(of("MaxSendSize"));
    if let Some((received, sent)) = both {
        let larger = if received.0 < sent.0 { sent } else { received };
        if larger.0 < largest {
            (largest, origin) = larger;
        }
    }
    work.draft.set(
        "[limits]",
        "message_size",
        quoted(&format!("{largest}B")),
        &origin,
    );
    for (size, origin) in &given {
        let why = if *size < largest {
            "by a [[screen]] for its clients"
        } else {
            ""
        };
        work.tell(Fate::Translated, origin, "limits.message_size", why);
    }
    Some(largest)
}

/// Smaller sizes than the largest, each for those for whom it is.
fn screens(
    work: &mut Work,
    found: &Found,
    connectors: &[Connector<'_>],
    door: &Door,
    largest: Option<u64>,
) {
    let Some(largest) = largest else { return };
    for (name, plan) in &door.listeners {
        for number in plan.members() {
            let Some(connector) = connectors.get(number) else {
                continue;
            };
            let size = connector.object.text("MaxMessageSize").and_then(octets);
            let Some(size) = size.filter(|size| *size < largest) else {
                continue;
            };
            let clients = plan.clients_of(connectors, number).entries();
            if clients.is_empty() {
                continue;
            }
            let clients = list(clients.iter().map(String::as_str));
            let when = format!("listener = {}, client = {clients}", quoted(name));
            screen(
                work,
                &when,
                size,
                &connector.object.origin("MaxMessageSize"),
            );
        }
    }
    let Some(organisation) = found.of(Kind::TransportConfig).next() else {
        return;
    };
    for (name, direction) in [("MaxReceiveSize", "in"), ("MaxSendSize", "out")] {
        let Some(size) = organisation.text(name).and_then(octets) else {
            continue;
        };
        let origin = organisation.origin(name);
        work.tell(Fate::Translated, &origin, "limits.message_size", "");
        if size < largest {
            screen(
                work,
                &format!("direction = {}", quoted(direction)),
                size,
                &origin,
            );
        }
    }
}

/// What send connectors take is less for their domains.
fn sent_sizes(work: &mut Work, ways: &Ways<'_>, largest: Option<u64>) {
    let mut spaces = ways.domains();
    if let Some(object) = ways.object(&Space::All) {
        spaces.push((Space::All, object.origin("AddressSpaces")));
    }
    for (space, _) in spaces {
        let Some(object) = ways.object(&space) else {
            continue;
        };
        let Some(size) = object.text("MaxMessageSize").and_then(octets) else {
            continue;
        };
        let origin = object.origin("MaxMessageSize");
        let smaller = largest.is_none_or(|largest| size < largest);
        let why = if smaller {
            "by a [[screen]] for its recipients"
        } else {
            ""
        };
        work.tell(Fate::Translated, &origin, "limits.message_size", why);
        if smaller {
            let when = match space {
                Space::Domain(name) => format!("to = {}", quoted(&name)),
                Space::DomainAndBelow(name) => {
                    format!("to = {}", list([&*name, &*format!("*.{name}")]))
                }
                Space::All | Space::Organisation => "direction = \"out\"".to_owned(),
            };
            screen(work, &when, size, &origin);
        }
    }
}

fn screen(work: &mut Work, when: &str, size: u64, origin: &Origin) {
    let head = "[[screen]]";
    work.draft.open(head, origin);
    work.draft.set(
        head,
        "when",
        format!(
            "{{ {when}, larger_than = {} }}",
            quoted(&format!("{size}B"))
        ),
        origin,
    );
    work.draft.set(head, "then", quoted("refuse"), origin);
    work.draft.set(
        head,
        "message",
        quoted("Message size exceeds fixed limit"),
        origin,
    );
}

fn organisation(work: &mut Work, found: &Found) {
    let Some(object) = found.of(Kind::TransportConfig).next() else {
        return;
    };
    if let Some(Limit::At(most)) = object
        .text("MaxRecipientEnvelopeLimit")
        .and_then(values::count)
    {
        let origin = object.origin("MaxRecipientEnvelopeLimit");
        if work.draft.has_key("[limits]", "recipients") {
            work.tell(
                Fate::Changed,
                &origin,
                "limits.recipients",
                "what receive connectors say counts",
            );
        } else {
            work.once(
                "[limits]",
                "recipients",
                most.clamp(100, 50_000).to_string(),
                &origin,
            );
        }
    }
    if let Some(address) = object.text("ExternalPostmasterAddress") {
        work.once_text(
            "",
            "postmaster",
            address,
            &object.origin("ExternalPostmasterAddress"),
        );
    }
}

fn service(work: &mut Work, found: &Found) {
    let Some(object) = found.of(Kind::TransportService).next() else {
        return;
    };
    let get = |name: &str| Some((values::seconds(object.text(name)?)?, object.origin(name)));
    for (name, key) in [
        ("DelayNotificationTimeout", "delay_notice"),
        ("MessageExpirationTimeout", "expire"),
    ] {
        if let Some((seconds, origin)) = get(name).filter(|(seconds, _)| *seconds > 0) {
            work.once_text("[queue]", key, &format!("{seconds}s"), &origin);
        }
    }
    retries(work, object);
    for (name, key) in [
        ("MaxOutboundConnections", "max_connections"),
        ("MaxPerDomainOutboundConnections", "max_per_site"),
    ] {
        if let Some(Limit::At(number)) = object.text(name).and_then(values::count) {
            work.once(
                "[outbound]",
                key,
                number.clamp(1, 1_000_000).to_string(),
                &object.origin(name),
            );
        }
    }
}

/// A host that fails is tried again soon a few times, and then at longer pauses.
fn retries(work: &mut Work, object: &Object) {
    let seconds = |name: &str| {
        object
            .text(name)
            .and_then(values::seconds)
            .filter(|seconds| *seconds > 0)
    };
    let times = object
        .text("TransientFailureRetryCount")
        .and_then(number)
        .unwrap_or(0)
        .min(15);
    let origin = object.origin("OutboundConnectionFailureRetryInterval");
    let Some(later) = seconds("OutboundConnectionFailureRetryInterval") else {
        return;
    };
    let soon = seconds("TransientFailureRetryInterval");
    let mut pauses: Vec<String> = soon
        .into_iter()
        .flat_map(|soon| std::iter::repeat_n(format!("{soon}s"), times as usize))
        .collect();
    pauses.push(format!("{later}s"));
    let text = list(pauses.iter().map(String::as_str));
    work.once("[queue]", "retry", text, &origin);
    for name in [
        "TransientFailureRetryInterval",
        "TransientFailureRetryCount",
    ] {
        if object.has(name) {
            work.tell(Fate::Translated, &object.origin(name), "queue.retry", "");
        }
    }
}
