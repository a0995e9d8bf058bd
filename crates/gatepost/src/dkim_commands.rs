mod rotate;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dkim::{Algorithm, Answer, KeyFault, PrivateKey, Publication, PublishedKey, Reason};
use engine::Setup;
use lookups::OfflineLookups;
use mail::Domain;
use serde_json::json;

use crate::cli::{Cli, DkimVerb};
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{account, output, run};

/// No file of a key is larger; a wrong path may lead to a log.
const KEY_BYTES_MAX: u64 = 64 << 10;

/// `gatepost dkim ...`
pub fn command(cli: &Cli, verb: &DkimVerb) -> Outcome {
    match verb {
        DkimVerb::Keygen {
            domain,
            selector,
            ed25519,
            out,
        } => {
            let algorithm = if *ed25519 {
                Algorithm::Ed25519Sha256
            } else {
                Algorithm::RsaSha256
            };
            make_key(cli, domain, selector.as_ref(), algorithm, out)
        }
        DkimVerb::Check {
            domain,
            selector,
            key,
        } => check(cli, domain, selector, key),
        DkimVerb::Rotate { domain } => rotate::rotate(cli, domain),
    }
}

/// `gatepost dkim keygen`
fn make_key(
    cli: &Cli,
    domain: &Domain,
    selector: Option<&Domain>,
    algorithm: Algorithm,
    directory: &Path,
) -> Outcome {
    // Two keys at one name count as none, so those of two kinds stand at two.
    let selector = selector.map_or(algorithm.key_kind(), Domain::as_str);
    let selector = Domain::parse(selector).map_err(|error| Failure::Usage(error.to_string()))?;
    let owner = run::load(&cli.config)?.config.user.name;
    let (file, record) = new_key(directory, &selector, domain, algorithm, &owner)?;
    if cli.json {
        return output::json(&json!({
            "file": file,
            "name": record.name.as_str(),
            "text": record.text,
        }));
    }
    say!("{}", file.display());
    say!("{}", record.zone_line());
    Ok(ExitCode::SUCCESS)
}

/// Makes a key and its file, in which there must be none; gives the file and the record for it.
fn new_key(
    directory: &Path,
    selector: &Domain,
    domain: &Domain,
    algorithm: Algorithm,
    owner: &str,
) -> Result<(PathBuf, PublishedKey), Failure> {
    let failed = |fault: KeyFault| Failure::No(fault.to_string());
    let key = PrivateKey::generate(algorithm).map_err(failed)?;
    let record = PublishedKey::of(domain, selector, &key).map_err(failed)?;
    let file = key_file(directory, selector, domain);
    let text = key.to_pem().map_err(failed)?;
    write_new(directory, &file, &text, owner)
        .map_err(|error| Failure::No(format!("{}: {error}", file.display())))?;
    Ok((file, record))
}

/// The record for the key of a domain in `directory`, which is made for the account `owner` where
/// there is none.
///
/// # Errors
/// It cannot be made, or the one that is there cannot be read.
pub fn find_or_make(
    directory: &Path,
    selector: &Domain,
    domain: &Domain,
    algorithm: Algorithm,
    owner: &str,
) -> Result<PublishedKey, Failure> {
    let file = key_file(directory, selector, domain);
    if !file.exists() {
        return new_key(directory, selector, domain, algorithm, owner).map(|(_, record)| record);
    }
    PublishedKey::of(domain, selector, &read_key(&file)?)
        .map_err(|fault| Failure::No(format!("{}: {fault}", file.display())))
}

/// Where a key of a domain is kept.
fn key_file(directory: &Path, selector: &Domain, domain: &Domain) -> PathBuf {
    directory.join(format!("{selector}.{domain}.key"))
}

fn write_new(directory: &Path, file: &Path, text: &str, owner: &str) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => account::give(&File::open(directory)?, owner)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    file.write_all(text.as_bytes())?;
    account::give(&file, owner)?;
    file.sync_all()
}

/// `gatepost dkim check`
fn check(cli: &Cli, domain: &Domain, selector: &Domain, file: &Path) -> Outcome {
    let failed = |why: &dyn std::fmt::Display| Failure::No(format!("{}: {why}", file.display()));
    let key = read_key(file)?;
    let record = PublishedKey::of(domain, selector, &key).map_err(|fault| failed(&fault))?;
    let config = run::load(&cli.config)?.config;
    let lookups = OfflineLookups::new(Setup::new(config)).map_err(Failure::Configuration)?;
    let (answer, why) = match lookups.run(lookups.inquiries().texts(record.name.as_str())) {
        Ok(texts) => (Answer::Texts(texts), None),
        Err(why) => (Answer::CannotTell, Some(why)),
    };
    let found = record.compare(&answer);
    let (mut said, code) = told(found);
    if let Some(why) = why {
        said = format!("{said}: {why}");
    }
    if cli.json {
        output::json(&json!({
            "name": record.name.as_str(),
            "published": code == 0,
            "found": said,
            "text": record.text,
        }))?;
    } else {
        say!("{}: {}", record.name, mail::escaped(&said));
        if code == 1 {
            say!("publish: {}", record.zone_line());
        }
    }
    Ok(ExitCode::from(code))
}

fn read_key(file: &Path) -> Result<PrivateKey, Failure> {
    let failed = |why: &dyn std::fmt::Display| Failure::No(format!("{}: {why}", file.display()));
    let text = config::read_file(file, KEY_BYTES_MAX).map_err(|error| failed(&error))?;
    PrivateKey::from_pem(&text).map_err(|fault| failed(&fault))
}

/// What is said of what was found, and the exit code.
fn told(found: Publication) -> (String, u8) {
    match found {
        Publication::Published => ("published".to_owned(), 0),
        Publication::Testing => (
            "published as a trial (t=y): what it signs counts for nothing".to_owned(),
            0,
        ),
        Publication::OtherKey => ("another key is published".to_owned(), 1),
        Publication::Unusable(Reason::CannotTell) => (Reason::CannotTell.to_string(), 75),
        Publication::Unusable(reason) => (reason.to_string(), 1),
    }
}
