//! `gatepost import ...`: another server's configuration as ours.
//!
//! What comes out has been read by the reader of configurations; here the open-relay battery is played on it
//! before anything is written.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use daemon::api::RelayProof;
use engine::Setup;
use import::{FILE_BYTES_MAX, Imported, Report, Row, Sources};
use relay_audit::prove::{Judgement, Parts, prove};

use crate::cli::{Cli, ImportSource, ImportTo};
use crate::exit::{Failure, Outcome};
use crate::output::{self, say};

pub fn command(cli: &Cli, source: &ImportSource) -> Outcome {
    let environment = daemon::environment();
    let (imported, to) = match source {
        ImportSource::Postfix { directory, to } => {
            let folder = Folder(directory.clone());
            (import::postfix(&folder, &environment), to)
        }
        ImportSource::Iis { file, to } => {
            let unreadable =
                |why| Failure::Configuration(format!("cannot read {}: {why}", file.display()));
            let octets = read_file(file).map_err(unreadable)?;
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            (import::iis(&name, &octets, &environment), to)
        }
    };
    let imported = imported.map_err(|refused| Failure::Configuration(refused.to_string()))?;
    let judgement = proved(&imported.configuration)?;
    write(cli, to, &imported, judgement)
}

/// The folder of the source. A path that is absolute leads out of it.
struct Folder(PathBuf);

impl Sources for Folder {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        read_file(&self.0.join(path)).ok()
    }
}

/// A file, but for devices and pipes, which may have no end, and what is too large.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut octets = Vec::new();
    // One more than may be, by which the reader knows that it is too large.
    let most = FILE_BYTES_MAX as u64 + 1;
    File::open(path)?.take(most).read_to_end(&mut octets)?;
    Ok(octets)
}

/// Plays the battery on what came out.
fn proved(text: &str) -> Result<Judgement, Failure> {
    let loaded = config::parse("gatepost.toml", text, &daemon::environment());
    let loaded = loaded.map_err(|wrong| Failure::Configuration(wrong.to_string()))?;
    let setup = Setup::new(loaded.config);
    let listeners = setup.config.listeners.iter();
    let sessions = listeners.filter_map(|listener| setup.sessions.get(&listener.name));
    let judgement = RelayProof::judgement(&prove(sessions, &Parts::default()));
    if judgement == Judgement::Open {
        let why = "strangers could relay by what came out, so nothing is written; `gatepost relay prove` on it says how";
        return Err(Failure::Configuration(why.to_owned()));
    }
    Ok(judgement)
}

fn write(cli: &Cli, to: &ImportTo, imported: &Imported, judgement: Judgement) -> Outcome {
    for path in [&to.output, &to.report].into_iter().flatten() {
        if path.exists() && !to.force {
            let path = path.display();
            return Err(Failure::No(format!(
                "{path} is there already; --force writes over it"
            )));
        }
    }
    if let Some(path) = &to.output {
        write_file(path, &imported.configuration)?;
    }
    let table = format!(
        "{}\nrelay proof: {}\n",
        imported.report,
        RelayProof::word(judgement)
    );
    if let Some(path) = &to.report {
        write_file(path, &table)?;
    }
    if cli.json {
        return output::json(&serde_json::json!({
            "configuration": imported.configuration,
            "report": rows(&imported.report),
            "warnings": imported.warnings,
            "proof": RelayProof::word(judgement),
        }));
    }
    if to.output.is_none() {
        say!("{}", imported.configuration.trim_end());
    }
    for warning in &imported.warnings {
        eprintln!("{warning}");
    }
    if to.report.is_none() {
        eprint!("{table}");
    }
    Ok(ExitCode::SUCCESS)
}

fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    let written = if path.exists() {
        daemon::write_configuration(path, text)
    } else {
        File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()))
    };
    written.map_err(|why| Failure::Temporary(format!("cannot write {}: {why}", path.display())))
}

fn rows(report: &Report) -> Vec<serde_json::Value> {
    let row = |row: &Row| {
        serde_json::json!({
            "fate": row.fate.as_str(),
            "file": row.origin.file,
            "line": row.origin.line,
            "setting": row.origin.name,
            "option": row.option,
            "why": row.why,
        })
    };
    report.rows().iter().map(row).collect()
}
