//! Users who signed in and clients that show a certificate: what they may, as whom, and why.

#[allow(dead_code, reason = "each test file uses its own part")]
mod sample;

use mail::{Place, Trust};
use relay_policy::*;
use sample::*;

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
        if let Ok(author) = mail::Mailbox::parse(from) {
            let rights = facts.rights.as_ref();
            let may = may_write_as(&rules, &user("ann@hosted.test"), rights, &author);
            assert_eq!(may, allowed, "as author: {how:?} {senders:?} {from}");
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
