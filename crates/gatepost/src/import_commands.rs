//! `gatepost import ...`: another server's configuration as ours.
//!
//! What comes out has been read by the reader of configurations; here the open-relay battery is played on it
//! before anything is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use daemon::api::RelayProof;
use engine::Setup;
use import::{
    Environment, Export, FILE_BYTES_MAX, Imported, Refused, Report, Row, Sources, Wishes,
};
use relay_audit::prove::{Judgement, Parts, prove};

use crate::cli::{Cli, ImportExchange, ImportSource, ImportTo};
use crate::exit::{Failure, Outcome};
use crate::output::{self, say};

pub fn command(cli: &Cli, source: &ImportSource) -> Outcome {
    let environment = daemon::environment();
    let (imported, to, read) = match source {
        ImportSource::Postfix { directory, to } => {
            let folder = Folder(directory.clone());
            let read = ["main.cf", "master.cf"].map(|name| directory.join(name));
            (import::postfix(&folder, &environment), to, read.to_vec())
        }
        ImportSource::Iis { file, to } => {
            let octets = named_file(file, FILE_BYTES_MAX)?;
            let imported = import::iis(&name_of(file), &octets, &environment);
            (imported, to, vec![file.clone()])
        }
        ImportSource::Exchange(named) => {
            let imported = exchange(named, &environment)?;
            (imported, &named.to, named.files.clone())
        }
    };
    let imported = imported.map_err(|refused| Failure::Configuration(refused.to_string()))?;
    let judgement = proved(&imported)?;
    write(cli, to, &read, &imported, judgement)
}

fn exchange(
    named: &ImportExchange,
    environment: &Environment,
) -> Result<Result<Imported, Refused>, Failure> {
    let export = |file: &PathBuf| -> Result<Export, Failure> {
        let octets = named_file(file, Export::BYTES_MAX)?;
        let name = name_of(file);
        Ok(Export { name, octets })
    };
    let exports: Result<Vec<Export>, Failure> = named.files.iter().map(export).collect();
    let wishes = Wishes {
        server: named.server.clone(),
        mail_servers: named.mail_servers.clone(),
    };
    Ok(import::exchange(&exports?, &wishes, environment))
}

fn name_of(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// A file that somebody named.
fn named_file(file: &Path, most: usize) -> Result<Vec<u8>, Failure> {
    let unreadable = |why| Failure::Configuration(format!("cannot read {}: {why}", file.display()));
    read_file(file, most).map_err(unreadable)
}

/// The folder of the source. A path that is absolute leads out of it.
struct Folder(PathBuf);

impl Sources for Folder {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        read_file(&self.0.join(path), FILE_BYTES_MAX).ok()
    }
}

/// A file, but for devices and pipes, which may have no end, and what is too large.
fn read_file(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut octets = Vec::new();
    // One more than may be, by which the reader knows that it is too large.
    let most = most as u64 + 1;
    File::open(path)?.take(most).read_to_end(&mut octets)?;
    Ok(octets)
}

/// Plays the battery on what came out.
fn proved(imported: &Imported) -> Result<Judgement, Failure> {
    let loaded = imported.load(&daemon::environment());
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

fn write(
    cli: &Cli,
    to: &ImportTo,
    read: &[PathBuf],
    imported: &Imported,
    judgement: Judgement,
) -> Outcome {
    let lists = lists(cli, to, imported)?;
    let lists_too = lists.iter().map(|(path, _)| path);
    let written: Vec<&PathBuf> = [&to.output, &to.report]
        .into_iter()
        .flatten()
        .chain(lists_too)
        .collect();
    apart(&written, read)?;
    for path in written {
        if path.exists() && !to.force {
            let path = path.display();
            return Err(Failure::No(format!(
                "{path} is there already; --force writes over it"
            )));
        }
    }
    for (path, text) in &lists {
        write_file(path, text)?;
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
            "lists": imported.lists.0.iter().cloned().collect::<BTreeMap<String, String>>(),
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

/// Refuses to write two things into one file, or into one that was read.
fn apart(written: &[&PathBuf], read: &[PathBuf]) -> Result<(), Failure> {
    let mut taken: BTreeSet<PathBuf> = BTreeSet::new();
    let read: BTreeSet<PathBuf> = read.iter().map(|path| whole(path)).collect();
    for path in written {
        let (name, whole) = (path.display(), whole(path));
        let why = match (read.contains(&whole), taken.insert(whole)) {
            (true, _) => "what is imported is not written over",
            (_, false) => "configuration, table and lists of recipients are each a file of its own",
            _ => continue,
        };
        return Err(Failure::Usage(format!("{name}: {why}")));
    }
    Ok(())
}

/// Which file a path means, there already or not.
fn whole(path: &Path) -> PathBuf {
    let folder = || {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
        Some(folder.join(path.file_name()?))
    };
    let there = fs::canonicalize(path).ok().or_else(folder);
    there.unwrap_or_else(|| path.to_owned())
}

/// The lists that belong beside the configuration, with where each goes.
fn lists<'a>(
    cli: &Cli,
    to: &ImportTo,
    imported: &'a Imported,
) -> Result<Vec<(PathBuf, &'a str)>, Failure> {
    let lists = &imported.lists.0;
    match &to.output {
        Some(output) => {
            let beside = lists.iter();
            Ok(beside
                .map(|(name, text)| (output.with_file_name(name), &**text))
                .collect())
        }
        None if lists.is_empty() || cli.json => Ok(Vec::new()),
        None => Err(Failure::Usage(
            "--output FILE is needed: lists of recipients are written beside it".to_owned(),
        )),
    }
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
