//! `gatepost test dns`: what an administrator looks at in DNS before mail flows.

mod domain;
mod finding;
mod ours;

use std::net::IpAddr;
use std::process::ExitCode;

use lookups::OfflineLookups;
use relay_policy::{DomainKind, NamePattern};
use serde_json::{Value, json};

use self::finding::{Finding, Mark};
use self::ours::Ours;
use crate::cli::Cli;
use crate::exit::{Failure, Outcome};
use crate::{machine, output, run};

/// `gatepost test dns`; `told` are addresses from which mail goes out, as the command line has them.
pub fn look(cli: &Cli, told: &[IpAddr]) -> Outcome {
    let config = run::load(&cli.config)?.config;
    let lookups = OfflineLookups::new(config).map_err(Failure::Configuration)?;
    let config = lookups.config();
    let ours = Ours::new(config, &machine::environment().addresses, told);
    let mut findings = ours.look(&lookups);
    for rule in config.rules.domains.rules() {
        match (&rule.pattern, rule.kind) {
            (NamePattern::Exact(name), DomainKind::Remote | DomainKind::Local) => {
                findings.extend(domain::look(&lookups, &ours, name));
            }
            (NamePattern::Exact(_), DomainKind::Blocked)
            | (NamePattern::Below(_) | NamePattern::Any, _) => {}
        }
    }
    if cli.json {
        let findings: Vec<Value> = findings.iter().map(as_json).collect();
        output::json(&json!({ "findings": findings }))?;
    } else {
        let row = |finding: &Finding| {
            vec![
                finding.mark.as_str().to_owned(),
                finding.subject.clone(),
                finding.what.to_owned(),
                finding.text.clone(),
            ]
        };
        let rows: Vec<Vec<String>> = findings.iter().map(row).collect();
        output::table(&["", "of", "what", "found"], &rows);
    }
    let marked = |mark| findings.iter().any(|finding| finding.mark == mark);
    Ok(if marked(Mark::Fail) {
        ExitCode::from(1)
    } else if marked(Mark::CannotTell) {
        ExitCode::from(75)
    } else {
        ExitCode::SUCCESS
    })
}

fn as_json(finding: &Finding) -> Value {
    json!({
        "result": finding.mark.as_str(),
        "subject": finding.subject,
        "what": finding.what,
        "text": finding.text,
    })
}
