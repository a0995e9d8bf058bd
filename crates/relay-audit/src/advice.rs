//! What would have to be otherwise for a refused recipient to be taken.

use mail::{Client, Host, Mailbox};
use relay_policy::{DomainRule, Listener, Mode, Reason, Rules, Why};

/// The recipient's host as it is spoken of.
pub(crate) fn bare_host(recipient: &Mailbox) -> String {
    recipient.host().to_string()
}

/// For a client that may not connect.
pub(crate) fn to_connect(rules: &Rules) -> String {
    format!(
        "the client were {}",
        listed_as(rules.connect.mode, "connect")
    )
}

/// For a client that has not done what is required of everybody. It has to do all of it.
pub(crate) fn at_gate(rules: &Rules, why: &Reason) -> String {
    let Listener { sign_in, .. } = &rules.listener;
    match (why.why == Why::TlsRequired, sign_in.required) {
        (true, true) => "the client used TLS and signed in",
        (true, false) => "the client used TLS",
        (false, _) => "the client signed in",
    }
    .to_owned()
}

fn listed_as(mode: Mode, rule: &str) -> String {
    match mode {
        Mode::OnlyList => format!("in {rule}.allow"),
        Mode::AllExcept => format!("not in {rule}.except"),
    }
}

/// For a refused recipient.
pub(crate) fn at_rcpt(
    rules: &Rules,
    client: &Client,
    rule: Option<&DomainRule>,
    recipient: &Mailbox,
    why: &Reason,
) -> String {
    let name = rule.map_or("", |rule| &rule.name);
    let relay = || relay_advice(rules, client);
    let domain = || domain_advice(rule, recipient);
    match &why.why {
        Why::BlockedSender => "the sender were not in senders.blocked".to_owned(),
        Why::SenderNotAllowed(user) => {
            let user = mail::escaped(user);
            format!("the sender were an address of user {user}")
        }
        Why::NotLocal { rule } => format!("{rule} were true{}", domain()),
        Why::SenderNotLocal { .. } => "the sender were one that may be named there".to_owned(),
        Why::NotAmongRecipients(bound) => format!("{bound} were permitted to send to {recipient}"),
        Why::Domain { .. } => format!("{} were not a blocked domain", bare_host(recipient)),
        Why::Unlisted { list, .. } if *list == "accept_from" => {
            format!("the client were in accept_from of {name}")
        }
        Why::Unlisted { list, .. } if rules.is_way_back() => {
            format!("the client were in {list}")
        }
        Why::RoutedLocalPart => {
            format!(
                "the local part held no route to another host, or {}",
                relay()
            )
        }
        Why::Listed { list, entry } if *list == "relay.deny" => {
            format!("{entry} were not in relay.deny{}", domain())
        }
        Why::NoRelayRight(user) => {
            let user = mail::escaped(user);
            format!(
                "user {user} had the right to relay, or {}{}",
                relay(),
                domain()
            )
        }
        Why::DnsListed { zone, .. } => {
            format!(
                "{zone} did not name the client, or the client were in dnsbl_except, or {}",
                relay()
            )
        }
        Why::NoBounce => "the sender were <>".to_owned(),
        Why::NotTurnedBack(_) => {
            "the relay had given the address to a sender, and not too long ago".to_owned()
        }
        Why::UnknownRecipient => format!("{recipient} were a recipient of {name}"),
        Why::Policy { service, .. } => {
            format!("the policy service {service} had nothing against it")
        }
        Why::Onward { to, .. } => format!("mail for {to} were taken from the client"),
        Why::Unlisted { .. }
        | Why::Listed { .. }
        | Why::NameUnknown { .. }
        | Why::SignedIn(_)
        | Why::Certificate(_)
        | Why::Local { .. }
        | Why::RecipientUnasked
        | Why::Greylisted { .. }
        | Why::Forwarded { .. }
        | Why::ByRule { .. }
        | Why::TurnedBack(_)
        | Why::DayUnknown
        | Why::CameBack(_)
        | Why::Taken
        | Why::TlsRequired
        | Why::SignInRequired => format!("{}{}", relay(), domain()),
    }
}

fn relay_advice(rules: &Rules, client: &Client) -> String {
    if let Some(local) = &rules.local {
        return format!("{} were true", local.name);
    }
    let list = listed_as(rules.relay.access.mode, "relay");
    let mut advice = format!("the client were {list}");
    if !rules.relay.certificates.is_empty() {
        advice.push_str(", or showed a certificate of relay.certificates");
    }
    match (&client.user, &rules.listener.sign_in_at) {
        (Some(_), _) if !rules.relay.signed_in => {
            advice.push_str(", or relay.signed_in were true");
        }
        (None, Some(at)) if rules.relay.signed_in => {
            advice.push_str(&format!(", or signed in on {at}"));
        }
        (Some(_) | None, _) => {}
    }
    advice
}

fn domain_advice(rule: Option<&DomainRule>, recipient: &Mailbox) -> String {
    match (rule, recipient.host()) {
        (Some(rule), _) => format!(", or {} were accepted from anyone", rule.name),
        (None, Host::Domain(domain)) => format!(", or {domain} were a remote domain"),
        (None, Host::Literal(_)) => String::new(),
    }
}
