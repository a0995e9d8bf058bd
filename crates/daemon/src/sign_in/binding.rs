use super::*;
use sign_in::{ClientExchange, Credentials, NewUser, UserFile, Users};

fn door(binds: bool) -> SignInSettings {
    let mut file = UserFile::open("").unwrap();
    let user = NewUser {
        name: "ann",
        password: Some("secret"),
        may_relay: true,
        recipients: &[],
        console_role: None,
        senders: &[],
    };
    file.add(&user).unwrap();
    let users = Users::parse(&file.text(), &"users.toml".into()).unwrap();
    SignInSettings {
        sources: Arc::new(Sources::new(users, Vec::new())),
        tokens: None,
        issuer: None,
        binds,
    }
}

/// A client that knows channel bindings and was offered SCRAM without says so, and is right only
/// where -PLUS is not offered.
#[tokio::test]
async fn an_offer_that_was_never_made_is_not_missed() {
    for binds in [false, true] {
        let secret = [7; 32];
        let binding = ChannelBinding {
            name: TLS_EXPORTER,
            data: secret.into(),
        };
        let credentials = Credentials::Password {
            user: "ann".into(),
            password: "secret".into(),
        };
        let offered = ["SCRAM-SHA-256"];
        let started = ClientExchange::start(&credentials, &offered, None, true, Some(&binding));
        let (_, mechanism, initial) = started.unwrap();
        let step = SignInStep::Begin {
            mechanism: mechanism.into(),
            initial,
        };
        let client = IpAddr::from([192, 0, 2, 1]);
        let outcome = SignInService::default()
            .step(&door(binds), client, Some(secret), step)
            .await;
        let challenged = matches!(outcome, SignInOutcome::Challenge { .. });
        assert_eq!(challenged, !binds);
    }
}
