//! Users who signed in and clients that show a certificate: what they may, as whom, and why.

#[allow(dead_code, reason = "each test file uses its own part")]
mod sample;

use mail::{Client, Place, Trust};
use relay_policy::*;
use sample::*;

const ABROAD: &str = "bob@elsewhere.test";
const REFUSED: &str = "550 5.7.1 Unable to relay for bob@elsewhere.test";

#[test]
fn a_user_relays_by_right() {
    let mut rules = rules();
    rules.relay.signed_in_place = at(3);
    let cases = [
        (
            rights(true, &[]),
            "signed-in-user",
            "signed in as ann (gatepost.toml:7)",
        ),
        (
            rights(false, &[]),
            REFUSED,
            "user ann may not relay (gatepost.toml:7)",
        ),
        (
            Facts::default(),
            REFUSED,
            "user ann may not relay (gatepost.toml:3)",
        ),
    ];
    for (facts, answer, why) in cases {
        let decision = decided(&rules, &user("ann"), "ann@hosted.test", ABROAD, &facts);
        assert_eq!(shown(&decision), answer);
        assert_eq!(reason(&decision), why);
        let ours = decided(
            &rules,
            &user("ann"),
            "ann@hosted.test",
            "bob@hosted.test",
            &facts,
        );
        assert_eq!(shown(&ours), "our-domain");
    }
    // Rights that nobody wrote down are given by `relay.signed_in`.
    let mut facts = rights(true, &[]);
    facts.rights = facts.rights.map(|rights| {
        let place = Place::Default;
        Rights {
            place,
            ..(*rights).clone()
        }
        .into()
    });
    let decision = decided(&rules, &user("ann"), "", ABROAD, &facts);
    assert_eq!(reason(&decision), "signed in as ann (gatepost.toml:3)");
}

#[test]
fn a_user_without_the_right_may_still_be_a_listed_client() {
    let mut rules = rules();
    rules.relay.access = Access::only_list(list(&["*.office.test"]), "relay.allow", Place::Default);
    let mut facts = rights(false, &[]);
    let mut now = |name| {
        facts.confirmed_name = name;
        shown(&decided(&rules, &user("ann"), "", ABROAD, &facts))
    };
    assert_eq!(now(None), "ConfirmedName(203.0.113.9)");
    let office = mail::Domain::parse("pc.office.test").unwrap();
    assert_eq!(now(Some(Fact::Yes(office))), "listed-client");
    assert_eq!(now(Some(Fact::No)), REFUSED);
    assert!(now(Some(Fact::CannotTell)).starts_with("451 4.7.0"));
}

#[test]
fn a_user_sends_only_as_whom_the_rules_allow() {
    let own: &[&str] = &[];
    let listed: &[&str] = &["ann@hosted.test", "*.lists.test", "team.test"];
    let cases = [
        (SenderMatch::Off, listed, "eve@stranger.test", true),
        (SenderMatch::Listed, own, "eve@stranger.test", true),
        (SenderMatch::Listed, listed, "eve@stranger.test", false),
        (SenderMatch::Listed, listed, "ANN@Hosted.Test", true),
        (SenderMatch::Listed, listed, "\"ann\"@hosted.test", true),
        (SenderMatch::Listed, listed, "any@a.lists.test", true),
        (SenderMatch::Listed, listed, "any@lists.test", false),
        (SenderMatch::Listed, listed, "any@xteam.test", false),
        (SenderMatch::Listed, listed, "any@team.test", true),
        (SenderMatch::Listed, listed, "", true),
        (SenderMatch::Own, own, "Ann@HOSTED.test", true),
        (SenderMatch::Own, own, "ann@other.test", false),
        (SenderMatch::Own, own, "ann@x.hosted.test", false),
        (SenderMatch::Own, own, "", true),
        (SenderMatch::Own, listed, "any@team.test", true),
        (SenderMatch::Own, &["team.test"], "ann@hosted.test", false),
    ];
    let mut rules = rules();
    rules.sender_match_place = at(5);
    for (how, senders, from, allowed) in cases {
        rules.sender_match = how;
        let facts = rights(true, senders);
        for to in [ABROAD, "bob@hosted.test", "postmaster@hosted.test"] {
            let decision = decided(&rules, &user("ann@hosted.test"), from, to, &facts);
            let is_carried = matches!(decision, Decision::Carry { .. });
            assert_eq!(is_carried, allowed, "{how:?} {senders:?} {from} {to}");
            if !allowed {
                let line = if senders.is_empty() { 5 } else { 7 };
                assert_eq!(
                    shown(&decision),
                    format!("550 5.7.1 Sender address <{from}> is not allowed for this user")
                );
                assert_eq!(
                    reason(&decision),
                    format!(
                        "user ann@hosted.test may not send as this sender (gatepost.toml:{line})"
                    )
                );
            }
        }
        // Whoever did not sign in has no name to be held to.
        let stranger = decided(&rules, &client(STRANGER), from, "bob@hosted.test", &facts);
        assert_eq!(shown(&stranger), "our-domain");
    }
    // A name that is no address is nobody's sender.
    rules.sender_match = SenderMatch::Own;
    let decision = decided(
        &rules,
        &user("ann"),
        "ann@hosted.test",
        ABROAD,
        &rights(true, &[]),
    );
    assert!(shown(&decision).starts_with("550 5.7.1 Sender"));
}

fn with_certificates() -> Rules {
    let mut rules = rules();
    let entry = |pattern, text: &str, line| CertificateEntry {
        pattern,
        text: text.into(),
        place: at(line),
    };
    rules.relay.certificates = vec![
        entry(
            CertificatePattern::Fingerprint([7; 32]),
            "sha256:0707..",
            11,
        ),
        entry(
            CertificatePattern::Name("Mail.Branch.test".into()),
            "mail.branch.test",
            12,
        ),
        entry(CertificatePattern::Key([9; 32]), "spki:sha256:0909..", 13),
    ];
    rules
}

#[test]
fn a_certificate_permits_by_fingerprint_by_key_or_by_trusted_name() {
    let cases = [
        (holder([7; 32], &[], Trust::Unknown), Some(11)),
        (holder([8; 32], &["mail.branch.test"], Trust::Ok), Some(12)),
        (
            holder([8; 32], &["x.test", "mail.branch.test"], Trust::Ok),
            Some(12),
        ),
        (holder([9; 32], &[], Trust::Unknown), Some(13)),
        (holder([9; 32], &[], Trust::Expired), Some(13)),
        (holder([9; 32], &[], Trust::Version1), Some(13)),
        // Whoever has no proof may have found the certificate anywhere.
        (holder([9; 32], &[], Trust::Unproven), None),
        (
            holder([7; 32], &["mail.branch.test"], Trust::Unproven),
            None,
        ),
        (holder([8; 32], &["mail.branch.test"], Trust::Unknown), None),
        (holder([8; 32], &["mail.branch.test"], Trust::Expired), None),
        (
            holder([8; 32], &["mail.branch.test"], Trust::OtherPurpose),
            None,
        ),
        (holder([8; 32], &["*.branch.test"], Trust::Ok), None),
        (
            holder([8; 32], &["a.mail.branch.test", "branch.test"], Trust::Ok),
            None,
        ),
        (client(STRANGER), None),
    ];
    let mut rules = with_certificates();
    for (client, line) in &cases {
        let decision = decided(&rules, client, "", ABROAD, &Facts::default());
        let Some(line) = line else {
            assert_eq!(shown(&decision), REFUSED, "{client:?}");
            continue;
        };
        assert_eq!(shown(&decision), "certificate-holder", "{client:?}");
        let why = reason(&decision);
        assert!(
            why.starts_with("matches relay.certificates entry "),
            "{why}"
        );
        assert!(why.ends_with(&format!("(gatepost.toml:{line})")), "{why}");
        assert!(is_permitted(&rules, client, &Facts::default()));
    }
    // The deny list beats certificates, and users with them.
    rules.relay.deny = list(&[STRANGER]);
    for (mut client, _) in cases {
        client.user = Some("ann".into());
        let decision = decided(&rules, &client, "", ABROAD, &rights(true, &[]));
        assert_eq!(shown(&decision), REFUSED);
    }
}

#[test]
fn grounds_are_read_back_as_they_were_stored() {
    let decision = decided(
        &with_certificates(),
        &holder([7; 32], &[], Trust::Unknown),
        "",
        ABROAD,
        &Facts::default(),
    );
    let Decision::Carry { admitted, .. } = decision else {
        panic!("{decision:?}");
    };
    let grounds = admitted.grounds();
    assert_eq!(grounds, Grounds::CertificateHolder);
    assert_eq!(Grounds::from_stored(grounds.as_str()), Some(grounds));
}

#[test]
fn a_destination_that_is_blocked_is_blocked_for_submitters_too() {
    let mut rules = with_certificates();
    let blocked = |name| DomainRule {
        kind: DomainKind::Blocked,
        ..remote(name)
    };
    rules.domains = domains([
        blocked("rival.test"),
        blocked("*.rival.test"),
        remote("partner.rival.test"),
        DomainRule {
            accept_from: AcceptFrom::List(list(&[FRIEND])),
            ..remote("private.test")
        },
    ]);
    let submitters = [
        client(FRIEND),
        user("ann"),
        holder([7; 32], &[], Trust::Unknown),
    ];
    for submitter in &submitters {
        let said = |to| {
            let facts = rights(true, &[]);
            shown(&decided(&rules, submitter, "", to, &facts))
        };
        for to in [
            "bob@rival.test",
            "bob@a.b.rival.test",
            "postmaster@rival.test",
        ] {
            let refusal = format!("550 5.7.1 Mail for {to} is not accepted here");
            assert_eq!(said(to), refusal);
        }
        assert_eq!(said("bob@partner.rival.test"), "our-domain");
        assert_ne!(said(ABROAD), REFUSED);
    }
    // A list of clients for one destination holds for users as well: who is not on it has no way
    // there.
    let private = submitters.map(|submitter| {
        let facts = rights(true, &[]);
        shown(&decided(&rules, &submitter, "", "bob@private.test", &facts))
    });
    let refused = "550 5.7.1 Unable to relay for bob@private.test";
    assert_eq!(private, ["our-domain", refused, refused]);
}

#[test]
fn nothing_goes_before_what_a_listener_requires() {
    let mut rules = rules();
    let demand = |line| Demand {
        offered: true,
        required: true,
        place: at(line),
    };
    rules.listener.tls = demand(20);
    rules.listener.sign_in = demand(21);
    let encrypted = holder([1; 32], &[], Trust::Unknown);
    let signed_in = Client {
        user: Some("ann".into()),
        ..encrypted.clone()
    };
    let told = |client: &Client| {
        let facts = rights(true, &[]);
        explained(&rules, client, "ann@hosted.test", ABROAD, &facts)
    };

    let plain = told(&client(FRIEND));
    let answer = plain.answer.as_ref().map(ToString::to_string);
    assert_eq!(
        answer.as_deref(),
        Some("530 5.7.0 Must issue a STARTTLS command first")
    );
    assert_eq!(
        step(&plain, "tls"),
        "REFUSE required here (gatepost.toml:20)"
    );
    assert_eq!(
        plain.accepted_if.as_deref(),
        Some("the client used TLS and signed in")
    );
    assert_eq!(plain.steps.len(), 2);

    let unknown = told(&encrypted);
    let answer = unknown.answer.as_ref().map(ToString::to_string);
    assert_eq!(answer.as_deref(), Some("530 5.7.0 Authentication required"));
    assert_eq!(
        step(&unknown, "tls"),
        "pass TLSv1.3 is in use, certificate without a name (sha256:01010101.., spki:sha256:01010101.., signed by nobody we trust) (gatepost.toml:20)"
    );
    assert_eq!(
        step(&unknown, "sign-in"),
        "REFUSE required here (gatepost.toml:21)"
    );
    assert_eq!(unknown.accepted_if.as_deref(), Some("the client signed in"));

    assert!(told(&signed_in).is_accepted());
    assert_eq!(gate(&rules.listener, &signed_in), None);
    let (reply, why) = gate(&rules.listener, &encrypted).unwrap();
    assert_eq!(reply.code(), 530);
    assert_eq!((why.why, why.place), (Why::SignInRequired, at(21)));
}

#[test]
fn explanations_say_what_a_submitter_lacks() {
    let mut rules = with_certificates();
    rules.listener.sign_in_at = Some("port 587".into());
    let advice = |rules: &Rules, client: &Client, from: &str, facts: &Facts| {
        let told = explained(rules, client, from, ABROAD, facts);
        assert!(!told.is_accepted());
        told.accepted_if.unwrap_or_default()
    };
    let stranger = advice(&rules, &client(STRANGER), "", &Facts::default());
    assert_eq!(
        stranger,
        "the client were in relay.allow, or showed a certificate of relay.certificates, or signed in on port 587, or elsewhere.test were a remote domain"
    );
    let lacking = advice(&rules, &user("ann"), "", &rights(false, &[]));
    assert!(
        lacking.starts_with("user ann had the right to relay, or the client were in relay.allow")
    );
    let facts = rights(true, &["ann@hosted.test"]);
    let wrong = advice(&rules, &user("ann"), "eve@x.test", &facts);
    assert_eq!(wrong, "the sender were an address of user ann");
    let told = explained(&rules, &user("ann"), "eve@x.test", ABROAD, &facts);
    assert_eq!(
        step(&told, "sender"),
        "REFUSE user ann may not send as this sender (gatepost.toml:7)"
    );
    let told = explained(&rules, &user("ann"), "ann@hosted.test", ABROAD, &facts);
    assert_eq!(
        step(&told, "sender"),
        "pass user ann may send as <ann@hosted.test> (default)"
    );
    rules.relay.signed_in = false;
    let switched_off = advice(&rules, &user("ann"), "", &rights(true, &[]));
    assert!(switched_off.contains("or relay.signed_in were true"));
}
