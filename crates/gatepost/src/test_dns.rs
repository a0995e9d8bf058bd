//! `gatepost test dns`: what an administrator looks at in DNS before mail flows.

use std::net::IpAddr;
use std::process::ExitCode;

use daemon::api::DnsTested;
use daemon::diagnosis::dns::{self, Finding, Mark};
use engine::Setup;
use lookups::OfflineLookups;

use crate::cli::Cli;
use crate::exit::{Failure, Outcome};
use crate::{output, run};

/// `gatepost test dns`; `told` are addresses from which mail goes out, as the command line has them.
pub fn look(cli: &Cli, told: &[IpAddr]) -> Outcome {
    let config = run::load(&cli.config)?.config;
    let lookups = OfflineLookups::new(Setup::new(config)).map_err(Failure::Configuration)?;
    let findings = lookups.run(dns::look(lookups.inquiries(), told));
    if cli.json {
        output::json(&serde_json::json!(DnsTested::of(&findings)))?;
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
