//! The rule of the relay as tables: who asks, for whom, and what the answer is.

use std::sync::Arc;

use mail::{Client, Domain, Mailbox, Place, ReversePath};
use relay_policy::*;

fn list(texts: &[&str]) -> List {
    List::from_texts(texts).unwrap()
}

fn allow(texts: &[&str]) -> Access {
    Access::only_list(list(texts), "relay.allow", Place::Default)
}

fn except(texts: &[&str]) -> Access {
    Access::all_except(list(texts), "relay.except", Place::Default)
}

fn remote(name: &str) -> DomainRule {
    DomainRule::remote(NamePattern::parse(name).unwrap(), Place::Default)
}

fn domains(rules: Vec<DomainRule>) -> Arc<DomainTable> {
    let mut table = DomainTable::default();
    for rule in rules {
        assert!(table.insert(rule).is_none());
    }
    Arc::new(table)
}

/// A relay with a domain of each type, and one permitted client.
fn rules() -> Rules {
    let blocked = DomainRule {
        kind: DomainKind::Blocked,
        ..remote("blocked.test")
    };
    let worded = DomainRule {
        kind: DomainKind::Blocked,
        message: Some("No mail\r\n250 for them".into()),
        ..remote("worded.test")
    };
    let inner = DomainRule {
        accept_from: AcceptFrom::Relay,
        ..remote("inner.test")
    };
    let listed = DomainRule {
        accept_from: AcceptFrom::List(list(&["198.51.100.7"])),
        ..remote("listed.test")
    };
    let named = DomainRule {
        accept_from: AcceptFrom::List(list(&["*.partner.test"])),
        ..remote("named.test")
    };
    let local = DomainRule {
        kind: DomainKind::Local,
        ..remote("local.test")
    };
    let mut rules = Rules::closed("internet");
    rules.relay.access = allow(&["192.0.2.1", "2001:db8:1::/48"]);
    rules.domains = domains(vec![
        remote("hosted.test"),
        remote("*.below.test"),
        DomainRule {
            kind: DomainKind::Blocked,
            ..remote("bad.below.test")
        },
        blocked,
        worded,
        inner,
        listed,
        named,
        local,
    ]);
    rules
}

fn client(address: &str) -> Client {
    let peer = std::net::SocketAddr::new(address.parse().unwrap(), 40_000);
    Client::new(peer, "192.0.2.25:25".parse().unwrap(), "internet".into())
}

fn user(address: &str) -> Client {
    Client {
        user: Some("ann".into()),
        ..client(address)
    }
}

/// What is known of a user who may relay.
fn trusted() -> Facts {
    let rights = Rights {
        may_relay: true,
        senders: Box::default(),
        only_to: Box::default(),
        place: Place::Default,
    };
    Facts {
        rights: Some(Arc::new(rights)),
        ..Facts::default()
    }
}

fn to(rules: &Rules, client: &Client, recipient: &str, facts: &Facts) -> Decision {
    let sender = ReversePath::parse("someone@stranger.test").unwrap();
    decide(
        rules,
        client,
        &sender,
        &Mailbox::parse(recipient).unwrap(),
        facts,
    )
}

fn reply(decision: &Decision) -> String {
    match decision {
        Decision::Carry { admitted, .. } => admitted.grounds().to_string(),
        Decision::Refuse { reply, .. } | Decision::Postpone { reply, .. } => reply.to_string(),
        Decision::Ask(question) => format!("{question:?}"),
    }
}

fn name(text: &str) -> Facts {
    Facts {
        confirmed_name: Some(Fact::Yes(Domain::parse(text).unwrap())),
        ..Facts::default()
    }
}

const STRANGER: &str = "203.0.113.9";
const FRIEND: &str = "192.0.2.1";

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn strangers_reach_our_domains_and_nothing_else() {
    let cases = [
        (STRANGER, "bob@hosted.test", "our-domain"),
        (STRANGER, "bob@HOSTED.Test", "our-domain"),
        (STRANGER, "bob@local.test", "our-domain"),
        (STRANGER, "bob@a.b.below.test", "our-domain"),
        (
            STRANGER,
            "bob@below.test",
            "550 5.7.1 Unable to relay for bob@below.test",
        ),
        (
            STRANGER,
            "bob@x.hosted.test",
            "550 5.7.1 Unable to relay for bob@x.hosted.test",
        ),
        (
            STRANGER,
            "bob@xhosted.test",
            "550 5.7.1 Unable to relay for bob@xhosted.test",
        ),
        (
            STRANGER,
            "Bob@Elsewhere.Test",
            "550 5.7.1 Unable to relay for Bob@Elsewhere.Test",
        ),
        (
            STRANGER,
            "bob@[192.0.2.25]",
            "550 5.7.1 Unable to relay for bob@[192.0.2.25]",
        ),
        (
            STRANGER,
            "bob@[IPv6:::ffff:192.0.2.25]",
            "550 5.7.1 Unable to relay for bob@[IPv6:::ffff:192.0.2.25]",
        ),
        (
            STRANGER,
            "bob@localhost",
            "550 5.7.1 Unable to relay for bob@localhost",
        ),
        (
            STRANGER,
            "bob@inner.test",
            "550 5.7.1 Unable to relay for bob@inner.test",
        ),
        (
            STRANGER,
            "bob@listed.test",
            "550 5.7.1 Unable to relay for bob@listed.test",
        ),
        (FRIEND, "bob@hosted.test", "our-domain"),
        (FRIEND, "bob@elsewhere.test", "listed-client"),
        (FRIEND, "bob@[192.0.2.25]", "listed-client"),
        (FRIEND, "bob@inner.test", "listed-client"),
        (
            FRIEND,
            "bob@listed.test",
            "550 5.7.1 Unable to relay for bob@listed.test",
        ),
        ("198.51.100.7", "bob@listed.test", "our-domain"),
        (
            "198.51.100.7",
            "bob@elsewhere.test",
            "550 5.7.1 Unable to relay for bob@elsewhere.test",
        ),
        ("2001:db8:1::5", "bob@elsewhere.test", "listed-client"),
        (
            "2001:db8:2::5",
            "bob@elsewhere.test",
            "550 5.7.1 Unable to relay for bob@elsewhere.test",
        ),
        // An address mapped into IPv6 is the IPv4 address, for better and for worse.
        ("::ffff:192.0.2.1", "bob@elsewhere.test", "listed-client"),
    ];
    let rules = rules();
    for (address, recipient, expected) in cases {
        let decision = to(&rules, &client(address), recipient, &Facts::default());
        assert_eq!(reply(&decision), expected, "{address} to {recipient}");
    }
}

#[test]
fn a_blocked_domain_is_blocked_for_everybody() {
    let rules = rules();
    for client in [client(STRANGER), client(FRIEND), user(STRANGER)] {
        let said = |recipient| reply(&to(&rules, &client, recipient, &trusted()));
        assert_eq!(
            said("bob@blocked.test"),
            "550 5.7.1 Mail for bob@blocked.test is not accepted here"
        );
        assert_eq!(
            said("bob@bad.below.test"),
            "550 5.7.1 Mail for bob@bad.below.test is not accepted here"
        );
        assert_eq!(said("bob@worded.test"), "550 5.7.1 No mail  250 for them");
    }
}

#[test]
fn a_route_in_the_local_part_counts_as_relaying() {
    let routed = [
        "victim%elsewhere.test@hosted.test",
        "victim%elsewhere.test%hosted.test@hosted.test",
        "elsewhere.test!victim@hosted.test",
        "\"victim@elsewhere.test\"@hosted.test",
        "\"victim%elsewhere.test\"@hosted.test",
        "\"victim\\@elsewhere.test\"@hosted.test",
        "IMCEASMTP-victim+40elsewhere+2Etest@hosted.test",
        "\"imceasmtp-victim+40elsewhere\"@hosted.test",
        "\"\\IMCEASMTP-victim+40elsewhere\"@hosted.test",
        "\"imcea\\smtp-victim+40elsewhere\"@hosted.test",
        "\" IMCEASMTP-victim+40elsewhere\"@hosted.test",
        "=?utf-8?q?victim=40elsewhere.test?=@hosted.test",
        "=?iso-8859-1?Q?victim=40elsewhere.test=3e?=x@hosted.test",
        "a.=?x?B?dmljdGltQGVsc2V3aGVyZS50ZXN0?=@hosted.test",
        "=??=?utf-8?q?victim=40elsewhere.test@hosted.test",
        "\"=?utf-8?\\q?victim=40elsewhere.test?=\"@hosted.test",
        "victim\u{ff20}elsewhere.test@hosted.test",
        "victim\u{fe6b}elsewhere.test@hosted.test",
        "victim\u{ff05}elsewhere.test@hosted.test",
        "victim\u{fe6a}elsewhere.test@hosted.test",
        "elsewhere.test\u{ff01}victim@hosted.test",
        "elsewhere.test\u{fe57}victim@hosted.test",
    ];
    let rules = rules();
    for recipient in routed {
        let stranger = to(&rules, &client(STRANGER), recipient, &Facts::default());
        assert_eq!(
            reply(&stranger),
            format!("550 5.7.1 Unable to relay for {recipient}")
        );
        let friend = to(&rules, &client(FRIEND), recipient, &Facts::default());
        assert_eq!(reply(&friend), "listed-client", "{recipient}");
    }
    for plain in [
        "a+b@hosted.test",
        "\"a b\"@hosted.test",
        "imceasmtp@hosted.test",
        "IMCEAEX-_O=X_OU=Y@hosted.test",
        "\"\\a b\"@hosted.test",
        "#$&*-=?^_`{|}~@hosted.test",
        "a=?b?c?=d@hosted.test",
        "=??q?x@hosted.test",
    ] {
        let decision = to(&rules, &client(STRANGER), plain, &Facts::default());
        assert_eq!(reply(&decision), "our-domain", "{plain}");
    }
}

#[test]
fn a_list_of_a_domain_holds_for_routed_local_parts_too() {
    let decision = to(
        &rules(),
        &client(FRIEND),
        "a%b@listed.test",
        &Facts::default(),
    );
    assert_eq!(
        reply(&decision),
        "550 5.7.1 Unable to relay for a%b@listed.test"
    );
}

#[test]
fn deny_beats_the_list_and_the_user_but_not_our_domains() {
    let mut rules = rules();
    rules.relay.deny = list(&["192.0.2.0/24"]);
    for client in [client(FRIEND), user(FRIEND)] {
        let decision = to(&rules, &client, "bob@elsewhere.test", &trusted());
        assert_eq!(
            reply(&decision),
            "550 5.7.1 Unable to relay for bob@elsewhere.test"
        );
    }
    let decision = to(&rules, &client(FRIEND), "bob@hosted.test", &trusted());
    assert_eq!(reply(&decision), "our-domain");
}

#[test]
fn users_relay_regardless_of_the_list_while_that_is_switched_on() {
    let mut rules = rules();
    let decision = to(&rules, &user(STRANGER), "bob@elsewhere.test", &trusted());
    assert_eq!(reply(&decision), "signed-in-user");
    rules.relay.signed_in = false;
    let decision = to(&rules, &user(STRANGER), "bob@elsewhere.test", &trusted());
    assert_eq!(
        reply(&decision),
        "550 5.7.1 Unable to relay for bob@elsewhere.test"
    );
    rules.relay.signed_in = true;
    rules.relay.access = except(&[STRANGER]);
    let decision = to(&rules, &user(STRANGER), "bob@elsewhere.test", &trusted());
    assert_eq!(reply(&decision), "signed-in-user");
}

#[test]
fn all_except_lets_everybody_but_the_list() {
    let mut rules = rules();
    rules.relay.access = except(&["203.0.113.0/24"]);
    for (address, permitted) in [
        (STRANGER, false),
        ("198.51.100.1", true),
        ("2001:db8::1", true),
    ] {
        let decision = to(
            &rules,
            &client(address),
            "bob@elsewhere.test",
            &Facts::default(),
        );
        assert_eq!(
            matches!(decision, Decision::Carry { .. }),
            permitted,
            "{address}"
        );
    }
}

#[test]
fn names_are_asked_for_only_when_they_matter() {
    let mut rules = rules();
    rules.relay.access = allow(&["192.0.2.1", "*.office.test"]);
    rules.relay.deny = list(&["*.guest.office.test"]);
    let cannot_tell = Facts {
        confirmed_name: Some(Fact::CannotTell),
        ..Facts::default()
    };
    let nameless = Facts {
        confirmed_name: Some(Fact::No),
        ..Facts::default()
    };
    let ask = "ConfirmedName(203.0.113.9)";
    let refusal = "550 5.7.1 Unable to relay for bob@elsewhere.test";
    let later = "451 4.7.0 The name of your host cannot be looked up now, try again later";
    let cases = [
        ("bob@hosted.test", Facts::default(), "our-domain"),
        ("bob@elsewhere.test", Facts::default(), ask),
        ("bob@elsewhere.test", nameless, refusal),
        ("bob@elsewhere.test", cannot_tell.clone(), later),
        (
            "bob@elsewhere.test",
            name("pc.office.test"),
            "listed-client",
        ),
        ("bob@elsewhere.test", name("office.test"), refusal),
        (
            "bob@elsewhere.test",
            name("pc.office.test.evil.test"),
            refusal,
        ),
        ("bob@elsewhere.test", name("a.guest.office.test"), refusal),
        ("bob@named.test", Facts::default(), ask),
        ("bob@named.test", name("mx.partner.test"), "our-domain"),
        ("bob@named.test", cannot_tell, later),
    ];
    for (recipient, facts, expected) in cases {
        let decision = to(&rules, &client(STRANGER), recipient, &facts);
        assert_eq!(reply(&decision), expected, "{recipient} {facts:?}");
    }
    // Whoever would be refused anyway is refused without a look-up, although the deny list has
    // names.
    rules.relay.access = allow(&["192.0.2.1"]);
    let decision = to(
        &rules,
        &client(STRANGER),
        "bob@elsewhere.test",
        &Facts::default(),
    );
    assert_eq!(reply(&decision), refusal);
    let decision = to(
        &rules,
        &client(FRIEND),
        "bob@elsewhere.test",
        &Facts::default(),
    );
    assert_eq!(reply(&decision), "ConfirmedName(192.0.2.1)");
}

#[test]
fn blocked_senders_are_refused_before_anything_else() {
    let mut rules = rules();
    let mut senders = SenderRules::default();
    for text in ["spam.test", "<>"] {
        senders.block(SenderPattern::parse(text).unwrap(), Place::Default);
    }
    rules.senders = Arc::new(senders);
    let recipient = Mailbox::parse("bob@hosted.test").unwrap();
    for (sender, shown) in [("a@spam.test", "<a@spam.test>"), ("", "<>")] {
        let sender = ReversePath::parse(sender).unwrap();
        for client in [client(STRANGER), client(FRIEND), user(STRANGER)] {
            let decision = decide(&rules, &client, &sender, &recipient, &trusted());
            assert_eq!(
                reply(&decision),
                format!("550 5.7.1 Mail from {shown} is not accepted here")
            );
        }
    }
}

#[test]
fn connection_control_answers_before_the_greeting() {
    let mut rules = rules();
    let refused =
        |rules: &Rules, address| match may_connect(rules, &client(address), &Facts::default()) {
            Connect::Yes(_) => None,
            Connect::Refuse { reply, .. } | Connect::Postpone { reply, .. } => {
                Some(reply.to_string())
            }
            Connect::Ask(question) => Some(format!("{question:?}")),
        };
    assert_eq!(refused(&rules, STRANGER), None);
    rules.connect = Access::only_list(list(&[FRIEND]), "connect.allow", Place::Default);
    assert_eq!(refused(&rules, FRIEND), None);
    let answer = refused(&rules, STRANGER);
    assert_eq!(
        answer.as_deref(),
        Some("554 5.7.1 203.0.113.9 may not connect here")
    );
    rules.connect = Access::all_except(
        list(&["203.0.113.0-203.0.113.9"]),
        "connect.except",
        Place::Default,
    );
    assert!(refused(&rules, STRANGER).is_some());
    assert_eq!(refused(&rules, "203.0.113.10"), None);
}

#[test]
fn reasons_are_short_and_name_the_entry() {
    let rules = rules();
    let why = |client: Client, recipient: &str| match to(&rules, &client, recipient, &trusted()) {
        Decision::Carry { why, .. }
        | Decision::Refuse { why, .. }
        | Decision::Postpone { why, .. } => why.to_string(),
        Decision::Ask(question) => format!("{question:?}"),
    };
    assert_eq!(
        why(client(FRIEND), "b@else.test"),
        "matches relay.allow entry 192.0.2.1"
    );
    assert_eq!(
        why(client(STRANGER), "b@else.test"),
        "203.0.113.9 matches none of 2 entries in relay.allow"
    );
    assert_eq!(
        why(client(STRANGER), "b@hosted.test"),
        "hosted.test is a remote domain"
    );
    assert_eq!(
        why(client(STRANGER), "b%c@hosted.test"),
        "the local part holds a route to another host"
    );
    assert_eq!(why(user(STRANGER), "b@else.test"), "signed in as ann");
}

#[test]
fn a_list_of_a_hundred_thousand_is_searched_at_once() {
    let texts: Vec<String> = (0..100_000u32)
        .map(|n| std::net::Ipv4Addr::from(0x0A00_0000 + 2 * n).to_string())
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut rules = rules();
    rules.relay.access = allow(&texts);
    let (even, odd) = (client("10.1.0.0"), client("10.1.0.1"));
    let mut carried = 0;
    for _ in 0..20_000 {
        for client in [&even, &odd] {
            carried += u32::from(is_permitted(&rules, client, &Facts::default()));
        }
    }
    assert_eq!(carried, 20_000);
}

#[test]
fn entries_are_read_as_administrators_write_them() {
    let good = [
        "192.0.2.1",
        "[192.0.2.1]",
        "192.0.2.0/24",
        "192.0.2.0/255.255.255.0",
        "10.0.0.1-10.0.0.9",
        "10.0.0.1 - 10.0.0.9",
        "2001:db8::/32",
        "2001:db8::1",
        "*.office.test",
        "0.0.0.0/0",
        "::/0",
        "192.0.2.1/32",
    ];
    for text in good {
        assert!(Entry::parse(text, Place::Default).is_ok(), "{text}");
    }
    let bad = [
        ("", EntryError::Unknown),
        ("office", EntryError::BareName),
        ("mx.office.test", EntryError::BareName),
        ("*", EntryError::Everybody),
        ("*.", EntryError::Everybody),
        ("*office.test", EntryError::Unknown),
        ("192.0.2.1/24", EntryError::HostBits),
        ("192.0.2.0/33", EntryError::BadMask),
        ("192.0.2.0/255.0.255.0", EntryError::BadMask),
        ("192.0.2.0/", EntryError::BadMask),
        ("2001:db8::/255.255.0.0", EntryError::BadMask),
        ("10.0.0.9-10.0.0.1", EntryError::BadRange),
        ("10.0.0.1-2001:db8::1", EntryError::BadRange),
        ("10.0.0.256", EntryError::Unknown),
        ("10.0.0", EntryError::Unknown),
    ];
    for (text, why) in bad {
        assert_eq!(
            Entry::parse(text, Place::Default).err(),
            Some(why),
            "{text}"
        );
    }
}
