//! The proof of the door, on configurations as they are written.

use config::Environment;
use engine::Setup;
use mail::{Domain, Reply};
use relay_audit::prove::{Judgement, Login, Meaning, Parts, Proof, prove};

fn proof(text: &str) -> Proof {
    let environment = Environment {
        hostname: Domain::parse("relay.ours.test").ok(),
        addresses: Vec::new(),
    };
    let loaded = config::parse("gatepost.toml", text, &environment);
    let setup = Setup::new(loaded.unwrap_or_else(|why| panic!("{why}")).config);
    let mut proofs = prove(setup.sessions.values(), &Parts::default());
    assert_eq!(proofs.len(), 1, "{text}");
    proofs.remove(0)
}

const OURS: &str = "[domain.\"ours.test\"]\nroute = \"10.0.0.5\"\n";

#[test]
fn a_closed_configuration_is_found_closed() {
    let proof = proof(&format!(
        "{OURS}[relay]\nallow = [\"10.0.0.5\"]\n\
         [listener.in]\nbind = \"0.0.0.0:25\"\nauth = \"optional\"\n"
    ));
    assert_eq!(proof.judgement, Judgement::Closed);
    assert_eq!(proof.stranger, Some([203, 0, 113, 9].into()));
    let controls = proof.findings.iter();
    let controls: Vec<_> = controls
        .filter(|f| f.probe.meaning == Meaning::Control)
        .collect();
    assert_eq!(controls.len(), 3);
    for finding in controls {
        assert_eq!(finding.judgement, Judgement::Closed, "{finding:?}");
    }
    for login in [Login::Wrong, Login::Powerless] {
        let mut played = proof.findings.iter().filter(|f| f.probe.login == login);
        assert!(played.all(|f| f.answer.as_ref().is_ok_and(Reply::is_permanent)));
    }
}

#[test]
fn an_open_configuration_is_found_open() {
    let risk = "accept_risk = \"open-relay\"\n";
    let public = "[listener.in]\nbind = \"0.0.0.0:25\"\n";
    for rules in [
        format!("[relay]\n{risk}mode = \"all-except\"\n{OURS}{public}"),
        format!("[relay]\n{risk}allow = [\"0.0.0.0/0\"]\n{OURS}{public}"),
        format!("[relay]\n{risk}allow = [\"*.com\"]\n{OURS}{public}"),
        format!("[relay]\n{risk}[domain.\"*\"]\n{public}"),
        format!(
            "[relay]\n{risk}{OURS}{public}relay.mode = \"all-except\"\nrelay.except = [\"10.0.0.0/8\"]\n"
        ),
    ] {
        let proof = proof(&rules);
        assert_eq!(proof.judgement, Judgement::Open, "{rules}");
        assert!(proof.stranger.is_some(), "{rules}");
    }
}

#[test]
fn where_only_those_connect_who_may_relay_there_is_nothing_to_try() {
    let text = format!(
        "{OURS}[relay]\nmode = \"all-except\"\n[listener.in]\nbind = \"0.0.0.0:25\"\n\
         connect.mode = \"only-list\"\nconnect.allow = [\"10.0.0.0/8\"]\n"
    );
    let proof = proof(&text);
    assert_eq!((proof.judgement, proof.stranger), (Judgement::Closed, None));
    // but one of them who may not is tried
    let one = self::proof(&text.replace("mode = \"all-except\"", "allow = [\"10.0.0.5\"]"));
    assert_eq!(one.judgement, Judgement::Closed);
    assert_eq!(one.stranger, Some([10, 99, 99, 99].into()));
    let few = self::proof(
        &text
            .replace("mode = \"all-except\"", "")
            .replace("10.0.0.0/8", "10.0.0.5"),
    );
    assert_eq!(few.judgement, Judgement::Closed);
    assert_eq!(few.stranger, Some([10, 0, 0, 5].into()));
}

#[test]
fn a_listener_that_accepts_nothing_proves_nothing() {
    let proof = proof("[listener.in]\nbind = \"0.0.0.0:25\"\n");
    assert_eq!(proof.judgement, Judgement::Unknown);
}
