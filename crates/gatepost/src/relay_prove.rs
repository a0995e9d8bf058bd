//! `gatepost relay prove`: the open-relay battery, on our own rules or against a server.
//!
//! Ends with 0 when the relay is closed, 1 when it is open, and 75 when nobody can tell.

mod live;
mod report;

use daemon::api::{RelayProbe, RelayProof};
use engine::Setup;
use lookups::srs_scheme;
use mail::{Domain, Mailbox};
use relay_audit::prove::{Cast, Finding, Login, Lost, Parts, judgement, play, prove};

use crate::cli::{Cli, RelayProve};
use crate::exit::{Failure, Outcome};
use crate::output::{self, say};
use crate::run;
use live::Live;
pub use report::{conclude, exit_code};

/// Sends nothing: at most it names a recipient and takes that back.
pub fn command(cli: &Cli, arguments: &RelayProve) -> Outcome {
    let parts = Parts {
        sender: mailbox("--sender", arguments.sender.as_deref())?,
        recipient: mailbox("--recipient", arguments.recipient.as_deref())?,
    };
    match &arguments.live {
        Some(server) => of_server(cli, arguments, parts, server),
        None => of_rules(cli, arguments, &parts),
    }
}

fn mailbox(option: &str, text: Option<&str>) -> Result<Option<Mailbox>, Failure> {
    let parse = |text: &str| {
        Mailbox::parse(text).map_err(|why| Failure::Usage(format!("{option} {text}: {why}")))
    };
    text.map(parse).transpose()
}

fn of_rules(cli: &Cli, arguments: &RelayProve, parts: &Parts) -> Outcome {
    let config = run::load(&cli.config)?.config;
    // Whoever may not read the secrets of [srs] proves all but what is made with them.
    let scheme = srs_scheme(&config);
    let setup = Setup::new(config);
    let setup = match scheme {
        Ok(scheme) => setup.with_srs(scheme),
        Err(why) => {
            eprintln!("warning: SRS addresses of ours are not tried: {why}");
            setup
        }
    };
    let listeners = setup.config.listeners.iter();
    let sessions = listeners.filter_map(|listener| setup.sessions.get(&listener.name));
    let proofs = prove(sessions, parts);
    let all = RelayProof::judgement(&proofs);
    if cli.json {
        output::json(&serde_json::json!(RelayProof::from(&*proofs)))?;
        return Ok(exit_code(all));
    }
    for proof in &proofs {
        match proof.stranger {
            Some(stranger) => {
                say!("listener {}, as {stranger}", proof.listener);
                report::print(&proof.findings, arguments.all);
            }
            None => say!(
                "listener {}: whoever may connect may relay anyway; nothing to try",
                proof.listener
            ),
        }
    }
    conclude(all);
    Ok(exit_code(all))
}

fn of_server(cli: &Cli, arguments: &RelayProve, parts: Parts, server: &str) -> Outcome {
    let hosted = mailbox("--hosted", arguments.hosted.as_deref())?;
    let lost = |lost: Lost| Failure::Temporary(format!("{server}: {}", lost.0));
    let mut peer = Live::connect(server, !cli.json).map_err(lost)?;
    let cast = cast(&peer, parts, hosted)?;
    let findings = play_all(&mut peer, &cast);
    let all = judgement(&findings);
    if cli.json {
        let probes: Vec<RelayProbe> = findings.iter().map(Into::into).collect();
        output::json(&serde_json::json!({
            "server": server,
            "verdict": RelayProof::word(all),
            "wants_sign_in": peer.wants_sign_in(),
            "probes": probes,
        }))?;
        return Ok(exit_code(all));
    }
    report::print(&findings, arguments.all);
    if peer.wants_sign_in() {
        say!("the server wants TLS or sign-in first (530): what is behind that was not tried");
    }
    if cast.hosted.is_none() {
        say!(
            "no control: name an address that the server must accept with --hosted, or refusals prove nothing"
        );
    }
    conclude(all);
    Ok(exit_code(all))
}

/// The battery against a server at `address`, which must take mail for `hosted`; nothing is
/// printed.
///
/// # Errors
/// Nobody is there, or nobody who wants to talk to us.
pub fn battery(address: &str, parts: Parts, hosted: Mailbox) -> Result<Vec<Finding>, String> {
    let mut peer = Live::connect(address, false).map_err(|lost| lost.0)?;
    let cast = cast(&peer, parts, Some(hosted)).map_err(|_| "no battery can be made")?;
    Ok(play_all(&mut peer, &cast))
}

/// Everything that a stranger can try, as long as the server listens to strangers.
fn play_all(peer: &mut Live, cast: &Cast) -> Vec<Finding> {
    let mut findings = Vec::new();
    for probe in cast.battery().iter().filter(|p| p.login == Login::None) {
        findings.push(play(peer, probe));
        if peer.wants_sign_in() {
            break;
        }
    }
    findings
}

/// Names of nobody (RFC 2606) where nobody said other ones.
fn cast(peer: &Live, parts: Parts, hosted: Option<Mailbox>) -> Result<Cast, Failure> {
    let or = |said: Option<Mailbox>, nobody: &str| {
        said.map_or_else(|| Mailbox::parse(nobody).map_err(own_fault), Ok)
    };
    let relay = peer.name().and_then(|name| Domain::parse(name).ok());
    Ok(Cast {
        relay: relay.map_or_else(|| Domain::parse("localhost").map_err(own_fault), Ok)?,
        address: peer.address(),
        sender: or(parts.sender, "relay-test@example.org")?,
        recipient: or(parts.recipient, "relay-test@example.net")?,
        hosted,
        srs: None,
    })
}

fn own_fault(why: impl std::fmt::Display) -> Failure {
    Failure::Temporary(why.to_string())
}
