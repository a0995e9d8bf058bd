//! `gatepost route show`: where mail for an address goes.

use std::process::ExitCode;

use ::route::Plan;
use daemon::api::RouteShown;
use daemon::diagnosis::route::{self, Way};
use engine::Setup;
use lookups::OfflineLookups;
use mail::{Mailbox, Outcome as Delivery, ReversePath};

use crate::cli::Cli;
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{output, run};

/// The widest text after which the places still stand in one column.
const TEXT_WIDTH_MAX: usize = 100;

/// `gatepost route show ADDRESS`
pub fn show(cli: &Cli, address: &str, from: &str) -> Outcome {
    let config = run::load(&cli.config)?.config;
    let address = Mailbox::parse_recipient(address)
        .map_err(|why| Failure::Usage(format!("{address}: {why}")))?;
    let from = sender(from)?;
    let lookups = OfflineLookups::new(Setup::new(config)).map_err(Failure::Configuration)?;
    let shown = route::show(lookups.inquiries(), &from, &address);
    let ways = lookups.run(shown)?;
    if cli.json {
        output::json(&serde_json::json!(RouteShown::of(&address, &ways)))?;
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
