use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use config::Config;
use mail::{Client, Mailbox, Reply, ReversePath};
use relay_policy::{Explanation, Fact, Facts, Question, Rules, Verdict, explain};

use crate::cli::{Cli, RelayCheck};
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{output, run};

/// `gatepost relay check`: the decision of the running code, step by step.
pub fn check(cli: &Cli, arguments: &RelayCheck) -> Outcome {
    let config = run::load(&cli.config)?.config;
    let rules = rules(&config, arguments.listener.as_deref())?;
    let mail = arguments.mail.trim_start_matches('<').trim_end_matches('>');
    let mail = ReversePath::parse(mail)
        .map_err(|e| Failure::Usage(format!("--mail {}: {e}", arguments.mail)))?;
    let rcpt = Mailbox::parse(&arguments.rcpt)
        .map_err(|e| Failure::Usage(format!("--rcpt {}: {e}", arguments.rcpt)))?;
    let local = rules.listener.binds.first().copied();
    let local = local.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 25)));
    let peer = SocketAddr::new(arguments.client, 0);
    let client = Client::new(peer, local, Arc::clone(&rules.listener.name));
    let mut facts = Facts::default();
    let mut explanation = explain(&rules, &client, &mail, &rcpt, &facts);
    while let Some(question) = explanation.question {
        facts.answer(question, find_out(&config, question)?);
        explanation = explain(&rules, &client, &mail, &rcpt, &facts);
    }
    if cli.json {
        output::json(&as_json(&explanation))?;
    } else {
        print(&explanation);
    }
    Ok(exit_code(explanation.answer.as_ref()))
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

fn find_out(config: &Config, question: Question) -> Result<Fact<mail::Domain>, Failure> {
    let Question::ConfirmedName(address) = question;
    let found = daemon::confirmed_name(config, address).map_err(Failure::Temporary)?;
    Ok(match found {
        Ok(Some(name)) => Fact::Yes(name),
        Ok(None) => Fact::No,
        Err(_) => Fact::CannotTell,
    })
}

fn exit_code(answer: Option<&Reply>) -> ExitCode {
    match answer {
        Some(reply) if reply.is_positive() => ExitCode::SUCCESS,
        Some(reply) if reply.is_permanent() => ExitCode::from(1),
        Some(_) | None => ExitCode::from(75),
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Moot => "-",
        Verdict::Refuse => "REFUSE",
        Verdict::Postpone => "POSTPONE",
        Verdict::Ask => "ask",
    }
}

fn print(explanation: &Explanation) {
    for (number, step) in (1..).zip(&explanation.steps) {
        let place = step
            .place
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let line = format!(
            "  {number} {:11} {:8} {:60} {place}",
            step.name,
            word(step.verdict),
            mail::escaped(&step.text).to_string()
        );
        say!("{}", line.trim_end());
    }
    if let Some(answer) = &explanation.answer {
        say!("  answer        {answer}");
    }
    if let Some(accepted_if) = &explanation.accepted_if {
        say!("  accepted if   {accepted_if}");
    }
}

fn as_json(explanation: &Explanation) -> serde_json::Value {
    let steps: Vec<_> = explanation
        .steps
        .iter()
        .map(|step| {
            serde_json::json!({
                "step": step.name,
                "verdict": word(step.verdict),
                "text": step.text,
                "place": step.place.as_ref().map(ToString::to_string),
            })
        })
        .collect();
    serde_json::json!({
        "steps": steps,
        "answer": explanation.answer.as_ref().map(ToString::to_string),
        "accepted": explanation.answer.as_ref().is_some_and(Reply::is_positive),
        "accepted_if": explanation.accepted_if,
    })
}
