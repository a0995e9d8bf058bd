//! `gatepost log test-syslog`

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::Cli;
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{output, run};

/// `gatepost log test-syslog`
pub fn test(cli: &Cli) -> Outcome {
    let config = run::load(&cli.config)?.config;
    let trials = daemon::try_syslog(&config).map_err(Failure::Temporary)?;
    let failed = trials.iter().any(|trial| trial.result.is_err());
    if cli.json {
        let trials = trials.iter().map(|trial| {
            let (Ok(said) | Err(said)) = &trial.result;
            json!({ "name": trial.name, "to": trial.to, "ok": trial.result.is_ok(), "text": said })
        });
        output::json(&json!({ "servers": trials.collect::<Vec<Value>>() }))?;
    } else {
        for trial in &trials {
            let (mark, said) = match &trial.result {
                Ok(said) => ("ok", said),
                Err(said) => ("FAIL", said),
            };
            let (name, said) = (mail::escaped(&trial.name), mail::escaped(said));
            say!("{mark} {name} ({}): {said}", trial.to);
        }
        if trials.is_empty() {
            say!("the configuration has no [syslog.NAME]");
        }
    }
    Ok(if failed {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}
