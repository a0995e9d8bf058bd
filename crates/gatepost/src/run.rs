use std::path::{Path, PathBuf};
use std::process::ExitCode;

use config::{Disk, Files, Loaded};

use crate::cli::Cli;
use crate::console;
use crate::exit::{Failure, Outcome};

/// Reads the configuration that the command line names; everything that is wrong with it is the
/// failure.
pub fn load(path: &Path) -> Result<Loaded, Failure> {
    config::load(path, &Disk, &daemon::environment())
        .map_err(|diagnostics| Failure::Configuration(diagnostics.to_string()))
}

/// `gatepost run`
pub fn run(cli: &Cli) -> Outcome {
    let path = absolute(&cli.config);
    let loaded = load(&path)?;
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    let file = Some(path.clone());
    let again = move |files: &dyn Files| config::load(&path, files, &daemon::environment());
    let source = daemon::Source {
        file,
        load: Box::new(again),
    };
    let beside: daemon::Beside = Box::new(console::open);
    let links: daemon::Beside = Box::new(console::open_links);
    daemon::run(loaded.config, source, vec![beside, links]).map_err(|error| match error {
        daemon::StartError::Configuration(why) => Failure::Configuration(why),
        daemon::StartError::System(why) => Failure::Temporary(why),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The working directory may be another one by the time of a reload.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
