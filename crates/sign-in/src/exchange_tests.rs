use super::*;
use crate::bearer::{oauthbearer, xoauth2};
use crate::client::scram_client;
use crate::tokens::tests::{self as issued, Key};
use crate::users::tests::two_users;
use crate::{ClientExchange, Credentials, TLS_EXPORTER, Users, offered};
use proptest::prelude::*;
use serde_json::json;

fn sources(text: &str) -> Arc<Sources> {
    let users = Users::parse(text, &"users.toml".into()).unwrap();
    Arc::new(Sources::new(users, Vec::new()))
}

fn binding(octet: u8) -> ChannelBinding {
    ChannelBinding {
        name: TLS_EXPORTER,
        data: [octet; 32].into(),
    }
}

fn exchange(mechanism: &str, binding: Option<ChannelBinding>, key: &Key) -> Exchange {
    let tokens = Arc::new(issued::tokens(&[key]));
    Exchange::new(
        sources(&two_users()),
        mechanism,
        binding,
        Some(tokens),
        issued::now(),
    )
    .unwrap()
}

/// Sends these in order, and gives the last answer; all before it must be challenges.
fn say(mechanism: &str, messages: &[&[u8]]) -> Step {
    let mut exchange = exchange(mechanism, None, &Key::elliptic("one"));
    let (last, before) = messages.split_last().unwrap();
    for message in before {
        let step = exchange.step(Some(message));
        assert!(matches!(step, Step::Challenge(_)), "{message:?}: {step:?}");
    }
    exchange.step(Some(last))
}

/// Lets our client talk with our server: the server's last answer, and whether the client believes
/// it.
fn converse(
    credentials: &Credentials,
    wanted: &str,
    key: &Key,
    (ours, theirs): (Option<ChannelBinding>, Option<ChannelBinding>),
) -> (Step, bool) {
    let mut server = exchange(wanted, theirs, key);
    let (mut client, mechanism, initial) =
        ClientExchange::start(credentials, &[wanted], Some(wanted), true, ours.as_ref()).unwrap();
    assert_eq!(mechanism, wanted);
    let mut step = server.step(initial.as_deref());
    while let Step::Challenge(challenge) = &step {
        let Ok(answer) = client.step(challenge) else {
            return (step, false);
        };
        step = server.step(Some(&answer));
    }
    (step, client.finish().is_ok())
}

fn password(user: &str, password: &str) -> Credentials {
    Credentials::Password {
        user: user.into(),
        password: password.into(),
    }
}

fn token(user: &str, token: String) -> Credentials {
    Credentials::Token {
        user: user.into(),
        token,
    }
}

fn reason(step: &Step) -> Option<Reason> {
    match step {
        Step::Refused(why) => Some(why.reason),
        Step::Challenge(_) | Step::Done(_) | Step::Unavailable(_) => None,
    }
}

const BY_PASSWORD: [&str; 4] = ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];

fn bindings(mechanism: &str) -> (Option<ChannelBinding>, Option<ChannelBinding>) {
    let binding = mechanism.ends_with("PLUS").then(|| binding(1));
    (binding.clone(), binding)
}

#[test]
fn our_client_signs_in_at_our_server() {
    let key = Key::elliptic("one");
    for mechanism in BY_PASSWORD {
        for user in ["Ann@example.com", "ANN@EXAMPLE.COM"] {
            let (step, believed) = converse(
                &password(user, "pencil"),
                mechanism,
                &key,
                bindings(mechanism),
            );
            let Step::Done(account) = step else {
                panic!("{mechanism} {user}: {step:?}");
            };
            assert_eq!(&*account.name, "Ann@example.com");
            assert_eq!(account.messages_per_hour, Some(5));
            assert!(believed, "{mechanism}");
        }
    }
}

#[test]
fn wrong_passwords_unknown_and_disabled_users_are_refused_alike() {
    let key = Key::elliptic("one");
    for mechanism in BY_PASSWORD {
        for (user, secret) in [
            ("ann@example.com", "pencils"),
            ("ann@example.com", "Pencil"),
            ("eve@example.com", "pencil"),
            ("gone@example.com", "pencil"),
        ] {
            let (step, _) = converse(
                &password(user, secret),
                mechanism,
                &key,
                bindings(mechanism),
            );
            let expected = Step::Refused(Why::of(user, Reason::WrongSecret));
            assert_eq!(step, expected, "{mechanism}");
        }
    }
}

#[test]
fn an_unknown_user_gets_the_same_salt_each_time() {
    let first = |user: &str| {
        let message = format!("n,,n={user},r=abc");
        let mut exchange = exchange("SCRAM-SHA-256", None, &Key::elliptic("one"));
        match exchange.step(Some(message.as_bytes())) {
            Step::Challenge(challenge) => {
                let text = String::from_utf8(challenge).unwrap();
                text.split_once(",s=").unwrap().1.to_owned()
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(first("eve"), first("Eve"));
    assert_ne!(first("eve"), first("mallory"));
    assert!(first("eve").ends_with(",i=4096"));
}

#[test]
fn nobody_acts_as_somebody_else() {
    let other = Some(Reason::OtherIdentity);
    let same = b"ANN@example.com\0ann@example.com\0pencil";
    assert!(matches!(say("PLAIN", &[same]), Step::Done(_)));
    assert_eq!(
        reason(&say("PLAIN", &[b"bob\0ann@example.com\0pencil"])),
        other
    );
    let scram = b"n,a=bob,n=ann@example.com,r=abc";
    assert_eq!(reason(&say("SCRAM-SHA-256", &[scram])), other);
    let scram = b"n,a=ann@example.com,n=ann@example.com,r=abc";
    assert!(matches!(say("SCRAM-SHA-256", &[scram]), Step::Challenge(_)));
}

#[test]
fn malformed_messages_are_refused() {
    let long = vec![b'x'; MESSAGE_OCTETS_MAX + 1];
    let rows: &[(&str, &[&[u8]])] = &[
        ("PLAIN", &[b""]),
        ("PLAIN", &[b"\0ann"]),
        ("PLAIN", &[b"\0ann@example.com\0"]),
        ("PLAIN", &[b"\0\0pencil"]),
        ("PLAIN", &[b"\0ann@example.com\0pencil\0"]),
        ("PLAIN", &[b"\0ann@example.com\0pencil\xff"]),
        ("PLAIN", &[&long]),
        ("LOGIN", &[b""]),
        ("LOGIN", &[b"ann@example.com", b""]),
        ("LOGIN", &[b"\xff"]),
        ("SCRAM-SHA-256", &[b""]),
        ("SCRAM-SHA-256", &[b"n"]),
        ("SCRAM-SHA-256", &[b"n,a=b"]),
        ("SCRAM-SHA-256", &[b"x,,n=a,r=b"]),
        ("SCRAM-SHA-256", &[b"q=x,,n=a,r=b"]),
        ("SCRAM-SHA-256", &[b"n,,a=x,r=b"]),
        ("SCRAM-SHA-256", &[b"n,,r=b,n=a"]),
        ("SCRAM-SHA-256", &[b"n,,m=x,n=a,r=b"]),
        ("SCRAM-SHA-256", &[b"n,,n=a"]),
        ("SCRAM-SHA-256", &[b"n,,n=a,r="]),
        ("SCRAM-SHA-256", &[b"n,,n==,r=b"]),
        ("SCRAM-SHA-256", &[b"n,,n=ann@example.com,r=b", b"c=biws"]),
        (
            "SCRAM-SHA-256",
            &[b"n,,n=ann@example.com,r=b", b"c=biws,r=b,p=AAAA"],
        ),
        ("XOAUTH2", &[b"user=ann\x01auth=Basic x\x01\x01"]),
        ("XOAUTH2", &[b"user=ann\x01auth=Bearer x\x01"]),
        ("XOAUTH2", &[b"user=ann\x01auth=Bearer \x01\x01"]),
        ("OAUTHBEARER", &[b"p=x,,\x01auth=Bearer x\x01\x01"]),
        ("OAUTHBEARER", &[b"n,,\x01host=x\x01\x01"]),
        (
            "OAUTHBEARER",
            &[b"n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01"],
        ),
    ];
    for (mechanism, messages) in rows {
        let step = say(mechanism, messages);
        assert_eq!(
            reason(&step),
            Some(Reason::Malformed),
            "{mechanism} {messages:?}"
        );
    }
}

#[test]
fn channel_bindings_must_be_those_of_this_session() {
    let key = Key::elliptic("one");
    let ann = password("ann@example.com", "pencil");
    let plus = "SCRAM-SHA-256-PLUS";
    let (step, _) = converse(&ann, plus, &key, (Some(binding(1)), Some(binding(2))));
    assert_eq!(reason(&step), Some(Reason::ChannelBinding));
    // Our client thinks that -PLUS was not offered; our server knows that it was.
    let bare = "SCRAM-SHA-256";
    let (step, _) = converse(&ann, bare, &key, (Some(binding(1)), Some(binding(1))));
    assert_eq!(reason(&step), Some(Reason::ChannelBinding));
    let (step, _) = converse(&ann, bare, &key, (Some(binding(1)), None));
    assert!(matches!(step, Step::Done(_)));
    for (mechanism, flag) in [
        (plus, "n"),
        (plus, "y"),
        (plus, "p=tls-unique"),
        (bare, "p=tls-exporter"),
    ] {
        let mut exchange = exchange(mechanism, Some(binding(1)), &key);
        let step = exchange.step(Some(format!("{flag},,n=ann@example.com,r=abc").as_bytes()));
        assert_eq!(
            reason(&step),
            Some(Reason::ChannelBinding),
            "{mechanism} {flag}"
        );
    }
}

/// RFC 7677 section 3, both sides.
#[test]
fn the_example_of_the_standard() {
    let users = format!(
        "[user.user]\npassword = \"{}\"\nscram_sha_256 = \"{}\"\n",
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q",
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    );
    let (client_nonce, server_nonce) = ("rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
    let mut server =
        Exchange::new(sources(&users), "SCRAM-SHA-256", None, None, issued::now()).unwrap();
    let (client, first) = scram_client::start(
        "user",
        "pencil",
        scram_client::Binding::Unable,
        client_nonce,
    );
    assert_eq!(first, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let Step::Challenge(challenge) = server.scram_with(&first, false, server_nonce) else {
        panic!("no challenge");
    };
    assert_eq!(
        challenge,
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    );
    let (client, proof) = client.prove(&challenge).unwrap();
    assert_eq!(proof, b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    let Step::Challenge(verifier) = server.step(Some(&proof)) else {
        panic!("not proven");
    };
    assert_eq!(verifier, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    client.check(&verifier).unwrap();
    assert!(matches!(server.step(Some(b"")), Step::Done(_)));
    assert_eq!(server.step(Some(b"")), Step::Refused(Why::malformed()));
}

/// RFC 5802 section 7: the header as it was sent, then the data, in base64.
#[test]
fn the_channel_binding_is_sent_as_the_standard_says() {
    let binding = binding(1);
    let used = scram_client::Binding::Used(&binding);
    let (client, first) = scram_client::start("user", "pencil", used, "abc");
    assert_eq!(first, b"p=tls-exporter,,n=user,r=abc");
    let (_, proof) = client.prove(b"r=abcdef,s=c2FsdA==,i=4096").unwrap();
    let expected = "c=cD10bHMtZXhwb3J0ZXIsLAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB,r=abcdef,p=";
    assert!(proof.starts_with(expected.as_bytes()));
}

#[test]
fn a_proof_is_good_for_one_conversation_only() {
    let key = Key::elliptic("one");
    let start = |nonce| {
        let mut server = exchange("SCRAM-SHA-256", None, &key);
        let step = server.scram_with(b"n,,n=ann@example.com,r=abc", false, nonce);
        (server, step)
    };
    let (mut server, step) = start("one");
    let Step::Challenge(challenge) = step else {
        panic!("{step:?}");
    };
    let (client, _) = scram_client::start(
        "ann@example.com",
        "pencil",
        scram_client::Binding::Unable,
        "abc",
    );
    let (_, proof) = client.prove(&challenge).unwrap();
    let (mut replayed, _) = start("two");
    assert_eq!(
        reason(&replayed.step(Some(&proof))),
        Some(Reason::Malformed)
    );
    let renamed = String::from_utf8(proof.clone())
        .unwrap()
        .replace("abcone", "abctwo");
    let (mut replayed, _) = start("two");
    assert_eq!(
        reason(&replayed.step(Some(renamed.as_bytes()))),
        Some(Reason::WrongSecret)
    );
    assert!(matches!(server.step(Some(&proof)), Step::Challenge(_)));
    assert_eq!(reason(&server.step(Some(b"x"))), Some(Reason::Malformed));
}

#[test]
fn tokens_sign_in_known_users_and_strangers_but_no_disabled_ones() {
    let key = Key::elliptic("one");
    let signed = |user: &str| key.sign(&issued::claims(json!({ "email": user })));
    let none = || (None, None);
    for mechanism in ["XOAUTH2", "OAUTHBEARER"] {
        let ann = token("ann@example.com", signed("Ann@Example.com"));
        let (step, believed) = converse(&ann, mechanism, &key, none());
        let Step::Done(account) = step else {
            panic!("{mechanism}: {step:?}");
        };
        assert_eq!(account.messages_per_hour, Some(5), "from the file");
        assert!(believed);

        let stranger = token("new@example.com", signed("new@example.com"));
        let (step, _) = converse(&stranger, mechanism, &key, none());
        assert!(matches!(step, Step::Done(account) if account.rights.may_relay));

        let gone = token("gone@example.com", signed("gone@example.com"));
        let (step, believed) = converse(&gone, mechanism, &key, none());
        assert_eq!(reason(&step), Some(Reason::WrongSecret), "{mechanism}");
        assert!(!believed);

        let borrowed = token("bob@example.com", signed("ann@example.com"));
        let (step, _) = converse(&borrowed, mechanism, &key, none());
        assert_eq!(reason(&step), Some(Reason::OtherIdentity), "{mechanism}");
    }
}

#[test]
fn a_bad_token_is_told_so_and_refused() {
    let key = Key::elliptic("one");
    let old = key.sign(&issued::claims(json!({ "exp": 1 })));
    let (xoauth2, oauthbearer) = (
        xoauth2("ann@example.com", &old),
        oauthbearer("ann@example.com", &old),
    );
    for (mechanism, message, error) in [
        ("XOAUTH2", xoauth2, "{\"status\":\"401\""),
        ("OAUTHBEARER", oauthbearer, "{\"status\":\"invalid_token\""),
    ] {
        let mut server = exchange(mechanism, None, &key);
        let Step::Challenge(challenge) = server.step(Some(&message)) else {
            panic!("{mechanism}");
        };
        assert!(challenge.starts_with(error.as_bytes()));
        let refused = Why::of("ann@example.com", Reason::Token(TokenFault::Time));
        assert_eq!(server.step(Some(b"\x01")), Step::Refused(refused));
    }
    let tokens = Some(Arc::new(Tokens::new(issued::rules()).unwrap()));
    let mut server = Exchange::new(Arc::default(), "XOAUTH2", None, tokens, issued::now()).unwrap();
    let step = server.step(Some(&bearer::xoauth2("ann", &old)));
    assert!(matches!(step, Step::Unavailable(_)), "{step:?}");
}

#[test]
fn mechanisms_are_offered_only_when_they_can_be_answered() {
    let all = Mechanism::ALL.map(Mechanism::name);
    let with_keys = sources(&two_users());
    let without = sources(&two_users().replace("scram_sha_256", "# "));
    let nobody = Arc::new(Sources::default());
    let everything: &[&str] = &all;
    for (sources, configured, exporter, tokens, expected) in [
        (&with_keys, everything, true, true, everything),
        (
            &with_keys,
            everything,
            false,
            false,
            &["SCRAM-SHA-256", "PLAIN", "LOGIN"][..],
        ),
        (&without, everything, true, false, &["PLAIN", "LOGIN"]),
        (&nobody, everything, true, true, &["OAUTHBEARER", "XOAUTH2"]),
        (&nobody, everything, true, false, &[]),
        (&with_keys, &["login", "CRAM-MD5"], true, true, &["LOGIN"]),
    ] {
        let found = offered(sources, configured, exporter, tokens);
        assert_eq!(found, expected);
        for name in all {
            let tokens = tokens.then(|| Arc::new(Tokens::new(issued::rules()).unwrap()));
            let binding = exporter.then(|| binding(1));
            let begun = Exchange::new(sources.clone(), name, binding, tokens, issued::now());
            assert!(begun.is_ok() || !expected.contains(&name), "{name}");
            assert!(
                begun.is_err() || configured.len() < 6 || expected.contains(&name),
                "{name}"
            );
        }
    }
    assert!(Exchange::new(with_keys, "CRAM-MD5", None, None, issued::now()).is_err());
}

#[test]
fn secrets_are_not_in_debug_output() {
    let mut server = exchange("LOGIN", None, &Key::elliptic("one"));
    server.step(Some(b"hidden-name"));
    let step = say("PLAIN", &[b"\0ann@example.com\0hidden-password"]);
    let shown = format!(
        "{server:?} {step:?} {:?} {:?} {:?}",
        password("ann", "hidden-password"),
        token("ann", "hidden-token".into()),
        binding(1),
    );
    assert!(!shown.contains("hidden"), "{shown}");
}

/// Octets that look a little like what mechanisms say.
fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        "[nyp=a,rcmx\u{1}\u{0}authBearer .]{0,40}".prop_map(String::into_bytes),
        "(n|y|p=tls-exporter),(a=[a=,]{0,3})?,(n=ann@example.com|n=[=2C]{0,3}),r=[a-c]{0,3}"
            .prop_map(String::into_bytes),
        "c=biws,r=[a-z]{0,5},p=[A-Za-z0-9+/]{43}=".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_octets_never_panic_and_sign_nobody_in(
        messages in prop::collection::vec(prop::option::weighted(0.9, message()), 1..4),
    ) {
        let key = Key::elliptic("one");
        for mechanism in Mechanism::ALL {
            let mut server = exchange(mechanism.name(), Some(binding(1)), &key);
            for message in &messages {
                let step = server.step(message.as_deref());
                prop_assert!(!matches!(step, Step::Done(_)), "{mechanism:?} {messages:?}");
            }
        }
    }
}
