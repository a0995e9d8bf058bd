use super::*;
use crate::TLS_EXPORTER;
use proptest::prelude::*;

fn password() -> Credentials {
    Credentials::Password {
        user: "ann".into(),
        password: "pencil".into(),
    }
}

fn token(length: usize) -> Credentials {
    Credentials::Token {
        user: "ann".into(),
        token: "t".repeat(length),
    }
}

fn binding() -> ChannelBinding {
    ChannelBinding {
        name: TLS_EXPORTER,
        data: [7; 32].into(),
    }
}

#[test]
fn the_strongest_usable_mechanism_is_picked() {
    let all = [
        "LOGIN",
        "PLAIN",
        "SCRAM-SHA-256",
        "SCRAM-SHA-256-PLUS",
        "XOAUTH2",
        "OAUTHBEARER",
        "GSSAPI",
    ];
    let bound = Some(binding());
    let not = Err(NoMechanism::NotOffered);
    let bare = Err(NoMechanism::NeedsTls);
    type Row<'a> = (
        Credentials,
        &'a [&'a str],
        Option<&'a str>,
        bool,
        Option<&'a ChannelBinding>,
    );
    let rows: Vec<(Row<'_>, Result<&str, NoMechanism>)> = vec![
        (
            (password(), &all, None, true, bound.as_ref()),
            Ok("SCRAM-SHA-256-PLUS"),
        ),
        ((password(), &all, None, true, None), Ok("SCRAM-SHA-256")),
        ((password(), &all, None, false, None), Ok("SCRAM-SHA-256")),
        (
            (password(), &["login", "plain"], None, true, None),
            Ok("PLAIN"),
        ),
        ((password(), &["LOGIN"], None, true, None), Ok("LOGIN")),
        ((password(), &["LOGIN", "PLAIN"], None, false, None), bare),
        ((password(), &["GSSAPI", "XOAUTH2"], None, true, None), not),
        ((password(), &all, Some("login"), true, None), Ok("LOGIN")),
        ((password(), &all, Some("login"), false, None), bare),
        ((password(), &["PLAIN"], Some("LOGIN"), true, None), not),
        (
            (password(), &all, Some("SCRAM-SHA-256-PLUS"), true, None),
            not,
        ),
        ((token(9), &all, None, true, None), Ok("XOAUTH2")),
        (
            (token(9), &["OAUTHBEARER", "PLAIN"], None, true, None),
            Ok("OAUTHBEARER"),
        ),
        ((token(9), &all, None, false, None), bare),
        ((token(9), &["PLAIN"], None, true, None), not),
    ];
    for ((credentials, offered, wanted, tls, binding), expected) in rows {
        let found = ClientExchange::start(&credentials, offered, wanted, tls, binding);
        let found = found.map(|(_, mechanism, _)| mechanism);
        assert_eq!(
            found, expected,
            "{credentials:?} {offered:?} {wanted:?} {tls}"
        );
    }
}

#[test]
fn a_long_token_waits_for_the_challenge() {
    for (length, immediate) in [(100, true), (349, true), (350, false), (4000, false)] {
        let (mut client, _, initial) =
            ClientExchange::start(&token(length), &["XOAUTH2"], None, true, None).unwrap();
        assert_eq!(initial.is_some(), immediate, "{length}");
        let message = initial.unwrap_or_else(|| client.step(b"").unwrap());
        assert!(message.starts_with(b"user=ann\x01auth=Bearer ttt"));
        assert_eq!(client.finish(), Ok(()));
    }
}

#[test]
fn success_needs_the_whole_conversation() {
    let start = |mechanism| {
        let (client, ..) =
            ClientExchange::start(&password(), &[mechanism], None, true, None).unwrap();
        client
    };
    assert_eq!(start("PLAIN").finish(), Ok(()));
    assert_eq!(start("SCRAM-SHA-256").finish(), Err(Failed::ServerUnproven));
    assert_eq!(start("LOGIN").finish(), Err(Failed::Malformed));
    let mut refused = start("PLAIN");
    assert_eq!(refused.step(b"more?"), Err(Failed::Malformed));
    assert_eq!(refused.finish(), Err(Failed::Malformed));
}

/// Starts with the nonce "abc", gives this first message, then this last one.
fn scram(first: &str, last: Option<&str>) -> Result<(), Failed> {
    let (client, _) = scram_client::start("ann", "pencil", Binding::Unable, "abc");
    let (client, _) = client.prove(first.as_bytes())?;
    client.check(last.unwrap_or_default().as_bytes())
}

#[test]
fn a_server_that_cheats_is_left() {
    let good = "r=abcdef,s=c2FsdA==,i=4096";
    let wrong = format!("v={}=", "A".repeat(43));
    for (first, last, expected) in [
        ("r=abc,s=c2FsdA==,i=4096", None, Failed::Malformed),
        ("r=xyz,s=c2FsdA==,i=4096", None, Failed::Malformed),
        ("r=abcdef,s=???,i=4096", None, Failed::Malformed),
        ("r=abcdef,i=4096", None, Failed::Malformed),
        ("m=x,r=abcdef,s=c2FsdA==,i=4096", None, Failed::Malformed),
        ("r=abcdef,s=c2FsdA==,i=1", None, Failed::Iterations),
        ("r=abcdef,s=c2FsdA==,i=4294967295", None, Failed::Iterations),
        (good, Some("e=invalid-proof"), Failed::Refused),
        (good, Some("v=AAAA"), Failed::Malformed),
        (good, None, Failed::Malformed),
        (good, Some(wrong.as_str()), Failed::ServerUnproven),
    ] {
        assert_eq!(scram(first, last), Err(expected), "{first} {last:?}");
    }
}

#[test]
fn a_refused_token_is_not_a_success() {
    for (mechanism, answer) in [("XOAUTH2", &b""[..]), ("OAUTHBEARER", b"\x01")] {
        let (mut client, ..) =
            ClientExchange::start(&token(9), &[mechanism], None, true, None).unwrap();
        assert_eq!(client.step(b"{}").as_deref(), Ok(answer));
        assert_eq!(client.finish(), Err(Failed::Malformed));
    }
}

proptest! {
    #[test]
    fn random_challenges_never_panic_nor_prove_a_server(
        challenges in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "[rsiev=,a-c0-9]{0,30}".prop_map(String::into_bytes),
            ],
            0..4,
        ),
    ) {
        for mechanism in ["SCRAM-SHA-256", "LOGIN", "PLAIN"] {
            let (mut client, ..) =
                ClientExchange::start(&password(), &[mechanism], None, true, None).unwrap();
            for challenge in &challenges {
                let _ = client.step(challenge);
            }
            prop_assert!(client.finish().is_err() || mechanism != "SCRAM-SHA-256");
        }
    }
}
