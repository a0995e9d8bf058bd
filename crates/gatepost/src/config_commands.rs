use std::process::ExitCode;

use config::{Diagnostic, Disk, Severity};

use crate::cli::Cli;
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{machine, output, run};

/// `gatepost config check`
pub fn check(cli: &Cli) -> Outcome {
    let loaded = match config::load(&cli.config, &Disk, &machine::environment()) {
        Ok(loaded) => loaded,
        Err(diagnostics) if cli.json => {
            output::json(&as_json(&diagnostics.0))?;
            return Ok(ExitCode::from(78));
        }
        Err(diagnostics) => return Err(Failure::Configuration(diagnostics.to_string())),
    };
    if cli.json {
        return output::json(&as_json(&loaded.warnings));
    }
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    let config = &loaded.config;
    say!(
        "{}: sound, {} listeners, {} relay tests as expected",
        cli.config.display(),
        config.listeners.len(),
        config.relay_tests.len()
    );
    say!("relay {}", config.posture);
    Ok(ExitCode::SUCCESS)
}

fn as_json(diagnostics: &[Diagnostic]) -> serde_json::Value {
    let of = |severity: Severity| -> Vec<serde_json::Value> {
        let chosen = diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity);
        chosen
            .map(|diagnostic| {
                let location = diagnostic.location.as_ref();
                serde_json::json!({
                    "message": diagnostic.message,
                    "file": location.map(|location| &location.file),
                    "line": location.map(|location| location.line),
                    "column": location.map(|location| location.column),
                    "text": diagnostic.to_string(),
                })
            })
            .collect()
    };
    serde_json::json!({ "errors": of(Severity::Error), "warnings": of(Severity::Warning) })
}

/// `gatepost config show`
pub fn show(cli: &Cli, changed: bool) -> Outcome {
    let loaded = run::load(&cli.config)?;
    if cli.json {
        let rows: Vec<_> = loaded
            .shown
            .iter()
            .map(|shown| {
                serde_json::json!({
                    "key": shown.key,
                    "value": shown.value,
                    "place": shown.place.to_string(),
                })
            })
            .collect();
        return output::json(&rows);
    }
    say!("{}", config::show(&loaded.shown, changed).trim_end());
    Ok(ExitCode::SUCCESS)
}

/// `gatepost config explain KEY`
pub fn explain(key: &str) -> Outcome {
    match config::explain(key) {
        Some(text) => {
            say!("{}", text.trim_end());
            Ok(ExitCode::SUCCESS)
        }
        None => Err(Failure::No(format!("there is no option `{key}`"))),
    }
}
