use std::path::{Path, PathBuf};
use std::process::ExitCode;

use config::{Config, Disk, Loaded};

use crate::cli::Cli;
use crate::exit::{Failure, Outcome};
use crate::machine;

/// Reads the configuration that the command line names; everything that is wrong with it is the
/// failure.
pub fn load(path: &Path) -> Result<Loaded, Failure> {
    config::load(path, &Disk, &machine::environment())
        .map_err(|diagnostics| Failure::Configuration(diagnostics.to_string()))
}

/// `gatepost run`
pub fn run(cli: &Cli) -> Outcome {
    let path = absolute(&cli.config);
    let loaded = load(&path)?;
    let (config, warnings) = split(loaded);
    for warning in &warnings {
        eprintln!("{warning}");
    }
    let again = move || match load(&path) {
        Ok(loaded) => Ok(split(loaded)),
        Err(Failure::Configuration(text) | Failure::No(text)) => Err(text),
        Err(Failure::Unreachable(text) | Failure::Temporary(text) | Failure::Usage(text)) => {
            Err(text)
        }
    };
    let source = daemon::Source {
        load: Box::new(again),
    };
    daemon::run(config, source, Vec::new()).map_err(|error| match error {
        daemon::StartError::Configuration(why) => Failure::Configuration(why),
        daemon::StartError::System(why) => Failure::Temporary(why),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn split(loaded: Loaded) -> (Config, Vec<String>) {
    let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
    (loaded.config, warnings)
}

/// The working directory may be another one by the time of a reload.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
