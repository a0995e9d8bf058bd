//! `gatepost doctor`: what keeps the relay from its work, and what to do about it.

use std::process::ExitCode;

use daemon::api::{DoctorFound, Status};
use daemon::diagnosis::dns::Mark;
use daemon::diagnosis::doctor::{Examined, Request, examine};
use engine::Setup;
use lookups::OfflineLookups;

use crate::cli::{Cli, DoctorArguments};
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{output, run, status};

/// Runs the command.
pub fn command(cli: &Cli, arguments: &DoctorArguments) -> Outcome {
    let config = run::load(&cli.config)?.config;
    let running = status::remote(cli).get::<Status>("/v1/status").ok();
    let request = Request::named(
        arguments.address.clone(),
        &arguments.probe,
        &arguments.time_server,
        &arguments.block_list,
        running.map(|status| status.pid),
    );
    let request = request.map_err(Failure::Usage)?;
    let lookups = OfflineLookups::new(Setup::new(config)).map_err(Failure::Configuration)?;
    let examined = lookups.run(examine(lookups.inquiries(), &request));
    if cli.json {
        output::json(&DoctorFound::of(&examined))?;
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
