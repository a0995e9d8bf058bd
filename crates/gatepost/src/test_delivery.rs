//! `gatepost test delivery`: every host to which mail for an address may go, tried as far as RCPT.

use std::process::ExitCode;

use daemon::api::DeliveryTested;
use daemon::diagnosis::delivery::{self, Step, Verdict, Way, advice, cell, failure};
use engine::Setup;
use lookups::{OfflineLookups, Trial};
use mail::Mailbox;
use route::Plan;

use crate::cli::{Cli, TestDelivery};
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{output, route_show, run};

/// `gatepost test delivery ADDRESS`
pub fn deliver(cli: &Cli, arguments: &TestDelivery) -> Outcome {
    let config = run::load(&cli.config)?.config;
    let address = Mailbox::parse_recipient(&arguments.address)
        .map_err(|why| Failure::Usage(format!("{}: {why}", arguments.address)))?;
    let from = route_show::sender(&arguments.from)?;
    let lookups = OfflineLookups::new(Setup::new(config)).map_err(Failure::Configuration)?;
    let tried = delivery::deliver(lookups.inquiries(), &from, &address, &|_| ());
    let ways = lookups.run(tried)?;
    if cli.json {
        output::json(&serde_json::json!(DeliveryTested::of(&address, &ways)))?;
    } else {
        ways.iter().for_each(print);
    }
    Ok(exit_code(&ways))
}

fn print(way: &Way) {
    say!("{}", mail::escaped(way.recipient.as_str()));
    for tried in &way.sites {
        say!(
            "  {} ({})",
            mail::escaped(&tried.site.name),
            tried.site.place
        );
        for lookup in &tried.lookups {
            let mark = if lookup.failed { "FAIL" } else { "ok" };
            say!(
                "  {mark:<4} {}: {}",
                mail::escaped(&lookup.what),
                mail::escaped(&lookup.found)
            );
        }
        if let Plan::Stop(outcome) | Plan::Otherwise(outcome) = &tried.plan {
            say!(
                "  FAIL no way: {}",
                mail::escaped(&outcome.reply().to_string())
            );
        }
        print_hosts(&tried.trials);
    }
    let (word, text) = match way.verdict() {
        Verdict::Taken(text) => ("would be taken by", text),
        Verdict::Refused(text) => ("would be bounced:", text),
        Verdict::Waits(text) => ("would wait:", text),
    };
    say!(
        "mail for {} {word} {}",
        mail::escaped(way.recipient.as_str()),
        mail::escaped(&text)
    );
}

fn print_hosts(trials: &[Trial]) {
    if trials.is_empty() {
        return;
    }
    let mut heading = vec!["host"];
    heading.extend(Step::ALL.map(Step::name));
    let row = |trial: &Trial| {
        let mut row = vec![trial.hop.to_string()];
        row.extend(Step::ALL.map(|step| cell(trial, step)));
        row
    };
    output::table(&heading, &trials.iter().map(row).collect::<Vec<_>>());
    for trial in trials {
        if let Some((step, why)) = failure(trial) {
            let (host, step_name) = (trial.hop.to_string(), step.name());
            say!(
                "{} fails at {step_name}: {}",
                mail::escaped(&host),
                mail::escaped(&why)
            );
            say!("    {}", advice(trial, step));
        }
    }
}

/// The worst of all ways: who gets nothing decides.
fn exit_code(ways: &[Way]) -> ExitCode {
    let codes: Vec<u8> = (ways.iter())
        .map(|way| match way.verdict() {
            Verdict::Taken(_) => 0,
            Verdict::Refused(_) => 1,
            Verdict::Waits(_) => 75,
        })
        .collect();
    let worst = [1, 75].into_iter().find(|code| codes.contains(code));
    ExitCode::from(worst.unwrap_or(0))
}
