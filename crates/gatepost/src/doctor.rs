//! `gatepost doctor`: what keeps the relay from its work, and what to do about it.

use std::process::ExitCode;

use daemon::api::Status;
use daemon::diagnosis::dns::Mark;
use daemon::diagnosis::doctor::{Examined, Request, examine};
use engine::Setup;
use lookups::OfflineLookups;
use mail::Domain;
use serde_json::json;

use crate::cli::{Cli, DoctorArguments};
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{output, run, status};

/// In place of whom to ask: nobody.
const OFF: &str = "off";

/// Runs the command.
pub fn command(cli: &Cli, arguments: &DoctorArguments) -> Outcome {
    let config = run::load(&cli.config)?.config;
    let running = status::remote(cli).get::<Status>("/v1/status").ok();
    let request = request(arguments, running.map(|status| status.pid))?;
    let lookups = OfflineLookups::new(Setup::new(config)).map_err(Failure::Configuration)?;
    let examined = lookups.run(examine(lookups.inquiries(), &request));
    if cli.json {
        let findings: Vec<_> = examined.iter().map(as_json).collect();
        output::json(&json!({ "findings": findings }))?;
    } else {
        tell(&examined);
    }
    let marked = |mark| examined.iter().any(|one| one.finding.mark == mark);
    Ok(if marked(Mark::Fail) {
        ExitCode::from(1)
    } else if marked(Mark::CannotTell) {
        ExitCode::from(75)
    } else {
        ExitCode::SUCCESS
    })
}

fn request(arguments: &DoctorArguments, running: Option<u32>) -> Result<Request, Failure> {
    let domain = |text: &str| {
        Domain::parse(text).map_err(|why| Failure::Usage(format!("`{text}` is no domain: {why}")))
    };
    let wanted = |text: &&str| *text != OFF;
    let lists = arguments.block_list.iter().map(String::as_str);
    Ok(Request {
        addresses: arguments.address.clone(),
        probe: Some(&*arguments.probe)
            .filter(wanted)
            .map(domain)
            .transpose()?,
        time_server: Some(&*arguments.time_server)
            .filter(wanted)
            .map(str::to_owned),
        block_lists: lists.filter(wanted).map(domain).collect::<Result<_, _>>()?,
        running,
    })
}

fn as_json(examined: &Examined) -> serde_json::Value {
    let finding = &examined.finding;
    json!({
        "result": finding.mark.as_str(),
        "subject": finding.subject,
        "what": finding.what,
        "text": finding.text,
        "cure": examined.cure,
    })
}

/// A table, and below it a cure for each trouble.
fn tell(examined: &[Examined]) {
    let row = |one: &Examined| {
        let finding = &one.finding;
        vec![
            finding.mark.as_str().to_owned(),
            finding.what.to_owned(),
            finding.subject.clone(),
            finding.text.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = examined.iter().map(row).collect();
    output::table(&["", "what", "of", "found"], &rows);
    let cures = examined.iter().filter_map(|one| {
        let finding = &one.finding;
        let cure = one.cure.as_ref()?;
        Some(format!("{} {}: {cure}", finding.what, finding.subject))
    });
    for (at, cure) in cures.enumerate() {
        if at == 0 {
            say!("\nWhat to do:");
        }
        say!("  {}", mail::escaped(&cure));
    }
}
