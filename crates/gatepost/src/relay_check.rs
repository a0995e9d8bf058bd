mod content;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use config::{Config, Listener};
use delivery::Submitted;
use lookups::{OfflineLookups, srs_scheme};
use mail::{Certificate, Client, Mailbox, Reply, ReversePath, TlsFacts};
use relay_audit::{Explanation, Step, StepResult, explain};
use relay_policy::{
    Admitted, Answer, CertificatePattern, Demand, Facts, Question, Reason, Rights, Rules,
    addressee, is_permitted, listed, may_write_as,
};
use route::NextHop;
use sign_in::Account;

use crate::cli::{Cli, RelayCheck};
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{greylist, output, run};

/// `gatepost relay check`: the decision of the running code, step by step.
pub fn check(cli: &Cli, arguments: &RelayCheck) -> Outcome {
    let config = run::load(&cli.config)?.config;
    let rules = match &arguments.local {
        Some(way) => local_rules(&config, way)?,
        None => rules(&config, arguments.listener.as_deref())?,
    };
    let mail = arguments.mail.trim_start_matches('<').trim_end_matches('>');
    let mail = ReversePath::parse_routed(mail)
        .map_err(|e| Failure::Usage(format!("--mail {}: {e}", arguments.mail)))?;
    let rcpt = Mailbox::parse_recipient(&arguments.rcpt)
        .map_err(|e| Failure::Usage(format!("--rcpt {}: {e}", arguments.rcpt)))?;
    let rcpt = meant(&config, &rules, &rcpt);
    let rules = with_secrets(&config, rules)?;
    let lookups = OfflineLookups::new(config).map_err(Failure::Configuration)?;
    let mut facts = Facts {
        now: Some(daemon::now()),
        ..Facts::default()
    };
    let (client, account) = client(&lookups, &rules, arguments, &mut facts)?;
    let mut explanation = explain(&rules, &client, &mail, &rcpt, &facts);
    while let Some(question) = explanation.question {
        let known = match &question {
            Question::Greylist(approach) => greylist::look(cli, approach).map(Answer::Greylist),
            _ => None,
        };
        facts.answer(known.unwrap_or_else(|| lookups.find_out(&rules, question)));
        explanation = explain(&rules, &client, &mail, &rcpt, &facts);
    }
    let limits = limits(lookups.config(), &rules, &client, account.as_ref());
    explanation.steps.insert(1, limits);
    let is_stranger = !is_permitted(&rules, &client, &facts);
    let sent_as = sent_as(lookups.config(), &client, is_stranger, &mail, &explanation);
    let routed = routed(lookups.config(), &mail, &explanation);
    explanation.steps.extend(routed.into_iter().chain(sent_as));
    let on_demand = on_demand(lookups.config(), &explanation);
    explanation.steps.extend(on_demand);
    let message = arguments
        .message
        .as_deref()
        .map(content::read)
        .transpose()?;
    if !is_stranger && !explanation.admitted.is_empty() {
        let sender = (&client, facts.rights.as_ref(), &mail);
        let signed = signed(lookups.config(), &rules, sender, message.as_deref())?;
        explanation.steps.extend(signed);
    }
    if let Some(message) = &message {
        let sender = content::Sender {
            client: &client,
            hello: arguments.helo.as_deref().unwrap_or_default(),
            mail: &mail,
            listed: &listed(&rules, &client, &facts),
            is_stranger,
        };
        content::screen(cli, &lookups, &sender, message, &mut explanation);
    }
    if cli.json {
        output::json(&as_json(&explanation))?;
    } else {
        say!("{explanation}");
    }
    Ok(exit_code(explanation.answer.as_ref()))
}

/// The rules as they are in force: with the secrets by which SRS addresses are turned back.
fn with_secrets(config: &Config, rules: Arc<Rules>) -> Result<Arc<Rules>, Failure> {
    let Some(rewriting) = &rules.rewriting else {
        return Ok(rules);
    };
    let scheme = srs_scheme(config).map_err(Failure::Configuration)?;
    let rewriting = Some(Arc::new(rewriting.by(scheme)));
    Ok(Arc::new(Rules {
        rewriting,
        ..(*rules).clone()
    }))
}

/// Who is meant by `rcpt`, as at the listener of these rules.
pub fn meant(config: &Config, rules: &Rules, rcpt: &Mailbox) -> Mailbox {
    let mut listeners = config.listeners.iter();
    let listener = listeners.find(|listener| listener.name == rules.listener.name);
    let mut names = vec![config.hostname.clone()];
    names.extend(listener.map(|listener| listener.hostname.clone()));
    addressee(rules, &names, config.postmaster.as_ref(), rcpt).clone()
}

/// The client as it is described; what its user may do goes into `facts`.
fn client(
    lookups: &OfflineLookups,
    rules: &Rules,
    arguments: &RelayCheck,
    facts: &mut Facts,
) -> Result<(Client, Option<Account>), Failure> {
    let Some(address) = arguments.client else {
        let uid = nix::unistd::getuid().as_raw();
        let way = Arc::clone(&rules.listener.name);
        return Ok((Client::of_this_machine(uid, way), None));
    };
    let local = rules.listener.binds.first().copied();
    let local = local.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 25)));
    let peer = SocketAddr::new(address, 0);
    let mut client = Client::new(peer, local, Arc::clone(&rules.listener.name));
    let certificate = arguments
        .certificate
        .as_deref()
        .map(certificate)
        .transpose()?;
    possible(
        "--user",
        arguments.user.is_some(),
        "nobody signs in",
        &rules.listener.sign_in,
    )?;
    // Nobody signs in or shows a certificate in clear.
    let encrypted = arguments.tls || arguments.user.is_some() || certificate.is_some();
    possible("--tls", encrypted, "there is no TLS", &rules.listener.tls)?;
    let listener = &rules.listener;
    if encrypted && !listener.offers_tls(&client) {
        let place = listener.starttls_except.place();
        let why = format!("--tls: STARTTLS is withheld from this client ({place})");
        return Err(Failure::Usage(why));
    }
    if encrypted {
        client.tls = Some(TlsFacts {
            version: "TLSv1.3",
            cipher: "TLS13_AES_256_GCM_SHA384".into(),
            group: "X25519",
            certificate,
        });
    }
    let Some(user) = &arguments.user else {
        return Ok((client, None));
    };
    let account = lookups.user(user).map_err(Failure::Temporary)?;
    let nobody = || {
        Failure::No(format!(
            "there is no user {user}: the sign-in would be refused with 535 5.7.8"
        ))
    };
    let account = account.ok_or_else(nobody)?;
    facts.rights = Some(Arc::clone(&account.rights));
    client.user = Some(Arc::clone(&account.name));
    Ok((client, Some(account)))
}

/// What a listener does not offer cannot have happened there.
fn possible(option: &str, wanted: bool, otherwise: &str, demand: &Demand) -> Result<(), Failure> {
    if wanted && !demand.offered {
        let place = &demand.place;
        return Err(Failure::Usage(format!(
            "{option}: {otherwise} at this listener ({place})"
        )));
    }
    Ok(())
}

/// A certificate with this fingerprint or key, or a trusted one for this name.
fn certificate(text: &str) -> Result<Arc<Certificate>, Failure> {
    let pattern = CertificatePattern::parse(text)
        .map_err(|why| Failure::Usage(format!("--certificate {text}: {why}")))?;
    Ok(Arc::new(pattern.example()))
}

/// How often and how much; counted while the relay runs, so it is told and not decided here.
fn limits(config: &Config, rules: &Rules, client: &Client, account: Option<&Account>) -> Step {
    let mut listeners = config.listeners.iter();
    let text = match listeners.find(|listener| listener.name == rules.listener.name) {
        Some(Listener { slots, .. }) => {
            let (limits, guardian) = (&config.limits.admission, &config.limits.guardian);
            engine::explain_limits(rules, client, account, slots, limits, guardian).join(", ")
        }
        None if client.uid.is_some() => {
            let of_guardian = engine::explain_guardian(client, true, &config.limits.guardian);
            let none = "none on this machine".to_owned();
            std::iter::once(none)
                .chain(of_guardian)
                .collect::<Vec<_>>()
                .join(", ")
        }
        None => "no listener".to_owned(),
    };
    Step {
        name: "limits",
        result: StepResult::Moot,
        text,
        place: None,
    }
}

/// Where what is accepted goes for its sender's sake, or to be filtered.
fn routed(config: &Config, mail: &ReversePath, explanation: &Explanation) -> Vec<Step> {
    let step = |(admitted, _): &(Admitted, Reason)| {
        let recipient = admitted.recipient();
        if let Some(filter) = config.routes.filter().filter(|_| admitted.goes_to_filter()) {
            return Some(Step {
                name: "route",
                result: StepResult::Moot,
                text: format!(
                    "{}, the filter, before it goes on to {recipient}",
                    filter.name
                ),
                place: Some(filter.place.clone()),
            });
        }
        let sender = admitted.own_sender(mail);
        let site = config.routes.site_by_sender(sender, recipient.host())?;
        Some(Step {
            name: "route",
            result: StepResult::Moot,
            text: format!("{}, for its sender, to {recipient}", site.name),
            place: Some(site.place),
        })
    };
    explanation.admitted.iter().filter_map(step).collect()
}

/// As whom what is accepted goes out, where that is not as it came. What becomes a file here stays as
/// it came.
fn sent_as(
    config: &Config,
    client: &Client,
    from_stranger: bool,
    mail: &ReversePath,
    explanation: &Explanation,
) -> Vec<Step> {
    let submitted = Submitted {
        sender: mail,
        client: &client.to_string(),
        user: client.user.as_deref(),
        from_stranger,
    };
    let step = |(admitted, _): &(Admitted, Reason)| {
        let sender = admitted.own_sender(mail);
        let host = admitted.recipient().host();
        let site = config.routes.site_from(sender, host);
        let goes_out = !matches!(*site.next_hop, NextHop::Directory(_));
        let sent_as = config.send_as.sent_as(&submitted, &site.name);
        let sent_as = sent_as.filter(|_| goes_out)?;
        Some(Step {
            name: "sent as",
            result: StepResult::Moot,
            text: format!("{}, to {}", sent_as.sender, admitted.recipient()),
            place: Some(sent_as.place),
        })
    };
    explanation.admitted.iter().filter_map(step).collect()
}

/// By which keys the message is signed, or one whose author is its sender where there is none.
fn signed(
    config: &Config,
    rules: &Rules,
    (client, rights, mail): (&Client, Option<&Arc<Rights>>, &ReversePath),
    message: Option<&[u8]>,
) -> Result<Option<Step>, Failure> {
    let signers = lookups::signers(config);
    let signers = signers.map_err(|wrong| Failure::Configuration(wrong.join("\n")))?;
    let pretended = format!("From: <{}>\r\n", mail.as_str());
    let may_write_as = |author: &Mailbox| may_write_as(rules, client, rights, author);
    let (message, about) = match message {
        Some(message) => (message, ""),
        None => (pretended.as_bytes(), ", where its author is its sender"),
    };
    let found = engine::signer(&signers, message, &may_write_as);
    Ok(found.map(|found| {
        let domain = found.signer.domain();
        let keys = found.signer.selectors();
        let keys: Vec<String> = keys
            .map(|key| format!("{key}._domainkey.{domain}"))
            .collect();
        Step {
            name: "signed",
            result: StepResult::Moot,
            text: format!("by {}{about}", keys.join(" and ")),
            place: Some(found.place.clone()),
        }
    }))
}

/// Who is accepted whose mail then waits until somebody asks for it.
fn on_demand(config: &Config, explanation: &Explanation) -> Vec<Step> {
    let step = |(admitted, _): &(Admitted, Reason)| {
        let recipient = admitted.recipient();
        let on_demand = config.queue.on_demand(recipient.host())?;
        Some(Step {
            name: "on demand",
            result: StepResult::Moot,
            text: format!("{recipient} waits until somebody asks by ETRN or ATRN"),
            place: Some(on_demand.place.clone()),
        })
    };
    explanation.admitted.iter().filter_map(step).collect()
}

fn rules(config: &Config, listener: Option<&str>) -> Result<Arc<Rules>, Failure> {
    let Some(name) = listener else {
        let first = config.listeners.first();
        return Ok(Arc::clone(
            first.map_or(&config.rules, |listener| &listener.rules),
        ));
    };
    let found = config
        .listeners
        .iter()
        .find(|listener| &*listener.name == name);
    found
        .map(|listener| Arc::clone(&listener.rules))
        .ok_or_else(|| {
            let known: Vec<&str> = config.listeners.iter().map(|l| &*l.name).collect();
            Failure::Usage(format!(
                "there is no listener `{name}`; there are: {}",
                known.join(", ")
            ))
        })
}

fn local_rules(config: &Config, way: &str) -> Result<Arc<Rules>, Failure> {
    let mut ways = config.local.sessions();
    let found = ways.find(|session| &*session.rules.listener.name == way);
    let found = found.map(|session| Arc::clone(&session.rules));
    found.ok_or_else(|| {
        let why = format!("--local {way}: neither `pickup` nor `submit`, or it is not configured");
        Failure::Usage(why)
    })
}

fn exit_code(answer: Option<&Reply>) -> ExitCode {
    match answer {
        Some(reply) if reply.is_positive() => ExitCode::SUCCESS,
        Some(reply) if reply.is_permanent() => ExitCode::from(1),
        Some(_) | None => ExitCode::from(75),
    }
}

fn word(result: StepResult) -> &'static str {
    match result {
        StepResult::Pass => "pass",
        StepResult::Moot => "-",
        StepResult::Refuse => "REFUSE",
        StepResult::Postpone => "POSTPONE",
        StepResult::Ask => "ask",
    }
}

fn as_json(explanation: &Explanation) -> serde_json::Value {
    let steps: Vec<_> = explanation
        .steps
        .iter()
        .map(|step| {
            serde_json::json!({
                "step": step.name,
                "result": word(step.result),
                "text": step.text,
                "place": step.place.as_ref().map(ToString::to_string),
            })
        })
        .collect();
    let admitted: Vec<_> = explanation
        .admitted
        .iter()
        .map(|(admitted, why)| {
            serde_json::json!({
                "to": admitted.recipient().as_str(),
                "grounds": admitted.grounds().as_str(),
                "why": why.to_string(),
                "place": why.place.to_string(),
            })
        })
        .collect();
    serde_json::json!({
        "steps": steps,
        "answer": explanation.answer.as_ref().map(ToString::to_string),
        "accepted": explanation.answer.as_ref().is_some_and(Reply::is_positive),
        "admitted": admitted,
        "accepted_if": explanation.accepted_if,
    })
}
