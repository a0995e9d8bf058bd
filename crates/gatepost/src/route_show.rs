//! `gatepost route show`: where mail for an address goes, by the code that delivery asks.

mod fact;
mod settings;
mod words;

use std::process::ExitCode;
use std::sync::Arc;

use config::Shown;
use lookups::OfflineLookups;
use mail::{Mailbox, Outcome as Delivery, ReversePath};
use relay_policy::{DomainKind, Forward, OnDemand, Rules, rule_for};
use route::{Hop, Plan, Site, TlsDemand};
use serde_json::{Value, json};

use self::fact::Fact;
use self::settings::Settings;
use self::words::{next_hop, security};
use crate::cli::Cli;
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{output, relay_check, run};

/// The widest text after which the places still stand in one column.
const TEXT_WIDTH_MAX: usize = 100;

/// Where mail for one recipient goes.
struct Way {
    recipient: Mailbox,
    facts: Vec<Fact>,
    site: Site,
    /// To the site, and to those where its mail goes otherwise.
    plans: Vec<Plan>,
}

/// `gatepost route show ADDRESS`
pub fn show(cli: &Cli, address: &str, from: &str) -> Outcome {
    let loaded = run::load(&cli.config)?;
    let address = Mailbox::parse_recipient(address)
        .map_err(|why| Failure::Usage(format!("{address}: {why}")))?;
    let mut config = loaded.config;
    let shown = std::mem::take(&mut config.shown);
    let from = sender(from)?;
    let rules = Arc::clone(&config.rules);
    let recipient = relay_check::meant(&config, &rules, &address);
    taken(&rules, &recipient)?;
    let lookups = OfflineLookups::new(config).map_err(Failure::Configuration)?;
    let targets = rules.forwards.targets(&recipient, |_| true);
    let targets = targets.unwrap_or_default();
    let ways: Vec<Way> = if targets.is_empty() {
        let facts = own_domain(&rules, &recipient);
        vec![way(&lookups, &shown, &from, recipient, facts)]
    } else {
        let way = |(to, forward)| {
            let facts = forwarded(&rules, &recipient, &to, forward);
            way(&lookups, &shown, &from, to, facts)
        };
        targets.into_iter().map(way).collect()
    };
    if cli.json {
        let ways: Vec<Value> = ways.iter().map(as_json).collect();
        output::json(&json!({ "address": address.as_str(), "ways": ways }))?;
    } else {
        print(&ways);
    }
    Ok(exit_code(&ways))
}

/// The sender that `--from` names.
pub fn sender(text: &str) -> Result<ReversePath, Failure> {
    let path = ReversePath::parse(text.trim_matches(['<', '>']));
    path.map_err(|why| Failure::Usage(format!("--from {text}: {why}")))
}

/// Whether anything goes to the recipient by this name at all.
pub fn taken(rules: &Rules, recipient: &Mailbox) -> Result<(), Failure> {
    let rewriting = rules.rewriting.as_ref();
    if let Some(rewriting) = rewriting.filter(|rewriting| rewriting.is_for(recipient)) {
        return Err(Failure::No(format!(
            "{recipient} stands for the sender of a forwarded message: bounces to it go there ({})",
            rewriting.place
        )));
    }
    match rule_for(rules, recipient) {
        Some(rule) if rule.kind == DomainKind::Blocked => Err(Failure::No(format!(
            "nothing is taken for {recipient}: {} is a blocked domain ({})",
            rule.name, rule.place
        ))),
        Some(_) | None => Ok(()),
    }
}

/// What the recipient's domain is to us.
fn own_domain(rules: &Rules, recipient: &Mailbox) -> Vec<Fact> {
    let rule = rule_for(rules, recipient);
    let fact = rule.map(|rule| {
        let text = format!("{}, a {} domain", rule.name, rule.kind.as_str());
        Fact::at("domain", text, &rule.place)
    });
    fact.into_iter().collect()
}

/// How mail for `from` comes to `to`.
fn forwarded(rules: &Rules, from: &Mailbox, to: &Mailbox, forward: &Forward) -> Vec<Fact> {
    let text = if from == to {
        format!("{from} keeps it as well")
    } else {
        format!("{from} goes on to {to}")
    };
    let mut facts = vec![Fact::at("forwarded", text, &forward.place)];
    let own = own_domain(rules, to);
    if let (true, Some(rewriting)) = (own.is_empty(), &rules.rewriting) {
        let text = format!("rewritten at {}, but for senders of ours", rewriting.domain);
        facts.push(Fact::at("sender", text, &rewriting.place));
    }
    facts.extend(own);
    facts
}

/// The way to `recipient`, for mail of somebody of ours; `facts` are those that led there.
fn way(
    lookups: &OfflineLookups,
    shown: &[Shown],
    from: &ReversePath,
    recipient: Mailbox,
    mut facts: Vec<Fact>,
) -> Way {
    let routes = &lookups.config().routes;
    if let Some(filter) = routes.filter() {
        let text = format!("{}, before it goes on", filter.name);
        facts.push(Fact::at("filter", text, &filter.place));
    }
    let site = routes.site_from(from.mailbox(), recipient.host());
    if routes.has_senders() && from.mailbox().is_none() && facts.is_empty() {
        let text = "a [[sender_route]] may say otherwise: ask with --from SENDER";
        facts.push(Fact::found("by sender", text.to_owned()));
    }
    let rule = rule_for(&lookups.config().rules, &recipient);
    let on_demand = rule.and_then(|rule| rule.on_demand.as_ref());
    facts.extend(on_demand.map(asked_for));
    // Where nobody is to be sent to, there is nothing to be shown of that.
    let is_sent = on_demand.is_none_or(|on_demand| on_demand.has_route);
    let (mut plans, mut turn) = (Vec::new(), is_sent.then_some(("site", &site)));
    while let Some((name, site)) = turn {
        let text = format!("{}, {}", site.name, next_hop(&site.next_hop));
        facts.push(Fact::at(name, text, &site.place));
        let settings = Settings {
            config: lookups.config(),
            shown,
            site,
            recipient: &recipient,
        };
        let lookups::Way { demand, plan, .. } = lookups.way(site, &recipient);
        facts.extend(hosts(&plan, demand));
        if !matches!(plan, Plan::Directory(_)) {
            facts.extend(settings.of_senders());
            facts.extend(settings.of_connections(demand));
            // What goes elsewhere for want of a host is counted where it was to go.
            if plans.is_empty() {
                facts.extend(settings.of_limits());
            }
        }
        let goes_on = matches!(plan, Plan::Hops(_) | Plan::Otherwise(_));
        plans.push(plan);
        let otherwise = site.otherwise.as_deref().filter(|_| goes_on);
        turn = otherwise.map(|site| ("if not reached", site));
    }
    facts.extend(match rule.filter(|_| on_demand.is_some()) {
        Some(rule) => settings::of_waiting(shown, rule),
        None => settings::of_retries(shown),
    });
    Way {
        recipient,
        facts,
        site,
        plans,
    }
}

/// That mail waits until somebody asks for it.
fn asked_for(on_demand: &OnDemand) -> Fact {
    let text = if on_demand.has_route {
        "waits until somebody asks by ETRN, and is sent once then, or by ATRN"
    } else {
        "waits until somebody asks by ATRN"
    };
    Fact::at("on demand", text.to_owned(), &on_demand.place)
}

/// What is tried, in order; or why nothing is.
fn hosts(plan: &Plan, demand: TlsDemand) -> Vec<Fact> {
    match plan {
        Plan::Hops(hops) => {
            let host = |hop| Fact::found("host", format!("{hop}, {}", security(hop, demand)));
            hops.iter().map(host).collect()
        }
        Plan::Directory(path) => vec![Fact::found("directory", path.display().to_string())],
        Plan::Stop(outcome) | Plan::Otherwise(outcome) => {
            vec![Fact::found("no way", outcome.reply().to_string())]
        }
        Plan::Ask(_) => vec![Fact::found(
            "no way",
            "it could not be found out".to_owned(),
        )],
    }
}

fn print(ways: &[Way]) {
    for (number, way) in ways.iter().enumerate() {
        if number > 0 {
            say!("");
        }
        say!("{}", mail::escaped(way.recipient.as_str()));
        let widths = way.facts.iter().map(|fact| fact.text.chars().count());
        let width = widths.filter(|w| *w <= TEXT_WIDTH_MAX).max().unwrap_or(0);
        for fact in &way.facts {
            let place = fact.place.as_ref().map(ToString::to_string);
            let place = place.unwrap_or_default();
            let text = mail::escaped(&fact.text).to_string();
            let line = format!("  {:<15} {text:<width$}  {place}", fact.name);
            say!("{}", line.trim_end());
        }
    }
}

fn as_json(way: &Way) -> Value {
    let fact = |fact: &Fact| {
        let place = fact.place.as_ref().map(ToString::to_string);
        json!({ "name": fact.name, "text": fact.text, "place": place })
    };
    let hops = way.plans.iter().flat_map(|plan| match plan {
        Plan::Hops(hops) => hops.as_slice(),
        Plan::Ask(_) | Plan::Directory(_) | Plan::Stop(_) | Plan::Otherwise(_) => &[],
    });
    let host = |hop: &Hop| {
        json!({
            "name": hop.name,
            "address": hop.address.ip().to_string(),
            "port": hop.address.port(),
        })
    };
    let answer = way.plans.iter().find_map(|plan| match plan {
        Plan::Stop(outcome) => Some(outcome.reply().to_string()),
        Plan::Ask(_) | Plan::Hops(_) | Plan::Directory(_) | Plan::Otherwise(_) => None,
    });
    json!({
        "recipient": way.recipient.as_str(),
        "site": &*way.site.name,
        "place": way.site.place.to_string(),
        "hosts": hops.map(host).collect::<Vec<_>>(),
        "answer": answer,
        "facts": way.facts.iter().map(fact).collect::<Vec<_>>(),
    })
}

/// The worst of all ways: who gets nothing decides. Of a way the first plan that is not left to the
/// next one.
fn exit_code(ways: &[Way]) -> ExitCode {
    let code = |plan: &Plan| match plan {
        Plan::Hops(_) | Plan::Directory(_) | Plan::Stop(Delivery::Delivered(_)) => Some(0),
        Plan::Ask(_) | Plan::Stop(Delivery::Deferred(_)) => Some(75),
        Plan::Stop(Delivery::Failed(_)) => Some(1),
        Plan::Otherwise(_) => None,
    };
    let codes = ways
        .iter()
        .filter_map(|way| way.plans.iter().find_map(code));
    let codes: Vec<u8> = codes.collect();
    let worst = [1, 75].into_iter().find(|code| codes.contains(code));
    ExitCode::from(worst.unwrap_or(0))
}
