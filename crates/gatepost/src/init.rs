//! `gatepost init`: from six answers to a configuration that is checked and proven closed, and to the
//! records that belong in DNS.

mod draft;
mod questions;
mod records;
mod server;
mod text;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use config::Config;
use daemon::api::RelayProof;
use dkim::Algorithm;
use engine::Setup;
use mail::Domain;
use relay_audit::prove::{Judgement, Parts, prove};
use serde_json::json;

use self::draft::Draft;
use self::records::Record;
use crate::cli::{Cli, DEFAULT_CONFIG, InitArguments};
use crate::exit::{Failure, Outcome};
use crate::output::{self, say};
use crate::{account, config_commands, dkim_commands, relay_prove};

/// Runs the command.
pub fn command(cli: &Cli, arguments: &InitArguments) -> Outcome {
    let path = std::path::absolute(&cli.config).unwrap_or_else(|_| cli.config.clone());
    if path.exists() && !arguments.force {
        return Err(Failure::No(format!(
            "{} is there already: give --force to write over it, or another one by --config",
            path.display()
        )));
    }
    let draft = questions::answered(arguments, Draft::new(&path))?;
    let config = draft.configuration().map_err(Failure::Configuration)?;
    let addresses = daemon::environment().addresses;
    let mut records = records::of(&draft, &addresses)?;
    records.extend(keys(&draft, &config.user.name)?);
    write(&path, &draft.text(), &config.user.name)
        .map_err(|why| Failure::No(format!("cannot write {}: {why}", path.display())))?;
    let verdict = proven(draft.configuration().map_err(Failure::Configuration)?);
    // The last thing: from here on we are the relay's account.
    let checked = config_commands::look(cli, config);
    tell(cli, &path, &records, verdict, &checked)?;
    if let Err(problems) = checked {
        return Err(Failure::Configuration(problems));
    }
    Ok(relay_prove::exit_code(verdict))
}

/// What came of it, on standard output.
fn tell(
    cli: &Cli,
    path: &Path,
    records: &[Record],
    verdict: Judgement,
    checked: &Result<Vec<String>, String>,
) -> Result<(), Failure> {
    let warnings = checked.as_deref().unwrap_or_default();
    if cli.json {
        output::json(&json!({
            "file": path,
            "verdict": RelayProof::word(verdict),
            "records": records,
            "warnings": warnings,
        }))?;
        return Ok(());
    }
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    say!("{} is written", path.display());
    relay_prove::conclude(verdict);
    say!("\n; To publish in DNS, as lines of zone files:");
    for record in records {
        say!("{record}");
    }
    let by = if cli.config == Path::new(DEFAULT_CONFIG) {
        String::new()
    } else {
        format!(" --config {}", path.display())
    };
    say!("\nNext: gatepost doctor{by}");
    say!("      gatepost run{by}");
    Ok(())
}

/// The battery on the rules, as `gatepost relay prove` has it.
fn proven(config: Config) -> Judgement {
    let setup = Setup::new(config);
    let listeners = setup.config.listeners.iter();
    let sessions = listeners.filter_map(|listener| setup.sessions.get(&listener.name));
    RelayProof::judgement(&prove(sessions, &Parts::default()))
}

/// A key for each domain, made where there is none, and the record that publishes it.
fn keys(draft: &Draft, owner: &str) -> Result<Vec<Record>, Failure> {
    let algorithm = Algorithm::RsaSha256;
    let selector = Domain::parse(algorithm.key_kind());
    let selector = selector.map_err(|why| Failure::Usage(why.to_string()))?;
    let directory = draft.key_directory();
    if let Some(parent) = directory.parent() {
        make_directory(parent)
            .map_err(|why| Failure::No(format!("{}: {why}", parent.display())))?;
    }
    let record = |domain: &Domain| {
        dkim_commands::find_or_make(&directory, &selector, domain, algorithm, owner)
            .map(|published| Record::dkim(&published))
    };
    draft.domains().iter().map(record).collect()
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// Writes the file, which the relay's account may read.
fn write(path: &Path, text: &str, owner: &str) -> io::Result<()> {
    if path.exists() {
        return daemon::write_configuration(path, text);
    }
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    account::share(&file, owner)?;
    file.sync_all()
}
