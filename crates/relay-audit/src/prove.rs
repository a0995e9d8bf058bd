//! The proof that the door is closed: every known pattern by which strangers relay, tried on the
//! real session code.
//!
//! Each listener gets the whole battery from a client that none of its lists names, or from the one
//! that its posture names as an example of who can relay; controls that must succeed show that the
//! test is not blind. The same battery runs over a socket against any server; see [`Peer`].

mod battery;
mod cast;
mod dialogue;
mod inside;
mod strangers;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use mail::{Client, Mailbox};
use reception::Settings;
use relay_policy::{Facts, Rules, is_bound, is_permitted};

pub use battery::{Login, Meaning, Probe};
pub use cast::{Cast, SrsAddresses};
pub use dialogue::{Finding, Judgement, Lost, Peer, judgement, play};
pub use strangers::Caller;

use inside::Inside;

/// Who sends and who is sent to, when somebody says so.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// The sender that probes name; `None`: one at a domain that nobody has (RFC 2606).
    pub sender: Option<Mailbox>,
    /// The recipient elsewhere.
    pub recipient: Option<Mailbox>,
}

/// The proof of one listener.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The name of the listener.
    pub listener: Arc<str>,
    /// From where the stranger came; `None` when nobody may connect who could not relay anyway, so
    /// that there was nothing to try.
    pub stranger: Option<IpAddr>,
    /// Probe by probe.
    pub findings: Vec<Finding>,
    /// What all findings together say about the listener.
    pub judgement: Judgement,
}

/// Runs the battery on every listener, each with what its sessions go by.
pub fn prove<'a>(
    listeners: impl IntoIterator<Item = &'a Arc<Settings>>,
    parts: &Parts,
) -> Vec<Proof> {
    let listeners = listeners.into_iter();
    listeners
        .map(|settings| prove_listener(settings, parts))
        .collect()
}

/// Runs the battery as `caller`, for whom no recipient of it may be accepted but those of controls:
/// what we accept we carry, so a suspicion is a hole here.
pub fn prove_as(settings: &Arc<Settings>, caller: Caller, cast: &Cast) -> Vec<Finding> {
    let mut probes = cast.battery();
    // Where everybody has to sign in, nobody else is taken for anything; and who may send only to
    // some may not be taken for anything either.
    let all = !settings.rules.listener.sign_in.required
        && !is_bound_client(&settings.rules, &caller.client);
    probes.retain(|probe| all || probe.meaning != Meaning::Control);
    for probe in &mut probes {
        if probe.meaning == Meaning::Suspect {
            probe.meaning = Meaning::Open;
        }
    }
    let mut peer = Inside::new(Arc::clone(settings), caller);
    probes.iter().map(|probe| play(&mut peer, probe)).collect()
}

fn prove_listener(settings: &Arc<Settings>, parts: &Parts) -> Proof {
    let rules = &settings.rules;
    let (caller, victim) = match strangers::example_of_a_hole(rules) {
        Some((caller, recipient)) => (Some(caller), Some(recipient)),
        None => (strangers::stranger(rules), None),
    };
    let stranger = caller.as_ref().map(|caller| caller.client.address());
    let cast = Cast::of_settings(settings, parts, victim);
    let (findings, judgement) = match (caller, cast) {
        (None, _) => (Vec::new(), Judgement::Closed),
        // Every domain there is takes mail from anyone: there is no elsewhere.
        (Some(_), None) => (Vec::new(), Judgement::Unknown),
        (Some(caller), Some(cast)) => {
            let mut findings = prove_as(settings, caller.clone(), &cast);
            findings.extend(controls(settings, caller, &cast));
            let judgement = judgement(&findings);
            (findings, judgement)
        }
    };
    Proof {
        listener: Arc::clone(&rules.listener.name),
        stranger,
        findings,
        judgement,
    }
}

/// Those who may relay must be able to: a user, where users sign in, and a client of the list,
/// where nobody has to.
fn controls(settings: &Arc<Settings>, caller: Caller, cast: &Cast) -> Vec<Finding> {
    let rules = &settings.rules;
    let mut controls = Vec::new();
    if rules.listener.sign_in.offered && !is_bound_client(rules, &caller.client) {
        let user = Probe::plain("user with the right to relay", cast).by(Login::Entitled);
        controls.push(control(settings, caller, user));
    }
    if let Some(client) = listed(rules).filter(|_| !rules.listener.sign_in.required) {
        let caller = Caller { client, name: None };
        let probe = Probe::plain("client in relay.allow", cast);
        controls.push(control(settings, caller, probe));
    }
    controls
}

fn control(settings: &Arc<Settings>, caller: Caller, probe: Probe) -> Finding {
    let probe = Probe {
        meaning: Meaning::Control,
        ..probe
    };
    play(&mut Inside::new(Arc::clone(settings), caller), &probe)
}

/// A client that may relay by its address.
fn listed(rules: &Rules) -> Option<Client> {
    let entries = rules.relay.access.list.entries().iter();
    let mut clients = entries
        .filter_map(|entry| strangers::edges(&entry.clients))
        .map(|(first, _)| strangers::client(rules, first));
    clients.find(|client| {
        is_permitted(rules, client, &Facts::default()) && !is_bound_client(rules, client)
    })
}

/// Whether a client may send only to some, whoever signs in there.
fn is_bound_client(rules: &Rules, client: &Client) -> bool {
    is_bound(rules, client, &Facts::default())
}
