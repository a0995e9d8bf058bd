//! Both of our sides against an independent implementation of the same mechanisms (which knows no
//! channel binding).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail::Timestamp;
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechanisms::scram::properties::ScramStoredPassword;
use rsasl::mechname::Mechname;
use rsasl::prelude::{SASLClient, SASLConfig, SASLServer, SessionError};
use rsasl::property::{AuthId, Password};
use rsasl::validate::{Validate, Validation, ValidationError};
use sign_in::{ClientExchange, Credentials, Exchange, NewUser, Sources, Step, UserFile, Users};

const USER: &str = "ann,=@example.com";

/// A users file with one user.
fn users_text(password: &str) -> String {
    let mut file = UserFile::open("").unwrap();
    file.add(&NewUser {
        name: USER,
        password: Some(password),
        may_relay: true,
        senders: &[],
        recipients: &[],
        console_role: None,
    })
    .unwrap();
    file.text()
}

struct TheirClient {
    password: String,
}

impl SessionCallback for TheirClient {
    fn callback(
        &self,
        _: &SessionData,
        _: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        request
            .satisfy::<AuthId>(USER)?
            .satisfy::<Password>(self.password.as_bytes())?;
        Ok(())
    }
}

/// Lets their client talk with our server.
fn their_client(sources: &Arc<Sources>, mechanism: &str, password: &str) -> Step {
    let mut server = Exchange::new(
        Arc::clone(sources),
        mechanism,
        None,
        None,
        Timestamp::default(),
    )
    .unwrap();
    let config = SASLConfig::builder()
        .with_defaults()
        .with_callback(TheirClient {
            password: password.into(),
        })
        .unwrap();
    let name = Mechname::parse(mechanism.as_bytes()).unwrap();
    let mut client = SASLClient::new(config).start_suggested(&[name]).unwrap();
    let mut step = if client.are_we_first() {
        Step::Challenge(Vec::new())
    } else {
        server.step(None)
    };
    let mut first = client.are_we_first();
    while let Step::Challenge(challenge) = &step {
        let mut answer = Vec::new();
        let input = (!first).then_some(challenge.as_slice());
        first = false;
        if client.step(input, &mut answer).is_err() {
            return step;
        }
        step = server.step(Some(&answer));
    }
    step
}

#[test]
fn their_client_signs_in_at_our_server() {
    let users = Users::parse(&users_text("pencil"), &"users.toml".into()).unwrap();
    let sources = Arc::new(Sources::new(users, Vec::new()));
    for mechanism in ["PLAIN", "LOGIN", "SCRAM-SHA-256"] {
        let step = their_client(&sources, mechanism, "pencil");
        assert!(
            matches!(&step, Step::Done(account) if &*account.name == USER),
            "{mechanism}: {step:?}"
        );
        let step = their_client(&sources, mechanism, "pencils");
        assert!(matches!(step, Step::Refused(_)), "{mechanism}: {step:?}");
    }
}

/// Their server, with our user.
struct TheirServer {
    iterations: u32,
    salt: Vec<u8>,
    stored: Vec<u8>,
    server: Vec<u8>,
}

impl TheirServer {
    /// With the keys that we wrote down.
    fn new(password: &str) -> Self {
        let text = users_text(password);
        let keys = text
            .split("SCRAM-SHA-256$")
            .nth(1)
            .unwrap()
            .trim_end()
            .trim_matches('"');
        let mut parts = keys.split([':', '$']);
        let iterations = parts.next().unwrap().parse().unwrap();
        let mut octets = || STANDARD.decode(parts.next().unwrap()).unwrap();
        Self {
            iterations,
            salt: octets(),
            stored: octets(),
            server: octets(),
        }
    }
}

struct SignedIn;

impl Validation for SignedIn {
    type Value = bool;
}

impl SessionCallback for TheirServer {
    fn callback(
        &self,
        _: &SessionData,
        _: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        request.satisfy::<ScramStoredPassword<'_>>(&ScramStoredPassword::new(
            self.iterations,
            &self.salt,
            &self.stored,
            &self.server,
        ))?;
        Ok(())
    }

    fn validate(
        &self,
        data: &SessionData,
        context: &Context<'_>,
        validate: &mut Validate<'_>,
    ) -> Result<(), ValidationError> {
        let by_scram = data.mechanism().mechanism.starts_with("SCRAM-");
        let known = context.get_ref::<AuthId>() == Some(USER);
        let right = context.get_ref::<Password>() == Some(b"pencil");
        validate.with::<SignedIn, _>(|| Ok(by_scram || known && right))?;
        Ok(())
    }
}

/// Lets our client talk with their server: whether they let us in, and whether we believe them.
fn our_client(mechanism: &str, password: &str) -> (bool, bool) {
    let config = SASLConfig::builder()
        .with_defaults()
        .with_callback(TheirServer::new("pencil"))
        .unwrap();
    let name = Mechname::parse(mechanism.as_bytes()).unwrap();
    let mut server = SASLServer::<SignedIn>::new(config)
        .start_suggested(name)
        .unwrap();
    let credentials = Credentials::Password {
        user: USER.into(),
        password: password.into(),
    };
    let (mut client, _, mut message) =
        ClientExchange::start(&credentials, &[mechanism], None, true, None).unwrap();
    loop {
        let mut challenge = Vec::new();
        let Ok(state) = server.step(message.as_deref(), &mut challenge) else {
            return (false, false);
        };
        if !challenge.is_empty() {
            message = client.step(&challenge).ok();
        }
        if state.is_finished() || message.is_none() {
            return (server.validation() == Some(true), client.finish().is_ok());
        }
    }
}

#[test]
fn our_client_signs_in_at_their_server() {
    for mechanism in ["PLAIN", "LOGIN", "SCRAM-SHA-256"] {
        assert_eq!(our_client(mechanism, "pencil"), (true, true), "{mechanism}");
        let (let_in, _) = our_client(mechanism, "pencils");
        assert!(!let_in, "{mechanism}");
    }
    assert_eq!(our_client("SCRAM-SHA-256", "pencils"), (false, false));
}
