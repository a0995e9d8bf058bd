//! `gatepost test delivery`: every host to which mail for an address may go, tried as far as RCPT.

mod advice;
mod lookup;
mod stages;

use std::process::ExitCode;
use std::sync::Arc;

use delivery::{Stage, Submitted};
use lookups::{OfflineLookups, Trial};
use mail::{Mailbox, Outcome as Delivery, Reply, ReversePath};
use route::{Plan, Site};
use serde_json::{Value, json};

use self::advice::advice;
use self::lookup::Lookup;
use self::stages::{Step, cell, failure, word};
use crate::cli::{Cli, TestDelivery};
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{output, relay_check, route_show, run};

/// What would become of mail for one recipient.
struct Way {
    recipient: Mailbox,
    /// The site, and those where its mail goes otherwise.
    sites: Vec<Tried>,
}

/// A site, and its hosts as they were tried.
struct Tried {
    site: Site,
    lookups: Vec<Lookup>,
    plan: Plan,
    trials: Vec<Trial>,
}

/// What would become of it.
enum Verdict {
    /// It would be taken; by whom.
    Taken(String),
    /// It would be bounced; why.
    Refused(String),
    /// It would wait; why.
    Waits(String),
}

/// `gatepost test delivery ADDRESS`
pub fn deliver(cli: &Cli, arguments: &TestDelivery) -> Outcome {
    let config = run::load(&cli.config)?.config;
    let address = Mailbox::parse_recipient(&arguments.address)
        .map_err(|why| Failure::Usage(format!("{}: {why}", arguments.address)))?;
    let from = route_show::sender(&arguments.from)?;
    let rules = Arc::clone(&config.rules);
    let recipient = relay_check::meant(&config, &rules, &address);
    route_show::taken(&rules, &recipient)?;
    let lookups = OfflineLookups::new(config).map_err(Failure::Configuration)?;
    let targets = rules.forwards.targets(&recipient, |_| true);
    let mut recipients: Vec<Mailbox> = (targets.into_iter().flatten())
        .map(|(target, _)| target)
        .collect();
    if recipients.is_empty() {
        recipients.push(recipient);
    }
    let way = |recipient| way(&lookups, &from, recipient);
    let ways: Vec<Way> = recipients.into_iter().map(way).collect();
    if cli.json {
        let ways: Vec<Value> = ways.iter().map(as_json).collect();
        output::json(&json!({ "address": address.as_str(), "recipients": ways }))?;
    } else {
        ways.iter().for_each(print);
    }
    Ok(exit_code(&ways))
}

fn way(lookups: &OfflineLookups, from: &ReversePath, recipient: Mailbox) -> Way {
    let routes = &lookups.config().routes;
    let first = routes.site_from(from.mailbox(), recipient.host());
    let (mut sites, mut turn) = (Vec::new(), Some(&first));
    while let Some(site) = turn {
        let tried = tried(lookups, site, from, &recipient);
        let goes_on = matches!(tried.plan, Plan::Hops(_) | Plan::Otherwise(_));
        sites.push(tried);
        turn = site.otherwise.as_deref().filter(|_| goes_on);
    }
    Way { recipient, sites }
}

fn tried(lookups: &OfflineLookups, site: &Site, from: &ReversePath, recipient: &Mailbox) -> Tried {
    let lookups::Way { plan, answers, .. } = lookups.way(site, recipient);
    // As a message of somebody of ours: nobody is known who would have signed in.
    let submitted = Submitted {
        sender: from,
        client: "",
        user: None,
        from_stranger: false,
    };
    let sent_as = lookups.config().send_as.sent_as(&submitted, &site.name);
    let from = sent_as.map_or(from.clone(), |sent_as| ReversePath::Mailbox(sent_as.sender));
    let trials = match &plan {
        Plan::Hops(hops) => lookups.try_hosts(site, hops, &from, recipient),
        Plan::Ask(_) | Plan::Directory(_) | Plan::Stop(_) | Plan::Otherwise(_) => Vec::new(),
    };
    Tried {
        site: site.clone(),
        lookups: lookup::lookups(&answers),
        plan,
        trials,
    }
}

impl Way {
    /// As delivery would have it: the first host decides that has a word to say on the message.
    fn verdict(&self) -> Verdict {
        let decided = self.sites.iter().find_map(Tried::verdict);
        decided.unwrap_or_else(|| {
            let mut trials = self.sites.iter().flat_map(|tried| &tried.trials);
            let last = trials.next_back();
            let why = last.and_then(failure).map(|(_, why)| why);
            Verdict::Waits(why.unwrap_or_else(|| "there is no host to connect to".to_owned()))
        })
    }
}

impl Tried {
    /// `None`: its mail goes elsewhere, or waits when there is nowhere else.
    fn verdict(&self) -> Option<Verdict> {
        match &self.plan {
            Plan::Hops(_) => self.trials.iter().find_map(|trial| {
                let reply = word(trial)?;
                Some(by_reply(reply, &trial.hop.to_string()))
            }),
            Plan::Directory(path) => Some(Verdict::Taken(path.display().to_string())),
            Plan::Stop(Delivery::Delivered(delivery)) => {
                Some(Verdict::Taken(delivery.reply.to_string()))
            }
            Plan::Stop(Delivery::Deferred(failure)) => {
                Some(Verdict::Waits(failure.reply.to_string()))
            }
            Plan::Stop(Delivery::Failed(failure)) => {
                Some(Verdict::Refused(failure.reply.to_string()))
            }
            Plan::Ask(_) => Some(Verdict::Waits("the way cannot be found out".to_owned())),
            Plan::Otherwise(_) => None,
        }
    }
}

fn by_reply(reply: &Reply, host: &str) -> Verdict {
    if reply.is_positive() {
        Verdict::Taken(host.to_owned())
    } else if reply.is_permanent() {
        Verdict::Refused(format!("{host} said {reply}"))
    } else {
        Verdict::Waits(format!("{host} said {reply}"))
    }
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

fn as_json(way: &Way) -> Value {
    let (word, text) = match way.verdict() {
        Verdict::Taken(text) => ("taken", text),
        Verdict::Refused(text) => ("refused", text),
        Verdict::Waits(text) => ("waits", text),
    };
    let site = |tried: &Tried| {
        let way = match &tried.plan {
            Plan::Stop(outcome) | Plan::Otherwise(outcome) => Some(outcome.reply().to_string()),
            Plan::Ask(_) | Plan::Hops(_) | Plan::Directory(_) => None,
        };
        json!({
            "site": &*tried.site.name,
            "place": tried.site.place.to_string(),
            "lookups": tried.lookups.iter().map(Lookup::as_json).collect::<Vec<_>>(),
            "no_way": way,
            "hosts": tried.trials.iter().map(host_as_json).collect::<Vec<_>>(),
        })
    };
    json!({
        "recipient": way.recipient.as_str(),
        "verdict": word,
        "text": text,
        "sites": way.sites.iter().map(site).collect::<Vec<_>>(),
    })
}

fn host_as_json(trial: &Trial) -> Value {
    let stages = Step::ALL.map(|step| (step.name().to_owned(), json!(cell(trial, step))));
    let failure = failure(trial);
    let advice = failure.as_ref().map(|(step, _)| advice(trial, *step));
    let (failed_at, reason) = failure.map(|(step, why)| (step.name(), why)).unzip();
    let said = |(_, reply): &(Stage, Reply)| reply.to_string();
    json!({
        "name": trial.hop.name,
        "address": trial.hop.address.ip().to_string(),
        "port": trial.hop.address.port(),
        "stages": stages.into_iter().collect::<serde_json::Map<_, _>>(),
        "failed_at": failed_at,
        "reason": reason,
        "advice": advice,
        "replies": trial.heard.iter().map(said).collect::<Vec<_>>(),
    })
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
