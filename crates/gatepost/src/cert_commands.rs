use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use mail::{Certificate, Domain};
use serde::Serialize;
use tls::{Issued, PrivateAuthority, first_certificate};

use crate::cli::{CertVerb, Cli};
use crate::exit::{Failure, Outcome};
use crate::output;
use crate::output::say;

/// What others write down of a certificate, to know it again.
#[derive(Serialize)]
struct Pins {
    names: Box<[Box<str>]>,
    certificate: String,
    key: Option<String>,
    tlsa: Vec<String>,
}

/// `gatepost cert ...`
pub fn command(cli: &Cli, verb: &CertVerb) -> Outcome {
    match verb {
        CertVerb::Fingerprint { file } => fingerprint(cli, file),
        CertVerb::Client {
            name,
            authority,
            out,
            days,
        } => {
            let life = Duration::from_hours(24 * u64::from(*days));
            let made = make_client(name, authority, out.as_deref(), life);
            tell(cli, &made.map_err(Failure::No)?)
        }
    }
}

/// What `gatepost cert client` has written, and what it is called by.
#[derive(Serialize)]
struct Client {
    name: String,
    certificate: PathBuf,
    key: PathBuf,
    authority: PathBuf,
}

fn make_client(
    name: &Domain,
    folder: &Path,
    out: Option<&Path>,
    life: Duration,
) -> Result<Client, String> {
    let name = name.as_str().to_ascii_lowercase();
    let out = out.unwrap_or(folder);
    for folder in [folder, out] {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let authority = folder.join("authority.crt");
    let key_of_authority = folder.join("authority.key");
    if !authority.exists() && !key_of_authority.exists() {
        let made = PrivateAuthority::make(daemon::now())?;
        write_both(&made, &authority, &key_of_authority)?;
    }
    let signer = PrivateAuthority::read(&authority, &key_of_authority)?;
    let made = signer.client(&name, life, daemon::now())?;
    let certificate = out.join(format!("{name}.crt"));
    let key = out.join(format!("{name}.key"));
    write_both(&made, &certificate, &key)?;
    Ok(Client {
        name,
        certificate,
        key,
        authority,
    })
}

/// The key first: without it the certificate is worth nothing.
fn write_both(made: &Issued, certificate: &Path, key: &Path) -> Result<(), String> {
    for (path, text, mode) in [
        (key, &made.key, 0o600),
        (certificate, &made.certificate, 0o644),
    ] {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(mode).open(path);
        let written = file.and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn tell(cli: &Cli, made: &Client) -> Outcome {
    if cli.json {
        return output::json(made);
    }
    say!("certificate  {}", made.certificate.display());
    say!("key          {}", made.key.display());
    say!("authority    {}", made.authority.display());
    say!(
        "The client shows the first two. The relay knows it by the third, which is tls.client_ca,"
    );
    say!(
        "and lets it relay where relay.certificates of a listener names {}.",
        made.name
    );
    Ok(ExitCode::SUCCESS)
}

fn fingerprint(cli: &Cli, file: &Path) -> Outcome {
    let pins = Pins::of(first_certificate(file).map_err(Failure::No)?);
    if cli.json {
        return output::json(&pins);
    }
    if !pins.names.is_empty() {
        say!("{}", pins.names.join(", "));
    }
    say!("certificate  {}", pins.certificate);
    if let Some(key) = &pins.key {
        say!("key          {key}");
    }
    for record in &pins.tlsa {
        say!("TLSA         {record}");
    }
    Ok(ExitCode::SUCCESS)
}

impl Pins {
    fn of(certificate: Certificate) -> Self {
        Self {
            certificate: certificate.fingerprint(),
            key: certificate.key_pin(),
            tlsa: records(&certificate),
            names: certificate.names,
        }
    }
}

/// What a domain publishes for a mail server that shows this certificate, one for each of its hosts.
/// `HOST` is where its name belongs when the certificate does not say it.
fn records(certificate: &Certificate) -> Vec<String> {
    let hosts = certificate.names.iter().filter(|name| is_host(name));
    let mut hosts: Vec<&str> = hosts.map(|name| &**name).collect();
    if hosts.is_empty() {
        hosts.push("HOST");
    }
    hosts
        .into_iter()
        .filter_map(|host| tlsa(certificate, host))
        .collect()
}

/// The record for `host`, which shows this certificate (RFC 7672 section 3.1.1: DANE-EE(3), SPKI(1),
/// SHA-256(1)); `None` where its key cannot be told.
pub fn tlsa(certificate: &Certificate, host: &str) -> Option<String> {
    let pin = certificate.key_pin()?;
    let digits = pin.trim_start_matches("spki:sha256:");
    Some(format!("_25._tcp.{host}. IN TLSA 3 1 1 {digits}"))
}

fn is_host(name: &str) -> bool {
    name.contains('.') && Domain::parse(name).is_ok()
}
