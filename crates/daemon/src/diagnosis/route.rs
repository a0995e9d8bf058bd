//! Where mail for an address goes, by the code that delivery asks.

mod fact;
mod settings;
mod words;

use std::sync::Arc;

use lookups::Inquiries;
use mail::{Mailbox, ReversePath};
use relay_policy::{DomainKind, Forward, OnDemand, Rules, rule_for};
use route::{Plan, Site, TlsDemand};

pub use self::fact::Fact;
use self::settings::Settings;
use self::words::{next_hop, security};
use super::{Fault, relay_check};

/// Where mail for one recipient goes.
pub struct Way {
    /// The recipient, after forwarding.
    pub recipient: Mailbox,
    /// What is so, each with the line that says it.
    pub facts: Vec<Fact>,
    /// The site.
    pub site: Site,
    /// To the site, and to those where its mail goes otherwise.
    pub plans: Vec<Plan>,
}

/// Where mail from `from` for `address` goes.
///
/// # Errors
/// Nothing is taken for it.
pub async fn show(
    inquiries: &Inquiries,
    from: &ReversePath,
    address: &Mailbox,
) -> Result<Vec<Way>, Fault> {
    let config = inquiries.config();
    let rules = Arc::clone(&config.rules);
    let recipient = relay_check::meant(config, &rules, address);
    taken(&rules, &recipient)?;
    let targets = rules.forwards.targets(&recipient, |_| true);
    let targets = targets.unwrap_or_default();
    if targets.is_empty() {
        let facts = own_domain(&rules, &recipient);
        return Ok(vec![way(inquiries, from, recipient, facts).await]);
    }
    let mut ways = Vec::new();
    for (to, forward) in targets {
        let facts = forwarded(&rules, &recipient, &to, forward);
        ways.push(way(inquiries, from, to, facts).await);
    }
    Ok(ways)
}

/// Whether anything goes to the recipient by this name at all.
pub(super) fn taken(rules: &Rules, recipient: &Mailbox) -> Result<(), Fault> {
    let rewriting = rules.rewriting.as_ref();
    if let Some(rewriting) = rewriting.filter(|rewriting| rewriting.is_for(recipient)) {
        return Err(Fault::No(format!(
            "{recipient} stands for the sender of a forwarded message: bounces to it go there ({})",
            rewriting.place
        )));
    }
    match rule_for(rules, recipient) {
        Some(rule) if rule.kind == DomainKind::Blocked => Err(Fault::No(format!(
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
async fn way(
    inquiries: &Inquiries,
    from: &ReversePath,
    recipient: Mailbox,
    mut facts: Vec<Fact>,
) -> Way {
    let routes = &inquiries.config().routes;
    if let Some(filter) = routes.filter() {
        let text = format!("{}, before it goes on", filter.name);
        facts.push(Fact::at("filter", text, &filter.place));
    }
    let site = routes.site_from(from.mailbox(), recipient.host());
    if routes.has_senders() && from.mailbox().is_none() && facts.is_empty() {
        let text = "a [[sender_route]] may say otherwise: ask with --from SENDER";
        facts.push(Fact::found("by sender", text.to_owned()));
    }
    let rule = rule_for(&inquiries.config().rules, &recipient);
    let on_demand = rule.and_then(|rule| rule.on_demand.as_ref());
    facts.extend(on_demand.map(asked_for));
    // Where nobody is to be sent to, there is nothing to be shown of that.
    let is_sent = on_demand.is_none_or(|on_demand| on_demand.has_route);
    let (mut plans, mut turn) = (Vec::new(), is_sent.then_some(("site", &site)));
    while let Some((name, site)) = turn {
        let text = format!("{}, {}", site.name, next_hop(&site.next_hop));
        facts.push(Fact::at(name, text, &site.place));
        let settings = Settings {
            config: inquiries.config(),
            site,
            recipient: &recipient,
        };
        let lookups::Way { demand, plan, .. } = inquiries.way(site, &recipient).await;
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
        Some(rule) => settings::of_waiting(inquiries.config(), rule),
        None => settings::of_retries(inquiries.config()),
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
