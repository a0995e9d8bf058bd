//! For every generated configuration file that is taken for closed, no client that it does not name
//! reaches a foreign domain through the real sessions: with no way to write an address, with no
//! wrong password and no powerless user, at no listener.
//!
//! Who is a stranger is known from the numbers that the file was made of, not from the rules that
//! were read from it.

#[path = "closed/generate.rs"]
mod generate;
#[path = "closed/parts.rs"]
mod parts;

use std::cell::RefCell;
use std::sync::Arc;

use config::{Diagnostics, Environment, Loaded};
use engine::Setup;
use mail::{Certificate, Client, Domain, Mailbox, Reply, TlsFacts, Trust};
use parts::{ConfigFile, ListenerPart, Stranger};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use relay_audit::prove::{Caller, Cast, Finding, Meaning, prove_as};

const CASES: u32 = 600;

/// What a run has seen, so that it cannot pass with its eyes shut.
#[derive(Debug, Default)]
struct Tally {
    closed: u32,
    open: u32,
    strangers: u32,
    controls: u32,
    signed_in: u32,
}

#[test]
fn who_is_not_listed_reaches_no_foreign_domain_where_the_posture_is_closed() {
    let tally = RefCell::new(Tally::default());
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let strangers = prop::collection::vec(generate::stranger(), 3);
    let played = TestRunner::new(config).run(
        &(generate::config_file(), strangers),
        |(file, strangers)| try_all(&file, &strangers, &mut tally.borrow_mut()),
    );
    played.unwrap_or_else(|why| panic!("{why}"));
    let tally = tally.into_inner();
    assert!(tally.closed > CASES / 10, "{tally:?}");
    assert!(tally.open > CASES / 20, "{tally:?}");
    assert!(tally.strangers > CASES, "{tally:?}");
    assert!(tally.controls > CASES / 4, "{tally:?}");
    assert!(tally.signed_in > CASES / 4, "{tally:?}");
}

fn parse(text: &str) -> Result<Loaded, Diagnostics> {
    let environment = Environment {
        hostname: Domain::parse("system.test").ok(),
        addresses: Vec::new(),
    };
    config::parse("gatepost.toml", text, &environment)
}

fn try_all(
    file: &ConfigFile,
    strangers: &[Stranger],
    tally: &mut Tally,
) -> Result<(), TestCaseError> {
    let text = file.text();
    let setup = match parse(&text) {
        Ok(loaded) => Setup::new(loaded.config),
        Err(wrong) => {
            // Whatever else is wrong with the file is a fault of this test.
            for diagnostic in &wrong.0 {
                let message = &*diagnostic.message;
                prop_assert_eq!(message, "this configuration is an open relay", "{}", text);
            }
            tally.open += 1;
            return Ok(());
        }
    };
    tally.closed += 1;
    // A listener that nobody from outside can reach may do as it likes.
    for listener in file
        .listeners
        .iter()
        .filter(|listener| !listener.is_loopback)
    {
        let Some(foreign) = file.foreign() else {
            continue;
        };
        for stranger in file.strangers(listener, strangers) {
            let findings = play(&setup, file, listener, &stranger, foreign);
            check(&findings, tally).map_err(|why| {
                TestCaseError::fail(format!(
                    "{why}\nas {stranger:?} at {}\n{text}",
                    listener.name
                ))
            })?;
        }
    }
    Ok(())
}

fn play(
    setup: &Setup,
    file: &ConfigFile,
    listener: &ListenerPart,
    stranger: &Stranger,
    foreign: &str,
) -> Vec<Finding> {
    let settings = &setup.sessions[&*listener.name];
    let local = settings.rules.listener.binds[0];
    let peer = std::net::SocketAddr::new(stranger.address, 1);
    let mut client = Client::new(peer, local, Arc::clone(&settings.rules.listener.name));
    client.tls = stranger.certificate.map(certificate);
    let caller = Caller {
        client,
        name: stranger.name.map(|name| Domain::parse(name).unwrap()),
    };
    let mailbox = |text: String| Mailbox::parse(&text).unwrap();
    let cast = Cast {
        relay: settings.hostname.clone(),
        address: local.ip(),
        sender: mailbox(format!("sender@{foreign}")),
        recipient: mailbox(format!("victim@{foreign}")),
        hosted: file.hosted().map(|host| mailbox(format!("bob@{host}"))),
        srs: None,
    };
    prove_as(settings, caller, &cast)
}

/// A certificate of somebody's that no entry names: by another name, or by this name and signed by
/// nobody.
fn certificate(shown: parts::Shown) -> TlsFacts {
    let certificate = Certificate {
        sha256: [8; 32],
        key_sha256: Some([8; 32]),
        names: [shown.name.into()].into(),
        trust: if shown.trusted {
            Trust::Ok
        } else {
            Trust::Unknown
        },
    };
    TlsFacts {
        version: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256".into(),
        group: "X25519",
        handshake: mail::Handshake::Full,
        certificate: Some(Arc::new(certificate)),
    }
}

fn check(findings: &[Finding], tally: &mut Tally) -> Result<(), String> {
    tally.strangers += 1;
    for finding in findings {
        let accepted = finding.answer.as_ref().is_ok_and(Reply::is_positive);
        let refused = finding.answer.as_ref().is_ok_and(Reply::is_permanent);
        if finding.probe.meaning == Meaning::Control {
            tally.controls += u32::from(accepted);
        } else if accepted {
            return Err(format!("accepted: {finding:?}"));
        } else if finding.probe.login != relay_audit::prove::Login::None && refused {
            tally.signed_in += 1;
        }
    }
    Ok(())
}
